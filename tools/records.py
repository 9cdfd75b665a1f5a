"""Committed result files: a command replaces them only with `--record`."""

import argparse
import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any


def add_flag(parser: argparse.ArgumentParser, files: str) -> None:
    """Adds `--record` to a command.

    Args:
        parser: of the command.
        files: description of the committed files that the command can replace.
    """
    parser.add_argument("--record", action="store_true", help=f"replace {files}; without it the result is only printed")


def finish(files: str, write: Callable[[], None], *, is_wanted: bool) -> None:
    """Writes the committed files if wanted; prints on standard error whether it did.

    Args:
        files: as given to `add_flag`.
        write: writes them.
        is_wanted: the value of `--record`.
    """
    if is_wanted:
        write()
    print(
        f"Recorded in {files}." if is_wanted else f"Nothing was recorded: --record replaces {files}.", file=sys.stderr
    )


def write_json(path: pathlib.Path, content: Any) -> None:
    """Writes a result file."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def put(page: pathlib.Path, begin: str, end: str, text: str) -> None:
    """Replaces the text of a page between the lines `begin` and `end`."""
    before, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(before + begin + text + end + rest.split(end)[1], encoding="utf-8")
