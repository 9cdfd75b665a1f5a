"""Draws the losses against the learning rate, with the rates found marked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from tfcore.files import appearing
from tfcore.lr_find import rates
from tfcore.lr_find.rates import Array, Rates
from tfcore.report.figures import style

STEEPEST, TENTH = "#d62728", "#2ca02c"  # colours of the two marks
_RAW, _SMOOTHED, _GRID = "#b0c4de", "#1f4e79", "#dddddd"
_ON_WHITE: Any = {"figure.facecolor": "white", "grid.color": _GRID}
_HEADROOM = 2.0  # height of the axis in units of the fall; higher losses leave the picture
_DPI = 120


def save(path: Path, title: str, tested: Sequence[float], losses: Sequence[float], found: Rates | None) -> None:
    """Draws the picture and writes it as a PNG, complete or not at all.

    Raises:
        RunError: `path` exists already, or it cannot be written.
    """
    with style(path.name), appearing(path) as scratch:
        mpl.rcParams.update(_ON_WHITE)
        draw(title, tested, losses, found).savefig(scratch, format="png", dpi=_DPI)


def draw(title: str, tested: Sequence[float], losses: Sequence[float], found: Rates | None) -> Figure:
    """Returns the figure.

    Args:
        title: one line.
        tested: the rates, rising.
        losses: one for each; those that are not finite are left out.
        found: the rates to mark; None for none.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel="learning rate", ylabel="loss")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))  # the default one needs math text
    axes.xaxis.set_minor_formatter(NullFormatter())
    shown = np.where(np.isfinite(losses), losses, np.nan)
    levels, _ = rates.smooth(losses)
    axes.plot(tested, shown, color=_RAW, linewidth=1, label="loss of each batch")
    axes.plot(tested, levels, color=_SMOOTHED, label="smoothed")
    if found is not None:
        axes.axvline(found.steepest, color=STEEPEST, linestyle="--", label=f"steepest fall: {found.steepest:.2g}")
        axes.axvline(found.tenth, color=TENTH, linestyle=":", label=f"a tenth of the minimum's: {found.tenth:.2g}")
        axes.set_ylim(*_limits(shown, levels))
    axes.legend(fontsize=9)
    return figure


def _limits(shown: Array, levels: Array) -> tuple[float, float]:
    """Computes the limits of the loss axis: room for the fall and its noise, not for losses that explode."""
    smoothed = levels[np.isfinite(levels)]
    low, fall = np.nanmin(shown), smoothed[0] - smoothed.min()
    margin = 0.05 * fall
    return float(low - margin), float(min(np.nanmax(shown), low + _HEADROOM * (smoothed[0] - low)) + margin)
