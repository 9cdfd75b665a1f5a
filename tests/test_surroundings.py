"""No test depends on what it inherits: signals, environment variables and the umask are the same in every run."""

import os
import pathlib
import subprocess
import sys

TESTS = pathlib.Path(__file__).parent
IGNORED = "trap '' HUP INT QUIT TERM; umask 077; exec \"$@\""  # as a background job of a script has it
ODD = {
    "COLUMNS": "20",
    "FORCE_COLOR": "1",
    "LC_ALL": "C",
    "MPLBACKEND": "none",
    "NO_COLOR": "1",
    "OMP_NUM_THREADS": "7",
    "PYTHONUNBUFFERED": "1",
    "TERM": "xterm",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TZ": "Asia/Tokyo",
}
SEEN = """
import os, signal, subprocess, sys
from support import surroundings

surroundings.make_neutral()
print(sorted(set(os.environ.items()) & set(eval(sys.argv[1]).items())))
print(oct(os.umask(0)), signal.pthread_sigmask(signal.SIG_BLOCK, ()))
ignored = subprocess.run(["grep", "SigIgn", "/proc/self/status"], capture_output=True, text=True).stdout.split()[1]
named = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM")
print([name for name in named if int(ignored, 16) >> getattr(signal, name) - 1 & 1])
"""


def run_with(arguments: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs Python as a background job of a script would, with these variables."""
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}:{TESTS}", **variables}
    command = ["sh", "-c", IGNORED, "sh", sys.executable, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def test_signals_variables_and_umask_are_neutral_for_this_process_and_its_children() -> None:
    done = run_with(["-u", "-c", SEEN, repr(ODD)], **ODD)
    assert done.stdout.splitlines() == ["[]", "0o22 set()", "[]"], done.stderr


def test_the_tests_themselves_run_so() -> None:
    tests = ["training/test_signals.py::test_afterwards_ctrl_c_interrupts_again", "test_surroundings.py::test_here"]
    arguments = ["-p", "no:cacheprovider", "-p", "no:xdist", *(str(TESTS / test) for test in tests)]
    done = run_with(["-m", "pytest", *arguments], **ODD)
    assert done.returncode == 0, done.stdout


def test_here() -> None:
    assert set(os.environ.items()) & set(ODD.items()) == set()
    assert os.environ["LC_ALL"] == "C.UTF-8"
