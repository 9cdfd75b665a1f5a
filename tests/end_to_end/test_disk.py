"""Disks that are too small, turn read-only or vanish: one error, nothing lost, and the same command goes on."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
# Small file systems need a namespace, and one thread for whoever enters it, so the cases have a process of their own.
ENTER = """
import sys
from benchmarks import small_disk
small_disk.enter()
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_the_cases_that_need_disks_of_their_own() -> None:
    cases = pathlib.Path(__file__).with_name("disk_cases.py")
    command = [sys.executable, "-c", ENTER, "-p", "no:cacheprovider", "--capture=no", str(cases)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr.strip().rpartition("\n")[2]
