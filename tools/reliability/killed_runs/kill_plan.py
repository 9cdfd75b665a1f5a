"""Chooses the moments to kill at: shares of phases, distributed over runs, each moment drawn from a seed."""

import math
import random
from collections import Counter
from dataclasses import dataclass, field

from tools.reliability.killed_runs.killed_process import HOOK, OPERATION, Aim, Phase

# The shares aimed at, and the least shares of the kills; a phase without a least share needs one kill.
SHARES = {
    Phase.RESULT: 0.05,
    Phase.STARTING: 0.05,
    Phase.LOG: 0.05,
    Phase.WRITE: 0.25,
    Phase.EVALUATION: 0.15,
    Phase.ROTATION: 0.15,
    Phase.RESUMING: 0.1,
    Phase.TRAINING: 0.2,
}
LEAST = {Phase.WRITE: 0.2, Phase.EVALUATION: 0.1, Phase.ROTATION: 0.1}
KILLS_PER_RUN = 8
_FIRST_STARTS = 4  # one run in this many is killed before its first step as well
_HAVE_STEPS = (Phase.TRAINING, Phase.EVALUATION, Phase.LOG, Phase.WRITE, Phase.ROTATION)
_LATE_RUNS = 4  # one run in this many is killed close to its end only
_LATE_TIMES = 3  # times of a phase before its last one
_ONCE_A_PROCESS = (Phase.FIRST_START, Phase.STARTING, Phase.RESUMING)  # possibly in several pieces
_ENDS = 2  # of a phase, which are reported like file operations
_SHORT_SECS = 0.005  # a kill from outside comes too late for shorter phases


def missing(tried: Counter[Phase], kills: int) -> list[Phase]:
    """The phases to aim at until there are `kills` after the first step, and the least share of each phase.

    Args:
        tried: kills so far by phase; those before the first step do not count.
    """
    have = Counter({phase: tried[phase] for phase in SHARES})
    found = []
    while have.total() < kills or any(have[phase] < least(phase, have.total()) for phase in SHARES):
        total = max(kills, have.total() + 1)
        phase = max(SHARES, key=lambda phase: max(SHARES[phase] * total, least(phase, total)) - have[phase])
        have[phase] += 1
        found.append(phase)
    return found


def least(phase: Phase, kills: int) -> int:
    """The least number of `kills` kills that must be in a phase."""
    return max(1, math.ceil(LEAST.get(phase, 0) * kills))


def deal(phases: list[Phase], number: int, chance: random.Random) -> list[list[Phase]]:
    """Shuffles the phases and distributes them over runs, numbered from `number`."""
    shuffled = chance.sample(phases, len(phases))
    runs = math.ceil(len(shuffled) / KILLS_PER_RUN)
    return [_in_order(shuffled[place::runs], number + place) for place in range(runs)]


def _in_order(phases: list[Phase], number: int) -> list[Phase]:
    """Puts a phase after the first step first, as only a run with a step is resumed, and the end of the run last."""
    first = next((phase for phase in phases if phase in _HAVE_STEPS), None)
    rest = list(phases)
    if first is not None:
        rest.remove(first)
    rest.sort(key=lambda phase: phase == Phase.RESULT)
    outset = [Phase.FIRST_START] if number % _FIRST_STARTS == 0 else []
    return [*outset, Phase.TRAINING if first is None else first, *rest]


@dataclass
class Habits:
    """How often each phase comes and how long it lasts, observed in a run that was killed once, in the middle.

    Attributes:
        secs: the length of each time of a phase.
        operations: the number of file operations in each.
    """

    secs: dict[Phase, list[float]] = field(default_factory=lambda: {phase: [] for phase in Phase})
    operations: dict[Phase, list[int]] = field(default_factory=lambda: {phase: [] for phase in Phase})

    def learn(self, reported: list[tuple[int, float]]) -> None:
        """Adds the bytes of a process, with their times. Its last phase was cut short and does not count."""
        began, count = 0.0, 0
        phase: Phase | None = None
        for byte, time in reported:
            if byte == OPERATION:
                count += 1
            if byte >= HOOK:
                continue
            if phase is not None:
                self.secs[phase].append(time - began)
                self.operations[phase].append(count)
            phase, began, count = Phase(byte), time, 0

    def usual_secs(self, phase: Phase) -> float:
        """The mean length of a phase."""
        return sum(self.secs[phase]) / len(self.secs[phase])

    def aims(self, phases: list[Phase], number: int, chance: random.Random) -> list[Aim]:
        """Draws a moment in each phase: in some runs all of them close to the end, in the others spread."""
        late = number % _LATE_RUNS == _LATE_RUNS - 1
        return [self._aim(phase, chance, late=late, first=place == 0) for place, phase in enumerate(phases)]

    def _aim(self, phase: Phase, chance: random.Random, *, late: bool, first: bool) -> Aim:
        operations, times = max(self.operations[phase]), len(self.secs[phase])
        if phase in _ONCE_A_PROCESS:
            entry = chance.randint(1, times)
        elif late:
            entry = max(1, times - chance.randint(0, _LATE_TIMES)) if first else chance.randint(1, _LATE_TIMES)
        else:
            entry = chance.randint(1, max(1, 2 * times // (KILLS_PER_RUN + 1)))
        if operations and (self._is_hard_to_hit(phase) or (operations > _ENDS and chance.random() < 0.5)):
            return Aim(phase, entry, operation=chance.randint(1, operations))
        return Aim(phase, entry, part=chance.random())

    def _is_hard_to_hit(self, phase: Phase) -> bool:
        """Whether a kill from outside would often miss it, because it is short or comes only once."""
        return self.usual_secs(phase) < _SHORT_SECS or phase == Phase.FIRST_START
