"""Builds the augmentation that `--augment` names: `flip,crop:4:reflect,my_file.py:noise:strength=0.1`."""

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcore import config_values, model_args
from tfcore.build import lookup, signatures, user_code
from tfcore.build.signatures import Signature
from tfcore.config import RunConfig
from tfcore.errors import ConfigError

if TYPE_CHECKING:
    from tfcore.data.augmentation.chain import Augmentation, Part
    from tfcore.data.dataset import Dataset

Table = Mapping[str, str]  # name of an augmentation -> its import path
_ITEM = re.compile(r"(?P<name>[^:]*\.py:\w+|[^:]*)(?::(?P<arguments>.*))?")
_GIVEN = ("images", "targets", "draws")  # arguments that the pipeline gives
_ALTERNATIVES = ("flip", "alternating_flip")
_CUTS = {"resized_crop": "tfcore.data.windows:random_window"}  # the same, for pictures that are still encoded


class Item(NamedTuple):
    """One part of `--augment`: a name and the texts of its arguments, by name or, as numbers, by place."""

    text: str
    name: str
    arguments: dict[str | int, str]


def parse(text: str) -> list[Item]:
    """Splits `name,name:value,name:argument=value` into its parts.

    Raises:
        ConfigError: a part without a name, an argument that is given twice, or parts that contradict each other.
    """
    items = [_item(part.strip()) for part in text.split(",")] if text else []
    names = [item.name for item in items if item.name in _ALTERNATIVES]
    if len(names) > 1:
        raise ConfigError(f"--augment takes one of {' and '.join(_ALTERNATIVES)}, once. Received '{text}'.")
    return items


def _item(text: str) -> Item:
    match = _ITEM.fullmatch(text)
    if match is None or not match["name"]:
        raise ConfigError(f"--augment takes names with commas between, such as flip,crop:4. Received '{text}'.")
    arguments: dict[str | int, str] = {}
    parts = match["arguments"].split(":") if match["arguments"] is not None else []
    for part in parts:
        name, equals, value = part.partition("=")
        place = sum(isinstance(key, int) for key in arguments)
        arguments |= {name.strip(): value.strip()} if equals else {place: part.strip()}
    if len(arguments) < len(parts):
        raise ConfigError(f"--augment={text} gives an argument twice.")
    return Item(text, match["name"], arguments)


def check(config: RunConfig, table: Table) -> None:
    """Raises ConfigError on an unknown augmentation, or an argument that one does not take; loads nothing."""
    for item in parse(config.augment):
        lookup.check("augment", item.name, table)
        taken = signatures.of_path(table.get(item.name, item.name))
        if taken is not None:
            _arguments(item, taken)


def _arguments(item: Item, taken: Signature) -> dict[str, Any]:
    """Converts the arguments of a part to the types of the function's signature, by name.

    Raises:
        ConfigError: an argument that the function does not take, lacks, or takes of another type; one that is no
            augmentation.
    """
    if not {"images", "draws"} <= taken.arguments.keys():
        raise ConfigError(
            f"--augment={item.name} must be a function of images and draws, or of images, targets and draws. Its "
            f"arguments are {', '.join(taken.arguments) or 'none'}."
        )
    own = {name: argument for name, argument in taken.arguments.items() if name not in _GIVEN}
    takes = f"It takes {', '.join(own)}." if own else "It takes no arguments."
    found = {}
    for key, text in item.arguments.items():
        name = key if isinstance(key, str) else next(iter([*own][key : key + 1]), None)
        if name in found:
            raise ConfigError(f"--augment={item.text} gives {name} twice, by place and by name.")
        if name not in own:
            raise ConfigError(f"--augment={item.text} has an argument that {item.name} does not take. {takes}")
        kind = own[name].kind
        flag = f"--augment={item.name}: {name}"
        found[name] = config_values.read(flag, text, kind, model_args.SEPARATOR) if kind else model_args.literal(text)
    missing = [name for name, argument in own.items() if argument.is_required and name not in found]
    if missing:
        raise ConfigError(f"--augment={item.text} needs {missing[0]}. Give {item.name}:VALUE.")
    return found


def build_augmentation(config: RunConfig, data: "Dataset", table: Table) -> "Augmentation | None":
    """Builds the augmentation, and traces it for the shape of a batch.

    Returns:
        None without `--augment`.

    Raises:
        ConfigError: a function that refuses its arguments or the pictures, raises an error, or returns something else
            than pictures of the same shape.
    """
    items = parse(config.augment)
    if not items:
        return None
    from tfcore.data.augmentation.chain import Augmentation

    found = Augmentation([_part(item, table) for item in items], classes=data.classes)
    _trace(found, config, data)
    return found


def _trace(augmentation: "Augmentation", config: RunConfig, data: "Dataset") -> None:
    """Traces the augmentation for a batch; its errors are raised here rather than in the input pipeline."""
    import tensorflow as tf

    from tfcore import ops
    from tfcore.seeds import Key

    def traced(images: tf.Tensor, labels: tf.Tensor, start: tf.Tensor) -> Any:
        key = Key(config.seed, start, start)
        return augmentation(images, labels, key=key, batch_size=config.batch_size, examples=len(data.train))

    batch = tf.TensorSpec([config.batch_size, *data.image_shape], tf.uint8)
    labels, start = tf.TensorSpec([config.batch_size], tf.int32), tf.TensorSpec([], tf.int64)
    with ops.plain():
        tf.function(traced, autograph=False).get_concrete_function(batch, labels, start)


def _part(item: Item, table: Table) -> "Part":
    from tfcore.data.augmentation.chain import Part

    function = lookup.find(item.name, table)
    taken = signatures.of_object(function)
    bound = partial(function, **_arguments(item, taken))

    def told(*args: Any, **given: Any) -> Any:
        with user_code.telling(f"--augment={item.text}"):
            return bound(*args, **given)

    cut = lookup.load(_CUTS[item.name]) if item.name in _CUTS else None
    return Part(
        item.name,
        bound if item.name in table else told,
        mixes="targets" in taken.arguments,
        cut=partial(cut, **bound.keywords) if cut else None,
    )
