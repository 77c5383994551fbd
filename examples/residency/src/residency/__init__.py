"""Residency scheduling for a small hospital."""
