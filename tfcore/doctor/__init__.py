"""Checks of this machine, and of the workers of a cluster, before a training."""
