"""What TensorBoard and reports show of a model."""
