"""Every example comes once in an epoch of any size, and sums find an order in which one does not."""

from collections.abc import Callable

import numpy as np
import pytest

from tools.reliability import orders
from tools.reliability.orders import SHARE, Tally, campaign, every_index, visited

BILLION = 10**9


@pytest.mark.parametrize("examples", [2 * SHARE + 12_345, SHARE + 1])  # N - 1 = 2^20: where the raw op repeats an index
def test_each_example_comes_once(examples: int) -> None:
    figures = campaign(examples, 0.3, 5)
    assert figures["each_once"]
    assert figures["sums"]["count"] == examples
    assert figures["sums"]["total"] == examples * (examples - 1) // 2


def repeat(indices: np.ndarray) -> np.ndarray:
    return np.concatenate([indices[:-1], indices[:1]])


def leave_out(indices: np.ndarray) -> np.ndarray:
    return indices[1:]


def shift_two(indices: np.ndarray) -> np.ndarray:
    """Keeps count and sum."""
    return np.concatenate([indices[:-2], [indices[-2] + 1, indices[-1] - 1]])


@pytest.mark.parametrize("change", [repeat, leave_out, shift_two])
def test_an_order_that_repeats_an_example_is_found(
    change: Callable[[np.ndarray], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "visited", lambda *given: map(change, visited(*given)))
    assert not campaign(50_000, 0.1, 0)["each_once"]


def test_a_tally_does_not_depend_on_the_order_or_on_the_shares() -> None:
    shuffled, tally = np.random.default_rng(0).permutation(1000), Tally()
    for part in np.split(shuffled, [7, 300, 301]):
        tally.add(part, 11)
    assert tally == every_index(1000, 11) != every_index(1000, 12)


def test_shares_of_a_thousand_million_hold_different_examples() -> None:
    walk = visited(BILLION, 0.01, 3)
    found = np.concatenate([next(walk) for _ in range(3)])
    assert len(np.unique(found)) == 3 * SHARE
    assert 0 <= found.min() < 10_000 < BILLION - 10_000 < found.max() < BILLION
    counts = np.bincount(found * 100 // BILLION, minlength=100)
    assert abs(counts - 3 * SHARE / 100).max() < 5 * np.sqrt(3 * SHARE / 100)
