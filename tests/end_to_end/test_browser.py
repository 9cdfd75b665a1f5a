"""Two runs on CIFAR-10 in a browser: every tab of TensorBoard and the report are drawn without an error."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from selenium import webdriver
from selenium.webdriver import ActionChains
from support import browser

from tfcore.build.configuration import resolve
from tfcore.cli import main
from tfcore.config import RunConfig
from tfcore.report import file as report
from tfcore.run.session import Session
from tfcore.training.run_folder import RunFolder

pytestmark = [pytest.mark.browser, pytest.mark.thorough]
RUNS = {"first": 0.001, "second": 0.003}  # learning rates
LAYERS = ("pixels", "conv_1", "conv_2", "conv_3", "hidden_1", "logits")


@pytest.fixture(scope="module")
def runs(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trains two small convolutional networks; returns their folder."""
    folder = tmp_path_factory.mktemp("runs")
    for name, rate in RUNS.items():
        config = RunConfig(
            model="cifar_cnn", dataset="cifar10", data_dir=str(real_data), filters=(8, 12, 16), hidden=(32,),
            train_examples=1500, test_examples=300, batch_size=32, steps=60, log_every_steps=5,
            evaluate_every_epochs=0.25, observe_every_steps=15, learning_rate=rate,
        )  # fmt: skip
        with RunFolder(folder / name) as run:
            session = Session(resolve(config), run, Console(quiet=True))
            with report.at_end(run, wanted=True, say=Console(quiet=True).print):
                assert session.run()[0] == 0
    return folder


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    """Address of a TensorBoard over the runs."""
    with browser.tensorboard(runs) as served:
        yield served


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    with browser.chromium() as chromium:
        yield chromium


class Tab:
    """Tab of TensorBoard, with every card on one page."""

    def __init__(self, driver: webdriver.Chrome, address: str, name: str) -> None:
        self._driver, self._name = driver, name
        driver.get("about:blank")  # otherwise only the part behind the # changes, and nothing is loaded
        driver.get(f"{address}#{name}")

    def wait_for(self, selector: str, count: int) -> list[Any]:
        """Waits for so many visible elements that match, and returns them."""
        return browser.wait_for(lambda: self._enough(selector, count)) or self.find(selector)

    def _enough(self, selector: str, count: int) -> list[Any]:
        elements = self.find(selector)
        return elements if len(elements) >= count else []

    def find(self, selector: str) -> list[Any]:
        return browser.found(self._driver, selector)

    def values(self, selector: str, expression: str) -> list[Any]:
        """Evaluates a JavaScript expression of each visible `node` that matches."""
        return browser.values(self._driver, selector, expression)

    def texts(self, selector: str, count: int = 1) -> list[str]:
        """Returns the texts of the elements, once one of them has text."""
        self.wait_for(selector, count)
        return browser.wait_for(lambda: [text for element in self.find(selector) if (text := element.text)]) or []

    def finish(self) -> None:
        """Saves a screenshot and asserts that the page reported no error."""
        browser.SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        name = re.split("&", self._name)[0]
        assert self._driver.save_screenshot(str(browser.SCREENSHOTS / f"{name}.png"))
        assert browser.complaints(self._driver) == []


def test_scalars_of_three_splits_are_drawn(driver: webdriver.Chrome, address: str) -> None:
    tab = Tab(driver, address, "scalars&tagFilter=loss|accuracy|norm")
    tab.wait_for("path.line", 30)
    drawn = [path for path in tab.values("path.line", "node.getAttribute('d') || ''") if path.count("L") >= 2]
    assert len(drawn) >= 8
    splits = " ".join(tab.texts("tf-runs-selector", 1))
    for run in RUNS:
        assert {f"{run}/{split}" for split in ("train", "validation", "test")} <= set(re.findall(r"\w+/\w+", splits))
    tags = set(re.findall(r"tag: (\S+)", " ".join(tab.texts("tf-card-heading", 5))))
    assert {"accuracy", "epoch_loss", "gradient_norm", "gradient_norm/conv_1.weights"} <= tags
    tab.finish()


