"""The two logs of a run, `metrics.jsonl` and TensorBoard's event files, written together and trimmed together."""

import json
import math
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event as EventProto
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_FLOAT
from tensorboard.plugins.scalar.metadata import create_summary_metadata
from tensorboard.plugins.text.summary_v2 import text_pb

from tfcore.training import log_files
from tfcore.training.run_folder import write_whole

_SCALAR = create_summary_metadata(display_name=None, description=None)
_FLUSH_SECS = 10.0  # how old the curves may be that TensorBoard shows
SPLITS = ("train", "validation", "test")


class RunLog:
    """Appends numbers to both logs. What was written past the last checkpoint is provisional: see `trim`.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._metrics = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        self._flushed = time.monotonic()
        self._writers: dict[str, tf.io.TFRecordWriter] = {}

    def write(self, step: int, split: str, numbers: Mapping[str, float]) -> None:
        """One line `{"step", "split", …}`, and one scalar of each number under its own name in the split's curves."""
        line = {"step": step, "split": split, **{name: _finite(value) for name, value in numbers.items()}}
        self._metrics.write(json.dumps(line) + "\n")
        self._add(split, step, _scalars(numbers))
        if time.monotonic() - self._flushed > _FLUSH_SECS:
            self.flush()

    def text(self, name: str, markdown: str) -> None:
        """A page under TensorBoard's Text tab."""
        self._add("train", 0, text_pb(name, markdown))

    def flush(self) -> None:
        """Hands everything to the operating system: a killed process loses nothing that was flushed."""
        self._flushed = time.monotonic()
        self._metrics.flush()
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Flushes and closes the files."""
        self._metrics.close()
        for writer in self._writers.values():
            writer.close()

    def _add(self, split: str, step: int, summary: Summary) -> None:
        if split not in self._writers:
            self._writers[split] = _event_file(self._folder / split)
        _append(self._writers[split], step=step, summary=summary)


def trim(folder: Path, step: int) -> None:
    """Takes back what was logged after `step`, and any score of the test split: both will be written again.

    Raises:
        RunError: a log is no file, or holds a line or a record that no log has.
    """
    metrics = folder / "metrics.jsonl"
    if os.path.lexists(metrics):
        lines = log_files.lines(metrics)
        write_whole(metrics, "".join(f"{line}\n" for line in lines if _stays(line, step)))
    for split in SPLITS:
        for path in sorted((folder / split).glob("events.out.tfevents.*")):
            _trim_events(path, -1 if split == "test" else step)


def _stays(line: str, step: int) -> bool:
    """A line of the metrics file that a kill cut short does not stay."""
    try:
        entry = json.loads(line)
        return bool(entry["step"] <= step and entry["split"] != "test")
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def _trim_events(path: Path, step: int) -> None:
    """Rewrites an event file without the events after `step`, and without a record that a kill cut short."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader  # slow, and seldom needed

    log_files.check_records(path)
    # The loader's own records are read whole: it stops, without an error, at the first one that is cut short.
    records = list(RawEventFileLoader(str(path)).Load())
    kept = [record for record in records if _event_stays(record, step)]
    scratch = path.with_name(f".unfinished-{path.name}")
    with tf.io.TFRecordWriter(str(scratch)) as writer:
        for record in kept:
            writer.write(record)
    os.replace(scratch, path)


def _event_stays(record: bytes, step: int) -> bool:
    try:
        event = EventProto.FromString(record)
    except DecodeError:
        return False
    return event.HasField("file_version") or event.step <= step


def _event_file(folder: Path) -> tf.io.TFRecordWriter:
    """A new one, whose name sorts after those of earlier times.

    Written as records: `tf.summary` takes ten times as long for a point, and puts the file on the disk at each flush.
    """
    folder.mkdir(exist_ok=True)
    secs, nanosecs = divmod(time.time_ns(), 10**9)
    name = f"events.out.tfevents.{secs:010d}.{nanosecs:09d}.{socket.gethostname()}.{os.getpid()}"
    writer = tf.io.TFRecordWriter(str(folder / name))
    _append(writer, file_version="brain.Event:2")
    return writer


def _append(writer: tf.io.TFRecordWriter, **fields: Any) -> None:
    writer.write(EventProto(wall_time=time.time(), **fields).SerializeToString())


def _scalars(numbers: Mapping[str, float]) -> Summary:
    """All the scalars in one event, each as `tf.summary.scalar` has it."""
    values = [
        Summary.Value(tag=name, metadata=_SCALAR, tensor=TensorProto(dtype=DT_FLOAT, float_val=[value]))
        for name, value in numbers.items()
    ]
    return Summary(value=values)


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
