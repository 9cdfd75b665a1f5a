"""A training run, from its parts to its result."""
