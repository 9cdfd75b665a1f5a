"""Checks of one machine: installed versions, processors, devices, memory, disks and the file system of runs."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

import tfcore
from tfcore import machine

OK, NOTE, BAD = "ok", "note", "bad"

_GB = 1e9
_LEAST_MEMORY_GB, _LEAST_DISK_GB = 2.0, 1.0
_BUSY_SHARE = 0.5  # of the processors
_INSTRUCTION_SETS = {"amx_bf16": "AMX", "avx512f": "AVX-512", "avx2": "AVX2"}  # the best first


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        state: "ok"; "note" for what slows down training; "bad" for what will make it fail.
        what: was found.
        todo: about it; empty if nothing.
    """

    state: str
    what: str
    todo: str = ""


def findings(run_folder: Path, data_folder: Path) -> list[Finding]:
    """Checks this machine; loads TensorFlow.

    Args:
        run_folder: of runs.
        data_folder: of downloaded and cached data.
    """
    found = [*versions(), processors(), load(), devices(), memory()]
    found += [disk(run_folder, "runs"), disk(data_folder, "data"), file_system(run_folder)]
    return found


def versions() -> Iterator[Finding]:
    """The versions of Python and the packages, and those that tfcore was not made for."""
    from packaging.requirements import Requirement

    names = ("tensorflow", "numpy")
    installed = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    yield Finding(OK, f"tfcore {tfcore.__version__}, Python {platform.python_version()}, {installed}")
    try:
        required = [Requirement(text) for text in metadata.requires("tfcore") or ()]
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        required = []
    for one in required:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            version = ""
        if not one.specifier.contains(version or "0", prereleases=True):
            told = f"{one.name} {version}" if version else f"no {one.name}"
            yield Finding(BAD, f"{told} is installed, and tfcore needs {one.specifier}", f"pip install '{one}'")


def processors() -> Finding:
    """The processors that this process may use, and their widest instruction set."""
    count, there = machine.processors(), os.cpu_count() or 1
    names = [name for flag, name in _INSTRUCTION_SETS.items() if flag in machine.processor_flags()]
    what = f"{count} of {there} processors: {machine.processor()}, {names[0] if names else 'without AVX2'}"
    if not names and platform.machine() in ("x86_64", "AMD64"):
        return Finding(NOTE, what, "Training will be several times slower than on a processor with AVX2.")
    return Finding(OK, what)


def load() -> Finding:
    """Whether other programs use the processors."""
    count, average = machine.processors(), os.getloadavg()[0]
    what = f"in the last minute, {average:.1f} threads were running or waiting"
    if average > _BUSY_SHARE * count:
        return Finding(NOTE, what, f"Other programs share the {count} processors: figures of speed mean little now.")
    return Finding(OK, what)


def devices() -> Finding:
    """The GPUs that TensorFlow can use."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return Finding(OK, f"{len(gpus)} GPUs: {', '.join(gpu.name for gpu in gpus)}")
    if machine.has_gpu():
        return Finding(NOTE, "this machine has a GPU that TensorFlow cannot use", "pip install 'tensorflow[and-cuda]'")
    return Finding(OK, "no GPU: training runs on the processors")


def memory() -> Finding:
    """The memory that is available without swapping."""
    available = machine.available_bytes()
    if available is None:
        return Finding(OK, "the available memory is not known on this system")
    what = f"{available / _GB:.1f} GB of memory are available"
    if available < _LEAST_MEMORY_GB * _GB:
        return Finding(NOTE, what, f"TensorFlow alone takes up to {_LEAST_MEMORY_GB:g} GB. End other programs.")
    return Finding(OK, what)


def disk(folder: Path, purpose: str) -> Finding:
    """The free space of the disk that a folder is or will be on."""
    free = shutil.disk_usage(_existing(folder)).free
    what = f"{free / _GB:.1f} GB are free for {purpose} in {folder}"
    if free < _LEAST_DISK_GB * _GB:
        return Finding(NOTE, what, "Make room: each checkpoint of a run takes three times the size of its weights.")
    return Finding(OK, what)


def file_system(folder: Path) -> Finding:
    """Whether files can be written, renamed and locked where runs are."""
    where = _existing(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".tfcore-doctor-", dir=where) as made:
            written, renamed = Path(made, "written"), Path(made, "renamed")
            with written.open("w", encoding="utf-8") as file:
                file.write("tfcore")
                file.flush()
                os.fsync(file.fileno())
            os.replace(written, renamed)
            if [path.name for path in Path(made).iterdir()] != ["renamed"]:
                return Finding(BAD, f"a file that was renamed in {where} keeps its old name", _OTHER_FOLDER)
            if not _locks(Path(made, "lock")):
                return Finding(BAD, f"two locks of one file in {where} were given at a time", _OTHER_FOLDER)
    except OSError as error:
        return Finding(BAD, f"{where} cannot be written: {error.strerror or error}", _OTHER_FOLDER)
    return Finding(OK, f"files in {where} can be written, renamed and locked")


_OTHER_FOLDER = "Choose another folder for --run_dir, on a local disk or on NFS from version 4."


def _locks(path: Path) -> bool:
    """Whether a file that is locked cannot be locked again."""
    with FileLock(path):
        try:
            FileLock(path, is_singleton=False).acquire(timeout=0).lock.release()
        except Timeout:
            return True
    return False


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.expanduser().absolute()
    return next(path for path in (folder, *folder.parents) if path.is_dir())
