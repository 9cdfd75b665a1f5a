"""Early stopping: the best evaluation so far, and the end of a run that no longer improves on it."""

import tensorflow as tf

from tfcore import checks

MONITORS = ("loss", "accuracy")


class EarlyStopping:
    """Remembers the best validation score; `exhausted` after `patience` evaluations in a row without a better one.

    Its state is in variables, so checkpoints include it.

    Args:
        monitor: `loss` (smaller is better) or `accuracy` (larger is better).
        patience: evaluations, at least 1; with None it never stops and only remembers the best.
    """

    def __init__(self, *, monitor: str, patience: int | None) -> None:
        checks.one_of("monitor", monitor, MONITORS)
        if patience is not None:
            checks.positive("patience", patience)
        self.monitor, self._patience = monitor, patience
        self._sign = -1.0 if monitor == "loss" else 1.0
        self.variables = {
            "best_step": tf.Variable(-1, dtype=tf.int64, trainable=False),
            "best_loss": tf.Variable(float("inf"), dtype=tf.float64, trainable=False),
            "best_accuracy": tf.Variable(0.0, dtype=tf.float64, trainable=False),
            "waited_evaluations": tf.Variable(0, dtype=tf.int64, trainable=False),
        }

    @property
    def best_step(self) -> int | None:
        """The step of the best evaluation; None before the first."""
        step = int(self.variables["best_step"].numpy())
        return None if step < 0 else step

    @property
    def best_scores(self) -> dict[str, float]:
        """Loss and accuracy of the best evaluation."""
        return {name: float(self.variables[f"best_{name}"].numpy()) for name in MONITORS}

    @property
    def exhausted(self) -> bool:
        """Whether `patience` evaluations in a row brought no better score."""
        return self._patience is not None and int(self.variables["waited_evaluations"].numpy()) >= self._patience

    def update(self, step: int, *, loss: float, accuracy: float) -> bool:
        """Records an evaluation; returns whether it is the best. Neither an equal score nor NaN is an improvement."""
        scores = {"loss": loss, "accuracy": accuracy}
        better = self._sign * scores[self.monitor] > self._sign * self.best_scores[self.monitor]
        if not (better or (self.best_step is None and scores[self.monitor] == scores[self.monitor])):
            self.variables["waited_evaluations"].assign_add(1)
            return False
        for name, value in {"best_step": step, "waited_evaluations": 0}.items():
            self.variables[name].assign(value)
        for name, score in scores.items():
            self.variables[f"best_{name}"].assign(score)
        return True
