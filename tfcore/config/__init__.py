"""The configuration of a run: one frozen dataclass for flags, resuming and the library.

Each field is a flag of the same name. Identity fields say what is trained; a resumed run must not change them. Watching
fields say where and how the run is observed; a resumed run may change them.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tfcore import checks, config_values, contradictions, model_args
from tfcore.config.network import NetworkSettings
from tfcore.config.training import TrainingSettings
from tfcore.config.watching import SUMMARIES, WatchingSettings
from tfcore.errors import ConfigError

SOURCE_SETTINGS = ("test_share", "image_shape", "image_size", "image_fit", "skip_bad_pictures")  # of one's own data
MODEL_SIZES = ("hidden", "filters", "dropout", "activation", "pooling", "max_norm", "initializer")
_TO_AN_END = ("exponential", "polynomial", "trapezoid", "cosine", "one_cycle")  # of the run, or of --decay_steps


@dataclass(frozen=True)
class RunConfig(WatchingSettings, TrainingSettings, NetworkSettings):  # the fields are in the opposite order
    """Every setting of a run, with its default.

    Values are converted to the annotated types: lists to tuples, NumPy's numbers to Python's, and `model_args` to text.

    Raises:
        ConfigError: a value of another type or out of range, or two that contradict each other.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "model_args", model_args.normalized(self.model_args))
        super().__post_init__()
        contradictions.check(self)

    def steps_per_epoch(self, examples: int) -> Fraction:
        """Returns N/B, not rounded: an epoch may begin within a batch."""
        return Fraction(examples, self.batch_size)

    def total_steps(self, examples: int) -> int:
        """Returns the length of the run in steps; --epochs=E is ceil(E·N/B) steps.

        Raises:
            ConfigError: neither --steps nor --epochs is set.
        """
        if self.steps is not None:
            return self.steps
        if self.epochs is None:
            raise ConfigError("Give --steps or --epochs.")
        return math.ceil(Fraction(str(self.epochs)) * self.steps_per_epoch(examples))

    @property
    def keeps_averages(self) -> bool:
        """Whether the run keeps averages of its weights."""
        return self.average_decay is not None or self.average_from_epochs is not None

    @property
    def depends_on_length(self) -> bool:
        """Whether the learning rate at a step depends on the run's length: such a run cannot be extended."""
        return self.schedule in _TO_AN_END and self.decay_steps is None

    @property
    def summary_parts(self) -> frozenset[str]:
        """The parts that `summaries` names."""
        return frozenset(checks.some_of("summaries", self.summaries, SUMMARIES))


KINDS = RunConfig.kinds()


def read_value(name: str, text: str) -> Any:
    """Reads the value of the field `name` from text.

    Raises:
        ConfigError: the text spells none.
    """
    return config_values.read(f"--{name}", text, KINDS[name])
