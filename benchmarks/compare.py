"""tfcore beside Keras `fit`, in turn, each in a process of its own; and a small data set beside one ten times as large.

    python benchmarks/compare.py softmax mnist_cnn cifar_cnn data_size --rounds=3 --out=benchmarks/figures.json

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
COMMON = ("--validation=0", "--schedule=constant", "--secs=2", "--json")
SOFTMAX = ("--model=softmax", "--optimizer=gradient_descent", "--learning_rate=0.005", "--batch_size=100", *COMMON)
TFCORE = ("-m", "tfcore", "benchmark")
KERAS = ("-m", "benchmarks.keras_fit")
CASES = {  # case: the two sides, of which the first should be the quicker
    "softmax": {
        "tfcore": [*TFCORE, "--dataset=cifar10", *SOFTMAX],
        "keras": [*KERAS, "softmax"],
    },
    "mnist_cnn": {
        "tfcore": [
            *TFCORE,
            "--model=mnist_cnn",
            "--dataset=mnist",
            "--optimizer=adadelta",
            "--batch_size=128",
            *COMMON,
        ],
        "keras": [*KERAS, "mnist_cnn", "--examples=12800", "--epochs=2"],
    },
    "cifar_cnn": {
        "tfcore": [*TFCORE, "--model=cifar_cnn", "--dataset=cifar10", "--epsilon=1e-7", "--batch_size=64", *COMMON],
        "keras": [*KERAS, "cifar_cnn", "--examples=6400", "--epochs=2"],
    },
    "data_size": {
        "tenfold": [*TFCORE, f"--dataset={HERE / 'big_shapes.py'}:tenfold", *SOFTMAX],
        "small": [*TFCORE, "--dataset=shapes", *SOFTMAX],
    },
}


def run(case: str, side: str) -> dict[str, Any]:
    """One measurement in a fresh process."""
    command = [sys.executable, *CASES[case][side]]
    done = subprocess.run(command, cwd=HERE.parent, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {case:<12}{side:<10}{figures['steps_per_sec']:>10,.1f} steps/s", flush=True)
    return figures


def ratio(sides: dict[str, dict[str, Any]]) -> float:
    """How many times quicker the first side was."""
    first, second = (figures["steps_per_sec"] for figures in sides.values())
    return first / second


def main() -> None:
    """Takes the rounds, prints the medians, writes everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    rounds = []
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", flush=True)
        rounds.append(
            {case: {side: run(case, side) for side in CASES[case]} for case in arguments.cases or list(CASES)}
        )
    medians = {case: statistics.median(ratio(figures[case]) for figures in rounds) for case in rounds[0]}
    print(json.dumps(medians))
    if arguments.out:
        report = {"date": time.strftime("%Y-%m-%d"), "medians": medians, "rounds": rounds}
        arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
