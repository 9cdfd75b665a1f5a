"""`show`: pixels at their positions, the printed line, and errors raised before anything is written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfcore import api
from tfcore.cli import flags, show
from tfcore.config import RunConfig
from tfcore.errors import ConfigError, RunError, TfcoreError
from tfcore.layers import Pixels
from tfcore.look import drawing, model_sheets
from tfcore.look.drawing import GAP_PIXELS, LINE_PIXELS, MARGIN_PIXELS
from tfcore.models import Mlp
from tfcore.modules import outline
from tfcore.use import loading

TOP = MARGIN_PIXELS + LINE_PIXELS  # of the first row of tiles
CAPTIONED = TOP + LINE_PIXELS  # the same, where tiles have captions
OWN_DATA = """
import numpy as np
from tfcore.data.dataset import Dataset, Split

NAMES = ("cat", "dog", "eel", "emu")

def pictures(*shape):
    numbers = np.random.default_rng(0)
    train, test = (numbers.integers(0, 256, (count, *shape), np.uint8) for count in (40, 12))
    labels = np.arange(40, dtype=np.int32) % 4
    return train, labels, test, np.minimum(labels[:12], 2)  # no emu to test on

def dataset(name, shape):
    train, train_labels, test, test_labels = pictures(*shape)
    return Dataset(name, Split(train, train_labels), Split(test, test_labels), NAMES)

def grey(data_dir):
    return dataset("my grey/pictures", (8, 6, 1))

def colour(data_dir):
    return dataset("colour", (5, 4, 3))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a user's data set, and two runs on it, `cnn` and `softmax`."""
    folder: Path = tmp_path_factory.mktemp("show")
    own = folder / "own_pictures_to_show.py"
    own.write_text(OWN_DATA, encoding="utf-8")
    shared: dict[str, Any] = {"steps": 3, "batch_size": 8, "learning_rate": 0.05}
    runs: dict[str, dict[str, Any]] = {
        "cnn": {
            "model": "mnist_cnn",
            "dataset": f"{own}:grey",
            "filters": (6, 5),
            "hidden": (),
            "precision": "float32",
        },
        "softmax": {"model": "softmax", "dataset": f"{own}:colour"},
    }
    for name, settings in runs.items():
        api.train(RunConfig(**shared, **settings), run_dir=folder / name, quietly=True)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(kind: str, **options: Any) -> int:
    """Runs the command with these options and defaults for all others."""
    command = f"show {kind}"
    defaults = {option.name: option.default for option in flags.OPTIONS[command]}
    assert options.keys() <= defaults.keys()
    return show.run(flags.Parsed({}, {**defaults, **options}, wants_help=False, command=command))


def own(home: Path, kind: str) -> str:
    return f"{home / 'own_pictures_to_show.py'}:{kind}"


def written(folder: Path) -> tuple[str, np.ndarray]:
    """Returns the name and the pixels of the only file in the working directory."""
    (path,) = folder.iterdir()
    with Image.open(path) as image:
        return path.name, np.asarray(image)


def tile(image: np.ndarray, row: int, column: int, size: tuple[int, int], corner: tuple[int, int]) -> np.ndarray:
    """Returns the pixels `[height, width, 3]` of a tile, relative to the upper left tile at `corner`."""
    top, left = corner[0] + row * (size[0] + GAP_PIXELS), corner[1] + column * (size[1] + GAP_PIXELS)
    return image[top : top + size[0], left : left + size[1]]


def first_column(image: np.ndarray, top: int, height: int, start: int = 0) -> int:
    """Returns the left edge of the first tile right of `start`, inside its light grey outline."""
    outlines = (image[top : top + height, start:] == 211).all(axis=(0, 2))
    return start + int(np.flatnonzero(outlines)[0]) + 1


