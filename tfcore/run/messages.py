"""The lines that a run prints at its start, when it goes on, and at its end."""

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


def introduction(parts: Parts, folder: Path) -> Iterator[Any]:
    """Yields the lines and tables of the start."""
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
    """Names the device that TensorFlow computes on."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name))
    return f"CPU, {machine.processor()}, {machine.processors()} processors"


def warnings_of_restore(restored: Restored) -> Iterator[str]:
    """Yields a line for each damaged checkpoint, and for each difference from the process that saved."""
    yield from (f"warning: {sentence}" for sentence in restored.damaged)
    if restored.differences:
        yield (
            "warning: the run goes on, but not to the bit as it would have, since this process differs from the one "
            "that saved:"
        )
    yield from (f"  {clause}" for clause in restored.differences)


def conclusion(
    result: dict[str, Any], *, folder: Path, total_steps: int, train_secs: float, total_secs: float
) -> Iterator[str]:
    """Yields the lines of the end."""
    if result["status"] == "interrupted":
        flag = shlex.quote(f"--run_dir={folder}")
        yield f"Stopped and saved at step {result['steps']} of {total_steps}. Go on with {flag}"
        return
    if "best" in result:
        best, step = result["best"]["validation"], result["best"]["step"]
        yield f"best validation loss {best['loss']:.4f}, accuracy {best['accuracy']:.4f}, at step {step:,}"
    how = result["status"].replace("_", " ")
    yield f"{how} after {result['steps']:,} steps in {total_secs:.1f} s ({train_secs:.1f} s of training)"
    yield f"test loss {result['test']['loss']:.4f}, test accuracy {result['test']['accuracy']:.4f}"
    if "test_average" in result:
        averaged = result["test_average"]
        yield f"with averaged weights: test loss {averaged['loss']:.4f}, test accuracy {averaged['accuracy']:.4f}"
    yield f"Look at it: {tables.tensorboard_command(folder)}"
