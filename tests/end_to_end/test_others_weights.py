"""--init_from with --rename: weights made by PyTorch and by Keras give the logits that they give there."""

import pathlib
from typing import Any

import numpy as np
import pytest
from reference import models as reference
from safetensors.numpy import load_file, save_file

from tfcore.data.dataset import Dataset, Split
from tfcore.modules import named_variables
from tfcore.run.parts import build_parts
from tfcore.run.provenance import Provenance
from tfcore.run.restore import Restored, restore
from tfcore.run.start import configuration
from tfcore.training.checkpoints import Checkpoints
from tfcore.training.run_folder import RunFolder

FOREIGN = pathlib.Path(__file__).parent / "foreign"  # written by make_torch_weights.py there
NETWORKS: dict[str, dict[str, Any]] = {
    "resnet18": {"filters": (4, 6, 8, 10), "model_args": {"stem": 224}, "pixels": "standardized"},
    "resnet50": {"filters": (2, 3, 4, 5), "model_args": {"stem": 224}},
    "resnet20_A": {"filters": (4, 8, 16)},
    "resnet20_B": {"filters": (4, 8, 16), "model_args": {"shortcut": "B"}},
}
SMALL = ("--model=resnet20", "--filters=4,8,16", "--steps=1", "--train_examples=200", "--test_examples=50")
TWO_CLASSES = """
import numpy as np
from tfcore.data.dataset import Dataset, Split


def two(data_dir):
    images, labels = np.zeros((60, 32, 32, 3), np.uint8), (np.arange(60) % 2).astype(np.int32)
    return Dataset("two", Split(images, labels), Split(images, labels), ("a", "b"))
"""
TORCH = f"--init_from={FOREIGN / 'resnet20_A.safetensors'}"


def started(folder: pathlib.Path, image_shape: tuple[int, ...], classes: int, **settings: Any) -> tuple[Any, Restored]:
    """The model of a run before its first step, and what the run has restored."""
    labels = (np.arange(40) % classes).astype(np.int32)
    pictures = np.random.default_rng(0).integers(0, 256, (40, *image_shape), np.uint8)
    data = Dataset("noise", Split(pictures, labels), Split(pictures, labels), tuple(map(str, range(classes))))
    with RunFolder(folder) as run:
        config = configuration(run, {"steps": 1, "batch_size": 20, "precision": "float32", **settings})
        parts = build_parts(config, data=data)
        checkpoints = Checkpoints(run.checkpoints, parts.state())
        return parts.model, restore(parts, run, checkpoints, Provenance(parts.config, data.train))


def weights_of(model: Any) -> dict[str, np.ndarray]:
    return {path: variable.numpy() for path, variable in named_variables(model).items()}


def same_logits(model: Any, images: np.ndarray, expected: np.ndarray) -> None:
    found = model(images, training=False)
    spread = np.ptp(expected, axis=0)  # over the pictures: what all have in common says little about the weights
    assert spread.min() > 0.01
    np.testing.assert_allclose(found / spread, expected / spread, rtol=0, atol=1e-4)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_pytorch(tmp_path: pathlib.Path, name: str) -> None:
    with np.load(FOREIGN / f"{name}.npz") as file:
        images, logits = file["images"], file["logits"]
    path, name_here = str(FOREIGN / f"{name}.safetensors"), name.removesuffix("_A").removesuffix("_B")
    settings = {"model": name_here, "init_from": path, "rename": "pytorch_resnet", **NETWORKS[name]}
    model, restored = started(tmp_path / "run", images.shape[1:], logits.shape[1], **settings)
    same_logits(model, images, logits)
    assert restored.drawn == ()


@pytest.mark.sampled(2)
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras' own h5 writer
@pytest.mark.parametrize(("kind", "shortcut"), [("npz", "A"), ("h5", "B")])
def test_logits_are_those_of_keras(tmp_path: pathlib.Path, kind: str, shortcut: str) -> None:
    rng = np.random.default_rng(1)
    theirs = reference.resnet_cifar((12, 10, 3), (4, 8, 16), 3, shortcut, dtype="float32")
    images = rng.integers(0, 256, (5, 3, 5, 3), np.uint8).repeat(4, axis=1).repeat(2, axis=2)
    for _ in range(3):
        theirs(images.astype(np.float32), training=True)  # moves the statistics
    for variable in theirs.trainable_variables:
        change = rng.normal(0, 0.05, variable.shape)
        variable.assign(variable.numpy() + change.astype(np.float32))
    path = tmp_path / f"theirs.{kind}"
    if kind == "h5":
        theirs.save(path)
    else:
        np.savez(path, **{variable.path: variable.numpy() for variable in theirs.variables})
    settings = {"filters": (4, 8, 16), "model_args": {"shortcut": shortcut}, "init_from": str(path), "rename": "keras"}
    model, _ = started(tmp_path / "run", images.shape[1:], 10, model="resnet20", **settings)
    same_logits(model, images, theirs(images.astype(np.float32), training=False).numpy())


