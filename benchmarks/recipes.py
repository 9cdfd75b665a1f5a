"""Measures the recipes: some seeds each through `train.py`, a result file, and a header made from it.

    python benchmarks/recipes.py                    all recipes (an hour and more)
    python benchmarks/recipes.py softmax_cifar10    one
    python benchmarks/recipes.py --headers_only     only rewrite the headers from the result files

Wants the real data sets in $TFCORE_DATA_DIR, or downloads them.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from typing import Any

from tfcore.machine import processor

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "recipes"
ABOUT = {  # what the recipe is, and what others report for it
    "softmax_cifar10": "Softmax regression by plain gradient descent. As first published: 25-31 % test accuracy.",
    "softmax_cifar10_tuned": "Softmax regression with standardized pixels, Adam, cosine decay and L2: how far it goes.",
    "mlp_cifar10": "One hidden layer of 120 by gradient descent with L2. As first published: 46.0 % test accuracy.",
    "mlp_mnist": "Two hidden layers of 50 by Adam, stopped early on a validation tenth.",
    "mnist_cnn": "Three convolutions on all of MNIST by Adam, with a warm-up and a cosine to zero.",
    "mnist_cnn_1000": "Two convolutions on 1,000 digits by Adadelta, tested on 100. As first published: 98 of 100.",
    "cifar_cnn": "Convolutions, dropout, batch norm by Adam. As first published, on the original pictures: 83.0 %.",
}
SEEDS = {"mnist_cnn": 3, "mnist_cnn_1000": 10, "cifar_cnn": 3}  # how many, where it is not five


def names() -> list[str]:
    """All recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.flags"))


def flags(name: str) -> list[str]:
    """The flags of a recipe, without its header."""
    lines = (FOLDER / f"{name}.flags").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("--")]


def result(name: str) -> dict[str, Any]:
    """The committed result file of a recipe."""
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def header(name: str, measured: dict[str, Any]) -> str:
    """The comment at the top of a recipe."""
    accuracy = measured["test_accuracy"]
    seeds = [run["seed"] for run in measured["runs"]]
    lines = [
        ABOUT[name],
        "",
        f"    {measured['command']}",
        "",
        f"Test accuracy {spread(accuracy)} "
        f"({f'mean ± standard deviation of {len(seeds)} seeds, 0-{seeds[-1]}' if len(seeds) > 1 else 'seed 0'}), "
        f"{measured['runs'][0]['steps']:,} steps with seed {seeds[0]},",
        f"{fastest(measured, 'train_secs'):.1f} s of training in {measured['runs'][0]['precision']} and "
        f"{fastest(measured, 'total_secs'):.1f} s in all, of the fastest.",
        f"Measured on {measured['date']}: {measured['machine']}; {measured['versions']}.",
        "Made from the result file beside it by benchmarks/recipes.py.",
    ]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def write_header(name: str) -> None:
    """Puts the header that the result file gives on top of the flags."""
    text = header(name, result(name)) + "\n" + "".join(f"{flag}\n" for flag in flags(name))
    (FOLDER / f"{name}.flags").write_text(text, encoding="utf-8")


def summary(values: list[float]) -> dict[str, float | None]:
    """Mean and sample standard deviation; a single value has none."""
    return {
        "mean": statistics.fmean(values),
        "standard_deviation": statistics.stdev(values) if len(values) > 1 else None,
    }


def fastest(measured: dict[str, Any], secs: str) -> float:
    """The least of the runs' `train_secs` or `total_secs`: machines are shared, and others only ever slow one down."""
    return min(float(run[secs]) for run in measured["runs"])


def spread(summed: dict[str, Any]) -> str:
    """`0.9716 ± 0.0008`, or the one value."""
    deviation = summed["standard_deviation"]
    return f"{summed['mean']:.4f}" + ("" if deviation is None else f" ± {deviation:.4f}")


def measure(name: str) -> dict[str, Any]:
    """Runs a recipe with every seed."""
    runs = [run(name, seed) for seed in range(SEEDS.get(name, 5))]
    return {
        "recipe": name,
        "command": f"python train.py --flagfile=recipes/{name}.flags",
        "flags": flags(name),
        "runs": runs,
        "test_accuracy": summary([run["test_accuracy"] for run in runs]),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {processor()}",
        "versions": f"TensorFlow {metadata.version('tensorflow')}, Python {platform.python_version()}",
    }


def run(name: str, seed: int, *overrides: str) -> dict[str, Any]:
    """What a recipe comes to with a seed, and with flags in place of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "train.py", f"--flagfile=recipes/{name}.flags", f"--seed={seed}", "--json"]
        command += overrides
        start = time.monotonic()
        done = subprocess.run(
            [*command, f"--run_dir={folder}/run"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        )
        total_secs = time.monotonic() - start
        used = (pathlib.Path(folder) / "run" / "config.flags").read_text(encoding="utf-8").splitlines()
    ended = json.loads(done.stdout.splitlines()[-1])
    return {
        "seed": seed,
        "precision": next(flag.partition("=")[2] for flag in used if flag.startswith("--precision=")),
        "test_accuracy": ended["test"]["accuracy"],
        "test_loss": ended["test"]["loss"],
        "steps": ended["steps"],
        "train_secs": ended["train_secs"],
        "total_secs": total_secs,
    }


def main() -> None:
    """Measures what is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=", ".join(names()))
    parser.add_argument("--headers_only", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.recipes or names():
        if not arguments.headers_only:
            (FOLDER / f"{name}.json").write_text(json.dumps(measure(name), indent=2) + "\n", encoding="utf-8")
        write_header(name)


if __name__ == "__main__":
    main()
