"""Breaks the product in several ways, to test that the campaigns notice."""

import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfcore.training import run_log
from tfcore.training.checkpoints import Checkpoints
from tfcore.training.evaluation import Evaluation


def keep_provisional_lines() -> None:
    """The logs are not trimmed to the checkpoint that a run is resumed from."""
    run_log.trim = lambda *_: None


def forget_a_slot() -> None:
    """One slot of the optimizer is zero after a run is restored."""
    begin, restore = Checkpoints.__init__, Checkpoints.restore
    states = []

    def begin_and_remember(self: Checkpoints, folder: Path, state: dict[str, tf.Variable], **more: Any) -> None:
        begin(self, folder, state, **more)
        states.append(state)

    def restore_but_one(self: Checkpoints, step: int, **more: Any) -> Any:
        about = restore(self, step, **more)
        slot = next(name for name in states[-1] if name.startswith("optimizer.") and "conv_2.weights" in name)
        states[-1][slot].assign(tf.zeros_like(states[-1][slot]))
        return about

    Checkpoints.__init__, Checkpoints.restore = begin_and_remember, restore_but_one


def write_in_place() -> None:
    """A checkpoint has its final name before it is complete."""
    save = Checkpoints.save

    def save_in_place(self: Checkpoints, step: int, **more: Any) -> None:
        (self._folder / f"step-{step:010d}").mkdir(parents=True)
        save(self, step, **more)

    Checkpoints.save = save_in_place


def rename_a_hook() -> None:
    """A function that the campaign hooks into has another name."""
    run_log.cut = run_log.trim
    del run_log.trim


def evaluate_elsewhere() -> None:
    """Evaluations go through the methods of another class, and those that the campaign hooks into are never called."""
    methods = {name: thing for name, thing in vars(Evaluation).items() if name not in ("__dict__", "__weakref__")}
    other = type("Scorer", (), methods)
    for name, module in list(sys.modules.items()):
        if name.startswith("tfcore.") and name != Evaluation.__module__ and hasattr(module, "Evaluation"):
            module.Evaluation = other
