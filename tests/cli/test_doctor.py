"""The doctor command, alone and in the workers of a cluster."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tfcore.cli.main import main
from tfcore.distribution import launch
from tfcore.distribution.cluster import Cluster
from tfcore.doctor import local

ROOT = Path(__file__).parents[2]


def test_a_line_for_each_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", f"--folder={tmp_path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split(" ", 1)[0] for line in lines} <= {"ok", "note"}
    assert f"files in {tmp_path} can be written, renamed and locked." in lines[-1]


def test_something_bad_is_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--folder=/proc/runs", f"--data_dir={tmp_path}", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [one["what"].partition(":")[0] for one in found if one["state"] == local.BAD] == ["/proc cannot be written"]


@pytest.mark.thorough
@pytest.mark.parametrize("is_there", [True, False])
def test_the_workers_of_a_cluster_check_each_other(tmp_path: Path, is_there: bool) -> None:
    if is_there:
        (tmp_path / "runs").mkdir()
    command = [sys.executable, "-m", "tfcore", "launch", "--workers=3", "doctor", "--folder=runs", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    text = "\n".join(one["what"] for one in json.loads(done.stdout)["findings"])
    assert "3 workers are connected, with the same versions" in text
    assert "the workers' clocks are within 0." in text
    assert ("all workers see the same runs" if is_there else "the chief cannot write runs: whether") in text
    assert "the sum of 1 million numbers over all workers takes " in text
    assert [path for path in tmp_path.rglob("*") if path.name != "runs"] == []


@pytest.mark.thorough
def test_workers_may_be_listed_as_by_mpirun(tmp_path: Path) -> None:
    addresses = ",".join(launch.addresses(2))
    given = {**os.environ, "PYTHONPATH": str(ROOT), "TFCORE_WORKERS": addresses}
    command = [sys.executable, "-m", "tfcore", "doctor", "--folder=runs", "--join_timeout=60"]
    workers = [
        subprocess.Popen(command, env={**given, "OMPI_COMM_WORLD_RANK": rank}, cwd=tmp_path, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for rank in "01"
    ]  # fmt: skip
    (chief, _), (other, told) = (worker.communicate(timeout=120) for worker in workers)
    assert [worker.returncode for worker in workers] == [0, 0], told
    assert "ok    2 workers are connected, with the same versions." in chief
    assert other == ""


def waiting(port: int, folder: Path, *flags: str) -> "subprocess.Popen[str]":
    """Starts worker 0 of two, at a port; nothing listens at the address of the other."""
    cluster = Cluster((f"127.0.0.1:{port}", "127.0.0.1:1"), 0)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CONFIG": cluster.tf_config}
    command = [sys.executable, "-m", "tfcore", "doctor", *flags]
    return subprocess.Popen(command, env=environment, cwd=folder, text=True, start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


@pytest.mark.thorough
def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        printed, told = waiting(port, tmp_path, "--join_timeout=30").communicate(timeout=60)
    assert printed == ""
    assert told.startswith(f"error: worker 0 at 127.0.0.1:{port} cannot join the others: Could not start gRPC server.")
    assert told.endswith("Check that no other process uses the port, and that all workers were started anew.\n")
    assert told.count("\n") == 1


@pytest.mark.thorough
def test_ctrl_c_ends_the_wait_for_others(tmp_path: Path) -> None:
    (address,) = launch.addresses(1)
    process = waiting(int(address.rpartition(":")[2]), tmp_path)
    assert process.stderr is not None
    assert process.stderr.readline() == "Waiting for worker 1 at 127.0.0.1:1.\n"
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does
    _, told = process.communicate(timeout=10)
    assert (process.returncode, told) == (-signal.SIGINT, "")
