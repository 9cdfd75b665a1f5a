"""Mutates data sets in simple formats: CIFAR's records, IDX and text."""

import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

from tfcore.data import download
from tfcore.data.sources import cifar, text
from tfcore.data.sources import idx as idx_files
from tools.reliability.mutated_files import containers, mutate
from tools.reliability.mutated_files.reader import Files, Reader, check_dataset, mutated, watched

Past = Callable[[], None]


def _cifar_files(draw: Random, bad: bool) -> Files:
    layout = draw.choice((cifar.CIFAR10, cifar.CIFAR100))
    folder = download.PUBLISHED[layout.name].folder
    files: Files = {}
    for name in (*layout.train_files, *layout.test_files):
        labels = [
            bytes(draw.randrange(classes) for classes in layout.label_classes) for _ in range(draw.choice((1, 2)))
        ]
        files[f"{folder}/{name}"] = b"".join(label + draw.randbytes(cifar.PICTURE_BYTES) for label in labels)
    names = (f"class {number}" for number in range(layout.label_classes[-1]))
    files[f"{folder}/{layout.names_file}"] = "\n".join(names).encode()
    if bad and draw.random() < 0.02:
        return {f"{layout.pickled[0]}/x": b""}
    return mutated(draw, files, lambda name, content: _odd_cifar(draw, name, content)) if bad else files


def _odd_cifar(draw: Random, name: str, content: bytes) -> bytes:
    if name.endswith(".txt"):
        return mutate.lines(draw, content)
    record_bytes = cifar.PICTURE_BYTES + (2 if "cifar-100" in name else 1)
    match draw.randrange(6):
        case 0:
            return mutate.damage(draw, content)
        case 1:
            sizes = (0, 1, record_bytes - 1, record_bytes, record_bytes + 1, 3 * record_bytes)
            return (3 * content)[: draw.choice(sizes)]
        case 2:
            return mutate.flip(draw, content, 2)
    place = draw.randrange(0, len(content), record_bytes) + draw.randrange(record_bytes - cifar.PICTURE_BYTES)
    return mutate.overwrite(draw, content, place, "B")


def _read_cifar(folder: Path, draw: Random, past: Past) -> None:  # noqa: ARG001 (all readers are called alike)
    ten = (folder / "cifar-10-batches-bin").exists() or (folder / "cifar-10-batches-py").exists()
    with watched(cifar, "_check_labels", past):
        check_dataset(cifar.cifar10(folder) if ten else cifar.cifar100(folder))


def _idx_files(packing: bool) -> Callable[[Random, bool], Files]:
    """Draws the four files of MNIST, uncompressed or as .gz."""

    def files(draw: Random, bad: bool) -> Files:
        shape, made = [draw.randint(1, 4) for _ in "HW"], {}
        for prefix in ("train", "t10k"):
            count = draw.randint(3, 5)
            labels = bytes([0, 1, *(draw.randrange(2) for _ in range(count - 2))])
            pixels = draw.randbytes(count * shape[0] * shape[1])
            made[f"{prefix}-images-idx3-ubyte"] = struct.pack(">4I", idx_files.IMAGES_MAGIC, count, *shape) + pixels
            made[f"{prefix}-labels-idx1-ubyte"] = struct.pack(">2I", idx_files.LABELS_MAGIC, count) + labels
        odd = draw.choice(list(made)) if bad else ""
        wrapped = bool(packing and draw.random() < 0.5)  # the mutation is in the gzip, not in its content
        content = {name: _odd_idx(draw, data) if name == odd and not wrapped else data for name, data in made.items()}
        if not packing:
            return dict(content)
        pack: Callable[[str], Callable[[Random, bytes], bytes]] = lambda name: (  # noqa: E731
            containers.odd_gzip if name == odd and wrapped else lambda _, data: containers.gzipped(data)
        )
        return {f"{name}.gz": pack(name)(draw, data) for name, data in content.items()}

    return files


def _odd_idx(draw: Random, content: bytes) -> bytes:
    axes = 3 if content[3] == idx_files.IMAGES_MAGIC % 256 else 1
    place = 4 * draw.randint(0 if draw.random() < 0.2 else 1, axes)
    match draw.randrange(8):
        case 0:
            return mutate.overwrite(draw, content, place, ">I")
        case 1:  # the count and the size of the file still agree
            count = draw.randint(1, 300)
            size_bytes = count * (len(content) - 4 - 4 * axes) // struct.unpack_from(">I", content, 4)[0]
            return content[:4] + struct.pack(">I", count) + content[8 : 4 + 4 * axes] + draw.randbytes(size_bytes)
        case 2:
            return mutate.damage(draw, content, 4 + 4 * axes)
        case 3:
            return mutate.cut(draw, content)
        case 4:
            return mutate.damage(draw, content)
    return mutate.flip(draw, content, 4 + 4 * axes)


def _read_idx(folder: Path, draw: Random, past: Past) -> None:  # noqa: ARG001
    with watched(idx_files, "read_bytes", past):
        check_dataset(idx_files.idx(folder))


def _text_files(draw: Random, bad: bool) -> Files:
    pixels, mark, blank = (
        draw.choice((1, 4, 12, 9)),
        draw.choice((b"** ", b"")),
        draw.choice((b" ", b"\t", b",", b"  ")),
    )

    def lines(count: int) -> bytes:
        labels = [0, 1, 0, 1, *(draw.randrange(2) for _ in range(count - 4))]
        made = [
            b"%d " % label + mark + blank.join(b"%d" % draw.randrange(256) for _ in range(pixels)) for label in labels
        ]
        return b"\n".join(made) + draw.choice((b"", b"\n"))

    if draw.random() < 0.5:
        files: Files = {"2x2.txt" if pixels == 4 else "a.txt": lines(draw.randint(4, 6))}
    else:
        files = {"train.txt": lines(draw.randint(4, 6)), "test.txt": lines(4)}
    if draw.random() < 0.2:
        files["class_names.txt"] = b"cat\ndog\n"
    return mutated(draw, files, lambda _, content: _odd_text(draw, content)) if bad else files


def _odd_text(draw: Random, content: bytes) -> bytes:
    if draw.random() < 0.3:
        return mutate.lines(draw, content)
    rows = [line.split(b" ") for line in content.split(b"\n")]
    first = draw.random() < 0.2  # an error in the first line, which determines the number of pixels
    place = 0 if first else draw.randrange(len(rows))
    match draw.randrange(4):
        case 0 | 1:
            rows[place] = mutate.replace(draw, rows[place], lambda _: draw.choice(mutate.TOKENS))
        case 2:
            rows[place] = mutate.rearrange(draw, rows[place], mutate.TOKENS)
        case 3:
            rows[place] = [mutate.damage(draw, b" ".join(rows[place]))]
    return b"\n".join(b" ".join(row) for row in rows)


def _read_text(folder: Path, draw: Random, past: Past) -> None:  # noqa: ARG001
    plain, shaped = folder / "a.txt", folder / "2x2.txt"
    path = next((path for path in (plain, shaped) if path.exists()), folder)
    with watched(text, "_row", past):
        check_dataset(text.text(path, image_shape=(2, 2, 1) if path == shaped else None, test_share=0.5, seed=0))


CIFAR = Reader(_cifar_files, _read_cifar)
IDX = Reader(_idx_files(False), _read_idx)
IDX_GZ = Reader(_idx_files(True), _read_idx)
TEXT = Reader(_text_files, _read_text)
