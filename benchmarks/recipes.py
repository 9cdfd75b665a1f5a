"""Measures the recipes: trains each with several seeds, and makes its result file and its header.

    python benchmarks/recipes.py softmax_cifar10            one; prints its header
    python benchmarks/recipes.py --record                   all, more than an hour
    python benchmarks/recipes.py --headers_only --record    only rewrites the headers from the result files

Uses the real data sets in $TFCORE_DATA_DIR, or downloads them.
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
from functools import partial
from importlib import metadata
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Python puts only the folder of a script on the path

from tfcore.machine import processor  # noqa: E402
from tools import records  # noqa: E402

FILES = "the result files and headers in recipes/"
FOLDER = ROOT / "recipes"
ABOUT = {  # a description of each recipe, with published results
    "softmax_cifar10": "Softmax regression by plain gradient descent. As first published: 25-31 % test accuracy.",
    "softmax_cifar10_tuned": "Softmax regression with standardized pixels, Adam, cosine decay and L2: how far it goes.",
    "mlp_cifar10": "One hidden layer of 120 by gradient descent with L2. As first published: 46.0 % test accuracy.",
    "mlp_mnist": "Two hidden layers of 50 by Adam, stopped early on a validation tenth.",
    "mnist_cnn": "Three convolutions on all of MNIST by Adam, with a warm-up and a cosine to zero.",
    "mnist_cnn_1000": "Two convolutions on 1,000 digits by Adadelta, tested on 100. As first published: 98 of 100.",
    "cifar_cnn": "Convolutions, dropout, batch norm by Adam. As first published, on the original pictures: 83.0 %.",
}
SEEDS = {"mnist_cnn": 3, "mnist_cnn_1000": 10, "cifar_cnn": 3}  # the number of seeds, if not five


def names() -> list[str]:
    """The names of all recipes."""
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


def write(name: str, measured: dict[str, Any]) -> None:
    """Replaces the result file of a recipe, and the header above its flags."""
    text = header(name, measured) + "\n" + "".join(f"{flag}\n" for flag in flags(name))
    records.write_json(FOLDER / f"{name}.json", measured)
    (FOLDER / f"{name}.flags").write_text(text, encoding="utf-8")


def summary(values: list[float]) -> dict[str, float | None]:
    """Mean and sample standard deviation; a single value has none."""
    return {
        "mean": statistics.fmean(values),
        "standard_deviation": statistics.stdev(values) if len(values) > 1 else None,
    }


def fastest(measured: dict[str, Any], secs: str) -> float:
    """The least `train_secs` or `total_secs` of the runs; on a shared machine other processes only add time."""
    return min(float(run[secs]) for run in measured["runs"])


def spread(summed: dict[str, Any]) -> str:
    """A text such as `0.9716 ± 0.0008`, or the only value."""
    deviation = summed["standard_deviation"]
    return f"{summed['mean']:.4f}" + ("" if deviation is None else f" ± {deviation:.4f}")


def measure(name: str) -> dict[str, Any]:
    """Runs a recipe with every seed; returns the content of its result file."""
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
    """Trains a recipe with a seed, and with flags that replace its own; returns its scores and times."""
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
    """Measures the recipes of the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=", ".join(names()))
    parser.add_argument("--headers_only", action="store_true", help="measure nothing, take the result files")
    records.add_flag(parser, FILES)
    arguments = parser.parse_args()
    for name in arguments.recipes or names():
        measured = result(name) if arguments.headers_only else measure(name)
        print(header(name, measured))
        records.finish(f"recipes/{name}.json and .flags", partial(write, name, measured), is_wanted=arguments.record)


if __name__ == "__main__":
    main()
