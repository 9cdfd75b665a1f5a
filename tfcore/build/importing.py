"""Importing TensorFlow without its start-up chatter, and without Python's search for garbage on the way."""

import gc
import os
import sys


def import_tensorflow_for_good() -> None:
    """The same in a process that is tfcore's own, and done with when tfcore is.

    TensorFlow's hundreds of thousands of objects are put out of the sight of Python's garbage collector. Looking
    through them while they are made takes a sixth of the import, and a tenth of a second each time later. Where
    TensorFlow is there already, the process is another's, and nothing is done.
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
    """Imports TensorFlow. What it prints on the way is shown only if the import fails.

    Its C++ side writes to the descriptor before any log level is read, so the descriptor is what has to be diverted.
    C++ errors still arrive as Python exceptions; set TF_CPP_MIN_LOG_LEVEL=0 to see its log as well.
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
