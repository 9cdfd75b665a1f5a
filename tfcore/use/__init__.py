"""A trained model, used: loaded, scored, watched."""
