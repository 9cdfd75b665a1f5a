"""Layers in NumPy float64, written as loops over windows, and the Philox generator; imports nothing from tfcore."""

import math
from collections.abc import Callable, Iterator

import numpy as np

Window = tuple[int, int, slice, slice]  # row and column of the result, rows and columns of the padded picture
Linear = tuple[np.ndarray, np.ndarray]  # weights [in, out], biases [out]

erf = np.vectorize(math.erf, otypes=[np.float64])

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.where(x > 0, x, 0.0),
    "gelu": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True),
}


def gradient(function: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Returns the gradient of a scalar function by central differences."""
    x = np.array(x, np.float64)
    result = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        value = x[place]
        x[place] = value + step
        above = function(x)
        x[place] = value - step
        below = function(x)
        x[place] = value
        result[place] = (above - below) / (2 * step)
    return result


def padded(x: np.ndarray, size: int, stride: int, padding: str) -> np.ndarray:
    """Pads pictures: with `same`, ceil(H / stride) windows fit, and the end gets the greater half."""
    if padding == "valid":
        return x
    widths = [(0, 0)]
    for side in x.shape[1:3]:
        missing = size - 1 if padding == "symmetric" else max((-(-side // stride) - 1) * stride + size - side, 0)
        widths.append((missing // 2, missing - missing // 2))
    return np.pad(x, [*widths, (0, 0)])


def windows(height: int, width: int, size: int, stride: int) -> Iterator[Window]:
    for row, top in enumerate(range(0, height - size + 1, stride)):
        for column, left in enumerate(range(0, width - size + 1, stride)):
            yield row, column, slice(top, top + size), slice(left, left + size)


def conv2d(x: np.ndarray, weights: np.ndarray, biases: np.ndarray, stride: int, padding: str) -> np.ndarray:
    """Convolves: every window times every filter, plus the bias; returns `[N, H', W', out]`."""
    size = weights.shape[0]
    x = padded(np.asarray(x, np.float64), size, stride, padding)
    places = list(windows(*x.shape[1:3], size, stride))
    y = np.zeros((len(x), places[-1][0] + 1, places[-1][1] + 1, weights.shape[3]))
    for row, column, rows, columns in places:
        y[:, row, column] = np.tensordot(x[:, rows, columns], np.asarray(weights, np.float64), 3) + biases
    return y


def conv2d_gradients(
    x: np.ndarray, weights: np.ndarray, upstream: np.ndarray, stride: int, padding: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the gradients of sum(y · upstream) with respect to x, the weights and the biases."""
    size, (_, height, width, _) = weights.shape[0], x.shape
    wide = padded(np.asarray(x, np.float64), size, stride, padding)
    from_x, from_weights = np.zeros_like(wide), np.zeros(weights.shape)
    for row, column, rows, columns in windows(*wide.shape[1:3], size, stride):
        here = upstream[:, row, column]  # [N, out]
        from_x[:, rows, columns] += np.tensordot(here, weights, (1, 3))
        from_weights += np.tensordot(wide[:, rows, columns], here, (0, 0))
    top, left = ((wide.shape[axis] - x.shape[axis]) // 2 for axis in (1, 2))
    return from_x[:, top : top + height, left : left + width], from_weights, upstream.sum(axis=(0, 1, 2))


def group_norm(x: np.ndarray, scale: np.ndarray, offset: np.ndarray, groups: int, epsilon: float) -> np.ndarray:
    """Normalizes the channels of each group of each example by their own mean and variance."""
    y = np.zeros(x.shape)
    for example, picture in enumerate(x):
        for channels in np.split(np.arange(x.shape[-1]), groups):
            values = picture[..., channels]
            normal = (values - values.mean()) / np.sqrt(values.var() + epsilon)
            y[example][..., channels] = normal * scale[channels] + offset[channels]
    return y


def attention(x: np.ndarray, qkv: Linear, result: Linear, heads: int) -> np.ndarray:
    """Lets the tokens of each example `[T, D]` attend to each other, head by head, then maps them (Vaswani 2017)."""
    features = x.shape[-1]
    size, y = features // heads, np.zeros(x.shape)
    for example, tokens in enumerate(np.asarray(x, np.float64)):
        queries, keys, values = np.split(tokens @ qkv[0] + qkv[1], 3, axis=1)
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            scores = queries[:, own] @ keys[:, own].T / math.sqrt(size)
            y[example, :, own] = ACTIVATIONS["softmax"](scores) @ values[:, own]
    return y @ result[0] + result[1]


def max_pool(x: np.ndarray, size: int, stride: int, padding: str) -> np.ndarray:
    """Returns the maximum of each window, which may overlap or reach beyond the picture."""
    lowest = padded(x - x.min(), size, stride, padding) + x.min()  # what is padded is not above any pixel
    places = list(windows(*lowest.shape[1:3], size, stride))
    y = np.zeros((len(x), places[-1][0] + 1, places[-1][1] + 1, x.shape[3]))
    for row, column, rows, columns in places:
        y[:, row, column] = lowest[:, rows, columns].max(axis=(1, 2))
    return y


def pool(x: np.ndarray, size: int, kind: str) -> np.ndarray:
    """Reduces each window to one number; returns `[N, H // size, W // size, C]`."""
    reduce = {"max": np.max, "average": np.mean, "sum": np.sum}[kind]
    y = np.zeros((len(x), x.shape[1] // size, x.shape[2] // size, x.shape[3]))
    for row, column, rows, columns in windows(*x.shape[1:3], size, size):
        y[:, row, column] = reduce(x[:, rows, columns], axis=(1, 2))
    return y


def batch_norm(x: np.ndarray, scale: np.ndarray, offset: np.ndarray, epsilon: float) -> np.ndarray:
    """Normalizes by the statistics of the batch."""
    axes = tuple(range(x.ndim - 1))
    return scale * (x - x.mean(axes)) / np.sqrt(x.var(axes) + epsilon) + offset


def batch_norm_gradients(
    x: np.ndarray, scale: np.ndarray, upstream: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the gradients of sum(y · upstream) by x, scale and offset (Ioffe & Szegedy 2015, sec. 3)."""
    axes = tuple(range(x.ndim - 1))
    deviation = np.sqrt(x.var(axes) + epsilon)
    normal = (x - x.mean(axes)) / deviation
    from_scale, from_offset = (upstream * normal).sum(axes), upstream.sum(axes)
    count = x.size // x.shape[-1]
    return scale / deviation * (upstream - from_offset / count - normal * from_scale / count), from_scale, from_offset


def philox(key: int, counters: range) -> np.ndarray:
    """Returns four 32-bit words for each counter value: Philox 4x32-10 (Salmon, Moraes, Dror & Shaw 2011)."""
    low, high = (np.array([value >> shift & 0xFFFFFFFF for value in counters], np.uint64) for shift in (0, 32))
    words = [low, high, np.zeros_like(low), np.zeros_like(low)]
    first, second = key & 0xFFFFFFFF, key >> 32
    mask = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        left, right = words[0] * np.uint64(0xD2511F53), words[2] * np.uint64(0xCD9E8D57)  # at most 64 bits
        words = [
            right >> np.uint64(32) ^ words[1] ^ np.uint64(first),
            right & mask,
            left >> np.uint64(32) ^ words[3] ^ np.uint64(second),
            left & mask,
        ]
        first, second = (first + 0x9E3779B9) & 0xFFFFFFFF, (second + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(words, axis=1).astype(np.uint32).ravel()


def dropout_hash(words: np.ndarray, numbers: int) -> np.ndarray:
    """Hashes two words an example to uint32 `[N, numbers]`: Knuth's lattice, mixed by Wellons' lowbias32."""
    a, b = words[:, :1], words[:, 1:]
    h = np.arange(numbers, dtype=np.uint32) * np.uint32(0x9E3779B1) + a  # arrays of uint32 wrap around
    h = (h ^ h >> np.uint32(16)) * np.uint32(0x7FEB352D) ^ b
    h = (h ^ h >> np.uint32(15)) * np.uint32(0x846CA68B)
    return h ^ h >> np.uint32(16)


def dropout_mask(key: int, position: int, shape: tuple[int, ...], kept_levels: int) -> np.ndarray:
    """Returns the dropout mask: a number is kept if its hash with the example's first two words is below the limit."""
    blocks = philox(key, range(position, position + shape[0])).reshape(-1, 4)
    return (dropout_hash(blocks[:, :2], math.prod(shape[1:])) < kept_levels).reshape(shape)
