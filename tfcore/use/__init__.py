"""Loading, scoring and watching trained models."""
