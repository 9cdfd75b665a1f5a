"""The errors that are the user's to fix; the commands print each as one line and exit with its status."""


class TfcoreError(Exception):
    """Something a user can put right. `exit_status` is what a command ends with."""

    exit_status = 1


class ConfigError(TfcoreError, ValueError):
    """A flag or argument that is unknown, out of range or contradicts another."""

    exit_status = 2


class ShapeError(TfcoreError, ValueError):
    """A tensor whose shape or dtype does not fit where it was put."""


class DataError(TfcoreError):
    """A data set that is missing, damaged or not what it claims to be."""


class RunError(TfcoreError):
    """A run folder that cannot be used: locked, foreign, unwritable or without a checkpoint."""


class DiskError(RunError):
    """A place that cannot be written: the disk is full or read-only, or the folder has vanished."""
