"""The doctor command, alone and in the workers of a cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfcore.cli.main import main
from tfcore.distribution import launch
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
    assert ("all workers see the same runs" if is_there else "runs is not there yet") in text
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
