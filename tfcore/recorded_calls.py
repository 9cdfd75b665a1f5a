"""Records inputs and outputs of a model's modules during calls in the current thread."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

_NO_SCOPE = re.compile(r"^[^A-Za-z0-9.]+|[^A-Za-z0-9_.-]")  # invalid in scope names, or "/", which nests scopes
_lock = threading.Lock()
_users: dict[type, int] = {}  # number of active recordings that replace a class's `__call__`


@dataclass
class Calls:
    """The calls of a model's modules.

    Attributes:
        paths: the recorded modules by identity, each with its path.
        returned: output of each module's first call, by identity, in the order in which these calls ended.
        broken: modules whose call raised an error, the innermost first, each with its input.
        arriving: is called with a module and its input before each of its calls; None for nothing.
    """

    paths: dict[int, tuple[tf.Module, str]]
    returned: dict[int, Any] = field(default_factory=dict)
    broken: list[tuple[tf.Module, Any]] = field(default_factory=list)
    arriving: Callable[[tf.Module, Any], None] | None = None


_current: ContextVar[Calls | None] = ContextVar("calls", default=None)


@contextmanager
def recorded_calls(
    paths: dict[int, tuple[tf.Module, str]], *, arriving: Callable[[tf.Module, Any], None] | None = None
) -> Iterator[Calls]:
    """Records calls of the modules in `paths` inside the block, and puts their ops into scopes of their names.

    Python looks `__call__` up on the class, so it is replaced there. The replacement records only in the thread (or
    task) that opened the block and does nothing elsewhere; the last block to end restores the original method.
    """
    classes = [cls for cls in {type(module) for module, _ in paths.values()} if "__call__" in dir(cls)]
    calls = Calls(paths, arriving=arriving)
    with _lock:
        for cls in classes:
            _replace(cls)
    token = _current.set(calls)
    try:
        yield calls
    finally:
        _current.reset(token)
        with _lock:
            for cls in classes:
                _put_back(cls)


def _replace(cls: Any) -> None:
    """Replaces the class's `__call__` with a recording one; the caller holds the lock."""
    if cls not in _users:
        plain = getattr(cls.__call__, "plain", cls.__call__)  # an inherited one may already be replaced
        cls.__call__ = _recording(plain, is_inherited="__call__" not in vars(cls))
    _users[cls] = _users.get(cls, 0) + 1


def _put_back(cls: Any) -> None:
    """Ends one use of the replacement, and removes it with the last use; the caller holds the lock."""
    _users[cls] -= 1
    if _users[cls]:
        return
    del _users[cls]
    replacement = vars(cls)["__call__"]
    if replacement.is_inherited:
        del cls.__call__
    else:
        cls.__call__ = replacement.plain


def _recording(plain: Callable[..., Any], *, is_inherited: bool) -> Callable[..., Any]:
    """Returns a `__call__` that calls `plain`, and records the call during a recording."""

    def call(module: tf.Module, *args: Any, **kwargs: Any) -> Any:
        calls = _current.get()
        if calls is None:
            return plain(module, *args, **kwargs)
        if calls.arriving is not None:
            calls.arriving(module, args[0] if args else kwargs.get("x"))
        name = calls.paths[id(module)][1].rpartition(".")[2] if id(module) in calls.paths else module.name
        is_first = id(module) not in calls.returned
        try:
            with tf.name_scope(_NO_SCOPE.sub("", name) or "module"):
                output = plain(module, *args, **kwargs)
        except Exception:
            calls.broken.append((module, args[0] if args else None))
            raise
        if is_first:  # overwrites the output that a call of the base class's `__call__` recorded
            calls.returned[id(module)] = output
        return output

    call.plain, call.is_inherited = plain, is_inherited  # type: ignore[attr-defined]
    return call
