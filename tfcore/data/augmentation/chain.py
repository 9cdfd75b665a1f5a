"""Applies augmentations in order to blocks of training batches."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfcore.data.augmentation.draws import Draws
from tfcore.data.order import Blocks
from tfcore.data.windows import DRAWS, Cut
from tfcore.errors import ConfigError
from tfcore.seeds import Key


class Part(NamedTuple):
    """An augmentation with its arguments.

    Args:
        name: for messages; what follows its last colon is the purpose of its draws.
        function: of `images` and `draws`, which returns images; if it mixes, of `images`, `targets` and `draws`, which
            returns images and targets.
        mixes: whether it takes targets.
        cut: the same for a picture in a file, which is decoded in part: its window by random numbers; None for no such
            form.
    """

    name: str
    function: Callable[..., Any]
    mixes: bool = False
    cut: Cut | None = None


class Augmentation:
    """Applies its parts in order.

    Each part gets the pictures `[n, H, W, C]`, uint8 or, after a part that returns it, float32 on the same scale of 0
    to 255, and random numbers of its own: equal parts draw differently. From the first part that mixes on, labels are
    targets, float32 `[n, classes]`.

    Args:
        parts: at least one.
        classes: number of classes.
    """

    def __init__(self, parts: Sequence[Part], *, classes: int) -> None:
        self._parts, self._classes = tuple(parts), classes

    @property
    def mixes(self) -> bool:
        """Whether labels become targets `[n, classes]`."""
        return any(part.mixes for part in self._parts)

    @property
    def cut(self) -> Cut | None:
        """The window to decode of pictures in files, in place of the first part; None where that has no such form."""
        return self._parts[0].cut

    def cut_draws(self, *, key: Key, count: int, batch_size: int, examples: int) -> tf.Tensor:
        """The random numbers for `cut`: float32 `[count, 4]`, in [0, 1); see `__call__` for the arguments."""
        purpose = f"{_purpose(self._parts[0])} 1"
        draws = Draws(key, purpose, count=count, batch_size=batch_size, examples=examples)
        return tf.stack([draws.uniform(name) for name in DRAWS], axis=1)

    def targets(self, labels: tf.Tensor) -> tf.Tensor:
        """Converts class numbers, int32 `[n]`, to targets, float32 `[n, classes]`."""
        return tf.one_hot(labels, self._classes)

    def __call__(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        *,
        key: Key,
        batch_size: int,
        examples: int,
        blocks: Blocks | None = None,
        is_cut: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Augments whole batches.

        Args:
            images: uint8 `[n, H, W, C]`.
            labels: int32 `[n]`; or, where a part mixes, targets float32 `[n, classes]`.
            key: with the position of the first example.
            batch_size: B, a divisor of n.
            examples: number of training examples.
            blocks: of their order; see `order.indices`.
            is_cut: whether the first part is done, by its `cut`.

        Raises:
            ConfigError: a part returns pictures or targets of another shape or dtype, or refuses its arguments.
        """
        targets = self.targets(labels) if self.mixes and labels.shape.rank == 1 else labels
        count, seen = images.shape[0], Counter[str]()
        for place, part in enumerate(self._parts):
            purpose = _purpose(part)
            seen[purpose] += 1
            if is_cut and place == 0:
                continue
            draws = Draws(
                key,
                f"{purpose} {seen[purpose]}",
                count=count,
                batch_size=batch_size,
                examples=examples,
                blocks=blocks,
            )
            if part.mixes:
                images, targets = _pair(
                    part, images, targets, part.function(images=images, targets=targets, draws=draws)
                )
            else:
                images = _pictures(part, images, part.function(images=images, draws=draws))
        return images, targets


def _purpose(part: Part) -> str:
    return part.name.rpartition(":")[2]  # a file may be named by several paths


def _pair(part: Part, images: tf.Tensor, targets: tf.Tensor, returned: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Checks what a mixing part returns."""
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        raise ConfigError(f"--augment: {part.name} must return images and targets, as it takes targets.")
    found = tf.convert_to_tensor(returned[1])
    if found.shape != targets.shape or found.dtype != tf.float32:
        raise ConfigError(
            f"--augment: {part.name} must return targets as float32 {targets.shape}. Received {found.dtype.name} "
            f"{found.shape}."
        )
    return _pictures(part, images, returned[0]), found


def _pictures(part: Part, images: tf.Tensor, returned: Any) -> tf.Tensor:
    """Checks the pictures that a part returns."""
    found = tf.convert_to_tensor(returned)
    if found.shape != images.shape or found.dtype not in (tf.uint8, tf.float32):
        raise ConfigError(
            f"--augment: {part.name} must return pictures {images.shape} as uint8, or as float32 on the same scale of "
            f"0 to 255. Received {found.dtype.name} {found.shape}."
        )
    return found
