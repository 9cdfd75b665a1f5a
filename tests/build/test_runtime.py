"""Threads, precision and XLA follow from model and machine, and the first lines of a run say why."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from tfcore import machine
from tfcore.build import runtime
from tfcore.build.workload import Workload
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.graphs import Product

AMX, PLAIN, AVX2 = "fpu avx512f amx_bf16 amx_tile", "fpu avx512f avx512_bf16", "fpu avx2"


def product(flops: float, kind: str = "product") -> Product:
    return Product(kind, "bfloat16", int(flops))


class Machine:
    """Replaces the properties of this machine that the rules read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, processor: str, capability: str | None) -> None:
        self._processor, self._capability = processor, capability
        monkeypatch.setattr(Path, "exists", lambda path: str(path) != "/dev/nvidia0" or capability is not None)
        monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"flags\t\t: {processor}\n")
        monkeypatch.setattr(runtime.shutil, "which", lambda name: f"/usr/bin/{name}")
        monkeypatch.setattr(runtime.subprocess, "run", self._run)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def _run(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[1:] == ["--query-gpu=compute_cap", "--format=csv,noheader"]
        return subprocess.CompletedProcess(command, 0, stdout=f"{self._capability}\n")


SOFTMAX = Workload((product(6e6),))
MLP = Workload((product(8e6), product(0.5e6), product(0.1e6)))
WIDE = Workload((product(800e6), product(2e9)))
CONVOLUTIONS = Workload((product(1e6, "convolution"), product(1e6)))
DEPTHWISE = Workload((product(1e6, "depthwise convolution"), product(1e6)))
STUBBORN = Workload((product(1e9, "convolution"),), refusal="TypeError: mixed (own.py, line 7)")


@pytest.mark.parametrize(
    ("workload", "processor", "capability", "precision", "xla", "why"),
    [
        (CONVOLUTIONS, AMX, None, "bfloat16", "off", "this processor (AMX) multiplies it natively"),
        (DEPTHWISE, AMX, None, "bfloat16", "off", "this processor (AMX) multiplies it natively"),
        (WIDE, AMX, None, "bfloat16", "off", "this processor (AMX) multiplies it natively"),
        (CONVOLUTIONS, PLAIN, None, "float32", "off", "nothing here multiplies bfloat16 natively"),
        (SOFTMAX, AMX, None, "float32", "off", "its products are too small to gain from bfloat16"),
        (MLP, AMX, None, "float32", "on", "its products are too small to gain from bfloat16"),
        (WIDE, PLAIN, None, "float32", "off", "nothing here multiplies bfloat16 natively"),
        (WIDE, AVX2, None, "float32", "on", "nothing here multiplies bfloat16 natively"),
        (MLP, AVX2, None, "float32", "on", "nothing here multiplies bfloat16 natively"),
        (SOFTMAX, AVX2, None, "float32", "off", "nothing here multiplies bfloat16 natively"),
        (CONVOLUTIONS, AVX2, None, "float32", "off", "nothing here multiplies bfloat16 natively"),
        (None, AMX, None, "float32", "off", "the model could not be traced"),
        (
            STUBBORN, AMX, None, "float32", "off",
            "the model does not compute in bfloat16: TypeError: mixed (own.py, line 7)",
        ),
        (CONVOLUTIONS, PLAIN, "8.6", "bfloat16", "on", "this GPU multiplies it natively"),
        (CONVOLUTIONS, AMX, "7.5", "float32", "on", "nothing here multiplies bfloat16 natively"),
        (CONVOLUTIONS, AMX, "[N/A]", "float32", "on", "nothing here multiplies bfloat16 natively"),
    ],
)  # fmt: skip
def test_what_is_chosen_and_why(
    monkeypatch: pytest.MonkeyPatch,
    workload: Workload | None,
    processor: str,
    capability: str | None,
    precision: str,
    xla: str,
    why: str,
) -> None:
    Machine(monkeypatch, processor, capability)
    config, reason = runtime.chosen(RunConfig(), workload)
    assert (config.precision, config.xla) == (precision, xla)
    assert reason == why


@pytest.mark.parametrize(
    ("processor", "precision", "why"),
    [
        (AMX, "float32", "as configured"),
        (
            PLAIN,
            "bfloat16",
            "as configured; nothing here multiplies it natively: it may take 8 times as long as float32",
        ),
    ],
)
def test_what_is_asked_for_stays(monkeypatch: pytest.MonkeyPatch, processor: str, precision: str, why: str) -> None:
    Machine(monkeypatch, processor, None)
    config, reason = runtime.chosen(RunConfig(precision=precision, xla="on", intra_op_threads=3), CONVOLUTIONS)
    assert (config.precision, config.xla, config.intra_op_threads) == (precision, "on", 3)
    assert reason == why


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_hidden_gpu_is_none(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    Machine(monkeypatch, AMX, "8.6")
    assert machine.has_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert not machine.has_gpu()


@pytest.mark.parametrize(
    ("workload", "threads"), [(SOFTMAX, 1), (MLP, 1), (WIDE, 0), (CONVOLUTIONS, 0), (DEPTHWISE, 0), (None, 0)]
)
def test_small_products_run_in_one_thread_and_others_as_tensorflow_likes(
    workload: Workload | None, threads: int
) -> None:
    config, _ = runtime.chosen(RunConfig(), workload)
    assert (config.intra_op_threads, config.inter_op_threads) == (threads, threads)


def test_threads_stay_once_tensorflow_has_run() -> None:
    tf.zeros([])
    before = tf.config.threading.get_intra_op_parallelism_threads()
    config = runtime.set_threads(RunConfig(intra_op_threads=7, inter_op_threads=9))
    assert (config.intra_op_threads, config.inter_op_threads) != (7, 9)
    assert tf.config.threading.get_intra_op_parallelism_threads() == config.intra_op_threads == before


def test_where_a_gpu_is_required_and_none_is_there_nothing_runs() -> None:
    with pytest.raises(ConfigError, match=r"^--require_gpu: TensorFlow sees no GPU\. Install the driver"):
        runtime.set_up(RunConfig(require_gpu=True))


@pytest.mark.thorough
def test_the_command_says_so_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "train.py", "--require_gpu", f"--run_dir={tmp_path / 'run'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 2
    assert done.stderr.startswith("error: --require_gpu: TensorFlow sees no GPU.")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("alone", "threads", "xla"), [(True, 1, "on"), (False, 0, "off")])
def test_beside_a_teacher_threads_and_xla_are_as_for_an_unknown_model(
    monkeypatch: pytest.MonkeyPatch, alone: bool, threads: int, xla: str
) -> None:
    Machine(monkeypatch, AMX, None)
    config, _ = runtime.chosen(RunConfig(), MLP, alone=alone)
    assert (config.intra_op_threads, config.inter_op_threads, config.xla) == (threads, threads, xla)
