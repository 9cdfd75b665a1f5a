"""Program: reads inputs that claim or unpack to gigabytes, under a memory limit set by the system.

Prints a line of JSON for each: what the reader said.
"""

import gzip
import json
import resource
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
from support import record_sets, tensor_bundle
from support.readers import PLAN, READERS
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from tfcore.errors import TfcoreError

HEADROOM_BYTES = 256 << 20
BOMB_BYTES = 2 * HEADROOM_BYTES
GIGABYTES = 3 * 10**9


def sparse(path: Path, start: bytes = b"", size_bytes: int = 10**12) -> None:
    """Writes a sparse file: `start`, then zeros that take no space on the disk."""
    with path.open("r+b") as file:
        file.write(start)
        file.truncate(size_bytes)


def npy(shape: str, descr: str = "|u1") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def member(path: Path, name: str, start: bytes, zeros_bytes: int = 0, packing: int = zipfile.ZIP_DEFLATED) -> None:
    """Writes an .npz whose member is `start` followed by zeros."""
    with zipfile.ZipFile(path, "w", packing, compresslevel=1) as archive:
        archive.writestr("y_train.npy", b"")
        with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
            file.write(start)
            for _ in range(zeros_bytes >> 20):
                file.write(bytes(1 << 20))


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), *chunks, (b"IDAT", zlib.compress(b""))]
    packed = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIIIII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def jpeg(width: int, height: int) -> bytes:
    frame = struct.pack(">BHBHHB", 0xC2, 11, 8, height, width, 1) + b"\1\x11\0"
    return b"\xff\xd8\xff" + frame + b"\xff\xda\0\x08\1\1\0\0?\0" + bytes(99)


def gif(width: int, height: int) -> bytes:
    size = struct.pack("<HH", width, height)
    return b"GIF89a" + size + bytes(3) + b"," + bytes(4) + size + b"\0\2\0;"


def packed_zeros() -> bytes:
    """Returns the body of a PNG chunk of text or of a colour profile that unpacks to zeros."""
    return b"a\0\0" + zlib.compress(bytes(BOMB_BYTES), 1)


def tar_bomb(path: Path, kind: bytes = tarfile.REGTYPE) -> None:
    """Writes an archive with a member of zeros, each megabyte in a separate gzip stream."""
    info = tarfile.TarInfo("cifar-10-batches-bin/readme.html")
    info.size, info.type = BOMB_BYTES, kind
    path.write_bytes(gzip.compress(info.tobuf()) + gzip.compress(bytes(1 << 20)) * (BOMB_BYTES >> 20))


def tar_claim(path: Path, kind: bytes = tarfile.REGTYPE) -> None:
    """Writes a sparse archive that begins with a member of gigabytes."""
    info = tarfile.TarInfo("0.png")
    info.size, info.type = GIGABYTES, kind
    sparse(path, info.tobuf())


def gz_claim(path: Path) -> None:
    path.unlink()
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(IDX))


def gz_bomb(path: Path) -> None:
    count = BOMB_BYTES >> 20
    path.unlink()
    header = gzip.compress(struct.pack(">4I", 2051, count, 1024, 1024))
    path.with_name(f"{path.name}.gz").write_bytes(header + gzip.compress(bytes(1 << 20)) * count)


def h5(path: Path, **settings: object) -> None:
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_dataset("a", dtype="f4", **settings)


def record(length: int) -> bytes:
    header = struct.pack("<Q", length)
    return header + struct.pack("<I", masked_crc32c(header)) + b"rest"


def wide_plan(path: Path) -> None:
    path.write_text(replace(PLAN, model="mlp", sizes={"hidden": (10**9,)}).to_json())


def safetensors(path: Path, side: int) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [side], "data_offsets": [0, 4 * side]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))


def checkpoint_index(path: Path) -> None:
    path.write_bytes(tensor_bundle.index({"model.a": (GIGABYTES,)}, {"model.a": 4 * GIGABYTES}))


def large_pictures(path: Path) -> None:
    """Claims pictures of gigabytes, in shards that are as large."""

    def change(found: record_sets.Json) -> None:
        found["images"]["size"] = [10_000, 10_000]
        for piece in [piece for split in found["splits"].values() for piece in split["shards"]]:
            piece["bytes"] = 10**12
            sparse(path.with_name(piece["file"]))

    record_sets.change_manifest(path.parent, change)


def records_labels(path: Path) -> None:
    """Claims a thousand million labels, with the right checksum."""
    path.write_bytes(npy(f"({10**9},)", "<i4"))
    record_sets.adopt(path.parent, lambda found: found["splits"]["test"]["labels"])


