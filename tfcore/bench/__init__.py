"""Measures speed, memory and computation of runs."""
