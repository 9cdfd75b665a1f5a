"""Lists all readers, with the module of each and its share of the cases."""

from collections.abc import Sequence
from typing import NamedTuple


class Entry(NamedTuple):
    """`where` is `package.module:NAME`, imported in the child process only; shares are relative."""

    where: str
    share: float


READERS = {
    "cifar": Entry("tools.reliability.mutated_files.plain_datasets:CIFAR", 6),
    "idx": Entry("tools.reliability.mutated_files.plain_datasets:IDX", 10),
    "idx.gz": Entry("tools.reliability.mutated_files.plain_datasets:IDX_GZ", 10),
    "text": Entry("tools.reliability.mutated_files.plain_datasets:TEXT", 10),
    "npz": Entry("tools.reliability.mutated_files.numpy_files:NPZ", 10),
    "npy": Entry("tools.reliability.mutated_files.numpy_files:NPY", 4),
    "folder": Entry("tools.reliability.mutated_files.picture_folders:FOLDER", 15),
    "records": Entry("tools.reliability.mutated_files.record_folders:RECORDS", 6),
    "listing": Entry("tools.reliability.mutated_files.sharded_folders:LISTING", 4),
    "tfrecord": Entry("tools.reliability.mutated_files.sharded_folders:TFRECORD", 5),
    "webdataset": Entry("tools.reliability.mutated_files.sharded_folders:WEBDATASET", 5),
    "parquet": Entry("tools.reliability.mutated_files.sharded_folders:PARQUET", 5),
    "arrow": Entry("tools.reliability.mutated_files.sharded_folders:ARROW", 5),
    "tfds": Entry("tools.reliability.mutated_files.sharded_folders:TFDS", 3),
    "tfds array_record": Entry("tools.reliability.mutated_files.sharded_folders:ARRAY_RECORD", 3),
    "archive": Entry("tools.reliability.mutated_files.archives:ARCHIVE", 10),
    "export npz": Entry("tools.reliability.mutated_files.numpy_files:EXPORT_NPZ", 6),
    "export h5": Entry("tools.reliability.mutated_files.exported_weights:H5", 6),
    "export safetensors": Entry("tools.reliability.mutated_files.exported_weights:SAFETENSORS", 6),
    "architecture": Entry("tools.reliability.mutated_files.run_folders:ARCHITECTURE", 4),
    "run folder": Entry("tools.reliability.mutated_files.run_folders:RUN", 4),
    "checkpoint": Entry("tools.reliability.mutated_files.checkpoints:CHECKPOINT", 3),
    "logs": Entry("tools.reliability.mutated_files.run_logs:LOGS", 3),
}


def divided(cases: int, names: Sequence[str] = tuple(READERS)) -> dict[str, int]:
    """The number of cases of each reader: its share of `cases`, rounded, and at least one."""
    whole = sum(READERS[name].share for name in names)
    return {name: max(1, round(cases * READERS[name].share / whole)) for name in names}
