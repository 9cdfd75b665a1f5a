"""Checks of the models' size arguments."""

from tfcore.errors import ConfigError


def dropout_rates(rates: tuple[float, ...]) -> tuple[float, float]:
    """Expands one or two dropout rates to one for each of the two kinds of layers.

    Raises:
        ConfigError: neither one nor two rates were given.
    """
    if len(rates) not in (1, 2):
        raise ConfigError(f"`dropout` must be one rate, or two such as 0.25,0.5. Received {len(rates)}.")
    return rates[0], rates[-1]


def some_filters(filters: tuple[int, ...]) -> None:
    """Raises ConfigError unless there is at least one convolution."""
    if not filters:
        raise ConfigError("`filters` must be at least one number, such as 32,64. For none, take --model=mlp.")
