"""The command-line interface: one module per command, each with a `run` that returns the exit status."""
