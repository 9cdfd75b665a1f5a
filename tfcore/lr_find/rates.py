"""Reads learning rates off the losses of training with a rising rate; needs NumPy alone."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_WINDOW_SHARE = 0.1  # of the losses, in the window that smooths them
_LEAST_REACH = 2  # losses to either side in the smallest window
_CERTAIN = 3.5  # standard errors; noise alone falls further in one of a hundred tests of 300 steps
_DECAY = 0.98  # of the running mean of the losses
_TRUSTED = 10  # losses; the mean of fewer says little
_ROOM = 3.0  # rise of the mean above its minimum, in units of the minimum, at which the test ends

Array = NDArray[np.float64]


class Rates(NamedTuple):
    """The rates that the losses point to, and whether the losses show that higher ones are worse.

    Attributes:
        steepest: the rate at which the smoothed loss falls fastest, before its minimum.
        tenth: a tenth of the rate at the minimum of the smoothed loss.
        rises_again: the loss is higher at the highest rate than at the minimum, or not finite; else the minimum may be
            at a rate that was not tested.
    """

    steepest: float
    tenth: float
    rises_again: bool


def find(rates: Sequence[float], losses: Sequence[float]) -> Rates | None:
    """Finds the rate of the steepest fall, and a tenth of the rate at the minimum.

        level(t) = mean of losses(t - r) … losses(t + r),  r = a twentieth of their number
        slope(t) = that of the line of least squares through them, over the logarithm of the rate
        minimum  = argmin of level,  steepest = argmin of slope up to the minimum

    The loss counts as falling if the first level is above the lowest by 3.5 standard errors of their difference, and as
    rising again if the last one is, so noise alone seldom gives rates. Losses from the first that is not finite on are
    left out. A cliff within reach of the minimum raises the levels there: the minimum is found a little before it.

    fastai's `steep` and `minimum` and Lightning's suggestion, a steepest fall too, are read off a running mean of decay
    0.98, which lags behind, so its rates are higher; here the window is centred. They leave out a fixed number of
    losses at both ends instead of those past the minimum or without a full window.

    Args:
        rates: rising by the same factor from each to the next.
        losses: one for each rate.

    Returns:
        The two rates; None where the loss does not fall, or there are too few losses.

    Source: Smith 2015, arXiv 1506.01186, section 3.3.
    """
    levels, slopes = smooth(losses)
    (places,) = np.nonzero(np.isfinite(levels))
    if not len(places):
        return None
    first, lowest, last = int(places[0]), int(np.nanargmin(levels)), int(places[-1])
    falling = slice(first, lowest + 1)
    noise = np.std(np.asarray(losses)[falling] - levels[falling]) * math.sqrt(2 / (2 * first + 1))
    least = levels[lowest] + _CERTAIN * noise
    if not levels[first] > least:
        return None
    steepest = first + int(np.argmin(slopes[falling]))
    rises_again = not math.isfinite(losses[-1]) or bool(levels[last] > least)
    return Rates(rates[steepest], rates[lowest] / 10, rises_again)


def smooth(losses: Sequence[float]) -> tuple[Array, Array]:
    """Returns the level and the slope at each loss; NaN where the window would pass the ends of the finite losses."""
    numbers = np.asarray(losses, np.float64)
    levels, slopes = np.full((2, len(numbers)), np.nan)
    (bad,) = np.nonzero(~np.isfinite(numbers))
    finite = numbers[: bad[0]] if len(bad) else numbers
    reach = max(_LEAST_REACH, round(_WINDOW_SHARE * len(finite) / 2))
    if len(finite) > 2 * reach:
        windows = np.lib.stride_tricks.sliding_window_view(finite, 2 * reach + 1)
        places = np.arange(-reach, reach + 1)
        levels[reach : len(finite) - reach] = windows.mean(axis=1)
        slopes[reach : len(finite) - reach] = windows @ places / (places @ places)
    return levels, slopes


class Divergence:
    """Tells when the losses have risen so far that higher rates need no test.

        m ← 0.98 · m + 0.02 · loss,  mean = m / (1 - 0.98^n)
        diverged = loss is not finite, or mean > 4 · (the least mean so far)

    fastai's rule, but for the first nine losses, whose mean is not compared. Below 0, where four times the minimum is
    further down, the mean must exceed it by three times its size.
    """

    def __init__(self) -> None:
        self._sum, self._count, self._least = 0.0, 0, math.inf

    def after(self, loss: float) -> bool:
        """Takes the next loss and returns whether training has diverged."""
        self._count += 1
        self._sum = _DECAY * self._sum + (1 - _DECAY) * loss
        mean = self._sum / (1 - _DECAY**self._count)
        if not math.isfinite(mean) or self._count < _TRUSTED:
            return not math.isfinite(mean)
        self._least = min(self._least, mean)
        return mean > self._least + _ROOM * abs(self._least)
