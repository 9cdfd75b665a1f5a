"""Chooses threads, precision and XLA by fixed rules over model, data set and machine, and applies them."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from tfcore.config import RunConfig
from tfcore.errors import ConfigError

# Their ops take microseconds: passing them between threads costs more than the work.
_SMALL_OPS = ("softmax", "mlp")
# A few dozen small ops per step, which XLA fuses into a few kernels: a fifth faster on images of 784 numbers. Slower on
# images of 3,072 and for softmax, because of their large matrix product, and far slower for convolutions on a CPU.
_XLA_PAYS = ("mlp",)
_SMALL_PICTURES = ("mnist", "fashion_mnist", "kmnist")
# Models dominated by convolutions; for a sequence of matrix products the casts cost as much as they gain.
_BFLOAT16_PAYS = ("mnist_cnn", "cifar_cnn")
_process: dict[str, bool] = {}  # choices of the first run, which hold for the whole process
_AMPERE = 8.0  # compute capability of the first GPUs that multiply bfloat16


def resolved(config: RunConfig) -> RunConfig:
    """Returns `config` with threads, precision and XLA chosen where they are automatic."""
    small = int(config.model in _SMALL_OPS)
    return replace(
        config,
        precision=_precision(config.model) if config.precision == "auto" else config.precision,
        xla=_xla(config) if config.xla == "auto" else config.xla,
        intra_op_threads=config.intra_op_threads or small,
        inter_op_threads=config.inter_op_threads or small,
    )


def _precision(model: str) -> str:
    return "bfloat16" if model in _BFLOAT16_PAYS and _bfloat16_unit() else "float32"


def _xla(config: RunConfig) -> str:
    pays = config.model in _XLA_PAYS and config.dataset in _SMALL_PICTURES
    return "on" if has_gpu() or pays else "off"


def why_precision(config: RunConfig) -> str:
    """Returns the reason for the precision of a run."""
    unit = _bfloat16_unit()
    if config.precision == "bfloat16":
        return f"{unit} multiplies it natively" if unit else "asked for; nothing here multiplies it natively"
    if config.model not in _BFLOAT16_PAYS:
        return f"{config.model} gains nothing from bfloat16"
    return "asked for" if unit else "nothing here multiplies bfloat16 natively"


def _bfloat16_unit() -> str | None:
    """Names the hardware that multiplies bfloat16 matrices natively; None without any."""
    if has_gpu():
        return "this GPU" if _compute_capability() >= _AMPERE else None
    info = Path("/proc/cpuinfo")
    has_amx = info.exists() and "amx_bf16" in info.read_text(encoding="utf-8", errors="replace")
    return "this processor (AMX)" if has_amx else None


def has_gpu() -> bool:
    """Tells whether this process can see an NVIDIA GPU; does not load TensorFlow."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and Path("/dev/nvidia0").exists()


def _compute_capability() -> float:
    """Returns the compute capability of the first GPU; 0 if nvidia-smi does not report it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0.0
    query = [tool, "--query-gpu=compute_cap", "--format=csv,noheader"]
    lines = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
    return float(lines[0]) if lines and lines[0].replace(".", "").isdigit() else 0.0


def set_up(config: RunConfig) -> None:
    """Applies thread counts (0: TensorFlow's default), determinism, and memory growth on GPUs.

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
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, enable=True)
    tf.config.threading.set_intra_op_parallelism_threads(config.intra_op_threads)
    tf.config.threading.set_inter_op_parallelism_threads(config.inter_op_threads)


def set_up_if_possible(config: RunConfig) -> RunConfig:
    """Applies `set_up` if TensorFlow has run no op yet; else returns `config` with the current thread counts."""
    import tensorflow as tf

    try:
        set_up(config)
    except RuntimeError:
        threading = tf.config.threading
        intra, inter = threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads()
        return replace(config, intra_op_threads=intra, inter_op_threads=inter)
    return config
