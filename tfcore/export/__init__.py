"""Trained models in files: one module a format, and the model that is read back."""
