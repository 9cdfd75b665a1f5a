"""What a shuffle of blocks costs in randomness: MNIST in 60 shards, sorted by class or mixed, trained on in each order.

    python benchmarks/shuffles.py --data_dir=FOLDER

prints a table of the classes in a batch and of the test accuracy, for docs/data.md. It takes a few minutes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfcore.data.dataset import Dataset, Split
from tfcore.data.order import Blocks, indices
from tfcore.data.record_writer import write
from tfcore.data.sources.idx import mnist

SHARDS, BATCH, SEEDS = 60, 128, (0, 1, 2)
ORDERS = {"global": None, **{f"blocks:{count}": count for count in (30, 15, 6, 2, 1)}}


def arranged(data: Dataset, by_class: bool) -> Dataset:
    """The data set with its training examples sorted by class, or mixed."""
    labels = data.train.labels
    rows = np.argsort(labels, kind="stable") if by_class else np.random.default_rng(0).permutation(len(labels))
    return Dataset("mnist", Split(data.train.read(rows), labels[rows]), data.test, data.class_names)


def classes_in_a_batch(labels: np.ndarray, at_once: int | None) -> float:
    """The mean number of classes in a batch, over three epochs."""
    edges = np.arange(SHARDS + 1) * len(labels) // SHARDS
    blocks = None if at_once is None else Blocks(np.diff(edges), at_once)
    compute = tf.function(lambda first: indices(0, first, BATCH, len(labels), blocks), autograph=False)
    starts = range(0, 3 * len(labels) - BATCH, BATCH)
    return float(np.mean([len(set(labels[compute(tf.constant(start, tf.int64)).numpy()])) for start in starts]))


def accuracy(data: Path, shuffle: str, seed: int, run: Path) -> float:
    """The test accuracy of an MLP after three epochs."""
    flags = [
        "--model=mlp", f"--dataset=records:{data}", "--validation=0", "--epochs=3", f"--batch_size={BATCH}",
        f"--shuffle={shuffle}", f"--seed={seed}", f"--run_dir={run}", "--summaries=none", "--noreport", "--json",
    ]  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "tfcore", "train", *flags], check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["test"]["accuracy"])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", type=Path, required=True, help="folder that mnist/ is in")
    data = mnist(parser.parse_args().data_dir)
    with tempfile.TemporaryDirectory() as folder:
        kinds = {"sorted": arranged(data, by_class=True), "mixed": arranged(data, by_class=False)}
        for name, kind in kinds.items():
            write(kind, Path(folder, name), shards=SHARDS)
        print("| `--shuffle=` | classes in a batch, sorted | test accuracy, sorted | test accuracy, mixed |")
        print("|---|---|---|---|")
        for shuffle, at_once in ORDERS.items():
            cells = [f"{classes_in_a_batch(kinds['sorted'].train.labels, at_once):.1f}"]
            for name in kinds:
                found = [accuracy(Path(folder, name), shuffle, s, Path(folder, f"{name}-{shuffle}-{s}")) for s in SEEDS]
                cells.append(f"{np.mean(found):.2%} ({min(found):.2%} to {max(found):.2%})")
            print(f"| `{shuffle}` | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
