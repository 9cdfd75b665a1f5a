"""Optimizers: each is given its parameters at construction and applies one update a call."""

from tfcore.optimizers.adadelta import Adadelta
from tfcore.optimizers.adafactor import Adafactor
from tfcore.optimizers.adagrad import Adagrad
from tfcore.optimizers.adam import Adam
from tfcore.optimizers.adamw import AdamW
from tfcore.optimizers.base import Optimizer
from tfcore.optimizers.chain import Group, global_norm
from tfcore.optimizers.combined import Combined, Part
from tfcore.optimizers.constraints import MaxNorm
from tfcore.optimizers.gradient_descent import GradientDescent
from tfcore.optimizers.lamb import Lamb
from tfcore.optimizers.lars import Lars
from tfcore.optimizers.lion import Lion
from tfcore.optimizers.momentum import Momentum
from tfcore.optimizers.muon import Muon, MuonAndAdamW
from tfcore.optimizers.nadam import Nadam
from tfcore.optimizers.rmsprop import RMSprop
from tfcore.optimizers.schedule_free import ScheduleFreeAdamW

__all__ = [
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Combined",
    "GradientDescent",
    "Group",
    "Lamb",
    "Lars",
    "Lion",
    "MaxNorm",
    "Momentum",
    "Muon",
    "MuonAndAdamW",
    "Nadam",
    "Optimizer",
    "Part",
    "RMSprop",
    "ScheduleFreeAdamW",
    "global_norm",
]
