"""tfcore: image classifiers in low-level TensorFlow, every line of it yours to read."""

__version__ = "0.1.0"
