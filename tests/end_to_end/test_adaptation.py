"""A user's layer that adapts to training pictures, from the command to the resumed run and the export."""

import pathlib
from typing import Any

import numpy as np

import tfcore
from tfcore.modules import named_variables

NET = """
import math
import tensorflow as tf
from tfcore.layers import Flatten, Linear, Sequential


class Brightness(tf.Module):
    def __init__(self):
        super().__init__()
        self.mean = tf.Variable(0.0, trainable=False, name="mean")

    def adapt(self, x):
        self.mean.assign(tf.reduce_mean(tf.cast(x, tf.float32)))

    def __call__(self, x, *, training, key=None):
        return x - tf.cast(self.mean, x.dtype)


class Net(Sequential):
    def __init__(self, image_shape, classes, *, pixels, seed):
        last = Linear(math.prod(image_shape), classes, name="logits", seed=seed)
        super().__init__({"pixels": pixels, "brightness": Brightness(), "flatten": Flatten(), "logits": last})


class Broken(Net):
    def adapt(self, x):
        return x.of_no_such_name
"""


IMAGES = np.random.default_rng(0).integers(100, 256, (64, 4, 4, 1), np.uint8)
FLAGS = ("--model=net.py:Net", "--dataset=npz:data.npz", "--validation=0", "--batch_size=8", "--steps=6")


def weights(path: pathlib.Path) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in named_variables(tfcore.load(path).module).items()}


def test_a_run_adapts_to_its_training_pictures_and_a_resumed_one_keeps_that(call: Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    labels = np.arange(64) % 2
    np.savez(tmp_path / "data.npz", x_train=IMAGES, y_train=labels, x_test=IMAGES[:8] // 2, y_test=labels[:8])
    call("train", *FLAGS, "--run_dir=whole")
    call("train", *FLAGS, "--run_dir=parts", "--stop_after_steps=2")
    call("train", "--run_dir=parts")
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    np.testing.assert_allclose(whole["brightness.mean"], IMAGES.mean() / 255, rtol=1e-6)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(parts[name], value, err_msg=name)
    call("export", "--run_dir=whole", "--format=npz", "--out=model.npz")
    assert np.load(tmp_path / "model.npz")["brightness.mean"] == whole["brightness.mean"]


def test_an_error_in_a_users_adapt_is_one_line_with_its_place(call: Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    done = call("train", "--model=net.py:Broken", "--dataset=shapes", status=2)
    assert "--model=net.py:Broken raises an error" in done.stderr
    assert "(net.py, line 27)" in done.stderr
