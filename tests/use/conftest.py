"""The fixture of a run folder that needs no training."""

from support.saved_runs import expected_weights, make_run

__all__ = ["expected_weights", "make_run"]
