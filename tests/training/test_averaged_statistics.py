"""Statistics of batch norms at averaged weights: the means over batches, and everything else left as it was."""

import numpy as np
import pytest
import tensorflow as tf

from tfcore.data.batches import TrainingBatches
from tfcore.data.dataset import Split
from tfcore.data.examples import Examples
from tfcore.errors import RunError
from tfcore.layers import BatchNorm
from tfcore.modules import named_parameters, named_variables
from tfcore.optimizers import GradientDescent
from tfcore.seeds import Key
from tfcore.training.averaged_statistics import AveragedStatistics

BATCH, SEED = 8, 4
generator = np.random.default_rng(3)
SPLIT = Split(generator.integers(0, 256, (50, 2, 2, 1), np.uint8), np.zeros(50, np.int32))


class Model(tf.Module):
    """A product and a batch norm, with a counter of its calls as a further state."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(generator.standard_normal((4, 3)).astype(np.float32))
        self.norm = BatchNorm(3, name="norm", momentum=0.9)
        self.calls = tf.Variable(0, trainable=False)

    def __call__(self, images: tf.Tensor, *, training: bool, key: Key) -> tf.Tensor:
        del key
        self.calls.assign_add(1)
        rows = tf.reshape(tf.cast(images, tf.float32), [-1, 4]) / 255
        return self.norm(tf.matmul(rows, self.weights), training=training)


@pytest.mark.parametrize("batch_count", [3, 25])  # a block holds 20
def test_they_are_the_means_over_batches_at_the_averaged_weights(batch_count: int) -> None:
    model = Model()
    optimizer = GradientDescent(named_parameters(model), 0.5, average_from_steps=1)
    for _ in range(5):
        optimizer.apply([tf.ones_like(parameter) for parameter in optimizer.parameters])
    before = {path: variable.numpy() for path, variable in named_variables(model).items()}
    batches = TrainingBatches(Examples(SPLIT.batch_reader()), batch_size=BATCH, seed=SEED)
    found = AveragedStatistics(model, optimizer, batches, batch_count)
    assert sorted(found.variables) == ["norm.moving_mean", "norm.moving_variance"]
    found.renew()
    rows = [SPLIT.images[batches.numbers(5 + number)].reshape(BATCH, 4) / 255 for number in range(batch_count)]
    made = [batch @ optimizer.averages["weights"].numpy().astype(np.float64) for batch in rows]
    mean, variance = np.mean([m.mean(0) for m in made], 0), np.mean([m.var(0, ddof=1) for m in made], 0)
    np.testing.assert_allclose(found.variables["norm.moving_mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(found.variables["norm.moving_variance"], variance, rtol=1e-4)
    for path, variable in named_variables(model).items():
        np.testing.assert_array_equal(variable, before[path])
    with found.in_use():
        np.testing.assert_allclose(model.norm.moving_mean, mean, rtol=1e-5)
    np.testing.assert_array_equal(model.norm.moving_mean, before["norm.moving_mean"])


def test_a_hundred_batches_are_enough() -> None:
    model = Model()
    optimizer = GradientDescent(named_parameters(model), 0.5, average_from_steps=1)
    batches = TrainingBatches(Examples(SPLIT.batch_reader()), batch_size=BATCH, seed=SEED)
    large, hundred = (AveragedStatistics(model, optimizer, batches, count) for count in (10**6, 100))
    large.renew()
    hundred.renew()
    for one, other in zip(large.variables.values(), hundred.variables.values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_statistics_that_are_not_finite_are_an_error() -> None:
    model = Model()
    optimizer = GradientDescent(named_parameters(model), 0.5, average_from_steps=1)
    optimizer.averages["weights"].assign(tf.fill([4, 3], 3e38))
    batches = TrainingBatches(Examples(SPLIT.batch_reader()), batch_size=BATCH, seed=SEED)
    with pytest.raises(RunError, match=r"The statistics of norm\.moving_mean for the averaged weights are not finite"):
        AveragedStatistics(model, optimizer, batches, 3).renew()
