"""Small data sets in files, one for each reader that reads batch by batch, for runs that are killed."""

from pathlib import Path

from tests.support import shard_files
from tfcore.data import record_writer
from tfcore.data.sources import webdataset

TRAIN, TEST = 240, 40
READERS = ("folder", "records", *shard_files.READERS)
_SETTINGS = {"image_size": None, "image_fit": "stretch", "test_share": 0.5, "seed": 0, "skip_bad_pictures": False}
_FLAGS = ("--image_size=16", f"--train_examples={TRAIN}", f"--test_examples={TEST}", "--pixels=unit", "--steps=60")


def flags(reader: str, folder: Path) -> list[str]:
    """Writes a data set into a folder; returns the flags of a short run on it."""
    place = folder / "data"
    pictures = {"train": shard_files.some(TRAIN), "test": shard_files.some(TEST, TRAIN)}
    if reader == "folder":
        for split, encoded in pictures.items():
            for number, (picture, label) in enumerate(encoded):
                path = place / split / shard_files.CLASS_NAMES[label] / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(picture)
        return [f"--dataset=folder:{place}", *_FLAGS]
    if reader == "records":
        shard_files.write("webdataset", folder / "source", pictures)
        record_writer.write(webdataset.webdataset(folder / "source", **_SETTINGS), place, shards=3)
        return [f"--dataset=records:{place}", *_FLAGS]
    shard_files.write(reader, place, pictures)
    return [f"--dataset={shard_files.READERS[reader]}:{place}", *_FLAGS]
