"""Checkpoints: TensorFlow's index of a bundle of tensors, rebuilt with every checksum right, and what lies beside it.

The index is a sorted table as LevelDB has it: blocks of keys and values, each with a checksum, and a footer. The values
are protocol buffers, one of the whole and one a tensor, which holds the checksum of the tensor's bytes.
"""

import json
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from benchmarks.fuzzing import mutate
from benchmarks.fuzzing.reader import Files, Link, Reader, Wrong, mutated, watched
from tfcore.export import checkpoint as exported
from tfcore.training import checkpoints
from tfcore.training.checkpoints import Checkpoints

STEP = 5
FOLDER = f"step-{STEP:010d}"
INDEX, DATA, ABOUT = (f"{FOLDER}/{name}" for name in ("state.index", "state.data-00000-of-00001", "about.json"))
_GRAPH = b"_CHECKPOINTABLE_OBJECT_GRAPH"
_MAGIC = 0xDB4775248B80FB57

Entries = list[tuple[bytes, bytes]]  # keys and values of the index, in order


@cache
def _state() -> dict[str, tf.Variable]:
    """The variables that are saved and restored."""
    values: dict[str, Any] = {
        "model.linear.weights": np.ones((2, 3), np.float32),
        "model.linear.biases": np.zeros(3, np.float32),
        "optimizer.step": np.int64(STEP),
        "early_stopping.best_step": np.int64(-1),
        "sums.hits": np.float64(0.5),
    }
    return {name: tf.Variable(value) for name, value in values.items()}


@cache
def _good() -> Files:
    """What a run saves."""
    with tempfile.TemporaryDirectory() as folder:
        Checkpoints(Path(folder), _state(), about={"tensorflow": tf.__version__, "threads": [2, 1]}).save(STEP)
        return {name: (Path(folder) / name).read_bytes() for name in (INDEX, DATA, ABOUT)}


def _varint(number: int) -> bytes:
    text = b""
    while number > 127:
        text, number = text + bytes([number & 127 | 128]), number >> 7
    return text + bytes([number])


def _number(data: bytes, place: int) -> tuple[int, int]:
    """A varint and the place behind it."""
    number = shift = 0
    while True:
        byte, place = data[place], place + 1
        number, shift = number | (byte & 127) << shift, shift + 7
        if byte < 128:
            return number, place


def _entries(index: bytes) -> Entries:
    """What stands in the only block of a small index."""
    entries: Entries = []
    key, place = b"", 0
    end = index.index(b"\x00\x00\x00\x00\x01\x00\x00\x00")  # the block's list of where to begin
    while place < end:
        shared, place = _number(index, place)
        own, place = _number(index, place)
        size, place = _number(index, place)
        key = key[:shared] + index[place : place + own]
        place += own + size
        entries.append((key, index[place - size : place]))
    return entries


def _block(entries: Entries) -> bytes:
    text = b"".join(b"\x00" + _varint(len(key)) + _varint(len(value)) + key + value for key, value in entries)
    text += struct.pack("<II", 0, 1) + b"\x00"  # not packed
    return text + struct.pack("<I", masked_crc32c(text))


def _index(entries: Entries) -> bytes:
    """An index whose checksums and addresses are right."""
    body, none = _block(entries), _block([])
    directory = _block([(b"\xff", _varint(0) + _varint(len(body) - 5))])
    footer = b"".join(
        _varint(place) + _varint(size - 5)
        for place, size in ((len(body), len(none)), (len(body) + len(none), len(directory)))
    )
    return body + none + directory + footer.ljust(40, b"\x00") + struct.pack("<Q", _MAGIC)


def _files(draw: Random, bad: bool) -> Files:
    files = dict(_good())
    if not bad:
        return files
    index, data, about = files[INDEX], files[DATA], files[ABOUT]
    assert isinstance(index, bytes)
    assert isinstance(data, bytes)
    assert isinstance(about, bytes)
    entries = _entries(index)
    match draw.randrange(11):
        case 0:
            return {**files, ABOUT: mutate.json_text(draw, json.loads(about))}
        case 1:
            return mutated(draw, files, lambda _, content: mutate.damage(draw, content))
        case 2:
            return _without(draw, files)
        case 3:
            return {**files, INDEX: _index(_other_names(draw, entries))}
        case 4:
            return {**files, INDEX: _index([(b"", _odd_header(draw, entries[0][1])), *entries[1:]])}
        case 5:
            return {**files, **_changed_graph(draw, entries, data)}
        case 6:
            place = draw.randrange(len(data))
            changed = data[:place] + draw.randbytes(8) + data[place + 8 :]
            return {**files, DATA: changed, INDEX: _index([_summed(entry, changed) for entry in entries])}
    for _ in range(draw.choice((1, 1, 2))):
        entries[1:] = mutate.replace(draw, entries[1:], lambda entry: (entry[0], _odd_entry(draw, entry[1])))
    if draw.random() < 0.5:
        entries = [_summed(entry, data) for entry in entries]
    return {**files, INDEX: _index(entries)}


def _without(draw: Random, files: Files) -> Files:
    """The files with one missing, empty, or something else in its place."""
    name = draw.choice(list(files))
    del files[name]
    what = draw.choice((None, b"", Link("/dev/zero"), Link("nowhere"), Link(".")))
    return files if what is None else {**files, name: what}


