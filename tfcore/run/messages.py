"""What a run says of itself at its start and at its end."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfcore import machine
from tfcore.build import runtime, user_code
from tfcore.build.tables import MODELS
from tfcore.errors import ConfigError
from tfcore.modules import BrokenModelError, LayerRow, layer_table
from tfcore.run import memory
from tfcore.terminal import tables
from tfcore.training.run_time import Elapsed

if TYPE_CHECKING:
    from tfcore.run.session import Session


def introduce(session: "Session") -> None:
    """The start-up block."""
    say, config = session.details.print, session.config
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in session.splits.items())
    threads = f"{config.intra_op_threads or 'all'} intra-op, {config.inter_op_threads or 'all'} inter-op threads"
    say(f"tfcore: {config.model} on {config.dataset} in {config.precision} ({runtime.why_precision(config)})")
    say(f"device: {_device()}")
    say(f"runtime: {threads}, XLA {config.xla}")
    say(f"data: {sizes} examples of {session.data.classes} classes")
    say(
        f"plan: {session.total_steps:,} steps of {config.batch_size}, {config.optimizer} at {config.learning_rate:g}, "
        f"{config.schedule} schedule, seed {config.seed}"
    )
    say(f"run folder: {session.folder.path}")
    rows = session.layers
    say(tables.model_table(rows))
    say(tables.model_totals(rows))
    if words := memory.warning_for(session, rows):
        session.console.print(words)


def _device() -> str:
    """What TensorFlow computes on."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name))
    return f"CPU, {machine.processor()}, {machine.processors()} processors"


def layers(session: "Session") -> list[LayerRow]:
    """The model's layers, found by running it on a symbolic batch.

    Raises:
        ConfigError: it does not run; the layers before the one that broke are printed to standard error.
    """
    own = session.config.model not in MODELS  # whose way through training nobody has tested
    try:
        for training in (True, False) if own else (False,):
            rows = layer_table(session.model, session.data.image_shape, classes=session.data.classes, training=training)
    except BrokenModelError as error:
        if error.rows:
            terminal = tables.console(to_stderr=True, quiet=session.console.quiet)
            terminal.print(tables.model_table(error.rows, title="The layers before"))
        place = user_code.place(error.__cause__)
        raise ConfigError(f"{str(error).removesuffix('.')}{f' ({place})' if place else ''}.") from error
    return rows


def conclude(session: "Session", result: dict[str, Any], elapsed: Elapsed) -> None:
    """The last block, with the time of all parts of the run."""
    say, where = session.console.print, session.folder.path
    if result["status"] == "interrupted":
        flag = shlex.quote(f"--run_dir={where}")
        say(f"Stopped and saved at step {result['steps']} of {session.total_steps}. Go on with {flag}")
        return
    if "best" in result:
        best, step = result["best"]["validation"], result["best"]["step"]
        say(f"best validation loss {best['loss']:.4f}, accuracy {best['accuracy']:.4f}, at step {step:,}")
    how = result["status"].replace("_", " ")
    parts = f" over {elapsed.parts} parts" if elapsed.parts > 1 else ""
    untimed = elapsed.step - elapsed.timed_steps
    rest = f", not counting {untimed:,} steps of unknown time" if untimed else ""
    times = f"{elapsed.total_secs:.1f} s ({elapsed.train_secs:.1f} s of training){parts}{rest}"
    say(f"{how} after {result['steps']:,} steps in {times}")
    say(f"test loss {result['test']['loss']:.4f}, test accuracy {result['test']['accuracy']:.4f}")
    if "test_average" in result:
        averaged = result["test_average"]
        say(f"with averaged weights: test loss {averaged['loss']:.4f}, test accuracy {averaged['accuracy']:.4f}")
    say(f"Look at it: {tables.tensorboard_command(Path(where))}")


def tell_of_untimed(session: "Session", steps: int) -> None:
    """The line of a run that goes on from steps of which its folder has no time."""
    if steps:
        session.details.print(f"How long {steps:,} of these steps took is not in the run folder. They are not timed.")


def warn_of_damage(session: "Session", damaged: list[str]) -> None:
    """A line for each checkpoint that could not be read."""
    for sentence in damaged:
        session.console.print(f"warning: {sentence}")


def warn_of_differences(session: "Session", clauses: list[str]) -> None:
    """What is not as it was in the process that saved, and what that means."""
    if clauses:
        session.console.print(
            "warning: the run goes on, but not to the bit as it would have, since this process differs from the one "
            "that saved:"
        )
    for clause in clauses:
        session.console.print(f"  {clause}")
