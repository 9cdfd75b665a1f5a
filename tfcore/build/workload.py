"""Finds out what a model computes for one training batch, before the run sets up TensorFlow's threads."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tfcore.architecture import Architecture
from tfcore.build import user_code
from tfcore.build.model import build_model

if TYPE_CHECKING:
    from tfcore.graphs import Product


@dataclass(frozen=True)
class Workload:
    """The forward pass of one training batch.

    Attributes:
        products: its matrix products and convolutions.
        refusal: why the model does not compute in bfloat16; "" if it does.
    """

    products: tuple["Product", ...]
    refusal: str = ""

    @property
    def convolutions(self) -> tuple["Product", ...]:
        """The convolutions among the products."""
        return tuple(product for product in self.products if "convolution" in product.kind)

    @property
    def flops(self) -> int:
        """Multiplications and additions of all products; unknown ones count as none."""
        return sum(product.flops or 0 for product in self.products)

    @property
    def largest(self) -> int:
        """Multiplications and additions of the largest product; 0 without any."""
        return max((product.flops or 0 for product in self.products), default=0)


def of_model(plan: Architecture, batch_size: int, cls: type | None = None) -> Workload | None:
    """Traces the model's training pass in bfloat16, or in float32 if the model raises an error in bfloat16.

    The trace is of a graph that is never run: it sets no variable, and leaves the number of threads open. A model that
    cannot be built in a graph, such as one that reads its variables' values in `__init__`, is built eagerly; TensorFlow
    then starts its threads.

    Returns:
        None where the model fails in float32 as well: building the run then says why.
    """
    for is_eager in (False, True):
        errors: list[Exception] = []
        for precision in ("bfloat16", "float32"):
            try:
                products = _traced(replace(plan, precision=precision), batch_size, cls, is_eager=is_eager)
            except Exception as error:  # whatever a user's class raises
                errors.append(error)
            else:
                return Workload(tuple(products), user_code.told(errors[0]) if errors else "")
    return None


def _traced(plan: Architecture, batch_size: int, cls: type | None, *, is_eager: bool) -> "list[Product]":
    """Returns the products of the model's plain form in training."""
    import tensorflow as tf

    from tfcore import ops
    from tfcore.graphs import products
    from tfcore.seeds import Key

    with ops.plain(gradients=False), nullcontext() if is_eager else tf.Graph().as_default():
        model = build_model(plan, cls=cls)

        def call() -> tf.Tensor:
            start = tf.zeros([], tf.int64)
            return model(tf.zeros([batch_size, *plan.image_shape], tf.uint8), training=True, key=Key(0, start, start))

        if is_eager:
            return products(tf.function(call, autograph=False).get_concrete_function().graph.outputs)
        return products(tf.nest.flatten(call()))
