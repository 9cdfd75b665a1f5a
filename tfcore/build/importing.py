"""Imports TensorFlow without its start-up messages, without Keras, and without garbage collection meanwhile."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any


def import_tensorflow_for_good() -> None:
    """Imports TensorFlow in a process that runs tfcore alone, and freezes its objects for the garbage collector.

    Collecting garbage among TensorFlow's hundreds of thousands of objects takes a sixth of the import, and a tenth of a
    second each time later. Does nothing if TensorFlow is already loaded: the process then belongs to other code.
    """
    if "tensorflow" in sys.modules:
        return
    gc.disable()
    try:
        import_tensorflow()
    finally:
        gc.freeze()
        gc.enable()


def import_tensorflow() -> None:
    """Imports TensorFlow without Keras, which a first use of `tf.keras` loads; shows its messages only if it fails.

    Its C++ code writes to the file descriptor before it reads any log level, so the descriptor is redirected. Errors of
    C++ still arrive as Python exceptions; set TF_CPP_MIN_LOG_LEVEL=0 to see the log as well.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0":
        with _keras_left_out():
            import tensorflow
        return
    sys.stderr.flush()
    saved = os.dup(2)
    with os.fdopen(os.memfd_create("stderr"), "w+b") as caught:  # no file: /tmp may be full
        os.dup2(caught.fileno(), 2)
        try:
            with _keras_left_out():
                import tensorflow
            tensorflow.get_logger().setLevel("ERROR")
        except BaseException:
            caught.seek(0)
            os.write(saved, caught.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


@contextmanager
def _keras_left_out() -> Iterator[None]:
    """Keeps Keras from being imported inside the context.

    TensorFlow imports it at the end of its own import, for what it registers with old SavedModels, and goes on where
    that fails. Keras and matplotlib, which Keras imports, take a quarter of the time of the whole import.
    """
    finder = _NotYet()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _NotYet(MetaPathFinder, Loader):
    """Finds Keras, but does not load it: TensorFlow looks up its folder for `import tensorflow.keras`."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Returns the place of Keras with this loader; None for every other module."""
        del path, target
        real = PathFinder.find_spec(fullname) if fullname == "keras" else None
        return ModuleSpec(fullname, self, origin=real.origin) if real else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Raises ImportError."""
        raise ImportError(f"{spec.name} is loaded when it is first used")

    def exec_module(self, module: Any) -> None:
        """Is never reached; the import system asks for it."""
