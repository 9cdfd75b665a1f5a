"""Several processes that train one run: their cluster, what they exchange, and their start on one machine."""
