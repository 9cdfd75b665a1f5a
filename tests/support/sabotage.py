"""Ways to break the product, for seeing whether what watches over it notices."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from tfcore.training import run_log
from tfcore.training.checkpoints import Checkpoints


def keep_provisional_lines() -> None:
    """The logs are not cut back to the checkpoint that a run goes on from."""
    run_log.trim = lambda *_: None


def forget_a_slot() -> None:
    """One of the optimizer's slots is zeros again after a run was restored."""
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
    """A checkpoint has its final name from the beginning, complete or not."""
    save = Checkpoints.save

    def save_in_place(self: Checkpoints, step: int, **more: Any) -> None:
        (self._folder / f"step-{step:010d}").mkdir(parents=True)
        save(self, step, **more)

    Checkpoints.save = save_in_place


def rename_a_hook() -> None:
    """Something that the harness hooks into has another name."""
    run_log.cut = run_log.trim
    del run_log.trim