def _other_names(draw: Random, entries: Entries) -> Entries:
    odd = (b"", b"\xff\xfe", b"variables/x/.ATTRIBUTES/VARIABLE_VALUE", b"a\nb", b"x" * 3000, b"variables//.ATTRIBUTES")
    if draw.random() < 0.5:
        return mutate.rearrange(draw, entries, [(draw.choice(odd), entries[1][1])])
    return sorted(mutate.replace(draw, entries, lambda entry: (mutate.damage(draw, entry[0]), entry[1])))


def _odd_header(draw: Random, value: bytes) -> bytes:
    header = BundleHeaderProto.FromString(value)
    match draw.randrange(3):
        case 0:
            header.num_shards = _signed(draw, 1, 32)
        case 1:
            header.endianness = draw.choice((0, 1, 7))
        case 2:
            header.version.producer = _signed(draw, 1, 32)
            header.version.min_consumer = _signed(draw, 0, 32)
    return header.SerializeToString()


def _odd_entry(draw: Random, value: bytes) -> bytes:
    """What the index says of a tensor, with a field that lies."""
    entry = BundleEntryProto.FromString(value)
    match draw.randrange(9):
        case 0:
            entry.dtype = draw.choice((*range(30), 101, 127, 200))
        case 1:
            entry.shape.dim.add().size = _signed(draw, 1, 64)
        case 2:
            for dim in entry.shape.dim:
                dim.size = _signed(draw, dim.size, 64)
        case 3:
            entry.shard_id = _signed(draw, 0, 32)
        case 4:
            entry.offset = _signed(draw, entry.offset, 64)
        case 5:
            entry.size = _signed(draw, entry.size, 64)
        case 6:
            entry.shape.unknown_rank = True
        case 7:
            extent = entry.slices.add().extent.add()
            extent.start, extent.length = _signed(draw, 0, 64), _signed(draw, 1, 64)
        case 8:
            return mutate.damage(draw, value)
    return entry.SerializeToString()


def _signed(draw: Random, true: int, bits: int) -> int:
    number = mutate.integer(draw, true, bits)
    return number - (1 << bits) if number >> bits - 1 else number


def _summed(item: tuple[bytes, bytes], data: bytes) -> tuple[bytes, bytes]:
    """An entry with the checksum of the bytes that it names."""
    key, value = item
    try:
        entry = BundleEntryProto.FromString(value)
    except Exception:  # it is no entry any more
        return item
    if not key or key == _GRAPH or entry.offset < 0 or not 0 <= entry.size <= len(data):
        return item
    entry.crc32c = masked_crc32c(data[entry.offset : entry.offset + entry.size])
    return key, entry.SerializeToString()


def _changed_graph(draw: Random, entries: Entries, data: bytes) -> Files:
    """Index and data whose graph of objects lies about its nodes."""
    (place,) = [place for place, (key, _) in enumerate(entries) if key == _GRAPH]
    entry = BundleEntryProto.FromString(entries[place][1])
    text = data[entry.offset : entry.offset + entry.size]
    length, start = _number(text, 0)
    graph = TrackableObjectGraph.FromString(text[start + 4 : start + 4 + length])
    node = draw.choice(graph.nodes)
    match draw.randrange(5):
        case 0:
            for child in node.children:
                child.node_id = _signed(draw, child.node_id, 32)
        case 1:
            child = node.children.add()
            child.node_id, child.local_name = draw.randrange(len(graph.nodes)), draw.choice(("variables", "", "x"))
        case 2:
            del graph.nodes[draw.randrange(len(graph.nodes)) :]
        case 3:
            for attribute in node.attributes:
                attribute.checkpoint_key = draw.choice(("", "x", "variables/x", "a" * 5000))
        case 4:
            slot = node.slot_variables.add()
            slot.original_variable_node_id, slot.slot_variable_node_id = _signed(draw, 0, 32), _signed(draw, 0, 32)
    changed = graph.SerializeToString() if draw.random() < 0.8 else mutate.damage(draw, graph.SerializeToString())
    told = struct.pack("<I", len(changed))
    check = struct.pack("<I", masked_crc32c(told))
    stored = _varint(len(changed)) + check + changed
    entry.offset, entry.size, entry.crc32c = len(data), len(stored), masked_crc32c(told + check + changed)
    entries[place] = (_GRAPH, entry.SerializeToString())
    return {INDEX: _index(entries), DATA: data + stored}


def _read(folder: Path, draw: Random, past: Callable[[], None]) -> None:
    if draw.random() < 0.3:
        with watched(tf.train, "load_checkpoint", past, after=True):
            exported.read(folder, STEP)
        return
    before = {name: variable.numpy() for name, variable in _state().items()}
    # The names are compared behind the index and the state in front of the tensors.
    with watched(checkpoints, "_compare", past, after=True):
        about = Checkpoints(folder, _state()).restore(STEP)
    if type(about) is not dict:
        raise Wrong(f"what is told about the checkpoint is {type(about).__name__}")
    for name, variable in _state().items():
        if variable.numpy().shape != before[name].shape:
            raise Wrong(f"{name} is of shape {variable.numpy().shape}")


CHECKPOINT = Reader(_files, _read)
