"""Measures the training of a run under all choices of precision, XLA and threads, each in a process of its own."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from tfcore import machine
from tfcore.build.configuration import AUTOMATIC
from tfcore.config import RunConfig
from tfcore.errors import RunError


@dataclass(frozen=True)
class Setting:
    """A choice of precision, XLA and threads: one thread, or one per processor."""

    precision: str
    xla: str
    threads: str  # "one" or "all"

    @classmethod
    def of(cls, figures: dict[str, Any]) -> "Setting":
        """Reads the setting from the figures of a benchmark."""
        is_one = figures["intra_op_threads"] == figures["inter_op_threads"] == 1
        return cls(figures["precision"], figures["xla"], "one" if is_one and machine.processors() > 1 else "all")

    def applied_to(self, config: RunConfig) -> RunConfig:
        """Returns `config` under this setting."""
        count = 1 if self.threads == "one" else machine.processors()
        return replace(config, precision=self.precision, xla=self.xla, intra_op_threads=count, inter_op_threads=count)


@dataclass(frozen=True)
class Tried:
    """A setting, its rate, and why there is none: "" where there is one."""

    setting: Setting
    examples_per_sec: float
    error: str = ""


@dataclass(frozen=True)
class Comparison:
    """The rates of all settings, the fastest first, and what the fixed rules choose."""

    tried: list[Tried]
    chosen: Setting

    @property
    def share_of_best(self) -> float:
        """The rate under the chosen setting, as a share of the best rate."""
        rates = {one.setting: one.examples_per_sec for one in self.tried}
        return rates[self.chosen] / self.tried[0].examples_per_sec

    def figures(self) -> dict[str, Any]:
        """Returns the comparison for JSON."""
        rows = [{**asdict(one.setting), "examples_per_sec": one.examples_per_sec, "error": one.error}
                for one in self.tried]  # fmt: skip
        return {"tried": rows, "chosen": asdict(self.chosen), "share_of_best": self.share_of_best}

    def table(self) -> Table:
        """Returns the comparison for the terminal."""
        best = self.tried[0].examples_per_sec
        table = Table("precision", "XLA", "threads", "examples/s", "of the best", "", title="Training")
        for one in self.tried:
            mark = "chosen by the rule" if one.setting == self.chosen else one.error
            rate = f"{one.examples_per_sec:,.0f}", f"{one.examples_per_sec / best:.0%}"
            table.add_row(one.setting.precision, one.setting.xla, one.setting.threads, *rate, mark)
        return table


def compare(config: RunConfig, *, secs: float, scratch: Path, say: Callable[[str], None]) -> Comparison:
    """Measures `config` under every setting.

    Args:
        config: the run; its own precision, XLA and threads are ignored.
        secs: seconds per repetition.
        scratch: an empty folder.
        say: prints a line per setting.

    Raises:
        RunError: the run fails under every setting, or under the chosen one.
    """
    config = replace(config, **AUTOMATIC)
    chosen = Setting.of(_figures(config, secs, scratch))
    tried = []
    threads = ("one", "all") if machine.processors() > 1 else ("all",)
    for choice in itertools.product(("float32", "bfloat16"), ("off", "on"), threads):
        setting = Setting(*choice)
        try:
            figures = _figures(setting.applied_to(config), secs, scratch)
            tried.append(Tried(setting, figures["examples_per_sec"]))
        except RunError as error:
            if setting == chosen:
                raise
            tried.append(Tried(setting, 0.0, str(error)))
        say(f"{setting.precision}, XLA {setting.xla}, threads {setting.threads}: {tried[-1].examples_per_sec:,.0f}/s")
    return Comparison(sorted(tried, key=lambda one: -one.examples_per_sec), chosen)


def _figures(config: RunConfig, secs: float, scratch: Path) -> dict[str, Any]:
    """Runs `tfcore benchmark` in a process of its own."""
    flags = scratch / "config.flags"
    flags.write_text(config.flags(), encoding="utf-8")
    command = [sys.executable, "-m", "tfcore", "benchmark", f"--flagfile={flags}", "--figures=training", "--json"]
    done = subprocess.run([*command, f"--secs={secs}"], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"the process ended with status {done.returncode}"]
        raise RunError(lines[-1].removeprefix("error: "))
    return json.loads(done.stdout.splitlines()[-1])
