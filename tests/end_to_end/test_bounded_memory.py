"""Inputs that claim, unpack to or are gigabytes, read by a process limited to a quarter of a gigabyte."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.readers import READERS

pytestmark = pytest.mark.thorough

TESTS = Path(__file__).parents[1]
# Their files declare no sizes beyond those of the first reader of their kind.
SAME = {"idx labels", "text file"}


def test_every_reader_says_what_is_wrong_before_it_takes_memory() -> None:
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}:{TESTS}"}
    done = subprocess.run(
        [sys.executable, str(TESTS / "support" / "huge.py")],
        check=False, capture_output=True, text=True, env=environment, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    control, *trials = [json.loads(line) for line in done.stdout.splitlines()]
    assert control["said"].startswith("MemoryError")
    for trial in trials:
        assert re.match(r"refused: .*FOLDER", trial["said"]), trial
        assert "\n" not in trial["said"]
    assert {trial["reader"] for trial in trials} == READERS.keys() - SAME
