"""The running means of training: since the last log line, and since the last epoch's end."""

import numpy as np
import tensorflow as tf


class TrainingSums:
    """Loss, total loss, hits and examples, summed in float64; both sums are part of a run's state.

    Args:
        since_log: float64 [4], which the training step adds to.
    """

    def __init__(self, since_log: tf.Variable) -> None:
        self._since_log = since_log
        self._earlier = tf.Variable(
            tf.zeros([4], tf.float64), trainable=False
        )  # of this epoch, before the last log line
        self.variables = {"since_log": self._since_log, "earlier_in_epoch": self._earlier}

    def of_epoch(self) -> dict[str, float]:
        """Means since the last call of `take_epoch`, which go on; of nothing, they are not numbers."""
        return _means(self._earlier.numpy() + self._since_log.numpy())

    def take_log(self) -> dict[str, float]:
        """Means since the last call of this; starts anew."""
        sums = self._since_log.numpy()
        self._earlier.assign_add(sums)
        self._since_log.assign(tf.zeros([4], tf.float64))
        return _means(sums)

    def take_epoch(self) -> dict[str, float]:
        """Means since the last call of this; starts anew, and leaves the sums since the last log line alone."""
        sums = self._since_log.numpy()
        means = _means(self._earlier.numpy() + sums)
        self._earlier.assign(-sums)  # the next log line will add them once more, and they belong to this epoch
        return means


def _means(sums: np.ndarray) -> dict[str, float]:
    loss, total_loss, hits, examples = sums.tolist()
    examples = examples or float("nan")
    return {"loss": loss / examples, "total_loss": total_loss / examples, "accuracy": hits / examples}
