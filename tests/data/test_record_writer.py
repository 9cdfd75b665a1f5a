"""Records are written as they were read, whatever interrupts the writing: SIGKILL, a full disk, a bad picture."""

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.record_sets import DATA, NAMES, TRAIN, contents, flip, read

from tfcore.data import record_writer
from tfcore.data.dataset import Dataset, Split
from tfcore.data.encoded import EncodedSplit
from tfcore.data.record_manifest import MANIFEST, STATE, Images, read_manifest
from tfcore.data.record_writer import write
from tfcore.data.records import verify
from tfcore.data.sources import records as source
from tfcore.data.sources.folder import folder
from tfcore.errors import ConfigError, DataError, DiskError, RunError

ROOT = Path(__file__).parents[2]
SHARDS = 8


@pytest.mark.parametrize(("shards", "written"), [(None, 1), (1, 1), (7, 7), (100, TRAIN)])
def test_what_was_written_is_read(tmp_path: Path, shards: int | None, written: int) -> None:
    done: list[int] = []
    manifest = write(DATA, tmp_path / "out", shards=shards, advance=done.append)
    assert sum(done) == TRAIN + 5
    split = manifest.splits["train"]
    assert len(split.shards) == written
    assert max(shard.records for shard in split.shards) - min(shard.records for shard in split.shards) <= 1
    verify(tmp_path / "out", [*split.shards, split.labels])
    back = read(tmp_path / "out")
    np.testing.assert_array_equal(back.train.read(np.arange(TRAIN)), DATA.train.images)
    np.testing.assert_array_equal(back.test.labels, DATA.test.labels)
    assert (back.class_names, back.train_weights) == (NAMES, None)
    assert not (tmp_path / "out" / STATE).exists()


def test_the_number_of_shards_follows_from_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_writer, "SHARD_BYTES", 100)  # and a picture has 24
    splits = write(DATA, tmp_path / "out").splits
    assert [len(splits[name].shards) for name in ("train", "test")] == [6, 2]


def test_a_name_that_is_no_text_is_escaped(tmp_path: Path) -> None:
    manifest = write(replace(DATA, name=os.fsdecode(b"folder:caf\xe9\n")), tmp_path / "out")
    assert manifest.name == read_manifest(tmp_path / "out").name == r"folder:caf\udce9\n"


def test_weights_of_examples_are_kept(tmp_path: Path) -> None:
    weights = np.arange(TRAIN) / 4
    write(replace(DATA, train_weights=weights), tmp_path / "out", shards=2)
    np.testing.assert_array_equal(read(tmp_path / "out").train_weights, weights.astype(np.float32))
    flip(tmp_path / "out" / "train-weights.npy", 140)
    with pytest.raises(DataError, match=r"train-weights.npy must have the SHA-256"):
        read(tmp_path / "out")


KILLED = """
import os, signal, sys
from pathlib import Path
from support.record_sets import dataset
from tfcore.data.record_writer import write

function, calls = getattr(os, sys.argv[2]), int(sys.argv[3])

def deadly(*arguments, **named):
    global calls
    calls -= 1
    if not calls:
        os.kill(os.getpid(), signal.SIGKILL)
    return function(*arguments, **named)

setattr(os, sys.argv[2], deadly)
write(dataset(), Path(sys.argv[1]), shards=8)
"""


@pytest.mark.parametrize(
    ("function", "calls"),
    [
        ("replace", 5),  # five shards are about to get their names
        *(pytest.param("replace", calls, marks=pytest.mark.thorough) for calls in (1, 12, 14, 15, 16)),
        *(pytest.param("fsync", calls, marks=pytest.mark.thorough) for calls in (1, 2, 7, 20, 27, 28, 29, 30)),
    ],
)
def test_a_killed_conversion_goes_on(tmp_path: Path, function: str, calls: int) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    arguments = [sys.executable, "-c", KILLED, str(tmp_path / "out"), function, str(calls)]
    assert subprocess.run(arguments, env=environment, check=False).returncode == -signal.SIGKILL
    out = tmp_path / "out"
    kept: dict[str, int] = {}
    if out.exists():
        assert not (out / MANIFEST).exists()
        with pytest.raises(DataError, match="is an unfinished conversion"):
            read(out)
        lines = (out / STATE).read_text().splitlines()[1:]
        kept = {(name := json.loads(line)["piece"]["file"]): (out / name).stat().st_ino for line in lines}
    if (function, calls) == ("replace", 5):
        assert kept
    write(DATA, out, shards=SHARDS)
    write(DATA, tmp_path / "whole", shards=SHARDS)
    assert contents(out) == contents(tmp_path / "whole")
    assert {name: (out / name).stat().st_ino for name in kept} == kept


