"""Checks after a rehearsal that the hooks of killed_process.py observe all phases of a run."""

from typing import Any

from tools.reliability.killed_runs.kill_plan import Habits
from tools.reliability.killed_runs.killed_process import HOOKS, Phase


def missed(habits: Habits, hooks: set[str], metrics: list[dict[str, Any]]) -> list[str]:
    """The phases and hooks that a finished rehearsal missed, in sentences; kills aimed at them would miss too.

    Args:
        habits: learnt from its processes.
        hooks: by which they entered a phase.
        metrics: the lines of its metrics file.
    """
    found = []
    if unreached := [name for name in HOOKS if name not in hooks]:
        found.append(f"These hooks were never reached: {', '.join(unreached)}.")
    if unseen := [phase.name for phase in Phase if not habits.secs[phase]]:
        found.append(f"These phases were never entered: {', '.join(unseen)}.")
    entered, logged = len(habits.secs[Phase.EVALUATION]), sum(map(_evaluations, metrics))
    if entered < logged:
        found.append(f"The run logged {logged} evaluations, and the phase EVALUATION was entered {entered} times.")
    return found


def _evaluations(line: dict[str, Any]) -> int:
    """The number of evaluations that a line of the metrics file is made from: one more with the averaged weights."""
    averages = any(name.startswith("average_") for name in line)
    return 0 if line["split"] == "train" else 1 + averages
