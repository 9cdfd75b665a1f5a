"""Serves TensorBoard during a run."""
