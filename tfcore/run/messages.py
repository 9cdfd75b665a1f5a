"""The lines that a run prints at its start, when it is resumed, and at its end."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfcore import machine
from tfcore.build import runtime
from tfcore.run.parts import Parts
from tfcore.run.restore import Restored
from tfcore.terminal import tables
from tfcore.training.run_time import Elapsed


def introduction(parts: Parts, folder: Path) -> Iterator[Any]:
    """Yields the lines and tables printed at the start."""
    config = parts.config
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in parts.splits.items())
    threads = f"{config.intra_op_threads or 'all'} intra-op, {config.inter_op_threads or 'all'} inter-op threads"
    yield f"tfcore: {config.model} on {config.dataset} in {config.precision} ({runtime.why_precision(config)})"
    yield f"device: {_device()}"
    yield f"runtime: {threads}, XLA {config.xla}"
    yield f"data: {sizes} examples of {parts.data.classes} classes"
    yield (
        f"plan: {parts.total_steps:,} steps of {config.batch_size}, {config.optimizer} at {config.learning_rate:g}, "
        f"{config.schedule} schedule, seed {config.seed}"
    )
    yield f"run folder: {folder}"
    yield tables.model_table(parts.layers)
    yield tables.model_totals(parts.layers)


def _device() -> str:
    """Returns the name of the device that TensorFlow computes on."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name))
    return f"CPU, {machine.processor()}, {machine.processors()} processors"


def warnings_of_restore(restored: Restored) -> Iterator[str]:
    """Yields a line for each damaged checkpoint, and for each difference from the process that saved the checkpoint."""
    yield from (f"warning: {sentence}" for sentence in restored.damaged)
    if restored.differences:
        yield (
            "warning: the run continues, but not bit for bit, because this process differs from the one that saved the "
            "checkpoint:"
        )
    yield from (f"  {clause}" for clause in restored.differences)


def untimed(steps: int) -> str:
    """Returns the line of a resumed run whose folder lacks the time of some steps."""
    return f"The run folder has no times for {steps:,} of these steps. They are not timed."


def conclusion(result: dict[str, Any], elapsed: Elapsed, *, folder: Path, total_steps: int) -> Iterator[str]:
    """Yields the lines printed at the end, with the time of all parts of the run."""
    if result["status"] == "interrupted":
        flag = shlex.quote(f"--run_dir={folder}")
        yield f"Stopped and saved at step {result['steps']} of {total_steps}. Resume with {flag}"
        return
    if "best" in result:
        best, step = result["best"]["validation"], result["best"]["step"]
        yield f"best validation loss {best['loss']:.4f}, accuracy {best['accuracy']:.4f}, at step {step:,}"
    how = result["status"].replace("_", " ")
    parts = f" over {elapsed.parts} parts" if elapsed.parts > 1 else ""
    unknown = elapsed.step - elapsed.timed_steps
    rest = f", not counting {unknown:,} steps of unknown time" if unknown else ""
    times = f"{elapsed.total_secs:.1f} s ({elapsed.train_secs:.1f} s of training){parts}{rest}"
    yield f"{how} after {result['steps']:,} steps in {times}"
    yield f"test loss {result['test']['loss']:.4f}, test accuracy {result['test']['accuracy']:.4f}"
    if "test_average" in result:
        averaged = result["test_average"]
        yield f"with averaged weights: test loss {averaged['loss']:.4f}, test accuracy {averaged['accuracy']:.4f}"
    yield f"Look at it: {tables.tensorboard_command(folder)}"
