"""User-supplied pictures through the commands: converted, trained on, predicted; bad ones give a one-line error."""

import json
import pathlib
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

CONVERT = ("--dataset=shapes", "--train_examples=300", "--test_examples=60")
TRAIN = ("--model=mlp", "--hidden=8", "--epochs=1", "--batch_size=50", "--run_dir=run")


@pytest.fixture
def pictures(call: Any, tmp_path: pathlib.Path) -> pathlib.Path:
    call("convert", *CONVERT, "--format=png", "--out=pictures")
    return tmp_path / "pictures"


def first(folder: pathlib.Path) -> pathlib.Path:
    return min((folder / "train").rglob("*.png"))


def cut_short(picture: pathlib.Path) -> None:
    """Truncates a picture: a valid header and half of the pixels."""
    picture.write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])


@pytest.mark.thorough
@pytest.mark.parametrize("form", ["text", "npz", "png"])
def test_what_convert_wrote_trains(call: Any, form: str) -> None:
    name, source = {"text": ("new", "text"), "npz": ("new.npz", "npz"), "png": ("new", "folder")}[form]
    done = call("convert", *CONVERT, f"--format={form}", f"--out={name}")
    assert "300 training and 60 test pictures of 32x32x3 in 10 classes" in done.stdout
    done = call("train", f"--dataset={source}:{name}", *TRAIN)
    assert "270 train, 30 validation, 60 test examples of 10 classes" in done.stdout


def test_predict_names_the_class_of_a_picture(call: Any, pictures: pathlib.Path) -> None:
    call("train", "--dataset=folder:pictures", *TRAIN)
    done = call("predict", "--run_dir=run", str(first(pictures)), "--top=2", "--json")
    (picture,) = json.loads(done.stdout)["pictures"]
    assert len(picture["classes"]) == 2
    assert {entry["name"] for entry in picture["classes"]} <= {path.name for path in (pictures / "train").iterdir()}


@pytest.mark.thorough
def test_a_picture_that_ends_early_is_named_and_may_be_left_out(command: Any, pictures: pathlib.Path) -> None:
    bad = first(pictures)
    cut_short(bad)
    failed = command("train", "--dataset=folder:pictures", *TRAIN, status=1)
    assert failed.stderr.count("\n") == 1
    assert str(bad.relative_to(pictures)) in failed.stderr
    done = command("train", "--dataset=folder:pictures", "--skip_bad_pictures", *TRAIN[:-1], "--run_dir=other")
    assert done.stderr.startswith("warning: folder:pictures")
    assert "1 of 360 pictures are bad and are left out" in done.stderr
    assert str(bad.relative_to(pictures)) in done.stderr
    assert "test accuracy" in done.stdout


@pytest.mark.thorough
def test_a_line_with_too_few_fields_is_named(call: Any, tmp_path: pathlib.Path) -> None:
    call("convert", *CONVERT, "--format=text", "--out=text")
    path = tmp_path / "text" / "train.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[6] = lines[6].rsplit(maxsplit=1)[0]
    path.write_text("\n".join(lines), encoding="utf-8")
    done = call("train", "--dataset=text:text", *TRAIN, status=1)
    assert done.stderr.count("\n") == 1
    assert "train.txt, line 7: expected a label and 3072 pixels. Received 3071 pixels." in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
def test_an_export_of_a_run_without_a_checkpoint_is_one_line(call: Any, tmp_path: pathlib.Path) -> None:
    call("train", *TRAIN)
    for file in sorted((tmp_path / "run" / "checkpoints").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    done = call("export", "--run_dir=run", "--format=npz", "--out=model.npz", status=1)
    assert done.stderr == "error: The run in run has no checkpoint yet.\n"
    assert not (tmp_path / "model.npz").exists()


@pytest.mark.thorough
def test_what_pillow_has_to_say_stays_off_the_terminal(command: Any, tmp_path: pathlib.Path) -> None:
    """Pillow warns of damaged EXIF data and of a header of a hundred million pixels."""
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(2):
            path = tmp_path / "pictures" / name / f"{number}.jpg"
            Image.new("RGB", (8, 8)).save(
                path, exif=b"Exif\0\0II*\0\10\0\0\0\7\0" + b"\x1a\1\5\0\1\0\0\0\xff\xff\0\0" * 2
            )
    with pytest.warns(UserWarning, match="Truncated File Read|EXIF"), Image.open(path) as image:
        image.getexif()
    flags = ("--dataset=folder:pictures", "--test_share=0.5", "--format=npz")
    assert command("convert", *flags, "--out=a.npz").stderr == ""
    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + bytes(4) + b"IDAT" + bytes(4))
    with pytest.warns(Image.DecompressionBombWarning), Image.open(path):
        pass
    refused = command("convert", *flags, "--out=b.npz", status=1).stderr
    assert refused.count("\n") == 1
    assert "1.jpg must have sides of at most 16384 pixels, and 64000000 in all. It has 10000x10000." in refused
