"""Threads, precision and XLA follow from model and machine, and the first lines of a run say why."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tfcore.build import runtime
from tfcore.config import RunConfig
from tfcore.errors import ConfigError

AMX, PLAIN = "fpu avx512f amx_bf16 amx_tile", "fpu avx512f avx512_bf16"


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


@pytest.mark.parametrize(
    ("model", "processor", "capability", "precision", "xla", "why"),
    [
        ("cifar_cnn", AMX, None, "bfloat16", "off", "this processor (AMX) multiplies it natively"),
        ("mnist_cnn", AMX, None, "bfloat16", "off", "this processor (AMX) multiplies it natively"),
        ("cifar_cnn", PLAIN, None, "float32", "off", "nothing here multiplies bfloat16 natively"),
        ("softmax", AMX, None, "float32", "off", "softmax gains nothing from bfloat16"),
        ("mlp", AMX, None, "float32", "off", "mlp gains nothing from bfloat16"),
        ("own.py:Net", AMX, None, "float32", "off", "own.py:Net gains nothing from bfloat16"),
        ("cifar_cnn", PLAIN, "8.6", "bfloat16", "on", "this GPU multiplies it natively"),
        ("cifar_cnn", AMX, "7.5", "float32", "on", "nothing here multiplies bfloat16 natively"),
        ("cifar_cnn", AMX, "[N/A]", "float32", "on", "nothing here multiplies bfloat16 natively"),
    ],
)
def test_what_is_chosen_and_why(
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    processor: str,
    capability: str | None,
    precision: str,
    xla: str,
    why: str,
) -> None:
    Machine(monkeypatch, processor, capability)
    config = runtime.resolved(RunConfig(model=model))
    assert (config.precision, config.xla) == (precision, xla)
    assert runtime.why_precision(config) == why


@pytest.mark.parametrize(
    ("model", "dataset", "xla"),
    [("mlp", "mnist", "on"), ("mlp", "fashion_mnist", "on"), ("mlp", "cifar10", "off"), ("mlp", "npz:PATH", "off"),
     ("softmax", "mnist", "off")],
)  # fmt: skip
def test_without_a_gpu_xla_is_for_small_products(
    monkeypatch: pytest.MonkeyPatch, model: str, dataset: str, xla: str
) -> None:
    Machine(monkeypatch, AMX, None)
    assert runtime.resolved(RunConfig(model=model, dataset=dataset)).xla == xla


@pytest.mark.parametrize(
    ("processor", "precision", "why"),
    [
        (AMX, "float32", "asked for"),
        (PLAIN, "bfloat16", "asked for; nothing here multiplies it natively"),
    ],
)
def test_what_is_asked_for_stays(monkeypatch: pytest.MonkeyPatch, processor: str, precision: str, why: str) -> None:
    Machine(monkeypatch, processor, None)
    config = runtime.resolved(RunConfig(model="cifar_cnn", precision=precision, xla="on", intra_op_threads=3))
    assert (config.precision, config.xla, config.intra_op_threads) == (precision, "on", 3)
    assert runtime.why_precision(config) == why


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_hidden_gpu_is_none(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    Machine(monkeypatch, AMX, "8.6")
    assert runtime.has_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert not runtime.has_gpu()


@pytest.mark.parametrize(("model", "threads"), [("softmax", 1), ("mlp", 1), ("cifar_cnn", 0), ("own.py:Net", 0)])
def test_small_ops_run_in_one_thread_and_others_as_tensorflow_likes(model: str, threads: int) -> None:
    config = runtime.resolved(RunConfig(model=model))
    assert (config.intra_op_threads, config.inter_op_threads) == (threads, threads)


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
