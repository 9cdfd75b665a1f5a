"""Reports errors in users' Python files as one line that names file and line."""

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfcore import checks
from tfcore.errors import ConfigError, TfcoreError

_TFCORE = Path(__file__).parents[1]
_FOREIGN = (str(_TFCORE), *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


@contextmanager
def telling(what: str, kind: type[TfcoreError] = ConfigError) -> Iterator[None]:
    """Turns an error that user code raises inside the block into an error of tfcore with its place.

    Args:
        what: the flag that names the code, or the code itself, as the message begins.
        kind: of the error that is raised.
    """
    try:
        yield
    except (TfcoreError, MemoryError):
        raise
    except Exception as error:
        raise kind(f"{what} raises an error: {told(error)}.") from error


def told(error: Exception) -> str:
    """Describes an error, with its place in user code."""
    where = place(error)
    return f"{checks.told(error)} ({where})" if where else checks.told(error)


def place(error: BaseException | None) -> str:
    """Returns the innermost line of user code in a traceback, such as `my_model.py, line 12`; "" without any.

    Only frames below the handler of the error count, so the caller of tfcore is never named.
    """
    frames = traceback.extract_tb(error.__traceback__) if error else []
    own = [frame for frame in frames if Path(frame.filename).is_file() and not frame.filename.startswith(_FOREIGN)]
    if not own:
        return ""
    path = Path(own[-1].filename)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}, line {own[-1].lineno}"
