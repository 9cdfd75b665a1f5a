"""From names to objects."""
