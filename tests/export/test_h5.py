"""The HDF5 format: nothing but plain numbers of the file itself is read."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tfcore.errors import DataError
from tfcore.export import h5


def chunked(file: h5py.File) -> None:
    file.create_dataset("a", data=np.zeros(10**6), compression="gzip")


def claimed(file: h5py.File) -> None:
    file.create_dataset("a", shape=(10**12,), dtype="f4")


def external(file: h5py.File) -> None:
    file.create_dataset("a", shape=(4,), dtype="u1", external=[("/etc/hostname", 0, 4)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource("other.h5", "secret", shape=(3,))
    file.create_virtual_dataset("a", layout)


def text(file: h5py.File) -> None:
    file.create_dataset("a", data="words")


def compound(file: h5py.File) -> None:
    file.create_dataset("a", data=np.zeros(2, [("x", "f4"), ("y", "i4")]))


def filtered(file: h5py.File) -> None:
    """By a filter that saves no byte; a file may name any, and HDF5 looks for it as a plug-in."""
    file.create_dataset("a", data=np.arange(1000.0), chunks=(1000,), shuffle=True)


def references(file: h5py.File) -> None:
    file.create_dataset("a", (2,), dtype=h5py.ref_dtype)


def region_references(file: h5py.File) -> None:
    file.create_dataset("a", (2,), dtype=h5py.regionref_dtype)


def opaque(file: h5py.File) -> None:
    file.create_dataset("a", data=np.zeros(2, "V8"))


def complex_numbers(file: h5py.File) -> None:
    file.create_dataset("a", data=np.zeros(2, complex))


def huge(file: h5py.File) -> None:
    file.create_dataset("a", shape=(2**30, 2**30), dtype="f4")


NOT_PLAIN = [
    chunked, claimed, external, virtual, text, compound, filtered, references, region_references, opaque,
    complex_numbers, huge,
]  # fmt: skip


@pytest.mark.parametrize("make", NOT_PLAIN)
def test_what_is_not_plain_is_refused(tmp_path: Path, make: Callable[[h5py.File], None]) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        make(file)
    with pytest.raises(
        DataError, match=r"'a' (is not contiguous, uncompressed numbers|does not have the size that its shape claims)"
    ):
        h5.read(tmp_path / "m.h5")


def patched(content: bytes, changes: dict[int, int]) -> bytes:
    """The file with some of its 8-byte numbers replaced by others."""
    for old, new in changes.items():
        assert old.to_bytes(8, "little") in content
        content = content.replace(old.to_bytes(8, "little"), new.to_bytes(8, "little"))
    return content


def test_a_header_that_claims_more_than_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.zeros(12_345, np.uint8)
    path.write_bytes(patched(path.read_bytes(), {12_345: 12_345 * 10**9}))
    with pytest.raises(DataError, match="damaged"):
        h5.read(path)


def test_headers_that_claim_the_same_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["large"] = np.zeros(54_321, np.uint8)
        small = [file.create_dataset(name, data=np.zeros(777, np.uint8)) for name in "abc"]
        place = file["large"].id.get_offset()
        changes = {777: 54_321, **{dataset.id.get_offset(): place for dataset in small}}
    path.write_bytes(patched(path.read_bytes(), changes))
    with pytest.raises(DataError, match="claim more bytes than the file has"):
        h5.read(path)


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.ones(3)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["mine"] = np.zeros(3)
        file["link"] = h5py.ExternalLink("other.h5", "/secret")
    with pytest.raises(DataError, match="holds links"):
        h5.read(tmp_path / "m.h5")


def test_links_in_circles_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["group/mine"] = np.zeros(3)
        file["group/same"] = file["/"]
    assert list(h5.read(path)[0]) == ["group/mine"]
    with h5py.File(path, "a") as file:
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
    with pytest.raises(DataError, match="is a link"):
        h5.read(path)


def test_groups_become_part_of_the_name_and_attributes_are_not_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["group/a"] = np.arange(3)
        file.attrs.update({"words": "text", "number": 3, "none": h5py.Empty("f4")})
    weights, metadata = h5.read(tmp_path / "m.h5")
    assert weights["group/a"].tolist() == [0, 1, 2]
    assert metadata == {}


def test_datasets_that_share_bytes_do_not_multiply_them(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["a"] = np.zeros(10**5)
        for number in range(50):
            file[f"again_{number}"] = file["a"]  # a second name for the same dataset
    weights, _ = h5.read(tmp_path / "m.h5")
    assert len(weights) == 1
