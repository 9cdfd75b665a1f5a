"""Trains the convolutional recipes in bfloat16 and in float32 with the same seeds, and writes how they compare.

    python benchmarks/precisions.py                 all; writes precisions.json and the table of docs/benchmarks.md
    python benchmarks/precisions.py mnist_cnn_1000  one of them

A run that a recipe's own result file has already is not repeated. Wants the real data sets in $TFCORE_DATA_DIR, or
downloads them.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # of a script only its own folder is on the path

from benchmarks import recipes, tables  # noqa: E402

FIGURES, PAGE = ROOT / "benchmarks" / "precisions.json", ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- made by benchmarks/precisions.py -->\n", "<!-- end of precisions -->\n"
SHORTER = {"mnist_cnn_1000": (), "mnist_cnn": (), "cifar_cnn": ("--epochs=5",)}
PRECISIONS = ("bfloat16", "float32")
SEEDS = 3


def measure(name: str) -> dict[str, Any]:
    """Test accuracies by precision, in the order of the seeds."""
    accuracies: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for seed in range(SEEDS):
        for precision in PRECISIONS:
            accuracies[precision].append(accuracy(name, seed, precision))
    return {"flags": [*recipes.flags(name), *SHORTER[name]], "date": time.strftime("%Y-%m-%d"), **accuracies}


def accuracy(name: str, seed: int, precision: str) -> float:
    """On the test pictures."""
    known = [] if SHORTER[name] else recipes.result(name)["runs"]
    ran = next((run for run in known if (run["seed"], run["precision"]) == (seed, precision)), None)
    ran = ran or recipes.run(name, seed, *SHORTER[name], f"--precision={precision}")
    return float(ran["test_accuracy"])


def table(measured: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "| recipe | bfloat16, by seed | float32, by seed | mean difference ± its standard error |",
        "|---|---|---|---|",
    ]
    for name in SHORTER:
        columns = [", ".join(f"{value:.4f}" for value in measured[name][precision]) for precision in PRECISIONS]
        title = " ".join([name, *SHORTER[name]])
        mean, error = difference(measured[name])
        lines.append(f"| `{title}` | {' | '.join(columns)} | {mean:+.4f} ± {error:.4f} |")
    return "\n".join(lines) + "\n"


def difference(measured: dict[str, Any]) -> tuple[float, float]:
    """Of accuracies bfloat16 less float32: the mean over the seeds, and its standard error."""
    pairs = zip(*(measured[precision] for precision in PRECISIONS), strict=True)
    differences = [low - high for low, high in pairs]
    return statistics.fmean(differences), statistics.stdev(differences) / len(differences) ** 0.5


def write(measured: dict[str, Any]) -> None:
    """Keeps the figures; puts the table into the page when no recipe is missing."""
    FIGURES.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    if measured.keys() == SHORTER.keys():
        tables.put(PAGE, BEGIN, END, table(measured))


def main() -> None:
    """Measures what is named on the command line, and keeps the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=", ".join(SHORTER))
    names = parser.parse_args().recipes or list(SHORTER)
    if unknown := sorted(set(names) - set(SHORTER)):
        parser.error(f"no such recipe: {', '.join(unknown)}; they are {', '.join(SHORTER)}")
    measured = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    for name in names:
        measured[name] = measure(name)
        write(measured)


if __name__ == "__main__":
    main()
