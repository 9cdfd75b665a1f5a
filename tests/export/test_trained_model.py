"""A trained model in use: any number of pictures, one trace, names in order."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.architecture import Architecture
from tfcore.errors import ConfigError, ShapeError
from tfcore.export.trained_model import TrainedModel

PLAN = Architecture("softmax", (2, 3, 1), ("cat", "dog", "emu"))
IMAGES = np.random.default_rng(0).integers(0, 256, (70, 2, 3, 1), np.uint8)


class Mean:
    """Probabilities from each picture's mean: 1/2 - m/512, 1/2 - m/512, m/256. Counts its traces."""

    def __init__(self) -> None:
        self.traces = 0

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        self.traces += 1
        mean = tf.reduce_mean(tf.cast(images, tf.float32), [1, 2, 3]) / 256
        return tf.stack([(1 - mean) / 2, (1 - mean) / 2, mean], axis=1)


def model(*, module: Any = "a module") -> tuple[TrainedModel, Mean]:
    compute = Mean()
    return TrainedModel(PLAN, compute, module=module), compute


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 70])
def test_every_picture_gets_its_own_row(count: int) -> None:
    trained, _ = model()
    rows = trained.probabilities(IMAGES[:count])
    assert (rows.dtype, rows.shape) == (np.float32, (count, 3))
    np.testing.assert_allclose(rows[:, 2], IMAGES[:count].mean(axis=(1, 2, 3)) / 256, rtol=1e-6)
    np.testing.assert_array_equal(rows, trained.probabilities(IMAGES)[:count])


def test_any_number_of_pictures_is_one_trace_a_dtype() -> None:
    trained, compute = model()
    for count in (1, 5, 32, 70):
        trained.probabilities(IMAGES[:count])
    assert compute.traces == 1
    for dtype in (np.float16, np.float32, np.float64):
        trained.probabilities(IMAGES.astype(dtype))
    assert compute.traces == 2


def test_floating_pictures_are_on_the_same_scale() -> None:
    trained, _ = model()
    np.testing.assert_array_equal(trained.probabilities(IMAGES), trained.probabilities(IMAGES.astype(np.float64)))


def test_the_likeliest_classes_come_first_and_ties_in_the_order_of_names() -> None:
    trained, _ = model()
    dark, light = np.zeros((1, 2, 3, 1), np.uint8), np.full((1, 2, 3, 1), 192, np.uint8)
    assert trained.predict(dark) == [[("cat", 0.5)]]
    assert trained.predict(np.concatenate([dark, light]), top=2) == [
        [("cat", 0.5), ("dog", 0.5)],
        [("emu", 0.75), ("cat", 0.125)],
    ]
    assert len(trained.predict(dark, top=9)[0]) == 3


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[0], r"must be \[N, 2, 3, 1\], N at least 1. Received \[2, 3, 1\]"),
        (IMAGES[:0], r"Received \[0, 2, 3, 1\]"),
        (IMAGES[:, :1], r"Received \[70, 1, 3, 1\]"),
        (IMAGES.astype(np.int64), "must be uint8, or floating from 0 to 255. Received int64"),
        (IMAGES.astype(bool), "Received bool"),
        (IMAGES - 128.0, "must lie between 0 and 255. Received -128.0 to"),
        (IMAGES * 2.0, "must lie between 0 and 255"),
        (np.full((1, 2, 3, 1), np.nan), "Received nan to nan"),
    ],
)
def test_what_is_no_pictures_for_it_is_refused(images: np.ndarray, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        model()[0].probabilities(images)


def test_a_saved_model_takes_bytes_only() -> None:
    trained, _ = model(module=None)
    trained.probabilities(IMAGES)
    with pytest.raises(ShapeError, match=r"must be uint8\. Received float32"):
        trained.probabilities(IMAGES.astype(np.float32))


def test_top_must_be_a_number_of_classes() -> None:
    with pytest.raises(ConfigError, match="`top` must be an integer of at least 1"):
        model()[0].predict(IMAGES, top=0)


def test_it_knows_its_names_and_pictures() -> None:
    trained, _ = model()
    assert (trained.class_names, trained.image_shape) == (PLAN.class_names, PLAN.image_shape)
