"""Words for random draws: the same everywhere and always, and different for every purpose."""

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfcore import seeds

PART = st.one_of(st.integers(), st.text())
PURPOSE = st.lists(PART, max_size=4)


def test_the_pinned_words() -> None:
    # Whoever changes these numbers changes the results of every seed.
    assert seeds.words(0, "order") == (-477589977, 1992449516)
    assert seeds.words(1, "a", "bc") == (-49422841, -322074461)
    assert seeds.integer(0, "validation") == 2634230818400461937


@given(seed=st.integers(), purpose=PURPOSE, other_seed=st.integers(), other=PURPOSE)
def test_words_are_equal_only_for_the_same_seed_and_purpose(
    seed: int, purpose: list[str | int], other_seed: int, other: list[str | int]
) -> None:
    assert seeds.words(seed, *purpose) == seeds.words(seed, *purpose)
    same = (seed, purpose) == (other_seed, other)
    assert (seeds.words(seed, *purpose) == seeds.words(other_seed, *other)) == same


def test_parts_do_not_run_together_and_have_a_type() -> None:
    purposes = [
        ("a", "bc"),
        ("astr:bc",),
        ("ab", "c"),
        ("abc",),
        ("abc", ""),
        ("a", "b", "c"),
        (1,),
        ("1",),
        ("int:1",),
        (),
    ]
    assert len({seeds.words(0, *purpose) for purpose in purposes}) == len(purposes)


@given(seed=st.integers(), count=st.integers(1, 16))
def test_words_fit_into_32_bits_each(seed: int, count: int) -> None:
    words = seeds.words(seed, "range", count=count)
    assert len(words) == count
    assert all(-(2**31) <= word < 2**31 for word in words)
    assert 0 <= seeds.integer(seed, "range") < 2**64


def test_all_bits_are_used() -> None:
    drawn = np.array([seeds.words(seed, "bits") for seed in range(2000)], np.int64) % 2**32
    ones = (drawn[..., np.newaxis] >> np.arange(32) & 1).mean(axis=0)  # [2, 32]
    assert (abs(ones - 0.5) < 5 * 0.5 / np.sqrt(2000)).all()


def test_words_suit_tensorflow_and_integers_suit_numpy() -> None:
    assert tf.random.stateless_uniform([3], seed=seeds.words(2**80, "x")).shape == (3,)
    assert np.random.default_rng(seeds.integer(-5, "x")).random(3).shape == (3,)


def test_a_key_names_its_parts() -> None:
    key = seeds.Key(1, 2, 3)
    assert (key.seed, key.step, key.position) == tuple(key) == (1, 2, 3)
