"""Builds the objects that a configuration names."""
