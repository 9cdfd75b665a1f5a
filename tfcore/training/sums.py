"""Running means of training: since the last log line, and since the last epoch's end."""

from collections.abc import Sequence

import tensorflow as tf


class TrainingSums:
    """Sums of loss, total loss, hits and examples in float64 since the epoch began; part of a run's state.

    A mean between two log lines is the difference of two such sums: exact to 1e-16 of the larger, so after a batch of a
    loss of 1e15 the lines are unreliable up to the end of the epoch.

    Args:
        of_epoch: float64 [4], the variable that the training step adds to.
    """

    def __init__(self, of_epoch: tf.Variable) -> None:
        self._of_epoch = of_epoch
        self._logged = tf.Variable(tf.zeros([4], tf.float64), trainable=False)  # the sums at the last log line
        self.variables = {"of_epoch": self._of_epoch, "logged": self._logged}

    def of_epoch(self) -> dict[str, float]:
        """Means since the last `take_epoch`, without a reset; NaN if there are no examples."""
        return _means(self._of_epoch.numpy().tolist())

    def take_log(self, sums: Sequence[float]) -> dict[str, float]:
        """Means from the last call up to the moment at which the sums were `sums`; the next call starts from there."""
        before = self._logged.numpy().tolist()
        self._logged.assign(sums)
        return _means([now - then for now, then in zip(sums, before, strict=True)])

    def take_epoch(self) -> dict[str, float]:
        """Means since the last call; resets the sums of the epoch, without effect on `take_log`."""
        sums = self._of_epoch.numpy()
        self._logged.assign_sub(sums)  # now the part before this epoch of the next log line, negative
        self._of_epoch.assign(tf.zeros_like(sums))
        return _means(sums.tolist())


def _means(sums: Sequence[float]) -> dict[str, float]:
    loss, total_loss, hits, examples = sums
    examples = examples or float("nan")
    return {"loss": loss / examples, "total_loss": total_loss / examples, "accuracy": hits / examples}
