"""The lines that a run prints at its start, when it is resumed, and at its end."""

import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfcore import machine
from tfcore.run.parts import Parts
from tfcore.run.restore import Restored
from tfcore.terminal import tables
from tfcore.training.run_time import Elapsed
from tfcore.training.step import Optimizer


def introduction(parts: Parts, folder: Path) -> Iterator[Any]:
    """Yields the lines and tables printed at the start."""
    config = parts.config
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in parts.splits.items())
    threads = f"{config.intra_op_threads or 'all'} intra-op, {config.inter_op_threads or 'all'} inter-op threads"
    yield f"tfcore: {config.model} on {config.dataset}, {_products(parts)} ({parts.why_precision})"
    if config.precision == "bfloat16" and (place := _float32_place(parts)):
        yield f"warning: --precision=bfloat16, but {place}"
    yield f"device: {_device()}"
    yield f"runtime: {threads}, XLA {config.xla}"
    weighted = "" if parts.data.train_weights is None else ", with weights of the training examples"
    yield f"data: {sizes} examples of {parts.data.classes} classes{weighted}"
    yield (
        f"plan: {parts.total_steps:,} steps of {config.batch_size}, {config.optimizer} at {config.learning_rate:g}, "
        f"{config.schedule} schedule, seed {config.seed}"
    )
    if parts.teacher:
        yield (
            f"teacher: {parts.teacher.architecture.model} of {config.teacher}, share {config.teacher_share:g}, "
            f"temperature {config.teacher_temperature:g}"
        )
    if parts.step.optimizer.averages_by_itself and config.schedule != "constant":
        yield (
            f"warning: {config.optimizer} averages its weights instead of lowering the learning rate: its schedule is "
            f"constant, best with --warmup_steps. Received --schedule={config.schedule}."
        )
    yield f"run folder: {folder}"
    yield tables.model_table(parts.layers)
    yield tables.model_totals(parts.layers)
    if frozen := _frozen(parts.step.optimizer):
        yield f"frozen: {frozen}"
    yield from _phases(parts)


def _phases(parts: Parts) -> Iterator[str]:
    """Yields a line for each phase, if there are several."""
    for plan, phase in zip(parts.phase_plans, parts.phases(), strict=True):
        if len(parts.phase_plans) > 1:
            height, width = plan.image_size or parts.data.image_shape[:2]
            frozen = _frozen(phase.step.optimizer)
            yield f"from step {plan.first_step:,}: pictures of {height}x{width}{frozen and f', frozen {frozen}'}"


def _frozen(optimizer: Optimizer) -> str:
    """Counts the parameters that keep their values; "" for none."""
    frozen = [p for p, is_frozen in zip(optimizer.parameters, optimizer.frozen, strict=True) if is_frozen]
    values = sum(parameter.shape.num_elements() for parameter in frozen)
    return f"{len(frozen)} of {len(optimizer.parameters)} trainable variables, {values:,} values" if frozen else ""


def _products(parts: Parts) -> str:
    """Counts the products by type, such as "21 convolutions and 1 product in bfloat16, 0 in float32"."""
    counts = Counter((product.dtype, product.kind) for product in parts.products)
    dtypes = sorted({dtype for dtype, _ in counts})
    if dtypes == ["bfloat16"] or not dtypes:
        dtypes.append("float32")
    return ", ".join(f"{_counted(counts, dtype)} in {dtype}" for dtype in dtypes)


def _counted(counts: Mapping[tuple[str, str], int], dtype: str) -> str:
    """Formats the counts of one type, such as "21 convolutions and 1 product"; "0" for none."""
    found = [f"{count} {kind}{'s' * (count > 1)}" for (of, kind), count in sorted(counts.items()) if of == dtype]
    return " and ".join(found) or "0"


def _float32_place(parts: Parts) -> str:
    """Says which part of a bfloat16 model computes its products in float32; "" if none does."""
    count = sum(product.dtype != "bfloat16" for product in parts.products)
    if not count:
        return ""
    turned = next((row for row in parts.layers if row.dtype == "float32"), None)
    cause = f"layer '{turned.path}' ({turned.kind}) is the first to return float32" if turned else "the model casts"
    return f"{count} of {len(parts.products)} products compute in another type: {cause}."


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


def started_from(source: str, drawn: Collection[str]) -> str:
    """Returns the line of a new run that starts from weights, with the variables that were not among them."""
    rest = f" It has no {', '.join(drawn)}, which keep their initial values." if drawn else ""
    return f"Starting from the weights of {source}.{rest}"


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