def test_an_example_is_enlarged_and_named(home: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("example", dataset=own(home, "colour"), split="train", example=6) == 0
    name, image = written(folder)
    data = np.random.default_rng(0).integers(0, 256, (40, 5, 4, 3), np.uint8)
    assert name == "colour-train-6.png"
    np.testing.assert_array_equal(image, np.kron(data[6], np.ones((52, 52, 1), np.uint8)))
    assert capsys.readouterr().out == (
        "colour, train example 6: eel (label 2)\nWritten to colour-train-6.png: 208x260 pixels\n"
    )


def test_pixels_as_text_need_no_file(home: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("example", dataset=own(home, "colour"), split="train", hex=True) == 0
    first = np.random.default_rng(0).integers(0, 256, (40, 5, 4, 3), np.uint8)[0]
    line, *rows = capsys.readouterr().out.splitlines()
    assert line == "colour, train example 0: cat (label 0)"
    assert [bytes.fromhex(row) for row in rows] == [row.tobytes() for row in first]
    assert [len(row.split()) for row in rows] == [4] * 5
    assert list(folder.iterdir()) == []


def test_pixels_as_text_and_as_a_file(home: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("example", dataset=own(home, "grey"), example=0, hex=True, out="zero.png") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 8 + 1
    assert written(folder)[0] == "zero.png"


def test_a_grid_has_a_row_for_each_class(home: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("examples", dataset=own(home, "grey"), split="train", per_class=3) == 0
    name, image = written(folder)
    assert name == "my-grey-pictures-train-grid.png"
    assert "my grey/pictures, train: 12 of 40 examples" in capsys.readouterr().out
    data = np.random.default_rng(0).integers(0, 256, (40, 8, 6, 1), np.uint8)
    size, left = (48, 36), first_column(image, TOP, 48)
    assert image.shape[0] == TOP + 4 * 48 + 3 * GAP_PIXELS + MARGIN_PIXELS
    for label in range(4):
        shown = [tile(image, label, column, size, (TOP, left)) for column in range(3)]
        candidates = {drawing.enlarged(picture, 48).tobytes() for picture in data[label::4]}
        assert len({one.tobytes() for one in shown} & candidates) == 3
        beside = image[TOP + label * (48 + GAP_PIXELS) :, :left][:48]
        assert (beside < 100).any()  # the name of the class


def test_a_class_without_examples_has_an_empty_row(home: Path, folder: Path) -> None:
    assert ask("examples", dataset=own(home, "grey")) == 0
    _, image = written(folder)
    rows = [TOP + label * (48 + GAP_PIXELS) for label in range(4)]
    left = first_column(image, TOP, 48)
    full = [bool((image[row : row + 48, left:] < 255).any()) for row in rows]
    assert full == [True, True, True, False]


def test_a_grid_depends_on_the_seed_alone_and_grows_at_its_end(home: Path, folder: Path) -> None:
    for name, grid, seed in [("a", 4, 0), ("again", 4, 0), ("other", 4, 1), ("more", 6, 0)]:
        ask("examples", dataset=own(home, "grey"), split="train", per_class=grid, seed=seed, out=f"{name}.png")
    images = {path.stem: np.asarray(Image.open(path)) for path in folder.iterdir()}
    right = first_column(images["a"], TOP, 48) + 4 * (36 + GAP_PIXELS) - GAP_PIXELS
    np.testing.assert_array_equal(images["a"], images["again"])
    assert (images["a"] != images["other"]).any()
    np.testing.assert_array_equal(images["more"][TOP:, :right], images["a"][TOP:, :right])


def test_the_filters_of_the_first_convolution(home: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("filters", run_dir=str(home / "cnn")) == 0
    name, image = written(folder)
    assert name == "cnn-conv_1-filters.png"
    assert "conv_1 of mnist_cnn: 6 filters of 3x3x1" in capsys.readouterr().out
    weights = loading.load(home / "cnn").module.conv_1.weights.numpy()
    for number in range(6):
        expected = drawing.enlarged(drawing.stretched(weights[..., number]), 48)
        row, column = divmod(number, 3)
        corner = (CAPTIONED + row * LINE_PIXELS, MARGIN_PIXELS)
        np.testing.assert_array_equal(tile(image, row, column, (48, 48), corner), expected)


def test_deeper_filters_have_a_row_each(home: Path, folder: Path) -> None:
    assert ask("filters", run_dir=str(home / "cnn"), layer="conv_2") == 0
    _, image = written(folder)
    weights = loading.load(home / "cnn").module.conv_2.weights.numpy()  # [3, 3, 6, 5]
    left = first_column(image, CAPTIONED, 24)
    for number in range(5):
        for channel in range(6):
            expected = drawing.enlarged(drawing.stretched(weights[:, :, [channel], number]), 24)
            np.testing.assert_array_equal(tile(image, number, channel, (24, 24), (CAPTIONED, left)), expected)


def test_of_many_deep_filters_the_first_are_shown() -> None:
    filters = np.random.default_rng(0).normal(size=(40, 3, 3, 36)).astype(np.float32)
    many = model_sheets._filter_sheet("", filters, tuple(map(str, range(40))))
    just = model_sheets._filter_sheet("", filters[:32, ..., :32], tuple(map(str, range(32))))
    np.testing.assert_array_equal(np.asarray(many)[TOP:, : just.width], np.asarray(just)[TOP:])
    assert many.height == just.height


def test_the_weights_of_softmax_are_pictures_of_the_classes(
    home: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("filters", run_dir=str(home / "softmax"), layer="logits") == 0
    name, image = written(folder)
    assert name == "softmax-logits-filters.png"
    assert "logits of softmax: 4 filters of 5x4x3" in capsys.readouterr().out
    weights = loading.load(home / "softmax").module.logits.weights.numpy().reshape(5, 4, 3, 4)
    size = (50, 40)
    for label in range(4):
        expected = drawing.enlarged(drawing.stretched(weights[..., label]), 48)
        row, column = divmod(label, 2)
        corner = (CAPTIONED + row * LINE_PIXELS, MARGIN_PIXELS)
        np.testing.assert_array_equal(tile(image, row, column, size, corner), expected)
    filters = np.moveaxis(weights, 3, 0)
    named = model_sheets._filter_sheet("logits of softmax: 4 filters of 5x4x3", filters, ("cat", "dog", "eel", "emu"))
    np.testing.assert_array_equal(image, np.asarray(named))


def test_only_the_first_layer_can_be_on_the_pixels() -> None:
    model = Mlp((8, 6, 1), 4, pixels=Pixels(), seed=0, hidden=(5, 48))  # 48 is the number of pixels, too
    found = model_sheets._all_filters(model, (8, 6, 1), outline(model, (8, 6, 1)).layers)
    assert list(found) == ["hidden_1"]
    np.testing.assert_array_equal(found["hidden_1"][3, :, :, 0], model.hidden_1.weights.numpy()[:, 3].reshape(8, 6))


def test_of_many_filters_the_first_are_shown() -> None:
    filters = np.random.default_rng(0).normal(size=(300, 2, 2, 1)).astype(np.float32)
    image = model_sheets._filter_sheet("", filters, ("",) * 300)
    side = 16 * (48 + GAP_PIXELS) - GAP_PIXELS
    assert image.size == (MARGIN_PIXELS + side + MARGIN_PIXELS, TOP + side + MARGIN_PIXELS)


def test_feature_maps_stand_beside_the_example(home: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("features", run_dir=str(home / "cnn"), layer="relu_1", example=3) == 0
    name, image = written(folder)
    assert name == "cnn-relu_1-my-grey-pictures-test-3.png"
    assert (
        "my grey/pictures, test example 3: eel (label 2)\nrelu_1 of mnist_cnn: 6 maps of 6x4\n"
        in capsys.readouterr().out
    )
    numbers = np.random.default_rng(0)
    numbers.integers(0, 256, (40, 8, 6, 1), np.uint8)
    picture = numbers.integers(0, 256, (12, 8, 6, 1), np.uint8)[3]
    np.testing.assert_array_equal(image[TOP : TOP + 256, MARGIN_PIXELS:][:, :192], drawing.enlarged(picture, 256))
    layer = loading.load(home / "cnn").module.conv_1
    maps = tf.nn.relu(tf.nn.conv2d(picture[np.newaxis] / np.float32(255), layer.weights, 1, "VALID") + layer.biases)[0]
    left = first_column(image, CAPTIONED, 66, start=MARGIN_PIXELS + 192 + 2)
    for number in range(6):
        row, column = divmod(number, 3)
        shown = tile(image, row, column, (66, 44), (CAPTIONED + row * LINE_PIXELS, left))
        expected = drawing.enlarged(drawing.stretched(maps[..., number : number + 1].numpy()), 64)
        np.testing.assert_allclose(shown, expected, atol=1)


def test_feature_maps_are_the_first_convolutions_where_no_layer_is_named(home: Path, folder: Path) -> None:
    ask("features", run_dir=str(home / "cnn"), example=0)
    assert written(folder)[0] == "cnn-conv_1-my-grey-pictures-test-0.png"


def test_a_model_without_convolutions_has_its_pixels(home: Path, folder: Path) -> None:
    ask("features", run_dir=str(home / "softmax"), example=11)
    assert written(folder)[0] == "softmax-pixels-colour-test-11.png"


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("examples", {}, "`tfcore show examples` needs --dataset, such as --dataset=mnist"),
        ("example", {"example": 3}, "`tfcore show example` needs --dataset"),
        ("filters", {}, "`tfcore show filters` needs --run_dir, such as --run_dir=runs/NAME"),
        ("features", {"example": 3}, "`tfcore show features` needs --run_dir"),
        ("examples", {"dataset": "grey", "split": "tset"}, "Did you mean 'test'"),
        ("example", {"dataset": "grey", "example": 12}, "`example` must be from 0 to 11, the test examples of my grey"),
        ("example", {"dataset": "grey", "example": -2}, "Received -2"),
        ("example", {"dataset": "grey", "split": "train", "example": 40}, "from 0 to 39, the train examples"),
        ("examples", {"dataset": "grey", "per_class": 0}, "`per_class` must be from 1 to 100"),
        ("examples", {"dataset": "grey", "per_class": 101}, "`per_class` must be from 1 to 100"),
        ("examples", {"dataset": "minst"}, "Did you mean 'mnist'"),
        ("examples", {"dataset": "grey", "out": "picture.jpg"}, r"`out` must end in \.png\. Received 'picture\.jpg'"),
        ("filters", {"run_dir": "cnn", "layer": "conv_3"}, "`layer` must be one of conv_1, conv_2. Received 'conv_3'"),
        (
            "features",
            {"run_dir": "cnn", "layer": "logits"},
            "one of pixels, conv_1, relu_1, conv_2, relu_2, pool, drop",
        ),
        ("features", {"run_dir": "cnn", "layer": "conv_1", "example": 12}, "from 0 to 11"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    home: Path, folder: Path, kind: str, options: dict[str, Any], message: str
) -> None:
    if options.get("dataset") == "grey":
        options = {**options, "dataset": own(home, "grey")}
    if "run_dir" in options:
        options = {**options, "run_dir": str(home / options["run_dir"])}
    with pytest.raises(ConfigError, match=message):
        ask(kind, **options)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["features", "filters"])
def test_what_is_no_run_is_refused(folder: Path, kind: str) -> None:
    with pytest.raises(RunError, match="nowhere is not a run folder"):
        ask(kind, run_dir="nowhere", layer="conv_1")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("out", ["", "colour-test-grid.png"])
def test_nothing_is_overwritten(home: Path, folder: Path, out: str) -> None:
    (folder / "colour-test-grid.png").write_text("mine")
    with pytest.raises(TfcoreError, match="is there already"):
        ask("examples", dataset=own(home, "colour"), out=out)
    assert [path.read_text() for path in folder.iterdir()] == ["mine"]


def test_a_file_that_is_there_is_refused_before_anything_is_read(folder: Path) -> None:
    (folder / "mine.png").touch()
    with pytest.raises(RunError, match=r"mine\.png is there already"):
        ask("filters", run_dir="nowhere", out="mine.png")


def test_cifar10_as_published(real_data: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("example", dataset="cifar10", data_dir=str(real_data), example=1, hex=True, out="one.png") == 0
    line, *rows, _ = capsys.readouterr().out.splitlines()
    record = (real_data / "cifar-10-batches-bin" / "test_batch.bin").read_bytes()[3073 : 2 * 3073]
    names = (real_data / "cifar-10-batches-bin" / "batches.meta.txt").read_text(encoding="utf-8").split()
    assert line == f"cifar10, test example 1: {names[record[0]]} (label {record[0]})"
    planes = np.frombuffer(record[1:], np.uint8).reshape(3, 32, 32)
    assert [bytes.fromhex(row) for row in rows] == [planes[:, y].T.tobytes() for y in range(32)]
    np.testing.assert_array_equal(written(folder)[1][::8, ::8], planes.transpose(1, 2, 0))
