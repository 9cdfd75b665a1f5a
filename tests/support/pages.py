"""Executes a page of the documentation: writes its files, runs its commands, compares their answers.

A page is read from top to bottom in one empty folder. Commands run in this process; word for word, in one process each:

- A block whose first line is `# NAME.EXT` is written to a file of that name.
- Any other ```python block is executed; all blocks of a page share their variables.
- An indented block, and one of ```console, holds commands: `python train.py …`, `python eval.py …`, `tfcore …` and
  `python FILE.py …`, of the page or of the project. Where lines begin with `$ `, the other lines are the expected
  answers, in which `…` matches anything, also whole lines. A long line may continue on the next, indented by four
  spaces. A command may fail only where its answer shows an `error: …`.
- A ```text block is not run. Word for word, its lines about epochs and test scores must be in the last answer.

A comment above a block, its parts separated by `;`, changes that: `<!-- real data -->` says that the page needs MNIST
and CIFAR-10, `<!-- in tests: --steps=20 -->` adds flags to every `train`, `sweep` and `benchmark` of the block, and to
`examples/draw_scenes.py`, to shorten them, and `<!-- not run: REASON -->` excludes the block.
"""

import contextlib
import io
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from tfcore.build import runtime
from tfcore.cli.main import main

ROOT = Path(__file__).parents[2]
QUICK = ("--noreport", "--summaries=none")  # saves a second; explicit flags come later and override these
_FENCE = re.compile(r"```(\w*)$")
_COMMENT = re.compile(r"<!-- (.*) -->$")
_FILE = re.compile(r"# ([\w./-]+\.\w+)$")
_SCORES = re.compile(r"epoch \d+:|test loss|with averaged weights:")
_NUMBER = re.compile(r"(\d[\d,]*(?:\.\d+)?)")
_MARKS = ("real data", "in tests", "not run")


@dataclass(frozen=True)
class Block:
    """Block of code: its first line, language ("" if indented), text, and the marks of the comment above it."""

    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def file_name(self) -> str | None:
        """Name of the file to write the block to; None if it is not a file."""
        name = _FILE.match(self.text.partition("\n")[0])
        return name[1] if name else None


def blocks(page: str) -> list[Block]:
    """Returns the code blocks of a Markdown page, in order."""
    found, lines, number, marks = [], page.splitlines(), 0, {}
    while number < len(lines):
        line, start = lines[number], number
        fence, comment = _FENCE.match(line), _COMMENT.match(line)
        number += 1
        if fence:
            end = lines.index("```", number)
            found.append(Block(number + 1, fence[1], "\n".join(lines[number:end]) + "\n", marks))
            number = end + 1
        elif line.startswith("    ") and _may_precede(lines[start - 1] if start else ""):
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number].strip()):
                number += 1
            text = "\n".join(part[4:] for part in lines[start:number]).rstrip()
            found.append(Block(start + 1, "", f"{text}\n", marks))
        if line.strip():
            marks = _marks(comment[1]) if comment else {}
    return found


def _may_precede(line: str) -> bool:
    """Tells whether an indented line after this one is code and not continued text."""
    return not line.strip() or bool(_COMMENT.match(line))


def _marks(comment: str) -> dict[str, str]:
    parts = (part.partition(":") for part in comment.split(";"))
    marks = {name.strip(): value.strip() for name, _, value in parts}
    if not set(marks) & set(_MARKS):
        return {}  # a comment of another kind
    assert set(marks) <= set(_MARKS), (
        f"<!-- {comment} --> has marks that mean nothing: {sorted(set(marks) - set(_MARKS))}"
    )
    return marks


def needs_real_data(page: str) -> bool:
    """Tells whether a block of the page needs real data."""
    return any("real data" in block.marks for block in blocks(page))


def commands(text: str) -> Iterator[tuple[list[str], str | None]]:
    """Yields the words of each command with its expected answer; None where the block shows no answers."""
    text = text.replace("\\\n", " ")
    if not re.search(r"^\$ ", text, re.MULTILINE):
        yield from ((words, None) for line in text.splitlines() if (words := shlex.split(line, comments=True)))
        return
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, answer = part.partition("\n")
        yield shlex.split(line, comments=True), answer.rstrip()


def unbroken(shown: str) -> str:
    """Joins continued lines of an expected answer."""
    return re.sub(r"\n {4}(?=\S)", " ", shown)


def matches(shown: str, answer: str) -> bool:
    """Tells whether the answer matches what the page shows; `…` matches anything."""
    lines = "\n".join(line.rstrip() for line in answer.strip().splitlines())
    return re.fullmatch(re.escape(unbroken(shown)).replace("…", ".*?"), lines, re.DOTALL) is not None


