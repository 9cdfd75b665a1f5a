"""tfcore beside Keras `fit`, in turn, each in a process of its own; and a large data set beside a small one.

    python benchmarks/compare.py --rounds=3                     all cases; writes figures.json and docs/benchmarks.md
    python benchmarks/compare.py cifar_cnn --rounds=1 --dry     one case, printed only

Wants CIFAR-10 and MNIST in $TFCORE_DATA_DIR. Machines are shared and noisy, so what counts is the median of the rounds'
ratios.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

HERE = pathlib.Path(__file__).parent
FIGURES, PAGE = HERE / "figures.json", HERE.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- made by benchmarks/compare.py -->\n", "<!-- to here -->\n"
COMMON = ("--validation=0", "--schedule=constant", "--secs=1", "--json")
SOFTMAX = ("--model=softmax", "--optimizer=gradient_descent", "--learning_rate=0.005", "--batch_size=100", *COMMON)
MNIST = ("--model=mnist_cnn", "--dataset=mnist", "--optimizer=adadelta", "--batch_size=128", *COMMON)
CIFAR = ("--model=cifar_cnn", "--dataset=cifar10", "--epsilon=1e-7", "--batch_size=64", *COMMON)
TFCORE = ("-m", "tfcore", "benchmark")
KERAS = ("-m", "benchmarks.keras_fit")
CASES: dict[str, dict[str, tuple[str, ...]]] = {  # case: its sides; the last is what the others are compared with
    "softmax": {
        "tfcore float32": (*TFCORE, "--dataset=cifar10", *SOFTMAX),
        "Keras fit": (*KERAS, "softmax"),
    },
    "mnist_cnn": {
        "tfcore float32": (*TFCORE, *MNIST, "--precision=float32"),
        "tfcore bfloat16": (*TFCORE, *MNIST, "--precision=bfloat16"),
        "Keras fit": (*KERAS, "mnist_cnn", "--examples=12800", "--epochs=2"),
    },
    "cifar_cnn": {
        "tfcore float32": (*TFCORE, *CIFAR, "--precision=float32"),
        "tfcore bfloat16": (*TFCORE, *CIFAR, "--precision=bfloat16"),
        "Keras fit": (*KERAS, "cifar_cnn", "--examples=6400", "--epochs=2"),
    },
    "data_size": {
        "100,000 pictures": (*TFCORE, f"--dataset={HERE / 'big_shapes.py'}:tenfold", *SOFTMAX),
        "10,000 pictures": (*TFCORE, "--dataset=shapes", *SOFTMAX),
    },
}
Figures = dict[str, Any]


def run(case: str, side: str) -> Figures:
    """One measurement in a fresh process."""
    command = [sys.executable, *CASES[case][side]]
    done = subprocess.run(command, cwd=HERE.parent, check=True, capture_output=True, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    print(f"  {case:<12}{side:<18}{figures['steps_per_sec']:>10,.1f} steps/s", flush=True)
    return figures


def ratios(rounds: list[dict[str, dict[str, Figures]]], case: str, side: str) -> list[float]:
    """How many times as quick as the case's last side, by round."""
    last = list(CASES[case])[-1]
    return [figures[case][side]["steps_per_sec"] / figures[case][last]["steps_per_sec"] for figures in rounds]


def table(report: Figures) -> str:
    """The report as Markdown."""
    lines = [
        f"Measured on {report['date']}: {report['machine']}; Keras {report['keras']}. Command: `{report['command']}`.",
        "",
        "| case | side | steps a second, by round | times as quick |",
        "|---|---|---|---|",
    ]
    for case in report["rounds"][0]:
        for side in CASES[case]:
            rates = ", ".join(f"{figures[case][side]['steps_per_sec']:,.1f}" for figures in report["rounds"])
            factor = statistics.median(ratios(report["rounds"], case, side))
            lines.append(f"| {case} | {side} | {rates} | {factor:.2f} |")
    return "\n".join(lines) + "\n"


def write_page(report: Figures) -> None:
    """Puts the table into the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    PAGE.write_text(before + BEGIN + table(report) + END + rest.split(END)[1], encoding="utf-8")


def main() -> None:
    """Takes the rounds, prints the table, writes everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    rounds = []
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", flush=True)
        rounds.append(
            {case: {side: run(case, side) for side in CASES[case]} for case in arguments.cases or list(CASES)}
        )
    sides = [figures for case in rounds[0].values() for figures in case.values()]
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": next((side["machine"] for side in sides if "machine" in side), "unknown"),
        "keras": next((side["version"] for side in sides if "version" in side), "not run"),
        "command": f"python benchmarks/compare.py --rounds={arguments.rounds}",
        "rounds": rounds,
    }
    print(table(report))
    if not arguments.dry:
        FIGURES.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        write_page(report)


if __name__ == "__main__":
    main()
