"""The rates read off made curves, and when a test ends."""

import math

import numpy as np
import pytest

from tfcore.lr_find.rates import Divergence, find, smooth

STEPS = 300
RATES = np.geomspace(1e-6, 10, STEPS)
DECADES = np.log10(RATES)
WITHIN = 10 ** (2 * 7 / STEPS)  # two steps of seven decades


def valley(*, steepest: float = -3, lowest: float = -1, cliff: float = 4.0) -> np.ndarray:
    """A loss that falls from 2.3 as a sigmoid of the decade, and rises past the decade `lowest` as a parabola."""
    fall = 1 / (1 + np.exp(-3 * (DECADES - steepest)))
    return 2.3 - 1.8 * fall + cliff * np.maximum(0, DECADES - lowest) ** 2


def noise(deviation: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, deviation, STEPS)


def test_a_smooth_valley_gives_both_rates() -> None:
    found = find(RATES, valley())
    assert found is not None
    assert 1e-3 / WITHIN < found.steepest < 1e-3 * WITHIN
    window = 10**0.35  # the centred mean sees the rise as far ahead
    assert 0.01 / window < found.tenth < 0.01 * WITHIN
    assert found.rises_again


@pytest.mark.parametrize("seed", range(10))
def test_noise_moves_the_rates_little(seed: int) -> None:
    found = find(RATES, valley() + noise(0.1, seed))
    assert found is not None
    assert 1e-3 / 2.5 < found.steepest < 1e-3 * 2.5
    assert 0.01 / 6 < found.tenth < 0.01 * 2


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_losses_from_the_first_that_is_not_finite_on_do_not_count(bad: float) -> None:
    losses = valley()
    losses[240] = bad
    losses[241:] = [-50] * 58 + [bad]
    found = find(RATES, losses)
    assert found == find(RATES[:240], losses[:240])
    assert found is not None


def test_a_loss_that_is_not_finite_has_risen() -> None:
    found = find(RATES[:200], [*valley()[:199], math.nan])
    assert found is not None
    assert found.rises_again
    open_end = find(RATES[:200], valley()[:200])
    assert open_end is not None
    assert not open_end.rises_again


def test_a_cliff_after_the_fall_leaves_the_steepest_rate() -> None:
    losses = np.append(valley()[:200], [10.0, 1e3, 1e9])
    found = find(RATES[:203], losses)
    assert found is not None
    assert 1e-3 / WITHIN < found.steepest < 1e-3 * WITHIN
    assert found.tenth < RATES[200] / 10
    assert found.rises_again


@pytest.mark.parametrize(
    "losses",
    [
        np.full(STEPS, 2.3),
        2.3 + np.maximum(0, DECADES) ** 2,
        2.3 + np.arange(STEPS) * 1e-3,
        *(2.3 + noise(0.1, seed) for seed in range(20)),
    ],
)
def test_a_loss_that_does_not_fall_gives_no_rates(losses: np.ndarray) -> None:
    assert find(RATES, losses) is None


@pytest.mark.parametrize("losses", [[], [2.3], [4.0, 3.0, 2.0, 1.0], [math.nan] * 30, [2.0, 1.0, 0.5, math.inf, 0.1]])
def test_too_few_losses_give_no_rates(losses: list[float]) -> None:
    assert find(RATES[: len(losses)], losses) is None


def test_a_loss_that_falls_to_the_end_does_not_rise_again() -> None:
    found = find(RATES, 2.3 - 0.1 * (DECADES + 6) ** 2)
    assert found is not None
    assert not found.rises_again
    assert found.steepest == 10 * found.tenth  # the last window has the steepest slope too


def test_a_level_is_a_mean_and_a_slope_that_of_a_line() -> None:
    losses = np.array([5.0, 4, 4, 2, 3, 1, 0, 1, 2, 4])
    levels, slopes = smooth(losses)
    assert np.isnan(levels[[0, 1, -2, -1]]).all()
    assert np.isnan(slopes[[0, 1, -2, -1]]).all()
    for place in range(2, 8):
        window = losses[place - 2 : place + 3]
        assert levels[place] == pytest.approx(window.mean())
        assert slopes[place] == pytest.approx(np.polyfit(np.arange(5), window, 1)[0])


def ends_at(losses: np.ndarray | list[float]) -> int | None:
    """The number of losses after which training counts as diverged."""
    divergence = Divergence()
    return next((count for count, loss in enumerate(losses, start=1) if divergence.after(float(loss))), None)


def test_a_mean_of_four_times_its_minimum_is_a_divergence() -> None:
    losses = [1.0] * 50 + [10.0] * 100
    means, total = [], 0.0
    for count, loss in enumerate(losses, start=1):
        total = 0.98 * total + 0.02 * loss
        means.append(total / (1 - 0.98**count))
    assert ends_at(losses) == next(count for count, mean in enumerate(means, start=1) if mean > 4)
    assert ends_at([1.0] * 50 + [3.9] * 1000) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("before", [0, 3, 100])
def test_a_loss_that_is_not_finite_is_a_divergence(bad: float, before: int) -> None:
    assert ends_at([1.0] * before + [bad]) == before + 1


def test_the_first_few_losses_are_not_compared() -> None:
    assert ends_at([0.1] + [2.0] * 100) is None
    assert ends_at(valley()[:100]) is None


def test_a_loss_below_zero_may_stay_there() -> None:
    assert ends_at([-1.0] * 100) is None
    assert ends_at([1.0 - 0.05 * step for step in range(60)]) is None
    assert ends_at([-1.0] * 100 + [30.0] * 20) is not None
