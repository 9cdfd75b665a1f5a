"""A run's whole state on disk: one folder a checkpoint, complete or not there at all.

Each is written under a temporary name and renamed, so no list of checkpoints is needed that could disagree with the
files: the folders are the list.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfcore.errors import RunError

_NAME = re.compile(r"step-(\d{10})")
_TEMPORARY = ".unfinished-"
_KEY = re.compile(r"variables/(.+)/\.ATTRIBUTES/VARIABLE_VALUE")  # in it, TensorFlow doubles the dots of a name
# What TensorFlow raises over damaged files: no common base class.
_READ_ERRORS = (tf.errors.OpError, IndexError, ValueError, AssertionError, OSError)


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie; made at the first save.
        state: every variable of the run by name; names, never positions, tie a file to a variable.
        about: facts about the process (versions, threads) that bear on exactness, saved beside the variables.
        keep: how many of the newest to keep, at least 1; None for all. One more may be kept for its score (`save`).
    """

    def __init__(
        self,
        folder: Path,
        state: Mapping[str, tf.Variable],
        *,
        about: Mapping[str, Any] | None = None,
        keep: int | None = 3,
    ) -> None:
        self._folder, self._state, self._keep = folder, dict(state), keep
        self._about = dict(about or {})

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, ascending."""
        return steps_in(self._folder)

    def save(self, step: int, *, keep_step: int | None = None) -> None:
        """Writes the state under `step`, then deletes what is no longer kept (but never that of `keep_step`).

        Raises:
            RunError: the folder cannot be written; earlier checkpoints are as they were.
        """
        final = _path(self._folder, step)
        scratch = self._folder / f"{_TEMPORARY}{final.name}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self.sweep()
            scratch.mkdir()
            tf.train.Checkpoint(variables=self._state).write(str(scratch / "state"))
            (scratch / "about.json").write_text(json.dumps({"step": step, **self._about}) + "\n", encoding="utf-8")
            _sync(scratch)
            if final.exists():
                _delete(final)
            scratch.rename(final)
            _sync_folder(self._folder)
        except (OSError, tf.errors.OpError) as error:
            shutil.rmtree(scratch, ignore_errors=True)
            reason = str(error).splitlines()[0]
            raise RunError(f"The checkpoint of step {step} could not be written to {self._folder}: {reason}") from error
        self.rotate(keep_step=keep_step)

    def restore(self, step: int, *, only: str = "") -> dict[str, Any]:
        """Reads the variables whose names begin with `only` (all, if empty) and gives back what `about` was.

        Names, shapes and dtypes are compared before any variable changes.

        Raises:
            RunError: no such checkpoint, one that does not fit, or a damaged one.
        """
        folder = self._existing(step)
        wanted = {name: variable for name, variable in self._state.items() if name.startswith(only)}
        try:
            _compare(folder, wanted, everything=not only)
            about: dict[str, Any] = json.loads((folder / "about.json").read_text(encoding="utf-8"))
            status = tf.train.Checkpoint(variables=wanted).read(str(folder / "state"))
            status.assert_existing_objects_matched().expect_partial()  # or what is left over is warned about
        except _READ_ERRORS as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RunError(
                f"The checkpoint {folder} is damaged: {reason} Delete it to go on from the one before."
            ) from error
        return about

    def names(self, step: int) -> list[str]:
        """The names of all variables in a checkpoint.

        Raises:
            RunError: there is no such checkpoint, or it is damaged.
        """
        folder = self._existing(step)
        try:
            keys = [key for key, _ in tf.train.list_variables(str(folder / "state"))]
        except _READ_ERRORS as error:
            raise RunError(f"The checkpoint {folder} is damaged: {str(error).splitlines()[0]}") from error
        return [match[1].replace("..", ".") for key in keys if (match := _KEY.fullmatch(key))]

    def read(self, step: int, name: str) -> Any:
        """The value of one variable in a checkpoint, as NumPy; no variable changes.

        Raises:
            RunError: it cannot be read.
        """
        folder = _path(self._folder, step)
        try:
            return tf.train.load_checkpoint(str(folder / "state")).get_tensor(
                f"variables/{name.replace('.', '..')}/.ATTRIBUTES/VARIABLE_VALUE"
            )
        except _READ_ERRORS as error:
            raise RunError(f"The checkpoint {folder} has no readable '{name}': {str(error).splitlines()[0]}") from error

    def sweep(self) -> None:
        """Removes what an interrupted save left behind."""
        for leftover in self._folder.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(leftover)

    def rotate(self, *, keep_step: int | None) -> None:
        """Deletes what is no longer kept, but never the checkpoint of `keep_step`."""
        old = self.steps()[: -self._keep] if self._keep is not None else []
        for step in old:
            if step != keep_step:
                _delete(_path(self._folder, step))

    def _existing(self, step: int) -> Path:
        """The folder of a checkpoint that is there."""
        folder = _path(self._folder, step)
        if not folder.is_dir():
            known = ", ".join(map(str, self.steps())) or "none"
            raise RunError(f"There is no checkpoint of step {step} in {self._folder}. Those there: {known}.")
        return folder


def steps_in(folder: Path) -> list[int]:
    """The steps of which there is a checkpoint in `folder`, ascending."""
    if not folder.is_dir():
        return []
    matches = (_NAME.fullmatch(entry.name) for entry in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:010d}"


def _compare(folder: Path, wanted: Mapping[str, tf.Variable], *, everything: bool) -> None:
    """Raises RunError, listing every difference, unless the file holds `wanted` (if `everything`, and no more)."""
    reader = tf.train.load_checkpoint(str(folder / "state"))
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    stored = {match[1].replace("..", "."): key for key in shapes if (match := _KEY.fullmatch(key))}
    differences = [f"{name}: not in the checkpoint" for name in wanted if name not in stored]
    if everything:
        differences += [f"{name}: not in this program" for name in stored if name not in wanted]
    for name in wanted.keys() & stored.keys():
        have, want = (shapes[stored[name]], dtypes[stored[name]]), (wanted[name].shape.as_list(), wanted[name].dtype)
        if have != want:
            differences.append(
                f"{name}: {have[1].name} {have[0]} in the checkpoint, {want[1].name} {want[0]} in this program"
            )
    if differences:
        raise RunError(
            f"The checkpoint {folder} is of another model or optimizer. " + "; ".join(sorted(differences)) + "."
        )


def _delete(folder: Path) -> None:
    """Renames first: a checkpoint that is half deleted must not look like one."""
    doomed = folder.with_name(f"{_TEMPORARY}deleted-{folder.name}")
    folder.rename(doomed)
    shutil.rmtree(doomed)


def _sync(folder: Path) -> None:
    """Puts the files on the disk before the rename that declares them complete."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
