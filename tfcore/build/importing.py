"""Imports TensorFlow without its start-up messages and without garbage collection meanwhile."""

import gc
import os
import sys


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
    """Imports TensorFlow; shows its messages only if the import fails.

    Its C++ code writes to the file descriptor before it reads any log level, so the descriptor is redirected. Errors of
    C++ still arrive as Python exceptions; set TF_CPP_MIN_LOG_LEVEL=0 to see the log as well.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0":
        import tensorflow

        return
    sys.stderr.flush()
    saved = os.dup(2)
    with os.fdopen(os.memfd_create("stderr"), "w+b") as caught:  # no file: /tmp may be full
        os.dup2(caught.fileno(), 2)
        try:
            import tensorflow

            tensorflow.get_logger().setLevel("ERROR")
        except BaseException:
            caught.seek(0)
            os.write(saved, caught.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
