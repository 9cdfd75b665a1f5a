"""Data sets, their order, and the batches made of them; NumPy at rest, `tf.data` in motion."""
