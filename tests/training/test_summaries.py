"""Summaries: equal to those of TensorBoard's own writers, and readable by its readers."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.plugins.histogram import summary_v2 as histogram_summary
from tensorboard.plugins.hparams import summary_v2 as hparams_summary
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.pr_curve import summary as pr_curve_summary

from tfcore.training import summaries

DRAW = np.random.default_rng(0)


@pytest.mark.parametrize("values", [DRAW.normal(size=[50, 20]), np.arange(31), np.array([-1e30, 0, 1e30])], ids=len)
def test_histograms_are_those_of_tensorboard(values: np.ndarray) -> None:
    (expected,) = histogram_summary.histogram_pb("name", values).value
    ours = summaries.histogram("name", values)
    assert (ours.tag, ours.metadata) == (expected.tag, expected.metadata)
    np.testing.assert_allclose(tf.make_ndarray(ours.tensor), tf.make_ndarray(expected.tensor), rtol=1e-12)


def test_a_histogram_has_all_finite_values() -> None:
    values = np.array([np.nan, 1.0, np.inf, 2.0, -np.inf, 2.0], np.float32)
    buckets = tf.make_ndarray(summaries.histogram("name", values).tensor)
    assert buckets[:, 2].sum() == 3
    assert (buckets[0, 0], buckets[-1, 1]) == (1.0, 2.0)
    assert tf.make_ndarray(summaries.histogram("name", np.full([3], np.nan)).tensor)[:, 2].sum() == 0


@pytest.mark.parametrize("value", [0.0, 1.0, -3e38, 1e-45])
def test_values_that_are_all_equal_have_buckets_around_them(value: float) -> None:
    buckets = tf.make_ndarray(summaries.histogram("name", np.full([7], value, np.float32)).tensor)
    assert (buckets[:, 0] < buckets[:, 1]).all()
    ((left, right, count),) = buckets[buckets[:, 2] > 0]
    assert left <= np.float32(value) <= right
    assert count == 7


def test_pr_curves_are_those_of_tensorboard_where_something_is_predicted() -> None:
    labels = DRAW.random(500) < 0.3
    probabilities = np.clip(0.7 * DRAW.random(500) + 0.3 * labels, 0, 1).astype(np.float32)
    (expected,) = pr_curve_summary.pb("cat", labels=labels, predictions=probabilities, num_thresholds=101).value
    ours = summaries.pr_curve("cat", labels, probabilities)
    assert ours.tag == expected.tag
    (described,) = pr_curve_summary.pb("cat", labels, probabilities, num_thresholds=101, description="1 in 2").value
    partial = summaries.pr_curve("cat", labels, probabilities, of="1 in 2")
    assert partial.metadata.SerializeToString() == described.metadata.SerializeToString()
    assert ours.metadata.SerializeToString() == expected.metadata.SerializeToString()
    curve, reference = (tf.make_ndarray(value.tensor) for value in (ours, expected))
    predicted = curve[0] + curve[1] > 0
    np.testing.assert_allclose(curve[:, predicted], reference[:, predicted], rtol=1e-6)
    assert 0 < predicted.sum() < 101
    assert (curve[4, ~predicted] == 1).all()


def test_a_class_without_examples_has_a_curve() -> None:
    curve = tf.make_ndarray(summaries.pr_curve("cat", np.zeros([4], bool), np.full([4], 0.5)).tensor)
    assert np.isfinite(curve).all()
    assert curve[5].max() == 0  # recall


def test_probabilities_that_are_no_numbers_are_no_prediction() -> None:
    is_class = np.array([True, True, False])
    curves = [
        tf.make_ndarray(summaries.pr_curve("cat", is_class, np.array([0.75, unknown, 0.25])).tensor)
        for unknown in (np.nan, 0.0)
    ]
    np.testing.assert_array_equal(*curves)


def test_an_image_is_its_file() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (5, 7)).save(stream, format="PNG")
    value = summaries.image("name", stream.getvalue(), (5, 7))
    assert tf.make_ndarray(value.tensor).tolist() == [b"5", b"7", stream.getvalue()]
    assert value.metadata.plugin_data.plugin_name == image_metadata.PLUGIN_NAME


def test_hparams_are_those_of_tensorboard() -> None:
    settings = {"model": "mlp", "hidden": "50,50", "learning_rate": 0.1, "seed": 3, "nesterov": True}
    (expected,) = hparams_summary.hparams_pb(settings, trial_id="NAME", start_time_secs=0).value
    ours = summaries.hparams("NAME", settings)
    assert (ours.tag, ours.tensor) == (expected.tag, expected.tensor)
    parse = hparams_summary.metadata.parse_session_start_info_plugin_data
    mine, theirs = (parse(value.metadata.plugin_data.content) for value in (ours, expected))
    assert (mine.group_name, mine.hparams) == (theirs.group_name, theirs.hparams)
