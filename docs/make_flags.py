"""Writes docs/flags.md from the code: `python docs/make_flags.py`."""

import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))  # this checkout, not an installed tfcore

from tfcore.cli import flags  # noqa: E402
from tfcore.cli.main import COMMANDS  # noqa: E402
from tfcore.cli.show_kinds import KINDS  # noqa: E402
from tfcore.config import RunConfig  # noqa: E402
from tfcore.config_fields import IDENTITY, WATCHING  # noqa: E402

PARTS = {item.name: item.metadata["part"] for item in fields(RunConfig)}
HEAD = """\
# Every flag

Written by `python docs/make_flags.py` from the code; `tfcore COMMAND --help` prints the same. `tfcore train` and
`python train.py` are the same, as are `tfcore eval` and `python eval.py`. A boolean flag is `--name` or `--noname`, the
items of a list are separated by commas (`--hidden=50,50`), and the last value of a repeated flag counts.
"""
TITLES = {
    IDENTITY: "What is trained\n\nFlags of `train`, `sweep`, `benchmark` and `lr_find`. A resumed run keeps its "
    "values; only its length may grow, if no\nlearning rate depends on it.",
    WATCHING: "How it is observed\n\nFlags of `train`, `sweep`, `benchmark` and `lr_find` too. A resumed run may "
    "change them.",
}


def table(rows: Iterable[tuple[str, str, str]]) -> str:
    """Formats flags as a Markdown table."""
    lines = [f"| `--{name}` | {f'`{default}`' if default else ''} | {escaped(text)} |" for name, default, text in rows]
    return "\n".join(["| flag | default | what |", "|---|---|---|", *lines])


def escaped(text: str) -> str:
    """Escapes a description for a table cell."""
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def commands() -> dict[str, str]:
    """Every command with flags, and its description; `show` has a set of flags for each kind."""
    found: dict[str, str] = {}
    for command, description in COMMANDS.items():
        kinds = {f"show {kind}": text for kind, text in KINDS.items()}
        found |= kinds if command == "show" else {command: description}
    return found


def page() -> str:
    """Returns the whole page."""
    parts = [HEAD]
    for command, description in commands().items():
        of_a_run, own = flags.RUN_FLAGS.get(command, ()), [option.name for option in flags.OPTIONS[command]]
        trains = "model" in of_a_run
        rows = [row for row in flags.rows(command) if not trains or row[0] in own or row[0] not in PARTS]
        missing = ", ".join(f"`--{name}`" for name in PARTS if name not in of_a_run and name not in own)
        more = f"\n\nand those of a run, [below](#what-is-trained){f', except {missing}' if missing else ''}."
        more = more if trains else ""
        files = " FILE …" if command in flags.WITH_FILES else ""
        parts.append(f"## tfcore {command}{files}\n\n{description}\n\n{table(rows)}{more}\n")
    for part, title in TITLES.items():
        rows = [row for row in flags.rows("train") if PARTS.get(row[0]) == part]
        parts.append(f"## {title}\n\n{table(rows)}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    (FOLDER / "flags.md").write_text(page(), encoding="utf-8")
