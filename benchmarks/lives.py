"""Long lives: many short trainings in one process, and one long training, with what the process holds on to.

    python benchmarks/lives.py                      300 trainings of each case, then 100,000 steps (two hours)
    python benchmarks/lives.py --cases=softmax      one case
    python benchmarks/lives.py --trainings=40 --steps=10000 --dry

Each case has a process of its own. After every training, and at fifty points of a long one, garbage is collected, free
memory is given back, and this is counted. A quantity is flat if its slope over the second half, by least squares, is
within its bound. TensorFlow keeps what XLA compiles, so cases with kernels have a wider bound of memory, which says how
much that is. Says so in a table and, unless --dry, in lives.json, whose other rows stay; exit status 1 where
something grows.
"""

import argparse
import ctypes
import gc
import json
import multiprocessing
import os
import pathlib
import platform
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # of a script only its own folder is on the path

import tfcore
from tfcore.config import RunConfig
from tfcore.data.dataset import Dataset
from tfcore.machine import processor

FIGURES = pathlib.Path(__file__).with_suffix(".json")
POINTS = 50  # of a long training: of fewer, the allocator's noise has a slope
MEMORY = "memory_bytes"
BOUNDS = {  # of a slope: what a quantity may gain in a training
    MEMORY: 100_000.0,  # the allocator's noise, over some hundred trainings
    "python_threads": 0.01,
    "threads": 0.01,
    "open_files": 0.01,
    "graphs": 0.01,  # FuncGraphs that Python holds
    "functions": 0.01,  # in the table of TensorFlow's runtime
    "gradients": 0.01,  # in TensorFlow's table of gradient functions, where tf.custom_gradient leaves an entry a trace
    "python_functions": 0.01,  # in the table of tf.numpy_function
}
Sample = dict[str, float]


@dataclass(frozen=True)
class Case:
    """A training that is repeated.

    Args:
        config: what is trained.
        memory_bytes: bound of the memory that a training may leave.
        other_seeds: every training has a seed of its own, so that no two have the same graph.
        data: what it is trained on; None for what the configuration names.
    """

    config: RunConfig
    memory_bytes: float = BOUNDS[MEMORY]
    other_seeds: bool = False
    data: Dataset | None = None


SHORT = RunConfig(steps=20, train_examples=1000, test_examples=200, log_every_steps=5)
CNN = replace(
    SHORT, model="cifar_cnn", filters=(4, 6, 4), hidden=(16,), dropout=(0.2, 0.4), average_decay=0.9, patience=3,
    evaluate_every_epochs=0.5,
)  # fmt: skip
CASES = {
    "softmax": Case(SHORT),
    "mlp": Case(replace(SHORT, model="mlp", xla="off")),
    "mlp_xla": Case(replace(SHORT, model="mlp", xla="on"), memory_bytes=8e6),  # all its steps are one kernel
    "cifar_cnn": Case(CNN, memory_bytes=1e6, other_seeds=True),  # dropout is a kernel
    "pictures": Case(replace(SHORT, dataset="folder:PICTURES")),  # read from their files batch by batch
}
LONG_CASES = {"softmax": 1.0, "cifar_cnn": 0.05}  # and its share of the steps


def held() -> Sample:
    """What this process holds on to, garbage and free memory apart."""
    from tensorflow.python.eager import context
    from tensorflow.python.framework import func_graph, ops
    from tensorflow.python.ops import script_ops

    gc.collect()
    time.sleep(0.05)  # threads whose work is garbage are on their way out
    ctypes.CDLL(None).malloc_trim(0)
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    return {
        # Pages of files, such as TensorFlow's own code, come and go with the machine's cache: they are left out.
        MEMORY: 1024 * int(re.findall(r"RssAnon:\s+(\d+) kB", status)[0]),
        "python_threads": threading.active_count(),
        "threads": len(os.listdir("/proc/self/task")),
        "open_files": len(os.listdir("/proc/self/fd")),
        "graphs": sum(isinstance(thing, func_graph.FuncGraph) for thing in gc.get_objects()),
        "functions": len(context.context().list_function_names()),
        "gradients": len(ops.gradient_registry.list()),
        "python_functions": script_ops._py_funcs.size(),
    }


def trainings(case: Case, count: int, events: Callable[[Any], Sequence[Any]] = lambda _: ()) -> list[Sample]:
    """Trains so often in this process; a sample after each."""
    samples = []
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            config = replace(case.config, seed=number) if case.other_seeds else case.config
            tfcore.train(config, run_dir=f"{folder}/run", data=case.data, quietly=True, events=events)
        samples.append(held())
    return samples


