"""The two logs of a run, `metrics.jsonl` and TensorBoard's event files, written together and trimmed together."""

import json
import math
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event as EventProto
from tensorboard.compat.proto.summary_pb2 import Summary

from tfcore.errors import DiskError
from tfcore.files import replacing, sync, writing
from tfcore.training import log_files, summaries

_FLUSH_SECS = 10.0  # how old the curves may be that TensorBoard shows
_METRICS = "metrics.jsonl"
SPLITS = ("train", "validation", "test")
_RUN = "."  # the folder itself: TensorBoard takes what is said there to be of all splits


class RunLog:
    """Appends numbers to both logs. What was written past the last checkpoint is provisional: see `trim`.

    After an error nothing more must be written: the end of a file may be half a record.

    Args:
        folder: the run's folder.

    Raises:
        DiskError: here and in every method, a file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / _METRICS
        self._event_files: dict[str, _EventFile] = {}
        self._flushed = time.monotonic()
        with writing(self._path):
            self._metrics = self._path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Closes the files. An error that is on its way is not hidden by one of closing."""
        with nullcontext() if kind is None else suppress(DiskError):
            self.close()

    def write(self, step: int, split: str, numbers: Mapping[str, float]) -> None:
        """One line `{"step", "split", …}`, and one scalar of each number under its own name in the split's curves."""
        line = {"step": step, "split": split, **{name: _finite(value) for name, value in numbers.items()}}
        with writing(self._path):
            self._metrics.write(json.dumps(line) + "\n")
        scalars = [summaries.scalar(name, value) for name, value in numbers.items()]
        self._file(split).append(step=step, summary=Summary(value=scalars))
        if time.monotonic() - self._flushed > _FLUSH_SECS:
            self.flush()

    def add(self, step: int, split: str, values: Iterable[Summary.Value]) -> None:
        """What only TensorBoard shows, made by `summaries`; each is a record of its own, whose size is bounded."""
        for value in values:
            self._file(split).append(step=step, summary=Summary(value=[value]))

    def describe(self, values: Iterable[Summary.Value]) -> None:
        """What holds for the run as a whole."""
        self.add(0, _RUN, values)

    def graph(self, definition: Any) -> None:
        """The model as a GraphDef."""
        self._file("train").append(step=0, graph_def=definition.SerializeToString())

    def flush(self) -> None:
        """Hands everything to the operating system: a killed process loses nothing that was flushed."""
        self._flushed = time.monotonic()
        with writing(self._path):
            self._metrics.flush()
        for file in self._event_files.values():
            file.flush()

    def commit(self) -> None:
        """Flushes, and puts everything on the disk: a checkpoint must not stand for what the logs do not hold.

        Files that vanished under their names would take all that is written without a word, so they are looked up.
        """
        self.flush()
        for path in (self._path, *(file.path for file in self._event_files.values())):
            with writing(path):
                sync(path)
        if not os.path.samestat(os.fstat(self._metrics.fileno()), self._path.stat()):
            raise DiskError(f"{self._path} is no longer the file that this run writes to. Is another run there?")

    def close(self) -> None:
        """Flushes and closes the files, all of them also where one cannot be flushed."""
        with ExitStack() as stack:
            for file in self._event_files.values():
                stack.callback(file.close)
            stack.enter_context(writing(self._path))
            stack.callback(self._metrics.close)

    def _file(self, split: str) -> "_EventFile":
        if split not in self._event_files:
            self._event_files[split] = _new_event_file(self._folder / split)
        return self._event_files[split]


class _EventFile:
    """An event file that is being written, as records; every method may raise DiskError.

    `tf.summary` takes ten times as long for a point, and puts the file on the disk at each flush.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._writing():
            self._writer = tf.io.TFRecordWriter(str(path))

    def append(self, **fields: Any) -> None:
        """One event of such fields."""
        with self._writing():
            self._writer.write(EventProto(wall_time=time.time(), **fields).SerializeToString())

    def flush(self) -> None:
        with self._writing():
            self._writer.flush()

    def close(self) -> None:
        with self._writing():
            self._writer.close()

    def _writing(self) -> AbstractContextManager[None]:
        return writing(self.path, tf.errors.OpError)


def trim(folder: Path, step: int) -> None:
    """Takes back what was logged after `step`, and any score of the test split: both will be written again.

    Raises:
        DiskError: a file cannot be rewritten; it is as it was, and another time begins anew.
        RunError: a log is no file, or holds a line or a record that no log has.
    """
    metrics = folder / _METRICS
    if os.path.lexists(metrics):
        lines = log_files.lines(metrics)
        with replacing(metrics) as scratch:
            with scratch.open("w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines if _stays(line, step))
    for split in (_RUN, *SPLITS):
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
    """Rewrites an event file without the events after `step`, and without a record that a kill cut short.

    One record is in memory at a time. A file of which everything stays is not rewritten.
    """
    log_files.check_records(path)
    if sum(log_files.record_bytes(record) for record in _staying(path, step)) == path.stat().st_size:
        return
    with replacing(path, tf.errors.OpError) as scratch, tf.io.TFRecordWriter(str(scratch)) as writer:
        for record in _staying(path, step):
            writer.write(record)


def _staying(path: Path, step: int) -> Iterator[bytes]:
    """The records of the events up to `step`, one after the other."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader  # slow, and seldom needed

    # The loader's own records are read whole: it stops, without an error, at the first one that is cut short.
    return (record for record in RawEventFileLoader(str(path)).Load() if _event_stays(record, step))


def _event_stays(record: bytes, step: int) -> bool:
    try:
        event = EventProto.FromString(record)
    except DecodeError:
        return False
    return event.HasField("file_version") or event.step <= step


def _new_event_file(folder: Path) -> _EventFile:
    """One whose name sorts after those of earlier times."""
    with writing(folder):
        folder.mkdir(exist_ok=True)
    secs, nanosecs = divmod(time.time_ns(), 10**9)
    file = _EventFile(folder / f"events.out.tfevents.{secs:010d}.{nanosecs:09d}.{socket.gethostname()}.{os.getpid()}")
    file.append(file_version="brain.Event:2")
    return file


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
