"""The resources of a process do not grow from training to training, nor with the steps of one; a short version."""

import gc
import json
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

import tfcore
from tfcore.data.dataset import Dataset, Split
from tfcore.training.events import Event, Schedule
from tools.reliability import long_lives, write_page
from tools.reliability.long_lives import MEMORY, Case, Sample

WARM_UP, TRAININGS = 3, 6
STEPS = 2500
# The pools of TensorFlow and of the allocator are still being filled. Far less than the leak of the test below.
NOISE_BYTES = 12_000_000


def split(examples: int) -> Split:
    draw = np.random.default_rng(examples)
    images = draw.integers(0, 256, (examples, 12, 12, 3), np.uint8)
    return Split(images, (np.arange(examples) % 2).astype(np.int32))


DATA = Dataset("noise", split(200), split(50), ("one", "other"))
TINY = {"train_examples": None, "test_examples": None, "batch_size": 20, "steps": 10}
SMALL = {
    "softmax": Case(replace(long_lives.SHORT, **TINY, report=False), data=DATA),
    "cifar_cnn": Case(replace(long_lives.CNN, **TINY, filters=(4,), hidden=(8,), report=False), data=DATA),
}


@pytest.fixture(scope="module", autouse=True)
def _what_was_there_before_is_not_counted() -> Iterator[None]:
    """Leaves the objects of TensorFlow and of earlier tests out of every collection and count: a third of a second."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def counts(sample: Sample) -> Sample:
    """The sample without memory, and without the system's threads, which TensorFlow starts on demand."""
    return {name: value for name, value in sample.items() if name not in (MEMORY, "threads")}


def more(last: Sample, first: Sample) -> Sample:
    """The counts that have increased; a thread of an earlier test may have ended."""
    return {name: count for name, count in counts(last).items() if count > first[name]}


@pytest.mark.thorough
@pytest.mark.parametrize("name", SMALL)
def test_trainings_in_one_process_leave_nothing(name: str) -> None:
    long_lives.trainings(SMALL[name], WARM_UP)
    first, *_, last = long_lives.trainings(SMALL[name], TRAININGS)
    assert more(last, first) == {}
    assert last["threads"] <= first["threads"] + 1
    assert last[MEMORY] - first[MEMORY] < NOISE_BYTES


@pytest.mark.thorough
def test_the_steps_of_a_training_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_lives, "POINTS", 5)  # as no slope is computed
    samples = long_lives.long_training(SMALL["softmax"], STEPS)
    assert len(samples) == long_lives.POINTS
    early, last = samples[0], samples[-1]  # of steps 500 and 2,500
    assert more(last, early) == {}
    assert last[MEMORY] - early[MEMORY] < NOISE_BYTES


class Leak:
    """Events that keep resources that a training should release."""

    def __init__(self, tmp_path: Path) -> None:
        self._file, self._held = tmp_path / "file", []

    def __call__(self, _: Any) -> Sequence[Event]:
        def leak(__: Any) -> None:
            self._held += [self._file.open("w"), bytearray(2 * NOISE_BYTES // TRAININGS)]
            self._held.append(tf.function(lambda x: x + 1).get_concrete_function(tf.TensorSpec([])))

        return [Event("leak", Schedule(5, offset=5), leak)]

    def close(self) -> None:
        for thing in self._held:
            if hasattr(thing, "close"):
                thing.close()


@pytest.mark.thorough
def test_a_leak_is_found(tmp_path: Path) -> None:
    leak = Leak(tmp_path)
    case = replace(SMALL["softmax"], memory_bytes=NOISE_BYTES / TRAININGS)
    samples = long_lives.trainings(case, 6, leak)
    leak.close()
    found = long_lives.growing(long_lives.slopes(samples), case)
    assert {"open_files", "graphs", "functions", MEMORY} <= set(found)
    assert counts(samples[-1]) != counts(samples[0])


@pytest.mark.thorough
def test_a_training_releases_its_data_and_its_model(tmp_path: Path) -> None:
    alive: list[weakref.ref[Any]] = []

    def events(run: Any) -> Sequence[Event]:
        alive.extend(weakref.ref(thing) for thing in (run, run.model, run.data, run.data.train.images))
        alive.extend(weakref.ref(variable) for variable in run.step.optimizer.variables.values())
        return []

    own = replace(DATA, train=split(200))
    tfcore.train(SMALL["cifar_cnn"].config, run_dir=tmp_path / "run", data=own, quietly=True, events=events)
    del own
    assert len(alive) > 4
    gc.collect()
    assert [reference() for reference in alive if reference() is not None] == []


def test_the_verdict_is_by_the_second_half() -> None:
    flat = dict.fromkeys(long_lives.BOUNDS, 7.0)
    samples = [{**flat, "graphs": min(number, 5), MEMORY: 30_000.0 * number} for number in range(10)]
    assert long_lives.growing(long_lives.slopes(samples), SMALL["softmax"]) == []
    samples[-1]["open_files"] += 1
    assert long_lives.growing(long_lives.slopes(samples), SMALL["softmax"]) == ["open_files"]
    assert long_lives.growing({**flat, MEMORY: 2e5}, replace(SMALL["softmax"], memory_bytes=3e5))[0] == "python_threads"


def test_the_record_is_of_a_full_campaign_in_which_nothing_grew() -> None:
    report = json.loads((write_page.RECORDS / "long_lives.json").read_text(encoding="utf-8"))
    assert {row["case"] for row in report["results"] if row["trainings"] >= 300} == set(long_lives.CASES)
    assert {row["case"] for row in report["results"] if row["trainings"] == 1} == set(long_lives.LONG_CASES)
    assert max(row["steps"] for row in report["results"]) == 100_000
    assert [row["growing"] for row in report["results"]] == [[]] * len(report["results"])


def test_results_replace_those_of_the_same_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_page, "RECORDS", tmp_path)
    rows = [{"case": "softmax", "trainings": count, "steps": 1} for count in (300, 1)]
    assert long_lives.report(rows)["results"] == rows
    (tmp_path / "long_lives.json").write_text(json.dumps(long_lives.report(rows)), encoding="utf-8")
    again = {"case": "softmax", "trainings": 1, "steps": 2}
    assert long_lives.report([again])["results"] == [rows[0], again]


@pytest.mark.thorough
def test_a_case_is_measured_and_shown() -> None:
    result = long_lives.measured("softmax", 4, 0)
    assert (result["trainings"], result["steps"], result["slopes"].keys()) == (4, 20, long_lives.BOUNDS.keys())
    result |= {
        "growing": ["graphs"],
        "half": {**result["half"], "graphs": 3.0},
        "last": {**result["last"], "graphs": 8},
    }
    console = Console(width=200)
    with console.capture() as shown:
        console.print(long_lives.table([result]))
    text = shown.get()
    assert "softmax" in text
    assert "3.0 → 8" in text
    assert "growing: graphs" in text
    assert json.loads(json.dumps(long_lives.report([result])))["results"][0] == result
