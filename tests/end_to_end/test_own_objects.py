"""Runs on data from Python: each form trains to the same weights, is scored, and goes on where it stopped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.own_objects import FORMS, TEST, TRAIN, Least, Pictures, as_dataset

import tfcore
from tfcore.config import RunConfig
from tfcore.errors import DataError
from tfcore.modules import named_variables

CONFIG = RunConfig(
    model="softmax", steps=12, batch_size=8, schedule="constant", learning_rate=0.01, pixels="standardized",
    summaries="none", report=False,
)  # fmt: skip


def trained(path: Path, data: Any, config: RunConfig = CONFIG) -> dict[str, Any]:
    return tfcore.train(config, run_dir=path, data=data, quietly=True)


def weights(path: Path) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in named_variables(tfcore.load(path).module).items()}


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, np.ndarray], float]:
    """Weights and test accuracy of the run on the `Dataset`."""
    path = tmp_path_factory.mktemp("dataset") / "run"
    result = trained(path, as_dataset())
    return weights(path), result["test"]["accuracy"]


@pytest.mark.sampled(3)  # tests/build/test_own_data.py compares the examples of every form
@pytest.mark.parametrize("form", FORMS)
def test_each_form_trains_to_the_same_bits(form: str, tmp_path: Path, wanted: Any) -> None:
    data = FORMS[form](tmp_path)
    result = trained(tmp_path / "run", data)
    found = weights(tmp_path / "run")
    assert found.keys() == wanted[0].keys()
    for name, value in found.items():
        np.testing.assert_array_equal(value, wanted[0][name])
    assert result["test"]["accuracy"] == wanted[1]
    assert tfcore.evaluate(tmp_path / "run", data=data)["accuracy"] == wanted[1]


def test_a_run_goes_on_with_the_data_handed_over_again(
    tmp_path: Path, wanted: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path / "run", (Least(TRAIN), Least(TEST)), replace(CONFIG, steps=5))
    tfcore.train(CONFIG, run_dir=tmp_path / "run", data=(Least(TRAIN), Least(TEST)))
    assert "fingerprint" not in capsys.readouterr().out
    for name, value in weights(tmp_path / "run").items():
        np.testing.assert_array_equal(value, wanted[0][name])


def test_an_error_of_an_item_ends_the_run_in_one_line(tmp_path: Path) -> None:
    class Breaking(Pictures):
        """Its item 31 cannot be read."""

        def __getitem__(self, index: int) -> tuple[Any, int]:
            return {}["31"] if index == 31 else super().__getitem__(index)

    with pytest.raises(DataError, match=r"^Breaking\[31\] raises an error: KeyError: '31' \(.*_objects.py, line"):
        trained(tmp_path / "run", (Breaking(TRAIN), Pictures(TEST)), replace(CONFIG, pixels="unit", validation=0))
