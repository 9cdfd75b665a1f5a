"""tfcore beside Keras, PyTorch and JAX, in turn, each in a process of its own; and a large data set beside a small one.

    python benchmarks/compare.py --rounds=3                     all cases; writes figures.json and docs/benchmarks.md
    python benchmarks/compare.py cifar_cnn --rounds=1 --dry     one case, printed only
    python benchmarks/compare.py softmax --tiny                 some steps of tfcore and Keras: does it all still work?

Wants CIFAR-10 and MNIST in $TFCORE_DATA_DIR, the peers (`pip install -e .[peers]`) and, for torch.compile, a C++
compiler; a peer that cannot run is listed with the reason. Every peer is told its network by a file in peers/, shuffles
every epoch and keeps the loss and the accuracy of the training, with the threads that its library takes by default or
with one. Machines are shared and noisy, so what counts is the median of the rounds' ratios. Ratios are taken at equal
precision (float32) and with each library at its best: tfcore with its own defaults, a peer in whichever of its settings
is fastest. JAX is in the cases without convolutions only, see peers/jax_convolutions.py.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # of a script only its own folder is on the path

from benchmarks import tables  # noqa: E402
from benchmarks.sides import CASES, TINY, Side  # noqa: E402
from benchmarks.tables import Figures, table  # noqa: E402

FIGURES, PAGE = ROOT / "benchmarks" / "figures.json", ROOT / "docs" / "benchmarks.md"
TUNING = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "XLA_FLAGS", "TF_XLA_FLAGS", "JAX_PLATFORMS")  # what a shell may hold
BEGIN, END = "<!-- made by benchmarks/compare.py -->\n", "<!-- to here -->\n"


def run(case: str, side: Side, *extra: str) -> Figures:
    """One measurement in a fresh process; the reason instead, where a peer cannot run."""
    command = [sys.executable, "-m", *side.arguments, *extra]
    settings = {name: value for name, value in os.environ.items() if name not in TUNING}
    settings |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(command, check=False, cwd=ROOT, env=settings, capture_output=True, text=True)
    if done.returncode and side.library == "tfcore":
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        print(f"  {case:<12}{side.name:<36} not run: {lines[-1]}", flush=True)
        return {"not_run": lines[-1]}
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    figures["command"] = " ".join(["python -m", *side.arguments, *extra])
    loss = tables.loss_change(figures)
    trained = "" if loss is None else f"   loss {loss[0]:.3f} → {loss[1]:.3f}"
    unit = "steps/s" if CASES[case].figure == "steps_per_sec" else "pictures/s"
    print(f"  {case:<12}{side.name:<36}{figures[CASES[case].figure]:>10,.1f} {unit}{trained}", flush=True)
    return figures


def run_all(case: str, *, backwards: bool) -> dict[str, Figures]:
    """All sides of a case: a machine that becomes slower meanwhile is slower to others in the next round."""
    sides = CASES[case].sides
    figures = {side.name: run(case, side) for side in (reversed(sides) if backwards else sides)}
    return {side.name: figures[side.name] for side in sides}


def tiny_round(cases: list[str]) -> None:
    """Some steps of tfcore's defaults and of Keras', to see that both still run and train."""
    for case in cases:
        sides = [side for side in (CASES[case].first(library) for library in TINY) if side]
        result = tables.Results([{case: {side.name: run(case, side, *TINY[side.library]) for side in sides}}], case)
        for side in sides:
            loss = result.loss(side.name)
            if side.name not in result.ran or (loss and loss[1] >= loss[0]):
                sys.exit(f"{case}: {side.name} did not run, or its loss did not fall.")
        own, other = result.names[0], result.names[-1]
        print(f"{case}: {own} is {result.ratio(own, other):.2f} times as quick as {other}.")


def main() -> None:
    """Takes the rounds, prints the tables, writes everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    parser.add_argument("--tiny", action="store_true", help="some steps of tfcore and Keras; write nothing")
    arguments = parser.parse_args()
    cases = arguments.cases or list(CASES)
    if unknown := sorted(set(cases) - set(CASES)):
        parser.error(f"no such case: {', '.join(unknown)}; the cases are {', '.join(CASES)}")
    if arguments.tiny:
        tiny_round(cases)
        return
    rounds = []
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", flush=True)
        rounds.append({case: run_all(case, backwards=number % 2 == 1) for case in cases})
    command = " ".join(["python benchmarks/compare.py", *arguments.cases, f"--rounds={arguments.rounds}"])
    report = made_report(rounds, command)
    print(table(report))
    if not arguments.dry:
        write(report)


def made_report(rounds: tables.Rounds, command: str) -> Figures:
    """The figures with what they were measured on."""
    sides = [figures for case in rounds[0].values() for figures in case.values()]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": next((side["machine"] for side in sides if "machine" in side), "unknown"),
        "versions": sorted({side["version"] for side in sides if "version" in side}),
        "command": command,
        "rounds": rounds,
    }


def write(report: Figures) -> None:
    """Keeps the figures, and puts the tables into the page."""
    FIGURES.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    tables.put(PAGE, BEGIN, END, table(report))


if __name__ == "__main__":
    main()
