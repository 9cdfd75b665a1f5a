"""How much memory a run's steps will take, told before the first of them."""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from tfcore import machine
from tfcore.build import runtime

if TYPE_CHECKING:
    from tfcore.modules import LayerRow
    from tfcore.run.session import Session

_GRADIENT_BYTES = 4  # they are float32, whatever the model computes in


def step_bytes(rows: Sequence["LayerRow"], *, examples: int, number_bytes: int) -> int:
    """What a training step takes beside what is there before it.

        outputs kept for the backward pass   examples · Σ numbers in a layer's output · number_bytes
        gradients                            4 · trainable numbers

    Weights, the optimizer's slots and the data set are in memory before the first step, and what is free is counted
    without them. Some outputs need not be kept and some ops keep more: from about a hundred examples, take it as right
    within a factor of 2. At 1,024 pictures of CIFAR-10 cifar_cnn took 1.70 GB in float32 and 0.96 GB in bfloat16; this
    says 1.69 and 0.85.

    Args:
        rows: the model's layers.
        examples: computed at once: the batch over its micro-batches.
        number_bytes: of a number in the model's precision.
    """
    outputs = sum(prod(size for size in row.output_shape if size is not None) for row in rows)
    return examples * outputs * number_bytes + _GRADIENT_BYTES * sum(row.trainable for row in rows)


def warning(
    rows: Sequence["LayerRow"], *, batch_size: int, microbatches: int, number_bytes: int, available_bytes: int
) -> str:
    """The line for a batch that will not fit into what is available, with the micro-batches that would; or nothing."""

    def needed(parts: int) -> int:
        return step_bytes(rows, examples=batch_size // parts, number_bytes=number_bytes)

    if needed(microbatches) <= available_bytes:
        return ""
    divisors = (parts for parts in range(microbatches + 1, batch_size + 1) if batch_size % parts == 0)
    fitting = next((parts for parts in divisors if needed(parts) <= available_bytes), None)
    advice = f" or use --microbatches={fitting}" if fitting else ""
    return (
        f"warning: a batch of {batch_size:,} will want about {needed(microbatches) / 1e9:.1f} GB, "
        f"{available_bytes / 1e9:.1f} GB are free; lower --batch_size{advice}"
    )


def warning_for(session: "Session", rows: Sequence["LayerRow"]) -> str:
    """The line for a run whose batch will not fit here, or nothing. A GPU has memory of its own."""
    config, available = session.config, machine.available_bytes()
    if available is None or runtime.has_gpu():
        return ""
    return warning(
        rows,
        batch_size=config.batch_size,
        microbatches=config.microbatches,
        number_bytes=2 if config.precision == "bfloat16" else 4,
        available_bytes=available,
    )
