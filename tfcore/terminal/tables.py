"""Tables and lines on the terminal, drawn by rich."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tfcore.terminal import confusion

if TYPE_CHECKING:  # TensorFlow is in both, and a sweep shows its table without it
    from tfcore.metrics import Scores
    from tfcore.modules import LayerRow

_PIPED_COLUMNS = 100


def console(*, to_stderr: bool, quiet: bool = False) -> Console:
    """Where the log goes. Piped, lines are plain and not cut to a guessed width."""
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPED_COLUMNS
    # Without markup and emoji: [a] or :a: in the name of a class or a folder would be taken for a style or a sign.
    return _Console(file=stream, width=width, highlight=False, soft_wrap=True, quiet=quiet, markup=False, emoji=False)


class _Console(Console):
    """One that lets the error through where nobody reads any more; rich would end the process without a word."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704, what rich is handling


def model_table(rows: Sequence["LayerRow"], title: str = "Model") -> Table:
    """Layer, output shape, parameters."""
    table = Table(title=title, title_justify="left")
    table.add_column("layer")
    table.add_column("kind")
    table.add_column("output shape")
    table.add_column("parameters", justify="right")
    for row in rows:
        table.add_row(row.path, row.kind, shape(row.output_shape), f"{row.parameters:,}")
    return table


def shape(sizes: Sequence[int | None]) -> str:
    """`(N, 28, 28, 1)`, N for a size that is open."""
    return f"({', '.join('N' if size is None else str(size) for size in sizes)})"


def model_totals(rows: Sequence["LayerRow"]) -> str:
    """Total, trainable, non-trainable."""
    total, trainable = sum(row.parameters for row in rows), sum(row.trainable for row in rows)
    return f"Total parameters {total:,}: trainable {trainable:,}, non-trainable {total - trainable:,}"


def ranking_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A sweep's trials, best first: a text for each heading, those of the first and the last at the left."""
    table = Table(title="Ranked by validation", title_justify="left")
    for heading in headings:
        side: Any = "left" if heading in (headings[0], headings[-1]) else "right"
        table.add_column(heading, justify=side, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def overall_table(split: str, scores: "Scores") -> Table:
    """Loss, accuracy and top-k of one evaluation."""
    table = Table("split", "examples", "loss", "accuracy", f"top-{scores.k} accuracy")
    table.add_row(split, f"{scores.examples:,}", f"{scores.loss:.4f}", f"{scores.accuracy:.4f}", f"{scores.top_k:.4f}")
    return table


def class_table(names: Sequence[str], scores: "Scores") -> Table:
    """Precision and recall of every class."""
    table = Table(title="Per class", title_justify="left")
    table.add_column("class")
    for heading in ("examples", "precision", "recall"):
        table.add_column(heading, justify="right")
    columns = zip(names, scores.confusion.sum(axis=1), scores.precision, scores.recall, strict=True)
    for name, examples, precision, recall in columns:
        table.add_row(name, f"{examples:,}", f"{precision:.4f}", f"{recall:.4f}")
    return table


def confusion_table(names: Sequence[str], scores: "Scores") -> Table | str:
    """The confusion matrix, where it is small enough to be read."""
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
    """An evaluation as plain numbers."""
    per_class = zip(names, scores.precision.tolist(), scores.recall.tolist(), strict=True)
    return {
        **headline(scores),
        f"top_{scores.k}_accuracy": scores.top_k,
        "examples": scores.examples,
        "classes": {name: {"precision": precision, "recall": recall} for name, precision, recall in per_class},
        "confusion_matrix": scores.confusion.tolist(),
    }


def headline(scores: "Scores") -> dict[str, float]:
    """Loss and accuracy: what is logged."""
    return {"loss": scores.loss, "accuracy": scores.accuracy}


def tensorboard_command(folder: Path) -> str:
    """The line to type to look at a run."""
    program = Path(sys.executable).with_name("tensorboard")
    command = [str(_relative(program)) if program.exists() else "tensorboard", "--logdir", str(_relative(folder))]
    return shlex.join(command)


def _relative(path: Path) -> Path:
    """Short where it can be: the working directory is where the command will be typed."""
    return path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path
