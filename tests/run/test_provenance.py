"""The facts that a checkpoint saves about its process, and the differences reported by another process."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tfcore.data.lazy import LazySplit

from tfcore import __version__
from tfcore.config import RunConfig
from tfcore.data import order
from tfcore.data.dataset import Split
from tfcore.run.provenance import Provenance

SPLIT = Split(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, np.int32))
CONFIG = RunConfig(precision="float32", intra_op_threads=3)


def test_the_facts_are_those_that_bear_on_exactness() -> None:
    facts = Provenance(CONFIG, SPLIT).facts()
    about_process = {"tfcore", "tensorflow", "processor", "onednn", "intra_op_threads"}
    assert facts.keys() == about_process | {"precision", "order", "data"}
    assert (facts["tfcore"], facts["tensorflow"], facts["order"]) == (__version__, tf.__version__, order.ALGORITHM)
    assert (facts["precision"], facts["intra_op_threads"]) == ("float32", 3)
    assert json.loads(json.dumps(facts)) == facts


def test_threads_left_to_tensorflow_are_as_many_as_processors() -> None:
    assert Provenance(RunConfig(), SPLIT).facts()["intra_op_threads"] > 0


def test_the_same_process_has_nothing_to_say() -> None:
    provenance = Provenance(CONFIG, SPLIT)
    assert provenance.differences(Provenance(CONFIG, SPLIT).facts()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tfcore", "the last bits"),
        ("tensorflow", "TensorFlow"),
        ("processor", "the last bits"),
        ("onednn", "TF_ENABLE_ONEDNN_OPTS"),
        ("intra_op_threads", "intra-op threads 3 (there: other): the last bits will differ"),
        ("precision", "the arithmetic differs"),
        ("order", "later steps use other examples"),
        ("data", "fingerprint of the training data"),
    ],
)
def test_each_difference_is_told_with_what_it_means(name: str, words: str) -> None:
    provenance = Provenance(CONFIG, SPLIT)
    saved: dict[str, Any] = {**provenance.facts(), name: "other"}
    (clause,) = provenance.differences(saved)
    assert words in clause
    assert "(there: other)" in clause
    del saved[name]
    assert "(there: unknown)" in provenance.differences(saved)[0]


def test_other_weights_of_the_examples_are_told() -> None:
    weighted = Provenance(CONFIG, SPLIT, weights=np.ones(2, np.float32))
    assert weighted.differences(weighted.facts()) == []
    (clause,) = weighted.differences(Provenance(CONFIG, SPLIT, weights=np.zeros(2, np.float32)).facts())
    assert "fingerprint of the weights of the examples" in clause


def test_pictures_that_are_gone_do_not_end_the_run(tmp_path: Path) -> None:
    paths = [str(tmp_path / "gone.png")] * 2
    split = LazySplit(paths, SPLIT.labels, (4, 4, 1), lambda _: np.zeros((4, 4, 1), np.uint8))
    assert "No such file" in Provenance(CONFIG, split).facts()["data"]
