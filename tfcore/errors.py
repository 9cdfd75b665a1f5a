"""Errors that a user can fix; the commands print each as one line and exit with its status."""


class TfcoreError(Exception):
    """Base class of the errors that a user can fix. `exit_status` is the command's exit status."""

    exit_status = 1


class ConfigError(TfcoreError, ValueError):
    """A flag or argument that is unknown, out of range or contradicts another."""

    exit_status = 2


class ShapeError(TfcoreError, ValueError):
    """A tensor of an unexpected shape or dtype."""


class DataError(TfcoreError):
    """A data set that is missing, damaged or of another format than expected."""


class RunError(TfcoreError):
    """A run folder that cannot be used: locked, of another program, unwritable or without a checkpoint."""


class DiskError(RunError):
    """A path that cannot be written: the disk is full or read-only, or the folder was deleted."""
