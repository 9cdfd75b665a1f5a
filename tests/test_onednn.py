"""Importing tfcore before TensorFlow turns oneDNN on, unless the environment says otherwise."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.thorough

NAME = "TF_ENABLE_ONEDNN_OPTS"
IS_ON = "oneDNN custom operations are on"  # TensorFlow says so as it is imported


def log_of(code: str, **variables: str) -> str:
    """TensorFlow's messages, and what the code prints."""
    inherited = {name: value for name, value in os.environ.items() if name != NAME}
    environment = {**inherited, "TF_CPP_MIN_LOG_LEVEL": "0", **variables}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    return done.stdout


def test_tfcore_turns_it_on() -> None:
    assert IS_ON in log_of("import tfcore, tensorflow")


def test_the_environment_decides_if_it_says_something() -> None:
    assert IS_ON not in log_of("import tfcore, tensorflow", **{NAME: "0"})


def test_a_process_that_has_loaded_tensorflow_stays_as_it_is() -> None:
    assert log_of(f"import os, tensorflow, tfcore; print(os.environ.get('{NAME}'))").endswith("None\n")
