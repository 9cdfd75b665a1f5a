"""Networks of every kind of layer train, are exported in every format, and come back with the same logits."""

import pathlib
from typing import Any

import numpy as np
import pytest

import tfcore
from tfcore.config import RunConfig
from tfcore.data.dataset import Dataset, Split

FILES = ("npz", "h5", "safetensors")
SMALL: dict[str, dict[str, Any]] = {
    "airbench": {"filters": (4, 8), "pixels": "standardized"},
    "mobilenet": {"model_args": {"width": 0.1}, "summaries": "none", "report": False},
    "vit": {"hidden": (32,), "model_args": {"width": 24, "depth": 2, "patch": 7, "stochastic_depth": 0.1}},
}
CASES = [("vit", "float32"), ("mobilenet", "bfloat16"), ("airbench", "float32")]


def split(examples: int) -> Split:
    """Grey pictures of 28×28; those of class 1 are brighter."""
    labels = (np.arange(examples) % 2).astype(np.int32)
    noise = np.random.default_rng(examples).integers(0, 150, (examples, 28, 28, 1), np.uint8)
    return Split((noise + 60 * labels[:, None, None, None]).astype(np.uint8), labels)


DATA = Dataset("light", split(64), split(24), ("dark", "bright"))


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "precision"), CASES)
def test_a_network_learns_and_comes_back_from_every_format(
    call: Any, tmp_path: pathlib.Path, name: str, precision: str
) -> None:
    config = RunConfig(
        model=name, precision=precision, steps=12, batch_size=16, log_every_steps=1, learning_rate=0.01, **SMALL[name]
    )
    tfcore.train(config, run_dir=tmp_path / "run", data=DATA, quietly=True)
    losses = tfcore.History(tmp_path / "run").curve("train", "loss").values
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    for kind in (*FILES, "saved_model"):
        out = "served" if kind == "saved_model" else f"model.{kind}"
        call("export", "--run_dir=run", f"--format={kind}", f"--out={out}")
    trained, images = tfcore.load(tmp_path / "run"), DATA.test.images[:8]
    logits = trained.module(images, training=False)
    assert np.std(np.asarray(logits, np.float32)) > 0
    for kind in FILES:
        again = tfcore.load(tmp_path / f"model.{kind}").module(images, training=False)
        np.testing.assert_array_equal(again, logits)
    served = tfcore.load(tmp_path / "served").probabilities(images)
    tolerance = 1e-5 if precision == "float32" else 2e-2
    np.testing.assert_allclose(served, trained.probabilities(images), rtol=0, atol=tolerance)
