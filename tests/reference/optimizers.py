"""Optimizers in NumPy float64, written from the papers; imports nothing from tfcore.

Each is a class whose `update(w, g, learning_rate)` returns the next w. `CASES` is the table that drives every optimizer
test: which public class, with which settings, and which wrong settings a comparison must be able to tell apart.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


class GradientDescent:
    """Robbins & Monro 1951."""

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        return w - learning_rate * g


class Momentum:
    """Sutskever et al. 2013, eq. 1-2, and eq. 3-4 with w standing for the look-ahead point."""

    def __init__(self, momentum: float, nesterov: bool = False) -> None:
        self.mu, self.nesterov, self.v = momentum, nesterov, 0.0

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        if not self.nesterov:
            self.v = self.mu * self.v - learning_rate * g
            return w + self.v
        # theta is the point without look-ahead: w = theta + mu v.
        theta = w - self.mu * self.v
        self.v = self.mu * self.v - learning_rate * g
        return theta + self.v + self.mu * self.v


class VelocityWithoutRate:
    """PyTorch's momentum: the velocity sums gradients, and the rate of the moment scales all of it."""

    def __init__(self, momentum: float, nesterov: bool = False) -> None:
        self.mu, self.nesterov, self.v = momentum, nesterov, 0.0

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.v = self.mu * self.v + g
        return w - learning_rate * (g + self.mu * self.v if self.nesterov else self.v)


class Adam:
    """Kingma & Ba 2014, algorithm 1."""

    def __init__(self, beta1: float, beta2: float, epsilon: float) -> None:
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.m, self.v, self.t = 0.0, 0.0, 0

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * g**2
        m_hat = self.m / (1 - self.beta1**self.t)
        v_hat = self.v / (1 - self.beta2**self.t)
        return w - learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon)


class AdamEpsilonHat(Adam):
    """Kingma & Ba 2014, the form at the end of section 2, with epsilon hat = epsilon: what Keras computes."""

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        epsilon = self.epsilon
        self.epsilon = epsilon / np.sqrt(1 - self.beta2 ** (self.t + 1))
        w = super().update(w, g, learning_rate)
        self.epsilon = epsilon
        return w


class AdamW(Adam):
    """Loshchilov & Hutter 2017, algorithm 2, with lambda = base rate · weight_decay."""

    def __init__(self, weight_decay: float, **settings: float) -> None:
        super().__init__(**settings)
        self.weight_decay = weight_decay

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        return super().update(w, g, learning_rate) - learning_rate * self.weight_decay * w


class CoupledAdam(AdamW):
    """The L2 penalty that AdamW is not: the decay passes through the moments."""

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        return Adam.update(self, w, g + self.weight_decay * w, learning_rate)


@dataclass(frozen=True)
class Case:
    """A public class with settings, its reference, and what the comparison has to tell apart."""

    method: str
    reference: type
    settings: dict[str, Any] = field(default_factory=dict)
    wrong_settings: tuple[dict[str, Any], ...] = ()
    wrong_forms: tuple[type, ...] = ()
    learning_rate: float = 0.01  # for the trajectories
    valley_rate: float = 0.001  # for Rosenbrock's valley
    slots: tuple[str, ...] = ()


# Epsilon is far above its default so that its value and its form show.
_ADAM = {"beta1": 0.9, "beta2": 0.97, "epsilon": 0.05}
_WRONG_ADAM = ({"beta1": 0.88}, {"beta2": 0.96}, {"epsilon": 0.06}, {"epsilon": 1e-8})

CASES: dict[str, Case] = {
    "gradient_descent": Case("GradientDescent", GradientDescent),
    "heavy_ball": Case(
        "Momentum",
        Momentum,
        {"momentum": 0.9, "nesterov": False},
        ({"momentum": 0.89}, {"nesterov": True}),
        (VelocityWithoutRate,),
        valley_rate=0.0003,
        slots=("v",),
    ),
    "nesterov": Case(
        "Momentum",
        Momentum,
        {"momentum": 0.9, "nesterov": True},
        ({"momentum": 0.89}, {"nesterov": False}),
        (VelocityWithoutRate,),
        valley_rate=0.0003,
        slots=("v",),
    ),
    "adam": Case("Adam", Adam, _ADAM, _WRONG_ADAM, (AdamEpsilonHat,), valley_rate=0.02, slots=("m", "v")),
    "adamw": Case(
        "AdamW",
        AdamW,
        {**_ADAM, "weight_decay": 0.2},
        (*_WRONG_ADAM, {"weight_decay": 0.15}, {"weight_decay": 0.0}),
        (CoupledAdam,),
        valley_rate=0.02,
        slots=("m", "v"),
    ),
}


def learning_rate(case: Case, step: int) -> float:
    """A rate that changes, so that the two forms of momentum part."""
    return case.learning_rate * 0.97**step


def gradients(seed: int, steps: int, shapes: list[tuple[int, ...]]) -> list[list[np.ndarray]]:
    """Float32 gradients whose signs change and whose sizes differ by a factor of thousand, over steps and elements."""
    random = np.random.default_rng(seed)
    return [
        [(random.standard_normal(shape) * 10.0 ** random.uniform(-2, 1, shape)).astype(np.float32) for shape in shapes]
        for _ in range(steps)
    ]


def trajectory(
    make: Any, start: list[np.ndarray], all_gradients: list[list[np.ndarray]], rates: list[float]
) -> np.ndarray:
    """[steps + 1, elements]: the parameters, flat, before the first update and after each."""
    rules = [make() for _ in start]
    w = [value.astype(np.float64) for value in start]
    rows = [np.concatenate([value.ravel() for value in w])]
    for step_gradients, rate in zip(all_gradients, rates, strict=True):
        w = [
            rule.update(value, g.astype(np.float64), rate)
            for rule, value, g in zip(rules, w, step_gradients, strict=True)
        ]
        rows.append(np.concatenate([value.ravel() for value in w]))
    return np.stack(rows)
