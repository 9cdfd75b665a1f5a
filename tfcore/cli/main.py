"""The entry point of all commands: parses the flags and loads only the module of the given command."""

import importlib
import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from tfcore import __version__, checks
from tfcore.build import user_code
from tfcore.cli import flags, launch, show_kinds
from tfcore.errors import ConfigError, TfcoreError

COMMANDS = {
    "train": "Train a model, or resume a run.",
    "launch": "Train a model, or resume a run, as several processes on this machine.",
    "doctor": "Check this machine, and the workers of a run, before a training.",
    "sweep": "Train a run for each combination of settings, and rank them.",
    "eval": "Score a run's model.",
    "predict": "Classify picture files.",
    "export": "Save a run's model for other programs.",
    "convert": "Write a data set as text, npz, PNG files or records.",
    "show": "Draw examples of a data set, or a model's filters and feature maps.",
    "report": "Write a report of a run, or a comparison of several, as one HTML page.",
    "lr_find": "Train with a rising learning rate, and draw the loss against it.",
    "benchmark": "Measure training and evaluation throughput.",
}
_INTERRUPTED = 130
_HELP = ("-h", "--help", "help")
STARTED = time.monotonic()  # start of the time to the first step


def console(command: str | None = None) -> NoReturn:
    """Runs a command with the process's arguments and exits with its status."""
    _open_standard_streams()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # a picture is either used or refused with an error
    _print_warnings()
    sys.exit(main(sys.argv[1:] if command is None else [command, *sys.argv[1:]]))


def main(arguments: Sequence[str]) -> int:
    """Runs `COMMAND --flag=value …`; returns the status: 0, 1 (failed), 2 (bad flags), 130 or 143 (stopped)."""
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()  # inside the `try`, so that a closed pipe or full disk is reported
        return status
    except TfcoreError as error:
        return _fail(str(error), error.exit_status)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as error:  # without a file name it comes from standard output
        return _fail(f"{error.filename or 'Standard output'} cannot be used: {error.strerror or error}.", 1)
    except MemoryError as error:
        return _fail(f"out of memory. {error}", 1)
    except Exception as error:
        if not user_code.place(error):
            raise  # a bug in tfcore, which needs the traceback
        return _fail(f"Your own code raises an error: {user_code.told(error)}.", ConfigError.exit_status)


def _fail(message: str, status: int) -> int:
    """Prints one line with control characters escaped, and returns the status.

    Unprintable output is discarded: Python would retry at exit.
    """
    with suppress(OSError):
        print(f"error: {checks.one_line(message)}", file=sys.stderr, flush=True)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return status


def _open_standard_streams() -> None:
    """Opens closed standard streams (`>&-`) on the null device, or the run's first files would get their descriptors.

    Python has None for such a stream, and TensorFlow's C++ code would print into the file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, open until exit; takes the lowest descriptor


def _print_warnings() -> None:
    """Prints warnings of the `tfcore` logger in the form of other warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    logging.getLogger("tfcore").addHandler(handler)


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in _HELP:
        print(_overview())
        return 0 if arguments else 2
    command, *rest = arguments
    if command == "--version":
        print(f"tfcore {__version__}")
        return 0
    if command not in COMMANDS:
        raise ConfigError(
            f"Unknown command '{command}'. Expected {', '.join(COMMANDS)}.{checks.nearest(command, COMMANDS)}"
        )
    if command == "show":
        if not rest or rest[0] in _HELP:
            print(show_kinds.overview())
            return 0 if rest else 2
        command, rest = show_kinds.command(rest)
    if command == "launch":
        own, after = launch.split(rest)
        parsed = flags.parse(command, own)._replace(arguments=tuple(after))
    else:
        parsed = flags.parse(command, rest)
    if parsed.wants_help:
        print(flags.usage(command))
        return 0
    module = importlib.import_module(f"tfcore.cli.{command.partition(' ')[0]}")
    status: int = module.run(parsed)
    return status


def _overview() -> str:
    lines = [f"  tfcore {name:<12}{description}" for name, description in COMMANDS.items()]
    return "\n".join(["Usage:", *lines, "", "`tfcore COMMAND --help` shows its flags."])
