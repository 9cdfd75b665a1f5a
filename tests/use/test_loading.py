"""Loading from run folders and exported files: equal outputs, checks before changes, and no untrusted code."""

import json
import os
import pathlib
import re
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfcore
from tfcore.architecture import Architecture
from tfcore.build.model import build_model
from tfcore.config import RunConfig
from tfcore.errors import ConfigError, DataError, RunError, TfcoreError
from tfcore.export import saved_model
from tfcore.export.weights import FORMATS
from tfcore.layers import Flatten, Linear
from tfcore.models import Mlp
from tfcore.modules import named_variables
from tfcore.use import loading

OWN_CODE = """
import pathlib
import tensorflow as tf
from tfcore.layers import Flatten, Linear

pathlib.Path(__file__).with_name("was run").touch()

class Own(tf.Module):
    def __init__(self, image_shape, classes, *, pixels, seed):
        super().__init__()
        self.pixels, self.flatten = pixels, Flatten()
        self.logits = Linear(image_shape[0] * image_shape[1] * image_shape[2], classes, name="logits", seed=seed)

    def __call__(self, x, *, training, key=None):
        return self.logits(self.flatten(self.pixels(x, training=False), training=False), training=False)
"""
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), np.uint8)


class Own(tf.Module):
    """The model of OWN_CODE as a class of this module."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int, *, pixels: Any, seed: int) -> None:
        super().__init__()
        self.pixels, self.flatten = pixels, Flatten()
        self.logits = Linear(image_shape[0] * image_shape[1] * image_shape[2], classes, name="logits", seed=seed)

    def __call__(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        return self.logits(self.flatten(self.pixels(x, training=training), training=training), training=training)


def plan_of(run: pathlib.Path) -> Architecture:
    return loading.read_architecture(run / "architecture.json")


def expected_rows(run: pathlib.Path, weights: dict[str, np.ndarray]) -> np.ndarray:
    module = build_model(plan_of(run))
    loading.assign_weights(module, weights, "the test")
    return tf.nn.softmax(module(tf.constant(IMAGES), training=False)).numpy()


def exported(run: pathlib.Path, name: str, metadata: dict[str, str] | None = None) -> pathlib.Path:
    """Writes the run's last weights in a format, with its architecture unless other metadata are given."""
    text = (run / "architecture.json").read_text(encoding="utf-8")
    path = run.parent / f"model.{name}"
    found = {"architecture": text} if metadata is None else metadata
    FORMATS[name].write(path, loading.read_weights(run), found)
    return path


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(np.array_equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("checkpoint", "flag", "step"),
    [("", "", 20), ("", "--patience=3\n", 10), ("best", "", 10), ("last", "--patience=3\n", 20), ("10", "", 10)],
)
def test_a_run_loads_with_the_weights_of_the_chosen_checkpoint(
    make_run: Any, expected_weights: Any, checkpoint: str, flag: str, step: int
) -> None:
    run = make_run(flags=flag)
    weights = expected_weights(step)
    assert same(loading.read_weights(run, checkpoint=checkpoint), weights)
    model = tfcore.load(run, checkpoint=checkpoint)
    assert same({name: v.numpy() for name, v in named_variables(model.module).items()}, weights)
    np.testing.assert_allclose(model.probabilities(IMAGES), expected_rows(run, weights), rtol=1e-5)
    assert (model.class_names, model.image_shape) == (("cat", "dog", "emu"), (4, 5, 3))


class Counting(Mlp):
    """A model that counts its Python calls."""

    calls = 0

    def __call__(self, x: tf.Tensor, *, training: bool, key: Any = None) -> tf.Tensor:
        type(self).calls += 1
        return super().__call__(x, training=training, key=key)