class Failing(Split):
    """Fails to read the last picture."""

    def read(self, indices: np.ndarray) -> np.ndarray:
        if len(self) - 1 in indices:
            raise DataError("The last picture is bad.")
        return super().read(indices)


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """A conversion that ended at the last picture."""
    failing = replace(DATA, test=Failing(DATA.test.images, DATA.test.labels))
    with pytest.raises(DataError, match="The last picture is bad"):
        write(failing, tmp_path / "out", shards=SHARDS)
    return tmp_path / "out"


def test_a_finished_shard_that_changed_is_written_again(unfinished: Path, tmp_path: Path) -> None:
    lines = (unfinished / STATE).read_text().splitlines()
    first, second, *_ = (json.loads(line)["piece"]["file"] for line in lines[1:])
    flip(unfinished / first, 1000)
    (unfinished / second).unlink()
    (unfinished / STATE).write_text("\n".join(lines) + '\n{"piece": {"fi')  # and the last line was cut
    write(DATA, unfinished, shards=SHARDS)
    write(DATA, tmp_path / "whole", shards=SHARDS)
    assert contents(unfinished) == contents(tmp_path / "whole")


def changed() -> Dataset:
    images = DATA.train.images.copy()
    images[3, 0, 0, 0] ^= 1
    return replace(DATA, train=Split(images, DATA.train.labels))


@pytest.mark.parametrize(
    ("data", "shards", "message"),
    [
        (DATA, 4, r"this one has --shards=4 \(there: 8\). Give the same flags, name another --out, or delete it"),
        (changed(), SHARDS, "this one has other pictures or labels"),
    ],
    ids=["shards", "pictures"],
)
def test_an_unfinished_conversion_goes_on_with_the_same_arguments_only(
    unfinished: Path, data: Dataset, shards: int, message: str
) -> None:
    before = contents(unfinished)
    with pytest.raises(RunError, match=f"out is an unfinished conversion, and {message}"):
        write(data, unfinished, shards=shards)
    assert contents(unfinished) == before


def test_one_process_at_a_time(unfinished: Path) -> None:
    with (unfinished / STATE).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="out is in use by another process"):
            write(DATA, unfinished, shards=SHARDS)


def test_a_damaged_state_is_one_line(unfinished: Path) -> None:
    (unfinished / STATE).write_text("[1]\n")
    with pytest.raises(RunError, match=rf"{STATE} is damaged. Delete .*out, or name another --out"):
        write(DATA, unfinished, shards=SHARDS)


def test_nothing_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "empty").mkdir()
    write(DATA, tmp_path / "finished")
    (tmp_path / "finished" / STATE).touch()  # as where the process was killed at the very end
    for name in ("mine", "empty", "finished"):
        with pytest.raises(RunError, match=f"{name} is there already. Name another place"):
            write(DATA, tmp_path / name)


