"""Pictures and summaries of a run for TensorBoard and reports."""
