"""Teachers: the weights they are loaded with, their logits, their fingerprint, and what is refused."""

import pathlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from support.saved_runs import PLAN

import tfcore
from tfcore.data.dataset import Dataset, Split
from tfcore.errors import ConfigError, RunError
from tfcore.export import saved_model
from tfcore.export.weights import FORMATS
from tfcore.use import loading
from tfcore.use.teacher import load_teacher

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
SPLIT = Split(IMAGES, np.arange(3, dtype=np.int32))
DATA = Dataset("pets", SPLIT, SPLIT, PLAN.class_names)


@pytest.mark.parametrize("average", [False, True])
def test_a_teacher_is_the_model_that_load_gives(make_run: Any, average: bool) -> None:
    run = make_run(plan=replace(PLAN, views=("mirror",)))
    teacher = load_teacher(str(run), DATA, average=average)
    module = tfcore.load(run, average=average).module
    expected = module(tf.constant(IMAGES), training=False).numpy()  # of the picture itself, without the mirrored view
    np.testing.assert_allclose(teacher(tf.constant(IMAGES)), expected, rtol=1e-5)
    np.testing.assert_allclose(teacher(tf.constant(IMAGES, tf.float32)), expected, rtol=1e-5)


def test_a_teacher_keeps_its_precision_and_gives_float32(make_run: Any) -> None:
    teacher = load_teacher(str(make_run(plan=replace(PLAN, precision="bfloat16"))), DATA)
    assert teacher.module(tf.constant(IMAGES), training=False).dtype == tf.bfloat16
    assert teacher(tf.constant(IMAGES)).dtype == tf.float32


def test_the_fingerprint_tells_weights_apart(make_run: Any, tmp_path: pathlib.Path) -> None:
    run = make_run()
    path, text = tmp_path / "model.npz", (run / "architecture.json").read_text(encoding="utf-8")
    FORMATS["npz"].write(path, loading.read_weights(run), {"architecture": text})
    last = load_teacher(str(run), DATA).fingerprint
    assert load_teacher(str(path), DATA).fingerprint == last
    assert load_teacher(str(run), DATA, average=True).fingerprint != last


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Dataset("d", SPLIT, SPLIT, ("cat", "emu", "dog")), "has 'dog' as class 1, where d has 'emu'. Name a model of"),
        (Dataset("d", SPLIT, SPLIT, ("cat", "dog", "emu", "fox")), "tells 3 classes apart. d has 4."),
        (
            Dataset("d", *[Split(IMAGES[:, :, :4].copy(), SPLIT.labels)] * 2, PLAN.class_names),
            r"takes pictures \(4, 5, 3\). Those of d are \(4, 4, 3\).",
        ),
    ],
)
def test_a_teacher_for_other_data_is_refused(make_run: Any, data: Dataset, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_teacher(str(make_run()), data)


def test_what_is_no_teacher(make_run: Any, tmp_path: pathlib.Path) -> None:
    run = make_run()
    with pytest.raises(ConfigError, match=r"holds no weights\. Name the folder of a run"):
        load_teacher(str(run / "architecture.json"), DATA)
    with pytest.raises(RunError, match="missing"):
        load_teacher(str(tmp_path / "missing"), DATA)
    saved_model.write(tmp_path / "saved", load_teacher(str(run), DATA).module, PLAN)
    with pytest.raises(ConfigError, match="is a SavedModel, which gives no logits"):
        load_teacher(str(tmp_path / "saved"), DATA)
