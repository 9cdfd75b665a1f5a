"""An estimate of the memory that a run's steps will take, before the first of them."""

from collections.abc import Sequence
from math import prod

from tfcore import machine
from tfcore.build import runtime
from tfcore.modules import LayerRow
from tfcore.run.parts import Parts

_GRADIENT_BYTES = 4  # they are float32, whatever the model computes in


def step_bytes(rows: Sequence[LayerRow], *, examples: int, number_bytes: int) -> int:
    """Estimates what a training step takes beside what is there before it.

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


def free_bytes() -> int | None:
    """Returns the memory that steps may take; None where that is unknown, or a GPU computes, which has its own."""
    return None if runtime.has_gpu() else machine.available_bytes()


def warning(parts: Parts, free_bytes: int | None) -> str:
    """Returns the line for a batch that will not fit into the free memory, with the micro-batches that would; or "".

    Args:
        parts: of the run.
        free_bytes: that the steps may take; None where that is unknown.
    """
    config = parts.config

    def needed(microbatches: int) -> int:
        return step_bytes(
            parts.layers,
            examples=config.batch_size // microbatches,
            number_bytes=2 if config.precision == "bfloat16" else 4,
        )

    if free_bytes is None or needed(config.microbatches) <= free_bytes:
        return ""
    more = range(config.microbatches + 1, config.batch_size + 1)
    fitting = next((n for n in more if config.batch_size % n == 0 and needed(n) <= free_bytes), None)
    advice = f" or use --microbatches={fitting}" if fitting else ""
    return (
        f"warning: a batch of {config.batch_size:,} will want about {needed(config.microbatches) / 1e9:.1f} GB, "
        f"{free_bytes / 1e9:.1f} GB are free; lower --batch_size{advice}"
    )
