"""Values of settings: kinds of annotations, reading text, spelling, and converting what comes from Python."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcore.config_values import Kind, kind_of, read, spelled, taken, typed
from tfcore.errors import ConfigError

BOOL, INT, FLOAT, TEXT = (Kind(kind, kind) for kind in (bool, int, float, str))
INTS, FLOATS = Kind(tuple, int), Kind(tuple, float)


@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        (int, INT),
        (bool, BOOL),
        (str, TEXT),
        (float | None, Kind(float, float, optional=True)),
        (tuple[int, ...], INTS),
        (tuple[float, ...] | None, Kind(tuple, float, optional=True)),
        (str | Mapping[str, Any], TEXT),
    ],
)
def test_an_annotation_stands_for_a_kind(hint: Any, kind: Kind) -> None:
    assert kind_of(hint) == kind


@pytest.mark.parametrize(
    ("text", "kind", "separator", "value"),
    [
        ("12", INT, ",", 12),
        ("1e-2", FLOAT, ",", 0.01),
        ("True", BOOL, ",", True),
        ("0", BOOL, ",", False),
        ("a,b", TEXT, ",", "a,b"),
        ("50, 30,", INTS, ",", (50, 30)),
        ("", FLOATS, ",", ()),
        ("50x30", INTS, "x", (50, 30)),
        ("0.5", FLOATS, "x", (0.5,)),
    ],
)
def test_text_is_read_as_its_kind(text: str, kind: Kind, separator: str, value: Any) -> None:
    found = read("--flag", text, kind, separator)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "kind", "separator", "message"),
    [
        ("1.5", INT, ",", "--flag takes a whole number, such as 100. Received '1.5'."),
        ("9" * 5000, INT, ",", "--flag takes a whole number"),
        ("nan", FLOAT, ",", "--flag takes a number, such as 0.001. Received 'nan'."),
        ("0.5,inf", FLOATS, ",", "--flag takes numbers with commas between, such as 0.25,0.5. Received"),
        ("perhaps", BOOL, ",", "--flag takes true or false. Received 'perhaps'."),
        ("50,30", INTS, "x", "--flag takes whole numbers with an x between, such as 50x50. Received '50,30'."),
    ],
)
def test_text_of_another_kind_is_refused(text: str, kind: Kind, separator: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read("--flag", text, kind, separator)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"), [((50, 30), "50,30"), (True, "true"), (0.1, "0.1"), ("adam", "adam"), ((), "")]
)
def test_a_value_is_spelled_as_a_flag_takes_it(value: Any, text: str) -> None:
    assert spelled(value) == text
    assert spelled((1, 2), "x") == "1x2"


@pytest.mark.parametrize(
    ("value", "kind", "converted"),
    [
        (np.int64(3), INT, 3),
        (np.array(3), INT, 3),
        (3, FLOAT, 3.0),
        (np.float32(0.5), FLOAT, 0.5),
        (Fraction(1, 4), FLOAT, 0.25),
        (np.bool_(True), BOOL, True),
        (np.str_("adam"), TEXT, "adam"),
        (Path("a/b"), TEXT, "a/b"),
        ([8, 8], INTS, (8, 8)),
        (np.array([8, 8]), INTS, (8, 8)),
        ([np.int32(8)], INTS, (8,)),
        (range(1, 3), FLOATS, (1.0, 2.0)),
        (0.5, FLOATS, (0.5,)),
        (None, Kind(int, int, optional=True), None),
    ],
)
def test_what_can_be_meant_is_converted(value: Any, kind: Kind, converted: Any) -> None:
    found = typed("name", value, kind)
    assert (found, type(found)) == (converted, type(converted))
    if isinstance(found, tuple):
        assert [type(item) for item in found] == [kind.item] * len(found)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, INT), (True, INT), (True, FLOAT), ("3", INT), ("0.5", FLOAT), (3.0, INT), (1, BOOL), ("true", BOOL),
        (3, TEXT), (b"a", TEXT), (["a"], TEXT), ([1.5], INTS), ([True], INTS), (["8"], INTS), ("8,8", INTS),
        ([[8]], INTS), ({8}, INTS), ({8: 8}, INTS), ([float("nan")], FLOATS), ([float("inf")], FLOATS), (1j, FLOAT),
        (Decimal("0.5"), FLOAT), (10**5000, INT), (-(10**5000), INT), (10**400, FLOAT), (np.array([[1]]), INTS),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int) else type(value).__name__,
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(value: Any, kind: Kind) -> None:
    with pytest.raises(ConfigError) as caught:
        typed("name", value, kind)
    assert str(caught.value).startswith(f"`name` must be {taken(kind)}. Received ")
    assert len(str(caught.value)) < 300
