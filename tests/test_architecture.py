"""What a model is, to JSON and back, and texts that are none."""

import json
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tfcore.architecture import FORMAT, Architecture
from tfcore.errors import DataError

SIZES = {"hidden": (256, 128), "dropout": (0.2,), "activation": "relu", "max_norm": 3.0, "filters": ()}
CIFAR = Architecture("cifar_cnn", (32, 32, 3), ("cat", "dog"), "standardized", "bfloat16", SIZES)

texts = st.text(max_size=8)
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=8)
numbers = st.one_of(st.integers(), st.floats(allow_nan=False), texts)
architectures = st.builds(
    Architecture,
    model=texts,
    image_shape=st.tuples(*[st.integers(2, 645)] * 3),  # of one row, shifted views are refused
    class_names=st.lists(names, min_size=1, max_size=4).map(tuple),
    pixels=texts,
    precision=texts,
    views=st.sampled_from([(), ("mirror",), ("shifts", "mirror")]),
    sizes=st.dictionaries(texts, st.one_of(numbers, st.lists(numbers, max_size=3).map(tuple)), max_size=4),
)


def written(change: Callable[[dict[str, Any]], Any]) -> str:
    """The JSON of an architecture after a change to its object."""
    found = json.loads(CIFAR.to_json())
    change(found)
    return json.dumps(found)


def test_the_json_reads_well() -> None:
    text = CIFAR.to_json()
    assert text.endswith("}\n")
    assert json.loads(text) == {
        "format": FORMAT,
        "model": "cifar_cnn",
        "image_shape": [32, 32, 3],
        "class_names": ["cat", "dog"],
        "pixels": "standardized",
        "precision": "bfloat16",
        "sizes": {"hidden": [256, 128], "dropout": [0.2], "activation": "relu", "max_norm": 3.0, "filters": []},
    }


def test_the_json_is_read_back_with_tuples_for_lists() -> None:
    again = Architecture.from_json(CIFAR.to_json(), "architecture.json")
    assert again == CIFAR
    assert again.sizes["hidden"] == (256, 128)
    assert isinstance(again.class_names, tuple)


@hypothesis.given(architectures)
def test_every_architecture_is_read_back(architecture: Architecture) -> None:
    assert Architecture.from_json(architecture.to_json(), "architecture.json") == architecture


def test_what_is_not_said_has_its_default() -> None:
    plain = Architecture("softmax", (28, 28, 1), ("0", "1"))
    assert (plain.pixels, plain.precision, plain.sizes) == ("unit", "float32", {})
    assert Architecture.from_json(plain.to_json(), "architecture.json") == plain


NO_OBJECTS = {
    "nothing": "", "no JSON": "cifar_cnn", "half": CIFAR.to_json()[:-20], "null": "null", "a list": "[]",
    "a list of its format": f'["{FORMAT}"]', "a text": '"format"', "a number": "1", "an empty object": "{}",
    "not a number": "NaN", "deep brackets": "[" * 100_000, "deep objects": '{"a":' * 100_000,
    "long digits": "9" * 10_000, "a byte order mark": "\ufeff" + CIFAR.to_json(),
}  # fmt: skip
CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another format": lambda found: found.update(format="tfcore architecture 2"),
    "no format": lambda found: found.pop("format"),
    "a field more": lambda found: found.update(code="import os"),
    **{f"no {name}": lambda found, name=name: found.pop(name) for name in json.loads(CIFAR.to_json())},
    **{
        f"{name} of {value!r}": lambda found, name=name, value=value: found.update({name: value})
        for name, values in {
            "model": [None, 3, ["cifar_cnn"]],
            "pixels": [None, {}],
            "precision": [32],
            "image_shape": [
                None, "323", [32, 32], [32, 32, 3, 1], [32, 32, 0], [32, 32, -3], [32, 32, 3.0], [32, 32, "3"],
                [32, 32, True], [10**5, 10**5, 1], [32, 32, float("inf")], {"0": 1, "1": 1, "2": 1},
            ],
            "class_names": [None, [], "cat", [1, 2], [None], {"cat": 0}, ["a\nb"], ["\x1b[2J"], ["\ud800"]],
            "sizes": [None, [], "hidden", 3],
            "views": [None, "mirror", ["mirrors"], ["mirror", "mirror"], [3], [["mirror"]], {"mirror": 1}],
        }.items()
        for value in values
    },
}  # fmt: skip
HOSTILE = NO_OBJECTS | {name: written(change) for name, change in CHANGES.items()}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_text_that_is_no_architecture_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"^runs/a/architecture.json holds no architecture of tfcore: .+\.$"):
        Architecture.from_json(text, "runs/a/architecture.json")


@hypothesis.given(
    st.recursive(st.none() | st.booleans() | numbers, lambda inner: st.lists(inner) | st.dictionaries(texts, inner))
)
@hypothesis.settings(max_examples=40)
def test_no_json_is_taken_for_one_by_chance(value: Any) -> None:
    with pytest.raises(DataError):
        Architecture.from_json(json.dumps(value), "architecture.json")


def test_a_picture_of_one_row_has_no_shifted_views() -> None:
    text = Architecture("mlp", (1, 8, 3), ("a", "b"), views=("shifts",)).to_json()
    with pytest.raises(DataError, match="fields do not match"):
        Architecture.from_json(text, "architecture.json")
