"""The figures of a comparison as Markdown.

A report holds `rounds`: for each round, case → side → figures. A side that could not run has `{"not_run": reason}`.
"""

import pathlib
import statistics
from typing import Any

from benchmarks.sides import CASES, FLOAT32, Case

Figures = dict[str, Any]
Rounds = list[dict[str, dict[str, Figures]]]
MEMORY_CASES = ("softmax", "cifar_cnn")
MEGABYTE = 2**20


class Results:
    """What all rounds say about one case.

    Args:
        rounds: of the report.
        name: the case.
    """

    def __init__(self, rounds: Rounds, name: str) -> None:
        self.case: Case = CASES[name]
        self._rounds = [figures[name] for figures in rounds]
        self.names = [side.name for side in self.case.sides if side.name in self._rounds[0]]
        self.ran = [name for name in self.names if not self.reason(name)]
        self.peers = [name for name in self.ran if self.case.side(name).library != "tfcore"]
        self.best = self.names[0]  # tfcore at its defaults

    def reason(self, name: str) -> str | None:
        """Why a side did not run."""
        return next((figures[name]["not_run"] for figures in self._rounds if "not_run" in figures[name]), None)

    def rates(self, name: str) -> list[float]:
        """By round."""
        return [figures[name][self.case.figure] for figures in self._rounds]

    def ratio(self, name: str, other: str) -> float:
        """How many times as quick as the other a side is: the median of the rounds' ratios."""
        pairs = zip(self.rates(name), self.rates(other), strict=True)
        return statistics.median(rate / other_rate for rate, other_rate in pairs)

    def fastest(self, names: list[str], own: str) -> str:
        """The side that `own` is ahead of the least."""
        return min(names, key=lambda name: self.ratio(own, name))

    def precision(self, name: str) -> str:
        """What a side computed in."""
        return self._rounds[0][name]["precision"]

    def in_float32(self, names: list[str]) -> list[str]:
        """Those sides that computed in float32."""
        return [name for name in names if self.precision(name) == "float32"]

    def memory_bytes(self, name: str) -> float:
        """The peak above that of the bare import, median of the rounds."""
        sizes = [figures[name]["peak_memory_bytes"] - figures[name]["import_memory_bytes"] for figures in self._rounds]
        return statistics.median(sizes)

    def loss(self, name: str) -> tuple[float, float] | None:
        """Of the first and the last epoch (tfcore: of 20 steps early and 20 late); None for an evaluation."""
        return loss_change(self._rounds[-1][name])


def loss_change(figures: Figures) -> tuple[float, float] | None:
    """The mean training loss at the beginning and at the end, None where nothing was trained."""
    if "losses" in figures:
        return figures["losses"][0], figures["losses"][-1]
    return (figures["loss_first"], figures["loss_last"]) if "loss_first" in figures else None


def put(page: pathlib.Path, begin: str, end: str, text: str) -> None:
    """Writes the text into a page in place of what stands between the two lines."""
    before, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(before + begin + text + end + rest.split(end)[1], encoding="utf-8")


def table(report: Figures) -> str:
    """The report as Markdown: the goals, every side, memory."""
    results = {name: Results(report["rounds"], name) for name in report["rounds"][0]}
    versions = ", ".join(report["versions"])
    lines = [
        f"Measured on {report['date']}: {report['machine']}; {versions}. Command: `{report['command']}`.",
        *_summary(results),
        *_sides(results),
        *_memory(results),
    ]
    return "\n".join(lines) + "\n"


def _summary(results: dict[str, Results]) -> list[str]:
    """How many times as quick tfcore is, beside what it has to be."""
    lines = [
        "",
        "How many times as quick tfcore is (goal); tfcore by default, but for the last column:",
        "",
        "| case | Keras by default | Keras at its best | fastest peer | float32, fastest float32 peer |",
        "|---|---|---|---|---|",
    ]
    for name, result in results.items():
        if result.case.goals is None or not result.peers:
            continue
        keras_goal, peer_goal = result.case.goals
        keras = result.case.first("Keras").name
        cells = [_against(result, result.best, keras, keras_goal)]
        keras_sides = [side for side in result.peers if result.case.side(side).library == "Keras"]
        best_keras = result.fastest(keras_sides, result.best) if keras_sides else keras
        cells.append(_against(result, result.best, best_keras, None))
        cells.append(_against(result, result.best, result.fastest(result.peers, result.best), peer_goal))
        own = result.in_float32([side for side in (FLOAT32, result.best) if side in result.ran])
        peers = result.in_float32(result.peers)
        cells.append(_against(result, own[0], result.fastest(peers, own[0]), 1.0) if own and peers else "-")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _against(result: Results, own: str, other: str, goal: float | None) -> str:
    """`5.80 (6.0), JAX epoch in scan`."""
    if other not in result.ran:
        return "not run"
    return f"{result.ratio(own, other):.2f}{'' if goal is None else f' ({goal:.1f})'}, {other}"


def _sides(results: dict[str, Results]) -> list[str]:
    """Every side of every case."""
    lines = [
        "",
        "| case | side | precision | steps (evaluation: pictures) a second, by round | tfcore: times as quick | loss |",
        "|---|---|---|---|---|---|",
    ]
    for case, result in results.items():
        for name in result.names:
            lines.append(f"| {case} | {name} | {' | '.join(_side(result, name))} |")
    return lines


def _side(result: Results, name: str) -> list[str]:
    """Precision, rates, ratio and loss."""
    if name not in result.ran:
        return ["-", f"not run: {result.reason(name)}", "-", "-"]
    loss = result.loss(name)
    return [
        result.precision(name),
        ", ".join(f"{rate:,.1f}" for rate in result.rates(name)),
        f"{result.ratio(result.best, name):.2f}",
        "-" if loss is None else f"{loss[0]:.3f} → {loss[1]:.3f}",
    ]


def _memory(results: dict[str, Results]) -> list[str]:
    """The leanest setting of each library."""
    measured = {case: result for case, result in results.items() if case in MEMORY_CASES}
    if not measured:
        return []
    lines = [
        "",
        "Largest resident memory in MiB above that of the framework's bare import, each library in its leanest setting "
        "but tfcore at its defaults:",
        "",
        f"| library | {' | '.join(measured)} |",
        "|---" * (1 + len(measured)) + "|",
    ]
    for library in dict.fromkeys(side.library for result in measured.values() for side in result.case.sides):
        cells = [_leanest(result, library) for result in measured.values()]
        lines.append(f"| {library} | {' | '.join(cells)} |")
    return lines


def _leanest(result: Results, library: str) -> str:
    """The size, `-` where the library is not in the case or did not run."""
    names = [result.best] if library == "tfcore" else result.ran
    sizes = [result.memory_bytes(name) for name in names if result.case.side(name).library == library]
    return f"{min(sizes) / MEGABYTE:,.0f}" if sizes else "-"
