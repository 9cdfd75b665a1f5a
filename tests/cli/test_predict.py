"""`predict`: a line for every picture, in the given order, from one pass over all of them."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tfcore
from tfcore.cli.main import main
from tfcore.export.trained_model import TrainedModel

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)


@pytest.fixture(autouse=True)
def home(make_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory: a run of three classes on 4×5 colour pictures, and some pictures."""
    monkeypatch.chdir(make_run().parent)
    Image.fromarray(IMAGES[0]).save("same.png")
    Image.fromarray(np.full((9, 8), 200, np.uint8)).save("grey.bmp")
    np.save("three.npy", IMAGES)
    np.savez("one.npz", IMAGES[1])
    pathlib.Path("bad.jpg").write_bytes(b"no picture")


def expected(image: np.ndarray, top: int) -> str:
    ((*best,),) = tfcore.load("run").predict(image[np.newaxis], top=top)
    return ", ".join(f"{name} {probability:.4f}" for name, probability in best)


def test_every_picture_has_its_line(capsys: Any) -> None:
    assert main(["predict", "--run_dir=run", "same.png", "three.npy", "one.npz"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"same.png: {expected(IMAGES[0], 3)}",
        *(f"three.npy[{number}]: {expected(IMAGES[number], 3)}" for number in range(3)),
        f"one.npz[0]: {expected(IMAGES[1], 3)}",
    ]


def test_what_had_to_change_is_told(capsys: Any) -> None:
    assert main(["predict", "--run_dir=run", "--top=1", "grey.bmp"]) == 0
    grey = np.full((4, 5, 3), 200, np.uint8)
    assert capsys.readouterr().out == f"grey.bmp: {expected(grey, 1)} (grey to colour; resized from 8x9 to 5x4)\n"


def test_all_pictures_are_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    original = TrainedModel.probabilities

    def counted(model: TrainedModel, images: Any) -> Any:
        passes.append(len(images))
        return original(model, images)

    monkeypatch.setattr(TrainedModel, "probabilities", counted)
    assert main(["predict", "--run_dir=run", "same.png", "three.npy", "grey.bmp"]) == 0
    assert passes == [5]


def test_json_is_the_last_line_and_the_rest_goes_to_standard_error(capsys: Any) -> None:
    flags = ["--run_dir=run", "--json", "--top=2", "--average", "--checkpoint=10", "--skip_bad_pictures"]
    assert main(["predict", *flags, "grey.bmp", "bad.jpg", "one.npz"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    grey, one = found["pictures"]
    assert (grey["file"], grey["notes"]) == ("grey.bmp", ["grey to colour", "resized from 8x9 to 5x4"])
    assert (one["file"], one["number"], one["notes"]) == ("one.npz", 0, [])
    (best,) = tfcore.load("run", checkpoint="10", average=True).predict(IMAGES[1:2], top=2)
    assert [(entry["name"], entry["probability"]) for entry in one["classes"]] == best
    assert list(found["skipped"]) == ["bad.jpg"]
    assert "1 of 3 files skipped:\n  bad.jpg cannot be used" in printed.err
    assert "one.npz[0]: " in printed.err


@pytest.mark.parametrize("out", ["m", "m.safetensors"])
def test_an_exported_model_predicts_the_same(capsys: Any, out: str) -> None:
    name = out.partition(".")[2] or "saved_model"
    assert main(["export", "--run_dir=run", f"--format={name}", f"--out={out}"]) == 0
    lines = []
    for model in ("--run_dir=run", f"--model_path={out}"):
        capsys.readouterr()
        assert main(["predict", model, "three.npy", "same.png"]) == 0
        lines.append(capsys.readouterr().out)
    assert lines[0] == lines[1]
    assert lines[0].count("\n") == 4


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["same.png"], 2, "Name one model: --run_dir=runs/NAME, or --model_path of an exported one."),
        (["--run_dir=run", "--model_path=m.npz", "same.png"], 2, "Name one model"),
        (["--run_dir=run"], 2, "Name the pictures"),
        (["--run_dir=run", "--top=0", "same.png"], 2, "`top` must be an integer of at least 1"),
        (["--run_dir=run", "--checkpoint=first", "same.png"], 2, "`checkpoint` must be best, last or a step"),
        (["--run_dir=nowhere", "same.png"], 1, "nowhere is not a run folder"),
        (["--model_path=nowhere.npz", "same.png"], 1, "nowhere.npz is no npz file"),
        (["--run_dir=run", "same.png", "bad.jpg"], 1, "bad.jpg cannot be used"),
        (["--run_dir=run", "missing.png"], 1, "missing.png cannot be used: No such file"),
        (["--run_dir=run", "--skip_bad_pictures", "bad.jpg", "missing.npy"], 1, "None of the 2 files can be used: bad"),
    ],
)
def test_what_cannot_be_is_one_line(capsys: Any, arguments: list[str], status: int, message: str) -> None:
    assert main(["predict", *arguments]) == status
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert message in printed.err
