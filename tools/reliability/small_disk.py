"""Runs commands on private file systems that are full, read-only or removed, without touching those of the machine.

The file systems are in a mount namespace, which needs no root and ends with its processes. There a process that has
imported TensorFlow, but has one thread and has computed nothing, forks a child for each command: one second each
instead of four.
"""

import ctypes
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000  # of unshare(2)
_READ_ONLY, _AGAIN, _BIND, _RECURSIVELY, _PRIVATE = 1, 1 << 5, 1 << 12, 1 << 14, 1 << 18  # of mount(2)
_AT_ONCE = 2  # of umount2(2)


@dataclass(frozen=True)
class Done:
    """The exit status and the output of a command."""

    status: int
    out: str
    err: str

    @property
    def is_one_error(self) -> bool:
        """Whether it ended with status 1 and one error line, as a command does for an expected error."""
        return self.status == 1 and self.err.startswith("error: ") and self.err.count("\n") == 1


def enter() -> None:
    """Puts this process into a private mount namespace, and imports all that the commands import.

    Raises:
        RuntimeError: the system gives no namespace, or the process has several threads, of which a fork keeps one.
    """
    _unshare()
    from tfcore.build import importing

    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", OPENBLAS_NUM_THREADS="1", NO_COLOR="1")
    importing.import_tensorflow_for_good()
    import h5py  # noqa: F401
    import pooch  # noqa: F401
    from tensorboard.backend.event_processing import event_file_loader  # noqa: F401

    from tfcore.cli import (
        convert,  # noqa: F401
        export,  # noqa: F401
        predict,  # noqa: F401
        show,  # noqa: F401
        train,  # noqa: F401
    )
    from tfcore.data import writers  # noqa: F401
    from tfcore.run import session  # noqa: F401

    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"This process has {threads} threads, and its children would have one.")


def _unshare() -> None:
    """Enters a mount namespace: in a user namespace in which this user is root, or else as the machine's root."""
    user, group = os.getuid(), os.getgid()
    try:
        _call("unshare", _NEW_USER | _NEW_MOUNTS)
    except OSError as error:
        if user or _LIBC.unshare(_NEW_MOUNTS):
            raise RuntimeError(
                f"A small file system needs a mount namespace, and the system gives none: {error.strerror}. "
                "Be root, or allow user namespaces (sysctl user.max_user_namespaces, "
                "kernel.apparmor_restrict_unprivileged_userns)."
            ) from error
    else:
        pathlib.Path("/proc/self/setgroups").write_text("deny")
        pathlib.Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        pathlib.Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _mount("none", "/", "", _PRIVATE | _RECURSIVELY)  # else the mounts would appear on the machine


def run(*arguments: str, cwd: pathlib.Path, before: Callable[[], None] = lambda: None, out: str = "") -> Done:
    """Runs a command in a child of this process.

    Args:
        arguments: of `tfcore`.
        cwd: its working directory.
        before: called in the child.
        out: a file for standard output, such as /dev/full; "" to return the text.
    """
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as errors:

        def command() -> int:
            os.dup2(os.open(out, os.O_WRONLY) if out else printed.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            os.chdir(cwd)
            before()
            from tfcore.cli import main

            status = main.main(arguments)
            sys.stdout.flush()
            return status

        status = in_child(command)
        for file in (printed, errors):
            file.seek(0)
        return Done(status, printed.read().decode(), errors.read().decode())


def in_child(work: Callable[[], int]) -> int:
    """Does the work in a child of this process; returns its status, 70 after a traceback."""
    child = os.fork()
    if not child:
        status = 70
        try:
            status = work()
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended)


def at_step(step: int, action: Callable[[], None]) -> None:
    """Makes every run of this process call `action` after `step` steps, before the checkpoint of that step."""
    from tfcore.run import session
    from tfcore.training.events import Event, Schedule

    fault = Event("fault", Schedule(Fraction(10**9), offset=step), lambda _: action())
    session.Session.__init__.__kwdefaults__["events"] = lambda _: [fault]


def mount(folder: pathlib.Path, **limits: int) -> None:
    """Mounts a file system in memory at a folder, or changes the limits of the one that is mounted there.

    Args:
        folder: the mount point.
        limits: `size`, its bytes, or `nr_inodes`, its number of files and folders, the mount point included.
    """
    options = ",".join(f"{name}={value}" for name, value in limits.items())
    _mount("none", str(folder), "tmpfs", _AGAIN if os.path.ismount(folder) else 0, options)


def bind(folder: pathlib.Path, at: pathlib.Path) -> None:
    """Mounts `folder` at a second place."""
    _mount(str(folder), str(at), "", _BIND)


def make_read_only(folder: pathlib.Path) -> None:
    """Makes a folder read-only until `unmount`; open files stay writable, as when a real disk turns read-only."""
    bind(folder, folder)
    _mount("none", str(folder), "", _AGAIN | _BIND | _READ_ONLY)


def unmount(folder: pathlib.Path) -> None:
    """Unmounts a folder at once, even with files open in it."""
    _call("umount2", str(folder).encode(), _AT_ONCE)


def _mount(source: str, folder: str, kind: str, flags: int, options: str = "") -> None:
    _call("mount", source.encode(), folder.encode(), kind.encode(), flags, options.encode())


def _call(name: str, *arguments: int | bytes) -> None:
    """Calls a function of the C library; raises OSError where it fails."""
    if getattr(_LIBC, name)(*arguments):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
