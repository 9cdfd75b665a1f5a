"""Settings of the network and its data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tfcore import checks, model_args
from tfcore.config_fields import Settings, flag
from tfcore.errors import ConfigError

_BLOCKS = re.compile(r"blocks(?::([1-9]\d{0,8}))?", re.ASCII)
_HEIGHT = re.compile(r"(\d{1,6}):(\d*\.?\d{1,20})", re.ASCII)


def picture_heights(name: str, text: str) -> tuple[tuple[int, Fraction], ...]:
    """Reads heights of pictures, each with the share of a run at which it ends, such as 16:0.4,24:0.7.

    Raises:
        ConfigError: another text, a height of 0, or shares that do not rise or are not between 0 and 1.
    """
    parts = [_HEIGHT.fullmatch(part.strip()) for part in text.split(",")] if text else []
    found = tuple((int(part[1]), Fraction(part[2])) for part in parts if part)
    shares = [Fraction(0), *(share for _, share in found), Fraction(1)]
    if len(found) < len(parts) or not all(height for height, _ in found) or shares != sorted(set(shares)):
        raise ConfigError(
            f"`{name}` takes heights of pictures, each up to a share of the run between 0 and 1, in order, such as "
            f"16:0.4,24:0.7. Received '{text}'."
        )
    return found


def shards_at_once(shuffle: str) -> int:
    """The number of shards that --shuffle=blocks:N mixes; 0 where it has none."""
    match = _BLOCKS.fullmatch(shuffle)
    return int(match[1] or 0) if match else 0


def _check_shuffle(name: str, text: str) -> None:
    if text != "global" and not _BLOCKS.fullmatch(text):
        raise ConfigError(f"`{name}` takes global, blocks, or blocks:SHARDS, such as blocks:16. Received '{text}'.")


@dataclass(frozen=True)
class NetworkSettings(Settings):
    """The network, its data and how it computes."""

    model: str = flag("softmax", f"{', '.join(model_args.MODELS)}, or a class of yours: path/to/file.py:Name.")
    model_args: str | Mapping[str, Any] = flag(
        "", "Arguments of the model's __init__, such as depth=3,width=64; the numbers of a tuple as in sizes=50x50."
    )
    dataset: str = flag(
        "shapes",
        "cifar10, cifar100, mnist, fashion_mnist, kmnist, shapes; files as text:PATH, npz:PATH, idx:PATH, folder:PATH, "
        "records:PATH, tfrecord:PATH, webdataset:PATH, huggingface:PATH or tfds:PATH; or a function of yours: "
        "path/to/file.py:name.",
    )
    train_examples: int | None = flag(
        None, "Use only this many training examples, the first ones. Default: all.", checks.positive_integer
    )
    test_examples: int | None = flag(
        None, "Use only this many test examples, the first ones. Default: all.", checks.positive_integer
    )
    test_share: float | None = flag(
        None,
        "Share of the examples held out for testing where files have no test part. Default: 0.1.",
        checks.share,
    )
    image_shape: tuple[int, ...] | None = flag(
        None, "Height, width and channels of the images in text:, such as 28,28,1. Default: square images."
    )
    image_size: tuple[int, ...] | None = flag(
        None, "Height and width that images in files are resized to, such as 32,48 or 224. Default: no resizing."
    )
    image_fit: str | None = flag(
        None,
        "How images in files become --image_size: stretch, crop (the largest centred part of its proportions), or "
        "crop:SHARE of that, such as crop:0.875. Default: stretch.",
    )
    skip_bad_pictures: bool | None = flag(None, "Leave out images in files that cannot be decoded.")
    validation: float = flag(
        0.1, "Training examples held out for validation: a share below 1, or a number of examples.", checks.not_negative
    )
    validation_split: str = flag(
        "auto",
        "How they are chosen: stratified (every class in the same proportion), hashed (by a keyed permutation of all "
        "examples, which takes no memory), or auto: stratified up to 10,000,000 examples.",
        choices=("auto", "stratified", "hashed"),
    )
    augment: str = flag(
        "",
        "Augmentation of the training pictures, in the given order, such as flip,crop:4,cutout:8: flip, "
        "alternating_flip, crop, resized_crop, translate, rotate, jitter, cutout, erase, randaugment, trivialaugment, "
        "mixup, cutmix, or a function of yours: path/to/file.py:name. Default: none.",
    )
    progressive_resizing: str = flag(
        "",
        "Heights that the training pictures are resized to, each up to a share of the run, such as 16:0.4,24:0.7: "
        "16 rows for the first 40 % of the steps, 24 up to 70 %, then their full size. Default: none.",
        picture_heights,
    )
    shuffle: str = flag(
        "global",
        "Order of training. global: each epoch is a permutation of all examples. blocks:SHARDS, such as blocks:16, or "
        "blocks, as many as a third of --cache_bytes holds: a permutation of the shards, and of the examples within so "
        "many of them at a time.",
        _check_shuffle,
    )
    seed: int = flag(0, "Seed of the initial weights, the order of the examples and all other random numbers.")

    hidden: tuple[int, ...] | None = flag(None, "Units of each hidden layer, such as 50,50. Default: the model's.")
    filters: tuple[int, ...] | None = flag(None, "Filters of each convolution, such as 32,64. Default: the model's.")
    dropout: tuple[float, ...] | None = flag(
        None, "Dropout rates after convolutions and after linear layers, such as 0.25,0.5, or one rate for both."
    )
    activation: str | None = flag(None, "relu, gelu, silu, tanh, sigmoid or softmax. Default: the model's.")
    pooling: str | None = flag(None, "max, average or sum. Default: the model's.")
    max_norm: float | None = flag(
        None, "Largest norm of a column of the hidden weights. Default: the model's.", checks.positive
    )
    initializer: str | None = flag(
        None,
        "Initial weights: zeros, ones, constant:VALUE, truncated_normal, fan_in_uniform, partial_identity, or glorot, "
        "he or lecun with _uniform or _normal. Default: the model's.",
    )
    init_from: str = flag(
        "", "Run folder, exported file, or others' file of weights (with --rename), which training starts from."
    )
    rename: str = flag(
        "",
        "Tables of names for others' weights in --init_from, in order: pytorch_resnet, keras, new_head (another last "
        "layer), or files of your own, such as names.txt,pytorch_resnet. Default: the names are tfcore's.",
    )
    pixels: str = flag(
        "unit",
        "Scaling. unit: x/255; raw: x; centered: x minus the mean training image; standardized: per channel.",
        choices=("unit", "raw", "centered", "standardized"),
    )
    precision: str = flag(
        "auto",
        "Compute type of the model; variables and losses stay float32. auto: bfloat16 for a model with convolutions or "
        "large products on a processor with AMX or an NVIDIA GPU of the Ampere generation or later, else float32.",
        choices=("auto", "float32", "bfloat16"),
    )
    xla: str = flag(
        "auto",
        "Compile the training steps with XLA. auto: on for a model of several products without convolutions (with "
        "AVX-512: of small ones), and on a GPU.",
        choices=("auto", "on", "off"),
    )
    deterministic: bool = flag(
        False, "Use only deterministic ops. On a CPU all ops of tfcore are deterministic anyway."
    )
