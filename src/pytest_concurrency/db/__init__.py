"""Servers, engines, sessions, clean slates, waits."""
