"""Where a run goes on from: its newest readable checkpoint, or its beginning."""

from pathlib import Path
from typing import TYPE_CHECKING

from tfcore.errors import ConfigError, RunError
from tfcore.run import messages
from tfcore.use import loading

if TYPE_CHECKING:
    from tfcore.run.session import Session

_SAVED = ("interrupted", "finished", "stopped_early")  # a run that ended so has left a checkpoint


def resume(session: "Session") -> int:
    """Puts every variable where the newest readable checkpoint has it, and gives back its step; 0 for a new run.

    Raises:
        ConfigError: the run is longer than the one that is asked for.
        RunError: see `restore_variables`.
    """
    done = session.newest_step()
    if done > session.total_steps:
        raise ConfigError(
            f"The run in {session.folder.path} has done {done} steps, more than the {session.total_steps} asked for."
        )
    step = restore_variables(session)
    if step:
        session.details.print(f"Resuming {session.folder.path} at step {step} of {session.total_steps}.")
    return step


def restore_variables(session: "Session") -> int:
    """The same, whatever the length asked for.

    Raises:
        RunError: there are checkpoints, and none can be read; or there have been some, and they are gone.
    """
    if session.checkpoints.steps():
        about, damaged = session.checkpoints.restore_newest()
        messages.warn_of_damage(session, damaged)
        messages.warn_of_differences(session, session.provenance.differences(about))
        return int(about["step"])
    if session.folder.read_result().get("status") in _SAVED:
        raise RunError(
            f"The run in {session.folder.path} has saved checkpoints, and {session.folder.checkpoints} holds none. "
            "Bring them back from a copy, or start anew in another --run_dir."
        )
    if session.config.init_from:
        path = Path(session.config.init_from)
        loading.assign_weights(session.model, loading.read_weights(path), path)
        session.details.print(f"Starting from the weights of {path}.")
    return 0


def how_to_go_on(session: "Session") -> str:
    """What a disk that failed has left, and what to do."""
    step = session.newest_step()
    where = f"goes on from the checkpoint of step {step}" if step else "starts anew: there is no checkpoint"
    return f"Once the disk can be written again, the same command with --run_dir={session.folder.path} {where}."
