"""Error types: one root, and an exit status for each."""

import inspect

import pytest

from tfcore import errors
from tfcore.errors import ConfigError, DataError, DiskError, RunError, ShapeError, TfcoreError

EXIT_STATUS = {TfcoreError: 1, ConfigError: 2, ShapeError: 1, DataError: 1, RunError: 1, DiskError: 1}


def test_every_error_is_in_the_table() -> None:
    assert {value for value in vars(errors).values() if inspect.isclass(value)} == set(EXIT_STATUS)


@pytest.mark.parametrize(("error", "status"), EXIT_STATUS.items())
def test_every_error_is_ours_and_has_its_exit_status(error: type[TfcoreError], status: int) -> None:
    assert issubclass(error, TfcoreError)
    assert error.exit_status == status
    assert str(error("what was wrong")) == "what was wrong"


def test_bad_arguments_are_also_value_errors() -> None:
    assert {error for error in EXIT_STATUS if issubclass(error, ValueError)} == {ConfigError, ShapeError}
