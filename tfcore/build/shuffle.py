"""The order of training: a permutation of all examples, or a shuffle of blocks of shards."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tfcore.config import RunConfig
from tfcore.config.network import shards_at_once
from tfcore.errors import ConfigError

if TYPE_CHECKING:
    from tfcore.data.dataset import Dataset
    from tfcore.data.layout import Layout
    from tfcore.data.order import Blocks
    from tfcore.data.splits import Part

_LOG = logging.getLogger(__name__)


def resolve(config: RunConfig, data: "Dataset") -> RunConfig:
    """Returns the configuration with the number of shards of --shuffle=blocks, and a validation part that fits it.

    It is as many as a third of --cache_bytes holds: the rest is for the shards that follow, and for those that batches
    ahead still read. Warns where a permutation of all examples would download shards again and again.

    Raises:
        ConfigError: the data are in no shards, or the validation part is drawn without regard to them.
    """
    from tfcore.data.layout import layout_of

    layout = layout_of(data.train)
    if config.shuffle == "global":
        if layout is not None and layout.is_remote and sum(layout.sizes_bytes()) > config.cache_bytes:
            text = (
                "The shards of %s have %d bytes, more than --cache_bytes=%d. A random order of all examples downloads "
                "them again and again. Give --shuffle=blocks, or a larger --cache_bytes."
            )
            _LOG.warning(text, data.name, sum(layout.sizes_bytes()), config.cache_bytes)
        return config
    if layout is None:
        raise ConfigError(
            f"--shuffle={config.shuffle} is for data in shards, such as records:. {data.name} has none. Leave it out."
        )
    if config.validation and config.validation_split == "hashed":
        raise ConfigError(
            f"--shuffle={config.shuffle} needs --validation_split=stratified or --validation=0: the training part of a "
            "hashed split is in no order of shards."
        )
    config = replace(config, validation_split="stratified")
    if shards_at_once(config.shuffle):
        return config
    return replace(config, shuffle=f"blocks:{_at_once(layout, config.cache_bytes)}")


def _at_once(layout: "Layout", cache_bytes: int) -> int:
    return min(len(layout.paths), max(1, cache_bytes // 3 // max(layout.sizes_bytes())))


def blocks(config: RunConfig, data: "Dataset", rows: "Part | None") -> "Blocks | None":
    """The blocks of the training examples, those at `rows` or all; None for a permutation of all.

    Args:
        config: of the run; see `resolve`.
        data: the data set.
        rows: int64 [n], ascending; a part without a list only where all examples are permuted.
    """
    from tfcore.data.layout import layout_of
    from tfcore.data.order import Blocks

    at_once, layout = shards_at_once(config.shuffle), layout_of(data.train)
    if not at_once or layout is None:
        return None
    part = layout if rows is None else layout.of_rows(np.asarray(rows[:]))
    sizes = np.diff(part.ends, prepend=0)
    return Blocks(sizes[sizes > 0], at_once)
