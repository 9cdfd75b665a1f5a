"""Random numbers of augmentation: by position, purpose and name, evenly distributed."""

import numpy as np
import pytest
import tensorflow as tf
from support.augmented import EXAMPLES, draws

from tfcore.data import order

MANY = 20_000


def test_numbers_belong_to_positions() -> None:
    whole = draws(12, position=100)
    for start, count in ((0, 5), (5, 7), (11, 1)):
        part = draws(count, position=100 + start)
        for draw in ("uniform", "number_bits"):
            expected = getattr(whole, draw)("a").numpy()[start : start + count]
            np.testing.assert_array_equal(getattr(part, draw)("a").numpy(), expected)


@pytest.mark.parametrize("other", [{"seed": 4}, {"purpose": "y"}, {"position": 13}])
def test_seeds_purposes_and_positions_draw_differently(other: dict[str, int]) -> None:
    assert not np.any(draws(9).uniform("a").numpy() == draws(9, **other).uniform("a").numpy())  # type: ignore[arg-type]


def test_names_draw_differently_and_equal_names_alike() -> None:
    one = draws(9)
    assert not np.any(one.uniform("a").numpy() == one.uniform("b").numpy())
    np.testing.assert_array_equal(one.uniform("a").numpy(), one.uniform("a").numpy())


def test_uniform_numbers_fill_their_range_evenly() -> None:
    found = np.sort(draws(MANY).uniform("a", -2.0, 6.0).numpy())
    assert -2 <= found[0] < -1.99
    assert 5.99 < found[-1] <= 6
    np.testing.assert_allclose((found + 2) / 8, (np.arange(MANY) + 0.5) / MANY, atol=0.015)  # Kolmogorov, p = 0.0002


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_integers_are_equally_frequent(count: int) -> None:
    found = np.bincount(draws(MANY).integers("a", count).numpy(), minlength=count)
    assert len(found) == count
    np.testing.assert_allclose(found, MANY / count, atol=5 * np.sqrt(MANY / count))


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_happens_with_its_probability(probability: float) -> None:
    share = draws(MANY).happens("a", probability).numpy().mean()
    assert abs(share - probability) <= 5 * np.sqrt(probability * (1 - probability) / MANY)


def test_quantiles_take_each_value_alike() -> None:
    found = draws(MANY).quantiles("a", tf.constant([1.5, 2.5])).numpy()
    assert set(found) == {1.5, 2.5}
    assert abs(found.mean() - 2) < 0.02


def test_epochs_and_numbers_follow_the_order() -> None:
    found = draws(30, position=3 * EXAMPLES - 10)
    assert found.epochs.numpy().tolist() == [2] * 10 + [3] * 20
    expected = order.indices(3, tf.constant(3 * EXAMPLES - 10, tf.int64), 30, EXAMPLES)
    np.testing.assert_array_equal(found.numbers.numpy(), expected.numpy())


def test_bits_of_numbers_are_the_same_in_all_epochs_and_even() -> None:
    epochs = [draws(EXAMPLES, position=epoch * EXAMPLES) for epoch in range(3)]
    bits = [dict(zip(one.numbers.numpy(), one.number_bits("a").numpy(), strict=True)) for one in epochs]
    assert bits[0] == bits[1] == bits[2]
    ones = [draws(EXAMPLES, seed=seed).number_bits("a").numpy() for seed in range(40)]
    assert abs(np.mean(ones) - 0.5) < 0.06


def test_partners_are_neighbours_within_a_batch() -> None:
    assert draws(4).partners.numpy().tolist() == [1, 0, 3, 2]
    assert draws(6, batch_size=3).partners.numpy().tolist() == [1, 0, 2, 4, 3, 5]
    assert draws(2, batch_size=1).partners.numpy().tolist() == [0, 1]
    assert draws(6, batch_size=3).of_pairs(tf.range(6)).numpy().tolist() == [0, 0, 2, 3, 3, 5]
