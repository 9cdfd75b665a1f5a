"""Formats tables and lines for the terminal with rich."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tfcore.terminal import confusion

if TYPE_CHECKING:  # both import TensorFlow, which the table of a sweep does not need
    from tfcore.metrics import Scores
    from tfcore.modules import LayerRow

_PIPED_COLUMNS = 100


def console(*, to_stderr: bool, quiet: bool = False) -> Console:
    """Returns the console for the log. In a pipe, lines are plain and not cut to a guessed width."""
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPED_COLUMNS
    # Without markup and emoji: [a] or :a: in the name of a class or folder would be read as a style or an emoji.
    return _Console(file=stream, width=width, highlight=False, soft_wrap=True, quiet=quiet, markup=False, emoji=False)


class _Console(Console):
    """A console that raises the error of a broken pipe; rich would exit the process silently."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704, re-raises the error that rich is handling


def model_table(rows: Sequence["LayerRow"], title: str = "Model") -> Table:
    """Returns the table of a model's layers with kind, output shape and number of parameters."""
    table = Table(title=title, title_justify="left")
    table.add_column("layer")
    table.add_column("kind")
    table.add_column("output shape")
    table.add_column("parameters", justify="right")
    for row in rows:
        table.add_row(row.path, row.kind, shape(row.output_shape), f"{row.parameters:,}")
    return table


def shape(sizes: Sequence[int | None]) -> str:
    """Formats a shape such as `(N, 28, 28, 1)`, with N for an unknown dimension."""
    return f"({', '.join('N' if size is None else str(size) for size in sizes)})"


def model_totals(rows: Sequence["LayerRow"]) -> str:
    """Returns the line of total, trainable and non-trainable parameters."""
    total, trainable = sum(row.parameters for row in rows), sum(row.trainable for row in rows)
    return f"Total parameters {total:,}: trainable {trainable:,}, non-trainable {total - trainable:,}"


def ranking_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Returns the table of a sweep's trials, best first; the first and last columns are left-aligned."""
    table = Table(title="Ranked by validation", title_justify="left")
    for heading in headings:
        side: Any = "left" if heading in (headings[0], headings[-1]) else "right"
        table.add_column(heading, justify=side, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def overall_table(split: str, scores: "Scores") -> Table:
    """Returns the table of loss, accuracy and top-k accuracy of one evaluation."""
    table = Table("split", "examples", "loss", "accuracy", f"top-{scores.k} accuracy")
    table.add_row(split, f"{scores.examples:,}", f"{scores.loss:.4f}", f"{scores.accuracy:.4f}", f"{scores.top_k:.4f}")
    return table


def class_table(names: Sequence[str], scores: "Scores") -> Table:
    """Returns the table of precision and recall of every class."""
    table = Table(title="Per class", title_justify="left")
    table.add_column("class")
    for heading in ("examples", "precision", "recall"):
        table.add_column(heading, justify="right")
    columns = zip(names, scores.confusion.sum(axis=1), scores.precision, scores.recall, strict=True)
    for name, examples, precision, recall in columns:
        table.add_row(name, f"{examples:,}", f"{precision:.4f}", f"{recall:.4f}")
    return table


def confusion_table(names: Sequence[str], scores: "Scores") -> Table | str:
    """Returns the confusion matrix as a table, or a line instead if it has too many classes."""
    if not confusion.is_shown(len(names)):
        return f"The confusion matrix of {len(names)} classes is in --json."
    table = Table(title=confusion.TITLE, title_justify="left", padding=(0, 0))
    table.add_column("")
    for name in names:
        table.add_column(name[:5], justify="right")
    for name, counts in zip(names, scores.confusion, strict=True):
        table.add_row(name, *map(str, counts))
    return table


def scores_json(scores: "Scores", names: Sequence[str]) -> dict[str, Any]:
    """Returns the scores of an evaluation as JSON values."""
    per_class = zip(names, scores.precision.tolist(), scores.recall.tolist(), strict=True)
    return {
        **headline(scores),
        f"top_{scores.k}_accuracy": scores.top_k,
        "examples": scores.examples,
        "classes": {name: {"precision": precision, "recall": recall} for name, precision, recall in per_class},
        "confusion_matrix": scores.confusion.tolist(),
    }


def headline(scores: "Scores") -> dict[str, float]:
    """Returns loss and accuracy, the logged scores."""
    return {"loss": scores.loss, "accuracy": scores.accuracy}


def tensorboard_command(folder: Path) -> str:
    """Returns the shell command that opens a run in TensorBoard."""
    program = Path(sys.executable).with_name("tensorboard")
    command = [str(_relative(program)) if program.exists() else "tensorboard", "--logdir", str(_relative(folder))]
    return shlex.join(command)


def _relative(path: Path) -> Path:
    """Shortens a path inside the working directory to a relative one."""
    return path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path
