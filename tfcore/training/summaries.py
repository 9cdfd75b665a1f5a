"""Builds the protocol buffers of TensorBoard's event files.

`tf.summary` takes ten times as long for a scalar, and needs a separate writer.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.pr_curve import metadata as pr_curve_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.plugins.text.summary_v2 import text_pb

_SCALAR = scalar_metadata.create_summary_metadata(display_name=None, description=None)
_HISTOGRAM = histogram_metadata.create_summary_metadata(display_name=None, description=None)
_IMAGE = image_metadata.create_summary_metadata(display_name=None, description=None)
_BUCKETS = 30
_THRESHOLDS = 101  # 0, 0.01, … 1


def scalar(tag: str, value: float) -> Summary.Value:
    """A point of a curve."""
    return Summary.Value(tag=tag, metadata=_SCALAR, tensor=TensorProto(dtype=DT_FLOAT, float_val=[value]))


def histogram(tag: str, values: NDArray[Any]) -> Summary.Value:
    """A histogram with 30 buckets of equal width, from the least to the greatest finite value.

    If all values are equal, the buckets are centered on them.
    """
    numbers = np.array(values, np.float64).ravel()
    is_finite = np.isfinite(numbers)
    if not is_finite.all():
        numbers = numbers[is_finite]
    low, high = (numbers.min(), numbers.max()) if numbers.size else (0.0, 0.0)
    if low == high:
        low, high = low - max(0.5, 1e-6 * abs(low)), high + max(0.5, 1e-6 * abs(high))
    numbers -= low  # in place; np.histogram, with its corrections, takes three times as long
    numbers /= high - low
    numbers *= _BUCKETS
    counts = np.bincount(numbers.astype(np.int64), minlength=_BUCKETS + 1)
    counts[-2] += counts[-1]  # the greatest value belongs in the last bucket
    edges = np.linspace(low, high, _BUCKETS + 1)
    rows = np.stack([edges[:-1], edges[1:], counts[:-1]], axis=1)
    return Summary.Value(tag=tag, metadata=_HISTOGRAM, tensor=_doubles(rows))


def image(tag: str, png: bytes, size: tuple[int, int]) -> Summary.Value:
    """A picture.

    Args:
        tag: its name.
        png: the file.
        size: its width and height in pixels.
    """
    tensor = TensorProto(dtype=DT_STRING, string_val=[*(str(side).encode() for side in size), png])
    tensor.tensor_shape.dim.add(size=3)
    return Summary.Value(tag=tag, metadata=_IMAGE, tensor=tensor)


def text(tag: str, markdown: str) -> Summary.Value:
    """A page of the Text tab."""
    (value,) = text_pb(tag, markdown).value
    return value


def pr_curve(
    tag: str, is_class: NDArray[np.bool_], probabilities: NDArray[np.floating[Any]], *, of: str = ""
) -> Summary.Value:
    """The precision-recall curve of one class against the rest, at 101 thresholds of its probability.

    An example is predicted positive if its probability is at least the threshold; at the first one, 0, all are. Without
    positive predictions, the precision is 1.

    Args:
        tag: its name.
        is_class: [N], which examples are of the class.
        probabilities: [N], of the class; NaN counts as 0.
        of: which examples of the split these are, shown beside the curve; "" for all.
    """
    shares = np.clip(np.nan_to_num(probabilities.astype(np.float64)), 0, 1)
    bins = np.floor(shares * (_THRESHOLDS - 1)).astype(np.int64)
    hits, misses = (
        np.bincount(bins[chosen], minlength=_THRESHOLDS)[::-1].cumsum()[::-1] for chosen in (is_class, ~is_class)
    )  # [thresholds], predicted at each: true positives and false ones
    positives, negatives = int(is_class.sum()), int((~is_class).sum())
    precision = np.where(hits + misses > 0, hits / np.maximum(hits + misses, 1), 1.0)
    rows = [hits, misses, negatives - misses, positives - hits, precision, hits / max(positives, 1)]
    described = pr_curve_metadata.create_summary_metadata(tag, of, _THRESHOLDS)
    return Summary.Value(tag=f"{tag}/pr_curves", metadata=described, tensor=_floats(np.stack(rows)))


def hparams(name: str, settings: Mapping[str, Any]) -> Summary.Value:
    """A row of the HParams tab, which also shows the last values of the run's curves.

    Args:
        name: of the run.
        settings: bools, numbers or strings.
    """
    start = plugin_data_pb2.SessionStartInfo(group_name=name, start_time_secs=time.time())
    for setting, value in settings.items():
        kind = {bool: "bool_value", int: "number_value", float: "number_value"}.get(type(value), "string_value")
        setattr(start.hparams[setting], kind, value)
    data = plugin_data_pb2.HParamsPluginData(session_start_info=start)
    return Summary.Value(
        tag=hparams_metadata.SESSION_START_INFO_TAG,
        metadata=hparams_metadata.create_summary_metadata(data),
        tensor=hparams_metadata.NULL_TENSOR,
    )


def _floats(array: NDArray[Any]) -> TensorProto:
    return _tensor(array, DT_FLOAT, "<f4")


def _doubles(array: NDArray[Any]) -> TensorProto:
    return _tensor(array, DT_DOUBLE, "<f8")


def _tensor(array: NDArray[Any], dtype: Any, layout: str) -> TensorProto:
    tensor = TensorProto(dtype=dtype, tensor_content=array.astype(layout).tobytes())
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor
