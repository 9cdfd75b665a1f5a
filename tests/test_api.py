"""`tfcore.train`: the command from Python, with data, model and events handed over as objects."""

import json
import pathlib
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import tfcore
from tfcore.build import runtime
from tfcore.build.data import load_dataset
from tfcore.cli.main import main
from tfcore.config import RunConfig
from tfcore.data.dataset import Dataset, Split
from tfcore.errors import ConfigError, DataError
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


@pytest.mark.thorough
def test_the_same_call_goes_on_or_says_that_it_is_done(tmp_path: pathlib.Path) -> None:
    first = tfcore.train(CONFIG, run_dir=tmp_path / "run", data=DATA, quietly=True)
    again = tfcore.train(CONFIG, run_dir=tmp_path / "run", data=DATA, quietly=True)
    assert first == again
    longer = RunConfig(**{**vars(CONFIG), "steps": 80})
    assert tfcore.train(longer, run_dir=tmp_path / "run", data=DATA, quietly=True)["steps"] == 80
    with pytest.raises(ConfigError, match="belongs to another configuration: --seed=5"):
        tfcore.train(RunConfig(**{**vars(CONFIG), "seed": 5}), run_dir=tmp_path / "run", data=DATA, quietly=True)


@pytest.mark.thorough
def test_an_event_may_end_the_run(tmp_path: pathlib.Path) -> None:
    def events(_: Any) -> Sequence[Event]:
        return [Event("enough", Schedule(30), lambda moment: moment.end_run("stopped_early"))]

    result = tfcore.train(CONFIG, run_dir=tmp_path / "run", data=DATA, events=events, quietly=True)
    assert (result["status"], result["steps"]) == ("stopped_early", 30)


@pytest.mark.parametrize("first", [False, True])
def test_determinism_is_the_process_s(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, first: bool) -> None:
    monkeypatch.setattr(runtime, "_process", {"deterministic": first})
    config = RunConfig(**{**vars(CONFIG), "deterministic": not first})
    with pytest.raises(ConfigError, match=rf"^--deterministic={str(not first).lower()}: a run of this process"):
        tfcore.train(config, run_dir=tmp_path / "run", data=DATA, quietly=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
def test_a_data_set_with_a_built_in_name_is_never_taken_for_that(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Dataset("shapes", DATA.train, DATA.test, DATA.class_names)
    path = tmp_path / "run"
    result = tfcore.train(CONFIG, run_dir=path, data=data, quietly=True)
    for arguments in (["eval", f"--run_dir={path}"], ["train", f"--run_dir={path}", "--steps=70"]):
        assert main(arguments) == 2
        assert "--dataset=python:shapes was handed over from Python" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="handed over from Python"):
        tfcore.evaluate(path)
    assert tfcore.evaluate(path, data=data)["accuracy"] == result["test"]["accuracy"] > 0.9


@pytest.mark.thorough
def test_a_run_is_scored_on_its_own_data_only(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As that of a run by tfcore 0.1.0, whose configuration has no mark before the name."""
    path = tmp_path / "run"
    built_in = load_dataset(RunConfig(dataset="shapes", train_examples=300, test_examples=300))
    data = Dataset("shapes", built_in.test, built_in.train, built_in.class_names)
    config = RunConfig(**{**vars(CONFIG), "train_examples": 300, "test_examples": 300})
    tfcore.train(config, run_dir=path, data=data, quietly=True)
    flags = path / "config.flags"
    flags.write_text(flags.read_text(encoding="utf-8").replace("python:shapes", "shapes"), encoding="utf-8")
    assert main(["eval", f"--run_dir={path}"]) == 1
    assert "was trained on other data than --dataset=shapes now gives" in capsys.readouterr().err
    assert tfcore.train(config, run_dir=path, data=data, quietly=True)["status"] == "finished"
    assert tfcore.evaluate(path, data=data, split="validation")["examples"] == 30


def test_data_of_other_pictures_or_classes_are_refused(tmp_path: pathlib.Path) -> None:
    tfcore.train(CONFIG, run_dir=tmp_path / "run", data=DATA, quietly=True)
    other = Dataset("other", DATA.train, DATA.test, ("cat", "dog"))
    with pytest.raises(DataError, match=r"of 2 classes \(dark, bright\)\. The data set other has .* of 2 \(cat, dog\)"):
        tfcore.evaluate(tmp_path / "run", data=other)


@pytest.mark.thorough
def test_a_run_trains_in_any_thread(tmp_path: pathlib.Path) -> None:
    found: list[Any] = []

    def work() -> None:
        found.append(tfcore.train(CONFIG, run_dir=tmp_path / "thread", data=DATA, quietly=True))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    here = tfcore.train(CONFIG, run_dir=tmp_path / "here", data=DATA, quietly=True)
    assert found[0]["test"] == here["test"]


WITHOUT_A_FILE = '''
import json, sys
sys.path.insert(0, {tests!r})
from test_api import CONFIG, DATA, Net
import tfcore

class Cell(Net):
    """Typed, not read from a file."""

result = tfcore.train(CONFIG, run_dir={run!r}, data=DATA, model=Cell, quietly=True)
scores = tfcore.evaluate({run!r}, data=DATA, model=Cell)
names = tfcore.load({run!r}, model=Cell).predict(DATA.test.images[:2])
print(json.dumps([result["test"]["accuracy"], scores["accuracy"], names[0][0][0]]))
'''


@pytest.mark.thorough
def test_a_class_without_a_file_is_trained_and_handed_over_again(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    code = WITHOUT_A_FILE.format(tests=str(pathlib.Path(__file__).parent), run=str(path))
    done = subprocess.run([sys.executable, "-"], input=code, check=True, capture_output=True, text=True)
    trained, scored, name = json.loads(done.stdout.splitlines()[-1])
    assert trained == scored > 0.9
    assert name == "dark"
    assert main(["predict", f"--run_dir={path}", "cat.png"]) == 2
    assert "--model=python:Cell was handed over from Python" in capsys.readouterr().err


@pytest.mark.thorough
def test_a_class_inside_a_function_has_no_file_either(tmp_path: pathlib.Path) -> None:
    class Inner(Net):
        """Known to this function alone."""

    tfcore.train(CONFIG, run_dir=tmp_path / "run", data=DATA, model=Inner, quietly=True)
    assert "--model=python:Inner\n" in (tmp_path / "run" / "config.flags").read_text(encoding="utf-8")
    assert tfcore.train(CONFIG, run_dir=tmp_path / "run", data=DATA, model=Inner, quietly=True)["steps"] == 60