@pytest.mark.parametrize(
    "tags",
    [
        ("batch", "filters", "feature_maps"),
        ("confusion_validation", "confusion_test", "wrong_validation", "wrong_test"),
    ],
    ids=["of the model", "of predictions"],
)
def test_images_are_shown(driver: webdriver.Chrome, address: str, tags: tuple[str, ...]) -> None:
    tab = Tab(driver, address, f"images&tagFilter={'|'.join(tags)}")  # a page shows twelve
    tab.wait_for("img", 8)
    browser.wait_for(lambda: min(tab.values("img", "node.naturalWidth"), default=0) > 0)
    assert sum(width >= 100 for width in tab.values("img", "node.naturalWidth")) >= 5
    assert set(tags) <= set(re.findall(r"tag: (\w+)", " ".join(tab.texts("tf-card-heading", 8))))
    tab.finish()


def test_the_graph_has_the_layers(driver: webdriver.Chrome, address: str) -> None:
    tab = Tab(driver, address, "graphs")
    nodes = tab.wait_for("g.node.meta", 1)
    assert [
        title for title in tab.values("g.node.meta", "node.querySelector('text').textContent") if "cifar_cnn" in title
    ]
    time.sleep(2)  # a graph that is still moving ignores clicks
    ActionChains(driver).double_click(nodes[0]).perform()
    tab.wait_for("g.node.meta", len(LAYERS) + 1)
    inner = " ".join(tab.values("text", "node.textContent"))
    assert [layer for layer in LAYERS if layer not in inner] == []
    assert "NoOp" not in inner
    tab.finish()


def test_histograms_are_drawn(driver: webdriver.Chrome, address: str) -> None:
    tab = Tab(driver, address, "histograms&tagFilter=.")
    tab.wait_for("path.outline", 20)
    assert sum(len(path) > 100 for path in tab.values("path.outline", "node.getAttribute('d') || ''")) >= 20
    tags = " ".join(tab.texts("tf-card-heading", 4))
    assert "activations/conv_1" in tags
    tab.finish()


def test_pr_curves_are_drawn(driver: webdriver.Chrome, address: str) -> None:
    tab = Tab(driver, address, "pr_curves")
    tab.wait_for("path.line", 4)
    assert sum(len(path) > 100 for path in tab.values("path.line", "node.getAttribute('d') || ''")) >= 4
    assert any("airplane" in heading for heading in tab.texts("tf-card-heading"))
    tab.finish()


def test_hparams_compare_the_runs(driver: webdriver.Chrome, address: str) -> None:
    tab = Tab(driver, address, "hparams")
    tab.wait_for("vaadin-grid-cell-content", 20)
    cells = tab.texts("vaadin-grid-cell-content")
    assert {"learning_rate", "test.accuracy", *RUNS} <= set(cells)
    rows = {run: cells[cells.index(run) :] for run in RUNS}
    assert [f"{rate:.7f}" in rows[run] for run, rate in RUNS.items()] == [True, True]
    tab.finish()


def test_texts_are_shown(driver: webdriver.Chrome, address: str) -> None:
    tab = Tab(driver, address, "text")
    pages = " ".join(tab.texts("tf-markdown-view", 2))
    assert "--learning_rate=0.001" in pages
    assert "TensorFlow" in pages
    tab.finish()


@pytest.mark.parametrize("which", ["first", "both"])
def test_a_report_is_whole_without_a_network(driver: webdriver.Chrome, runs: Path, tmp_path: Path, which: str) -> None:
    path = runs / "first" / "report.html"
    if which == "both":
        path = tmp_path / "report.html"
        assert main.main(["report", *(str(runs / name) for name in RUNS), f"--out={path}"]) == 0
    driver.set_network_conditions(offline=True, latency=0, throughput=0)
    try:
        driver.get("about:blank")
        browser.complaints(driver)
        driver.get(path.resolve().as_uri())
        images, figures = browser.found(driver, "img"), browser.found(driver, "svg")
        shown = driver.execute_script("return arguments[0].every(node => node.naturalWidth > 100)", images)
        fits = driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        words = driver.find_element("tag name", "body").text
    finally:
        driver.delete_network_conditions()
    assert (shown, fits, len(figures) >= 3) == (True, True, True)
    assert which == "both" or len(images) >= 3
    assert all(part in words for part in ("cifar_cnn", "cifar10", "learning_rate", "validation"))
    assert browser.complaints(driver) == []
    assert driver.save_screenshot(str(browser.SCREENSHOTS / f"report_{which}.png"))
