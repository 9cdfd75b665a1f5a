"""Encoded pictures: the same rows as an array, in batches and in statistics, and in little memory."""

import gc
import io
import subprocess
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tensorflow.python.ops import script_ops

from tfcore.data import store
from tfcore.data.batches import EvaluationBatches, Examples, TrainingBatches, data_errors
from tfcore.data.dataset import Dataset, Split
from tfcore.data.encoded import EncodedSplit
from tfcore.data.headers import Header
from tfcore.data.pictures import header
from tfcore.data.statistics import channel_statistics, mean_picture
from tfcore.data.store import Stored
from tfcore.data.windows import Fit
from tfcore.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]
ARRAY = np.random.default_rng(0).integers(0, 256, (20, 3, 2, 3), np.uint8)
LABELS = np.arange(20, dtype=np.int32)
BAD = 13


class PngStore:
    """ARRAY as PNG files that are called by their numbers."""

    def __init__(self, bad: int | None = None, error: type[Exception] = DataError) -> None:
        self.calls: list[int] = []
        self._bad, self._error = bad, error

    def __len__(self) -> int:
        return len(ARRAY)

    def read(self, indices: np.ndarray) -> list[bytes]:
        self.calls += indices.tolist()
        if self._bad in indices:
            raise self._error(f"{self._bad}.png cannot be used.")
        return [png(ARRAY[index]) for index in indices]

    def header(self, index: int) -> Header:
        return header(png(ARRAY[index]), self.name(index))

    def name(self, index: int) -> str:
        return f"{index}.png"

    def identity(self, indices: np.ndarray) -> Iterator[bytes]:
        yield indices.tobytes()


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def pictures(*, store: PngStore | None = None, labels: np.ndarray = LABELS) -> EncodedSplit:
    return EncodedSplit(Stored(store or PngStore(), labels), (3, 2, 3), Fit(None))


def test_a_split_in_files_answers_as_one_in_memory_does() -> None:
    lazy, split = pictures(), Split(ARRAY, LABELS)
    for one in (lazy, lazy.first(20)):
        assert (len(one), one.image_shape, one.nbytes) == (len(split), split.image_shape, split.nbytes)
        np.testing.assert_array_equal(one.labels, split.labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(LABELS[:2], "20 images and 2 labels"), (LABELS.astype(np.int64), "`labels` must be int32")],
)
def test_labels_are_checked_as_in_memory(labels: np.ndarray, message: str) -> None:
    for make in (lambda: pictures(labels=labels), lambda: Split(ARRAY, labels)):
        with pytest.raises(DataError, match=message):
            make()


@given(st.lists(st.integers(0, 19)))
def test_rows_are_those_of_the_array(rows: list[int]) -> None:
    wanted = np.array(rows, np.int64)
    for split in (pictures(), Split(ARRAY, LABELS)):
        found = split.read(wanted)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, ARRAY[wanted])


def test_a_picture_is_read_once_for_all_its_places() -> None:
    store = PngStore()
    pictures(store=store).read(np.array([7, 3, 7, 7]))
    assert sorted(store.calls) == [3, 7]


def test_statistics_are_those_of_the_array() -> None:
    rows, split = np.array([1, 4, 19, 7]), Split(ARRAY, LABELS)
    np.testing.assert_array_equal(mean_picture(pictures(), rows), mean_picture(split, rows))
    for lazy, eager in zip(channel_statistics(pictures(), rows), channel_statistics(split, rows), strict=True):
        np.testing.assert_array_equal(lazy, eager)


@pytest.mark.parametrize("indices", [None, np.array([2, 3, 5, 7, 11])], ids=["all", "some"])
def test_batches_are_those_of_the_array(indices: np.ndarray | None) -> None:
    parts = [Examples(split.batch_reader(), indices) for split in (pictures(), Split(ARRAY, LABELS))]
    evaluated = [EvaluationBatches(part, batch_size=6) for part in parts]
    batches = [TrainingBatches(part, batch_size=6, seed=1) for part in parts]
    assert (batches[0].block_steps, batches[1].block_steps) == (1, 20)
    batches[1].block_steps = 1
    trained = [each.from_step(3) for each in batches]
    for one, other in (evaluated, trained):
        assert iter(one).element_spec == iter(other).element_spec
        for _, a, b in zip(range(6), one, other, strict=False):
            for part, same in zip(a, b, strict=True):
                np.testing.assert_array_equal(part, same)


def test_the_error_of_a_picture_comes_out_of_a_compiled_call() -> None:
    examples = Examples(pictures(store=PngStore(BAD)).batch_reader())

    @tf.function
    def total(iterator: tf.data.Iterator) -> tf.Tensor:
        found = 0.0
        for _ in tf.range(10):
            found += tf.cast(next(iterator)[0][0, 0, 0, 0, 0], tf.float32)
        return found

    iterator = TrainingBatches(examples, batch_size=4, seed=0).from_step(0)
    with pytest.raises(DataError, match=r"^13\.png cannot be used\.$"), data_errors([examples]):
        total(iterator)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError), data_errors([Examples(pictures().batch_reader())]):
        tf.debugging.assert_equal(tf.constant(1), tf.constant(2))


def test_another_error_is_not_blamed_on_a_picture_that_failed_before() -> None:
    examples = Examples(pictures(store=PngStore(BAD)).batch_reader())
    with pytest.raises(DataError, match=r"^13\.png"), data_errors([examples]):
        list(EvaluationBatches(examples, batch_size=4))
    with pytest.raises(tf.errors.InvalidArgumentError), data_errors([examples]):
        tf.debugging.assert_equal(tf.constant(1), tf.constant(2))


