"""The .npz format: readable by anyone, harmless whoever wrote it."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcore.errors import DataError
from tfcore.export import files, npz


class Trap:
    """Unpickling this would end the test run with an error."""

    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('unpickled')",))


def header(shape: str, dtype: str = "<f4") -> bytes:
    """The start of an .npy file that claims this shape."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little") + text


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        npz.write(tmp_path / name, {"a": np.ones(3)}, {"x": "1", "y": "2"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_numpy_wrote_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", **{"a.weights": np.asfortranarray(np.arange(6.0).reshape(2, 3))})
    weights, metadata = npz.read(tmp_path / "m.npz")
    assert weights["a.weights"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert metadata == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header("(1000000000000,)"), "claims another size"),
        (header("(-1, -4)") + bytes(16), "damaged"),
        (header("(0, 10000000000000000000000000)"), "damaged"),
        (header("(2,)") + bytes(7), "claims another size"),
        (header("(2,)") + bytes(9), "claims another size"),
        (header("(" * 3000 + ")" * 3000), "damaged"),
        (header("(1,)", "<U2") + bytes(8), "no plain numbers"),
        (header("(1,)", "|V4") + bytes(4), "no plain numbers"),
        (header("()", "|O") + pickle.dumps(Trap()), "damaged"),
        (header("(1,)", "|O") + bytes(8), "damaged"),
    ],
)
def test_what_lies_or_could_run_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        npz.read(archive(tmp_path / "m.npz", {"a": content}))


def test_what_is_compressed_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(10**6))
    path = archive(tmp_path / "m.npz", {"a": buffer.getvalue()}, zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match="is compressed"):
        npz.read(path)


def test_members_that_claim_more_than_the_file_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.npz", {"a": header("(2,)") + bytes(8)})
    content = path.read_bytes()
    directory = content.rindex(b"PK\x01\x02")
    size = directory + 24  # of the unpacked member
    path.write_bytes(content[:size] + (10**9).to_bytes(4, "little") + content[size + 4 :])
    with pytest.raises(DataError, match="claim more bytes"):
        npz.read(path)


def test_a_changed_number_is_noticed(tmp_path: Path) -> None:
    npz.write(tmp_path / "m.npz", {"a": np.full(4, 1.5)}, {})
    content = (tmp_path / "m.npz").read_bytes()
    (tmp_path / "m.npz").write_bytes(content.replace(np.full(4, 1.5).tobytes(), np.full(4, 2.5).tobytes()))
    with pytest.raises(DataError, match="Bad CRC-32"):
        npz.read(tmp_path / "m.npz")


@pytest.mark.parametrize("text", [b"[1]", b"nonsense", b"3", b'{"step": 3}', b"\xff"])
def test_metadata_must_be_an_object(tmp_path: Path, text: str) -> None:
    np.savez(tmp_path / "m.npz", **{files.METADATA: np.frombuffer(text, np.uint8)})
    with pytest.raises(DataError, match="damaged"):
        npz.read(tmp_path / "m.npz")
