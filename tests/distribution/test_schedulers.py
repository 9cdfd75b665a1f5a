"""Workers from the variables of Slurm, Kubernetes and mpirun; a script stands for Slurm's `scontrol`."""

import os
import re
from pathlib import Path

import pytest

from tfcore.cli import flags
from tfcore.distribution.cluster import Cluster, from_environment
from tfcore.errors import ConfigError

EXAMPLES = Path(__file__).parents[2] / "examples"
TWO = ("a:2222", "b:2222")
STEP = {
    "SLURM_JOB_ID": "70123",
    "SLURM_STEP_NUM_TASKS": "5",
    "SLURM_STEP_NODELIST": "gpu[01-02,07]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    "SLURM_PROCID": "3",
}
SCONTROL = """#!/bin/sh
[ "$*" = "show hostnames gpu[01-02,07]" ] || { echo "unknown: $*" >&2; exit 1; }
printf 'gpu01\\ngpu02\\ngpu07\\n'
"""


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm's command, as it answers for the nodes of STEP."""
    path = tmp_path / "scontrol"
    path.write_text(SCONTROL)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    "name", ["TFCORE_WORKER", "JOB_COMPLETION_INDEX", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"]
)
def test_addresses_may_be_listed_and_the_number_be_a_schedulers(name: str) -> None:
    assert from_environment({"TFCORE_WORKERS": "a:2222, b:2222,", name: "1"}) == Cluster(TWO, 1)


def test_the_own_variable_comes_first() -> None:
    given = {"TFCORE_WORKERS": "a:2222,b:2222", "TFCORE_WORKER": "0", "PMI_RANK": "1"}
    assert from_environment(given) == Cluster(TWO, 0)


@pytest.mark.usefixtures("scontrol")
def test_tf_config_comes_before_all() -> None:
    given = Cluster(("c:1", "d:1"), 0)
    everything = {**STEP, "TFCORE_WORKERS": "a:2222,b:2222", "TF_CONFIG": given.tf_config}
    assert from_environment(everything) == given


@pytest.mark.usefixtures("scontrol")
def test_a_step_of_slurm_fills_its_nodes_one_after_the_other() -> None:
    addresses = ("gpu01:30123", "gpu01:30124", "gpu02:30125", "gpu02:30126", "gpu07:30127")
    assert from_environment(STEP) == Cluster(addresses, 3)


@pytest.mark.parametrize(
    "environment",
    [
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"},  # in a batch script, before srun
        {**STEP, "SLURM_STEP_NUM_TASKS": "1"},
        {"TFCORE_WORKERS": "a:2222", "TFCORE_WORKER": "0"},
        {"JOB_COMPLETION_INDEX": "3"},
        {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"},  # copies of a run that know no addresses
    ],
    ids=["batch script", "one task", "one address", "job of independent runs", "mpirun"],
)
def test_one_process_stays_one(environment: dict[str, str]) -> None:
    assert from_environment(environment) is None


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"TFCORE_WORKERS": "a:1,b:1"}, "TFCORE_WORKERS needs the number of this worker, from 0, in one of TFCORE_W"),
        ({"TFCORE_WORKERS": "a:1,b:1", "PMI_RANK": "2"}, "PMI_RANK=2 must be below the 2 addresses"),
        ({"TFCORE_WORKERS": "a:1,b:1", "PMI_RANK": "-1"}, "PMI_RANK must be a whole number from 0. Received '-1'."),
        ({"TFCORE_WORKERS": "a:1,b", "PMI_RANK": "0"}, "HOST:PORT, such as 10.0.0.1:2222. Received 'b'."),
        ({**STEP, "SLURM_STEP_TASKS_PER_NODE": "2(x3)"}, "must say how 5 tasks are on the 3 nodes of gpu[01-02,07]."),
        ({**STEP, "SLURM_STEP_TASKS_PER_NODE": "5"}, "must say how 5 tasks are on the 3 nodes"),
        ({**STEP, "SLURM_STEP_NODELIST": "other"}, "`scontrol show hostnames other` names the nodes"),
        ({name: STEP[name] for name in STEP if name != "SLURM_PROCID"}, "srun sets SLURM_PROCID; it is missing."),
        ({**STEP, "SLURM_STEP_NUM_TASKS": "many"}, "SLURM_STEP_NUM_TASKS must be a whole number"),
    ],
)
@pytest.mark.usefixtures("scontrol")
def test_what_cannot_be_meant_is_refused(environment: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_environment(environment)
    assert told in str(caught.value)


def test_slurm_without_its_command_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"`scontrol show hostnames gpu\[01-02,07\]` .* No such file"):
        from_environment(STEP)


def test_the_examples_train() -> None:
    """The flags of the manifest and of the batch script are those of `train`, and the manifest's addresses its pods."""
    manifest = (EXAMPLES / "kubernetes" / "job.yaml").read_text(encoding="utf-8")
    given = flags.parse("train", re.findall(r"^ +- (--\S+)$", manifest, re.MULTILINE))
    assert (given.given["model"], given.options["run_dir"]) == ("resnet20", "/work/runs/two")
    (addresses,) = re.findall(r"name: TFCORE_WORKERS\n +value: (\S+)", manifest)
    (count,) = re.findall(r"completions: (\d+)", manifest)
    found = [from_environment({"TFCORE_WORKERS": addresses, "JOB_COMPLETION_INDEX": str(n)}) for n in range(int(count))]
    assert found == [Cluster(("tfcore-0.tfcore:2222", "tfcore-1.tfcore:2222"), number) for number in (0, 1)]
    (line,) = re.findall(r"^srun .* tfcore train (.*)$", (EXAMPLES / "train.sbatch").read_text("utf-8"), re.MULTILINE)
    assert flags.parse("train", line.split()).options["max_time"] == "3h50m"
