"""The table of both precisions shows the recorded figures, which are of the recipes' flags."""

import json

import pytest

from benchmarks import precisions, recipes

WITHIN = {"mnist_cnn_1000": 0.02, "mnist_cnn": 0.003, "cifar_cnn": 0.01}  # of accuracy; about two standard errors
NETWORKS = ("mnist_cnn", "cifar_cnn")  # with convolutions


def test_every_convolutional_recipe_is_compared() -> None:
    convolutional = {
        name for name in recipes.names() if set(recipes.flags(name)) & {f"--model={net}" for net in NETWORKS}
    }
    assert precisions.SHORTER.keys() == convolutional


def test_the_difference_is_taken_seed_by_seed() -> None:
    measured = {"bfloat16": [0.5, 0.7, 0.9], "float32": [0.4, 0.8, 0.7]}
    mean, error = precisions.difference(measured)
    assert mean == pytest.approx(0.2 / 3)
    assert error == pytest.approx(0.15275252316519466 / 3**0.5)


def test_the_page_shows_the_table_of_the_figures() -> None:
    measured = json.loads(precisions.FIGURES.read_text(encoding="utf-8"))
    page = precisions.PAGE.read_text(encoding="utf-8")
    assert precisions.BEGIN + precisions.table(measured) + precisions.END in page


@pytest.mark.parametrize("name", precisions.SHORTER)
def test_the_figures_are_of_the_recipes_flags_and_neither_precision_is_better(name: str) -> None:
    measured = json.loads(precisions.FIGURES.read_text(encoding="utf-8"))[name]
    assert measured["flags"] == [*recipes.flags(name), *precisions.SHORTER[name]]
    assert len(measured["bfloat16"]) == len(measured["float32"]) == precisions.SEEDS
    mean, _ = precisions.difference(measured)
    assert abs(mean) <= WITHIN[name]
