"""A SavedModel gives the same probabilities in a process that has no tfcore, from plain ops."""

import pathlib
import resource
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.architecture import Architecture
from tfcore.build.model import build_model
from tfcore.errors import DataError, RunError
from tfcore.export import saved_model
from tfcore.modules import named_variables

NAMES = ("cat", "dog", "emu", "fox")
SHAPE = (12, 10, 3)
PLANS = {
    "softmax": Architecture("softmax", SHAPE, NAMES, "standardized", sizes={"initializer": "truncated_normal"}),
    "mnist_cnn": Architecture("mnist_cnn", SHAPE, NAMES, sizes={"filters": (4, 4), "hidden": (8,), "dropout": (0.5,)}),
    "views": Architecture("mlp", SHAPE, NAMES, sizes={"hidden": (6,)}, views=("mirror", "shifts")),
    "cifar_cnn": Architecture("cifar_cnn", SHAPE, NAMES, "centered", sizes={"filters": (4, 4, 6), "hidden": (8,)}),
    "bfloat16": Architecture(
        "cifar_cnn", SHAPE, NAMES, precision="bfloat16", sizes={"filters": (4, 4), "hidden": (8,)}
    ),
}
COUNTS = (1, 7)
ELSEWHERE = """
import os, pathlib, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

class Blocker:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "tfcore":
            raise ImportError(f"{name} is not to be had here")

sys.meta_path.insert(0, Blocker())
import numpy as np
import tensorflow as tf

images, found = np.load("images.npy"), {}
for folder in sorted(pathlib.Path("models").iterdir()):
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    for count in (1, 7):
        result = serve(images=tf.constant(images[:count]))
        found |= {f"{folder.name} {count} {name}": value.numpy() for name, value in result.items()}
    for wrong in (images[:, 1:], images[0], images.astype(np.float32)):
        try:
            serve(images=tf.constant(wrong))
        except (TypeError, ValueError, tf.errors.InvalidArgumentError):
            continue
        raise SystemExit(f"{wrong.shape} {wrong.dtype} was taken")
np.savez("found.npz", **{name: value.astype("S") if value.dtype == object else value for name, value in found.items()})
"""


def trained(plan: Architecture) -> Any:
    """The model with weights as if it had been trained: nothing is 0 or 1."""
    module = build_model(plan, seed=3)
    generator = np.random.default_rng(4)
    for path, variable in named_variables(module).items():
        if not path.endswith("weights"):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    return module


@pytest.mark.thorough
def ours_of(name: str, module: tf.Module, images: np.ndarray) -> tf.Tensor:
    return tf.function(lambda given: saved_model.probabilities(module, PLANS[name], given))(tf.constant(images))


@pytest.mark.thorough
def test_a_process_without_tfcore_computes_the_same(tmp_path: pathlib.Path) -> None:
    images = np.random.default_rng(5).integers(0, 256, (7, *SHAPE), np.uint8)
    np.save(tmp_path / "images.npy", images)
    modules = {name: trained(plan) for name, plan in PLANS.items()}
    for name, module in modules.items():
        saved_model.write(tmp_path / "models" / name, module, PLANS[name])
    command = [sys.executable, "-I", "-c", ELSEWHERE]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = np.load(tmp_path / "found.npz")
    for name, module in modules.items():
        for count in COUNTS:
            ours = ours_of(name, module, images[:count]).numpy()
            theirs = found[f"{name} {count} probabilities"]
            assert theirs.dtype == np.float32
            assert ours.std() > 0.01  # or a model that ignores its pictures would pass
            np.testing.assert_array_max_ulp(theirs, ours, maxulp=8)
            named = [NAMES[best].encode() for best in ours.argmax(axis=1)]
            assert found[f"{name} {count} class_name"].tolist() == named


def operations(path: pathlib.Path) -> set[str]:
    concrete = tf.saved_model.load(str(path)).signatures["serving_default"]
    graph = concrete.graph.as_graph_def()
    assert not any("_XlaMustCompile" in function.attr for function in graph.library.function)
    return {node.op for node in graph.node} | {node.op for f in graph.library.function for node in f.node_def}


@pytest.mark.parametrize("name", PLANS)
def test_it_is_of_plain_ops_and_reads_back(tmp_path: pathlib.Path, name: str) -> None:
    module = trained(PLANS[name])
    saved_model.write(tmp_path / "m", module, PLANS[name])
    assert not any("Py" in op or "Random" in op or "Xla" in op for op in operations(tmp_path / "m"))
    plan, compute = saved_model.read(tmp_path / "m")
    assert plan == PLANS[name]
    images = np.random.default_rng(6).integers(0, 256, (2, *SHAPE), np.uint8)
    ours = ours_of(name, module, images)
    np.testing.assert_array_max_ulp(compute(tf.constant(images)).numpy(), ours.numpy(), maxulp=8)
    weights = saved_model.read_weights(tmp_path / "m")
    variables = named_variables(module)
    assert weights.keys() == variables.keys()
    assert all(weights[path].tobytes() == variable.numpy().tobytes() for path, variable in variables.items())


class OwnModel(tf.Module):
    """Holds a function of its own, compiled by XLA, that serving does not use; may call Python."""

    def __init__(self, *, calls_python: bool) -> None:
        super().__init__()
        self.calls_python = calls_python
        self.scale = tf.Variable(2.0)
        self.fast = tf.function(lambda x: x * self.scale, jit_compile=True)
        self.fast(tf.zeros([2]))

    def __call__(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        del training
        rows = tf.reduce_mean(tf.cast(x, tf.float32), [1, 2]) * self.scale
        return tf.numpy_function(lambda y: y, [rows], tf.float32) if self.calls_python else rows


OWN = Architecture("own.py:OwnModel", (2, 2, 3), ("a", "b", "c"))


def test_only_what_serving_needs_is_saved(tmp_path: pathlib.Path) -> None:
    saved_model.write(tmp_path / "m", OwnModel(calls_python=False), OWN)
    assert "_XlaMustCompile" not in (tmp_path / "m" / "saved_model.pb").read_bytes().decode(errors="replace")


def test_a_model_that_calls_python_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunError, match=r"calls Python while it runs \(PyFunc"):
        saved_model.write(tmp_path / "m", OwnModel(calls_python=True), OWN)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: pathlib.Path) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(RunError, match="is there already"):
        saved_model.write(tmp_path / "m", trained(PLANS["softmax"]), PLANS["softmax"])
    assert list((tmp_path / "m").iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: pathlib.Path) -> None:
    own_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, own_limits[1]))  # a larger file meets what a full disk gives
    try:
        with pytest.raises(RunError, match=r"m cannot be written: .*File too large") as caught:
            saved_model.write(tmp_path / "m", trained(PLANS["softmax"]), PLANS["softmax"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, own_limits)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "place", ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
def test_damage_is_a_data_error(tmp_path: pathlib.Path, place: str) -> None:
    saved_model.write(tmp_path / "m", trained(PLANS["softmax"]), PLANS["softmax"])
    content = (tmp_path / "m" / place).read_bytes()
    (tmp_path / "m" / place).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="m is no SavedModel file, or it is damaged") as caught:
        saved_model.read(tmp_path / "m")
    assert "\n" not in str(caught.value)


def test_a_foreign_saved_model_is_refused(tmp_path: pathlib.Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path))
    assert saved_model.is_saved_model(tmp_path)
    for read in (saved_model.read, saved_model.read_weights):
        with pytest.raises(DataError, match="is not a SavedModel of tfcore"):
            read(tmp_path)