def long_training(case: Case, steps: int) -> list[Sample]:
    """Trains once in this process, for so many steps; a sample at each of ten points."""
    from tfcore.training.events import Event, Schedule

    samples: list[Sample] = []
    event = Event("held", Schedule(max(1, steps // POINTS)), lambda _: samples.append(held()))
    examples = case.config.train_examples or len(case.data.train)
    epochs = steps * case.config.batch_size / examples
    rare = {"evaluate_every_epochs": epochs / 20, "checkpoint_every_epochs": epochs / 20, "patience": None}
    config = replace(case.config, steps=steps, log_every_steps=100, **rare)
    with tempfile.TemporaryDirectory() as folder:
        tfcore.train(config, run_dir=f"{folder}/run", data=case.data, quietly=True, events=lambda _: [event])
    return samples


def slopes(samples: Sequence[Sample]) -> Sample:
    """What each quantity gains from one sample to the next, by least squares over the second half."""
    half = samples[len(samples) // 2 :]
    return {name: float(np.polyfit(range(len(half)), [sample[name] for sample in half], 1)[0]) for name in half[0]}


def growing(found: Sample, case: Case) -> list[str]:
    """The quantities whose slope is above its bound."""
    bounds = {**BOUNDS, MEMORY: case.memory_bytes}
    return [name for name, slope in found.items() if slope > bounds[name]]


def pictures(folder: pathlib.Path) -> None:
    """Two classes of a few noisy pictures."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for number in range(1200):
        path = folder / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8)).save(path)


def measured(name: str, count: int, steps: int) -> dict[str, Any]:
    """One case in this process: so many trainings, or one of so many steps if `count` is 0."""
    with tempfile.TemporaryDirectory() as folder:
        case = CASES[name]
        if case.config.dataset.startswith("folder:"):
            pictures(pathlib.Path(folder))
            case = replace(case, config=replace(case.config, dataset=f"folder:{folder}", train_examples=None,
                                                test_examples=None))  # fmt: skip
        if not count:
            case = replace(case, memory_bytes=case.memory_bytes / 5)  # there are five times ten points
        samples = trainings(case, count) if count else long_training(case, steps)
    found = slopes(samples)
    half = samples[len(samples) // 2]
    return {
        "case": name,
        "trainings": count or 1,
        "steps": case.config.steps if count else steps,
        "bounds": {**BOUNDS, MEMORY: case.memory_bytes},
        "first": samples[0],
        "half": half,
        "last": samples[-1],
        "slopes": found,
        "growing": growing(found, case),
    }


def table(results: Sequence[dict[str, Any]]) -> Table:
    """A row a case: memory, the other quantities at half time and at the end, and the verdict."""
    found = Table(title="After half of the trainings (or of the steps) and after all of them", title_justify="left")
    for heading in ("case", "trainings", "steps", "memory", "slope of it", *list(BOUNDS)[1:], "verdict"):
        found.add_column(heading.replace("_", " "))
    for result in results:
        half, last = result["half"], result["last"]
        counts = (f"{half[name]}" if half[name] == last[name] else f"{half[name]} → {last[name]}"
                  for name in list(BOUNDS)[1:])  # fmt: skip
        memory = f"{half[MEMORY] / 1e6:.0f} → {last[MEMORY] / 1e6:.0f} MB"
        slope = f"{result['slopes'][MEMORY] / 1e3:+.0f} kB (bound {result['bounds'][MEMORY] / 1e3:.0f})"
        verdict = "growing: " + ", ".join(result["growing"]) if result["growing"] else "flat"
        found.add_row(result["case"], str(result["trainings"]), f"{result['steps']:,}", memory, slope, *counts, verdict)
    return found


def report(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is to stand in lives.json: these results in place of those of the same cases."""
    found = {(row["case"], row["trainings"] == 1): row for row in [*_results(), *results]}
    return {
        "command": "python benchmarks/lives.py",
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {processor()}",
        "versions": f"TensorFlow {metadata.version('tensorflow')}, Python {platform.python_version()}",
        "results": list(found.values()),
    }


def _results() -> list[dict[str, Any]]:
    """Those that stand in lives.json."""
    return json.loads(FIGURES.read_text(encoding="utf-8"))["results"] if FIGURES.exists() else []


def main() -> int:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=300, help="of each case; 0 for none")
    parser.add_argument("--steps", type=int, default=100_000, help="of the long training; 0 for none")
    parser.add_argument("--cases", default=",".join(CASES), help="some of the default, separated by commas")
    parser.add_argument("--dry", action="store_true", help="leave lives.json as it is")
    arguments = parser.parse_args()
    names = arguments.cases.split(",")
    work = [(name, arguments.trainings, 0) for name in names if arguments.trainings]
    work += [(n, 0, round(s * arguments.steps)) for n, s in LONG_CASES.items() if n in names and arguments.steps]
    fresh = multiprocessing.get_context("spawn")
    results = []
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as processes:
        for result in processes.map(measured, *zip(*work, strict=True)):
            results.append(result)
            print(f"{result['case']}: {', '.join(result['growing']) or 'flat'}", flush=True)
    Console(width=200).print(table(results))
    if not arguments.dry:
        FIGURES.write_text(json.dumps(report(results), indent=2) + "\n", encoding="utf-8")
    return int(any(result["growing"] for result in results))


if __name__ == "__main__":
    sys.exit(main())
