"""Settings of a run that cannot all be meant, whatever the model, the data and the optimizer are."""

from typing import Any

from tfcore.config_values import spelled
from tfcore.errors import ConfigError

_LONGEST = 10**12  # steps or epochs: more than any run completes, and its examples still fit into 64 bits


def check(config: Any) -> None:
    """Raises ConfigError on flags that contradict each other."""
    if config.steps is not None and config.epochs is not None:
        raise ConfigError(f"Give --steps or --epochs, not both. Received {config.steps} and {config.epochs:g}.")
    if (length := config.steps or config.epochs or 0) > _LONGEST:
        raise ConfigError(f"A run has at most {_LONGEST:,} steps or epochs. Received {length}.")
    if config.rename and not config.init_from:
        raise ConfigError(f"--rename belongs to --init_from, the file of weights. Received --rename={config.rename}.")
    if config.patience is not None and config.validation == 0:
        raise ConfigError("--patience needs validation examples. Received --validation=0.")
    if config.average_decay is not None and config.average_from_epochs is not None:
        raise ConfigError(
            "Give --average_decay or --average_from_epochs, not both: a run keeps one average. Received "
            f"{config.average_decay:g} and {config.average_from_epochs:g}."
        )
    if config.teacher and config.progressive_resizing:
        raise ConfigError(
            "A teacher takes pictures of one size, those of the run: leave out --progressive_resizing or --teacher."
        )
    if config.teacher and config.teacher_share == 1 and config.label_smoothing:
        raise ConfigError("--label_smoothing has no effect with --teacher_share=1, which leaves out the labels.")
    if config.progressive_resizing and config.pixels == "centered":
        raise ConfigError(
            "--pixels=centered subtracts a mean picture of one size: with --progressive_resizing take standardized."
        )
    if config.batch_size % config.microbatches:
        raise ConfigError(
            f"--microbatches must divide the batch of {config.batch_size}. Received {config.microbatches}."
        )
    if config.schedule == "step_wise" and not config.decay_boundaries:
        raise ConfigError("--schedule=step_wise needs --decay_boundaries, such as 1000,2000.")
    if config.schedule == "cosine_restarts" and config.decay_steps is None:
        raise ConfigError("--schedule=cosine_restarts needs --decay_steps, the length of its first period.")
    if config.schedule == "one_cycle" and config.warmup_steps:
        raise ConfigError(
            "--schedule=one_cycle rises by itself, over --warmup_share of its steps. Leave out --warmup_steps. "
            f"Received {config.warmup_steps}."
        )
    if config.decay_boundaries and config.schedule != "step_wise":
        raise ConfigError(f"--decay_boundaries belongs to --schedule=step_wise. Received --schedule={config.schedule}.")
    if list(config.decay_boundaries or ()) != sorted({step for step in config.decay_boundaries or () if step > 0}):
        raise ConfigError(
            f"--decay_boundaries must rise from step to step. Received {spelled(config.decay_boundaries)}."
        )
