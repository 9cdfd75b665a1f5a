"""Mutates the text files of a run folder: flags, result, metrics and architecture."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tfcore import architecture, config_values, history
from tfcore.architecture import Architecture
from tfcore.build.configuration import of_run
from tfcore.config import RunConfig
from tfcore.training import run_folder
from tfcore.use import loading
from tools.reliability.mutated_files import mutate
from tools.reliability.mutated_files.reader import Files, Reader, Wrong, mutated, watched

Past = Callable[[], None]


def _flags(draw: Random) -> bytes:
    settings = draw.choice(
        (
            {},
            {"epochs": 2.5, "hidden": (50, 20), "model": "mlp"},
            {"steps": 100, "image_shape": (2, 2, 1), "dataset": "text:a.txt", "clip_norm": 1e-3},
            {"schedule": "step_wise", "decay_boundaries": (10, 20), "seed": -(2**40), "require_gpu": True},
        )
    )
    return RunConfig(**settings).flags().encode()  # type: ignore[arg-type]


def _odd_flags(draw: Random, text: bytes) -> bytes:
    """The flags with one changed in value, name or form."""
    lines = text.split(b"\n")
    place = draw.randrange(len(lines) - 1)
    name, _, value = lines[place].partition(b"=")
    other = draw.choice(lines[:-1]).partition(b"=")[2]
    match draw.randrange(8):
        case 0 | 1:
            lines[place] = name + b"=" + draw.choice((*mutate.TOKENS, other, value + b",", b",".join([value] * 3)))
        case 2:
            odd = (b"--flagfile=/dev/zero", b"--flagfile=config.flags", b"--undefok=x", b"--help", b"-", b"--", b"word",
                   b"--flagfile", b"--no" + name[2:], b"--helpfull", b"--undefok", b"-v=1", b"=", b"#")  # fmt: skip
            lines.insert(place, draw.choice(odd))
        case 3:
            lines[place] = name + draw.choice((b"", b"==", b" ", b"='1'", b"\t=1")) + value
        case 4:
            lines = mutate.rearrange(draw, lines)
        case 5:
            lines[place] = mutate.damage(draw, lines[place], 2)
        case 6:
            number = b"%d" % mutate.integer(draw, 10, 64)
            lines[place] = name + b"=" + draw.choice((number, b"-" + number, b"1e-400", b"1e400", b"0." + b"3" * 30))
        case 7:
            return mutate.lines(draw, text)
    return b"\n".join(lines)


def _result(draw: Random) -> dict[str, Any]:
    score = {"loss": draw.random(), "accuracy": draw.random()}
    return {"status": "finished", "steps": draw.randrange(1000), "test": score, "train_secs": draw.random()}


def entry(draw: Random, step: int) -> dict[str, Any]:
    """A line of the log."""
    split = draw.choice(("train", "validation", "test"))
    return {"step": step, "split": split, "loss": draw.choice((0.5, None, 1e300)), "accuracy": draw.random()}


def odd_curves(draw: Random, text: bytes) -> bytes:
    """The lines of the log with some changed, seldom the first."""
    lines = text.split(b"\n")[:-1]
    place = draw.randint(0 if draw.random() < 0.2 else 1, len(lines) - 1)
    match draw.randrange(6):
        case 0 | 1 | 2:
            lines[place] = mutate.json_text(draw, json.loads(lines[place]))
        case 3:
            lines.insert(place, draw.choice(mutate.TOKENS))
        case 4:
            lines[place] = mutate.damage(draw, lines[place])
        case 5:
            return mutate.damage(draw, text)
    return b"\n".join(lines) + draw.choice((b"\n", b"\n", b""))


def _run_files(draw: Random, bad: bool) -> Files:
    made = [entry(draw, step) for step in range(0, 40, 10)]
    files: Files = {
        run_folder.CONFIG: _flags(draw),
        run_folder.RESULT: json.dumps(_result(draw), indent=2).encode(),
        "metrics.jsonl": b"".join(json.dumps(line).encode() + b"\n" for line in made),
    }
    odd: dict[str, Callable[[bytes], bytes]] = {
        run_folder.CONFIG: lambda text: _odd_flags(draw, text),
        run_folder.RESULT: lambda text: mutate.json_text(draw, json.loads(text)),
        "metrics.jsonl": lambda text: odd_curves(draw, text),
    }
    return mutated(draw, files, lambda name, content: odd[name](content)) if bad else files


def _read_run(folder: Path, draw: Random, past: Past) -> None:  # noqa: ARG001
    with watched(config_values, "read", past):
        found = of_run(folder)
    if RunConfig.from_flags(found.flags()) != found:
        raise Wrong("the configuration changes when it is written and read again")
    result = run_folder.RunFolder(folder).read_result()
    if type(result) is not dict:
        raise Wrong(f"the result is {type(result).__name__}")
    _check_curves(history.History(folder))


def _check_curves(read: history.History) -> None:
    for split in read.splits:
        for name in read.names(split):
            steps, values = read.curve(split, name)
            if steps.dtype != np.int64 or values.dtype != np.float64 or steps.shape != values.shape or steps.ndim != 1:
                raise Wrong(f"a curve is {steps.dtype} {steps.shape} and {values.dtype} {values.shape}")


def _architecture_files(draw: Random, bad: bool) -> Files:
    sizes = draw.choice(({}, {"hidden": (50, 20)}, {"dropout": (0.25, 0.5), "activation": "relu"}))
    text = Architecture(draw.choice(("softmax", "mlp")), (2, 2, 1), ("cat", "dög"), sizes=sizes).to_json()
    if not bad:
        return {"a.json": text.encode()}
    return {"a.json": mutate.json_text(draw, json.loads(text))}


def _read_architecture(folder: Path, draw: Random, past: Past) -> None:  # noqa: ARG001
    with watched(architecture, "_has_the_fields", past):
        found = loading.read_architecture(folder / "a.json")
    if type(found.sizes) is not dict or Architecture.from_json(found.to_json(), "").class_names != found.class_names:
        raise Wrong(f"{found} is another when it is written and read again")


RUN = Reader(_run_files, _read_run)
ARCHITECTURE = Reader(_architecture_files, _read_architecture)
