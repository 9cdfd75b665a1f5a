"""WebDataset: which files of a shard are pictures and labels, names of classes, damaged archives."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.shard_files import png, some, write_tar

from tfcore.data.dataset import Dataset
from tfcore.data.sources.webdataset import webdataset
from tfcore.errors import DataError

PICTURE = png(0)
PAIRS = [
    member for n, (data, label) in enumerate(some(4)) for member in ((f"{n}.png", data), (f"{n}.cls", b"%d" % label))
]


def read(path: Path, **settings: Any) -> Dataset:
    defaults = {"image_size": None, "image_fit": "stretch", "test_share": 0.5, "seed": 0, "skip_bad_pictures": False}
    return webdataset(path, **{**defaults, **settings})


def test_files_of_a_sample_share_their_name_up_to_the_first_dot(tmp_path: Path) -> None:
    pictures = [png(number) for number in range(5)]
    members = [
        ("a/0001.PNG", pictures[0]), ("a/0001.txt", b"a caption"), ("a/0001.cls", b" 1\n"),
        ("b/0001.json", b'{"label": 0, "cls": 7}'), ("b/0001.jpg", pictures[1]),
        ("x.tar/v1.2.png", PICTURE), ("readme.md", b"hello"),
        ("2.json", b'{"cls": 1}'), ("2.webp", pictures[2]),
        ("3.cls", b"0"), ("3.json", b"[]"), ("3.bmp", pictures[3]),
        ("4.cls", b"1"), ("4.gif", pictures[4]), ("4.mask.png", b"another picture"),
    ]  # fmt: skip
    write_tar(tmp_path / "a.tar", members)
    train = read(tmp_path).train
    assert train.store.read(np.arange(5)) == pictures
    assert train._stored.labels.tolist() == [1, 0, 1, 0, 1]


@pytest.mark.parametrize(("file", "expected"), [("class_names.txt", "cat"), ("classes.txt", "cat"), ("n.txt", "0")])
def test_names_of_the_classes_are_beside_the_shards(tmp_path: Path, file: str, expected: str) -> None:
    (tmp_path / file).write_text("cat\ndog\n")
    write_tar(tmp_path / "a.tar", PAIRS)
    assert read(tmp_path).class_names[0] == expected


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("0.png", PICTURE)], r"^0 in .*a\.tar must have one picture and a label .* It has 1 pictures and 0 such"),
        ([("0.png", PICTURE), ("0.jpg", PICTURE), ("0.cls", b"0")], "It has 2 pictures and 1 such"),
        ([("0.png", PICTURE), ("0.png", PICTURE), ("0.cls", b"0")], "It has 2 pictures"),
        ([("0.png", PICTURE), ("1.cls", b"0")], "It has 1 pictures and 0 such"),
        ([("0.png", PICTURE), ("0.cls", b"cat")], "The .cls file of 0 in .* must hold the label, .* Received 'cat'"),
        ([("0.png", PICTURE), ("0.cls", b"1" * 30)], "must hold the label, a whole number"),
        ([("0.png", PICTURE), ("0.json", b'{"label": "cat"}')], "as an object with \"label\" or \"cls\". Received"),
        ([("0.png", PICTURE), ("0.json", b'{"label": true}')], "must hold the label"),
        ([("0.png", PICTURE), ("0.json", b'{"label": 1e30}')], "must hold the label"),
        ([("0.png", PICTURE), ("0.json", b"[" * 100_000)], "must hold the label"),
        ([("0.png", PICTURE), ("0.cls", b" " * (1 << 21))], "must have at most 1048576 bytes"),
        ([("0.png", PICTURE), ("0.cls", b"-1")], "Labels must be whole numbers from 0"),
        ([("0.png", b""), ("0.cls", b"0")], r"must hold pictures of 1 to .* Record 0 has 0 at byte 512"),
        ([("a\x1b\n.png", PICTURE)], r"^a\\x1b\\n in "),
        ([], "A split needs at least one example"),
    ],
)  # fmt: skip
def test_bad_samples_are_named(tmp_path: Path, members: list[tuple[str, bytes]], message: str) -> None:
    write_tar(tmp_path / "a.tar", members)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def broken(kind: str) -> bytes:
    """The bytes of a tar of PAIRS, changed."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz" if kind == "compressed" else "w") as tar:
        for name, data in PAIRS:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if kind == "long header":
                member.pax_headers = {"comment": "x" * (2 << 20)}
            tar.addfile(member, io.BytesIO(data))
    data = bytearray(file.getvalue())
    if kind == "header":
        data[1024 + 20] ^= 1  # of the second file
    if kind == "without its end":
        del data[len(PAIRS) * 1024 :]
    return bytes(data)


@pytest.mark.parametrize("kind", ["header", "without its end", "compressed", "long header"])
def test_damaged_archives_are_refused(tmp_path: Path, kind: str) -> None:
    """tarfile alone would take the first two for shorter archives."""
    (tmp_path / "a.tar").write_bytes(broken(kind))
    with pytest.raises(DataError, match=r"a\.tar is damaged, cut off or no plain \.tar"):
        read(tmp_path)


def test_links_and_folders_are_no_pictures(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for kind, name in ((tarfile.SYMTYPE, "../../9.png"), (tarfile.LNKTYPE, "8.png"), (tarfile.DIRTYPE, "7.png")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        for name, data in PAIRS:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    assert len(read(tmp_path).train.store) == 4
