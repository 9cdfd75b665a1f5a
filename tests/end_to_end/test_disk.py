"""Disks that are too small, turn read-only or vanish: one error, nothing lost, and the same command resumes."""

import json
import pathlib
import subprocess
import sys

import pytest

from tools.reliability import disks, write_page

ROOT = pathlib.Path(__file__).parents[2]
# Mounting small file systems needs a namespace, which only a single-threaded process can enter: a separate one.
ENTER = """
import sys
from tools.reliability import small_disk
small_disk.enter()
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.thorough
def test_the_cases_that_need_disks_of_their_own() -> None:
    cases = pathlib.Path(__file__).with_name("disk_cases.py")
    command = [sys.executable, "-c", ENTER, "-p", "no:cacheprovider", "--capture=no", str(cases)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr.strip().rpartition("\n")[2]


def test_the_figures_are_of_this_run_and_end_in_every_place() -> None:
    measured = json.loads((write_page.RECORDS / "disks.json").read_text(encoding="utf-8"))
    assert measured["flags"] == list(disks.FLAGS)
    assert measured["ended_at"].keys() == disks.PLACES.keys() - {"pictures"}  # the campaign's run writes no pictures
    assert sum(measured["ended_at"].values()) == measured["tried"] == measured["survived"]
    assert (measured["lost"], measured["problems"]) == (0, {})
