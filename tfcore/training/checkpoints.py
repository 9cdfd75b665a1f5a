"""A run's checkpoints: complete or not there at all, the newest and the best of them kept.

Each is a folder, written under a temporary name and renamed, so no list of checkpoints is needed that could disagree
with the files: the folders are the list.
"""

import math
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfcore.errors import DiskError, RunError
from tfcore.files import UNFINISHED, reason, sync
from tfcore.training import checkpoint_files
from tfcore.training.checkpoint_files import DamagedCheckpointError

_NAME = re.compile(r"step-(\d{10})")
_DAMAGED = "damaged-"


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie; made at the first save.
        state: every variable of the run by name; names, never positions, tie a file to a variable.
        about: gives facts about the process (versions, threads) that bear on exactness, saved with the variables.
        keep: how many of the newest to keep, at least 1; None for all.
        keep_best: how many to keep besides for their scores, at least 1.
        lower_is_better: of the scores.
        warn: prints a line about what is no reason to end a run.
    """

    def __init__(
        self,
        folder: Path,
        state: Mapping[str, tf.Variable],
        *,
        about: Callable[[], Mapping[str, Any]] = dict,
        keep: int | None = 3,
        keep_best: int = 1,
        lower_is_better: bool = True,
        warn: Callable[[str], None] = print,
    ) -> None:
        self._folder, self._state, self._keep, self._keep_best = folder, dict(state), keep, keep_best
        self._about, self._sign, self._warn = about, 1.0 if lower_is_better else -1.0, warn
        self._known_scores: dict[int, float | None] = {}  # each is read once, not at every save

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, ascending."""
        return steps_in(self._folder)

    def save(self, step: int, *, score: float | None = None, keep_step: int | None = None) -> None:
        """Writes the state under `step`, then deletes what is no longer kept.

        Args:
            step: completed steps.
            score: of the validation at this step, where there was one; it is stored inside.
            keep_step: of a checkpoint that stays whatever its score.

        Raises:
            DiskError: the folder cannot be written; earlier checkpoints are as they were.
        """
        final = _path(self._folder, step)
        scratch = self._folder / f"{UNFINISHED}{final.name}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self.sweep()
            scratch.mkdir()
            checkpoint_files.write(scratch, self._state, {"step": step, "score": score, **self._about()})
            if final.exists():
                _delete(final)
            scratch.rename(final)
            sync(self._folder)
        except (OSError, tf.errors.OpError) as error:
            shutil.rmtree(scratch, ignore_errors=True)
            raise DiskError(
                f"The checkpoint of step {step} could not be written to {self._folder}: {reason(error)}."
            ) from error
        self._known_scores[step] = score
        self.rotate(keep_step=keep_step)

    def is_among_best(self, score: float) -> bool:
        """Whether a checkpoint with this score would be kept for it. Of two equal ones the earlier is the better."""
        if math.isnan(score):
            return False
        ranked = self._best()
        return len(ranked) < self._keep_best or self._sign * score < self._sign * ranked[-1][0]

    def restore(self, step: int, *, only: str = "") -> dict[str, Any]:
        """Reads the variables whose names begin with `only` (all, if empty) and gives back what `about` was.

        Names, shapes and dtypes are compared before any variable changes.

        Raises:
            DamagedCheckpointError: its files are not what was written.
            RunError: no such checkpoint, or one that does not fit.
        """
        about = self.about(step)
        wanted = {name: variable for name, variable in self._state.items() if name.startswith(only)}
        checkpoint_files.restore(_path(self._folder, step), wanted, everything=not only)
        return about

    def restore_newest(self) -> tuple[dict[str, Any], list[str]]:
        """Reads the newest checkpoint that is not damaged; damaged ones are renamed, so that they are out of the way.

        Returns:
            What `about` was, with its `step`, and a sentence for each damaged one.

        Raises:
            RunError: there is none, or none fits; then nothing has changed.
        """
        failed: dict[int, RunError] = {}
        for step in reversed(self.steps()):
            try:
                about = self.restore(step)
            except RunError as error:  # where an older one fits, what does not fit is damaged too
                failed[step] = error
            else:
                return about, [f"{error} It is now {self._put_aside(bad)}." for bad, error in failed.items()]
        for misfit in failed.values():
            if not isinstance(misfit, DamagedCheckpointError):
                raise misfit
        found = " ".join(map(str, failed.values())) or "There is none."
        raise RunError(
            f"The run cannot go on, as no checkpoint in {self._folder} can be read. {found} "
            "Bring one back from a copy, or start anew in another --run_dir."
        )

    def about(self, step: int) -> dict[str, Any]:
        """What was said about the process that saved this checkpoint, with its `step` and `score`.

        Raises:
            DamagedCheckpointError: it cannot be read, or was written as that of another step.
            RunError: there is no such checkpoint.
        """
        folder = self._existing(step)
        about = checkpoint_files.about(folder)
        if about.get("step") != step:
            raise DamagedCheckpointError(f"The checkpoint {folder} was written as that of step {about.get('step')}.")
        return about

    def names(self, step: int) -> list[str]:
        """The names of all variables in a checkpoint, which together claim no more bytes than it has.

        Raises:
            DamagedCheckpointError: its files are not what was written.
            RunError: there is no such checkpoint.
        """
        return checkpoint_files.names(self._existing(step))

    def read(self, step: int, name: str) -> Any:
        """The value of one variable in a checkpoint, as NumPy; no variable changes.

        Raises:
            DamagedCheckpointError: it cannot be read.
            RunError: there is no such checkpoint.
        """
        return checkpoint_files.read(self._existing(step), name)

    def sweep(self) -> None:
        """Removes what an interrupted save left behind."""
        for leftover in self._folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(leftover, ignore_errors=True)  # a folder that cannot go is no reason to end a run

    def rotate(self, *, keep_step: int | None) -> None:
        """Deletes what is no longer kept; what cannot be deleted costs room, and no step.

        Args:
            keep_step: of a checkpoint that stays whatever its score.
        """
        old = self.steps()[: -self._keep] if self._keep is not None else []
        kept = {keep_step, *(step for _, step in self._best())} if old else set()
        for step in old:
            if step not in kept:
                try:
                    _delete(_path(self._folder, step))
                except OSError as error:
                    self._warn(
                        f"warning: The old checkpoint of step {step} in {self._folder} could not be deleted: "
                        f"{reason(error)}. Training goes on, and the next save tries again."
                    )

    def _existing(self, step: int) -> Path:
        """The folder of a checkpoint that is there."""
        folder = _path(self._folder, step)
        if not folder.is_dir():
            known = ", ".join(map(str, self.steps())) or "none"
            raise RunError(f"There is no checkpoint of step {step} in {self._folder}. Those there: {known}.")
        return folder

    def _put_aside(self, step: int) -> Path:
        """Renames a damaged checkpoint, and gives back where it is now."""
        folder = _path(self._folder, step)
        aside = folder.with_name(f"{_DAMAGED}{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        return folder.rename(aside)

    def _best(self) -> list[tuple[float, int]]:
        """Score and step of those that are kept for their scores, the best one first."""
        scored = ((self._score(step), step) for step in self.steps())
        pairs = [(score, step) for score, step in scored if score is not None and not math.isnan(score)]
        return sorted(pairs, key=lambda pair: self._sign * pair[0])[: self._keep_best]

    def _score(self, step: int) -> float | None:
        """What is stored in a checkpoint; None for one without, or damaged."""
        if step not in self._known_scores:
            try:
                self._known_scores[step] = self.about(step).get("score")
            except DamagedCheckpointError:
                self._known_scores[step] = None
        return self._known_scores[step]


def steps_in(folder: Path) -> list[int]:
    """The steps of which there is a checkpoint in `folder`, ascending."""
    if not folder.is_dir():
        return []
    matches = (_NAME.fullmatch(entry.name) for entry in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:010d}"


def _delete(folder: Path) -> None:
    """Renames first: a checkpoint that is half deleted must not look like one."""
    doomed = folder.with_name(f"{UNFINISHED}deleted-{folder.name}")
    folder.rename(doomed)
    shutil.rmtree(doomed)
