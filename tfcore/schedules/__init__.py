"""Learning rates as functions of the step: frozen dataclasses that an optimizer calls once per update.

`step` is always the number of updates completed before this one, 0 for the first. Ratios of steps are computed in
float64: float32 cannot represent every step past 2^24 and is coarse well before.
"""

from tfcore.schedules.base import Schedule
from tfcore.schedules.constant import Constant, StepWise
from tfcore.schedules.cosines import Cosine, CosineRestarts, OneCycle
from tfcore.schedules.decays import Exponential, Polynomial, Trapezoid
from tfcore.schedules.warm_up import WarmUp

__all__ = [
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "OneCycle",
    "Polynomial",
    "Schedule",
    "StepWise",
    "Trapezoid",
    "WarmUp",
]
