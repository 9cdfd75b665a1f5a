"""Remote files through fsspec: what there is, what it holds, and why it could not be read.

Worker processes use it (see `fetching`), so it imports no large package before it is needed.
"""

import base64
import errno
import hashlib
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

from tfcore.errors import DataError

_T = TypeVar("_T")
Json = dict[str, Any]
Warn = Callable[[str], None]

ATTEMPTS = 6
LASTING = (400, 401, 403, 404, 405, 410)  # answers that a second request would get again
_DEPTH = 3  # folders below a URL that are listed
_ASKED_AT_ONCE = 16
_TAGS = ("ETag", "etag", "md5Hash", "generation", "Last-Modified", "LastModified", "last_modified", "mtime", "created")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)


class Waits(NamedTuple):
    """Before the second attempt (each later one waits twice as long), and for a server that sends no byte."""

    delay_secs: float = 0.5
    silent_secs: float = 20.0


waits = Waits()


class _UnlikeError(Exception):
    """What came is not the file that was asked for."""


def listed(url: str, pattern: str, warn: Warn) -> list[Json]:
    """Describes the files below a URL whose last name matches the pattern: `_described`, and `name`, the path there.

    Args:
        url: of a folder.
        pattern: regular expression of the whole name.
        warn: is told of the first attempt that failed.
    """

    base, query = _split(url)

    def find() -> dict[str, Any]:
        system, root = _place(base)
        in_request = query if url.startswith("http") else ""
        found, folders = {}, [""]
        while folders:  # `walk` would leave out folders below the first that cannot be listed
            folder = folders.pop()
            asked = f"{root.rstrip('/')}/{folder}{in_request}"
            for info in system.ls(asked, detail=True):
                prefix = asked.rstrip("/") + "/"
                name = folder + _split(info["name"].removeprefix(prefix))[0].strip("/")
                if not info["name"].startswith(prefix) or name == folder:
                    continue
                if info["type"] != "directory":
                    found[name] = info
                elif name.count("/") < _DEPTH:
                    folders.append(name + "/")
        return {name: info for name, info in found.items() if re.fullmatch(pattern, _name(name).rpartition("/")[2])}

    found = attempt(find, url, warn)
    places = {name: f"{base.rstrip('/')}/{name}{query}" for name in sorted(found)}
    unknown = [place for name, place in places.items() if found[name].get("size") is None]
    asked = {one["url"]: one for one in described(unknown, warn)}
    every = {name: asked.get(place) or _described(place, found[name]) for name, place in places.items()}
    return [{**one, "name": _name(name)} for name, one in every.items()]


def described(urls: list[str], warn: Warn) -> list[Json]:
    """Describes files; see `_described`."""

    def ask(url: str) -> Json:
        def info() -> Json:
            system, path = _place(url)
            return _described(url, system.info(path))

        return attempt(info, url, warn)

    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        return list(pool.map(ask, urls))


def _described(url: str, info: Json) -> Json:
    """Address, size in bytes, a tag that is another where the file has changed, and its MD5 where it is known."""
    if info.get("size") is None:
        raise DataError(f"Cannot use {shown(url)}: the server does not tell its size. Download it yourself.")
    tag = next((str(info[name]) for name in _TAGS if info.get(name)), "")
    md5 = base64.b64decode(info.get("Content-MD5") or info.get("md5Hash") or "").hex()
    return {"url": url, "size": int(info["size"]), "tag": tag, "md5": md5}


def read(url: str, most_bytes: int, optional: bool, warn: Warn) -> str | None:
    """Reads a small text file, UTF-8; None where there is none that can be read, if it is `optional`."""

    def get() -> str | None:
        system, path = _place(url)
        try:
            data: bytes = system.cat_file(path)
        except Exception as error:
            if optional and reason_of(error)[1]:
                return None
            raise
        if len(data) > most_bytes:
            raise DataError(f"{shown(url)} must have at most {most_bytes} bytes. It has {len(data)}.")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise DataError(f"{shown(url)} must be text in UTF-8. It is not.") from None

    return attempt(get, url, warn)


def download(url: str, size: int, tag: str, sums: dict[str, str], path: Path) -> None:
    """Downloads a file and compares it with what is known of it."""
    system, place = _place(url)
    system.get_file(place, str(path))
    found = path.stat().st_size
    problem = "" if found == size else f"it must have {size} bytes, and {found} came"
    for name, expected in sums.items():
        with path.open("rb") as file:
            came = hashlib.file_digest(file, name).hexdigest()
        if not problem and came != expected:
            problem = f"its {name.upper()} must be {expected}, and what came has {came}"
    if tag and (problem or not sums) and _described(url, system.info(place))["tag"] != tag:
        raise DataError(f"{shown(url)} has changed since it was listed. Start again, with the files as they are now.")
    if problem:
        raise _UnlikeError(problem)


