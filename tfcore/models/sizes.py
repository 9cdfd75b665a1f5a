"""Reads the models' size arguments."""

from tfcore.errors import ConfigError


def dropout_rates(rates: tuple[float, ...]) -> tuple[float, float]:
    """The rates of the two kinds of layers, from one or two numbers.

    Raises:
        ConfigError: neither one nor two of them.
    """
    if len(rates) not in (1, 2):
        raise ConfigError(f"`dropout` must be one rate, or two such as 0.25,0.5. Received {len(rates)}.")
    return rates[0], rates[-1]


def some_filters(filters: tuple[int, ...]) -> None:
    """Raises ConfigError when there is no convolution."""
    if not filters:
        raise ConfigError("`filters` must be at least one number, such as 32,64. For none, take --model=mlp.")
