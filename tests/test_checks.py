"""Argument checks: what passes, and what is refused with the name, the expectation and the value."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError, ShapeError

ABOVE, AT_LEAST, BELOW_ONE, SHARE, INTEGER = (
    "must be above 0.", "must be at least 0.", "must be at least 0 and below 1.", "must be above 0 and below 1.",
    "must be an integer of at least 1.",
)  # fmt: skip
TEXT = "must be UTF-8 text without control characters."
NAN, INF = math.nan, math.inf


def up_to_two(name: str, value: Any) -> None:
    checks.between(name, value, 0.5, 2)


PASS: list[tuple[Callable[[str, Any], None], list[Any]]] = [
    (checks.positive, [1e-300, 1, 10**400, np.float32(2)]),
    (checks.not_negative, [0, 0.0, 3, 10**400]),
    (checks.below_one, [0, 0.999]),
    (checks.share, [1e-300, 0.5, np.float32(0.999)]),
    (checks.at_least_one, [1, 1.5, 10**400]),
    (up_to_two, [0.5, 1, np.float32(2)]),
    (checks.share_or_one, [1e-300, 0.5, 1]),
    (checks.positive_integer, [1, np.int64(7)]),
    (checks.plain_text, ["", "größe 猫\u3000", "{}[]\\"]),
]
REFUSED: list[tuple[Callable[[str, Any], None], str, list[Any]]] = [
    (checks.plain_text, TEXT, ["a\n", "\x1b[2J", "\0", "\x7f", "\x9b", "\udce9", "\u2029"]),
    (checks.positive, ABOVE, [0, -1, NAN, INF, -INF]),
    (checks.not_negative, AT_LEAST, [-1e-9, NAN, INF]),
    (checks.below_one, BELOW_ONE, [1, -0.1, NAN, INF]),
    (checks.share, SHARE, [0, 1, -0.5, 1.5, NAN, INF]),
    (up_to_two, "must be from 0.5 to 2.", [0.49, 2.01, NAN, INF, 10**400]),
    (checks.at_least_one, "must be at least 1.", [0.999, 0, -1, NAN, INF]),
    (checks.share_or_one, "must be above 0 and at most 1.", [0, -0.5, 1.5, NAN, INF]),
    (checks.positive_integer, INTEGER, [0, -3, 1.0, True, "2", None]),
]


def test_a_divisor_divides() -> None:
    for value in (1, 3, np.int64(12)):
        checks.divisor("heads", value, "width", 12)
    with pytest.raises(ConfigError, match=r"`heads` must divide `width`, which is 12\. Received 5\."):
        checks.divisor("heads", 5, "width", 12)
    with pytest.raises(ConfigError, match=r"`heads` must be an integer of at least 1\. Received 0\."):
        checks.divisor("heads", 0, "width", 12)


@pytest.mark.parametrize(("check", "value"), [(check, value) for check, values in PASS for value in values])
def test_a_number_in_range_passes(check: Callable[[str, Any], None], value: Any) -> None:
    check("size", value)


@pytest.mark.parametrize(
    ("check", "expected", "value"), [(check, text, value) for check, text, values in REFUSED for value in values]
)
def test_a_number_out_of_range_is_refused(check: Callable[[str, Any], None], expected: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"`size` {expected}")) as error:
        check("size", value)
    assert str(error.value).endswith(f"Received {value!r}.")


def test_a_choice_passes() -> None:
    checks.one_of("optimizer", "adam", ["adam", "momentum"])


@pytest.mark.parametrize(("value", "hint"), [("adma", " Did you mean 'adam'?"), ("xyz", ""), ("", "")])
def test_an_unknown_choice_is_refused_with_the_nearest_one(value: str, hint: str) -> None:
    with pytest.raises(ConfigError) as error:
        checks.one_of("optimizer", value, ["adam", "momentum"])
    assert str(error.value) == f"`optimizer` must be one of adam, momentum. Received '{value}'.{hint}"


def test_nearest_reads_its_choices_once() -> None:
    assert checks.nearest("momentun", (name for name in ("adam", "momentum"))) == " Did you mean 'momentum'?"


def test_sequences_of_one_length_pass_and_others_do_not() -> None:
    checks.same_length("gradients", [1, 2], "parameters", "ab")
    with pytest.raises(ShapeError, match=r"`gradients` must have one item for each of the 3 `parameters`. Received 2"):
        checks.same_length("gradients", [1, 2], "parameters", "abc")


def test_a_gradient_must_match_its_parameter() -> None:
    parameter = tf.Variable(tf.zeros([2, 3]))
    checks.gradient_matches(tf.ones([2, 3]), parameter, "logits.weights")
    with pytest.raises(ShapeError, match=r"'logits.weights' is None: the loss does not depend on it"):
        checks.gradient_matches(None, parameter, "logits.weights")
    with pytest.raises(ShapeError, match=r"shape \(2, 3\) and dtype float32. Received \(3, 2\) and float32"):
        checks.gradient_matches(tf.ones([3, 2]), parameter, "logits.weights")
    with pytest.raises(ShapeError, match=r"Received \(2, 3\) and bfloat16"):
        checks.gradient_matches(tf.ones([2, 3], tf.bfloat16), parameter, "logits.weights")


@pytest.mark.parametrize(
    ("text", "secs"),
    [("90", 90), ("45s", 45), ("90m", 5400), ("1.5h", 5400), ("1h30m", 5400), ("1h2m3s", 3723), ("0.5", 0.5)],
)
def test_durations(text: str, secs: float) -> None:
    assert checks.duration_secs("max_time", text) == secs


@pytest.mark.parametrize("text", ["", "0", "-5", "1x", "h", "5m1h", "1e3", "nan", " 5", "٣"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"`max_time` must be a duration such as .* Received"):
        checks.duration_secs("max_time", text)


def test_a_long_message_loses_its_middle() -> None:
    assert checks.one_line(" a: b\n") == "a: b"
    assert checks.one_line("a" * 2000) == "a" * 2000
    line = checks.one_line(f"where: {'x' * 70_000}. What to do.")
    assert line.startswith("where: xxx")
    assert line.endswith("xxx. What to do.")
    assert len(line) < 2000


def test_what_would_steer_a_terminal_is_escaped() -> None:
    text = checks.escaped("größe 猫 a\nb\x1b[2J\udce9\u2028\\")
    assert text == "größe 猫 a\\nb\\x1b[2J\\udce9\\u2028\\"
    assert checks.is_plain_text(text)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ShapeError("Layer 'a' takes x."), "Layer 'a' takes x."),
        (NameError("name 'x' is not defined"), "NameError: name 'x' is not defined"),
        (
            ValueError("in user code:\n\n  File 'a.py'\n\n  ValueError: bad shape.\n"),
            "ValueError: ValueError: bad shape",
        ),
        (
            ValueError("are 2 and 3 for '{{node a}} = MatMul[T=1](b, c)' with shapes [2]."),
            "ValueError: are 2 and 3 with shapes [2]",
        ),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_an_error_is_told_in_one_line(error: Exception, text: str) -> None:
    assert checks.told(error) == text
