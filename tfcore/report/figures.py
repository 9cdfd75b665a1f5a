"""Draws the figures of a report with Matplotlib, as inline SVG in the page's colours."""

import html
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from tfcore.history import Curve

COLOURS = 8  # of lines; further lines reuse them with other dash patterns
_INK, _FAINT = "#000001", "#000002"
_SERIES = [f"#0{number}0{number}01" for number in range(1, COLOURS + 1)]
# The colours' names in the page's style sheet, which has a light and a dark theme.
_VARIABLES = {_INK: "ink", _FAINT: "faint"} | {code: f"series-{n}" for n, code in enumerate(_SERIES, start=1)}
_DASHES = ("-", "--", ":", "-.")
_LARGEST = 1e30  # values beyond are not drawn: the axis would overflow
_LOGARITHMIC_FROM = 1000  # ratio of maximum to median above which the axis is logarithmic
_MARKED_POINTS = 40  # curves of at most this many points have markers
_STYLE: Any = {
    "svg.fonttype": "none", "font.family": "DejaVu Sans", "text.parse_math": False, "font.size": 10,
    "figure.facecolor": "none", "axes.facecolor": "none", "legend.frameon": False,
    "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _FAINT, "grid.color": _FAINT,
    "xtick.color": _FAINT, "ytick.color": _FAINT, "xtick.labelcolor": _INK, "ytick.labelcolor": _INK,
    "axes.grid": True, "grid.linewidth": 0.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.axisbelow": True, "axes.formatter.useoffset": False, "lines.linewidth": 1.8, "lines.markersize": 4,
}  # fmt: skip


class Line(NamedTuple):
    """A curve with its name in the legend; `number` chooses the colour."""

    label: str
    curve: Curve
    number: int


def curves(title: str, lines: Sequence[Line]) -> str:
    """Draws curves over the steps as SVG.

    Args:
        title: name of the values, for the figure's description to screen readers.
        lines: the curves; values that are not finite leave gaps.
    """
    with style(title):
        figure = Figure(figsize=(6.4, 3.3), layout="constrained")
        axes = figure.add_subplot(xlabel="step")
        drawn = [_draw(axes, line) for line in lines]
        finite = np.concatenate([values[np.isfinite(values)] for values in drawn])
        if len(finite) and finite.min() > 0 and finite.max() > _LOGARITHMIC_FROM * np.median(finite):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))  # the default one needs math text
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        if len(lines) > 1:
            axes.legend(fontsize=9)
        return _svg(figure, f"{title} over the steps: {', '.join(line.label for line in lines)}")


def _draw(axes: Axes, line: Line) -> NDArray[np.float64]:
    """Draws one curve and returns the drawn values."""
    steps, values = line.curve
    values = np.where(np.abs(values) <= _LARGEST, values, np.nan)
    axes.plot(
        steps, values, label=_plain(line.label), color=_SERIES[line.number % COLOURS],
        linestyle=_DASHES[line.number // COLOURS % len(_DASHES)], marker="o" if len(steps) <= _MARKED_POINTS else "",
        markersize=7 if len(steps) == 1 else None,
    )  # fmt: skip
    return values


def _plain(label: str) -> str:
    """Prefixes a label with a space if Matplotlib would leave it out of the legend for its leading underscore."""
    return f" {label}" if label.startswith("_") else label


@contextmanager
def style(salt: str) -> Iterator[None]:
    """Applies this Matplotlib style alone, without the settings of the process or the user; hides font warnings.

    The salt makes the ids inside the SVG unique within the page: each figure has its own.
    """
    with mpl.rc_context(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        mpl.rcParams["svg.hashsalt"] = salt
        yield


def _svg(figure: Figure, description: str) -> str:
    """Returns the figure as an `<svg>` element that fills the width of its container."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    opening, inside = re.split(r"(?<=<svg )([^>]*)>", buffer.getvalue(), maxsplit=1)[1:]
    (box,) = re.findall(r'viewBox="[^"]*"', opening)
    inside = re.sub(r'<g id="[^"]*">', "<g>", inside).replace("xlink:href=", "href=")
    for code, name in _VARIABLES.items():
        inside = inside.replace(code, f"var(--{name})")
    return f'<svg {box} role="img" aria-label="{html.escape(description)}">{inside}'
