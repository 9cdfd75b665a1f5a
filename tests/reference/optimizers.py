"""The table that drives every optimizer test: which public class, with which settings, its reference, and which wrong
settings and forms a comparison must be able to tell apart. Imports nothing from tfcore.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from reference import optimizer_rules as rules


@dataclass(frozen=True, eq=False)  # so that a case can be the key of a cache
class Case:
    """Public class with settings, its reference, and the wrong settings and forms that a comparison must detect."""

    method: str
    reference: type
    settings: dict[str, Any] = field(default_factory=dict)
    wrong_settings: tuple[dict[str, Any], ...] = ()
    wrong_forms: tuple[type, ...] = ()
    learning_rate: float = 0.01  # for the trajectories
    parabola_rate: float = 0.02
    valley_rate: float = 0.001  # for Rosenbrock's valley
    slots: tuple[str, ...] = ()
    vector_slots: tuple[str, ...] | None = None  # of parameters with fewer than two dimensions; None: the same
    needs_matrices: bool = False  # refuses parameters that are all vectors
    starts: dict[str, float] = field(default_factory=dict)  # of slots that do not start at 0
    shapes: dict[str, Callable[[Any], Any]] = field(default_factory=dict)  # of slots that have not the parameter's
    copies: tuple[str, ...] = ()  # slots that start as the parameters, here 1, and whose rounding depends on them
    powers: int = 0  # computed on scalars in each update
    operations: frozenset[str] = frozenset()  # of the rule, which otherwise belong to clipping
    in_keras: bool = True  # as the same function
    reads_weights: bool = False  # so that the change is not linear in the history of rates, and decay is in the rule
    decay_operations: int = 2  # of such a rule, for each parameter


# Epsilon is far above its default so that its value and its position matter.
_ADAM = {"beta1": 0.9, "beta2": 0.97, "epsilon": 0.05}
_WRONG_ADAM = ({"beta1": 0.88}, {"beta2": 0.96}, {"epsilon": 0.06}, {"epsilon": 1e-8})

_RMSPROP = {"rho": 0.9, "momentum": 0.0, "epsilon": 0.05, "centered": False}
_WRONG_RMSPROP = ({"rho": 0.89}, {"epsilon": 0.06}, {"epsilon": 1e-7})

CASES: dict[str, Case] = {
    "gradient_descent": Case("GradientDescent", rules.GradientDescent, valley_rate=0.002),
    "heavy_ball": Case(
        "Momentum",
        rules.Momentum,
        {"momentum": 0.9, "nesterov": False},
        ({"momentum": 0.89}, {"nesterov": True}),
        (rules.VelocityWithoutRate,),
        valley_rate=0.0003,
        slots=("v",),
    ),
    "nesterov": Case(
        "Momentum",
        rules.Momentum,
        {"momentum": 0.9, "nesterov": True},
        ({"momentum": 0.89}, {"nesterov": False}),
        (rules.VelocityWithoutRate,),
        valley_rate=0.0003,
        slots=("v",),
    ),
    "adam": Case(
        "Adam", rules.Adam, _ADAM, _WRONG_ADAM, (rules.AdamEpsilonHat,), valley_rate=0.02, slots=("m", "v"), powers=2
    ),
    "adamw": Case(
        "AdamW",
        rules.AdamW,
        {**_ADAM, "weight_decay": 0.2},
        (*_WRONG_ADAM, {"weight_decay": 0.15}, {"weight_decay": 0.0}),
        (rules.CoupledAdam,),
        valley_rate=0.02,
        slots=("m", "v"),
        powers=2,
    ),
    "nadam": Case(
        "Nadam",
        rules.Nadam,
        _ADAM,
        _WRONG_ADAM,
        (rules.Adam, rules.NadamWithSlowSchedule, rules.NadamWithScheduledMean),
        valley_rate=0.02,
        slots=("m", "v"),
        powers=5,
    ),
    "adagrad": Case(
        "Adagrad",
        rules.Adagrad,
        {"initial_accumulator": 0.5, "epsilon": 0.05},
        ({"initial_accumulator": 0.4}, {"initial_accumulator": 0.0}, {"epsilon": 0.1}),
        (rules.AdagradDelta,),
        parabola_rate=1.0,
        valley_rate=0.5,
        slots=("accumulator",),
        starts={"accumulator": 0.55},
    ),
    "adadelta": Case(
        "Adadelta",
        rules.Adadelta,
        {"rho": 0.9, "epsilon": 0.05},
        ({"rho": 0.89}, {"epsilon": 0.06}, {"epsilon": 1e-7}),
        (rules.AdadeltaOfChangesMade,),
        learning_rate=1.0,
        parabola_rate=30.0,
        valley_rate=3.0,
        slots=("squared_gradients", "squared_changes"),
    ),
    "rmsprop": Case(
        "RMSprop",
        rules.RMSprop,
        _RMSPROP,
        (*_WRONG_RMSPROP, {"centered": True}, {"momentum": 0.02}),
        (rules.RMSpropEpsilonBesideRoot,),
        valley_rate=0.003,
        slots=("mean_square",),
    ),
    "rmsprop_centered": Case(
        "RMSprop",
        rules.RMSprop,
        {**_RMSPROP, "centered": True},
        (*_WRONG_RMSPROP, {"centered": False}),
        (rules.RMSpropEpsilonBesideRoot,),
        slots=("variance", "mean_gradient"),
    ),
    "rmsprop_momentum": Case(
        "RMSprop",
        rules.RMSprop,
        {**_RMSPROP, "momentum": 0.9},
        (*_WRONG_RMSPROP, {"momentum": 0.89}, {"momentum": 0.0}),
        (rules.RMSpropEpsilonBesideRoot, rules.RMSpropVelocityWithoutRate),
        slots=("mean_square", "velocity"),
    ),
    "rmsprop_centered_momentum": Case(
        "RMSprop",
        rules.RMSprop,
        {**_RMSPROP, "centered": True, "momentum": 0.9},
        (*_WRONG_RMSPROP, {"momentum": 0.89}, {"centered": False}),
        (rules.RMSpropEpsilonBesideRoot, rules.RMSpropVelocityWithoutRate),
        slots=("variance", "mean_gradient", "velocity"),
    ),
    "lion": Case(
        "Lion",
        rules.Lion,
        {"beta1": 0.9, "beta2": 0.97, "weight_decay": 0.2},
        ({"beta1": 0.85}, {"beta2": 0.95}, {"weight_decay": 0.15}, {"weight_decay": 0.0}),
        (rules.LionOfNewMean, rules.CoupledLion),
        valley_rate=0.002,
        slots=("m",),
    ),
    "lars": Case(
        "Lars",
        rules.Lars,
        {"momentum": 0.9, "weight_decay": 0.2, "trust_coefficient": 0.5},
        ({"momentum": 0.89}, {"weight_decay": 0.15}, {"weight_decay": 0.0}, {"trust_coefficient": 0.45}),
        (rules.LarsOfEveryParameter, rules.LarsOfNormOfSum, rules.LarsVelocityWithoutRate),
        valley_rate=0.0003,
        slots=("v",),
        in_keras=False,
        reads_weights=True,
    ),
    "lamb": Case(
        "Lamb",
        rules.Lamb,
        {**_ADAM, "weight_decay": 0.2},
        (*_WRONG_ADAM, {"weight_decay": 0.15}, {"weight_decay": 0.0}),
        (rules.AdamW, rules.LambDecayedOutside, rules.LambOfEveryParameter),
        valley_rate=0.02,
        slots=("m", "v"),
        powers=2,
        in_keras=False,
        reads_weights=True,
    ),
    "adafactor": Case(
        "Adafactor",
        rules.Adafactor,
        {"beta1": 0.0, "scale_by_weights": True, "weight_decay": 0.2},
        ({"beta1": 0.1}, {"scale_by_weights": False}, {"weight_decay": 0.15}, {"weight_decay": 0.0}),
        (rules.AdafactorInFull, rules.AdafactorWithoutClipping, rules.AdafactorWithAdamsDecay),
        parabola_rate=0.5,
        valley_rate=0.03,
        slots=("row", "column"),
        vector_slots=("v",),
        shapes={"row": lambda shape: shape[:-1], "column": lambda shape: (*shape[:-2], shape[-1])},
        powers=1,
        operations=frozenset({"Maximum"}),
        in_keras=False,
        reads_weights=True,
    ),
    "adafactor_momentum": Case(
        "Adafactor",
        rules.Adafactor,
        {"beta1": 0.9, "scale_by_weights": False, "weight_decay": 0.2},
        ({"beta1": 0.85}, {"beta1": 0.0}, {"scale_by_weights": True}),
        parabola_rate=0.1,
        valley_rate=0.01,
        slots=("m", "row", "column"),
        vector_slots=("m", "v"),
        shapes={"row": lambda shape: shape[:-1], "column": lambda shape: (*shape[:-2], shape[-1])},
        powers=1,
        operations=frozenset({"Maximum"}),
        in_keras=False,
        reads_weights=True,
    ),
    "schedule_free_adamw": Case(
        "ScheduleFreeAdamW",
        rules.ScheduleFreeAdamW,
        {**_ADAM, "weight_decay": 0.2},
        ({"beta2": 0.96}, {"epsilon": 0.06}, {"epsilon": 1e-8}, {"weight_decay": 0.15}, {"weight_decay": 0.0}),
        (rules.ScheduleFreeOfEqualWeights, rules.ScheduleFreeDecayedAtZ, rules.AdamW),
        parabola_rate=0.3,
        valley_rate=0.03,
        slots=("z", "v", "squared_rates"),
        copies=("z",),
        decay_operations=6,
        shapes={"squared_rates": lambda _: ()},
        powers=1,
        in_keras=False,
        reads_weights=True,
    ),
    "muon": Case(
        "MuonAndAdamW",
        rules.Muon,
        {
            **_ADAM,
            "momentum": 0.9,
            "nesterov": True,
            "weight_decay": 0.2,
            "muon_variables": "",
            "fallback_learning_rate_factor": 0.5,
        },
        (
            *_WRONG_ADAM,
            {"momentum": 0.85},
            {"nesterov": False},
            {"weight_decay": 0.15},
            {"weight_decay": 0.0},
            {"fallback_learning_rate_factor": 0.45},
        ),
        (rules.MuonOfExactOrthogonal, rules.MuonOfSixSteps, rules.MuonOfPyTorchsLayout),
        valley_rate=0.003,
        slots=("m",),
        vector_slots=("m", "v"),
        needs_matrices=True,
        in_keras=False,
    ),
}


def slots_of(case: Case, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Returns the slots that a parameter of that shape has."""
    return case.slots if len(shape) > 1 or case.vector_slots is None else case.vector_slots


