"""JPEGs decoded in part and in TensorFlow's threads: the pixels that Pillow gives, and errors that name the picture."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfcore.data.augmentation.chain import Augmentation, Part
from tfcore.data.augmentation.geometry import resized_crop
from tfcore.data.batches import EvaluationBatches, Examples, TrainingBatches, data_errors
from tfcore.data.decoding import decoded
from tfcore.data.encoded import EncodedSplit, read_picture
from tfcore.data.pictures import resized
from tfcore.data.store import FileStore, Stored
from tfcore.data.windows import Fit, Window, random_window
from tfcore.errors import DataError

ROOT = Path(__file__).parents[2]
SIZES = [(60, 81), (81, 60), (33, 33), (200, 150), (300, 301), (64, 64), (16, 500), (9, 7)]  # (H, W)


def photo(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """A smooth picture with some noise."""
    height, width = size
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.asarray(small).astype(int) + rng.integers(-9, 10, (height, width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """JPEGs of all sizes, three of them of kinds that Pillow decodes."""
    folder = tmp_path_factory.mktemp("photos")
    for number, size in enumerate(SIZES):
        photo(size, number).save(folder / f"{number}.jpg", quality=90, progressive=number % 2 == 0)
    turned = Image.Exif()
    turned[274] = 6
    photo((50, 90)).save(folder / "8.jpg", exif=turned)
    photo((50, 90)).convert("CMYK").save(folder / "9.jpg")
    photo((50, 90)).save(folder / "10.webp", lossless=True)
    return [str(folder / f"{number}.{'webp' if number == 10 else 'jpg'}") for number in range(11)]


STRETCH = Fit(None)


def split(paths: list[str], image_shape: tuple[int, int, int], fit: Fit = STRETCH) -> EncodedSplit:
    return EncodedSplit(Stored(FileStore(paths), np.arange(len(paths), dtype=np.int32)), image_shape, fit)


def expected(path: str, image_shape: tuple[int, int, int], window: Window) -> np.ndarray:
    """What Pillow makes of an upright JPEG."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB" if image_shape[2] == 3 else "L"))
    return resized(pixels.reshape(*pixels.shape[:2], -1), window, image_shape[:2])


