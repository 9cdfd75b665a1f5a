"""Profiles: the requested steps, in files that TensorBoard and Perfetto open, and time by op."""

import contextlib
import gzip
import json
import pathlib
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

from tfcore.errors import ConfigError
from tfcore.training import profile
from tfcore.training.profile import OpTime, StepProfiler

MICROSECOND_PS = 10**6
# Thread: (name, start in µs, length in µs).
THREADS = {
    "python": [("train", 0, 100), ("f", 1, 98), ("train", 100, 60)],
    "compute": [
        ("ExecutorState::Process", 0, 90),
        ("while/body/Call:PartitionedCall", 5, 40),
        ("while/body/Conv2D:_MklNativeConv2D", 10, 20),
        ("while/body/Less:Less", 30, 5),
        ("XlaLaunch:XlaLaunch", 50, 20),
        ("CpuExecutable::ExecuteAsyncOnStream", 52, 16),
        ("add_fusion", 53, 5),
        ("end: add_fusion", 58, 1),
        ("other/Conv2D:Conv2D", 70, 10),
    ],
    "eigen": [("ThreadpoolListener::Record", 0, 200), ("MatMul:_MklMatMul", 20, 50)],
}
MICROSECONDS = {
    "XLA cluster": (20, 2),
    "Conv2D": (30, 2),
    "PartitionedCall": (15, 1),
    "Less": (5, 1),
    "MatMul": (50, 1),
}


@pytest.fixture
def space() -> XSpace:
    """A plane without lines, and one with the threads above, which start 7 µs after the profile."""
    found = XSpace()
    found.planes.add(name="/host:metadata")
    plane = found.planes.add(name="/host:CPU")
    numbers: dict[str, int] = {}
    for thread, events in THREADS.items():
        line = plane.lines.add(id=-5, name=thread, timestamp_ns=7000)
        for name, start, length in reversed(events):  # the order in a file is arbitrary
            number = numbers.setdefault(name, len(numbers) + 1)
            plane.event_metadata[number].name = name
            offset, duration = start * MICROSECOND_PS, length * MICROSECOND_PS
            line.events.add(metadata_id=number, offset_ps=offset, duration_ps=duration)
    return found


def test_a_chrome_trace_has_a_process_for_the_plane_and_a_thread_for_each_line(space: XSpace) -> None:
    events = profile.chrome_trace(space)["traceEvents"]
    names = [
        (event["name"], event["pid"], event.get("tid"), event["args"]["name"]) for event in events if event["ph"] == "M"
    ]
    assert names == [
        ("process_name", 1, None, "/host:CPU"),
        ("thread_name", 1, 1, "python"),
        ("thread_name", 1, 2, "compute"),
        ("thread_name", 1, 3, "eigen"),
    ]  # fmt: skip
    complete = {(event["name"], event["tid"], event["ts"], event["dur"]) for event in events if event["ph"] == "X"}
    expected = {
        (name, number, start + 7.0, float(length))
        for number, spans in enumerate(THREADS.values(), 1)
        for name, start, length in spans
    }
    assert complete == expected


def test_time_by_op_is_without_the_ops_inside_and_without_what_is_no_op(space: XSpace) -> None:
    found = profile.op_times(space)
    assert {kind: (round(1e6 * secs, 6), times) for kind, secs, times in found} == MICROSECONDS
    assert [item.secs for item in found] == sorted((item.secs for item in found), reverse=True)


@pytest.mark.parametrize(
    "name",
    [
        "f",
        "train",
        "ThreadpoolListener::Record",
        "end: copy.1",
        "EagerLocalExecute: __inference_f_158",
        "Iterator::Root",
    ],
)
def test_what_is_no_op_counts_for_nothing(name: str) -> None:
    plane = (space := XSpace()).planes.add()
    plane.event_metadata[1].name = name
    plane.lines.add().events.add(metadata_id=1, duration_ps=5)
    assert profile.op_times(space) == []


def test_the_marked_steps_are_found(space: XSpace) -> None:
    assert sorted(profile.step_secs(space)) == pytest.approx([60e-6, 100e-6])


def test_the_table_is_by_step_and_adds_up(space: XSpace) -> None:
    lines = profile.op_table(space).splitlines()
    assert lines[1].split() == ["MatMul", "0.025", "41.7%", "0.5"]
    assert lines[-3].split() == ["others", "0.000", "0.0%", "0.0"]
    assert lines[-2].split() == ["all", "ops", "0.060", "100.0%", "3.5"]
    assert lines[-1] == "2 steps of 0.080 ms each under the profiler"


def test_the_table_sums_up_all_but_fifteen_kinds(space: XSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [OpTime(f"Kind{number}", 1e-6 * (30 - number), 2) for number in range(18)]
    monkeypatch.setattr(profile, "op_times", lambda _: times)
    lines = profile.op_table(space).splitlines()
    assert [line.split()[0] for line in lines[1:-2]] == [*(f"Kind{number}" for number in range(15)), "others"]
    assert lines[-3].split() == ["others", f"{1e-3 * (15 + 14 + 13) / 2:.3f}", f"{42 / sum(range(13, 31)):.1%}", "3.0"]


def run(profiler: StepProfiler, steps: int) -> None:
    """A loop for the profiler: each step is one matrix product."""
    product = tf.function(lambda: tf.matmul(tf.ones([50, 50]) * tf.random.uniform([]), tf.ones([50, 50])))
    for completed_steps in range(1, steps + 1):
        product()
        profiler(completed_steps)


def test_the_steps_asked_for_are_profiled(tmp_path: pathlib.Path) -> None:
    with StepProfiler(tmp_path, first_step=2, steps=3) as profiler:
        run(profiler, 7)
    space = profile.read(tmp_path)
    assert len(profile.step_secs(space)) == 3
    assert {item.kind: item.times for item in profile.op_times(space)}["MatMul"] == 3
    trace: dict[str, Any] = json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))
    assert trace == profile.chrome_trace(space)
    assert [event["name"] for event in trace["traceEvents"]].count("train") == 3


def test_a_run_that_fails_leaves_no_profile_and_no_profiler_behind(tmp_path: pathlib.Path) -> None:
    with contextlib.suppress(ZeroDivisionError), StepProfiler(tmp_path / "one", first_step=1, steps=9) as profiler:
        run(profiler, 3)
        raise ZeroDivisionError
    assert list(tmp_path.rglob("*.pb")) == list(tmp_path.rglob("*.gz")) == []
    with StepProfiler(tmp_path / "two", first_step=1, steps=1) as profiler:
        run(profiler, 3)
    assert (tmp_path / "two" / "trace.json.gz").is_file()


@pytest.mark.parametrize("numbers", [{"first_step": 0, "steps": 1}, {"first_step": 1, "steps": 0}])
def test_there_has_to_be_a_step_before_and_a_step_to_profile(tmp_path: pathlib.Path, numbers: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        StepProfiler(tmp_path, **numbers)
