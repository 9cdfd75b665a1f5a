"""Distillation: from a run's folder to the checkpoint of the model that learned from it, stopped and resumed."""

from pathlib import Path
from typing import Any

import pytest

from tfcore.training.checkpoints import Checkpoints
from tools.reliability.run_differences import differences

SMALL = (
    "--train_examples=400", "--test_examples=100", "--batch_size=40", "--intra_op_threads=1", "--inter_op_threads=1",
)  # fmt: skip
TAUGHT = (*SMALL, "--model=mlp", "--hidden=8", "--steps=12", "--teacher=teacher", "--teacher_share=0.7")
CNN = ("--model=cifar_cnn", "--filters=4", "--hidden=8")
CASES = {
    "mixed": ("--augment=flip,mixup", "--microbatches=2", "--precision=bfloat16"),
    "xla": ("--xla=on", "--class_weights=balanced", "--teacher_temperature=2"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("case", ["mixed", "xla"])
def test_a_run_resumes_exactly_with_the_same_teacher_only(call: Any, tmp_path: Path, case: str) -> None:
    call("train", *SMALL, *CNN, "--steps=5", "--run_dir=teacher")
    flags = (*TAUGHT, *CASES[case])
    done = call("train", *flags, "--run_dir=whole")
    assert "teacher: cifar_cnn of teacher, share 0.7, temperature" in done.stdout
    names = Checkpoints(tmp_path / "whole" / "checkpoints", {}).names(12)
    assert {name for name in names if name.startswith("model.")} == {
        f"model.{layer}.{part}" for layer in ("hidden_1", "logits") for part in ("weights", "biases")
    }
    call("train", *flags, "--run_dir=cut", "--stop_after_steps=5")
    (tmp_path / "teacher").rename(tmp_path / "first")
    (tmp_path / "whole").rename(tmp_path / "teacher")
    done = call("train", "--run_dir=cut", status=1)
    assert "learned from other weights than --teacher=teacher now holds (fingerprint " in done.stderr
    assert done.stderr.count("\n") == 1
    (tmp_path / "teacher").rename(tmp_path / "whole")
    (tmp_path / "first").rename(tmp_path / "teacher")
    call("train", "--run_dir=cut")
    assert differences(tmp_path / "whole", tmp_path / "cut") == []
