"""Chooses threads, precision and XLA by fixed rules over the model's workload and the machine, and applies them."""

import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace

from tfcore import machine
from tfcore.build.workload import Workload
from tfcore.config import RunConfig
from tfcore.errors import ConfigError

# Rules over the forward pass of one training batch, in floating-point operations. `tfcore benchmark --try_all` compares
# what they choose with everything else that could be chosen.
_ONE_THREAD_FLOPS = 100e6  # below, passing an op between threads costs more than it gains
_XLA_FLOPS = 16e6  # of the largest product; above, XLA's products are slower than oneDNN's by AVX-512
_BFLOAT16_FLOPS = 200e6  # of the largest product; below, the casts cost more than a bfloat16 product gains
_process: dict[str, bool] = {}  # choices of the first run, which hold for the whole process
_AMPERE = 8.0  # compute capability of the first GPUs that multiply bfloat16


def chosen(config: RunConfig, workload: Workload | None, *, alone: bool = True) -> tuple[RunConfig, str]:
    """Chooses threads, precision and XLA where they are automatic; returns the configuration and why that precision.

    Args:
        config: the settings of the run.
        workload: what the model computes for a batch; None if unknown, which TensorFlow's defaults suit best.
        alone: whether a step computes nothing else, such as a teacher's pass, which makes its workload unknown.
    """
    whole = workload if alone else None
    small = int(whole is not None and not whole.convolutions and whole.flops <= _ONE_THREAD_FLOPS)
    precision, why = _precision(config.precision, workload)
    config = replace(
        config,
        precision=precision,
        xla=_xla(whole) if config.xla == "auto" else config.xla,
        intra_op_threads=config.intra_op_threads or small,
        inter_op_threads=config.inter_op_threads or small,
    )
    return config, why


def _precision(given: str, workload: Workload | None) -> tuple[str, str]:
    """Returns the precision and the reason for it."""
    if given == "float32":
        return given, "as configured"
    unit = bfloat16_unit()
    if given == "auto" and (reason := _against_bfloat16(unit, workload)):
        return "float32", reason
    slow = "as configured; nothing here multiplies it natively: it may take 8 times as long as float32"
    return "bfloat16", f"{unit} multiplies it natively" if unit else slow


def _against_bfloat16(unit: str | None, workload: Workload | None) -> str:
    """Returns the reason against bfloat16 as the automatic choice; "" for none."""
    if unit is None:
        return "nothing here multiplies bfloat16 natively"
    if workload is None:
        return "the model could not be traced"
    if workload.refusal:
        return f"the model does not compute in bfloat16: {workload.refusal}"
    if not workload.convolutions and workload.largest < _BFLOAT16_FLOPS:
        return "its products are too small to gain from bfloat16"
    return ""


def _xla(workload: Workload | None) -> str:
    """XLA fuses the many small ops of a chain of products; its convolutions on a CPU are far slower."""
    if machine.has_gpu():
        return "on"
    if workload is None or workload.convolutions or len(workload.products) < 2:
        return "off"
    has_avx512 = "avx512f" in machine.processor_flags()
    return "off" if has_avx512 and workload.largest > _XLA_FLOPS else "on"


def bfloat16_unit() -> str | None:
    """Names the hardware that multiplies bfloat16 matrices natively; None without any."""
    if machine.has_gpu():
        return "this GPU" if _compute_capability() >= _AMPERE else None
    return "this processor (AMX)" if "amx_bf16" in machine.processor_flags() else None


def _compute_capability() -> float:
    """Returns the compute capability of the first GPU; 0 if nvidia-smi does not report it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0.0
    query = [tool, "--query-gpu=compute_cap", "--format=csv,noheader"]
    lines = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
    return float(lines[0]) if lines and lines[0].replace(".", "").isdigit() else 0.0


def set_up(config: RunConfig) -> None:
    """Applies determinism, and memory growth on GPUs.

    Must be called before TensorFlow's first op.

    Raises:
        ConfigError: a GPU is required and TensorFlow sees none, or an earlier run of this process chose otherwise about
            determinism, which applies to the whole process.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if config.require_gpu and not gpus:
        raise ConfigError(
            "--require_gpu: TensorFlow sees no GPU. Install the driver and `tensorflow[and-cuda]`, look at "
            "CUDA_VISIBLE_DEVICES, or leave the flag out."
        )
    if config.deterministic != _process.setdefault("deterministic", config.deterministic):
        raise ConfigError(
            f"--deterministic={str(config.deterministic).lower()}: a run of this process has chosen otherwise, and ops "
            "that have run stay as they are. Start a new process."
        )
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    with suppress(RuntimeError):  # an earlier run of this process has set it
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, enable=True)


def set_threads(config: RunConfig) -> RunConfig:
    """Sets the numbers of threads (0: TensorFlow's default) and returns `config` with those in force.

    Once TensorFlow has run an op its threads stay as they are.
    """
    from tensorflow.config import threading

    with suppress(RuntimeError):
        threading.set_intra_op_parallelism_threads(config.intra_op_threads)
        threading.set_inter_op_parallelism_threads(config.inter_op_threads)
    return replace(
        config,
        intra_op_threads=threading.get_intra_op_parallelism_threads(),
        inter_op_threads=threading.get_inter_op_parallelism_threads(),
    )
