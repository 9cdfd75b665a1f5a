"""Trains the convolutional recipes in bfloat16 and in float32 with the same seeds, and compares their accuracies.

    python benchmarks/precisions.py mnist_cnn_1000  one of them; prints the result
    python benchmarks/precisions.py --record        all, half an hour

Runs that are in the result file of a recipe are not repeated. Uses the real data sets in $TFCORE_DATA_DIR, or downloads
them.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Python puts only the folder of a script on the path

from benchmarks import recipes  # noqa: E402
from tools import records  # noqa: E402

FIGURES, PAGE = ROOT / "benchmarks" / "precisions.json", ROOT / "docs" / "benchmarks.md"
FILES = "benchmarks/precisions.json and the table of docs/benchmarks.md"
BEGIN, END = "<!-- made by benchmarks/precisions.py -->\n", "<!-- end of precisions -->\n"
SHORTER = {"mnist_cnn_1000": (), "mnist_cnn": (), "cifar_cnn": ("--epochs=5",)}
PRECISIONS = ("bfloat16", "float32")
SEEDS = 3


def measure(name: str) -> dict[str, Any]:
    """Measures a recipe; returns its test accuracies by precision, in the order of the seeds."""
    accuracies: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for seed in range(SEEDS):
        for precision in PRECISIONS:
            accuracies[precision].append(accuracy(name, seed, precision))
    return {"flags": [*recipes.flags(name), *SHORTER[name]], "date": time.strftime("%Y-%m-%d"), **accuracies}


def accuracy(name: str, seed: int, precision: str) -> float:
    """The test accuracy of a recipe with one seed and precision."""
    known = [] if SHORTER[name] else recipes.result(name)["runs"]
    ran = next((run for run in known if (run["seed"], run["precision"]) == (seed, precision)), None)
    ran = ran or recipes.run(name, seed, *SHORTER[name], f"--precision={precision}")
    return float(ran["test_accuracy"])


def table(measured: dict[str, Any]) -> str:
    """The measured recipes as a table in Markdown."""
    lines = [
        "| recipe | bfloat16, by seed | float32, by seed | mean difference ± its standard error |",
        "|---|---|---|---|",
    ]
    for name in [name for name in SHORTER if name in measured]:
        columns = [", ".join(f"{value:.4f}" for value in measured[name][precision]) for precision in PRECISIONS]
        title = " ".join([name, *SHORTER[name]])
        mean, error = difference(measured[name])
        lines.append(f"| `{title}` | {' | '.join(columns)} | {mean:+.4f} ± {error:.4f} |")
    return "\n".join(lines) + "\n"


def difference(measured: dict[str, Any]) -> tuple[float, float]:
    """The mean over the seeds of the accuracy in bfloat16 minus that in float32, and its standard error."""
    pairs = zip(*(measured[precision] for precision in PRECISIONS), strict=True)
    differences = [low - high for low, high in pairs]
    return statistics.fmean(differences), statistics.stdev(differences) / len(differences) ** 0.5


def write(measured: dict[str, Any]) -> None:
    """Replaces the recorded figures of the measured recipes, and the table of the page."""
    recorded = json.loads(FIGURES.read_text(encoding="utf-8"))
    records.write_json(FIGURES, recorded | measured)
    records.put(PAGE, BEGIN, END, table(recorded | measured))


def main() -> None:
    """Measures the recipes of the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=", ".join(SHORTER))
    records.add_flag(parser, FILES)
    arguments = parser.parse_args()
    names = arguments.recipes or list(SHORTER)
    if unknown := sorted(set(names) - set(SHORTER)):
        parser.error(f"no such recipe: {', '.join(unknown)}; they are {', '.join(SHORTER)}")
    measured = {name: measure(name) for name in names}
    print(table(measured))
    records.finish(FILES, lambda: write(measured), is_wanted=arguments.record)


if __name__ == "__main__":
    main()
