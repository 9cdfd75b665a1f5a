"""Renders the report page: the facts about one run, or about several side by side, in a template."""

import base64
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tfcore import __version__, checks
from tfcore.config import RunConfig
from tfcore.config_fields import IDENTITY, WATCHING
from tfcore.config_values import spelled
from tfcore.report import figures
from tfcore.report.facts import ClassScores, Facts, TestScores
from tfcore.report.figures import Line
from tfcore.terminal import confusion

_TEMPLATES = Path(__file__).with_name("templates")
_MOST_CLASSES = 1000  # in the table of classes
_MOST_LAYERS = figures.COLOURS  # in a figure with a curve for each
_SHOWN_EXAMPLES = 20  # of the batch with the first NaN or infinity
_BOTH = ("train", "validation", "test")
_FIGURES = {  # title: the logged number, and the splits whose curves are drawn
    "Loss": ("loss", _BOTH),
    "Accuracy": ("accuracy", _BOTH),
    "Learning rate": ("learning_rate", ("train",)),
    "Gradient norm": ("gradient_norm", ("train",)),
}
_LAYER_NORMS = "gradient_norm/"  # prefix of the names of the norms of single parameters
_COMPARED = ("Test accuracy", "Best validation accuracy", "Steps", "Training time")


class Fact(NamedTuple):
    """A labelled number of the run, formatted as text."""

    label: str
    value: str


class Setting(NamedTuple):
    """A flag whose value differs from its default."""

    name: str
    value: str
    default: str


class Drawing(NamedTuple):
    """A picture with its title: an SVG, or the data URL of a PNG."""

    title: str
    source: str


class ConfusionRow(NamedTuple):
    """The predictions for the examples of one true class; shares are in [0, 1]."""

    name: str
    counts: list[int]
    shares: list[float]


class Comparison(NamedTuple):
    """A table with a row for each run; cells that do not apply are empty."""

    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class RunView:
    """The template's view of a run; everything except the figures is text to be escaped."""

    name: str
    model: str
    dataset: str
    status: str
    facts: list[Fact]
    problem: str
    figures: list[Drawing]
    confusion: list[ConfusionRow]
    classes: Sequence[ClassScores]
    classes_left_out: int
    pictures: list[Drawing]
    settings: list[Setting]
    flags: str
    command: str
    machine: str


def page(runs: Sequence[Facts]) -> str:
    """Renders the page about one run, or the comparison of several.

    Raises:
        RunError: a file of a run has a value that no run writes.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["score"] = _score
    names = _names(runs)
    views = [_view(run, name, is_alone=len(runs) == 1) for run, name in zip(runs, names, strict=True)]
    comparison = _comparison(runs, views) if len(runs) > 1 else None
    overlaid = _overlaid(runs, names) if len(runs) > 1 else []
    template = environment.get_template("report.html")
    return template.render(
        runs=views, comparison=comparison, overlaid=overlaid, confusion_title=confusion.TITLE, version=__version__
    )


def _names(runs: Sequence[Facts]) -> list[str]:
    """Names each run by its folder, or by its whole path if two folders share a name."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [checks.escaped(str(run.folder)) for run in runs]


def _view(run: Facts, name: str, *, is_alone: bool) -> RunView:
    scores = run.scores if is_alone else None
    classes = scores.classes if scores else ()
    matrix = _confusion(scores) if scores and confusion.is_shown(len(classes)) else []
    return RunView(
        name=name, model=run.config.model, dataset=run.config.dataset,
        status=run.text("status").replace("_", " ") or "not ended", facts=_facts(run), problem=_problem(run),
        figures=_figures(run) if is_alone else [], confusion=matrix, classes=classes[:_MOST_CLASSES],
        classes_left_out=max(0, len(classes) - _MOST_CLASSES), pictures=_pictures(run) if is_alone else [],
        settings=_settings(run.config), flags=run.config.flags(), command=_command(run.config),
        machine=run.text("machine"),
    )  # fmt: skip


def _confusion(scores: TestScores) -> list[ConfusionRow]:
    shares = confusion.row_shares(scores.confusion).round(4).tolist()
    names = [entry.name for entry in scores.classes]
    return [ConfusionRow(*row) for row in zip(names, scores.confusion.tolist(), shares, strict=True)]


def _facts(run: Facts) -> list[Fact]:
    """Returns the run's main results, which the page shows first."""
    found = {
        "Test accuracy": _shown(run.number("test.accuracy"), ".4f"),
        "with averaged weights": _shown(run.number("test_average.accuracy"), ".4f"),
        "Test loss": _shown(run.number("test.loss"), ".4f"),
        "Best validation accuracy": _shown(run.number("best.validation.accuracy"), ".4f"),
        "Best validation loss": _shown(run.number("best.validation.loss"), ".4f"),
        "Best step": _shown(run.number("best.step"), ",.0f"),
        "Steps": _shown(run.number("steps"), ",.0f"),
        "Training time": _training_time(run),
        "Examples per second": _shown(run.number("examples_per_sec"), ",.0f"),
    }
    return [Fact(label, value) for label, value in found.items() if value]


def _shown(number: float | None, form: str) -> str:
    return "" if number is None else format(number, form)


