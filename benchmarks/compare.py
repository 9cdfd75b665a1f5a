"""Compares the speed of tfcore with Keras, PyTorch and JAX, and a large data set with a small one.

    python benchmarks/compare.py softmax --tiny             some steps of tfcore and Keras: do both still run and learn?
    python benchmarks/compare.py cifar_cnn --rounds=1       one case; prints the result
    python benchmarks/compare.py --rounds=3 --record        all cases, two hours on an idle machine

Needs CIFAR-10 and MNIST in $TFCORE_DATA_DIR, the peers (`pip install -e .[peers]`) and, for torch.compile, a C++
compiler; a peer that cannot run is listed with the reason. Each side runs in a separate process, in turn with the
others. Every peer defines its network in a file in peers/, shuffles every epoch and computes loss and accuracy of the
training, with its library's default number of threads or with one. Since machines are shared and noisy, the result is
the median of the ratios within a round. Ratios are computed at equal precision (float32) and for the best settings:
tfcore with its defaults, a peer in its fastest setting. JAX is only in the cases without convolutions, see
peers/jax_convolutions.py.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Python puts only the folder of a script on the path

from benchmarks import tables  # noqa: E402
from benchmarks.sides import CASES, TINY, Side  # noqa: E402
from benchmarks.tables import Figures, table  # noqa: E402
from tools import records  # noqa: E402

FIGURES, PAGE = ROOT / "benchmarks" / "figures.json", ROOT / "docs" / "benchmarks.md"
FILES = "benchmarks/figures.json and the tables of docs/benchmarks.md"
TUNING = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "XLA_FLAGS", "TF_XLA_FLAGS", "JAX_PLATFORMS")  # may be set in a shell
BEGIN, END = "<!-- made by benchmarks/compare.py -->\n", "<!-- to here -->\n"


def run(case: str, side: Side, *extra: str) -> Figures:
    """Measures one side in a new process; returns its figures, or the reason why a peer cannot run."""
    command = [sys.executable, "-m", *side.arguments, *extra]
    settings = {name: value for name, value in os.environ.items() if name not in TUNING}
    settings |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(command, check=False, cwd=ROOT, env=settings, capture_output=True, text=True)
    if done.returncode and side.library == "tfcore":
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        print(f"  {case:<16}{side.name:<36} not run: {lines[-1]}", flush=True)
        return {"not_run": lines[-1]}
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    figures["command"] = " ".join(["python -m", *side.arguments, *extra])
    loss = tables.loss_change(figures)
    trained = "" if loss is None else f"   loss {loss[0]:.3f} → {loss[1]:.3f}"
    unit = "steps/s" if CASES[case].figure == "steps_per_sec" else "pictures/s"
    print(f"  {case:<16}{side.name:<36}{figures[CASES[case].figure]:>10,.1f} {unit}{trained}", flush=True)
    return figures


def run_all(case: str, *, backwards: bool) -> dict[str, Figures]:
    """Measures all sides of a case; every other round runs backwards, so that a slowing machine favours no side."""
    sides = CASES[case].sides
    figures = {side.name: run(case, side) for side in (reversed(sides) if backwards else sides)}
    return {side.name: figures[side.name] for side in sides}


def tiny_round(cases: list[str]) -> None:
    """Runs some steps of tfcore's defaults and of Keras', and checks that both run and learn."""
    for case in cases:
        sides = [side for side in (CASES[case].first(library) for library in TINY) if side]
        result = tables.Results([{case: {side.name: run(case, side, *TINY[side.library]) for side in sides}}], case)
        for side in sides:
            loss = result.loss(side.name)
            if side.name not in result.ran or (loss and loss[1] >= loss[0]):
                sys.exit(f"{case}: {side.name} did not run, or its loss did not decrease.")
        own, other = result.names[0], result.names[-1]
        print(f"{case}: {own} is {result.ratio(own, other):.2f} times as fast as {other}.")


def main() -> None:
    """Runs the rounds and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="only some steps of tfcore and Keras")
    records.add_flag(parser, FILES)
    arguments = parser.parse_args()
    cases = arguments.cases or list(CASES)
    if unknown := sorted(set(cases) - set(CASES)):
        parser.error(f"no such case: {', '.join(unknown)}; the cases are {', '.join(CASES)}")
    if arguments.record and (arguments.cases or arguments.tiny):
        parser.error("--record takes all cases: leave out the names of cases and --tiny")
    if arguments.tiny:
        tiny_round(cases)
        return
    rounds = []
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", flush=True)
        rounds.append({case: run_all(case, backwards=number % 2 == 1) for case in cases})
    report = made_report(rounds, f"python benchmarks/compare.py --rounds={arguments.rounds} --record")
    print(table(report))
    records.finish(FILES, lambda: write(report), is_wanted=arguments.record)


def made_report(rounds: tables.Rounds, command: str) -> Figures:
    """The record: the figures with date, machine, versions and command."""
    sides = [figures for case in rounds[0].values() for figures in case.values()]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": next((side["machine"] for side in sides if "machine" in side), "unknown"),
        "versions": sorted({side["version"] for side in sides if "version" in side}),
        "command": command,
        "rounds": rounds,
    }


def write(report: Figures) -> None:
    """Replaces the recorded figures, and the tables of the page."""
    records.write_json(FIGURES, report)
    records.put(PAGE, BEGIN, END, table(report))


if __name__ == "__main__":
    main()