def learning_rate(case: Case, step: int) -> float:
    """Returns a changing learning rate, which distinguishes the two forms of momentum."""
    return case.learning_rate * 0.97**step


def gradients(seed: int, steps: int, shapes: list[tuple[int, ...]]) -> list[list[np.ndarray]]:
    """Draws float32 gradients with changing signs and magnitudes over three decades, by step and element."""
    random = np.random.default_rng(seed)
    return [
        [(random.standard_normal(shape) * 10.0 ** random.uniform(-2, 1, shape)).astype(np.float32) for shape in shapes]
        for _ in range(steps)
    ]


def trajectory(
    make: Any, start: list[np.ndarray], all_gradients: list[list[np.ndarray]], rates: list[float]
) -> np.ndarray:
    """Returns the flat parameters before the first update and after each, [steps + 1, elements]."""
    each = [make() for _ in start]
    w = [value.astype(np.float64) for value in start]
    rows = [np.concatenate([value.ravel() for value in w])]
    for step_gradients, rate in zip(all_gradients, rates, strict=True):
        w = [
            rule.update(value, g.astype(np.float64), rate)
            for rule, value, g in zip(each, w, step_gradients, strict=True)
        ]
        rows.append(np.concatenate([value.ravel() for value in w]))
    return np.stack(rows)
