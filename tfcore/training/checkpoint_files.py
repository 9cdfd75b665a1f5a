"""Reads and writes one checkpoint: a `tf.train.Checkpoint` of a flat dict from names to variables.

Facts about the process that saved are stored as JSON in a variable, so that TensorFlow's checksums cover the whole
checkpoint.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfcore.errors import RunError
from tfcore.files import sync
from tfcore.training import checkpoint_index

_PREFIX = "state"
_ABOUT = "about"  # the name of the variable with the facts
_KEY = re.compile(r"variables/(.+)/\.ATTRIBUTES/VARIABLE_VALUE")


class DamagedCheckpointError(RunError):
    """A checkpoint whose files have changed since they were written, or are missing."""


def write(folder: Path, state: Mapping[str, tf.Variable], about: Mapping[str, Any]) -> None:
    """Writes the files of a checkpoint into a folder and syncs them to disk.

    Raises:
        OSError, tf.errors.OpError: they cannot be written.
    """
    facts = tf.Variable(json.dumps(about))
    tf.train.Checkpoint(variables={**state, _ABOUT: facts}).write(str(folder / _PREFIX))
    for path in (*folder.iterdir(), folder):
        sync(path)


def restore(folder: Path, wanted: Mapping[str, tf.Variable], *, everything: bool) -> None:
    """Restores the variables in `wanted`; names, shapes and dtypes are compared before any variable changes.

    Args:
        folder: of the checkpoint.
        wanted: variables by name.
        everything: whether the checkpoint must hold no other variables.

    Raises:
        DamagedCheckpointError: its files are damaged.
        RunError: it is of another model or optimizer; the message lists every difference.
    """
    with _intact(folder):
        _compare(folder, wanted, everything=everything)
        status = tf.train.Checkpoint(variables=dict(wanted)).read(str(folder / _PREFIX))
        status.assert_existing_objects_matched().expect_partial()  # without it, TensorFlow warns of unused variables


def about(folder: Path) -> dict[str, Any]:
    """Reads the facts about the process that saved.

    Raises:
        DamagedCheckpointError: it cannot be read.
    """
    with _intact(folder):
        facts: dict[str, Any] = json.loads(_read(folder, _ABOUT))
        if not isinstance(facts, dict):
            raise ValueError("its facts are no JSON object")
    return facts


def names(folder: Path) -> list[str]:
    """Lists the names of all variables; together they take no more bytes than the checkpoint's data.

    Raises:
        DamagedCheckpointError: its files are damaged.
    """
    with _intact(folder):
        keys = sorted(_reader(folder).get_variable_to_shape_map())
        names = [_unescaped(match[1]) for key in keys if (match := _KEY.fullmatch(key))]
    return [name for name in names if name != _ABOUT]


def read(folder: Path, name: str) -> Any:
    """Reads the value of one variable as NumPy; no variable changes.

    Raises:
        DamagedCheckpointError: it cannot be read.
    """
    try:
        return _read(folder, name)
    except Exception as error:
        raise DamagedCheckpointError(f"The checkpoint {folder} has no readable '{name}': {_reason(error)}") from error


def _read(folder: Path, name: str) -> Any:
    escaped = name.replace(".", "..").replace("/", ".S")  # as TensorFlow writes a name into a key
    return _reader(folder).get_tensor(f"variables/{escaped}/.ATTRIBUTES/VARIABLE_VALUE")


def _reader(folder: Path) -> Any:
    """TensorFlow's reader, on files checked beforehand: it would wait for a pipe and crash on a malformed index."""
    for path in folder.iterdir():
        if path.exists() and not path.is_file():
            raise ValueError(f"{path.name} is no file.")
    checkpoint_index.check(folder / _PREFIX)
    return tf.train.load_checkpoint(str(folder / _PREFIX))


def _unescaped(part: str) -> str:
    return re.sub(r"\.(.)", lambda match: "/" if match[1] == "S" else match[1], part)


def _compare(folder: Path, wanted: Mapping[str, tf.Variable], *, everything: bool) -> None:
    """Raises RunError with every difference unless the file holds `wanted`, and nothing else if `everything`."""
    reader = _reader(folder)
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    stored = {_unescaped(match[1]): key for key in shapes if (match := _KEY.fullmatch(key))}
    differences = [f"{name}: not in the checkpoint" for name in wanted if name not in stored]
    if everything:
        differences += [f"{name}: not in this program" for name in stored if name not in {*wanted, _ABOUT}]
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


@contextmanager
def _intact(folder: Path) -> Iterator[None]:
    """Turns the errors of reading a damaged checkpoint into DamagedCheckpointError."""
    try:
        yield
    except (RunError, MemoryError):
        raise
    except Exception as error:  # TensorFlow's errors on damaged files have no common base class
        raise DamagedCheckpointError(f"The checkpoint {folder} is damaged: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The first line of TensorFlow's message, as a sentence."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if text.endswith(".") else f"{text}."
