"""Compares how fast pictures in files are read, decoded and cut, with Keras, tf.data by hand and PyTorch.

    python benchmarks/inputs.py --pictures=3000 --rounds=3

Draws JPEGs of 500x375 in folders of 100 classes, then reads them in random order to random parts of 224x224 (Keras has
no such; it resizes whole pictures), in batches of 128, without a model, from the page cache. Each side runs in a
process of its own, in turn, on all processors; for one that cannot run, the reason is printed. `--only=torch` runs one.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Python puts only the folder of a script on the path

BATCH, SIZE, CLASSES = 128, 224, 100


def draw(folder: Path, pictures: int) -> None:
    """Draws JPEGs with the detail of photos, about 65 kB each."""
    from PIL import Image

    for number in range(pictures):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
        smooth = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(smooth + rng.normal(0, 10, smooth.shape), 0, 255).astype(np.uint8)
        path = folder / f"class_{number % CLASSES:03d}" / f"{number:06d}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(noisy).save(path, quality=88)


def ours(dataset: str, augment: str = "resized_crop,flip") -> Iterator[Any]:
    """The batches of a training run."""
    from tfcore.build.augmentation import build_augmentation
    from tfcore.build.data import load_dataset, make_splits
    from tfcore.build.tables import AUGMENTATIONS
    from tfcore.config import RunConfig
    from tfcore.data.batches import TrainingBatches

    config = RunConfig(dataset=dataset, image_size=(SIZE,), augment=augment, validation=0, batch_size=BATCH)
    data = load_dataset(config)
    augmentation = build_augmentation(config, data, AUGMENTATIONS)
    train = make_splits(config, data)["train"]
    return TrainingBatches(train, batch_size=BATCH, seed=0, augmentation=augmentation).from_step(0)


def keras(folder: Path) -> Iterator[Any]:
    """`image_dataset_from_directory`, shuffled, with prefetching."""
    import tensorflow as tf

    given = tf.keras.utils.image_dataset_from_directory(folder, image_size=(SIZE, SIZE), batch_size=BATCH, verbose=0)
    return iter(given.repeat().prefetch(tf.data.AUTOTUNE))


def by_hand(folder: Path) -> Iterator[Any]:
    """`tf.data` as its guides show it: only the random part of a JPEG is decoded, in parallel."""
    import tensorflow as tf

    paths = sorted(map(str, folder.glob("*/*.jpg")))
    labels = [int(Path(path).parent.name[-3:]) for path in paths]

    def example(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        data = tf.io.read_file(path)
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.image.extract_jpeg_shape(data),
            tf.zeros([0, 0, 4]),
            area_range=(0.08, 1.0),
            aspect_ratio_range=(3 / 4, 4 / 3),
            use_image_if_no_bounding_boxes=True,
        )
        window = tf.concat([begin[:2], size[:2]], axis=0)
        pixels = tf.image.resize(tf.image.decode_and_crop_jpeg(data, window, channels=3), (SIZE, SIZE))
        return tf.cast(tf.image.random_flip_left_right(pixels), tf.uint8), label

    given = tf.data.Dataset.from_tensor_slices((paths, labels)).shuffle(len(paths)).repeat()
    return iter(given.map(example, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE))


def torch(folder: Path) -> Iterator[Any]:
    """A `DataLoader` with a worker for each processor, Pillow and a random resized crop."""
    import torch
    from PIL import Image

    paths = sorted(map(str, folder.glob("*/*.jpg")))

    class Pictures(torch.utils.data.Dataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, index: int) -> tuple[Any, int]:
            draws = torch.rand(4).tolist()
            with Image.open(paths[index]) as image:
                wide, high = image.size
                area, ratio = wide * high * (0.08 + 0.92 * draws[0]), (4 / 3) ** (2 * draws[1] - 1)
                width, height = min(wide, (area * ratio) ** 0.5), min(high, (area / ratio) ** 0.5)
                left, top = draws[2] * (wide - width), draws[3] * (high - height)
                box = (left, top, left + width, top + height)
                cut = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)
            return torch.from_numpy(np.array(cut)), int(Path(paths[index]).parent.name[-3:])

    loader = torch.utils.data.DataLoader(
        Pictures(), batch_size=BATCH, shuffle=True, num_workers=os.cpu_count() or 1, drop_last=True
    )
    while True:
        yield from loader


def bare(folder: Path) -> Iterator[Any]:
    """Whole JPEGs decoded in a loop of TensorFlow, in as many threads as processors; nothing else."""
    import tensorflow as tf

    paths = sorted(map(str, folder.glob("*/*.jpg")))
    given = tf.data.Dataset.from_tensor_slices([Path(path).read_bytes() for path in paths]).repeat()
    decoded = given.map(lambda data: tf.io.decode_jpeg(data, channels=3)[0, 0, 0], num_parallel_calls=os.cpu_count())
    return iter(decoded.batch(BATCH))


SIDES: dict[str, Callable[[Path, Path], Iterator[Any]]] = {
    "tfcore, folder": lambda folder, _: ours(f"folder:{folder}"),
    "tfcore, records": lambda _, records: ours(f"records:{records}"),
    "tfcore, folder, whole pictures": lambda folder, _: ours(f"folder:{folder}", ""),
    "tf.data by hand": lambda folder, _: by_hand(folder),
    "keras, whole pictures": lambda folder, _: keras(folder),
    "torch": lambda folder, _: torch(folder),
    "decoding alone": lambda folder, _: bare(folder),
}


def measure(side: str, folder: Path, records: Path, batches: int) -> float:
    """Pictures a second, after a warm-up of eight batches."""
    given = SIDES[side](folder, records)
    for _ in range(8):
        next(given)
    start = time.perf_counter()
    for _ in range(batches):
        next(given)
    return batches * BATCH / (time.perf_counter() - start)


def main() -> None:
    """Measures all sides in turn and prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--batches", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=SIDES)
    parser.add_argument("--torch_python", default=sys.executable, help="a Python that has PyTorch and Pillow")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:  # a side in its own process
        print(measure(given.only, given.folder / "pictures", given.folder / "records", given.batches))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "pictures").mkdir()
        draw(folder / "pictures", given.pictures)
        convert = ["-m", "tfcore", "convert", f"--dataset=folder:{folder / 'pictures'}", "--format=records"]
        subprocess.run([sys.executable, *convert, f"--out={folder / 'records'}"], check=True, cwd=ROOT)
        rates: dict[str, list[float]] = {side: [] for side in SIDES if given.only in (None, side)}
        for turn in range(given.rounds):
            for side in list(rates) if turn % 2 == 0 else reversed(rates):
                python = given.torch_python if side == "torch" else sys.executable
                command = [python, __file__, f"--only={side}", f"--folder={folder}", f"--batches={given.batches}"]
                done = subprocess.run(command, check=False, capture_output=True, text=True)
                if done.returncode:
                    print(f"  {side}: {next(reversed(done.stderr.splitlines()), '')}", flush=True)
                    continue
                rates[side].append(float(done.stdout.splitlines()[-1]))
                print(f"  {side:<32}{rates[side][-1]:>8,.0f}", flush=True)
        for side, found in rates.items():
            if found:
                print(f"{side:<32}{statistics.median(found):>8,.0f} pictures/s")


if __name__ == "__main__":
    main()
