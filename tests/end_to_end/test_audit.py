"""No input is executed: an audit hook watches while every reader loads hostile inputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.readers import READERS

pytestmark = pytest.mark.thorough

TESTS = Path(__file__).parents[1]
CONTROLS = {  # forbidden actions of the script, and the events that must be caught
    "unpickle": "pickle.find_class", "unpickle an array": "pickle.find_class", "exec": "exec", "compile": "compile",
    "import": "import", "process": "subprocess.Popen", "spawn": "os.posix_spawn", "system": "os.system",
    "library": "ctypes.dlopen", "write": "open", "remove": "os.remove", "link": "os.symlink",
}  # fmt: skip


def test_no_input_is_run_and_the_hook_would_see_it(tmp_path: Path) -> None:
    """Runs in a separate process, since audit hooks cannot be removed."""
    done = subprocess.run(
        [sys.executable, str(TESTS / "support" / "audited.py")],
        check=False, capture_output=True, text=True, cwd=tmp_path, timeout=200,
        env={**os.environ, "PYTHONPATH": f"{TESTS.parent}:{TESTS}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for trial in found["inputs"]:
        assert (trial["caught"], trial["executed"]) == ([], []), trial
        assert trial["said"].startswith(("read", "refused: ")), trial
    assert {trial["reader"] for trial in found["inputs"]} == READERS.keys()
    caught = {name: {line.split()[0] for line in trial["caught"]} for name, trial in found["controls"].items()}
    assert caught.keys() == CONTROLS.keys()
    for name, event in CONTROLS.items():
        assert event in caught[name], name
