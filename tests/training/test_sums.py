"""The running means of training, against the means over the same batches."""

import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcore.training.sums import TrainingSums

Row = tuple[float, float, float, float]  # loss, total loss, hits, examples
# Halves and quarters add up without rounding, so that equal means equal.
rows = st.tuples(st.integers(0, 999).map(lambda n: n / 4), st.integers(0, 999).map(lambda n: n / 2), st.integers(0, 8))
operations = st.lists(st.one_of(rows, st.sampled_from(["log", "epoch", "both"])), max_size=30)


def means(batches: list[Row]) -> dict[str, float]:
    loss, total_loss, hits, examples = (sum(column) for column in zip(*batches, strict=True))
    return {"loss": loss / examples, "total_loss": total_loss / examples, "accuracy": hits / examples}


class Epoch(TrainingSums):
    """Training sums with the step that adds to them."""

    def __init__(self) -> None:
        self._step = tf.Variable(tf.zeros([4], tf.float64))
        super().__init__(self._step)

    def add(self, row: tuple[float, ...]) -> None:
        self._step.assign_add(tf.constant(row, tf.float64))

    def log(self) -> dict[str, float]:
        return self.take_log(self._step.numpy().tolist())


@settings(max_examples=60)
@given(operations)
def test_any_interleaving_gives_the_means_since_the_same_call_before(steps: list[tuple[float, ...] | str]) -> None:
    sums = Epoch()
    log: list[Row] = []
    epoch: list[Row] = []
    for step in steps:
        if not isinstance(step, str):
            row = (*step, 8.0)
            sums.add(row)
            log.append(row)
            epoch.append(row)
            assert sums.of_epoch() == means(epoch)
            continue
        if step in ("log", "both") and log:
            assert sums.log() == means(log)
            log = []
        if step in ("epoch", "both") and epoch:
            assert sums.take_epoch() == means(epoch)
            epoch = []


def test_a_log_line_that_spans_two_epochs_counts_each_batch_once_everywhere() -> None:
    sums = Epoch()
    sums.add((8.0, 16.0, 4.0, 8.0))
    assert sums.take_epoch() == {"loss": 1.0, "total_loss": 2.0, "accuracy": 0.5}
    sums.add((24.0, 24.0, 8.0, 8.0))
    assert sums.log() == {"loss": 2.0, "total_loss": 2.5, "accuracy": 0.75}
    assert sums.take_epoch() == {"loss": 3.0, "total_loss": 3.0, "accuracy": 1.0}


def test_a_log_line_is_of_the_sums_at_its_step_whatever_was_added_since() -> None:
    sums = Epoch()
    sums.add((8.0, 8.0, 8.0, 8.0))
    earlier = (8.0, 8.0, 8.0, 8.0)
    sums.add((16.0, 24.0, 0.0, 8.0))
    assert sums.take_log(earlier) == {"loss": 1.0, "total_loss": 1.0, "accuracy": 1.0}
    assert sums.log() == {"loss": 2.0, "total_loss": 3.0, "accuracy": 0.0}


def test_its_memory_is_all_in_its_variables() -> None:
    first, second = Epoch(), Epoch()
    first.add((8.0, 8.0, 0.0, 8.0))
    first.log()
    first.add((24.0, 24.0, 8.0, 8.0))
    for name, variable in second.variables.items():
        variable.assign(first.variables[name])
    assert second.log() == {"loss": 3.0, "total_loss": 3.0, "accuracy": 1.0}
    assert second.take_epoch() == {"loss": 2.0, "total_loss": 2.0, "accuracy": 0.5}
