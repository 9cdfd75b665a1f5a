"""`launch`: runs a command as several processes on this machine."""

import sys
from collections.abc import Sequence

from tfcore import checks, machine
from tfcore.cli import flags
from tfcore.distribution.launch import Launch
from tfcore.errors import ConfigError

_LAUNCHED = ("train", "doctor")
_FAILED = 1  # the status of a run that a worker or the machine has ended, and of one that cannot go on


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits the arguments of `launch` into its own flags, and the command after them with its flags.

    Raises:
        ConfigError: another command than `train` and `doctor`.
    """
    place = next((place for place, text in enumerate(arguments) if not text.startswith("-")), len(arguments))
    own, command = list(arguments[:place]), list(arguments[place:])
    if (command and command[0] in _LAUNCHED) or {"--help", "-h"} & set(own):
        return own, command
    found = f"Received '{command[0]}'." if command else "Received no command."
    raise ConfigError(f"Expected `tfcore launch --workers=N train …`, with flags as --name=value. {found}")


def run(parsed: flags.Parsed) -> int:
    """Runs the command with several workers, and returns the exit status."""
    count, threads = parsed.options["workers"], parsed.options["threads"]
    checks.positive_integer("workers", count)
    checks.not_negative("threads", threads)
    command, *arguments = parsed.arguments
    if flags.parse(command, arguments).wants_help:  # also one error in place of one for each worker
        print(flags.usage(command))
        return 0
    restarts = _restarts(parsed, command, arguments)
    share = threads or max(1, machine.processors() // count)
    settings = [f"--intra_op_threads={share}"] if command == "train" else []
    program = [sys.executable, "-m", "tfcore", command, *settings, *arguments]
    for left in range(restarts, -1, -1):
        with Launch(program, count) as workers:
            status, told = workers.wait()
        for line in told:
            print(line, file=sys.stderr)
        if status != _FAILED or not left:
            break
        print(f"Starting all workers again, at most {left} more times.", file=sys.stderr, flush=True)
    return status


def _restarts(parsed: flags.Parsed, command: str, arguments: Sequence[str]) -> int:
    """How often to start again after a failure; each start must go on with the same run."""
    restarts: int = parsed.options["restarts"]
    checks.not_negative("restarts", restarts)
    if restarts and (command != "train" or not flags.parse(command, arguments).options["run_dir"]):
        raise ConfigError("--restarts needs `train --run_dir=FOLDER`: each start goes on from the newest checkpoint.")
    return restarts
