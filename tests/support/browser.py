"""Headless Chromium, and a TensorBoard server for it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

SCREENSHOTS = Path(os.environ.get("TFCORE_SCREENSHOTS", Path(__file__).parents[2] / "build" / "screenshots"))
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1500,1100",
)  # fmt: skip
# TensorBoard's pages are nested shadow trees, which CSS selectors do not enter.
_FIND = """
const found = [];
const visit = (root) => {
  for (const node of root.querySelectorAll('*')) {
    if (node.matches(arguments[0]) && node.getClientRects().length) found.push(node);
    if (node.shadowRoot) visit(node.shadowRoot);
  }
};
visit(document);
return found;
"""


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """Starts a browser that records the console errors of its pages."""
    options = webdriver.ChromeOptions()
    for option in _OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = needed("chromium")
    driver = webdriver.Chrome(options=options, service=Service(needed("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def needed(program: str) -> str:
    """Returns the path of a program; fails the test if it is not installed."""
    path = shutil.which(program)
    assert path, f"{program} is not installed: apt-get install chromium chromium-driver"
    return path


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """Serves the runs in `folder` with TensorBoard; yields its address."""
    command = [sys.executable, "-m", "tensorboard.main", f"--logdir={folder}", "--port=0", "--load_fast=false"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        try:
            line = next(line for line in process.stderr if "http://" in line)
            yield re.findall(r"http://\S+", line)[0]
        finally:
            process.terminate()


def found(driver: webdriver.Chrome, selector: str) -> list[Any]:
    """Returns the visible elements that a selector matches, including those in shadow trees."""
    elements: list[Any] = driver.execute_script(_FIND, selector)
    return elements


def values(driver: webdriver.Chrome, selector: str, expression: str) -> list[Any]:
    """Evaluates a JavaScript expression of each `node` that `found` returns.

    Both in one script, since a page may draw its elements anew between two.
    """
    script = f"return (function() {{{_FIND}}}).apply(null, arguments).map(node => {expression})"
    evaluated: list[Any] = driver.execute_script(script, selector)
    return evaluated


def wait_for(what: Callable[[], Any], *, secs: float = 60) -> Any:
    """Calls `what` until its result is true or the time is over; returns the last result."""
    end = time.monotonic() + secs
    while not (value := what()) and time.monotonic() < end:
        time.sleep(0.2)
    return value


def complaints(driver: webdriver.Chrome) -> list[str]:
    """Returns the errors that pages wrote to the console since the last call."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
