"""Scaling of pictures against NumPy float64; statistics are saved with the model but are no parameters."""

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.errors import ConfigError
from tfcore.layers import Pixels
from tfcore.modules import named_parameters, named_variables, outline

RNG = np.random.default_rng(0)
SHAPE = (4, 5, 3)
PICTURES = RNG.integers(0, 256, (6, *SHAPE), np.uint8)
PICTURE = RNG.uniform(0, 255, SHAPE).astype(np.float32)
MEAN = np.array([125.3, 123.0, 113.9], np.float32)
STD = np.array([63.0, 62.1, 66.7], np.float32)

STATISTICS: dict[str, dict[str, Any]] = {
    "unit": {},
    "raw": {},
    "centered": {"mean": PICTURE},
    "standardized": {"mean": MEAN, "std": STD},
}
each_scaling = pytest.mark.parametrize("scaling", STATISTICS)


def pixels(scaling: str, dtype: tf.DType = tf.float32) -> Pixels:
    return Pixels(scaling, **STATISTICS[scaling], dtype=dtype)


def expected(scaling: str) -> np.ndarray:
    x = PICTURES.astype(np.float64)
    return {"unit": x / 255, "raw": x, "centered": x - PICTURE, "standardized": (x - MEAN) / STD}[scaling]


@each_scaling
def test_values(scaling: str) -> None:
    result = pixels(scaling)(PICTURES, training=False)
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, expected(scaling), rtol=1e-6, atol=1e-5 if scaling == "centered" else 1e-6)


@each_scaling
def test_bfloat16_is_rounded_once_from_float32(scaling: str) -> None:
    result = pixels(scaling, tf.bfloat16)(PICTURES, training=True)
    rounded = tf.cast(pixels(scaling)(PICTURES, training=True), tf.bfloat16)
    assert result.dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(result, tf.float32), tf.cast(rounded, tf.float32))


@each_scaling
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64, tf.bfloat16, tf.int32], ids=lambda dtype: dtype.name)
def test_numbers_on_the_same_scale_agree_with_bytes(scaling: str, dtype: tf.DType) -> None:
    layer = pixels(scaling)
    np.testing.assert_array_equal(
        layer(tf.cast(PICTURES, dtype), training=False), layer(tf.constant(PICTURES), training=False)
    )


def test_unit_is_the_default_and_reaches_exactly_zero_and_one() -> None:
    ends = Pixels()(tf.constant([[[[0, 255]]]], tf.uint8), training=False)
    np.testing.assert_array_equal(ends, [[[[0, 1]]]])


@each_scaling
def test_statistics_are_saved_but_are_no_parameters(scaling: str, tmp_path: pathlib.Path) -> None:
    layer = pixels(scaling)
    assert set(named_variables(layer)) == set(STATISTICS[scaling])
    assert named_parameters(layer) == {}
    assert outline(layer, SHAPE).layers[0].parameters == 0
    path = tf.train.Checkpoint(pixels=layer).write(str(tmp_path / "pixels"))
    saved = tf.train.load_checkpoint(path)
    for name, value in STATISTICS[scaling].items():
        np.testing.assert_array_equal(saved.get_tensor(f"pixels/{name}/.ATTRIBUTES/VARIABLE_VALUE"), value)


@pytest.mark.parametrize(
    ("scaling", "statistics", "message"),
    [
        ("centred", {}, "`pixels` must be one of unit, raw, .*Received 'centred'. Did you mean 'centered'"),
        ("unit", {"mean": MEAN}, "`pixels=unit` does not take `mean`"),
        ("raw", {"std": STD}, "`pixels=raw` does not take `std`"),
        ("centered", {}, "`pixels=centered` needs `mean`. Received None"),
        ("centered", {"mean": PICTURE, "std": STD}, "`pixels=centered` does not take `std`"),
        ("standardized", {"std": STD}, "`pixels=standardized` needs `mean`"),
        ("standardized", {"mean": MEAN}, "`pixels=standardized` needs `std`"),
        ("standardized", {"mean": MEAN, "std": np.array([1, 0, 1])}, "`std` must be above 0 in every channel"),
        ("standardized", {"mean": MEAN, "std": np.array([1, np.nan, 1])}, "`std` must be above 0 in every channel"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(scaling: str, statistics: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Pixels(scaling, **statistics)
