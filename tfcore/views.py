"""Views of a picture: an evaluation may average the logits of a picture over mirrored and shifted copies of it."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError

Model = Callable[..., tf.Tensor]  # model(images, training=False) -> logits [N, classes]
View = Callable[[tf.Tensor], tf.Tensor]
_LEAST_SIDE = 2  # of pictures, whose border a shift mirrors


def _shifted(rows: int, columns: int) -> View:
    """Moves pictures by a pixel down and right (0, 0) or up and left (2, 2); the border is the mirrored picture."""

    def shift(images: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1:3]
        padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT")
        return padded[:, rows : rows + height, columns : columns + width]

    return shift


VIEWS: dict[str, tuple[tuple[float, View], ...]] = {  # by name: weights that sum to 1, and views
    "mirror": ((1 / 2, tf.identity), (1 / 2, lambda images: tf.reverse(images, [2]))),
    "shifts": ((1 / 2, tf.identity), (1 / 4, _shifted(0, 0)), (1 / 4, _shifted(2, 2))),
}


def averaged(model: Model, names: Sequence[str], image_shape: Sequence[int]) -> Model:
    """Returns a function that averages the model's logits over all combinations of the named views.

        logits(x) = Σ_v weight_v · logits of v(x)

        mirror   x and its mirror image, 1/2 each
        shifts   x, 1/2, and x moved by a pixel up and left, and down and right, 1/4 each

    Both together are six passes, and give the scores that airbench reports "with test-time augmentation".

    Args:
        model: called as `model(images, training=False)`.
        names: of `VIEWS`; none for the model itself.
        image_shape: (H, W, C) of the pictures.

    Returns:
        A function that is called like the model, and gives float32 logits `[N, classes]`.

    Raises:
        ConfigError: an unknown view, or pictures of one row or column, which cannot be shifted.

    Source: Jordan 2024, arXiv 2404.00498, section 3.5.
    """
    for name in names:
        checks.one_of("test_views", name, tuple(VIEWS))
    if "shifts" in names and min(image_shape[:2]) < _LEAST_SIDE:
        raise ConfigError(f"`test_views=shifts` needs pictures of at least 2x2. Received {tuple(image_shape)}.")
    if not names:
        return model
    found = _combined(names)
    weights = tf.constant([weight for weight, _ in found])

    def seen(images: tf.Tensor, *, training: bool) -> tf.Tensor:
        views = tf.stack([view(images) for _, view in found])  # [V, N, H, W, C]
        # One view at a time: together, they would need as much more memory.
        logits = tf.map_fn(
            lambda view: tf.cast(model(view, training=training), tf.float32), views, parallel_iterations=1,
            fn_output_signature=tf.float32,
        )  # fmt: skip
        return tf.tensordot(weights, logits, 1)

    return seen


def _combined(names: Sequence[str]) -> list[tuple[float, View]]:
    """Combines each view of one name with each of the others."""
    found: list[tuple[float, View]] = [(1.0, tf.identity)]
    for name in sorted(set(names)):
        found = [(one * other, _then(first, second)) for one, first in found for other, second in VIEWS[name]]
    return found


def _then(first: View, second: View) -> View:
    return lambda images: second(first(images))
