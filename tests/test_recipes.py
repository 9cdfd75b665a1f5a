"""The headers of the recipes and the pages show the result files, which are of the recipes' flags."""

import statistics

import pytest

from benchmarks import recipes, recipes_page
from tfcore.build.configuration import resolve, with_given
from tfcore.build.tables import check_names
from tfcore.cli import flags

# The accuracy that each must reach; see the table in README.md.
AT_LEAST = {
    "softmax_cifar10": 0.25,
    "softmax_cifar10_tuned": 0.40,
    "mlp_cifar10": 0.45,
    "mlp_cifar10_tuned": 0.56,
    "mlp_mnist": 0.97,
    "mnist_cnn": 0.993,
    "mnist_cnn_1000": 0.97,
    "cifar_cnn": 0.77,
    "airbench_cifar10_fast": 0.79,
    "airbench_mnist": 0.996,
}


def test_every_recipe_is_listed_here_and_described() -> None:
    assert set(recipes.names()) == AT_LEAST.keys() == recipes.ABOUT.keys()


@pytest.mark.parametrize("name", AT_LEAST)
def test_the_header_is_made_from_the_result_file(name: str) -> None:
    text = (recipes.FOLDER / f"{name}.flags").read_text(encoding="utf-8")
    assert text.startswith(recipes.header(name, recipes.result(name)))


@pytest.mark.parametrize("name", AT_LEAST)
def test_the_result_file_is_of_these_flags_and_adds_up(name: str) -> None:
    result = recipes.result(name)
    assert result["flags"] == recipes.flags(name)
    assert [run["seed"] for run in result["runs"]] == list(range(recipes.SEEDS.get(name, 5)))
    accuracies = [run["test_accuracy"] for run in result["runs"]]
    assert result["test_accuracy"]["mean"] == pytest.approx(statistics.fmean(accuracies))
    deviation = statistics.stdev(accuracies) if len(accuracies) > 1 else None
    assert result["test_accuracy"]["standard_deviation"] == pytest.approx(deviation)
    assert result["test_accuracy"]["mean"] >= AT_LEAST[name]


@pytest.mark.parametrize("name", AT_LEAST)
def test_the_flags_are_a_valid_configuration(name: str) -> None:
    parsed = flags.parse("train", [f"--flagfile={recipes.FOLDER / name}.flags"])
    check_names(resolve(with_given(parsed.given)))


@pytest.mark.parametrize(
    "name", ["softmax_cifar10", "mlp_cifar10", "cifar_cnn", "mnist_cnn_1000", "mnist_cnn", "mlp_mnist"]
)
def test_the_tutorials_page_shows_the_result(name: str) -> None:
    page = (recipes.ROOT / "docs" / "tutorials.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if f"`{name}`" in line]
    assert f"| {recipes.spread(recipes.result(name)['test_accuracy'])} (" in row


@pytest.mark.parametrize("name", AT_LEAST)
def test_the_readme_shows_the_result(name: str) -> None:
    result = recipes.result(name)
    accuracy, secs = result["test_accuracy"], recipes.fastest(result, "train_secs")
    (row,) = [
        line for line in (recipes.ROOT / "README.md").read_text(encoding="utf-8").splitlines() if f"[{name}]" in line
    ]
    assert row.endswith(f"| {recipes.spread(accuracy)} | {secs:.1f} s |")


def test_the_page_of_the_recipes_is_made_from_the_result_files() -> None:
    text = recipes_page.PAGE.read_text(encoding="utf-8")
    made = recipes_page.table({name: recipes.result(name) for name in AT_LEAST})
    assert recipes_page.BEGIN + made + recipes_page.END in text


def test_the_picture_names_the_recipes_of_cifar10_and_the_peers() -> None:
    (axes,) = recipes_page.draw({name: recipes.result(name) for name in AT_LEAST}).axes
    expected = {name for name in AT_LEAST if recipes_page.dataset(recipes.result(name)) == "cifar10"}
    assert {text.get_text() for text in axes.texts} == expected | {peer.name for peer in recipes_page.PEERS}
