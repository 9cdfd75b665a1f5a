"""Makes the pictures of the documentation from the tutorial's four runs.

    python docs/take_pictures.py runs

Needs runs/softmax, runs/mlp, runs/small_cnn and runs/cnn as made by docs/tutorial.md, Chromium with its driver, the
[profile] extra, and runs/profile, made by

    tfcore benchmark --model=cifar_cnn --dataset=cifar10 --profile_steps=20 --profile_dir=runs/profile
"""

import pathlib
import sys
import tempfile
import time

from PIL import Image
from selenium import webdriver
from selenium.webdriver import ActionChains

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]  # Python puts only the folder of a script on the path

from support import browser  # noqa: E402

from tfcore.cli import main  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
TABS = {
    "timeseries": "#timeseries",
    "scalars": "#scalars&tagFilter=^(loss|accuracy|learning_rate|gradient_norm)$",
    "images": "#images&tagFilter=filters|confusion_test",
    "graphs": "#graphs",
    "distributions": "#distributions&tagFilter=weights",
    "histograms": "#histograms&tagFilter=activations/(conv|hidden)",
    "text": "#text",
    "pr_curves": "#pr_curves&tagFilter=cat|ship",
    "hparams": "#hparams",
    "profile": "?tool=trace_viewer@#profile",
}
SHEETS = {  # in the tutorial
    "templates": "softmax/pictures/filters.png",
    "wrong": "cnn/pictures/wrong_test.png",
}
SECS = 8.0  # wait for a tab to be drawn
COLOURS = 128


def keep(image: Image.Image, name: str) -> None:
    """Saves a picture with few colours, at a third of the size."""
    PICTURES.mkdir(exist_ok=True)
    image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURES / f"{name}.png", optimize=True)


def shoot(driver: webdriver.Chrome, name: str) -> None:
    """Saves a screenshot of the browser."""
    path = PICTURES / f"{name}.png"
    PICTURES.mkdir(exist_ok=True)
    driver.save_screenshot(str(path))
    keep(Image.open(path), name)


def take() -> None:
    """Makes all pictures."""
    runs = pathlib.Path(sys.argv[1])
    for name, path in SHEETS.items():
        keep(Image.open(runs / path), name)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "feature_maps.png"
        flags = (f"--run_dir={runs / 'small_cnn'}", "--layer=conv_1", "--example=7", f"--out={path}")
        if main.main(["show", "features", *flags]):
            sys.exit("The feature maps could not be drawn.")
        keep(Image.open(path), "feature_maps")
    with browser.tensorboard(runs) as address, browser.chromium() as driver:
        driver.set_window_size(1400, 1000)
        for name, place in TABS.items():
            driver.get("about:blank")
            driver.get(f"{address}{place}")
            time.sleep(SECS)
            if name == "graphs":
                ActionChains(driver).double_click(browser.found(driver, "g.node.meta")[0]).perform()
                time.sleep(SECS)
            shoot(driver, f"tensorboard_{name}")
        driver.set_window_size(1100, 1500)
        driver.get((runs / "cnn" / "report.html").resolve().as_uri())
        shoot(driver, "report")
        driver.get("about:blank")


if __name__ == "__main__":
    take()
