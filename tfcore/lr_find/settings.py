"""The settings of a run whose learning rate rises; needs no TensorFlow."""

from typing import Any

from tfcore import checks
from tfcore.errors import ConfigError

_FEWEST_STEPS = 20


def rising(lowest: float, highest: float, steps: int) -> dict[str, Any]:
    """Returns the settings of a run of `steps` steps, the first at the rate `lowest` and the last at `highest`.

        rate(t) = lowest · (highest / lowest)^(t / (steps - 1))

    Raises:
        ConfigError: a number is out of range.
    """
    checks.positive("lowest", lowest)
    checks.positive("highest", highest)
    if highest <= lowest:
        raise ConfigError(f"`highest` must be above `lowest`, {lowest!r}. Received {highest!r}.")
    if steps < _FEWEST_STEPS:
        raise ConfigError(f"`steps` must be an integer of at least {_FEWEST_STEPS}. Received {steps!r}.")
    rise = {"schedule": "exponential", "decay_factor": highest / lowest, "decay_steps": steps - 1}
    no_average = {"average_from_epochs": None, "average_every_epochs": 1.0}  # the test may end before it begins
    return {"learning_rate": lowest, **rise, "steps": steps, "epochs": None, **no_average}
