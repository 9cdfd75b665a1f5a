"""`tfcore.train`: the command from Python, with data, model and events handed over as objects."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import tfcore
from tfcore.build import runtime
from tfcore.config import RunConfig
from tfcore.data.dataset import Dataset, Split
from tfcore.errors import ConfigError
from tfcore.layers import Flatten, Linear, Sequential
from tfcore.training.events import Event, Moment, Schedule


class Net(Sequential):
    """A model of one's own."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int, *, pixels: Any, seed: int) -> None:
        linear = Linear(int(np.prod(image_shape)), classes, name="logits", seed=seed)
        super().__init__({"pixels": pixels, "flatten": Flatten(), "logits": linear})


def split(examples: int) -> Split:
    """Class 1 is brighter."""
    labels = (np.arange(examples) % 2).astype(np.int32)
    noise = np.random.default_rng(examples).integers(0, 100, (examples, 4, 4, 1), np.uint8)
    return Split((noise + 100 * labels[:, None, None, None]).astype(np.uint8), labels)


DATA = Dataset("light", split(400), split(100), ("dark", "bright"))
CONFIG = RunConfig(steps=60, batch_size=40, schedule="constant", learning_rate=0.01, log_every_steps=20)


def test_a_run_from_objects_trains_and_can_be_loaded(tmp_path: pathlib.Path) -> None:
    result = tfcore.train(CONFIG, run_dir=tmp_path / "run", data=DATA, model=Net, quietly=True)
    assert result["status"] == "finished"
    assert result["run_dir"] == str(tmp_path / "run")
    assert result["test"]["accuracy"] > 0.9
    model = tfcore.load(tmp_path / "run", model=Net)
    assert [[name for name, _ in best] for best in model.predict(DATA.test.images[:2])] == [["dark"], ["bright"]]
    assert tfcore.History(tmp_path / "run").curve("train", "loss").steps.tolist() == [20, 40, 60]


def test_ones_own_event_sees_state_metrics_and_data_and_comes_before_the_checkpoint(tmp_path: pathlib.Path) -> None:
    seen: list[Any] = []

    def events(run: Any) -> Sequence[Event]:
        def look(moment: Moment) -> None:
            weights = run.model.logits.weights.numpy()
            seen.append((moment.step, moment.observed["loss"], weights.std(), len(run.splits["train"]), run.data.name))
            if moment.step == 40:
                run.model.logits.weights.assign(np.zeros_like(weights))

        return [Event("look", Schedule(20), look)]

    config = RunConfig(**{**vars(CONFIG), "steps": 40})
    tfcore.train(config, run_dir=tmp_path / "run", data=DATA, model=Net, events=events, quietly=True)
    assert [row[0] for row in seen] == [20, 40]
    assert seen[0][1] > seen[1][1] > 0
    assert seen[1][2] > seen[0][2] > 0
    assert {row[3:] for row in seen} == {(360, "light")}
    saved = tfcore.load(tmp_path / "run", checkpoint="last", model=Net).module
    assert not saved.logits.weights.numpy().any()


def test_the_same_call_goes_on_or_says_that_it_is_done(tmp_path: pathlib.Path) -> None:
    first = tfcore.train(CONFIG, run_dir=tmp_path / "run", data=DATA, quietly=True)
    again = tfcore.train(CONFIG, run_dir=tmp_path / "run", data=DATA, quietly=True)
    assert first == again
    longer = RunConfig(**{**vars(CONFIG), "steps": 80})
    assert tfcore.train(longer, run_dir=tmp_path / "run", data=DATA, quietly=True)["steps"] == 80
    with pytest.raises(ConfigError, match="belongs to another configuration: --seed=5"):
        tfcore.train(RunConfig(**{**vars(CONFIG), "seed": 5}), run_dir=tmp_path / "run", data=DATA, quietly=True)


def test_an_event_may_end_the_run(tmp_path: pathlib.Path) -> None:
    def events(_: Any) -> Sequence[Event]:
        return [Event("enough", Schedule(30), lambda moment: moment.end_run("stopped_early"))]

    result = tfcore.train(CONFIG, run_dir=tmp_path / "run", data=DATA, events=events, quietly=True)
    assert (result["status"], result["steps"]) == ("stopped_early", 30)


def test_threads_that_can_no_longer_be_set_are_told_as_they_are() -> None:
    config = runtime.set_up_if_possible(RunConfig(intra_op_threads=7, inter_op_threads=9))  # TensorFlow runs already
    assert (config.intra_op_threads, config.inter_op_threads) != (7, 9)


@pytest.mark.parametrize("first", [False, True])
def test_determinism_is_the_process_s(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, first: bool) -> None:
    monkeypatch.setattr(runtime, "_process", {"deterministic": first})
    config = RunConfig(**{**vars(CONFIG), "deterministic": not first})
    with pytest.raises(ConfigError, match=rf"^--deterministic={str(not first).lower()}: a run of this process"):
        tfcore.train(config, run_dir=tmp_path / "run", data=DATA, quietly=True)
    assert not (tmp_path / "run").exists()
