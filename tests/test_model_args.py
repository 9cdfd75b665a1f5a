"""Arguments of a model as text: pairs, values from Python, and literals that keep their spelling."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcore import model_args
from tfcore.errors import ConfigError

numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
values = st.none() | st.booleans() | numbers | st.lists(numbers, min_size=2, max_size=4).map(tuple)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)


@given(st.dictionaries(names, values, max_size=4))
def test_values_come_back_from_the_text(given_values: dict[str, Any]) -> None:
    text = model_args.normalized(given_values)
    assert model_args.normalized(text) == text
    found = {name: model_args.literal(value) for name, value in model_args.parse(text).items()}
    assert found == given_values
    assert [type(found[name]) for name in given_values] == [type(value) for value in given_values.values()]


@given(st.text(max_size=12))
def test_a_literal_keeps_its_spelling(text: str) -> None:
    assert model_args.respelled(model_args.literal(text)) == text


@pytest.mark.parametrize(
    "text", ["1e3", "007", "1_000", "nan", "inf", "-0", "+3", "max", "x", "50x", "1 x2", "Infinity"]
)
def test_what_would_be_spelled_otherwise_stays_text(text: str) -> None:
    assert model_args.literal(text) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"width": 64, "depth": 3}, "depth=3,width=64"),
        (" width = 64 , depth=3,", "depth=3,width=64"),
        ({"rate": np.float64(0.5), "sizes": [np.int64(50), 30]}, "rate=0.5,sizes=50x30"),
        ({"on": True, "off": False, "none": None, "kind": "a=b"}, "kind=a=b,none=none,off=false,on=true"),
        ({}, ""),
        ("", ""),
    ],
)
def test_pairs_have_one_spelling(value: Any, text: str) -> None:
    assert model_args.normalized(value) == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("depth", "`model_args` must be pairs such as depth=3,width=64. Received 'depth'."),
        ("3=depth", "Received '3=depth'."),
        ("=3", "Received '=3'."),
        ("depth=3,depth=4", "`model_args` names depth twice."),
        ({"kind": "a,b"}, "pairs such as"),
        ({"kind": "a,b=c"}, "names and values without commas. Received 'kind=a,b=c'."),
        ({"kind": " a"}, "names and values without commas"),
        ({"a b": 1}, "pairs such as"),
        ({"kind": {"a": 1}}, "Received kind={'a': 1}."),
        ({"kind": object}, "Received kind=<class 'object'>."),
        (
            {"kind": ("a", "b")},
            "`model_args` takes finite numbers, tuples of them, text, bools and None. Received kind=(",
        ),
        ({"kind": (True,)}, "Received kind=(True,)."),
        ({"kind": float("nan")}, "Received kind=nan."),
        ({"kind": [1, float("inf")]}, "Received kind=(1, inf)."),
        ({"kind": 10**5000}, "Received kind=a number of too many digits."),
    ],
)
def test_what_cannot_be_spelled_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        model_args.normalized(value)
    assert message in str(caught.value)