IDX = struct.pack(">4I", 2051, 2**32 - 1, 28, 28)
HEADER = npy(f"({10**9}, 4, 4)")
Spoil = Callable[[Path], object]
CASES: list[tuple[str, str, Spoil]] = [  # the reader, the case, how its file is spoilt
    ("cifar", "true size", lambda path: sparse(path, size_bytes=3073 * 10**9)),
    ("cifar names", "endless line", sparse),
    ("idx images", "claim", lambda path: path.write_bytes(IDX)),
    ("idx images", "true size", lambda path: sparse(path, IDX, 16 + 784 * (2**32 - 1))),
    ("idx images", "packed claim", gz_claim),
    ("idx images", "bomb", gz_bomb),
    ("text", "endless line", lambda path: sparse(path, b"0 1 2 3 4\n")),
    ("text", "endless numbers", lambda path: path.write_bytes(b"0 " + b"10 " * (7 << 20))),
    ("class names", "endless", sparse),
    ("npz", "claim", lambda path: member(path, "x_train", npy("(1000000000, 28, 28)"))),
    ("npz", "bomb", lambda path: member(path, "x_train", npy(f"({BOMB_BYTES >> 20}, 1024, 1024)"), BOMB_BYTES)),
    ("npz", "bomb of a header", lambda path: member(path, "x_train", b"\x93NUMPY\2\0\xff\xff\xff\x7f", BOMB_BYTES)),
    ("npz", "names of gigabytes", lambda path: member(path, "class_names", npy("(1,)", "<U500000000"))),
    ("npz", "sparse", sparse),
    ("folder", "png", lambda path: path.write_bytes(png(10**5, 10**5))),
    ("folder", "bmp", lambda path: path.write_bytes(bmp(10**5, 10**5))),
    ("folder", "jpeg", lambda path: path.write_bytes(jpeg(65500, 65500))),
    ("folder", "gif", lambda path: path.write_bytes(gif(65535, 65535))),
    ("tfrecord", "claim", lambda path: path.write_bytes(record(GIGABYTES))),
    ("tfrecord", "true size", lambda path: sparse(path, record(BOMB_BYTES))),
    ("webdataset", "picture", tar_claim),
    ("webdataset", "header", lambda path: tar_claim(path, tarfile.XHDTYPE)),
    ("webdataset", "name", lambda path: tar_claim(path, tarfile.GNUTYPE_LONGNAME)),
    ("parquet", "sparse", sparse),
    ("parquet", "footer", lambda path: path.write_bytes(b"PAR1" + bytes(99) + struct.pack("<I", GIGABYTES) + b"PAR1")),
    ("arrow", "sparse", sparse),
    ("arrow", "claim", lambda path: path.write_bytes(b"\xff\xff\xff\xff\0\xff\xff\x7f" + b"\xff\xff\xff\xff\0\0\0\0")),
    ("tfds", "sparse", sparse),
    ("array_record", "sparse", sparse),
    ("picture", "text", lambda path: path.write_bytes(png(4, 4, (b"zTXt", packed_zeros())))),
    ("picture", "profile", lambda path: path.write_bytes(png(4, 4, (b"iCCP", packed_zeros())))),
    ("picture", "sparse", lambda path: sparse(path, png(4, 4))),
    ("pictures", "claim", lambda path: path.write_bytes(HEADER)),
    ("pictures", "true size", lambda path: sparse(path, HEADER, len(HEADER) + 16 * 10**9)),
    ("archive", "bomb", tar_bomb),
    ("archive", "bomb of a header", lambda path: tar_bomb(path, tarfile.XHDTYPE)),
    ("archive", "bomb of a name", lambda path: tar_bomb(path, tarfile.GNUTYPE_LONGNAME)),
    ("records' manifest", "sparse", sparse),
    ("records' manifest", "brackets", lambda path: path.write_bytes(b"[" * (1 << 24))),
    ("records' manifest", "large pictures", large_pictures),
    ("records' shard", "sparse", sparse),
    ("records' labels", "claim", records_labels),
    ("exported npz", "bomb", lambda path: member(path, "a", npy(f"({BOMB_BYTES},)"), BOMB_BYTES)),
    ("exported npz", "claim", lambda path: member(path, "a", HEADER, packing=zipfile.ZIP_STORED)),
    ("exported npz", "sparse", sparse),
    ("exported h5", "claim", lambda path: h5(path, shape=(GIGABYTES,))),
    ("exported h5", "bomb", lambda path: h5(path, shape=(1 << 22,), compression="gzip", fillvalue=1)),
    ("exported h5", "sparse", sparse),
    ("exported safetensors", "claim", lambda path: safetensors(path, GIGABYTES)),
    ("exported safetensors", "header", lambda path: path.write_bytes(struct.pack("<Q", GIGABYTES) + b"{}")),
    ("exported safetensors", "sparse", sparse),
    ("architecture", "wide model", wide_plan),
    ("architecture", "sparse", sparse),
    ("architecture", "brackets", lambda path: path.write_bytes(b"[" * (1 << 24))),
    ("run's architecture", "wide model", wide_plan),
    ("run's flags", "sparse", sparse),
    ("run's result", "sparse", sparse),
    ("run's curves", "endless line", sparse),
    ("run's log", "endless line", sparse),
    ("run's times", "endless line", sparse),
    ("run's events", "claim", lambda path: path.write_bytes(record(GIGABYTES))),
    ("checkpoint's index", "claim", checkpoint_index),
    ("checkpoint's data", "claim", lambda path: checkpoint_index(path.with_name("state.index"))),
    ("checkpoint's facts", "claim", lambda path: checkpoint_index(path.with_name("state.index"))),
]


def tried(name: str, spoil: Spoil) -> str:
    """Reads a spoilt input under the memory limit and returns the outcome."""
    with tempfile.TemporaryDirectory() as place:
        READERS[name].make(Path(place))
        spoil(Path(place, READERS[name].file))
        return limited(lambda: READERS[name].read(Path(place))).replace(place, "FOLDER")


def limited(work: Callable[[], object]) -> str:
    """Reads with so many more bytes of memory available and returns the outcome."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped_bytes() + HEADROOM_BYTES, limits[1]))
    try:
        work()
        return "done"
    except TfcoreError as error:
        return f"refused: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def mapped_bytes() -> int:
    """Returns the size of this process's address space in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def main() -> None:
    for reader in READERS.values():  # all imports and threads come before the limit
        with tempfile.TemporaryDirectory() as place:
            reader.make(Path(place))
            reader.read(Path(place))
    print(json.dumps({"reader": "none", "trial": "the limit", "said": limited(lambda: bytes(BOMB_BYTES))}))
    for name, trial, spoil in CASES:
        print(json.dumps({"reader": name, "trial": trial, "said": tried(name, spoil)}), flush=True)


if __name__ == "__main__":
    main()
