"""Importing TensorFlow: silent, without Keras, and without garbage collection in a process of tfcore alone."""

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


KERAS = """
import sys
from tfcore.build import importing
importing.import_tensorflow()
print({"keras", "matplotlib"} & set(sys.modules))
import tensorflow as tf
import tensorflow.keras.layers
from tensorflow.keras import Sequential
print(Sequential([tf.keras.layers.Dense(3)])(tf.ones([1, 2])).shape, tf.optimizers.Adam.__name__)
import keras
print(keras.layers.Dense is tf.keras.layers.Dense, any(type(finder).__name__ == "_NotYet" for finder in sys.meta_path))
"""


def test_keras_is_loaded_when_it_is_first_used() -> None:
    done = subprocess.run([sys.executable, "-c", KERAS], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["set()", "(1, 3) Adam", "True False"]


def test_keras_that_is_loaded_already_stays() -> None:
    code = "import keras\nfrom tfcore.build import importing\nimporting.import_tensorflow()\n"
    code += "import tensorflow as tf; print(tf.keras.layers.Dense is keras.layers.Dense)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "True\n"
