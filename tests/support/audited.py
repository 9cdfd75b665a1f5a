"""Program: reads hostile inputs of every reader while an audit hook records forbidden events.

Prints JSON: for each input what it came to and what was caught; and the same for controls, each of which does one of
those things, so that it shows that the hook would see it.

By design the code that a run folder names (`--model=file.py:…`, `--dataset=file.py:…`) is run by what trains, scores or
loads that run; no such folder is among the inputs. All else in a run folder is read only, as are data sets, exported
files and checkpoints. A SavedModel is a program, and none is among them either.
"""

import ctypes
import gzip
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import h5py
import numpy as np
import tensorflow as tf
from numpy.lib import _format_impl
from support.readers import PLAN, READERS, RNG

from tfcore.errors import TfcoreError

FORBIDDEN = (
    "pickle.find_class", "exec", "compile", "marshal.loads", "marshal.load", "subprocess.Popen", "os.exec", "os.fork",
    "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn", "shutil.unpack_archive", "ctypes.dlopen",
    "import", "socket.connect", "socket.getaddrinfo", "os.symlink", "os.link",
)  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown", "shutil.rmtree")


class Hook:
    """Records forbidden events while `folder` is set. An error raised in a hook might be caught by the reader."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.caught: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event in FORBIDDEN:
            wrong = not (event == "compile" and _is_of_header(sys._getframe(1)))
        elif event == "open":
            # A descriptor had its event when it was opened; a folder opened for writing is an unnamed temporary file.
            known = isinstance(arguments[0], int) or os.path.isdir(arguments[0])
            wrong = bool((arguments[2] or 0) & _WRITES) and not known and self._is_outside(arguments[0])
        else:
            wrong = event in _CHANGES and self._is_outside(arguments[0], arguments[-1])
        if wrong:
            self.caught.append(f"{event} {str(arguments)[:200]}")

    def _is_outside(self, path: Any, at: Any = -1) -> bool:
        """Tells whether a path is outside the input's folder, in which archives are unpacked and logs trimmed.

        Args:
            path: absolute or relative.
            at: the descriptor of the folder that a relative path begins at; -1 for the working directory.
        """
        start = f"/proc/self/fd/{at}" if isinstance(at, int) and at >= 0 else "."
        place = os.path.realpath(os.path.join(start, path))
        return place != self.folder and not place.startswith(f"{self.folder}{os.sep}")


def _is_of_header(frame: FrameType | None) -> bool:
    """Tells whether NumPy is parsing an array's header: a literal, which `ast` compiles and never runs."""
    while frame is not None:
        if frame.f_code.co_filename == _format_impl.__file__ and frame.f_code.co_name == "_read_array_header":
            return True
        frame = frame.f_back
    return False


class Trap:
    """Object whose unpickling writes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("open('executed', 'w').close()",)


PICKLE = pickle.dumps(Trap())
CODE = b"open('executed', 'w').close()\n"
COMMAND = "$(touch executed); `touch executed`; __import__('os').system('touch executed')"


def object_array() -> np.ndarray:
    array = np.empty(6, object)
    array[:] = [Trap()] * 6
    return array


def packed(*members: tuple[str, bytes, bytes]) -> bytes:
    """Makes an archive of (name, type, link) entries."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link.decode()
            info.size = len(CODE) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(CODE))
    return buffer.getvalue()


def h5_tricks(path: Path) -> None:
    """Adds a pickle in an attribute and an external link to a valid file."""
    with h5py.File(path, "a") as file:
        file.attrs["pickle"], file["link"] = np.void(PICKLE), h5py.ExternalLink("other.h5", "/secret")
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["secret"] = np.ones(3)


def pickled_cifar(path: Path) -> None:
    """Replaces the data by CIFAR-10's pickled Python version."""
    shutil.rmtree(path.parent)
    inner = path.parents[1] / "cifar-10-batches-py"
    inner.mkdir()
    (inner / "data_batch_1").write_bytes(PICKLE)


def pickled_facts(path: Path) -> None:
    """Writes a valid checkpoint whose metadata is spoilt."""
    tf.train.Checkpoint(variables={"about": tf.Variable(PICKLE)}).write(str(path.with_name("state")))


