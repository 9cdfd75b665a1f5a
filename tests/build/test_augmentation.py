"""`--augment`: its parts, their arguments, and refusals that name what was expected."""

import pathlib
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from support.augmented import EXAMPLES, pictures

from tfcore.build import augmentation
from tfcore.build.optimizer import check_targets
from tfcore.build.tables import AUGMENTATIONS, check_names
from tfcore.config import RunConfig
from tfcore.data.dataset import Dataset, Split
from tfcore.errors import ConfigError
from tfcore.seeds import Key

OWN = """
import tensorflow as tf

def darker(images, draws, share: float, steps=1):
    assert isinstance(share, float) and isinstance(steps, int)
    return tf.cast(tf.cast(images, tf.float32) * share, tf.uint8)

def halves(images, targets, draws):
    return images, (targets + tf.gather(targets, draws.partners)) / 2

def broken(images, draws):
    return images + undefined

def narrow(images, draws):
    return images[:, :, 1:]

def of_nothing(pictures):
    return pictures

def hard(logits, labels):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
"""


def data(channels: int = 3) -> Dataset:
    split = Split(pictures(EXAMPLES, channels=channels), np.zeros(EXAMPLES, np.int32))
    return Dataset("random", split, split, ("a", "b"))


@pytest.fixture
def own(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def built(text: str, channels: int = 3) -> Any:
    config = RunConfig(augment=text, batch_size=4)
    check_names(config)
    return augmentation.build_augmentation(config, data(channels), AUGMENTATIONS)


def applied(text: str) -> Any:
    """Images and labels of four examples, all of class 1 but the first."""
    start = tf.zeros([], tf.int64)
    given = {"key": Key(0, start, start), "batch_size": 4, "examples": EXAMPLES}
    return built(text)(tf.constant(pictures(4)), tf.constant([0, 1, 1, 1]), **given)


def test_no_augmentation_by_default() -> None:
    assert built("") is None


def test_arguments_by_place_and_by_name_are_the_same() -> None:
    texts = ("crop:2:reflect", "crop:padding=reflect:2", " crop:2:padding=reflect")
    found = [applied(text)[0].numpy() for text in texts]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert (found[0] != applied("crop:2")[0].numpy()).any()


def test_a_function_in_a_file_gets_its_arguments_in_their_types(own: pathlib.Path) -> None:
    images, labels = applied(f"flip:0,{own}:darker:0.5:steps=3")
    np.testing.assert_array_equal(images.numpy(), pictures(4) // 2)
    assert labels.numpy().tolist() == [0, 1, 1, 1]


def test_a_function_that_takes_targets_mixes_them(own: pathlib.Path) -> None:
    assert built(f"{own}:halves").mixes
    assert not built("flip,crop:2").mixes
    assert applied(f"{own}:halves")[1].numpy().tolist() == [[0.5, 0.5], [0.5, 0.5], [0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flop", "one of flip, .* Received 'flop'. Did you mean 'flip'"),
        ("flip,,crop:2", "names with commas between, such as flip,crop:4. Received ''"),
        (":4", "Received ':4'"),
        ("crop:x", r"--augment=crop: pixels takes a whole number, such as 100. Received 'x'"),
        ("crop:size=4", "an argument that crop does not take. It takes pixels, padding"),
        ("crop:2:zeros:3", "does not take. It takes pixels, padding"),
        ("alternating_flip:1", "It takes no arguments"),
        ("crop:2:pixels=3", "gives pixels twice, by place and by name"),
        ("crop:pixels=2:pixels=3", "gives an argument twice"),
        ("mixup:images=3", "does not take. It takes alpha, probability"),
        ("flip,alternating_flip", "takes one of flip and alternating_flip, once"),
        ("flip,crop:2,flip", "takes one of flip and alternating_flip, once"),
        ("none.py:x", "there is no file none.py"),
        ("OWN:darker", "needs share. Give .*:darker:VALUE"),
        ("OWN:brighter", "has no class or function 'brighter'"),
        ("OWN:broken", r"raises an error: NameError: name 'undefined' is not defined \(.*own.py, line 12\)"),
        ("OWN:narrow", r"must return pictures \(4, 6, 8, 3\) .* Received uint8 \(4, 6, 7, 3\)"),
        ("OWN:of_nothing", "must be a function of images and draws"),
    ],
)
def test_what_is_refused(own: pathlib.Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(text.replace("OWN", str(own)))


def test_pictures_that_do_not_fit_are_refused_before_training() -> None:
    with pytest.raises(ConfigError, match="at most 5 for pictures of 6x8"):
        built("crop:6")
    with pytest.raises(ConfigError, match="3 channels"):
        built("jitter", channels=1)


def test_names_are_checked_without_loading_a_file(own: pathlib.Path) -> None:
    before = set(sys.modules)
    check_names(RunConfig(augment=f"{own}:broken,mixup"))
    assert not {name for name in set(sys.modules) - before if "own" in name}


def test_a_loss_of_class_numbers_is_refused_with_mixed_examples(own: pathlib.Path) -> None:
    config = RunConfig(augment="mixup", loss=f"{own}:hard", batch_size=4)
    with pytest.raises(ConfigError, match=r"--augment=mixup mixes examples: .* gets targets \[N, 2\].*own.py, line 21"):
        check_targets(config, 2)
    for loss in ("cross_entropy", "mean_squared_error"):
        check_targets(RunConfig(augment="mixup", loss=loss, label_smoothing=0.1), 2)
