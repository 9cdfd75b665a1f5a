"""Importing TensorFlow: silent, and without garbage collection in a process of tfcore alone."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.thorough

CODE = """
import gc
from tfcore.build import importing
importing.{name}()
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
"""


def imported(name: str) -> subprocess.CompletedProcess[str]:
    """Imports TensorFlow in a separate process."""
    return subprocess.run([sys.executable, "-c", CODE.format(name=name)], check=True, capture_output=True, text=True)


@pytest.mark.parametrize(("name", "frozen"), [("import_tensorflow", False), ("import_tensorflow_for_good", True)])
def test_only_a_process_of_its_own_puts_what_it_imported_out_of_the_collectors_sight(name: str, frozen: bool) -> None:
    done = imported(name)
    assert done.stdout == f"True {frozen}\n"
    assert done.stderr == ""
