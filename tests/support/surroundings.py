"""Makes what a process inherits from the one that started it the same for every run of the tests."""

import os
import signal

# A script's background job, nohup or a CI runner may have these ignored or blocked; children would inherit that.
_SIGNALS = {
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
    signal.SIGQUIT: signal.SIG_DFL,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGCHLD: signal.SIG_DFL,
}
# Variables that change what make, Python, TensorFlow, rich, matplotlib or tfcore compute, print or warn of.
_REMOVED = ("COLUMNS", "FORCE_COLOR", "LANG", "LANGUAGE", "LINES", "NO_COLOR", "SOURCE_DATE_EPOCH", "TTY_COMPATIBLE",
            "TTY_INTERACTIVE", "TZ", "XLA_FLAGS")  # fmt: skip
_REMOVED_PREFIXES = ("LC_", "MAKE", "MKL_", "MPL", "OMP_", "OPENBLAS_", "TF_")
_PYTHON = ("PYTHONIOENCODING", "PYTHONOPTIMIZE", "PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHONWARNINGS")
_SET = {"LC_ALL": "C.UTF-8", "TERM": "dumb", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
_UMASK = 0o022


def make_neutral() -> None:
    """Sets signal dispositions, environment variables and the umask to what the tests expect.

    TensorFlow reads its variables when it is first imported, so call this before that. TFCORE_DATA_DIR stays: it says
    where the real data is.
    """
    for number, handler in _SIGNALS.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for name in list(os.environ):
        if name in (*_REMOVED, *_PYTHON) or name.startswith(_REMOVED_PREFIXES):
            del os.environ[name]
    os.environ.update(_SET)
    os.umask(_UMASK)
