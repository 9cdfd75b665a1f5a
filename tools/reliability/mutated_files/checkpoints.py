"""Mutates checkpoints: the entries of the index, the bytes of the tensors, and the object graph."""

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from tfcore.export import checkpoint as exported
from tfcore.training import checkpoint_files
from tfcore.training.checkpoints import Checkpoints
from tools.reliability.mutated_files import mutate, tensor_bundles
from tools.reliability.mutated_files.reader import Files, Link, Pipe, Reader, Wrong, mutated, watched
from tools.reliability.mutated_files.tensor_bundles import Entries

STEP = 5
FOLDER = f"step-{STEP:010d}"
INDEX, DATA = f"{FOLDER}/state.index", f"{FOLDER}/state.data-00000-of-00001"


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
    """The files that a run saves."""
    with tempfile.TemporaryDirectory() as folder:
        about = {"tensorflow": tf.__version__, "threads": [2, 1]}
        Checkpoints(Path(folder), _state(), about=lambda: about).save(STEP, score=0.5)
        return {name: (Path(folder) / name).read_bytes() for name in (INDEX, DATA)}


def _changed(files: tuple[bytes, bytes]) -> Files:
    return dict(zip((INDEX, DATA), files, strict=True))


def _files(draw: Random, bad: bool) -> Files:
    files = dict(_good())
    if not bad:
        return files
    index, data = files[INDEX], files[DATA]
    assert isinstance(index, bytes)
    assert isinstance(data, bytes)
    entries = tensor_bundles.entries(index)
    match draw.randrange(14):
        case 0:
            about = mutate.json_text(draw, json.loads(tensor_bundles.text(entries, data, tensor_bundles.ABOUT)))
            return _changed(tensor_bundles.with_text(entries, data, tensor_bundles.ABOUT, about))
        case 1:
            return mutated(draw, files, lambda _, content: mutate.damage(draw, content))
        case 2:
            return _without(draw, files)
        case 3:
            return {**files, INDEX: tensor_bundles.index(_other_names(draw, entries))}
        case 4:
            return {**files, INDEX: tensor_bundles.index([(b"", _odd_header(draw, entries[0][1])), *entries[1:]])}
        case 5:
            graph = _odd_graph(draw, tensor_bundles.text(entries, data, tensor_bundles.GRAPH))
            return _changed(tensor_bundles.with_text(entries, data, tensor_bundles.GRAPH, graph))
        case 6 | 7 | 8 | 9:
            place = draw.randrange(len(data))
            changed = data[:place] + draw.randbytes(8) + data[place + 8 :]
            return {
                **files,
                DATA: changed,
                INDEX: tensor_bundles.index([tensor_bundles.summed(entry, changed) for entry in entries]),
            }
    for _ in range(draw.choice((1, 1, 2))):
        entries[1:] = mutate.replace(draw, entries[1:], lambda entry: (entry[0], _odd_entry(draw, entry[1])))
    if draw.random() < 0.5:
        entries = [tensor_bundles.summed(entry, data) for entry in entries]
    return {**files, INDEX: tensor_bundles.index(entries)}


def _without(draw: Random, files: Files) -> Files:
    """The files with one missing, empty, or replaced by a link or a pipe."""
    name = draw.choice(list(files))
    del files[name]
    what = draw.choice((None, b"", Pipe(), Link("/dev/zero"), Link("nowhere"), Link(".")))
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
    """The index entry of a tensor, with a wrong field."""
    try:
        entry = BundleEntryProto.FromString(value)
    except DecodeError:  # it was changed before
        return value
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


def _odd_graph(draw: Random, text: bytes) -> bytes:
    """An object graph with wrong nodes."""
    graph = TrackableObjectGraph.FromString(text)
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
    changed = graph.SerializeToString()
    return changed if draw.random() < 0.8 else mutate.damage(draw, changed)


def _read(folder: Path, draw: Random, past: Callable[[], None]) -> None:
    if draw.random() < 0.3:
        with watched(checkpoint_files, "_reader", past, after=True):
            exported.read(folder, STEP)
        return
    before = {name: variable.numpy() for name, variable in _state().items()}
    # The names are compared after the index is read and before the tensors are.
    with watched(checkpoint_files, "_compare", past, after=True):
        about = Checkpoints(folder, _state()).restore(STEP)
    if type(about) is not dict:
        raise Wrong(f"the description of the checkpoint is {type(about).__name__}")
    for name, variable in _state().items():
        if variable.numpy().shape != before[name].shape:
            raise Wrong(f"{name} is of shape {variable.numpy().shape}")


CHECKPOINT = Reader(_files, _read)
