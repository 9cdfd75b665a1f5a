"""The variables and layers of a `tf.Module` by attribute path, which does not depend on attribute order."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError
from tfcore.graphs import Product, products
from tfcore.recorded_calls import Calls, recorded_calls
from tfcore.seeds import Key


def named_variables(module: tf.Module) -> dict[str, tf.Variable]:
    """Collects every variable of `module` by its attribute path, such as `hidden_1.weights`.

    A variable reached by two paths is listed once, under the first. `tf.Module` finds variables by reflection at every
    access: call this once per run, not once per step.
    """
    found: dict[str, tf.Variable] = {}
    seen: set[int] = set()
    for path, variable in module._flatten(predicate=_is_variable, with_path=True):
        if id(variable) not in seen:
            seen.add(id(variable))
            found[".".join(str(part) for part in path)] = variable
    return found


def named_parameters(module: tf.Module) -> dict[str, tf.Variable]:
    """Collects the trainable variables of `module` by path, the parameters of an optimizer."""
    return {path: variable for path, variable in named_variables(module).items() if variable.trainable}


@contextmanager
def kept(variables: Iterable[tf.Variable]) -> Iterator[None]:
    """Gives variables back, at the end of the context, the values that they had at its start, to the bit.

    Eagerly or in a graph. Values are shared, not copied, until a variable changes.
    """
    values = [(variable, tf.identity(variable)) for variable in variables]
    try:
        yield
    finally:
        for variable, value in values:
            variable.assign(value)


@contextmanager
def exchanged(pairs: Iterable[tuple[tf.Variable, tf.Variable]]) -> Iterator[None]:
    """Swaps the values of each pair of variables inside the context, pair by pair to save memory."""
    pairs = list(pairs)
    _exchange(pairs)
    try:
        yield
    finally:
        _exchange(pairs)


def _exchange(pairs: Iterable[tuple[tf.Variable, tf.Variable]]) -> None:
    for one, other in pairs:
        value = tf.identity(one)
        one.assign(other)
        other.assign(value)


def max_norms(module: tf.Module) -> dict[str, float]:
    """Collects the max-norms that layers declare for their `weights`, by path."""
    declared = {
        id(layer.weights): limit
        for layer in (module, *module.submodules)
        if (limit := getattr(layer, "max_norm", None)) is not None
    }
    return {path: declared[id(v)] for path, v in named_parameters(module).items() if id(v) in declared}


def _is_variable(item: Any) -> bool:
    return isinstance(item, tf.Variable)


@dataclass(frozen=True)
class LayerRow:
    """A row of the model table. `output_shape` has None for the batch; of several outputs it is the first one's."""

    path: str
    kind: str
    output_shape: tuple[int | None, ...]
    trainable: int
    non_trainable: int
    dtype: str = field(default="float32", compare=False)  # of the output

    @property
    def parameters(self) -> int:
        """The number of trainable and non-trainable values of the layer."""
        return self.trainable + self.non_trainable


class BrokenModelError(ConfigError):
    """A model that fails on a batch; `rows` are those of the layers before the one that failed."""

    def __init__(self, message: str, rows: list[LayerRow]) -> None:
        super().__init__(message)
        self.rows = rows


@dataclass(frozen=True)
class Outline:
    """The layers of a model in the order of their first calls, and its products."""

    layers: list[LayerRow]
    products: list[Product]


def outline(
    model: tf.Module,
    image_shape: tuple[int, int, int],
    *,
    classes: int | None = None,
    batch_size: int | None = None,
    training: bool = False,
) -> Outline:
    """Lists the products and the layers: modules without submodules, or with variables of their own.

    Traces the model on a symbolic batch, so it works for every model that TensorFlow can trace.

    Args:
        model: is called with `training`, and in training with `key`.
        image_shape: (H, W, C) of the pictures.
        classes: the required number of logits; None for any number.
        batch_size: of the symbolic batch; None for any.
        training: whether to call the model as in training.

    Raises:
        BrokenModelError: the model or a layer in it raises an error, or its logits have another shape.
    """
    paths = named_modules(model)
    key = {"key": Key(0, tf.constant(0, tf.int64), tf.constant(0, tf.int64))} if training else {}
    images = tf.TensorSpec([batch_size, *image_shape], tf.uint8)
    with recorded_calls(paths) as calls:
        try:
            run = tf.function(lambda x: model(x, training=training, **key), autograph=False)
            traced = run.get_concrete_function(images)
        except Exception as error:
            module, given = calls.broken[0] if calls.broken else (model, images)
            where = f"{paths[id(module)][1]} ({type(module).__name__}), which was given {_shown(given)}"
            raise BrokenModelError(f"The model breaks in {where}: {checks.told(error)}", _rows(calls)) from error
    rows, logits = _rows(calls), traced.structured_outputs
    if classes is not None and not tf.TensorShape([batch_size, classes]).is_compatible_with(
        getattr(logits, "shape", [])
    ):
        raise BrokenModelError(
            f"The model must return logits [N, {classes}], one for each class. Received {_shown(logits)}.", rows
        )
    return Outline(rows, products(traced.graph.outputs))


