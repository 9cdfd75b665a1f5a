"""`eval --watch`: scores every checkpoint once and complete, while the run changes its folder."""

import json
import os
import pathlib
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from tfcore.build.configuration import resolve
from tfcore.config import RunConfig
from tfcore.errors import RunError
from tfcore.export.files import Weights
from tfcore.run.session import Session
from tfcore.training.checkpoints import Checkpoints, steps_in
from tfcore.training.evaluation import Evaluation
from tfcore.training.run_folder import RunFolder
from tfcore.use import watch as module
from tfcore.use.watch import NewCheckpoints, watch

CONFIG = RunConfig(
    steps=6, batch_size=50, train_examples=200, test_examples=100, checkpoint_every_epochs=0.5, keep_checkpoints=0
)
SAVES = 60
OPTIONS = {"split": "test", "average": False, "json": False}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A run that has three checkpoints and has ended."""
    path = tmp_path_factory.mktemp("finished") / "run"
    with RunFolder(path) as folder:
        Session(resolve(CONFIG), folder, Console(quiet=True)).run()
    assert steps_in(path / "checkpoints") == [2, 4, 6]
    return path


@pytest.fixture
def run(finished: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the run folder that a test may change."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], None]]]:
    """Calls one action of the run for each second that the watch waits; restores the handler of SIGTERM afterwards."""
    acts: list[Callable[[], None]] = []
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=lambda _: acts.pop(0)()))
    before = signal.getsignal(signal.SIGTERM)
    yield acts
    signal.signal(signal.SIGTERM, before)


def watched(run: pathlib.Path, **options: Any) -> None:
    config = RunConfig.from_flags((run / "config.flags").read_text(encoding="utf-8"))
    watch(run, config, {**OPTIONS, **options})


def ended(run: pathlib.Path, status: str = "finished") -> None:
    (run / "result.json").write_text(json.dumps({"status": status}), encoding="utf-8")


def hidden(run: pathlib.Path, *steps: int) -> Callable[[], None]:
    """Moves checkpoints away; the returned function moves them back."""
    for step in steps:
        (run / f"checkpoints/step-{step:010d}").rename(run / f"{step}")

    def appear() -> None:
        for step in steps:
            (run / f"{step}").rename(run / f"checkpoints/step-{step:010d}")

    return appear


def given(checkpoints: NewCheckpoints) -> list[int]:
    return [step for step, _ in checkpoints]


def test_a_run_that_has_ended_is_scored_to_its_last_checkpoint(
    run: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watched(run, json=True)
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert {name: lines[-1][name] for name in ("loss", "accuracy")} == result["test"]
    assert {line["examples"] for line in lines} == {100}
    loss, accuracy = lines[0]["loss"], lines[0]["accuracy"]
    assert printed.err.splitlines()[0] == f"step 2: test loss {loss:.4f} accuracy {accuracy:.4f}"
    assert printed.err.splitlines()[-1] == "The run has finished; checkpoints scored: 3."


def test_a_live_run_is_followed_through_a_stop_to_its_end(
    run: pathlib.Path, meanwhile: list[Callable[[], None]], capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "result.json").unlink()
    save_first, save_others = hidden(run, 2), hidden(run, 4, 6)

    def stop() -> None:
        save_first()
        ended(run, "interrupted")

    def end() -> None:
        save_others()
        ended(run, "stopped_early")

    meanwhile += [lambda: None, stop, lambda: None, (run / "result.json").unlink, end]
    watched(run)
    assert meanwhile == []
    assert [line.partition(": test loss")[0] for line in capsys.readouterr().out.splitlines()] == [
        "Waiting for the first checkpoint.",
        "step 2",
        "The run was interrupted. Waiting for it to resume.",
        "step 4",
        "step 6",
        "The run has stopped early; checkpoints scored: 3.",
    ]


def test_the_evaluation_is_traced_once(run: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    traces, trace = [], Evaluation._run

    def counted(self: Evaluation, iterator: Any, count: tf.Tensor) -> tf.Tensor:
        traces.append(count)
        return trace(self, iterator, count)

    monkeypatch.setattr(Evaluation, "_run", counted)
    watched(run)
    assert len(traces) == 1


@pytest.mark.parametrize("status", ["failed", "finished"])
def test_a_run_that_ends_without_a_checkpoint_is_an_error(run: pathlib.Path, status: str) -> None:
    shutil.rmtree(run / "checkpoints")
    ended(run, status)
    with pytest.raises(RunError, match=f"has {status} without a checkpoint"):
        watched(run)


def test_a_folder_that_is_deleted_is_not_waited_for(run: pathlib.Path, meanwhile: list[Callable[[], None]]) -> None:
    (run / "result.json").unlink()
    meanwhile.append(lambda: shutil.rmtree(run))
    with pytest.raises(RunError, match="is not a run folder"):
        watched(run)


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_ends_the_wait(
    run: pathlib.Path, meanwhile: list[Callable[[], None]], number: int, raised: type[BaseException]
) -> None:
    (run / "result.json").unlink()
    meanwhile.append(lambda: os.kill(os.getpid(), number))
    with pytest.raises(raised) as caught:
        watched(run)
    assert caught.value.args == ((143,) if raised is SystemExit else ())


def test_a_damaged_checkpoint_is_told_of_and_tried_until_the_run_ends(
    run: pathlib.Path, meanwhile: list[Callable[[], None]], capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "result.json").unlink()
    index = run / "checkpoints/step-0000000004/state.index"
    whole = index.read_bytes()
    index.write_bytes(whole[:50])

    def repair_and_end() -> None:
        index.write_bytes(whole)
        ended(run)

    meanwhile += [lambda: None, lambda: None, repair_and_end]
    watched(run)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "step 2",
        "step 6",
        "warning",
        "step 4",
        "The run has finished; checkpoints scored",
    ]
    assert "The checkpoint is retried until the run ends." in lines[2]


def test_a_checkpoint_that_stays_damaged_is_an_error_in_the_end(run: pathlib.Path) -> None:
    (run / "checkpoints/step-0000000004/state.index").write_bytes(b"garbage")
    with pytest.raises(RunError, match="step-0000000004 is damaged"):
        watched(run)


def test_nothing_of_the_run_is_written_or_locked(run: pathlib.Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with RunFolder(run):
        watched(run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_each_is_given_once_also_if_it_comes_late(run: pathlib.Path) -> None:
    checkpoints = NewCheckpoints(run, average=False)
    appear = hidden(run, 2, 6)
    assert given(checkpoints) == [4]
    assert given(checkpoints) == []
    appear()
    assert given(checkpoints) == [2, 6]
    assert checkpoints.given == {2, 4, 6}


@pytest.mark.parametrize("moment", ["names", "read"])
def test_one_that_vanishes_while_it_is_read_is_left_out(
    run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A checkpoint deleted just before its names, or its first value, are read."""
    true = getattr(Checkpoints, moment)

    def too_late(self: Checkpoints, step: int, *rest: Any) -> Any:
        if step == 4:
            shutil.rmtree(run / "checkpoints/step-0000000004", ignore_errors=True)
        return true(self, step, *rest)

    monkeypatch.setattr(Checkpoints, moment, too_late)
    checkpoints = NewCheckpoints(run, average=False)
    assert given(checkpoints) == [2, 6]
    assert checkpoints.damage is None


def test_what_is_read_is_whole_while_the_run_saves_and_deletes(run: pathlib.Path) -> None:
    """All weights encode their step; the run keeps one checkpoint, so each read races with a deletion."""
    shutil.rmtree(run / "checkpoints")
    variables = {f"model.part_{number}": tf.Variable(tf.zeros([50])) for number in range(5)}
    saver = Checkpoints(run / "checkpoints", variables, keep=1)

    def save() -> None:
        for step in range(1, SAVES + 1):
            for variable in variables.values():
                variable.assign(tf.fill([50], float(step)))
            saver.save(step)

    thread, checkpoints, found = threading.Thread(target=save), NewCheckpoints(run, average=False), []

    def look() -> None:
        for step, weights in checkpoints:
            assert values_in(weights) == {float(step)}
            assert len(weights) == 5
            found.append(step)
        assert checkpoints.damage is None

    thread.start()
    while thread.is_alive():
        look()
    look()
    assert found[-1] == SAVES
    assert len(found) > 1
    assert found == sorted(set(found))


def values_in(weights: Weights) -> set[float]:
    return set(np.concatenate(list(weights.values())).tolist())
