"""Schedules made by a constraint solver."""
