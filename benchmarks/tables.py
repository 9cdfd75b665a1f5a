"""Formats the figures of a comparison as Markdown.

A report holds `rounds`: for each round, case → side → figures. A side that could not run has `{"not_run": reason}`.
"""

import statistics
from typing import Any

from benchmarks.sides import CASES, FLOAT32, Case

Figures = dict[str, Any]
Rounds = list[dict[str, dict[str, Figures]]]
MEMORY_CASES = ("softmax", "cifar_cnn")
MEGABYTE = 2**20


class Results:
    """The figures of all rounds of one case.

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
        """The reason why a side did not run; None if it ran."""
        return next((figures[name]["not_run"] for figures in self._rounds if "not_run" in figures[name]), None)

    def rates(self, name: str) -> list[float]:
        """The rate of a side in each round."""
        return [figures[name][self.case.figure] for figures in self._rounds]

    def ratio(self, name: str, other: str) -> float:
        """The speed of a side relative to another: the median of the ratios of the rounds."""
        pairs = zip(self.rates(name), self.rates(other), strict=True)
        return statistics.median(rate / other_rate for rate, other_rate in pairs)

    def fastest(self, names: list[str], own: str) -> str:
        """The side with the smallest ratio of `own` to it."""
        return min(names, key=lambda name: self.ratio(own, name))

    def precision(self, name: str) -> str:
        """The precision of a side."""
        return self._rounds[0][name]["precision"]

    def in_float32(self, names: list[str]) -> list[str]:
        """The sides among `names` that computed in float32."""
        return [name for name in names if self.precision(name) == "float32"]

    def memory_bytes(self, name: str) -> float:
        """The peak memory above that after the bare import, median of the rounds."""
        sizes = [figures[name]["peak_memory_bytes"] - figures[name]["import_memory_bytes"] for figures in self._rounds]
        return statistics.median(sizes)

    def loss(self, name: str) -> tuple[float, float] | None:
        """The loss of the first and the last epoch (tfcore: of 20 early and 20 late steps); None for an evaluation."""
        return loss_change(self._rounds[-1][name])


def loss_change(figures: Figures) -> tuple[float, float] | None:
    """The mean training loss at the beginning and at the end; None for an evaluation."""
    if "losses" in figures:
        return figures["losses"][0], figures["losses"][-1]
    return (figures["loss_first"], figures["loss_last"]) if "loss_first" in figures else None


def table(report: Figures) -> str:
    """The report as Markdown: goals, all sides, memory."""
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
    """The table of ratios with their goals."""
    lines = [
        "",
        "Speed of tfcore relative to the other side (goal); tfcore with its defaults except in the last column:",
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
    """A cell such as `5.80 (6.0), JAX epoch in scan`."""
    if other not in result.ran:
        return "not run"
    return f"{result.ratio(own, other):.2f}{'' if goal is None else f' ({goal:.1f})'}, {other}"


def _sides(results: dict[str, Results]) -> list[str]:
    """The table of all sides of all cases."""
    lines = [
        "",
        "| case | side | precision | steps (evaluation: pictures) a second, by round | tfcore relative to it | loss |",
        "|---|---|---|---|---|---|",
    ]
    for case, result in results.items():
        for name in result.names:
            lines.append(f"| {case} | {name} | {' | '.join(_side(result, name))} |")
    return lines


def _side(result: Results, name: str) -> list[str]:
    """The cells of a side: precision, rates, ratio and loss."""
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
    """The table of memory; each peer in its setting with the least memory."""
    measured = {case: result for case, result in results.items() if case in MEMORY_CASES}
    if not measured:
        return []
    lines = [
        "",
        "Largest resident memory in MiB above that after the framework's bare import; tfcore with its defaults, each "
        "peer in its setting with the least memory:",
        "",
        f"| library | {' | '.join(measured)} |",
        "|---" * (1 + len(measured)) + "|",
    ]
    for library in dict.fromkeys(side.library for result in measured.values() for side in result.case.sides):
        cells = [_leanest(result, library) for result in measured.values()]
        lines.append(f"| {library} | {' | '.join(cells)} |")
    return lines


def _leanest(result: Results, library: str) -> str:
    """The memory of a library; `-` if it is not in the case or did not run."""
    names = [result.best] if library == "tfcore" else result.ran
    sizes = [result.memory_bytes(name) for name in names if result.case.side(name).library == library]
    return f"{min(sizes) / MEGABYTE:,.0f}" if sizes else "-"