def test_lack_of_memory_is_told() -> None:
    examples = Examples(pictures(store=PngStore(3, MemoryError)).batch_reader())
    with pytest.raises(DataError, match="not enough memory to decode a batch"), data_errors([examples]):
        list(EvaluationBatches(examples, batch_size=1))


def test_the_first_ones_are_read_no_sooner() -> None:
    store = PngStore()
    split = pictures(store=store, labels=LABELS % 2)
    taken = Dataset("lazy", split, split, ("a", "b")).take(train_examples=5, test_examples=20)
    assert store.calls == []
    assert (len(taken.train), len(taken.test)) == (5, 20)
    np.testing.assert_array_equal(taken.train.read(np.arange(5)), ARRAY[:5])
    with pytest.raises(ConfigError, match=r"`train_examples` must be at most 20, as many as lazy has. Received 21"):
        Dataset("lazy", split, split, ("a", "b")).take(train_examples=21)


@pytest.mark.thorough
def test_nothing_piles_up() -> None:
    """Threads, Python functions that TensorFlow keeps, and the splits of earlier runs stay constant in number."""
    alive: list[weakref.ref[EncodedSplit]] = []

    def run() -> None:
        lazy = pictures()
        alive.append(weakref.ref(lazy))
        examples = Examples(lazy.batch_reader())
        for _ in EvaluationBatches(examples, batch_size=6):
            pass
        next(TrainingBatches(examples, batch_size=6, seed=0).from_step(0))

    def kept() -> tuple[int, int, int]:
        run()
        gc.collect()
        left = sum(reference() is not None for reference in alive)
        reading = sum(thread.name.startswith(("read", "decode")) for thread in threading.enumerate())
        return reading, script_ops._py_funcs.size(), left

    kept()
    before = kept()
    for _ in range(5):
        after = kept()
    assert after == before
    assert after[2] == 0


CHILD = """
import resource, sys
import numpy as np
import tensorflow as tf
from pathlib import Path
from typing import Any, cast
from tfcore.data.batches import Examples, TrainingBatches
from tfcore.data.dataset import Split
from tfcore.data.sources.folder import folder

HEADROOM_BYTES, MODE = int(sys.argv[2]), sys.argv[3]
data = folder(Path(sys.argv[1]), image_size=None, image_fit="stretch", test_share=0.5, seed=0, skip_bad_pictures=False)
split = data.train
assert split.nbytes >= 3 * HEADROOM_BYTES, split.nbytes
batch_size = 4
weights = tf.Variable(tf.zeros([int(np.prod(data.image_shape)), 1]))

@tf.function
def step(images):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(tf.cast(tf.reshape(images, [batch_size, -1]), tf.float32) @ weights / 255 - 1))
    weights.assign_sub(1e-9 * tape.gradient(loss, weights))

def epoch(split, steps):
    examples = Examples(split.batch_reader())
    for _, (pictures, _) in zip(range(steps), TrainingBatches(examples, batch_size=batch_size, seed=0).from_step(0)):
        step(pictures)

epoch(split.first(8), 4)  # starts TensorFlow's threads before the limit is set
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
limit_bytes = int(status["VmData"].split()[0]) * 1024 + HEADROOM_BYTES
resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
try:
    if MODE == "held":
        held = np.empty((len(split), *split.image_shape), np.uint8)
        for start in range(0, len(held), 8):
            held[start : start + 8] = split.read(np.arange(start, min(start + 8, len(held))))
        split = Split(held, split.labels)
    epoch(split, len(split) // batch_size)
except MemoryError:
    print("out of memory")
else:
    print("trained")
"""


@pytest.mark.thorough
@pytest.mark.parametrize(("mode", "outcome"), [("lazy", "trained"), ("held", "out of memory")])
def test_a_folder_three_times_as_large_as_memory_trains(tmp_path: Path, mode: str, outcome: str) -> None:
    """The system enforces the limit; the same pictures held in memory do not fit."""
    headroom_bytes, size = 96 << 20, 400
    count = 3 * headroom_bytes // (size * size * 3) + 1
    for part in ("train", "test"):
        for number in range(2):
            folder = tmp_path / part / f"class_{number}"
            folder.mkdir(parents=True)
            Image.new("RGB", (size, size), (number, 50, 200)).save(folder / "0.png")
            for link in range(1, (count + 1) // 2 if part == "train" else 1):
                (folder / f"{link}.png").symlink_to("0.png")
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(headroom_bytes), mode]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (done.returncode, done.stdout) == (0, f"{outcome}\n"), done.stderr


def test_all_pictures_of_a_store_need_no_list_of_rows() -> None:
    class Endless:
        def __len__(self) -> int:
            return 10**8

        def identity(self, rows: Any) -> Any:
            yield from (piece.tobytes() for piece in store.pieces(rows))

    labels = np.broadcast_to(np.int32(0), (10**8,))
    tracemalloc.start()
    split = EncodedSplit(Stored(cast(Any, Endless()), labels), (4, 4, 1), Fit(None)).first(10**7)
    size_bytes = sum(len(part) for part in split.identity())
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(split), size_bytes) == (10**7, 8 * 10**7)
    assert split.in_store(np.array([5, 10**7 - 1])).tolist() == [5, 10**7 - 1]
    assert peak_bytes < 3_000_000