def test_a_model_is_traced_once_for_any_number_of_pictures(make_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counting, "calls", 0)
    model = tfcore.load(make_run(), model=Counting)
    images = np.random.default_rng(0).integers(0, 256, (320, 4, 5, 3), np.uint8)
    rows = {count: model.probabilities(images[:count]) for count in (320, 1, 31, 32, 33, 319)}
    assert Counting.calls == 1
    expected = tf.nn.softmax(model.module(tf.constant(images), training=False)).numpy()
    for count, found in rows.items():
        np.testing.assert_allclose(found, expected[:count], rtol=1e-5)
    Counting.calls = 0
    model.probabilities(images.astype(np.float32))
    model.probabilities(images[:5].astype(np.float64))
    assert Counting.calls == 1
    for variable in named_variables(model.module).values():
        variable.assign(tf.zeros_like(variable) + 0.5)  # a trace holds no copy of the weights
    expected = tf.nn.softmax(model.module(tf.constant(images), training=False)).numpy()
    np.testing.assert_allclose(model.probabilities(images), expected, rtol=1e-5)


def test_averages_are_loaded_where_asked_for(make_run: Any, expected_weights: Any) -> None:
    run = make_run()
    assert same(loading.read_weights(run, average=True), expected_weights(20, average=True))
    assert not same(expected_weights(20), expected_weights(20, average=True))
    rows = tfcore.load(run, average=True).probabilities(IMAGES)
    np.testing.assert_allclose(rows, expected_rows(run, expected_weights(20, average=True)), rtol=1e-5)


@pytest.mark.parametrize("name", FORMATS)
def test_an_exported_file_is_the_whole_model(make_run: Any, expected_weights: Any, name: str) -> None:
    run = make_run()
    rows = tfcore.load(run).probabilities(IMAGES)
    path = exported(run, name)
    assert same(loading.read_weights(path), expected_weights(20))
    np.testing.assert_array_equal(tfcore.load(str(path)).probabilities(IMAGES), rows)


def test_weights_alone_need_the_architecture_beside_them(make_run: Any) -> None:
    run = make_run()
    path = exported(run, "npz", {})
    with pytest.raises(ConfigError, match="holds weights alone"):
        tfcore.load(path)
    rows = tfcore.load(path, architecture=run / "architecture.json").probabilities(IMAGES)
    np.testing.assert_array_equal(rows, tfcore.load(run).probabilities(IMAGES))


def test_a_saved_model_loads(make_run: Any, tmp_path: pathlib.Path, expected_weights: Any) -> None:
    model = tfcore.load(make_run())
    saved_model.write(tmp_path / "m", model.module, model.architecture)
    again = tfcore.load(tmp_path / "m")
    assert again.module is None
    assert again.architecture == model.architecture
    np.testing.assert_allclose(again.probabilities(IMAGES), model.probabilities(IMAGES), rtol=1e-6)
    assert same(loading.read_weights(tmp_path / "m"), expected_weights(20))


def test_an_architecture_alone_is_a_fresh_model(make_run: Any) -> None:
    run = make_run()
    fresh = named_variables(tfcore.load(run / "architecture.json").module)
    expected = named_variables(build_model(plan_of(run), seed=0))
    assert all(np.array_equal(fresh[path], expected[path]) for path in expected)


