"""The figures of a benchmark, by group: speed, start-up, memory, computation, logging, loss.

Each function takes `built`, the figures taken before the measurement: `process_start`, `import_secs`,
`import_memory_bytes`, `build_secs`.
"""

from typing import TYPE_CHECKING, Any

from tfcore.bench.machine_limits import bare_import_secs
from tfcore.config import RunConfig
from tfcore.machine import machine, peak_bytes

if TYPE_CHECKING:
    from tfcore.bench.measurement import Measurement
    from tfcore.run.session import Session

Figures = dict[str, Any]


def _everything(session: "Session", measurement: "Measurement", built: Figures) -> dict[str, Figures]:
    """Returns all figures by group; measures the first step first."""
    started = measurement.start_up(built["process_start"])
    trained = _training(session, measurement, built)
    logging = measurement.logging()
    speed = {**trained["speed"], **measurement.parts(), **measurement.evaluation()}
    bare_secs = bare_import_secs()
    return {
        "speed": speed,
        "start-up": {
            "import_secs": built["import_secs"],
            "build_secs": built["build_secs"],
            **started,
            "bare_import_secs": bare_secs,
            "startup_ratio": started["first_step_secs"] / bare_secs,
        },
        "memory": trained["memory"],
        "computation": measurement.computation(speed["steps_per_sec"]),
        "logging": logging,
        "loss": trained["loss"],
    }


def _training(session: "Session", measurement: "Measurement", built: Figures) -> dict[str, Figures]:
    """Returns the end-to-end figures of training."""
    speed, loss, memory_bytes = measurement.training()
    return {"speed": speed, "memory": _memory(session, built, memory_bytes), "loss": loss}


def _evaluation(session: "Session", measurement: "Measurement", built: Figures) -> dict[str, Figures]:
    """Returns the figures of evaluation, measured on the untrained model: the time does not depend on the weights."""
    speed = measurement.evaluation()
    return {"speed": speed, "memory": _memory(session, built, peak_bytes())}


def _memory(session: "Session", built: Figures, bytes_at_peak: int) -> Figures:
    return {
        "peak_memory_bytes": bytes_at_peak,
        "import_memory_bytes": built["import_memory_bytes"],
        "data_bytes": session.parts.data.train.nbytes + session.parts.data.test.nbytes,
    }


MEASURED = {"all": _everything, "training": _training, "evaluation": _evaluation}


def setting(config: RunConfig) -> Figures:
    """Returns the run's compute settings and the machine."""
    return {
        "precision": config.precision,
        "xla": config.xla,
        "intra_op_threads": config.intra_op_threads,
        "inter_op_threads": config.inter_op_threads,
        "machine": machine(),
    }
