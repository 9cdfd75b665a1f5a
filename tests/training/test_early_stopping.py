"""Early stopping: the best evaluation and the evaluations since, against a plain recomputation."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcore.errors import ConfigError
from tfcore.training.early_stopping import EarlyStopping

scores = st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan])


def updates(stopping: EarlyStopping, losses: list[float]) -> list[bool]:
    return [stopping.update(step, loss=loss, accuracy=0.5) for step, loss in enumerate(losses, start=1)]


def test_a_smaller_loss_is_better() -> None:
    stopping = EarlyStopping(monitor="loss", patience=None)
    assert updates(stopping, [3.0, 2.0, 2.5, 1.0]) == [True, True, False, True]
    assert stopping.best_step == 4
    assert stopping.best_scores == {"loss": 1.0, "accuracy": 0.5}


def test_a_larger_accuracy_is_better() -> None:
    stopping = EarlyStopping(monitor="accuracy", patience=None)
    assert [stopping.update(step, loss=9.0, accuracy=step / 10) for step in (1, 3, 2)] == [True, True, False]
    assert stopping.best_step == 3


@pytest.mark.parametrize("monitor", ["loss", "accuracy"])
def test_an_equal_score_is_no_improvement(monitor: str) -> None:
    stopping = EarlyStopping(monitor=monitor, patience=1)
    assert updates(stopping, [1.0, 1.0]) == [True, False]
    assert stopping.best_step == 1
    assert stopping.exhausted


def test_the_very_first_score_is_the_best_however_bad() -> None:
    stopping = EarlyStopping(monitor="accuracy", patience=1)
    assert stopping.best_step is None
    assert stopping.update(1, loss=math.inf, accuracy=0.0)
    assert EarlyStopping(monitor="loss", patience=1).update(1, loss=math.inf, accuracy=0.0)


def test_nan_is_never_the_best() -> None:
    stopping = EarlyStopping(monitor="loss", patience=3)
    assert updates(stopping, [math.nan, math.nan, 5.0, math.nan]) == [False, False, True, False]
    assert stopping.best_step == 3
    assert not stopping.exhausted


def test_patience_counts_evaluations_in_a_row() -> None:
    stopping = EarlyStopping(monitor="loss", patience=2)
    exhausted = []
    for step, loss in enumerate([3.0, 4.0, 2.0, 2.0, 2.5], start=1):
        stopping.update(step, loss=loss, accuracy=0.0)
        exhausted.append(stopping.exhausted)
    assert exhausted == [False, False, False, False, True]


def test_without_patience_it_only_remembers() -> None:
    stopping = EarlyStopping(monitor="loss", patience=None)
    updates(stopping, [1.0] + [2.0] * 20)
    assert not stopping.exhausted


def test_its_memory_is_all_in_its_variables() -> None:
    first, second = (EarlyStopping(monitor="loss", patience=2) for _ in range(2))
    updates(first, [3.0, 4.0])
    for name, variable in second.variables.items():
        variable.assign(first.variables[name])
    assert second.best_step == 1
    assert second.best_scores == first.best_scores
    second.update(3, loss=3.5, accuracy=0.0)
    assert second.exhausted


@settings(max_examples=25)
@given(st.sampled_from(["loss", "accuracy"]), st.integers(1, 4), st.lists(st.tuples(scores, scores), max_size=10))
def test_it_agrees_with_looking_at_the_whole_history(
    monitor: str, patience: int, history: list[tuple[float, float]]
) -> None:
    stopping = EarlyStopping(monitor=monitor, patience=patience)
    better = (lambda a, b: a < b) if monitor == "loss" else (lambda a, b: a > b)
    best: tuple[int, float] | None = None
    waited = 0
    for step, (loss, accuracy) in enumerate(history, start=1):
        score = loss if monitor == "loss" else accuracy
        improved = not math.isnan(score) and (best is None or better(score, best[1]))
        assert stopping.update(step, loss=loss, accuracy=accuracy) == improved
        best, waited = ((step, score), 0) if improved else (best, waited + 1)
        assert stopping.best_step == (best[0] if best else None)
        assert stopping.exhausted == (waited >= patience)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"monitor": "acuracy", "patience": 1}, "Did you mean 'accuracy'"),
        ({"monitor": "loss", "patience": 0}, "`patience` must be above 0"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EarlyStopping(**arguments)
