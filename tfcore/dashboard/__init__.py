"""TensorBoard beside a run."""
