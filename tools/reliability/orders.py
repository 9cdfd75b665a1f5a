"""Walks a whole epoch of a very large data set, and proves by sums that each example is seen exactly once.

    python tools/reliability/orders.py --examples=10000000          seconds; prints the result
    python tools/reliability/orders.py --record                     1,000,000,000 examples: ten minutes

The examples are divided as `--validation_split=hashed` does: an epoch of training, and the validation part once. No
list of them is kept: count, sum, and the sum modulo 2^64 of a keyed 64-bit hash of every index have to be those of
0 .. N-1. An order that repeats some examples and misses others passes with a probability of about 2^-64. Exit status 1
when a sum differs.
"""

import argparse
import os
import pathlib
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # Python puts only the folder of a script on the path

from tfcore.build import importing  # noqa: E402

importing.import_tensorflow()

import tensorflow as tf  # noqa: E402

from tfcore import seeds  # noqa: E402
from tfcore.data import order  # noqa: E402
from tfcore.data.dataset import validation_examples  # noqa: E402
from tfcore.data.splits import HashedPart  # noqa: E402
from tfcore.machine import processor  # noqa: E402
from tools import records  # noqa: E402
from tools.reliability import write_page  # noqa: E402

SHARE = 1 << 20  # indices at a time
_EPOCH = 1  # not the first: its positions start in the middle of the sequence
_MIX = tuple(np.uint64(number) for number in (30, 0xBF58476D1CE4E5B9, 27, 0x94D049BB133111EB, 31))  # of SplitMix64


@dataclass
class Tally:
    """Sums over indices: their count, sum, and the sum of their hashes modulo 2^64."""

    count: int = 0
    total: int = 0
    digest: int = 0

    def add(self, indices: NDArray[np.int64], key: int) -> None:
        """Adds indices, hashed with the key."""
        first, one, second, other, third = _MIX
        hashed = indices.astype(np.uint64) + np.uint64(key)
        hashed = (hashed ^ (hashed >> first)) * one
        hashed = (hashed ^ (hashed >> second)) * other
        hashed ^= hashed >> third
        self.count += len(indices)
        self.total += int(indices.sum())
        self.digest = (self.digest + int(hashed.sum())) % 2**64


def every_index(examples: int, key: int) -> Tally:
    """The sums over 0 .. examples-1."""
    tally = Tally()
    for start in range(0, examples, SHARE):
        tally.add(np.arange(start, min(start + SHARE, examples)), key)
    return tally


def visited(examples: int, validation: float, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yields the examples of an epoch of training, then those of the validation part."""
    held_out = validation_examples(validation, examples)
    train, rest = (
        HashedPart(seed, examples, held_out, examples - held_out),
        HashedPart(seed, examples, 0, held_out),
    )

    def trained(position: tf.Tensor, count: int) -> tf.Tensor:
        return train.rows(order.indices(seed, position, count, len(train)))

    compiled = tf.function(trained, autograph=False)
    for start in range(0, len(train), SHARE):
        position = tf.constant(_EPOCH * len(train) + start, tf.int64)
        yield compiled(position, min(SHARE, len(train) - start)).numpy()
    for start in range(0, len(rest), SHARE):
        yield rest[start : start + SHARE]


def campaign(examples: int, validation: float, seed: int) -> dict[str, Any]:
    """Walks the epoch; returns the figures."""
    key = seeds.integer(seed, "tally")
    for _ in zip(range(2), visited(3 * SHARE, validation, seed), strict=False):
        pass  # loads and starts what a process has once
    before_bytes, found = _peak_bytes(), Tally()
    start_secs, secs = time.process_time(), 0.0
    for indices in visited(examples, validation, seed):
        secs += time.process_time() - start_secs
        found.add(indices, key)
        start_secs = time.process_time()
    peak_bytes = _peak_bytes() - before_bytes
    expected = every_index(examples, key)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {processor()}",
        "versions": f"TensorFlow {metadata.version('tensorflow')}, NumPy {metadata.version('numpy')}",
        "examples": examples,
        "validation": validation_examples(validation, examples),
        "each_once": found == expected,
        "processor_ns_per_index": round(1e9 * secs / examples, 1),
        "share": SHARE,
        "peak_growth_bytes": peak_bytes,
        "sums": vars(found),
        "expected": vars(expected),
    }


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Runs the campaign; returns the exit status."""
    files = write_page.files_of("orders")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=10**9)
    parser.add_argument("--validation", type=float, default=0.01, help="share or number, as of `tfcore train` [0.01]")
    parser.add_argument("--seed", type=int, default=0)
    records.add_flag(parser, files)
    arguments = parser.parse_args()
    figures = campaign(arguments.examples, arguments.validation, arguments.seed)
    options = f"--examples={arguments.examples} --validation={arguments.validation:g} --seed={arguments.seed}"
    figures["command"] = f"python tools/reliability/orders.py {options} --record"
    for name, value in figures.items():
        print(f"{name}: {value}")
    records.finish(files, lambda: write_page.record("orders", figures), is_wanted=arguments.record)
    return 0 if figures["each_once"] else 1


if __name__ == "__main__":
    sys.exit(main())
