"""Trained models in files, one module per format, and the loaded model."""
