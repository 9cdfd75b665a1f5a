"""`lr_find`: a learning rate range test, which trains with a rising rate and draws the losses against it."""

import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcore.build import importing, phases, runtime
from tfcore.build.configuration import resolve, with_given
from tfcore.build.tables import check_names
from tfcore.cli import flags
from tfcore.config import RunConfig
from tfcore.config_values import spelled
from tfcore.errors import ConfigError
from tfcore.files import refuse_existing

if TYPE_CHECKING:
    from rich.console import Console

    from tfcore.lr_find.rates import Rates
    from tfcore.lr_find.rising import Recording

_FELL = """\
steepest fall          {steepest:<10.2g}where the smoothed loss falls fastest over the logarithm of the rate
minimum / 10           {tenth:<10.2g}a tenth of the rate at which the smoothed loss is lowest
Both are hints: the best rate of a whole run depends on its length and schedule too. To train with the first:
  {command}"""
_FLAT = (
    "The loss does not fall between {lowest:.2g} and {highest:.2g} by more than its noise: there is no rate to suggest."
    " Take more --steps or other rates, or look for what keeps the model from learning."
)
_OPEN = "The loss has not risen again at {highest:.2g}: its minimum may be at a higher rate. Raise --highest."


class _Found(NamedTuple):
    """What a test found, and the command to train with it."""

    recording: "Recording"
    rates: "Rates | None"
    command: str | None


def run(parsed: flags.Parsed) -> int:
    """Trains, draws the picture, prints the rates, and returns the exit status."""
    from tfcore.lr_find import settings

    options = parsed.options
    out = _out(options["out"])
    rise = settings.rising(options["lowest"], options["highest"], options["steps"])
    config = resolve(with_given({**parsed.given, **rise}))
    check_names(config)
    phases.refuse(config, "lr_find")
    importing.import_tensorflow_for_good()
    runtime.set_up(config)
    from tfcore.lr_find import figure
    from tfcore.terminal import tables

    console = tables.console(to_stderr=options["json"])
    found = _find(config, parsed.given, console)
    _report(found, console)
    title = f"{Path(config.model).name} on {Path(config.dataset).name}"
    figure.save(out, title, found.recording.rates, found.recording.losses, found.rates)
    console.print(f"Written to {out}")
    if options["json"]:
        print(json.dumps({**_figures(found), "out": str(out)}))
    return 0


def _out(given: str) -> Path:
    """Returns the path of the picture.

    Raises:
        ConfigError: none is given, or it is no PNG.
        RunError: it exists already.
    """
    if Path(given).suffix.lower() != ".png":
        raise ConfigError(f"`out` must end in .png, such as --out=rates.png. Received '{given}'.")
    path = Path(given).expanduser()
    refuse_existing(path)
    return path


def _find(config: RunConfig, given: Mapping[str, Any], console: "Console") -> _Found:
    """Builds the run, trains it, and reads the rates off the losses."""
    from tfcore.build.data import check_validation
    from tfcore.lr_find import rates
    from tfcore.lr_find.rising import Recording
    from tfcore.run.parts import build_parts
    from tfcore.run.restore import start_weights
    from tfcore.terminal import progress

    parts = build_parts(config)
    check_validation(parts.config, parts.data)
    start_weights(parts)
    recording = Recording(parts)
    line = progress.ProgressLine(
        first_step=0, total_steps=parts.total_steps, batch_size=config.batch_size,
        per_epoch=config.steps_per_epoch(len(parts.splits["train"])), means=recording.newest, best=lambda: None,
    )  # fmt: skip
    with progress.following(console, line) as show_progress:
        recording.run(show_progress)
    found = rates.find(recording.rates, recording.losses)
    return _Found(recording, found, _command(given, found.steepest) if found else None)


def _command(given: Mapping[str, Any], rate: float) -> str:
    """Returns the command that trains with the rate and the flags given here."""
    words = [f"--{name}={spelled(value)}" for name, value in given.items()]
    return shlex.join(["tfcore", "train", *words, f"--learning_rate={rate:.2g}"])


def _report(found: _Found, console: "Console") -> None:
    """Prints how far the rate rose, and the rates found or that there are none."""
    tested, losses = found.recording.rates, found.recording.losses
    why = f", where training diverges: loss {losses[-1]:.4g}" if found.recording.has_diverged else ""
    console.print(f"{len(tested):,} steps, from a rate of {tested[0]:.2g} up to {tested[-1]:.2g}{why}")
    if found.rates is None:
        console.print(_FLAT.format(lowest=tested[0], highest=tested[-1]))
        return
    console.print(_FELL.format(steepest=found.rates.steepest, tenth=found.rates.tenth, command=found.command))
    if not found.rates.rises_again:
        console.print(_OPEN.format(highest=tested[-1]))


def _figures(found: _Found) -> dict[str, Any]:
    """Returns the test for JSON, which lacks NaN and infinity."""
    recording, rates = found.recording, found.rates
    return {
        "steepest": rates.steepest if rates else None,
        "tenth_of_minimum": rates.tenth if rates else None,
        "rises_again": rates.rises_again if rates else None,
        "diverged": recording.has_diverged,
        "command": found.command,
        "rates": recording.rates,
        "losses": [loss if math.isfinite(loss) else None for loss in recording.losses],
    }