def are_alike(shown: str, line: str) -> bool:
    """Tells whether two lines have equal words and numbers within 5 %, ignoring seconds at the end."""
    ours, theirs = (_NUMBER.split(re.sub(r"  [\d.]+ s$", "", text.rstrip())) for text in (shown, line))
    if ours[::2] != theirs[::2]:
        return False
    pairs = ((float(part.replace(",", "")) for part in pair) for pair in zip(ours[1::2], theirs[1::2], strict=True))
    return all(abs(number - other) <= 0.05 * abs(number) for number, other in pairs)


class Reader:
    """Executes the page at `path` in the working directory.

    Args:
        path: of the page.
        word_for_word: runs the commands unchanged, each in a process.
    """

    def __init__(self, path: Path, *, word_for_word: bool = False) -> None:
        self._path, self._word_for_word = path, word_for_word
        self._names: dict[str, Any] = {"__name__": "page"}
        self._answer = ""  # to the last command

    def read(self) -> None:
        """Executes all blocks; raises AssertionError with the page's line where a result differs from the page."""
        folder, modules = Path.cwd(), set(sys.modules)
        # A command has its own process, whose threads it sets; those of the test's process are set already.
        with mock.patch.object(runtime, "set_threads", lambda config: config):
            try:
                for block in blocks(self._path.read_text(encoding="utf-8")):
                    if "not run" not in block.marks:
                        self._do(block)
            finally:
                for name in set(sys.modules) - modules:
                    if str(getattr(sys.modules[name], "__file__", None)).startswith(str(folder)):
                        del sys.modules[name]

    def _do(self, block: Block) -> None:
        if block.file_name:
            Path(block.file_name).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            code = compile("\n" * (block.line - 1) + block.text, str(self._path), "exec")  # tracebacks tell the line
            exec(code, self._names)
        elif block.language in ("", "console"):
            for words, shown in commands(block.text):
                self._run(f"{self._path.name}:{block.line}: {' '.join(words)}", self._lengthened(words, block), shown)
        else:
            assert block.language == "text", f"{self._path.name}:{block.line}: what is to be done with this block?"
            for line in filter(_SCORES.match, block.text.splitlines() if self._word_for_word else ()):
                found = any(are_alike(line, other) for other in self._answer.splitlines())
                assert found, f"{self._path.name}:{block.line}: '{line}' is not in\n{self._answer}"

    def _lengthened(self, words: list[str], block: Block) -> list[str]:
        """Returns the command with the flags that shorten it."""
        match words:
            case ["python", ("train.py" | "eval.py") as name, *rest]:
                words = ["tfcore", name.removesuffix(".py"), *rest]
            case ["python", "-m", "tfcore", *rest]:
                words = ["tfcore", *rest]
        if self._word_for_word:
            return words
        quick = QUICK if words[1] in ("train", "sweep") else ()
        is_long = words[:2] == ["python", "examples/draw_scenes.py"] or words[1] in ("train", "sweep", "benchmark")
        more = shlex.split(block.marks.get("in tests", "")) if is_long else []
        return [*words[:2], *quick, *words[2:], *more]

    def _run(self, where: str, words: list[str], shown: str | None) -> None:
        run = _in_a_process if self._word_for_word else _in_this_process
        status, answer = run(_arguments(words, where))
        self._answer = answer
        may_fail = shown is not None and re.search(r"^error: ", shown, re.MULTILINE)
        assert bool(status) == bool(may_fail), f"{where}\nends with status {status}:\n{answer}"
        assert shown is None or matches(shown, answer), f"{where}\nanswers:\n{answer}\nand not:\n{shown}"


def _in_a_process(arguments: list[str]) -> tuple[int, str]:
    """Runs Python with the arguments; returns the exit status and all output."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def _in_this_process(arguments: list[str]) -> tuple[int, str]:
    """Runs the arguments in this process; returns the exit status and all output."""
    printed, status = io.StringIO(), 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        if arguments[0] == "-m":
            status = main(arguments[2:])
        else:
            with mock.patch.object(sys, "argv", arguments):
                runpy.run_path(arguments[0], run_name="__main__")
    return status, printed.getvalue()


def _arguments(words: list[str], where: str) -> list[str]:
    """Returns the arguments for Python that run a command of the page."""
    match words:
        case ["tfcore", *rest]:
            return ["-m", "tfcore", *rest]
        case ["python", script, *rest] if script.endswith(".py"):
            return [script if Path(script).is_file() else str(ROOT / script), *rest]
    raise AssertionError(f"{where}\nis no command that is run here. Mark its block <!-- not run: REASON -->.")
