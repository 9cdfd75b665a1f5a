"""The table of all readers: where each is defined, and its share of the cases."""

from collections.abc import Sequence
from typing import NamedTuple


class Entry(NamedTuple):
    """`where` is `package.module:NAME`, imported by the child only; the shares are relative to each other."""

    where: str
    share: float


READERS = {
    "cifar": Entry("benchmarks.fuzzing.plain:CIFAR", 6),
    "idx": Entry("benchmarks.fuzzing.plain:IDX", 10),
    "idx.gz": Entry("benchmarks.fuzzing.plain:IDX_GZ", 10),
    "text": Entry("benchmarks.fuzzing.plain:TEXT", 10),
    "npz": Entry("benchmarks.fuzzing.numpy_files:NPZ", 10),
    "npy": Entry("benchmarks.fuzzing.numpy_files:NPY", 4),
    "folder": Entry("benchmarks.fuzzing.folders:FOLDER", 15),
    "archive": Entry("benchmarks.fuzzing.archives:ARCHIVE", 10),
    "export npz": Entry("benchmarks.fuzzing.numpy_files:EXPORT_NPZ", 6),
    "export h5": Entry("benchmarks.fuzzing.weights:H5", 6),
    "export safetensors": Entry("benchmarks.fuzzing.weights:SAFETENSORS", 6),
    "architecture": Entry("benchmarks.fuzzing.runs:ARCHITECTURE", 4),
    "run folder": Entry("benchmarks.fuzzing.runs:RUN", 4),
    "checkpoint": Entry("benchmarks.fuzzing.checkpoints:CHECKPOINT", 3),
    "logs": Entry("benchmarks.fuzzing.logs:LOGS", 3),
}


def divided(cases: int, names: Sequence[str] = tuple(READERS)) -> dict[str, int]:
    """How many of the cases each of the readers gets: its share, rounded, and at least one."""
    whole = sum(READERS[name].share for name in names)
    return {name: max(1, round(cases * READERS[name].share / whole)) for name in names}