Spoil = Callable[[Path], object]
TRICKS: list[tuple[str, Spoil]] = [  # the reader, and how its file is spoilt
    *((name, lambda path: path.write_bytes(PICKLE)) for name in READERS),
    *((name, lambda path: path.write_bytes(CODE)) for name in READERS),
    *((name, lambda path: path.write_bytes(RNG.bytes(5000))) for name in READERS),
    ("cifar", pickled_cifar),
    ("npz", lambda path: np.savez(path, x_train=object_array(), y_train=object_array())),
    ("npz", lambda path: np.savez(path, x_train=np.zeros((2, 4, 4), np.uint8), y_train=object_array())),
    ("npz", lambda path: np.savez(path, x_train=np.zeros((2, 4, 4), np.uint8), class_names=object_array())),
    ("npz", lambda path: path.write_bytes(gzip.compress(PICKLE))),
    ("pictures", lambda path: np.save(path, object_array())),
    ("exported npz", lambda path: np.savez(path, **{"logits.weights": object_array()})),
    ("exported npz", lambda path: np.savez(path, __metadata__=object_array())),
    ("exported h5", h5_tricks),
    ("checkpoint's facts", pickled_facts),
    ("class names", lambda path: path.write_text(f"{COMMAND}\n{COMMAND}\n")),
    ("archive", lambda path: path.write_bytes(packed(("../executed", tarfile.REGTYPE, b"")))),
    ("archive", lambda path: path.write_bytes(packed(("/tmp/executed", tarfile.REGTYPE, b"")))),
    ("archive", lambda path: path.write_bytes(packed(("cifar-10-batches-bin/a", tarfile.SYMTYPE, b"/etc/passwd")))),
    ("archive", lambda path: path.write_bytes(packed(("cifar-10-batches-bin/a", tarfile.LNKTYPE, b"/etc/passwd")))),
    ("archive", lambda path: path.write_bytes(packed(("cifar-10-batches-bin/a", tarfile.CHRTYPE, b"")))),
    ("architecture", lambda path: path.write_text(replace(PLAN, model="evil.py:Model").to_json())),
    ("architecture", lambda path: path.write_text(replace(PLAN, model="evil:Model").to_json())),
    ("architecture", lambda path: path.write_text(replace(PLAN, model=COMMAND).to_json())),
    ("run's architecture", lambda path: path.write_text(replace(PLAN, sizes={"hidden": COMMAND}).to_json())),
    ("run's flags", lambda path: path.write_text(f"--flagfile={path.with_name('evil.py')}\n")),
    ("run's flags", lambda path: path.write_text("--model=evil.py:Model\n--dataset=evil.py:load\n")),
    ("run's flags", lambda path: path.write_text(f"--model={COMMAND}\n")),
    ("run's result", lambda path: path.write_text(json.dumps({"status": COMMAND}))),
    ("run's curves", lambda path: path.write_text(json.dumps({"step": 1, "split": COMMAND, "loss": COMMAND}) + "\n")),
]


def tried(hook: Hook, folder: Path, work: Callable[[], object]) -> dict[str, Any]:
    """Returns the outcome of reading and the events that the hook caught; writing is allowed in `folder` only."""
    hook.folder, hook.caught = os.path.realpath(folder), []
    try:
        work()
        said = "read"
    except TfcoreError as error:
        said = f"refused: {error}"
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
    finally:
        hook.folder = None
    return {"said": said, "caught": hook.caught, "executed": sorted(map(str, Path.cwd().rglob("executed*")))}


def tricks(hook: Hook) -> list[dict[str, Any]]:
    found = []
    for number, (name, spoil) in enumerate(TRICKS):
        folder = Path(f"input-{number}").absolute()
        folder.mkdir()
        READERS[name].make(folder)
        for module in (
            "evil",
            "os",
            "json",
            "numpy",
            "sitecustomize",
        ):  # an import from this folder would find these
            (folder / f"{module}.py").write_bytes(CODE)
        spoil(folder / READERS[name].file)
        found.append({"reader": name, **tried(hook, folder, partial(READERS[name].read, folder))})
    return found


def controls(hook: Hook) -> dict[str, dict[str, Any]]:
    """Does each forbidden thing once."""
    Path("other").mkdir()
    Path("other", "code_of_a_control.py").write_text("x = 1\n")
    np.save("pickle.npy", np.array([print], object))

    def imported() -> None:
        sys.path.insert(0, os.path.abspath("other"))
        try:
            __import__("code_of_a_control")
        finally:
            sys.path.pop(0)

    works: dict[str, Callable[[], object]] = {
        "unpickle": lambda: pickle.loads(pickle.dumps(print)),
        "unpickle an array": lambda: np.load("pickle.npy", allow_pickle=True),
        "exec": lambda: exec("x = 1"),
        "compile": lambda: compile("x = 1", "x", "exec"),
        "import": imported,
        "process": lambda: subprocess.run(["true"], check=True),
        "spawn": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
        "system": lambda: os.system("true"),
        "library": lambda: ctypes.CDLL(None),
        "write": lambda: Path("elsewhere").write_text(""),
        "remove": lambda: Path("elsewhere").unlink(),
        "link": lambda: Path("a link").symlink_to("elsewhere"),
    }
    return {name: tried(hook, Path("other"), work) for name, work in works.items()}


def main() -> None:
    for reader in READERS.values():  # imports beforehand: running their code is allowed
        with tempfile.TemporaryDirectory() as place:
            reader.make(Path(place))
            reader.read(Path(place))
            Path(place, reader.file).write_bytes(b"nothing")
            with suppress(TfcoreError):
                reader.read(Path(place))
    hook = Hook()
    sys.addaudithook(hook)
    print(json.dumps({"inputs": tricks(hook), "controls": controls(hook)}))


if __name__ == "__main__":
    main()
