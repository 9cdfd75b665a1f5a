"""Observing the next step shows the values that step then has, and changes no state."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from tfcore.build.configuration import resolve
from tfcore.config import RunConfig
from tfcore.data.dataset import Dataset, Split
from tfcore.modules import named_parameters
from tfcore.run.session import Session
from tfcore.training import divergence, observation
from tfcore.training.loop import Loop
from tfcore.training.run_folder import RunFolder

LAYERS = ("conv_1", "hidden_1", "logits")


def split(examples: int) -> Split:
    draw = np.random.default_rng(examples)
    images = draw.integers(0, 256, (examples, 12, 12, 3), np.uint8)
    return Split(images, (np.arange(examples) % 3).astype(np.int32))


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A network with batch normalisation, dropout, max-norm, penalty and averaged weights."""
    config = RunConfig(
        model="cifar_cnn", filters=(4, 6), hidden=(8,), dropout=(0.2, 0.4), average_decay=0.9, l2=0.01, batch_size=20,
        steps=9, precision="float32", summaries="none",
    )  # fmt: skip
    with RunFolder(tmp_path / "run") as folder:
        data = Dataset("noise", split(200), split(45), ("one", "two", "three"))
        yield Session(resolve(config), folder, Console(quiet=True), data=data)


def trained(session: Session, steps: int) -> Loop:
    """Runs more steps with the compiled loop."""
    loop = Loop(session.parts.phases())
    loop.run(session.parts.total_steps, pause_step=int(session.parts.step.optimizer.step) + steps)
    return loop


def state(session: Session) -> dict[str, bytes]:
    return {name: v.numpy().tobytes() for name, v in divergence.state(session.parts.model, session.parts.step).items()}


@pytest.mark.thorough
def test_the_step_to_come_is_what_comes(session: Session) -> None:
    loop = trained(session, 3)
    before = state(session), session.parts.step.sums.numpy().tobytes()
    observed = observation.observe(session.parts.model, session.parts.step, loop.next_step)
    assert (state(session), session.parts.step.sums.numpy().tobytes()) == before
    weights = {path: variable.numpy() for path, variable in named_parameters(session.parts.model).items()}
    trained(session, 1)
    assert observed.weights.keys() == observed.gradients.keys() == observed.updates.keys() == weights.keys()
    for path, variable in named_parameters(session.parts.model).items():
        change = variable.numpy() - weights[path]
        np.testing.assert_array_equal(observed.weights[path], weights[path])
        np.testing.assert_array_equal(observed.updates[path], change)


def test_the_batch_is_that_of_the_step_to_come(session: Session) -> None:
    batches = session.parts.training_batches()
    loop = trained(session, 2)
    observed = observation.observe(session.parts.model, session.parts.step, loop.next_step)
    numbers = batches.numbers(2)[:16]
    np.testing.assert_array_equal(observed.images, session.parts.data.train.images[numbers])
    np.testing.assert_array_equal(observed.labels, session.parts.data.train.labels[numbers])


def test_activations_are_those_of_an_evaluation(session: Session) -> None:
    observed = observation.observe(session.parts.model, session.parts.step, trained(session, 1).next_step)
    assert [path for path in observed.activations if path in LAYERS] == list(LAYERS)
    assert observed.activations["conv_1"].shape == (16, 12, 12, 4)
    logits = session.parts.model(tf.constant(observed.images), training=False)
    np.testing.assert_allclose(observed.activations["logits"], logits, rtol=1e-4, atol=1e-5)


def test_norms_are_by_part_and_path(session: Session) -> None:
    observed = observation.observe(session.parts.model, session.parts.step, trained(session, 1).next_step)
    norms = observation.norms(observed)
    assert len(norms) == 3 * len(observed.weights)
    for name, arrays in (("weight", observed.weights), ("gradient", observed.gradients), ("update", observed.updates)):
        array = arrays["conv_1.weights"].astype(np.float64)
        assert norms[f"{name}_norm/conv_1.weights"] == pytest.approx(np.sqrt((array**2).sum()), rel=1e-9)
        assert array.any()
