"""Patterns of paths: what they choose, how factors are spelled, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcore import patterns
from tfcore.errors import ConfigError

PATHS = ["conv_1.weights", "conv_1_norm.scale", "logits.biases"]
# What may stand in a pattern that is no regular expression in its own right: a comma, a colon, a number behind a colon.
pieces = st.text(st.sampled_from("ab_.,:^$|01"), min_size=1, max_size=9).filter(lambda text: text.strip() == text)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", PATHS),
        ("conv", PATHS[:2]),
        ("^conv_1.w", PATHS[:1]),
        ("s$", [PATHS[0], PATHS[2]]),
        ("(?:norm|log)", PATHS[1:]),
    ],
)
def test_a_pattern_is_searched_in_every_path(pattern: str, expected: list[str]) -> None:
    assert patterns.matching("freeze", pattern, iter(PATHS)) == expected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            "kernel",
            "`freeze` must match a parameter. 'kernel' matches none of conv_1.weights, conv_1_norm.scale, logits",
        ),
        ("conv(", "`freeze` must be a regular expression. Received 'conv(': missing ), unterminated subpattern"),
        ("a{99999999999999999999}", "`freeze` must be a regular expression. Received 'a{99999999999999999999}'"),
    ],
)
def test_a_pattern_that_chooses_nothing_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        patterns.matching("freeze", pattern, PATHS)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("^conv:0.1", [("^conv", 0.1)]),
        ("logits:2, .:1e-2,", [("logits", 2.0), (".", 0.01)]),
        ("(?:a|b){1,2}:.5,c:0", [("(?:a|b){1,2}", 0.5), ("c", 0.0)]),
    ],
)
def test_numbers_stand_behind_a_colon(text: str, expected: list[tuple[str, float]]) -> None:
    assert patterns.with_numbers("factors", text) == expected


@given(pairs=st.lists(st.tuples(st.from_regex(r"\^?[a-z_]{1,5}(\{1,2\})?\$?", fullmatch=True), st.floats(0, 1e9))))
def test_what_is_joined_comes_back(pairs: list[tuple[str, float]]) -> None:
    assert patterns.with_numbers("factors", ",".join(f"{pattern}:{factor!r}" for pattern, factor in pairs)) == pairs


@given(pieces)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = patterns.with_numbers("factors", text)
    except ConfigError:
        return
    assert all(factor >= 0 for _, factor in found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("^conv", "`factors` must be pairs such as ^conv:0.1,logits:2. Received '^conv'."),
        ("a:1,b", "Received 'b'."),
        ("a:-1", "must be pairs such as"),
        ("a:1.2.3", "`factors` takes numbers such as 0.1 behind each colon. Received '1.2.3'."),
        ("a:1e999", "`factors` must be at least 0. Received inf."),
        ("a(:1", "`factors` must be a regular expression. Received 'a('"),
    ],
)
def test_what_is_no_pair_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        patterns.with_numbers("factors", text)
    assert message in str(caught.value)