def _rows(calls: Calls) -> list[LayerRow]:
    """Returns a row for each layer whose call returned, in the order of the calls."""
    rows = (
        _row(*calls.paths[identity], output) for identity, output in calls.returned.items() if identity in calls.paths
    )
    return [row for row in rows if row is not None]


def graph(model: tf.Module, image_shape: tuple[int, int, int]) -> Any:
    """Traces the model to a GraphDef for any batch size, with a name scope per module, nested by calls.

    The values of constants are removed: they take memory and no graph shows them.
    """
    with recorded_calls(named_modules(model)):
        images = tf.TensorSpec([None, *image_shape], tf.uint8, name="images")
        traced = tf.function(lambda images: model(images, training=False), autograph=False)
        definition = traced.get_concrete_function(images).graph.as_graph_def()
    nodes = [node for node in definition.node if node.name not in ("Identity", "NoOp")]  # added by tf.function
    del definition.node[:]
    definition.node.extend(nodes)
    for body in (definition.node, *(function.node_def for function in definition.library.function)):
        for node in body:
            if node.op == "Const":
                node.attr["value"].tensor.ClearField("tensor_content")
    return definition


def _shown(value: Any) -> str:
    """Formats the shape of a tensor, such as (N, 32, 32, 3), or the type of another value."""
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tf.TensorShape) or shape.rank is None:
        return str(value if value is None else type(value).__name__)
    return f"({', '.join('N' if size is None else str(size) for size in shape)})"


def outputs(model: tf.Module, images: tf.Tensor, *, training: bool = False, key: Any = None) -> dict[str, tf.Tensor]:
    """The output of each module in `model` for `images`, by path in the order in which their first calls return.

    Of several tensors it is the first. Modules without floating-point outputs are left out, and so are those called
    inside a user-defined `tf.function`, whose outputs are symbolic.

    Args:
        model: is called with `training` and `key`.
        images: uint8 `[N, H, W, C]`.
        training: whether the model is to behave as in training.
        key: of what random layers draw then.
    """
    found = {path: _first_tensor(output) for _, path, output in _called(model, images, training=training, key=key)}
    return {
        path: output
        for path, output in found.items()
        if output is not None and output.dtype.is_floating and not tf.is_symbolic_tensor(output)
    }


def variables_by_call(model: tf.Module, images: tf.Tensor, *, training: bool = False, key: Any = None) -> list[str]:
    """The paths of all variables of `model`, in the order in which the first calls of their modules return.

    A variable counts as that of the innermost module around it that is called. Arguments as for `outputs`.
    """
    paths = {id(variable): path for path, variable in named_variables(model).items()}
    called = [module for module, _, _ in _called(model, images, training=training, key=key)]
    ordered = {id(variable): None for module in (*called, model) for variable in named_variables(module).values()}
    return [paths[identity] for identity in ordered]


def _called(model: tf.Module, images: tf.Tensor, *, training: bool, key: Any) -> list[tuple[tf.Module, str, Any]]:
    """Each module called for `images`, its path and its first output, in the order in which the first calls return."""
    paths = named_modules(model)
    with recorded_calls(paths) as calls:
        model(tf.convert_to_tensor(images), training=training, **({"key": key} if training else {}))
    return [(*paths[identity], output) for identity, output in calls.returned.items() if identity in paths]


def named_modules(model: tf.Module) -> dict[int, tuple[tf.Module, str]]:
    """The model and all modules in it by identity, each with its path."""
    found = {id(model): (model, model.name)}
    for path, module in model._flatten(predicate=lambda item: isinstance(item, tf.Module), with_path=True):
        found.setdefault(id(module), (module, ".".join(str(part) for part in path)))
    return found


def _first_tensor(output: Any) -> tf.Tensor | None:
    """The first tensor in a module's output; None where there is none."""
    return next((part for part in tf.nest.flatten(output) if isinstance(part, tf.Tensor)), None)


def _row(module: tf.Module, path: str, output: Any) -> LayerRow | None:
    inner = {id(variable) for child in module.submodules for variable in named_variables(child).values()}
    own = [variable for variable in named_variables(module).values() if id(variable) not in inner]
    if module.submodules and not own:
        return None
    counted = own if getattr(module, "counts_as_parameters", True) else []
    trainable = sum(variable.shape.num_elements() for variable in counted if variable.trainable)
    rest = sum(variable.shape.num_elements() for variable in counted if not variable.trainable)
    tensor = _first_tensor(output)
    shape = () if tensor is None or tensor.shape.rank is None else tuple(tensor.shape)
    dtype = "" if tensor is None else tensor.dtype.name
    return LayerRow(path, type(module).__name__, shape, trainable, rest, dtype)
