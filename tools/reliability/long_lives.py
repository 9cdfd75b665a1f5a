"""Trains many times in one process, and once for long, and measures the resources that the process keeps.

    python tools/reliability/long_lives.py --cases=softmax --trainings=40 --steps=10000    a short run, printed only
    python tools/reliability/long_lives.py --record    300 trainings of each case, then 100,000 steps (two hours)

Each case runs in a separate process. After every training, and at fifty points of a long one, garbage is collected,
free memory is returned to the system, and the resources are counted. A quantity is flat if its slope over the second
half, by least squares, is within its bound. TensorFlow keeps what XLA compiles, so cases with XLA kernels have a wider
bound of memory. --record replaces the rows of the measured cases only. Exit status 1 where a quantity grows.
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

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # Python puts only the script's folder on the path

import tfcore
from tfcore.config import RunConfig
from tfcore.data.dataset import Dataset
from tfcore.machine import processor
from tools import records
from tools.reliability import write_page

POINTS = 50  # of a long training; with fewer, the allocator's noise has a slope
MEMORY = "memory_bytes"
BOUNDS = {  # of a slope: the most that a quantity may gain in a training
    MEMORY: 100_000.0,  # the allocator's noise, over some hundred trainings
    "python_threads": 0.01,
    "threads": 0.01,
    "open_files": 0.01,
    "graphs": 0.01,  # FuncGraph objects in Python
    "functions": 0.01,  # in the table of TensorFlow's runtime
    "gradients": 0.01,  # in TensorFlow's table of gradient functions; tf.custom_gradient adds an entry for each trace
    "python_functions": 0.01,  # in the table of tf.numpy_function
}
Sample = dict[str, float]


@dataclass(frozen=True)
class Case:
    """A training that is repeated.

    Args:
        config: of the training.
        memory_bytes: the most memory that a training may leave behind.
        other_seeds: whether every training has another seed, so that no two have the same graph.
        data: the data set; None for the one that the configuration names.
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
LONG_CASES = {"softmax": 1.0, "cifar_cnn": 0.05}  # case -> its share of the steps


def held() -> Sample:
    """Counts the resources that this process keeps, without garbage and free memory."""
    from tensorflow.python.eager import context
    from tensorflow.python.framework import func_graph, ops
    from tensorflow.python.ops import script_ops

    gc.collect()
    time.sleep(0.05)  # until threads whose work is garbage have ended
    ctypes.CDLL(None).malloc_trim(0)
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    return {
        # Anonymous pages only: those of files, such as TensorFlow's code, vary with the machine's cache.
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
    """Trains `count` times in this process; returns a sample after each training."""
    samples = []
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            config = replace(case.config, seed=number) if case.other_seeds else case.config
            tfcore.train(config, run_dir=f"{folder}/run", data=case.data, quietly=True, events=events)
        samples.append(held())
    return samples


def long_training(case: Case, steps: int) -> list[Sample]:
    """Trains once in this process, for `steps` steps; returns a sample at each of POINTS points."""
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
    """The gain of each quantity from one sample to the next, by least squares over the second half."""
    half = samples[len(samples) // 2 :]
    return {name: float(np.polyfit(range(len(half)), [sample[name] for sample in half], 1)[0]) for name in half[0]}


def growing(found: Sample, case: Case) -> list[str]:
    """The quantities whose slope is above its bound."""
    bounds = {**BOUNDS, MEMORY: case.memory_bytes}
    return [name for name, slope in found.items() if slope > bounds[name]]


def pictures(folder: pathlib.Path) -> None:
    """Writes two classes of 600 noisy pictures."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for number in range(1200):
        path = folder / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8)).save(path)


def measured(name: str, count: int, steps: int) -> dict[str, Any]:
    """Measures one case in this process: `count` trainings, or one of `steps` steps if `count` is 0."""
    with tempfile.TemporaryDirectory() as folder:
        case = CASES[name]
        if case.config.dataset.startswith("folder:"):
            pictures(pathlib.Path(folder))
            case = replace(case, config=replace(case.config, dataset=f"folder:{folder}", train_examples=None,
                                                test_examples=None))  # fmt: skip
        if not count:
            case = replace(
                case, memory_bytes=case.memory_bytes / 5
            )  # the bound is for a tenth of the training, and POINTS is 50
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
    """A row for each case: memory, the other quantities after half and at the end, and the verdict."""
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
    """The record with these results in place of those of the same cases."""
    record = write_page.RECORDS / "long_lives.json"
    recorded = json.loads(record.read_text(encoding="utf-8"))["results"] if record.exists() else []
    found = {(row["case"], row["trainings"] == 1): row for row in [*recorded, *results]}
    return {
        "command": "python tools/reliability/long_lives.py --record",
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {processor()}",
        "versions": f"TensorFlow {metadata.version('tensorflow')}, Python {platform.python_version()}",
        "results": list(found.values()),
    }


def measure(work: Sequence[tuple[str, int, int]]) -> list[dict[str, Any]]:
    """Measures cases one after the other, each in a new process; `work` holds the arguments of `measured`."""
    results = []
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as processes:
        for result in processes.map(measured, *zip(*work, strict=True)):
            results.append(result)
            print(f"{result['case']}: {', '.join(result['growing']) or 'flat'}", flush=True)
    return results


def main() -> int:
    """Measures the cases of the command line; returns 1 if a quantity grows, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=300, help="of each case; 0 for none")
    parser.add_argument("--steps", type=int, default=100_000, help="of the long training; 0 for none")
    parser.add_argument("--cases", default=",".join(CASES), help="some of the default, separated by commas")
    files = write_page.files_of("long_lives")
    records.add_flag(parser, files)
    arguments = parser.parse_args()
    names = arguments.cases.split(",")
    work = [(name, arguments.trainings, 0) for name in names if arguments.trainings]
    work += [(n, 0, round(s * arguments.steps)) for n, s in LONG_CASES.items() if n in names and arguments.steps]
    results = measure(work)
    Console(width=200).print(table(results))
    records.finish(files, lambda: write_page.record("long_lives", report(results)), is_wanted=arguments.record)
    return int(any(result["growing"] for result in results))


if __name__ == "__main__":
    sys.exit(main())
