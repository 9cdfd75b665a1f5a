"""`convert`: the written files, the printed line, and the errors raised before anything is loaded."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tfcore.build.data import load_dataset
from tfcore.cli import convert, flags
from tfcore.config import RunConfig
from tfcore.data.record_manifest import STATE
from tfcore.data.sources.npz import npz
from tfcore.errors import ConfigError, RunError

OWN = """
import numpy as np
from tfcore.data.dataset import Dataset, Split

def make(data_dir):
    parts = [Split(np.full((count, 4, 6, 3), 9, np.uint8), np.arange(count, dtype=np.int32) % 2) for count in (6, 4)]
    return Dataset("own", *parts, ("cat", "dog"))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a data set of the user in own.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def run(given: dict[str, Any] | None = None, /, **options: Any) -> int:
    defaults = {
        **dict.fromkeys(("data_dir", "out", "dataset"), ""),
        **dict.fromkeys(("train_examples", "test_examples", "shards", "size"), 0),
        "format": "text",
    }
    return convert.run(flags.Parsed(given=given or {}, options={**defaults, **options}, wants_help=False))


@pytest.mark.parametrize(
    ("form", "made"),
    [
        ("text", {"out/class_names.txt", "out/train.txt", "out/test.txt"}),
        ("npz", {"out"}),
        (
            "png",
            {f"out/train/{name}/{number:06d}.png" for number, name in enumerate(["cat", "dog"] * 3)}
            | {f"out/test/{name}/{number:06d}.png" for number, name in enumerate(["cat", "dog"] * 2)},
        ),
        (
            "records",
            {"out/manifest.json"}
            | {
                f"out/{split}-{file}"
                for split in ("train", "test")
                for file in ("00000-of-00001.arrayrecord", "labels.npy")
            },
        ),
    ],
)
def test_what_is_written(folder: Path, capsys: pytest.CaptureFixture[str], form: str, made: set[str]) -> None:
    assert run(dataset="own.py:make", out="out", format=form) == 0
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in found if name.startswith("out")} == made
    assert capsys.readouterr().out == "out: 6 training and 4 test pictures of 4x6x3 in 2 classes\n"


def test_some_examples_of_a_built_in_data_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(dataset="shapes", out="few.npz", format="npz", train_examples=200, test_examples=20) == 0
    assert capsys.readouterr().out == "few.npz: 200 training and 20 test pictures of 32x32x3 in 10 classes\n"
    few = npz(folder / "few.npz", test_share=0.1, seed=0)
    whole = load_dataset(RunConfig(dataset="shapes"))
    np.testing.assert_array_equal(few.train.images, whole.train.images[:200])
    np.testing.assert_array_equal(few.test.labels, whole.test.labels[:20])
    assert few.class_names == whole.class_names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": "new"}, "Give --dataset="),
        ({"dataset": "own.py:make"}, "Give --out=PATH"),
        (
            {"dataset": "own.py:make", "out": "new", "format": "pgn"},
            "must be one of text, npz, png, records. .* mean 'png'?",
        ),
        ({"dataset": "mnits", "out": "new"}, "Did you mean 'mnist'?"),
        ({"dataset": "own.py:make", "out": "new", "train_examples": 7}, "at most 6, as many as own has. Received 7"),
        ({"dataset": "own.py:make", "out": "new", "test_examples": -1}, "`test_examples` must be"),
        ({"dataset": "own.py:make", "out": "new", "shards": 2}, "--shards belongs to --format=records. Leave it out"),
        ({"dataset": "own.py:make", "out": "new", "size": -1}, "`size` must be at least 0. Received -1"),
        ({"dataset": "own.py:make", "out": "new", "size": 8, "format": "records"}, "`size` shrinks picture files"),
    ],
)
def test_what_cannot_be_meant_is_refused(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(**options)
    assert {name for name in os.listdir(folder) if name != "__pycache__"} == {"own.py"}


def test_pictures_in_files_are_kept_in_their_sizes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, name in enumerate(["a", "b", "a", "b"]):
        (folder / "pets" / name).mkdir(parents=True, exist_ok=True)
        Image.new("L", (5 + number, 8)).save(folder / "pets" / name / f"{number}.png")
    options = {"dataset": "folder:pets", "format": "records"}
    given = {"test_share": 0.5}
    assert run(given, **options, out="out") == 0
    assert run(given, **options, out="small", size=4) == 0
    expected = "out: 2 training and 2 test pictures of different sizes in 2 classes\n"
    assert capsys.readouterr().out == expected + expected.replace("out", "small")
    with pytest.raises(ConfigError, match=r"--format=records keeps image files .* takes no --image_size. Leave it out"):
        run({**given, "image_size": (4, 4)}, **options, out="new")


def test_records_of_pixels_become_records_of_pixels(folder: Path) -> None:
    assert run(dataset="own.py:make", format="records", out="out") == 0
    assert run(dataset="records:out", format="records", out="again", shards=2) == 0
    one, other = (load_dataset(RunConfig(dataset=f"records:{folder / name}")) for name in ("out", "again"))
    np.testing.assert_array_equal(one.train.read(np.arange(6)), other.train.read(np.arange(6)))
    np.testing.assert_array_equal(one.train.labels, other.train.labels)
    with pytest.raises(ConfigError, match=r"takes no --image_size"):
        load_dataset(RunConfig(dataset=f"records:{folder / 'out'}", image_size=(4, 4)))


def test_an_unfinished_conversion_is_not_in_the_way(folder: Path) -> None:
    options = {"dataset": "own.py:make", "format": "records", "out": "out", "shards": 2}
    (folder / "out").mkdir()
    (folder / "out" / STATE).write_text('{"shards": 3}\n')
    with pytest.raises(RunError, match=r"out is an unfinished conversion, and this one has --shards=2 \(there: 3\)"):
        run(**options)
    (folder / "out" / STATE).unlink()
    (folder / "out").rmdir()
    assert run(**options) == 0
    with pytest.raises(RunError, match="out is there already"):
        run(**options)


@pytest.mark.usefixtures("folder")
def test_out_is_looked_at_before_the_data_set_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(convert, "load_dataset", forbidden)
    with pytest.raises(RunError, match=r"own.py is there already"):
        run(dataset="mnist", out="own.py")


@pytest.mark.usefixtures("folder")
def test_a_folder_that_may_not_be_written_is_one_line() -> None:
    with pytest.raises(RunError, match=r"/proc/new cannot be written"):
        run(dataset="own.py:make", out="/proc/new")