@pytest.mark.parametrize(
    ("path", "arguments", "error", "message"),
    [
        ("nowhere", {}, RunError, "nowhere is not a run folder"),
        ("nowhere.npz", {}, DataError, "nowhere.npz is no npz file"),
        ("nowhere.json", {}, DataError, "no readable file nowhere.json"),
        ("run", {"checkpoint": "newest"}, ConfigError, "must be best, last or a step. Received 'newest'"),
        ("run", {"checkpoint": "15"}, RunError, "no checkpoint of step 15"),
        ("run", {"checkpoint": "best"}, RunError, "has no best checkpoint: nothing was validated"),
        ("run", {"architecture": "nowhere.json"}, DataError, "no readable file nowhere.json"),
        ("run/config.flags", {}, ConfigError, "ends in .h5, .npz, .safetensors, .json. Received run/config.flags"),
        ("model.npz", {"checkpoint": "last"}, ConfigError, "model.npz is no run folder: leave out `checkpoint`"),
        ("model.npz", {"average": True}, ConfigError, "leave out `average`"),
        ("run/architecture.json", {"average": True}, ConfigError, "leave out `average`"),
        ("run/architecture.json", {"architecture": "x.json"}, DataError, "no readable file x.json"),
        ("saved", {"model": Own}, ConfigError, "saved is a SavedModel, which is complete: leave out `model`"),
        ("saved", {"checkpoint": "last"}, ConfigError, "leave out `checkpoint`"),
        ("saved", {"architecture": "run/architecture.json"}, ConfigError, "leave out `architecture`"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(
    make_run: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
    path: str,
    arguments: dict[str, Any],
    error: type[TfcoreError],
    message: str,
) -> None:
    run = make_run(best=-1)
    exported(run, "npz")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=re.escape(message)) as caught:
        tfcore.load(path, **arguments)
    assert "\n" not in str(caught.value)


def test_a_run_without_a_checkpoint_says_so(make_run: Any) -> None:
    with pytest.raises(RunError, match="has no checkpoint yet"):
        tfcore.load(make_run(steps=()))


def test_of_a_damaged_checkpoint_the_others_are_named(make_run: Any) -> None:
    run = make_run()
    checkpoint = run / "checkpoints" / "step-0000000020"
    (checkpoint / "state.index").write_bytes(b"")
    with pytest.raises(
        RunError, match=r"step-0000000020 is damaged: .* Name another --checkpoint \(found: 10, 20\), or"
    ):
        loading.read_weights(run)


def test_an_architecture_holds_no_weights(make_run: Any) -> None:
    with pytest.raises(ConfigError, match="holds no weights"):
        loading.read_weights(make_run() / "architecture.json")


def test_code_that_a_file_names_is_not_run(make_run: Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "own_code_for_test.py").write_text(OWN_CODE, encoding="utf-8")
    plan = Architecture(f"{tmp_path / 'own_code_for_test.py'}:Own", (4, 5, 3), ("a", "b"))
    run = make_run(plan=plan, cls=Own)
    for path in (exported(run, "h5"), run / "architecture.json"):
        with pytest.raises(ConfigError, match=r"code named by an exported file is not executed.*model=TheClass"):
            tfcore.load(path)
    assert not (tmp_path / "was run").exists()
    rows = tfcore.load(tmp_path / "model.h5", model=Own).probabilities(IMAGES)
    np.testing.assert_array_equal(tfcore.load(run, model=Own).probabilities(IMAGES), rows)
    assert not (tmp_path / "was run").exists()
    np.testing.assert_array_equal(tfcore.load(run).probabilities(IMAGES), rows)  # the code that a run names is run
    assert (tmp_path / "was run").exists()
    sys.modules.pop("own_code_for_test", None)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": "softmax", "sizes": {}}, RunError, "hidden_1.biases: float32 [6] there, none in the model"),
        (
            {"sizes": {"hidden": [10**10]}},
            RunError,
            "hidden_1.weights: float32 [60, 6] there, float32 [60, 10000000000]",
        ),
        ({"class_names": ["a"]}, RunError, "logits.biases: float32 [3] there, float32 [1] in the model"),
        ({"pixels": "unit"}, RunError, "pixels.mean: float32 [3] there, none in the model"),
        ({"image_shape": [10**9, 10**9, 3], "pixels": "centered"}, DataError, "holds no architecture"),
        ({"sizes": {"hidden": [10**30]}}, DataError, "cannot be built"),
        ({"sizes": {"pixels": 3}}, DataError, "cannot be built"),
        ({"sizes": {"hidden": "abc"}}, DataError, "cannot be built: --model=mlp: hidden takes whole numbers"),
        ({"sizes": {"depth": 3}}, DataError, "cannot be built: --model=mlp takes no depth"),
        ({"model": "sofmax"}, DataError, "Did you mean 'softmax'"),
        ({"format": "other"}, DataError, "model.safetensors holds no architecture of tfcore"),
    ],
)
def test_an_architecture_that_lies_is_refused_before_memory_is_taken(
    make_run: Any, changes: dict[str, Any], error: type[TfcoreError], message: str
) -> None:
    run = make_run()
    text = json.dumps(json.loads((run / "architecture.json").read_text(encoding="utf-8")) | changes)
    with pytest.raises(error, match=re.escape(message)):
        tfcore.load(exported(run, "safetensors", {"architecture": text}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": {"hidden": [10**10]}}, "are more than this machine's memory"),
        ({"image_shape": [9000, 9000, 3], "sizes": {"hidden": [10**6]}}, "are more than this machine's memory"),
        ({"image_shape": [10**6, 10**6, 3], "pixels": "centered"}, "holds no architecture of tfcore"),
        ({"sizes": {"hidden": [10**30]}}, "cannot be built"),
        ({"class_names": ["a\nb"]}, "holds no architecture of tfcore"),
    ],
)
def test_an_architecture_alone_that_lies_is_refused_before_memory_is_taken(
    make_run: Any, changes: dict[str, Any], message: str
) -> None:
    path = make_run() / "architecture.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        tfcore.load(path)
    assert "\n" not in str(caught.value)
    with pytest.raises((DataError, RunError)):
        tfcore.load(path.parent)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@pytest.mark.parametrize("name", ["config.flags", "architecture.json"])
