"""Profiles training steps: for TensorBoard's profiler, for Perfetto, and as a table of time by op."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XEvent, XPlane, XSpace

from tfcore import checks

_STEP = "train"  # TensorBoard's profiler's name of a training step
_OP = re.compile(r"[^:\s]+:([^:\s]+)")  # such as `while/body/Conv2D:Conv2D`
_XLA_RUN = "CpuExecutable::ExecuteAsyncOnStream"
_XLA = "XLA cluster"
_XLA_OPS = ("XlaLaunch", "_XlaRun", "XlaLaunchV2")
_ONE_DNN = re.compile("^_Mkl(Native)?")  # prefix of oneDNN's kernels, which the names of graph ops lack
_TOP = 15


class OpTime(NamedTuple):
    """All ops of a kind: seconds in them, without ops nested inside, and how often they ran."""

    kind: str
    secs: float
    times: int


class StepProfiler:
    """Profiles some steps of a loop that calls it with the number of completed steps after each step.

    Use it in a `with` block: after an error nothing is written.

    Args:
        folder: receives `plugins/profile/TIME/HOST.xplane.pb` for TensorBoard, and `trace.json.gz` for Perfetto.
        first_step: the first step to profile, counted from 0; at least 1, since profiling begins at the end of a step.
        steps: how many to profile.
    """

    def __init__(self, folder: Path, *, first_step: int, steps: int) -> None:
        checks.positive_integer("first_step", first_step)
        checks.positive_integer("steps", steps)
        self._folder, self._first, self._last = folder, first_step, first_step + steps
        self._marker: Any = None
        self._is_recording = False

    def __call__(self, completed_steps: int) -> None:
        """Ends the trace of the last step and begins that of the next; writes the files after the last."""
        self._end_marker()
        if completed_steps == self._first:
            tf.profiler.experimental.start(str(self._folder))
            self._is_recording = True
        if self._first <= completed_steps < self._last:
            self._marker = tf.profiler.experimental.Trace(_STEP, step_num=completed_steps, _r=1)
            self._marker.__enter__()
        elif completed_steps == self._last:
            tf.profiler.experimental.stop()
            self._is_recording = False
            write_chrome_trace(read(self._folder), self._folder / "trace.json.gz")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_marker()
        if self._is_recording:
            tf.profiler.experimental.stop(save=False)
            self._is_recording = False

    def _end_marker(self) -> None:
        if self._marker is not None:
            self._marker.__exit__(None, None, None)
            self._marker = None


def read(folder: Path) -> XSpace:
    """Reads the only profile in `folder`."""
    (path,) = folder.glob("plugins/profile/*/*.xplane.pb")
    return XSpace.FromString(path.read_bytes())


def write_chrome_trace(space: XSpace, path: Path) -> None:
    """Writes `chrome_trace` as gzipped JSON."""
    path.write_bytes(gzip.compress(json.dumps(chrome_trace(space)).encode()))


def chrome_trace(space: XSpace) -> dict[str, Any]:
    """Converts to Chrome's trace event format, in microseconds: a process for each plane, a thread for each line."""
    events: list[dict[str, Any]] = []
    for process, plane in enumerate((plane for plane in space.planes if plane.lines), 1):
        events.append(_name_event("process_name", plane.name, pid=process))
        for thread, line in enumerate(plane.lines, 1):
            place = {"pid": process, "tid": thread}
            events.append(_name_event("thread_name", line.display_name or line.name, **place))
            for event in line.events:
                start = line.timestamp_ns / 1e3 + event.offset_ps / 1e6
                name = plane.event_metadata[event.metadata_id].name
                events.append({"ph": "X", "name": name, "ts": start, "dur": event.duration_ps / 1e6, **place})
    return {"displayTimeUnit": "ms", "traceEvents": events}


def _name_event(kind: str, name: str, **place: int) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "args": {"name": name}, **place}


def op_times(space: XSpace) -> list[OpTime]:
    """Sums the seconds in ops by kind over all threads, the largest first; all XLA clusters are one kind."""
    found: dict[str, OpTime] = {}
    for plane in space.planes:
        for line in plane.lines:
            for kind, own_ps in _own_times(plane, line.events):
                old = found.get(kind, OpTime(kind, 0.0, 0))
                found[kind] = OpTime(kind, old.secs + own_ps / 1e12, old.times + 1)
    return sorted(found.values(), key=lambda item: item.secs, reverse=True)


def _own_times(plane: XPlane, events: Any) -> Iterator[tuple[str, int]]:
    """Yields kind and picoseconds of each op of a thread, without the ops nested inside it."""
    ops = [(event, kind) for event in events if (kind := _kind(plane.event_metadata[event.metadata_id].name))]
    ops.sort(key=lambda item: (item[0].offset_ps, -item[0].duration_ps))
    own = [event.duration_ps for event, _ in ops]
    around: list[int] = []  # indices of the ops around the current one
    for number, (event, _) in enumerate(ops):
        while around and _end(ops[around[-1]][0]) <= event.offset_ps:
            around.pop()
        if around:
            own[around[-1]] -= event.duration_ps
        around.append(number)
    yield from zip((kind for _, kind in ops), own, strict=True)


def _end(event: XEvent) -> int:
    return event.offset_ps + event.duration_ps


def _kind(name: str) -> str | None:
    """The kind of an op, such as Conv2D of `while/body/Conv2D:Conv2D`; None for other events."""
    if name == _XLA_RUN:
        return _XLA
    match = _OP.fullmatch(name)
    if match is None:
        return None
    return _XLA if match[1] in _XLA_OPS else _ONE_DNN.sub("", match[1])


def step_secs(space: XSpace) -> list[float]:
    """Seconds of each step that `StepProfiler` traced, the overhead of profiling included."""
    return [
        event.duration_ps / 1e12
        for plane in space.planes
        for line in plane.lines
        for event in line.events
        if plane.event_metadata[event.metadata_id].name == _STEP
    ]


def op_table(space: XSpace) -> str:
    """Formats the kinds of op that take the most time, in milliseconds per step summed over all threads."""
    steps, times = step_secs(space), op_times(space)
    rows = [*times[:_TOP], _sum("others", times[_TOP:]), _sum("all ops", times)]
    total_secs, width = rows[-1].secs, 2 + max(len("time by op"), *(len(row.kind) for row in rows))
    lines = [f"{'time by op':<{width}}{'ms a step':>10}{'share':>9}{'times a step':>14}"]
    for kind, secs, count in rows:
        share = secs / total_secs if total_secs else 0.0
        lines.append(f"{kind:<{width}}{1e3 * secs / len(steps):>10.3f}{share:>9.1%}{count / len(steps):>14.1f}")
    lines.append(f"{len(steps)} steps of {1e3 * sum(steps) / len(steps):.3f} ms each under the profiler")
    return "\n".join(lines)


def _sum(kind: str, times: list[OpTime]) -> OpTime:
    return OpTime(kind, sum(item.secs for item in times), sum(item.times for item in times))
