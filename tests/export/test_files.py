"""What the formats share: types that all can hold, sizes, and errors of parsers as ours."""

from pathlib import Path

import numpy as np
import pytest

from tfcore.errors import DataError, RunError
from tfcore.export import files


def test_the_size_is_that_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "model" / "variables").mkdir(parents=True)
    (tmp_path / "model" / "program").write_text("12345")
    (tmp_path / "model" / "variables" / "data").write_text("123")
    assert files.size_bytes(tmp_path / "model") == 8
    assert files.size_bytes(tmp_path / "model" / "program") == 5


def test_only_numbers_go_into_a_file() -> None:
    files.check_numbers({"a": np.zeros(3, np.float32), "b": np.array(True), "c": np.uint8(3)})
    with pytest.raises(RunError, match=r"'a\.b' is <U1, which a file of weights cannot hold"):
        files.check_numbers({"a.b": np.array("x")})


def test_every_trouble_in_reading_is_a_data_error() -> None:
    with (
        pytest.raises(DataError, match=r"^m is no npz file, or it is damaged: RecursionError$"),
        files.intact(Path("m"), "npz"),
    ):
        raise RecursionError
    with pytest.raises(DataError, match=r"^my own words$"), files.intact(Path("m"), "npz"):
        raise DataError("my own words")
