"""`benchmark`: training and evaluation throughput, by the loop that trains."""

import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcore import checks
from tfcore.commands import builders, flags, quiet
from tfcore.commands.main import STARTED
from tfcore.training.run_folder import RunFolder

if TYPE_CHECKING:
    from tfcore.commands.session import Session

_REPEATS = 5
_ENDLESS_STEPS = 10**9


def run(parsed: flags.Parsed) -> int:
    """Measures, prints, and gives back the exit status."""
    secs = parsed.options["secs"]
    checks.positive("secs", secs)
    config = builders.resolve(flags.run_config({**parsed.given, "steps": _ENDLESS_STEPS, "epochs": None}))
    builders.check_names(config)
    quiet.import_tensorflow()
    bare_bytes = _peak_bytes()
    builders.set_threads(config)
    from tfcore.commands import display
    from tfcore.commands.session import Session

    with tempfile.TemporaryDirectory() as scratch, RunFolder(Path(scratch) / "run") as folder:
        folder.write_config(config.flags())
        console = display.console(to_stderr=True, quiet=True)
        session = Session(replace(config, keep_checkpoints=1), folder, console)
        figures = _measure(session, secs)
    figures |= {
        "import_memory_bytes": bare_bytes,
        "precision": config.precision,
        "intra_op_threads": config.intra_op_threads,
    }
    figures |= {"inter_op_threads": config.inter_op_threads, "machine": _machine()}
    for name, figure in figures.items():
        text = (
            f"{figure:,.4g}" if isinstance(figure, float) else f"{figure:,}" if isinstance(figure, int) else str(figure)
        )
        print(f"{name:<24}{text}", file=sys.stderr if parsed.options["json"] else sys.stdout)
    if parsed.options["json"]:
        print(json.dumps(figures))
    return 0


def _measure(session: "Session", secs: float) -> dict[str, Any]:
    """All figures of one built session; the first step is the first thing it does."""
    from tfcore.data.batches import TrainingBatches
    from tfcore.training.loop import Loop
    from tfcore.training.run_log import RunLog

    log = RunLog(session.folder.path)
    loop = session.loop(log)
    _steps(session, loop, 1)
    first_step_secs = time.monotonic() - STARTED
    end_to_end = _rate(lambda steps: _steps(session, loop, steps), secs)
    peak_bytes = _peak_bytes()
    batch_size = session.config.batch_size
    batches = TrainingBatches(session.splits["train"], batch_size=batch_size, seed=session.config.seed)
    one_batch = Loop(session.step, _OneBatch(batches))
    compute = _rate(lambda steps: _steps(session, one_batch, steps), secs)
    inputs = _rate(_reading(batches), secs)
    test = session.evaluation_batches("test")
    evaluation = _rate(lambda times: [session.evaluation(test) for _ in range(times)], secs)
    log.close()
    return {
        "steps_per_sec": end_to_end[0],
        "steps_per_sec_range": list(end_to_end[1:]),
        "examples_per_sec": end_to_end[0] * batch_size,
        "compute_only": compute[0] * batch_size,
        "input_only": inputs[0] * batch_size,
        "evaluation": evaluation[0] * len(session.splits["test"]),
        "first_step_secs": first_step_secs,
        "peak_memory_bytes": peak_bytes,
        "data_bytes": session.data.train.images.nbytes + session.data.test.images.nbytes,
        "flops_per_step": _flops(session, batches),
    }


class _OneBatch:
    """The same batch for ever: what is left is the computation."""

    def __init__(self, batches: Any) -> None:
        self._batch = next(batches.from_step(0))

    def from_step(self, _: int) -> Any:
        import tensorflow as tf

        return iter(tf.data.Dataset.from_tensors(self._batch).repeat())


def _steps(session: "Session", loop: Any, steps: int) -> None:
    """So many steps with all events, as if the run were endless."""
    done = int(session.step.optimizer.step.numpy())
    loop.run(_ENDLESS_STEPS, pause_step=done + steps)


def _reading(batches: Any) -> Callable[[int], None]:
    """Takes batches and uses one number of each, so that none is optimised away."""
    import tensorflow as tf

    @tf.function
    def read(iterator: Any, steps: tf.Tensor) -> tf.Tensor:
        total = tf.zeros([])
        for _ in tf.range(steps):
            images, labels = next(iterator)
            total += images[0, 0, 0, 0] + tf.cast(labels[0], tf.float32)
        return total

    iterator = batches.from_step(0)
    return lambda steps: read(iterator, tf.constant(steps, tf.int64)).numpy()


def _flops(session: "Session", batches: Any) -> int:
    """Of one step, forward, backward and update."""
    import tensorflow as tf

    from tfcore.training import flops

    images, labels = (tf.TensorSpec(part.shape, part.dtype) for part in next(batches.from_step(0)))
    # Micro-batches do the same work in a loop, whose turns a graph does not tell.
    step = builders.training_step(replace(session.config, microbatches=1), session.model, session.total_steps)
    return flops.count(tf.function(step.__call__).get_concrete_function(images, labels))


def _rate(work: Callable[[int], Any], secs: float) -> tuple[float, float, float]:
    """Units of work a second: median, least and most of several repeats, after a warm-up that sizes them."""
    units, spent = 1, 0.0
    while spent < min(secs, 0.5):
        units = units * 2 if spent else 1
        spent = _timed(work, units)
    units = max(1, round(units * secs / spent))
    rates = [units / _timed(work, units) for _ in range(_REPEATS)]
    return statistics.median(rates), min(rates), max(rates)


def _timed(work: Callable[[int], Any], units: int) -> float:
    start = time.monotonic()
    work(units)
    return time.monotonic() - start


def _peak_bytes() -> int:
    """The largest resident size of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage tells on Linux starts at the size of the process that started this one
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def processor() -> str:
    """The processor's name, as far as it is told."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _machine() -> str:
    """Processor and count, and the versions that matter."""
    import tensorflow as tf

    return f"{os.cpu_count()} × {processor()}; TensorFlow {tf.__version__}, Python {platform.python_version()}"
