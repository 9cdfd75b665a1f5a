"""The table and the picture of docs/recipes.md, made from the result files of the recipes."""

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from tools import records

BEGIN, END = "<!-- made by benchmarks/recipes.py -->\n", "<!-- end of recipes -->\n"
DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"
PAGE, PICTURE = DOCS / "recipes.md", DOCS / "pictures" / "recipes.png"
Results = Mapping[str, Mapping[str, Any]]  # content of the result files, by recipe


class Peer(NamedTuple):
    """What another program reached on the same pictures: one seed, on 2 cores of an Intel Xeon with AMX."""

    name: str
    secs: float
    accuracy: float


PEERS = (Peer("Keras: the network of cifar_cnn", 2200, 0.786), Peer("PyTorch: airbench94, its own code", 545, 0.883))


def dataset(measured: Mapping[str, Any]) -> str:
    """The data set of a recipe."""
    return next(flag.partition("=")[2] for flag in measured["flags"] if flag.startswith("--dataset="))


def fastest(measured: Mapping[str, Any], secs: str) -> float:
    """The least `train_secs` or `total_secs` of the runs; on a shared machine other processes only add time."""
    return min(float(run[secs]) for run in measured["runs"])


def spread(summed: Mapping[str, Any]) -> str:
    """A text such as `0.9716 ± 0.0008`, or the only value."""
    deviation = summed["standard_deviation"]
    return f"{summed['mean']:.4f}" + ("" if deviation is None else f" ± {deviation:.4f}")


def table(results: Results) -> str:
    """Returns a row for each recipe, by data set and accuracy."""
    lines = [
        "| recipe | data | test accuracy | seeds | steps | whole command | machine |",
        "|---|---|---|---|---|---|---|",
    ]
    order = sorted(results, key=lambda name: (dataset(results[name]), results[name]["test_accuracy"]["mean"]))
    lines += [_row(name, results[name]) for name in order]
    return "\n".join(lines) + "\n"


def _row(name: str, measured: Mapping[str, Any]) -> str:
    run = measured["runs"][0]
    cells = (
        f"[{name}](../recipes/{name}.flags)",
        dataset(measured),
        spread(measured["test_accuracy"]),
        str(len(measured["runs"])),
        f"{run['steps']:,}",
        f"{fastest(measured, 'total_secs'):,.0f} s",
        f"{measured['machine']}, {run['precision']}",
    )
    return f"| {' | '.join(cells)} |"


def draw(results: Results) -> Figure:
    """Draws accuracy on CIFAR-10 against time, of the recipes on each machine and of other programs."""
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    ours = {name: measured for name, measured in results.items() if dataset(measured) == "cifar10"}
    for machine in sorted({measured["machine"] for measured in ours.values()}):
        points = {
            name: (fastest(measured, "total_secs"), measured["test_accuracy"]["mean"])
            for name, measured in ours.items()
            if measured["machine"] == machine
        }
        axes.scatter(*zip(*points.values(), strict=True), label=f"tfcore, {machine}")
        _name(axes, points.items())
    peers = {peer.name: (peer.secs, peer.accuracy) for peer in PEERS}
    axes.scatter(
        *zip(*peers.values(), strict=True), marker="^", color="grey", label="others, 2 cores, Intel Xeon with AMX"
    )
    _name(axes, peers.items())
    axes.set(xscale="log", xlabel="seconds from the command to the test score", ylabel="test accuracy on CIFAR-10")
    axes.set_xlim(1, 8000)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize=8)
    return figure


def _name(axes: Any, points: Iterable[tuple[str, tuple[float, float]]]) -> None:
    for name, (secs, accuracy) in points:
        axes.annotate(name, (secs, accuracy), xytext=(0, -12), textcoords="offset points", fontsize=7, ha="center")


def write(results: Results) -> None:
    """Replaces the table of the page, and the picture."""
    records.put(PAGE, BEGIN, END, table(results))
    draw(results).savefig(PICTURE)
