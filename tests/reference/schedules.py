"""Learning-rate schedules in Python's float64; imports nothing from tfcore."""

import math


def step_wise(t: int, learning_rate: float, boundaries: tuple[int, ...], factor: float) -> float:
    for boundary in boundaries:
        if t >= boundary:
            learning_rate *= factor
    return learning_rate


def exponential(t: int, learning_rate: float, decay_steps: int, factor: float) -> float:
    return learning_rate * math.exp(math.log(factor) * t / decay_steps)


def polynomial(t: int, learning_rate: float, decay_steps: int, power: float, end: float) -> float:
    left = max(decay_steps - t, 0) / decay_steps
    return end + (learning_rate - end) * left**power


def cosine(t: int, learning_rate: float, decay_steps: int, end: float) -> float:
    if t >= decay_steps:
        return end
    # (1 + cos 2x) / 2 = cos² x
    return end + (learning_rate - end) * math.cos(math.pi * t / (2 * decay_steps)) ** 2


def warm_up(t: int, rate: float, warmup_steps: int) -> float:
    return rate * (t + 1) / warmup_steps if t + 1 < warmup_steps else rate


def trapezoid(t: int, rate: float, decay_steps: int, cooldown_share: float, end: float) -> float:
    cooldown_steps = cooldown_share * decay_steps
    left = decay_steps - t
    if left >= cooldown_steps:
        return rate
    return end + (rate - end) * max(left, 0) / cooldown_steps


def cosine_restarts(t: int, rate: float, period_steps: int, period_factor: int, end: float) -> float:
    while t >= period_steps:
        t -= period_steps
        period_steps *= period_factor
    return cosine(t, rate, period_steps, end)


def one_cycle(t: int, rate: float, decay_steps: int, warmup_share: float, start_divisor: float, end: float) -> float:
    """PyTorch's `OneCycleLR` with a peak and an end that are both one update later."""
    peak, start = warmup_share * decay_steps, rate / start_divisor
    if t < peak:
        return rate - (rate - start) * math.cos(math.pi * t / (2 * peak)) ** 2
    return rate - (rate - end) * math.sin(math.pi * (min(t, decay_steps) - peak) / (2 * (decay_steps - peak))) ** 2
