"""Measurements: the active events, their number of steps, and the computation of the figures."""

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tfcore.bench import measurement
from tfcore.bench.measurement import Measurement
from tfcore.build.configuration import resolve
from tfcore.config import RunConfig
from tfcore.run.session import Session
from tfcore.terminal import tables
from tfcore.training.run_folder import RunFolder
from tfcore.training.run_log import RunLog

SECS = 0.01


class Bench:
    """A measurement with access to its session and log."""

    def __init__(self, folder: RunFolder) -> None:
        config = RunConfig(dataset="shapes", model="softmax", batch_size=50, train_examples=400, test_examples=200,
                           steps=10**9, keep_checkpoints=1)  # fmt: skip
        self.session = Session(resolve(config), folder, tables.console(to_stderr=True, quiet=True))
        self.log = RunLog(folder.path)
        self.measurement = Measurement(self.session, self.log, SECS)
        self.folder = folder.path

    @property
    def done(self) -> int:
        return int(self.session.parts.step.optimizer.step.numpy())

    def logged(self, name: str) -> list[int]:
        """Returns the steps of the log lines that have the number `name`."""
        self.log.flush()
        lines = map(json.loads, (self.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        return [line["step"] for line in lines if name in line]


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Iterator[Bench]:
    """A measurement of a small run without end."""
    with RunFolder(tmp_path / "run") as folder:
        made = Bench(folder)
        yield made
        made.log.close()


def test_the_first_step_counts_from_the_start_of_the_process(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter([3.0, 0.5])

    def timed(work: Callable[[], Any]) -> float:
        work()
        return next(calls)

    monkeypatch.setattr(measurement, "_secs", timed)
    monkeypatch.setattr(measurement.time, "monotonic", lambda: 12.0)
    assert bench.measurement.start_up(8.0) == {"trace_secs": 2.5, "first_step_secs": 4.0}
    assert bench.done == 2


def test_training_has_all_its_events_on(bench: Bench) -> None:
    speed, loss, memory_bytes = bench.measurement.training()
    assert speed["steps_per_sec_range"][0] <= speed["steps_per_sec"] <= speed["steps_per_sec_range"][1]
    assert speed["examples_per_sec"] == 50 * speed["steps_per_sec"]
    assert memory_bytes > 0
    assert loss["loss_fell"] == (loss["loss_last"] < loss["loss_first"])
    assert bench.logged("epoch_loss") != []
    assert bench.session.checkpoints.steps() != []


def test_a_loss_is_the_mean_over_twenty_steps(bench: Bench) -> None:
    bench.session.parts.sums.take_epoch()
    found = bench.measurement._mean_loss()
    assert bench.done == 20
    assert found == bench.session.parts.sums.take_epoch()["loss"]
    assert bench.measurement._mean_loss() < found


@pytest.mark.thorough
def test_the_curves_alone_are_what_logging_is(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = 6
    calls = iter([*[1.2, 3.0] * 4, 1.2, 99.0, 5.0, 7.0, 6.0])  # five times without and with; three checkpoints

    def timed(work: Callable[[], Any]) -> float:
        work()
        return next(calls)

    monkeypatch.setattr(measurement, "_fitting", lambda *_: pairs)
    monkeypatch.setattr(measurement, "_secs", timed)
    figures = bench.measurement.logging()
    assert figures["scalars_secs"] == pytest.approx(1.8 / pairs)
    # A hundred steps of 0.1 s for each point of 0.3 s.
    assert figures["logging_share"] == pytest.approx(0.3 / (100 * 0.1 + 0.3))
    assert figures["checkpoint_secs"] == 6.0
    assert bench.done == 5 * 2 * 2 * pairs + 3
    with_points = [step for step in range(1, bench.done + 1) if (step - 1) // (2 * pairs) % 2 and step % 2 == 0]
    assert bench.logged("gradient_norm") == with_points[: 5 * pairs]
    assert bench.logged("epoch_loss") == []
    assert bench.session.checkpoints.steps() == [bench.done]


@pytest.mark.thorough
def test_logging_is_never_a_gain(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter([*[2.0, 1.9] * 5, 5.0, 7.0, 6.0])
    monkeypatch.setattr(measurement, "_fitting", lambda *_: 1)
    monkeypatch.setattr(measurement, "_secs", lambda work: (work(), next(calls))[1])
    figures = bench.measurement.logging()
    assert figures["scalars_secs"] == figures["logging_share"] == 0


def test_the_share_of_the_peak_is_that_of_the_runs_precision(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = {"float32": 2e9, "bfloat16": 8e9}
    monkeypatch.setattr(measurement.machine_limits, "peak_flops_per_sec", peaks.get)
    figures = bench.measurement.computation(100.0)
    step_flops = 2 * 2 * 50 * 3072 * 10  # forward, and the gradient of the weights
    assert figures == {
        "flops_per_step": step_flops,
        "flops_per_sec": 100.0 * step_flops,
        "peak_flops_per_sec_float32": 2e9,
        "peak_flops_per_sec_bfloat16": 8e9,
        "peak_share": 100.0 * step_flops / 2e9,
    }


@pytest.mark.thorough
def test_each_part_has_its_rate(bench: Bench) -> None:
    figures = {**bench.measurement.parts(), **bench.measurement.evaluation()}
    assert set(figures) == {"compute_only", "input_only", "evaluation"}
    assert all(figure > 0 for figure in figures.values())


def test_a_profile_is_of_the_steps_asked_for(bench: Bench, tmp_path: pathlib.Path) -> None:
    table = bench.measurement.profile(tmp_path / "profile", 2)
    assert table.splitlines()[-1].startswith("2 steps of ")
    assert table.startswith("time by op")
    assert bench.done == 5


@pytest.mark.parametrize(("secs", "units"), [(0.2, 20), (3.0, 300), (0.001, 1)])
def test_a_rate_is_of_as_many_units_as_fit(monkeypatch: pytest.MonkeyPatch, secs: float, units: int) -> None:
    """Units take 0.01 s, the first one 0.4 s more for tracing; repeats take one, two or three times as long."""
    slow = iter([0.4])
    monkeypatch.setattr(measurement, "_secs", lambda work: work())
    assert measurement._fitting(lambda count: 0.01 * count + next(slow, 0.0), secs) == units
    repeats: list[int] = []

    def work(count: int) -> float:
        repeats.append(count)
        return 0.01 * count * (1 + len(repeats) % 3)

    monkeypatch.setattr(measurement, "_fitting", lambda *_: units)
    assert measurement._rate(work, secs) == pytest.approx((50, 100 / 3, 100))
    assert repeats == [units] * 5
