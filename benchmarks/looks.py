"""Times the work for TensorBoard and reports in the tutorial's four runs, with the default summaries.

    python benchmarks/looks.py                        seven minutes on two cores; needs CIFAR-10
    python benchmarks/looks.py --runs softmax mlp     only these

Each run has a separate process. The table in Markdown gives the time for observations (norms, histograms, images, PR
curves), for the summaries at the start (text, graph, HParams) and at the end (of the test split), as a share of the run
and of the whole command, and the time for the report with its pictures. It is only printed; copy it to
docs/tensorboard.md by hand. The runs stay in --out, for docs/take_pictures.py.
"""

import argparse
import json
import multiprocessing
import pathlib
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Python puts only the folder of a script on the path

RUNS = {  # those of docs/tutorial.md
    "softmax": ("--model=softmax",),
    "mlp": ("--model=mlp", "--hidden=256,128"),
    "small_cnn": ("--model=cifar_cnn", "--filters=16,32,32", "--hidden=64", "--dropout=0", "--epochs=5"),
    "cnn": ("--model=cifar_cnn", "--epochs=8", "--average_decay=0.99"),
}
HEADING = (
    "| run | steps | training, s | start and end, s | later observations | ms each | share of the run | "
    "share of the command | report, s |"
)


class Stopwatch:
    """Measures the seconds of each call of chosen functions."""

    def __init__(self) -> None:
        self.secs: dict[str, list[float]] = defaultdict(list)

    def watch(self, owner: Any, name: str) -> None:
        """Times all further calls of a function of a class or module."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.secs[name].append(time.perf_counter() - start)

        setattr(owner, name, timed)


def measured(name: str, folder: pathlib.Path) -> str:
    """Trains in this process, which has not imported tfcore yet; returns the row of the run."""
    start = time.perf_counter()
    from tfcore.build import importing
    from tfcore.cli import main

    importing.import_tensorflow_for_good()
    from tfcore.look.observer import Observer
    from tfcore.report import file
    from tfcore.run.session import Session

    watch = Stopwatch()
    watch.watch(Session, "run")
    for part in ("begin", "observe", "look_at_validation", "conclude", "_leave_pictures"):
        watch.watch(Observer, part)
    watch.watch(file, "_leave")
    if main.main(["train", "--dataset=cifar10", *RUNS[name], f"--run_dir={folder / name}"]):
        raise RuntimeError(f"The run {name} has failed.")
    command_secs = time.perf_counter() - start
    result = json.loads((folder / name / "result.json").read_text(encoding="utf-8"))
    first, *later = watch.secs["observe"]
    *between, last = watch.secs["look_at_validation"]
    (pictures,) = watch.secs["_leave_pictures"]  # which a report needs even without TensorBoard
    start_and_end = sum(watch.secs["begin"]) + first + last + sum(watch.secs["conclude"]) - pictures
    looks = sum(later) + sum(between)
    shares = ((start_and_end + looks) / secs for secs in (sum(watch.secs["run"]), command_secs))
    return (
        f"| {name} | {result['steps']:,} | {result['train_secs']:.1f} | {start_and_end:.2f} | {len(later)} | "
        f"{1000 * looks / len(later):.0f} | {' | '.join(f'{share:.1%}' for share in shares)} | "
        f"{pictures + sum(watch.secs['_leave']):.1f} |"
    )


def main() -> int:
    """Trains the runs of the command line in order, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", default=list(RUNS), choices=list(RUNS), metavar="RUN")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs"), metavar="FOLDER")
    given = parser.parse_args()
    rows = []
    for name in given.runs:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(measured, (name, given.out)))
    print(HEADING, f"|---{'|--:' * (HEADING.count('|') - 2)}|", *rows, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
