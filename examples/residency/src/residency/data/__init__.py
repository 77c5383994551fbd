"""Synthetic people, blocks and assignments."""
