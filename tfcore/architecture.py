"""The architecture of a model as JSON: everything needed to build it, except its weights."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any

from tfcore.checks import is_plain_text
from tfcore.errors import DataError

FORMAT = "tfcore architecture 1"
VIEWS = ("mirror", "shifts")  # see `tfcore.views`
_MOST_VALUES = 1 << 28  # values in a picture; pictures read from files have fewer
_ADDED: Mapping[str, Any] = MappingProxyType({"views": (), "image_fit": "stretch"})  # since format 1


@dataclass(frozen=True)
class Architecture:
    """The arguments of a model's constructor, and the names of its classes.

    Args:
        model: a name in the table of models, or `path/to/file.py:Name` or `package.module:Name`.
        image_shape: (H, W, C) of the pictures, at most 2^28 values.
        class_names: in the order of the logits; text without control characters.
        pixels: the scaling of the first layer.
        precision: `float32` or `bfloat16`, the compute type.
        sizes: further arguments of the constructor, such as `hidden`, `filters`, `dropout`.
        views: names of the views of a picture over which inference averages the logits; see `tfcore.views`.
        image_fit: how a picture of another size becomes (H, W); see `tfcore.data.windows.fit`.
    """

    model: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    pixels: str = "unit"
    precision: str = "float32"
    sizes: Mapping[str, Any] = field(default_factory=dict)
    views: tuple[str, ...] = ()
    image_fit: str = "stretch"

    def to_json(self) -> str:
        """Serialises the architecture as a JSON object; leaves out what older releases do not know, where it can."""
        found = {"format": FORMAT, **asdict(self)}
        for name, usual in _ADDED.items():
            if found[name] == usual:
                found.pop(name)
        return json.dumps(found, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> "Architecture":
        """Parses an architecture written by `to_json`.

        Args:
            text: the JSON.
            where: the file, for the message.

        Raises:
            DataError: the text is not an architecture.
        """
        try:
            found = json.loads(text)
            if found.pop("format") != FORMAT:
                raise ValueError("its format is another")
            found = {**_ADDED, "views": [], **found}
            if not _has_the_fields(found):
                raise ValueError("its fields do not match")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{where} holds no architecture of tfcore: {error}.") from None
        sizes = {name: tuple(value) if isinstance(value, list) else value for name, value in found.pop("sizes").items()}
        image_shape, class_names = tuple(found.pop("image_shape")), tuple(found.pop("class_names"))
        views = tuple(found.pop("views"))
        return cls(image_shape=image_shape, class_names=class_names, sizes=sizes, views=views, **found)


def _has_the_fields(found: dict[str, Any]) -> bool:
    """Tells whether these are exactly the fields of an architecture, each of the right type."""
    shape, names = found["image_shape"], found["class_names"]
    return (
        found.keys() == {item.name for item in fields(Architecture)}
        and all(type(found[name]) is str for name in ("model", "pixels", "precision"))
        and type(found["sizes"]) is dict
        and type(shape) is type(names) is list
        and len(shape) == 3
        and all(type(side) is int and side > 0 for side in shape)
        and math.prod(shape) <= _MOST_VALUES
        and type(found["views"]) is list
        and all(view in VIEWS for view in found["views"])
        and len({*found["views"]}) == len(found["views"])
        and not ("shifts" in found["views"] and min(shape[:2]) < 2)
        and type(found["image_fit"]) is str
        and is_plain_text(found["image_fit"])
        and len(names) > 0
        and all(type(name) is str and is_plain_text(name) for name in names)
    )