def _score(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:.4f}"


def _training_time(run: Facts) -> str:
    """Returns the total time, the number of parts if there are several, and the timed steps if not all are timed."""
    duration, parts, steps = _duration(run.number("train_secs")), run.number("parts"), run.number("timed_steps")
    if not duration:
        return ""
    several = f" over {parts:,.0f} parts" if parts is not None and parts > 1 else ""
    return duration + several + (f", for {steps:,.0f} of the steps" if steps is not None else "")


def _duration(secs: float | None) -> str:
    if secs is None or not 0 <= secs < 1e9:
        return ""
    minutes, seconds = divmod(round(secs), 60)
    if not minutes:
        return f"{secs:.1f} s"
    return f"{minutes} min {seconds:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _problem(run: Facts) -> str:
    """Returns the sentence on the first NaN or infinity, if it was located."""
    step, where = run.number("first_bad.step"), run.text("first_bad.where")
    if step is None:
        return ""
    examples = run.numbers("first_bad.examples")
    shown = ", ".join(map(str, examples[:_SHOWN_EXAMPLES]))
    more = f" and {len(examples) - _SHOWN_EXAMPLES} more" if len(examples) > _SHOWN_EXAMPLES else ""
    return (
        f"The first number that is not finite came up in step {step:,.0f}, {where}, on the training examples "
        f"{shown}{more}."
    )


def _figures(run: Facts) -> list[Drawing]:
    """Draws a figure for each kind of logged number."""
    drawn = []
    for title, (number, splits) in _FIGURES.items():
        found = [(place, split, run.curve(split, number)) for place, split in enumerate(splits)]
        lines = [Line(split, curve, place) for place, split, curve in found if curve]
        drawn += _figure(title, lines)
    return drawn + _figure("Gradient norm of each layer", _layer_norms(run))


def _layer_norms(run: Facts) -> list[Line]:
    """Returns the gradient-norm curves of single parameters, only the first ones if there are many."""
    names = run.history.names("train") if "train" in run.history.splits else ()
    norms = [name for name in names if name.startswith(_LAYER_NORMS)][:_MOST_LAYERS]
    labels = [checks.escaped(name.removeprefix(_LAYER_NORMS)) for name in norms]
    curves = [run.history.curve("train", name) for name in norms]
    return [Line(label, curve, place) for place, (label, curve) in enumerate(zip(labels, curves, strict=True))]


def _figure(title: str, lines: Sequence[Line]) -> list[Drawing]:
    """Draws the figure if there is a line to draw."""
    return [Drawing(title, figures.curves(title, lines))] if lines else []


def _overlaid(runs: Sequence[Facts], names: Sequence[str]) -> list[Drawing]:
    """Draws a figure for each kind of number, with a curve for each run."""
    drawn = []
    for title, (number, splits) in _FIGURES.items():
        split = (
            "validation" if "validation" in splits and any(run.curve("validation", number) for run in runs) else "train"
        )
        curves = [run.curve(split, number) for run in runs]
        lines = [
            Line(name, curve, place) for place, (name, curve) in enumerate(zip(names, curves, strict=True)) if curve
        ]
        drawn += _figure(f"{split.capitalize()} {title.lower()}" if len(splits) > 1 else title, lines)
    return drawn


def _pictures(run: Facts) -> list[Drawing]:
    """Returns the PNGs as data URLs."""
    return [
        Drawing(picture.title, f"data:image/png;base64,{base64.b64encode(picture.data).decode()}")
        for picture in run.pictures
    ]


def _settings(config: RunConfig) -> list[Setting]:
    """Returns the flags whose values differ from their defaults."""
    default = RunConfig()
    pairs = config.differences(default, IDENTITY) | config.differences(default, WATCHING)
    return [Setting(name, _spelled(own), _spelled(other)) for name, (own, other) in pairs.items()]


def _spelled(value: Any) -> str:
    """Formats a flag's value for a table."""
    return "–" if value in (None, "") else spelled(value)


def _command(config: RunConfig) -> str:
    """Returns the command that repeats the run."""
    changed = {name: value for name, (value, _) in config.differences(RunConfig(), IDENTITY).items()}
    given = {"model": config.model, "dataset": config.dataset} | changed
    flags = [shlex.quote(f"--{name}={spelled(value)}") for name, value in given.items() if value is not None]
    return " ".join(["tfcore train", *flags])


def _comparison(runs: Sequence[Facts], views: Sequence[RunView]) -> Comparison:
    """Returns the table of the runs' main results and of the flags in which they differ."""
    first, *others = [run.config for run in runs]
    differing = {name: None for other in others for name in first.differences(other, IDENTITY) if name != "model"}
    labels = [label for label in _COMPARED if any(label in dict(view.facts) for view in views)]
    rows = [
        [
            view.name, view.model, view.status, *(dict(view.facts).get(label, "") for label in labels),
            *(_spelled(getattr(run.config, name)) for name in differing),
        ]
        for run, view in zip(runs, views, strict=True)
    ]  # fmt: skip
    return Comparison(["Run", "Model", "Status", *labels, *(f"--{name}" for name in differing)], rows)
