"""Compares two runs of the same command in everything but times, however they were cut into processes."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfcore.training.checkpoints import steps_in
from tfcore.training.run_log import SPLITS

RATES = {"examples_per_sec"}
TIMES = {"train_secs", "parts", *RATES}
_DESCRIPTION = re.compile(r"config\.flags|architecture\.json")


def variables(run: Path, step: int | None = None) -> dict[str, np.ndarray]:
    """Reads every variable of a checkpoint, by default of the newest; raises for a damaged one."""
    step = steps_in(run / "checkpoints")[-1] if step is None else step
    reader = tf.train.load_checkpoint(str(run / "checkpoints" / f"step-{step:010d}" / "state"))
    return {
        name: np.asarray(reader.get_tensor(name))
        for name in reader.get_variable_to_shape_map()
        if "OBJECT_GRAPH" not in name
    }


def metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of the metrics file, without the rates."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{name: value for name, value in json.loads(line).items() if name not in RATES} for line in lines]


def curves(run: Path) -> dict[str, list[tuple[str, int, bytes]]]:
    """Tag, step and value of all summaries in the event files, in the order in which TensorBoard reads them."""
    found = {}
    for split in SPLITS:
        events = found[split] = []
        for path in sorted((run / split).glob("events.out.tfevents.*")):
            for record in tf.data.TFRecordDataset(str(path)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                events += [
                    (value.tag, event.step, value.tensor.SerializeToString())
                    for value in event.summary.value
                    if value.tag not in RATES
                ]
    return found


def result(run: Path) -> dict[str, Any]:
    """The content of result.json, without the times."""
    ended = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return {name: value for name, value in ended.items() if name not in TIMES}


def entries(run: Path) -> set[str]:
    """The relative paths of files and folders; all event files (each process starts new ones) under one name."""
    paths = (path.relative_to(run).as_posix() for path in run.rglob("*"))
    return {re.sub(r"(^|/)events\.out\.tfevents\..*", r"\1events", path) for path in paths}


def all_differences(one: Path, other: Path) -> list[str]:
    """Lists the differences in everything that two runs leave; also that one of them cannot be read."""
    try:
        return differences(one, other) + _differences_in_folder(one, other)
    except Exception as error:  # reading a damaged run may raise any type
        return [f"it cannot be read: {error}"]


def differences(one: Path, other: Path) -> list[str]:
    """Lists the differences in the newest checkpoint, both logs and the result, in words."""
    found = _differing_variables(variables(one), variables(other))
    found += [] if metrics(one) == metrics(other) else ["metrics.jsonl"]
    ours, theirs = curves(one), curves(other)
    found += [f"event files of {split}" for split in ours if ours[split] != theirs[split]]
    return found + ([] if result(one) == result(other) else ["result.json"])


def _differences_in_folder(one: Path, other: Path) -> list[str]:
    """Lists the other differences: in the files that exist, in every kept checkpoint, and in the configuration."""
    ours, theirs = entries(one), entries(other)
    found = [f"missing: {path}" for path in sorted(ours - theirs)] + [f"left: {path}" for path in sorted(theirs - ours)]
    for step in sorted({*steps_in(one / "checkpoints")} & {*steps_in(other / "checkpoints")}):
        differing = _differing_variables(variables(one, step), variables(other, step))
        found += [f"{name} at step {step}" for name in differing]
    texts = [path for path in sorted(ours & theirs) if _DESCRIPTION.fullmatch(path)]
    return found + [path for path in texts if (one / path).read_bytes() != (other / path).read_bytes()]


def _differing_variables(ones: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> list[str]:
    """The names that only one has, and those whose bytes differ."""
    return sorted(
        name
        for name in ones.keys() | others.keys()
        if name not in ones or name not in others or ones[name].tobytes() != others[name].tobytes()
    )
