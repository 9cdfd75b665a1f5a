"""Sweeps: many runs, ranked by validation score."""
