"""Quantities, samples, objectives and verdicts with evidence."""
