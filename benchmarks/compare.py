"""tfcore beside Keras `fit`, in turn, each in a process of its own; and a small data set beside one ten times as large.

    python benchmarks/compare.py --rounds=5 --out=benchmarks/softmax.json

Wants CIFAR-10 in $TFCORE_DATA_DIR. Machines are shared and noisy, so what counts is the median of the rounds' ratios.
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
RECIPE = ("--model=softmax", "--validation=0", "--optimizer=gradient_descent", "--learning_rate=0.005",
          "--schedule=constant", "--batch_size=100", "--secs=2", "--json")  # fmt: skip
SIDES = {
    "tfcore": ["-m", "tfcore", "benchmark", "--dataset=cifar10", *RECIPE],
    "keras": ["-m", "benchmarks.keras_fit"],
    "shapes": ["-m", "tfcore", "benchmark", "--dataset=shapes", *RECIPE],
    "shapes_tenfold": ["-m", "tfcore", "benchmark", f"--dataset={HERE / 'big_shapes.py'}:tenfold", *RECIPE],
}


def run(side: str) -> dict[str, Any]:
    """One measurement in a fresh process."""
    command = [sys.executable, *SIDES[side]]
    done = subprocess.run(command, cwd=HERE.parent, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {side:<16}{figures['steps_per_sec']:>10,.0f} steps/s", flush=True)
    return figures


def ratios(rounds: list[dict[str, dict[str, Any]]], one: str, other: str) -> list[float]:
    """How many times quicker `one` was, by round."""
    return [figures[one]["steps_per_sec"] / figures[other]["steps_per_sec"] for figures in rounds]


def main() -> None:
    """Takes the rounds, prints the medians, writes everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    rounds = []
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", flush=True)
        rounds.append({side: run(side) for side in SIDES})
    medians = {
        "tfcore_to_keras": statistics.median(ratios(rounds, "tfcore", "keras")),
        "tenfold_to_small": statistics.median(ratios(rounds, "shapes_tenfold", "shapes")),
    }
    print(json.dumps(medians))
    if arguments.out:
        report = {"date": time.strftime("%Y-%m-%d"), "medians": medians, "rounds": rounds}
        arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