def test_what_is_no_file_is_not_waited_for(make_run: Any, make: Any, name: str) -> None:
    run = make_run()
    (run / name).unlink()
    make(run / name)
    with pytest.raises((RunError, DataError), match="readable"):
        tfcore.load(run)


def test_a_pipe_is_no_exported_file(tmp_path: pathlib.Path) -> None:
    for name in ("a.json", "a.npz", "a.h5", "a.safetensors"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(DataError, match=rf"readable file .*{name}|{name} is no .*it is no regular file"):
            tfcore.load(tmp_path / name)


def test_every_mismatch_is_told_and_nothing_changes() -> None:
    module = Own((1, 1, 2), 2, pixels=Flatten(), seed=1)
    before = {path: variable.numpy() for path, variable in named_variables(module).items()}
    weights = {"logits.weights": np.ones((2, 3), np.float32), "other": np.ones(2, np.float64)}
    with pytest.raises(RunError) as caught:
        loading.assign_weights(module, weights, "w.npz")
    assert str(caught.value) == (
        "The weights in w.npz belong to another model. logits.biases: none there, float32 [2] in the model; "
        "logits.weights: float32 [2, 3] there, float32 [2, 2] in the model; "
        "other: float64 [2] there, none in the model."
    )
    assert same({path: variable.numpy() for path, variable in named_variables(module).items()}, before)


def test_the_order_of_bytes_does_not_matter() -> None:
    module = Own((1, 1, 2), 2, pixels=Flatten(), seed=1)
    weights = {"logits.weights": np.arange(4, dtype=">f4").reshape(2, 2), "logits.biases": np.array([5, 6], ">f4")}
    loading.assign_weights(module, weights, "here")
    assert module.logits.weights.numpy().tolist() == [[0, 1], [2, 3]]
    assert module.logits.biases.numpy().tolist() == [5, 6]


def test_the_step_is_what_eval_would_score(make_run: Any) -> None:
    run = make_run(flags="--patience=2\n")
    config = RunConfig.from_flags((run / "config.flags").read_text(encoding="utf-8"))
    assert [loading.checkpoint_step(run, config, wanted) for wanted in ("", "best", "last", "20")] == [10, 10, 20, 20]
