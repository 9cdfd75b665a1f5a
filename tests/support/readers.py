"""Table of every reader of the package, each with a valid input to spoil."""

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image
from support import shard_files

import tfcore
from tfcore.architecture import Architecture
from tfcore.build.configuration import of_run
from tfcore.config import RunConfig
from tfcore.data import download, encoded, pictures, record_writer
from tfcore.data.dataset import Dataset, Split
from tfcore.data.sources import cifar, folder, huggingface, idx, npz, records, text, tfds, tfrecord, webdataset
from tfcore.data.windows import Fit
from tfcore.export import checkpoint
from tfcore.export.weights import FORMATS
from tfcore.history import History
from tfcore.training.checkpoints import Checkpoints
from tfcore.training.run_folder import RunFolder
from tfcore.training.run_log import RunLog, trim
from tfcore.training.run_time import RunTime
from tfcore.use import loading

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 4, 4), np.uint8)
LABELS = np.array([0, 1, 0, 1, 0, 1], np.uint8)
PLAN = Architecture("softmax", (4, 4, 1), ("a", "b"))
SHARE = {"test_share": 0.5, "seed": 0}


class Reader(NamedTuple):
    """Reader: `make` writes a valid input into an empty folder, `read` reads it; tests spoil `file`."""

    file: str
    make: Callable[[Path], None]
    read: Callable[[Path], Any]


def write_cifar(path: Path) -> None:
    inner = path / "cifar-10-batches-bin"
    inner.mkdir()
    for name in (*cifar.CIFAR10.train_files, *cifar.CIFAR10.test_files):
        np.concatenate([LABELS[:2, None], RNG.integers(0, 256, (2, 3072), np.uint8)], axis=1).tofile(inner / name)
    (inner / "batches.meta.txt").write_text("".join(f"name {number}\n" for number in range(10)))


def write_idx(path: Path) -> None:
    for prefix in ("train", "t10k"):
        (path / f"{prefix}-images-idx3-ubyte").write_bytes(
            np.array([2051, 6, 4, 4], ">u4").tobytes() + IMAGES.tobytes()
        )
        (path / f"{prefix}-labels-idx1-ubyte").write_bytes(np.array([2049, 6], ">u4").tobytes() + LABELS.tobytes())


def write_text(path: Path) -> None:
    lines = [" ".join(map(str, [label, "**", *image.reshape(-1)])) for label, image in zip(LABELS, IMAGES, strict=True)]
    for name in ("train.txt", "test.txt"):
        (path / name).write_text("\n".join(lines) + "\n")
    (path / "class_names.txt").write_text("cat\ndog\n")


def write_npz(path: Path) -> None:
    np.savez_compressed(path / "my.npz", x_train=IMAGES, y_train=LABELS, class_names=np.array(["cat", "dog"]))


def write_folder(path: Path) -> None:
    for label in (0, 1):
        (path / f"class_{label}").mkdir()
        for number in range(3):
            Image.fromarray(IMAGES[number]).save(path / f"class_{label}" / f"{number}.png")


def write_records(path: Path) -> None:
    split = Split(IMAGES[..., np.newaxis], LABELS.astype(np.int32))
    record_writer.write(Dataset("made", split, split, ("cat", "dog")), path / "made", shards=2)


def write_archive(path: Path) -> None:
    with tarfile.open(path / "cifar-10-binary.tar.gz", "w:gz") as tar:
        for name in download.PUBLISHED["cifar10"].sizes:
            content = b"".join(b"name\n" for _ in range(10)) if name.endswith(".txt") else bytes(3073)
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def write_run(path: Path) -> None:
    """Writes a run folder without training."""
    (path / "config.flags").write_text(replace(RunConfig(), model="softmax", steps=3).flags(), encoding="utf-8")
    (path / "architecture.json").write_text(PLAN.to_json(), encoding="utf-8")
    (path / "result.json").write_text('{"status": "finished", "steps": 3, "test": {"accuracy": 0.5}}')
    log = RunLog(path)
    log.write(1, "train", {"loss": 1.0})
    log.close()
    RunTime(path).commit(1, 0.5)
    (event_file,) = (path / "train").iterdir()
    event_file.rename(path / "train" / "events.out.tfevents.1")
    weights = {"model.logits.weights": tf.zeros([16, 2]), "model.logits.biases": tf.zeros([2])}
    Checkpoints(path / "checkpoints", {name: tf.Variable(value) for name, value in weights.items()}).save(3)


def writes_shards(form: str) -> Callable[[Path], None]:
    return lambda path: shard_files.write(form, path, {"train": shard_files.some(6), "test": shard_files.some(4)})


