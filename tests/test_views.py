"""Averages over views of a picture: mirrored, shifted, and both."""

import numpy as np
import pytest
import tensorflow as tf

from tfcore import architecture, views
from tfcore.errors import ConfigError

SHAPE = (5, 6, 2)
WEIGHTS = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
IMAGES = np.random.default_rng(1).integers(0, 256, (4, *SHAPE), dtype=np.uint8)


def model(images: tf.Tensor, *, training: bool) -> tf.Tensor:
    assert not training
    return tf.tanh(tf.reshape(tf.cast(images, tf.float32) / 255, [-1, 60]) @ WEIGHTS)


def logits(images: np.ndarray) -> np.ndarray:
    return np.tanh(images.reshape(-1, 60).astype(np.float64) / 255 @ WEIGHTS)


def shifted(images: np.ndarray, rows: int, columns: int) -> np.ndarray:
    padded = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="reflect")
    return padded[:, rows : rows + SHAPE[0], columns : columns + SHAPE[1]]


def mirrored(images: np.ndarray) -> np.ndarray:
    return images[:, :, ::-1]


def expected(names: tuple[str, ...]) -> np.ndarray:
    found = [(1.0, IMAGES)]
    if "mirror" in names:
        found = [(w / 2, view) for w, x in found for view in (x, mirrored(x))]
    if "shifts" in names:
        found = [
            (w * part, view)
            for w, x in found
            for part, view in ((0.5, x), (0.25, shifted(x, 0, 0)), (0.25, shifted(x, 2, 2)))
        ]
    return np.sum([weight * logits(x) for weight, x in found], axis=0)


@pytest.mark.parametrize("names", [("mirror",), ("shifts",), ("mirror", "shifts"), ("shifts", "mirror")])
@pytest.mark.parametrize("dtype", [tf.uint8, tf.float32])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_logits_are_averaged_over_all_combinations(names: tuple[str, ...], dtype: tf.DType, compiled: bool) -> None:
    seen = views.averaged(model, names, SHAPE)
    call = tf.function(lambda images: seen(images, training=False)) if compiled else lambda x: seen(x, training=False)
    np.testing.assert_allclose(call(tf.cast(IMAGES, dtype)).numpy(), expected(names), atol=1e-5)


def test_the_number_of_classes_stays_known() -> None:
    seen = views.averaged(model, ("mirror", "shifts"), SHAPE)
    images = tf.TensorSpec([None, *SHAPE], tf.uint8)
    traced = tf.function(lambda images: seen(images, training=False)).get_concrete_function(images)
    assert traced.output_shapes.as_list() == [None, 3]


def test_weights_sum_to_one() -> None:
    for names in (("mirror",), ("shifts",), ("mirror", "shifts")):
        assert sum(weight for weight, _ in views._combined(names)) == 1


def test_without_views_the_model_is_called_itself() -> None:
    assert views.averaged(model, (), SHAPE) is model


def test_what_cannot_be_seen_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`test_views` must be one of mirror, shifts\. Received 'mirrors'"):
        views.averaged(model, ("mirrors",), SHAPE)
    with pytest.raises(ConfigError, match="at least 2x2"):
        views.averaged(model, ("shifts",), (1, 6, 2))


def test_the_names_in_files_are_those_of_the_views() -> None:
    assert tuple(views.VIEWS) == architecture.VIEWS
