"""The picture: curve, marks at the rates found, and limits that losses which explode do not set."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from tfcore.errors import RunError
from tfcore.lr_find import figure
from tfcore.lr_find.rates import Rates, find

RATES = np.geomspace(1e-5, 1, 100)
LOSSES = 2 - 1.5 / (1 + np.exp(-np.linspace(-6, 6, 100)))
FOUND = Rates(3e-3, 2e-4, rises_again=True)


def columns(image: Image.Image, colour: str) -> np.ndarray:
    """The columns of the picture with at least 50 pixels of about the colour."""
    wanted = np.array(to_rgb(colour)) * 255
    return np.flatnonzero((np.abs(np.asarray(image.convert("RGB")) - wanted).max(axis=2) < 40).sum(axis=0) >= 50)


def test_the_marks_are_at_the_rates_found() -> None:
    axes = figure.draw("softmax on shapes", RATES, LOSSES, FOUND).axes[0]
    assert axes.get_xscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("learning rate", "loss", "softmax on shapes")
    curve, _, steepest, tenth = axes.lines
    np.testing.assert_array_equal(curve.get_xydata(), np.stack([RATES, LOSSES], axis=1))
    assert set(steepest.get_xdata()) == {3e-3}
    assert set(tenth.get_xdata()) == {2e-4}


def test_the_png_shows_the_marks_in_their_order(tmp_path: Path) -> None:
    settings = dict(mpl.rcParams)
    figure.save(tmp_path / "rates.png", "a _title_ with $signs$", RATES, LOSSES, FOUND)
    assert dict(mpl.rcParams) == settings
    with Image.open(tmp_path / "rates.png") as image:
        assert image.format == "PNG"
        assert image.getpixel((1, 1))[:3] == (255, 255, 255)
        steepest, tenth = columns(image, figure.STEEPEST), columns(image, figure.TENTH)
    assert 1 <= len(steepest) <= 6
    assert 1 <= len(tenth) <= 6
    assert tenth.max() < steepest.min()


def test_without_rates_there_is_no_mark(tmp_path: Path) -> None:
    figure.save(tmp_path / "rates.png", "flat", RATES, np.full(100, 2.3), None)
    with Image.open(tmp_path / "rates.png") as image:
        assert not len(columns(image, figure.STEEPEST))
        assert not len(columns(image, figure.TENTH))


@pytest.mark.parametrize("last", [1e30, np.inf, np.nan])
def test_losses_that_explode_leave_the_fall_visible(tmp_path: Path, last: float) -> None:
    losses = np.append(LOSSES[:-1], last)
    found = find(RATES, losses)
    assert found is not None
    low, high = figure.draw("", RATES, losses, found).axes[0].get_ylim()
    assert 0 < low < 0.51
    assert 1.99 < high < 4
    figure.save(tmp_path / "rates.png", "", RATES, losses, found)


@pytest.mark.parametrize("losses", [[np.nan], [2.0, np.inf], [2.0, 1e30, np.nan]])
def test_a_test_of_a_few_steps_is_drawn_too(tmp_path: Path, losses: list[float]) -> None:
    figure.save(tmp_path / "rates.png", "", RATES[: len(losses)], losses, None)
    assert (tmp_path / "rates.png").stat().st_size > 1000


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "rates.png").write_text("mine")
    with pytest.raises(RunError, match="is there already"):
        figure.save(tmp_path / "rates.png", "", RATES, LOSSES, FOUND)
    assert (tmp_path / "rates.png").read_text() == "mine"