def writes_weights(form: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        weights = {"logits.weights": np.ones((16, 2), np.float32), "logits.biases": np.ones(2, np.float32)}
        FORMATS[form].write(path / f"m.{form}", weights, {"architecture": PLAN.to_json()})

    return write


def own(read: Callable[..., Any], name: str = "", **settings: Any) -> Callable[[Path], Any]:
    return lambda path: read(path / name, **settings)


_STEP = "checkpoints/step-0000000003"
FILES = {"image_size": None, "image_fit": "stretch", "skip_bad_pictures": False}
FOLDER = {**FILES, **SHARE}
READERS = {
    "cifar": Reader("cifar-10-batches-bin/data_batch_2.bin", write_cifar, cifar.cifar10),
    "cifar names": Reader("cifar-10-batches-bin/batches.meta.txt", write_cifar, cifar.cifar10),
    "idx images": Reader("train-images-idx3-ubyte", write_idx, idx.idx),
    "idx labels": Reader("t10k-labels-idx1-ubyte", write_idx, idx.idx),
    "text": Reader("train.txt", write_text, own(text.text, image_shape=None, **SHARE)),
    "text file": Reader("test.txt", write_text, own(text.text, "test.txt", image_shape=None, **SHARE)),
    "class names": Reader("class_names.txt", write_text, own(text.text, image_shape=None, **SHARE)),
    "npz": Reader("my.npz", write_npz, own(npz.npz, "my.npz", **SHARE)),
    "folder": Reader("class_0/1.png", write_folder, own(folder.folder, **FOLDER)),
    "tfrecord": Reader("train-00001-of-00002", writes_shards("tfrecord"), own(tfrecord.tfrecord, **FOLDER)),
    "webdataset": Reader("test-000000.tar", writes_shards("webdataset"), own(webdataset.webdataset, **FOLDER)),
    "parquet": Reader(
        "data/train-00001-of-00002.parquet", writes_shards("parquet"), own(huggingface.huggingface, **FOLDER)
    ),
    "arrow": Reader("test/data-00000-of-00002.arrow", writes_shards("arrow"), own(huggingface.huggingface, **FOLDER)),
    "tfds": Reader("dataset_info.json", writes_shards("tfds"), own(tfds.tfds, **FOLDER)),
    "array_record": Reader(
        "pets-train.array_record-00001-of-00002", writes_shards("array_record"), own(tfds.tfds, **FOLDER)
    ),
    "picture": Reader(
        "class_0/1.png", write_folder, lambda p: encoded.read_picture(p / "class_0/1.png", (4, 4, 1), Fit(None))
    ),
    "pictures": Reader(
        "a.npy", lambda p: np.save(p / "a.npy", IMAGES), lambda p: pictures.read_pictures(p / "a.npy", (4, 4, 1))
    ),
    **{
        f"records' {kind}": Reader(f"made/{file}", write_records, own(records.records, "made", **FILES))
        for kind, file in {
            "manifest": "manifest.json",
            "shard": "train-00001-of-00002.arrayrecord",
            "labels": "test-labels.npy",
        }.items()
    },
    "archive": Reader("cifar-10-binary.tar.gz", write_archive, cifar.cifar10),
    **{
        f"exported {form}": Reader(f"m.{form}", writes_weights(form), own(tfcore.load, f"m.{form}")) for form in FORMATS
    },
    "architecture": Reader("m.json", lambda p: (p / "m.json").write_text(PLAN.to_json()), own(tfcore.load, "m.json")),
    "run's flags": Reader("config.flags", write_run, of_run),
    "run's architecture": Reader("architecture.json", write_run, tfcore.load),
    "run's result": Reader("result.json", write_run, lambda path: RunFolder(path).read_result()),
    "run's curves": Reader("metrics.jsonl", write_run, History),
    "run's log": Reader("metrics.jsonl", write_run, lambda path: trim(RunFolder(path).path, 1)),
    "run's times": Reader("parts.jsonl", write_run, lambda path: RunTime(path).resume(1)),
    "run's events": Reader("train/events.out.tfevents.1", write_run, lambda path: trim(RunFolder(path).path, 1)),
    "checkpoint's index": Reader(f"{_STEP}/state.index", write_run, lambda p: checkpoint.read(p / "checkpoints", 3)),
    "checkpoint's data": Reader(f"{_STEP}/state.data-00000-of-00001", write_run, loading.read_weights),
    "checkpoint's facts": Reader(
        f"{_STEP}/state.data-00000-of-00001", write_run, lambda p: Checkpoints(p / "checkpoints", {}).about(3)
    ),
}