@pytest.mark.thorough
def test_another_head_keeps_its_initial_weights(tmp_path: pathlib.Path) -> None:
    path = FOREIGN / "resnet20_A.safetensors"
    settings = {"model": "resnet20", "filters": (4, 8, 16)}
    tables = {"init_from": str(path), "rename": "new_head,pytorch_resnet"}
    tuned, restored = started(tmp_path / "tuned", (32, 32, 3), 3, **settings, **tables)
    fresh, _ = started(tmp_path / "fresh", (32, 32, 3), 3, **settings)
    assert restored.drawn == ("logits.biases", "logits.weights")
    found, drawn, theirs = weights_of(tuned), weights_of(fresh), load_file(path)
    np.testing.assert_array_equal(found["logits.weights"], drawn["logits.weights"])
    np.testing.assert_array_equal(
        found["block_3_1.conv_2.weights"].transpose(3, 2, 0, 1), theirs["layer3.0.conv2.weight"]
    )


@pytest.mark.thorough
def test_the_command_says_what_the_file_has_not(call: Any) -> None:
    done = call("train", *SMALL, TORCH, "--rename=new_head,pytorch_resnet", "--pixels=standardized", "--run_dir=run")
    expected = (
        f"Starting from the weights of {FOREIGN / 'resnet20_A.safetensors'}. It has no logits.biases, logits.weights, "
        "pixels.mean, pixels.std, which keep their initial values."
    )
    assert expected in " ".join(done.stdout.split())


def test_every_difference_is_in_one_line_and_nothing_is_left(call: Any, tmp_path: pathlib.Path) -> None:
    weights = load_file(FOREIGN / "resnet20_A.safetensors")
    weights["layer1.0.conv1.weight"] = weights["layer1.0.conv1.weight"][:, :, :2]
    weights["linear.bias"] = np.zeros(7, np.float32)
    weights["layer2.1.bn1.bias"] = weights["layer2.1.bn1.bias"].astype(np.float64)
    weights["bn1.scale"] = weights.pop("bn1.weight")
    weights["linear.weight"] = weights["linear.weight"].ravel()
    save_file(weights, tmp_path / "other.safetensors")
    flags = ("--init_from=other.safetensors", "--rename=pytorch_resnet", "--run_dir=run")
    done = call("train", *SMALL, *flags, status=1)
    assert done.stderr.count("\n") == 1
    for clause in (
        "block_1_1.conv_1.weights: float32 [2, 3, 4, 4] there as layer1.0.conv1.weight, float32 [3, 3, 4, 4] in the",
        "logits.biases: float32 [7] there as linear.bias, float32 [10] in the model",
        "block_2_2.norm_1.offset: float64 [8] there as layer2.1.bn1.bias, float32 [8] in the model",
        "bn1.scale: float32 [4] there, none in the model",
        "norm.scale: none there, float32 [4] in the model",
        "logits.weights: none there, float32 [16, 10] in the model",
        "linear.weight: [160] there, 2 axes in the table",
    ):
        assert clause in done.stderr
    assert done.stderr.count(" there") == 7
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--rename=keras",), "--rename belongs to --init_from, the file of weights. Received --rename=keras."),
        ((TORCH, "--rename=pytorch_resnets"), "no readable file pytorch_resnets. Did you mean 'pytorch_resnet'?"),
        ((TORCH, "--rename=own.txt"), "own.txt, line 2: a rule is PATTERN -> PATH"),
    ],
)
def test_a_bad_table_is_refused_before_anything_is_loaded(
    call: Any, tmp_path: pathlib.Path, flags: Any, message: str
) -> None:
    (tmp_path / "own.txt").write_text("# mine\na b c\n", encoding="utf-8")
    done = call("train", *SMALL, *flags, "--run_dir=run", status=2)
    assert message in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
def test_a_run_of_other_classes_gets_another_head(call: Any) -> None:
    call("train", *SMALL, "--run_dir=first")
    flags = ("--dataset=two_classes.py:two", "--init_from=first", "--run_dir=second")
    pathlib.Path("two_classes.py").write_text(TWO_CLASSES, encoding="utf-8")
    done = call("train", *SMALL[:3], *flags, status=1)
    assert "logits.weights: float32 [16, 10] there, float32 [16, 2] in the model" in done.stderr
    done = call("train", *SMALL[:3], *flags, "--rename=new_head")
    assert "It has no logits.biases, logits.weights, which keep" in " ".join(done.stdout.split())


@pytest.mark.thorough
def test_a_resumed_run_needs_neither_file_nor_table(call: Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "own.txt").write_text("-> norm.+\n", encoding="utf-8")
    flags = (TORCH, "--rename=own.txt,pytorch_resnet", "--run_dir=run")
    call("train", *SMALL[:2], "--train_examples=200", "--test_examples=50", *flags, "--steps=3", "--stop_after_steps=1")
    (tmp_path / "own.txt").unlink()
    done = call("train", "--rename=keras", "--run_dir=run", status=2)
    assert "belongs to another configuration: --rename=keras (there: own.txt,pytorch_resnet)" in done.stderr
    call("train", "--run_dir=run")
