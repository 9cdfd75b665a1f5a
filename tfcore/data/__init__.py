"""Data sets, the order of their examples, and `tf.data` batches of them."""
