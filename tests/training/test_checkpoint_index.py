"""Checks of a checkpoint's index: TensorFlow's own pass; entries that would crash its reader are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto

from tfcore.training import checkpoint_index
from tools.reliability.mutated_files import tensor_bundles

Change = Callable[[BundleEntryProto], object]


def saved(folder: Path, count: int = 1) -> Path:
    """Writes a checkpoint with variables of shape [2, 3]; returns its prefix."""
    variables = {f"name_{number:04d}": tf.Variable(tf.ones([2, 3])) for number in range(count)}
    tf.train.Checkpoint(variables=variables).write(str(folder / "state"))
    return folder / "state"


def rebuilt(prefix: Path, change: Change, key: bytes = b"variables/name_0000") -> None:
    """Changes the entry of a tensor in the index, with valid checksums."""
    path = Path(f"{prefix}.index")
    changed = []
    for name, value in tensor_bundles.entries(path.read_bytes()):
        if name.startswith(key):
            entry = BundleEntryProto.FromString(value)
            change(entry)
            value = entry.SerializeToString()
        changed.append((name, value))
    path.write_bytes(tensor_bundles.index(changed))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("count", [1, 3000], ids=["one block", "many blocks"])
def test_what_tensorflow_writes_passes(tmp_path: Path, count: int) -> None:
    checkpoint_index.check(saved(tmp_path, count))


def test_what_is_rebuilt_is_what_was_written(tmp_path: Path) -> None:
    prefix = saved(tmp_path)
    rebuilt(prefix, lambda _: None)
    checkpoint_index.check(prefix)
    reader = tf.train.load_checkpoint(str(prefix))
    assert reader.get_tensor("variables/name_0000/.ATTRIBUTES/VARIABLE_VALUE").tolist() == [[1.0] * 3] * 2


def other(**fields: int) -> Change:
    def change(entry: BundleEntryProto) -> None:
        for name, value in fields.items():
            setattr(entry, name, value)

    return change


def axes(*sizes: int) -> Change:
    def change(entry: BundleEntryProto) -> None:
        del entry.shape.dim[:]
        for size in sizes:
            entry.shape.dim.add().size = size

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (axes(-2, -3), "no sound shape"),
        (axes(2**62, 2**62, 0), "no sound shape"),
        (axes(*[1] * 300), "no sound shape"),
        (lambda entry: entry.slices.add(), "no sound shape"),
        (lambda entry: setattr(entry.shape, "unknown_rank", True), "no sound shape"),
        (other(shard_id=1), "no sound shape"),
        (axes(2**40), "claims 1099511627776 times float32 for .* in 24 bytes"),
        (other(offset=-1), "bytes .* that are not there"),
        (other(offset=2**40), "bytes .* that are not there"),
        (other(size=-1), "bytes .* that are not there"),
        (other(size=8), "claims 6 times float32"),
        (other(dtype=0), "no valid type"),
        (other(dtype=101), "no valid type"),  # of a reference, over which TensorFlow ends the process
        (other(dtype=200), "no valid type"),
        (other(dtype=tf.resource.as_datatype_enum), "times resource"),
    ],
)
def test_an_entry_that_lies_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    prefix = saved(tmp_path)
    rebuilt(prefix, change)
    with pytest.raises(ValueError, match=message):
        checkpoint_index.check(prefix)


def test_what_is_no_entry_is_refused(tmp_path: Path) -> None:
    path = Path(f"{saved(tmp_path)}.index")
    entries = tensor_bundles.entries(path.read_bytes())
    path.write_bytes(tensor_bundles.index([entries[0], *((name, b"\xff") for name, _ in entries[1:])]))
    with pytest.raises(ValueError, match="no readable entry"):
        checkpoint_index.check(path.with_suffix(""))
    path.write_bytes(tensor_bundles.index([(b"", BundleHeaderProto(num_shards=2).SerializeToString()), *entries[1:]]))
    with pytest.raises(ValueError, match="not in one file"):
        checkpoint_index.check(path.with_suffix(""))


def test_every_cut_and_every_changed_byte_passes_or_is_refused(tmp_path: Path) -> None:
    path = Path(f"{saved(tmp_path)}.index")
    data = path.read_bytes()
    refused = 0
    for place in range(len(data)):
        for changed in (data[:place], data[:place] + bytes([data[place] ^ 0x80]) + data[place + 1 :]):
            path.write_bytes(changed)
            try:
                checkpoint_index.check(path.with_suffix(""))
            except ValueError:
                refused += 1
    assert refused > len(data)
