"""Checks of the models' size arguments."""

from tfcore import checks
from tfcore.errors import ConfigError

STEMS = (32, 224)  # side of the pictures that a network's first layers are made for
_DEEPEST = 1000  # layers; a file's model is built before its weights are compared, so a depth is bounded


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


def depth_in_range(depth: int) -> None:
    """Raises ConfigError unless there is at least one layer, and no more than can be built."""
    checks.positive_integer("depth", depth)
    if depth > _DEEPEST:
        raise ConfigError(f"`depth` must be at most {_DEEPEST}. Received {depth}.")


def known_stem(stem: int) -> None:
    """Raises ConfigError unless `stem` is one of `STEMS`."""
    checks.one_of("stem", str(stem), tuple(map(str, STEMS)))


def advice(stem: int) -> str:
    """What to do about pictures that are too small for a network with this stem."""
    return "Take larger pictures." if stem == STEMS[0] else f"Take larger pictures, or stem={STEMS[0]}."


def large_enough(image_shape: tuple[int, int, int], reduction: int, advice: str) -> None:
    """Raises ConfigError for pictures of which the network's strides leave less than one pixel.

    Args:
        image_shape: (H, W, C).
        reduction: product of the strides.
        advice: what to do, for the message.
    """
    if min(image_shape[:2]) < reduction:
        raise ConfigError(
            f"Pictures of {image_shape[0]}×{image_shape[1]} are too small for a network that makes them {reduction} "
            f"times smaller. {advice}"
        )
