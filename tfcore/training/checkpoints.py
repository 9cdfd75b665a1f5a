"""Saves, restores and rotates a run's checkpoints; each is complete or absent.

A checkpoint is a folder, written under a temporary name and then renamed. The folders are the only list of checkpoints,
so no other list can disagree with the files.
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
        folder: of the checkpoints; created at the first save.
        state: every variable of the run by name; values are matched to variables by name, never by position.
        about: returns facts about the process (versions, threads) that affect reproducibility; saved with the state.
        keep: how many of the newest to keep, at least 1; None for all.
        keep_best: how many others to keep for their scores, at least 1.
        lower_is_better: whether a lower score is better.
        warn: prints a line about a problem that does not end the run.
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
        self._known_scores: dict[int, float | None] = {}  # read once each, not at every save

    def steps(self) -> list[int]:
        """The steps that have a checkpoint, ascending."""
        return steps_in(self._folder)

    def save(self, step: int, *, score: float | None = None, keep_step: int | None = None) -> None:
        """Saves the state as the checkpoint of `step`, then deletes checkpoints that are no longer kept.

        Args:
            step: completed steps.
            score: of the validation at this step, if there was one; it is stored in the checkpoint.
            keep_step: the step of a checkpoint to keep regardless of its score.

        Raises:
            DiskError: the folder cannot be written; earlier checkpoints are unchanged.
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
        """Whether a checkpoint would be kept for this score. Of two equal scores the earlier is the better."""
        if math.isnan(score):
            return False
        ranked = self._best()
        return len(ranked) < self._keep_best or self._sign * score < self._sign * ranked[-1][0]

    def restore(self, step: int, *, only: str = "") -> dict[str, Any]:
        """Restores the variables whose names begin with `only` (all, if empty); returns the saved `about`.

        Names, shapes and dtypes are compared before any variable changes.

        Raises:
            DamagedCheckpointError: its files are damaged.
            RunError: no such checkpoint, or one of another model or optimizer.
        """
        about = self.about(step)
        wanted = {name: variable for name, variable in self._state.items() if name.startswith(only)}
        checkpoint_files.restore(_path(self._folder, step), wanted, everything=not only)
        return about

    def restore_newest(self) -> tuple[dict[str, Any], list[str]]:
        """Restores the newest checkpoint that is not damaged, and renames damaged ones so that they are ignored.

        Returns:
            The saved `about`, with its `step`, and a sentence for each damaged checkpoint.

        Raises:
            RunError: there is none, or none fits; then no variable has changed.
        """
        failed: dict[int, RunError] = {}
        for step in reversed(self.steps()):
            try:
                about = self.restore(step)
            except RunError as error:  # if an older one fits, this one is damaged
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
        """Reads the facts about the process that saved this checkpoint, with its `step` and `score`.

        Raises:
            DamagedCheckpointError: it cannot be read, or is of another step.
            RunError: there is no such checkpoint.
        """
        folder = self._existing(step)
        about = checkpoint_files.about(folder)
        if about.get("step") != step:
            raise DamagedCheckpointError(f"The checkpoint {folder} was written as that of step {about.get('step')}.")
        return about

    def names(self, step: int) -> list[str]:
        """Lists the names of all variables in a checkpoint; together they take no more bytes than its data.

        Raises:
            DamagedCheckpointError: its files are damaged.
            RunError: there is no such checkpoint.
        """
        return checkpoint_files.names(self._existing(step))

    def read(self, step: int, name: str) -> Any:
        """Reads the value of one variable in a checkpoint as NumPy; no variable changes.

        Raises:
            DamagedCheckpointError: it cannot be read.
            RunError: there is no such checkpoint.
        """
        return checkpoint_files.read(self._existing(step), name)

    def sweep(self) -> None:
        """Removes the unfinished folders of interrupted saves."""
        for leftover in self._folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(leftover, ignore_errors=True)  # a folder that cannot be deleted does not end the run

    def rotate(self, *, keep_step: int | None) -> None:
        """Deletes checkpoints that are no longer kept; warns if one cannot be deleted.

        Args:
            keep_step: the step of a checkpoint to keep regardless of its score.
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
        """The folder of an existing checkpoint."""
        folder = _path(self._folder, step)
        if not folder.is_dir():
            known = ", ".join(map(str, self.steps())) or "none"
            raise RunError(f"There is no checkpoint of step {step} in {self._folder}. Those there: {known}.")
        return folder

    def _put_aside(self, step: int) -> Path:
        """Renames a damaged checkpoint; returns its new path."""
        folder = _path(self._folder, step)
        aside = folder.with_name(f"{_DAMAGED}{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        return folder.rename(aside)

    def _best(self) -> list[tuple[float, int]]:
        """Score and step of the checkpoints kept for their scores, the best first."""
        scored = ((self._score(step), step) for step in self.steps())
        pairs = [(score, step) for score, step in scored if score is not None and not math.isnan(score)]
        return sorted(pairs, key=lambda pair: self._sign * pair[0])[: self._keep_best]

    def _score(self, step: int) -> float | None:
        """The score stored in a checkpoint; None if it has none or is damaged."""
        if step not in self._known_scores:
            try:
                self._known_scores[step] = self.about(step).get("score")
            except DamagedCheckpointError:
                self._known_scores[step] = None
        return self._known_scores[step]


def steps_in(folder: Path) -> list[int]:
    """The steps that have a checkpoint in `folder`, ascending."""
    if not folder.is_dir():
        return []
    matches = (_NAME.fullmatch(entry.name) for entry in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:010d}"


def _delete(folder: Path) -> None:
    """Deletes a checkpoint; renames it first, so that a partly deleted one is not taken for a checkpoint."""
    doomed = folder.with_name(f"{UNFINISHED}deleted-{folder.name}")
    folder.rename(doomed)
    shutil.rmtree(doomed)