@pytest.mark.parametrize("fit", [Fit(None), Fit(1.0), Fit(0.6)], ids=str)
def test_pixels_are_pillows(paths: list[str], fit: Fit) -> None:
    """Up to its rounding between the two axes; colours differ at the edges of a JPEG that is decoded in part.

    Decoding at a fraction is compared in the next test.
    """
    shape = (48, 56, 3)
    found = split(paths, shape, fit).read(np.arange(len(SIZES)))
    for path, size, pixels in zip(paths, SIZES, found, strict=False):
        window = fit.window(size, shape[:2])
        wrong = np.abs(pixels.astype(int) - expected(path, shape, window))
        if min(window.height / shape[0], window.width / shape[1]) < 4:  # else decoded at a fraction
            edge = 3 * -(-shape[1] // window.width)  # pixels of the result next to three of the window
            assert wrong[edge:-edge, edge:-edge].max(initial=0) <= 2
            assert wrong.max() <= (2 if (window.height, window.width) == size else 30)
        assert wrong.mean() < 1


def test_a_picture_of_the_right_size_is_not_touched(paths: list[str]) -> None:
    path, size = paths[3], SIZES[3]
    shape = (*size, 3)
    np.testing.assert_array_equal(
        split([path], shape).read(np.zeros(1, int))[0], expected(path, shape, Window(0, 0, *size))
    )


@pytest.mark.parametrize(("side", "fraction"), [(75, 2), (37, 4), (18, 8), (9, 8)])
def test_a_much_larger_picture_is_decoded_at_a_fraction(tmp_path: Path, side: int, fraction: int) -> None:
    """The same mean and nearly the same pixels: at least two decoded pixels go into each result, both ways."""
    path = str(tmp_path / "a.jpg")
    photo((300, 300)).save(path, quality=95)
    found = split([path], (side, side, 3)).read(np.zeros(1, int))[0].astype(int)
    exact = expected(path, (side, side, 3), Window(0, 0, 300, 300)).astype(int)
    assert fraction * 2 * side <= 300 or side == 75
    assert abs(found.mean() - exact.mean()) < 0.5
    assert np.abs(found - exact).mean() < 2


def test_grey_is_the_brightness_of_the_jpeg(paths: list[str]) -> None:
    found = split(paths[3:4], (200, 150, 1)).read(np.zeros(1, int))[0]
    assert np.abs(found.astype(int) - expected(paths[3], (200, 150, 1), Window(0, 0, 200, 150))).max() <= 3


def test_other_pictures_are_decoded_by_pillow(paths: list[str]) -> None:
    turned, cmyk, webp = split(paths[8:], (50, 90, 3)).read(np.arange(3))
    with Image.open(paths[9]) as image:
        np.testing.assert_array_equal(cmyk, np.asarray(image.convert("RGB")))
    np.testing.assert_array_equal(webp, np.asarray(photo((50, 90))))
    (upright,) = split(paths[8:9], (90, 50, 3)).read(np.zeros(1, int))
    with Image.open(paths[8]) as image:
        np.testing.assert_array_equal(upright, np.asarray(image.transpose(Image.Transpose.ROTATE_270)))
    assert turned.shape == (50, 90, 3)


def test_what_predict_reads_is_what_training_reads(paths: list[str]) -> None:
    shape, fit = (40, 40, 3), Fit(0.875)
    for path, pixels in zip(paths, split(paths, shape, fit).read(np.arange(len(paths))), strict=True):
        np.testing.assert_array_equal(read_picture(path, shape, fit).pixels, pixels)
    assert read_picture(paths[0], shape, fit).notes == ("cut to 52x52 in the middle", "resized from 52x52 to 40x40")


def cutting(smallest: float, largest: float) -> Augmentation:
    def cut(size: tuple[int, int], draws: np.ndarray, image_size: tuple[int, int]) -> Window:
        return random_window(size, draws, image_size, smallest, largest)

    return Augmentation([Part("resized_crop", resized_crop, cut=cut)], classes=11)


def test_random_windows_are_those_of_seed_and_position(paths: list[str]) -> None:
    """Batch 5 is the same from a fresh start and from batch 3, and its windows differ from those of an epoch before."""
    examples = Examples(split(paths, (24, 24, 3)).batch_reader())
    batches = TrainingBatches(examples, batch_size=11, seed=1, augmentation=cutting(0.2, 1.0))

    def after(step: int, count: int) -> list[np.ndarray]:
        found: Iterator[tuple[tf.Tensor, tf.Tensor]] = batches.from_step(step)
        return [next(found)[0].numpy() for _ in range(count)]

    whole, resumed = after(0, 6), after(3, 3)
    np.testing.assert_array_equal(np.stack(whole[3:]), np.stack(resumed))
    halves = TrainingBatches(examples, batch_size=11, seed=2, augmentation=cutting(0.2, 1.0)).from_step(0)
    assert not np.array_equal(next(halves)[0], whole[0])


def test_a_window_of_everything_is_the_stretched_picture(paths: list[str]) -> None:
    data = split(paths[5:6] * 3, (64, 64, 3))
    everything = Part("resized_crop", resized_crop, cut=lambda size, *_: Window(0, 0, *size))
    augmentation = Augmentation([everything], classes=11)
    batches = TrainingBatches(Examples(data.batch_reader()), batch_size=3, seed=1, augmentation=augmentation)
    images, _ = next(batches.from_step(0))
    np.testing.assert_array_equal(images[0], data.read(np.arange(3)))


def between_pixels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes [h, w, C] bilinearly between the nearest pixels, whose centres are at one half, in float64."""
    for axis, count in enumerate(size):
        length = pixels.shape[axis]
        places = np.clip((np.arange(count) + 0.5) * length / count - 0.5, 0, length - 1)
        low = np.floor(places).astype(int)
        share = (places - low).reshape([-1 if a == axis else 1 for a in range(3)])
        high = np.minimum(low + 1, length - 1)
        pixels = pixels.take(low, axis) * (1 - share) + pixels.take(high, axis) * share
    return pixels


WINDOWS = {
    "as it is": ((40, 44), Window(3, 5, 40, 44), 1),
    "enlarged": ((70, 50), Window(0, 1, 30, 41), 1),
    "shrunk to more than half": ((40, 48), Window(10, 20, 79, 90), 1),
    "shrunk one way": ((40, 48), Window(10, 20, 60, 270), 1),
    "half the size": ((40, 48), Window(10, 20, 80, 96), 2),
    "a fraction": ((30, 30), Window(101, 7, 135, 130), 4),
    "an eighth": ((24, 30), Window(1, 2, 299, 297), 8),
}


@pytest.mark.parametrize("case", WINDOWS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_random_window_is_resized_between_the_nearest_pixels(tmp_path: Path, case: str, channels: int) -> None:
    """Of the JPEG at the fraction, of which each result's pixel gets at least one and less than two."""
    size, window, fraction = WINDOWS[case]
    path = tmp_path / "a.jpg"
    photo((303, 301)).save(path, quality=95)
    given = [tf.constant([path.read_bytes()]), tf.constant([window]), tf.constant([True])]
    (found,) = decoded(*given, (*size, channels), exact=False).numpy()
    whole = tf.io.decode_jpeg(path.read_bytes(), channels=channels, ratio=fraction, dct_method="INTEGER_ACCURATE")
    top, left, height, width = (length // fraction for length in window)
    cut = whole.numpy()[top : top + height, left : left + width].astype(float)
    wrong = np.abs(found - between_pixels(cut, size))
    edge = 3 * -(-size[1] // width)  # colours differ where a JPEG is decoded in part
    assert wrong[edge:-edge, edge:-edge].max() <= 0.51
    assert wrong.max() < 30


@pytest.mark.parametrize("size", [(40, 40), (80, 30), (130, 130)])
def test_a_random_window_is_nearly_the_exact_one(tmp_path: Path, size: tuple[int, int]) -> None:
    """On a smooth picture, at pixels of every fraction: the same place and brightness."""
    path = tmp_path / "a.jpg"
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    small.resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=95)
    given = [tf.constant([path.read_bytes()]), tf.constant([Window(32, 64, 416, 528)]), tf.constant([True])]
    quick, exact = (decoded(*given, (*size, 3), exact=value).numpy().astype(int) for value in (False, True))
    assert np.abs(quick - exact).mean() < 3
    assert np.abs((quick - exact).mean()) < 0.5


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("is_cut", [False, True], ids=["fit", "random windows"])
def test_a_damaged_jpeg_is_named(paths: list[str], tmp_path: Path, batch_size: int, is_cut: bool) -> None:
    data = Path(paths[4]).read_bytes()
    (tmp_path / "bad.jpg").write_bytes(data[: len(data) // 2])
    given = split([*paths[:3], str(tmp_path / "bad.jpg")], (20, 20, 3))
    with pytest.raises(DataError, match=r"bad\.jpg cannot be used: it is a damaged JPEG\. Mend or remove it\.$"):
        given.read(np.arange(4))
    examples = Examples(given.batch_reader())
    augmentation = cutting(0.9, 1.0) if is_cut else None
    batches = TrainingBatches(examples, batch_size=batch_size, seed=0, augmentation=augmentation).from_step(0)
    with pytest.raises(DataError, match=r"^.*bad\.jpg cannot be used: it is a damaged JPEG"), data_errors([examples]):
        list(zip(range(4), batches, strict=False))


@pytest.mark.parametrize("prefetch_bytes", [1, 10**9])
def test_prefetching_changes_no_batch(paths: list[str], prefetch_bytes: int) -> None:
    data = split(paths, (10, 12, 3))
    batches = EvaluationBatches(Examples(data.batch_reader()), batch_size=4, prefetch_bytes=prefetch_bytes)
    found = np.concatenate([images for images, _, _ in batches])
    np.testing.assert_array_equal(found[:11], data.read(np.arange(11)))
    np.testing.assert_array_equal(found[11], found[10])


def test_a_jpeg_in_memory_may_be_of_any_kind_of_bytes(paths: list[str]) -> None:
    """A progressive one, and one with an application's data before the picture."""
    file = io.BytesIO()
    photo((40, 40)).save(file, "JPEG", comment=b"x" * 60_000, icc_profile=b"y" * 100_000)
    path = Path(paths[0]).parent / "long.jpg"
    path.write_bytes(file.getvalue())
    np.testing.assert_array_equal(
        split([str(path)], (40, 40, 3)).read(np.zeros(1, int))[0],
        expected(str(path), (40, 40, 3), Window(0, 0, 40, 40)),
    )


CHILD = """
import sys
import numpy as np
from tfcore.data.batches import Examples, TrainingBatches
from tfcore.data.encoded import EncodedSplit
from tfcore.data.store import FileStore, Stored
from tfcore.data.windows import Fit
split = EncodedSplit(Stored(FileStore(sys.argv[1:]), np.zeros(len(sys.argv) - 1, np.int32)), (224, 224, 3), Fit(None))
batches = TrainingBatches(Examples(split.batch_reader()), batch_size=64, seed=0).from_step(0)
next(batches)
print("left open", flush=True)
"""


@pytest.mark.thorough
def test_a_process_ends_while_batches_are_read(paths: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *paths], check=False, capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "left open\n"), done.stderr
    assert "Exception ignored" not in done.stderr