def test_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    large = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), np.uint8)
    data = Dataset("large", *2 * [Split(large, np.zeros(40, np.int32))], ("a",))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(DiskError) as caught:
            write(data, tmp_path / "out", shards=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "of-00002.arrayrecord cannot be written: File too large. Once it can be written, the same" in str(
        caught.value
    )
    assert os.listdir(tmp_path / "out") == [STATE]
    write(data, tmp_path / "out", shards=2)
    np.testing.assert_array_equal(read(tmp_path / "out").train.images, large)


def test_what_reads_back_otherwise_gets_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = record_writer.array_record_module.ArrayRecordWriter

    class Faulty:
        def __init__(self, *arguments: Any) -> None:
            self._writer = real(*arguments)
            self.close = self._writer.close

        def write(self, data: bytes) -> None:
            self._writer.write(data[:-1] + b"x")

    monkeypatch.setattr(record_writer.array_record_module, "ArrayRecordWriter", Faulty)
    with pytest.raises(DiskError, match="cannot be written: reading it back gives other bytes"):
        write(DATA, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == [STATE]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shards": 0}, "`shards` must be an integer of at least 1. Received 0"),
        ({"shards": 100_000}, "`shards` must be at most 99999. Received 100000"),
        ({"shorter_side": 8}, "`size` shrinks picture files, and made holds pixels of one size. Leave it out"),
    ],
    ids=["none", "many", "size"],
)
def test_settings_are_checked_first(tmp_path: Path, settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        write(DATA, tmp_path / "out", **settings)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of files of several kinds and sizes, two of them grey."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("test", 2)):
        for number in range(count):
            path = tmp_path / "pictures" / part / "ab"[number % 2]
            path.mkdir(parents=True, exist_ok=True)
            grey = number == 1
            pixels = rng.integers(0, 256, (20 + number, 30) if grey else (20 + number, 30, 3), np.uint8)
            Image.fromarray(pixels).save(path / f"{number}.{('jpg', 'png', 'gif', 'jpg')[number]}")
    return tmp_path / "pictures"


def loaded(path: Path, read: Callable[..., Dataset] = folder, **settings: Any) -> Dataset:
    given = {"image_size": (6, 6), "image_fit": "stretch", "skip_bad_pictures": False, **settings}
    return read(path, **given, **({"test_share": 0.5, "seed": 0} if read is folder else {}))


def test_picture_files_are_kept_to_the_byte(tmp_path: Path, pictures: Path) -> None:
    data = loaded(pictures)
    manifest = write(data, tmp_path / "out", shards=3)
    assert manifest.images == Images(pixels=False, size=None, channels=3)
    back = loaded(tmp_path / "out", source.records)
    for split, same in ((data.train, back.train), (data.test, back.test)):
        assert isinstance(split, EncodedSplit)
        assert isinstance(same, EncodedSplit)
        assert same.store.read(np.asarray(same.rows)) == split.store.read(np.asarray(split.rows))
        np.testing.assert_array_equal(same.labels, split.labels)
        np.testing.assert_array_equal(same.read(np.arange(len(same))), split.read(np.arange(len(split))))
    assert same.store.name(1) == f"{tmp_path / 'out' / 'test-00001-of-00002.arrayrecord'}, record 0"
    with pytest.raises(DataError, match=r"differ in size. Give one with --image_size=H,W"):
        loaded(tmp_path / "out", source.records, image_size=None)


def test_records_of_files_can_be_converted_again(tmp_path: Path, pictures: Path) -> None:
    write(loaded(pictures), tmp_path / "out", shards=3)
    write(loaded(tmp_path / "out", source.records), tmp_path / "again", shards=1)
    one, other = (loaded(tmp_path / name, source.records).train for name in ("out", "again"))
    assert one.store.read(np.asarray(one.rows)) == other.store.read(np.asarray(other.rows))


def test_picture_files_are_shrunk(tmp_path: Path, pictures: Path) -> None:
    manifest = write(loaded(pictures), tmp_path / "out", shards=1, shorter_side=10)
    assert manifest.images.size is None
    split = loaded(tmp_path / "out", source.records).train
    assert [split.store.header(row).size for row in range(4)] == [(10, 15), (10, 14), (10, 14), (10, 13)]


def test_weights_of_pictures_that_are_left_out_are_left_out(tmp_path: Path, pictures: Path) -> None:
    bad = pictures / "train" / "b" / "1.png"
    bad.write_bytes(bad.read_bytes()[:200])
    write(replace(loaded(pictures), train_weights=np.arange(1, 5)), tmp_path / "out", shards=1)
    back = loaded(tmp_path / "out", source.records, skip_bad_pictures=True)
    assert back.train.labels.tolist() == [0, 0, 1]
    assert back.train_weights is not None
    assert back.train_weights.tolist() == [1, 3, 4]