def _place(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    import fsspec

    protocol, options = url.partition("://")[0], {}
    try:
        if protocol in ("http", "https", "gs", "gcs"):
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, sock_connect=waits.silent_secs, sock_read=waits.silent_secs)
            of_web, of_google = {"client_kwargs": {"timeout": timeout}}, {"requests_timeout": timeout}
            options = {**(of_web if protocol.startswith("http") else of_google), "use_listings_cache": False}
        if protocol in ("s3", "s3a"):
            silence = {"connect_timeout": waits.silent_secs, "read_timeout": waits.silent_secs}
            config = {**silence, "retries": {"max_attempts": 1}}
            options = {"config_kwargs": config, "use_listings_cache": False}
        system, path = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        raise DataError(
            f"Cannot read {shown(url)}: {protocol}:// needs a package ({error}). Install it with `pip install "
            "tfcore[remote]`, or one of fsspec's others by its name."
        ) from error
    except ValueError as error:
        raise DataError(
            f"Cannot read {shown(url)}: {shortened(error)}. Name one that starts with https://, s3:// or gs://."
        ) from error
    return system, path


def attempt(action: Callable[[], _T], url: str, warn: Warn) -> _T:
    """Calls a function, again after a time if it failed; raises DataError where that is of no use or was in vain."""
    for number in range(ATTEMPTS):
        try:
            return action()
        except DataError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _DISK:
                raise
            reason, is_lasting = reason_of(error)
            if is_lasting:
                raise DataError(
                    f"Cannot read {shown(url)}: {reason}. Check the address and your access to it."
                ) from error
            if number == ATTEMPTS - 1:
                raise DataError(
                    f"Cannot read {shown(url)}: {reason}, {ATTEMPTS} times in turn. Check the network and the server, "
                    "then give the same command again."
                ) from error
            if number == 0:
                warn(f"Cannot read {shown(url)}: {reason}. Trying again.")
        time.sleep(waits.delay_secs * 2**number)
    raise AssertionError("the last attempt returns or raises")


def reason_of(error: BaseException) -> tuple[str, bool]:
    """Describes why a request failed, and whether the next one would fail, too."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    for one in chain:
        answer = getattr(one, "response", None)  # of botocore
        status = answer["ResponseMetadata"].get("HTTPStatusCode") if isinstance(answer, dict) else None
        status = status or getattr(one, "status", None)  # of aiohttp
        if type(one).__name__ == "HttpError":  # of gcsfs
            status = getattr(one, "code", None)
        if isinstance(status, int):
            return f"the server answered {status} {getattr(one, 'message', '')}".strip(), status in LASTING
    if isinstance(chain[-1], _UnlikeError):
        return str(chain[-1]), False
    timeouts = [one for one in chain if isinstance(one, TimeoutError)]
    if timeouts:
        return f"no answer within {waits.silent_secs:g} s", False
    numbers = [one.errno for one in chain if isinstance(one, OSError) and isinstance(one.errno, int)]
    if isinstance(chain[0], FileNotFoundError) and not isinstance(chain[-1], ConnectionError):
        cause = chain[-1]
        if len(chain) == 1 or isinstance(cause, FileNotFoundError) or "ClientError" in type(cause).__name__:
            return "there is no such file", True
    if isinstance(chain[0], PermissionError):
        return "access is denied", True
    if any("Credential" in type(one).__name__ for one in chain):
        return f"no credentials ({shortened(chain[-1])})", True
    if numbers:
        connected = os.strerror(numbers[-1]) if numbers[-1] > 0 else "the name of the host is not known"
        return f"no connection ({connected})", False
    return f"the transfer broke off ({shortened(chain[-1])})", False


def shown(url: str) -> str:
    """The address without what may be a secret: user, password and query."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _split(url: str) -> tuple[str, str]:
    """The address, and its query with the question mark."""
    base, mark, query = url.partition("?")
    return base, mark + query


def _name(path: str) -> str:
    """The part of an address below a folder, as a path; only `https:` writes it with `%20` and the like."""
    return unquote(path)


def shortened(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    lines = str(error).splitlines()
    return lines[0][:200].rstrip(".") if lines and lines[0].strip() else type(error).__name__
