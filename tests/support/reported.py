"""Run folders written without training, for tests of reports and facts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfcore.architecture import Architecture
from tfcore.config import RunConfig

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
CONFIG = RunConfig(model="mlp", dataset="mnist", steps=300, learning_rate=0.01)
RESULT: dict[str, Any] = {
    "status": "finished", "steps": 300, "train_secs": 75.0, "examples_per_sec": 12345.6,
    "best": {"step": 200, "validation": {"loss": 0.25, "accuracy": 0.75}},
    "test": {"loss": 0.5, "accuracy": 0.625}, "machine": "2 × Abacus; TensorFlow 2.21.0",
}  # fmt: skip
SCORES: dict[str, Any] = {
    "loss": 0.5, "accuracy": 0.625, "top_5_accuracy": 1.0, "examples": 8,
    "classes": {"cat": {"precision": 0.75, "recall": 0.6}, "dog": {"precision": 0.5, "recall": 0.6667}},
    "confusion_matrix": [[3, 2], [1, 2]],
}  # fmt: skip
ENTRIES: list[dict[str, Any]] = [
    {"step": 100, "split": "train", "loss": 2.0, "accuracy": 0.2, "learning_rate": 0.01, "gradient_norm": 3.0,
     "gradient_norm/logits.weights": 2.5},
    {"step": 200, "split": "train", "loss": 1.0, "accuracy": 0.4, "learning_rate": 0.005, "gradient_norm": None,
     "gradient_norm/logits.weights": 1.5},
    {"step": 200, "split": "validation", "loss": 1.5, "accuracy": 0.3},
    {"step": 300, "split": "test", "loss": 0.5, "accuracy": 0.625},
]  # fmt: skip


def write_run(
    folder: Path,
    *,
    entries: list[dict[str, Any]] = ENTRIES,
    result: dict[str, Any] | None = None,
    scores: dict[str, Any] | None = None,
    pictures: tuple[str, ...] = (),
    **settings: Any,
) -> Path:
    """Writes a run folder with the files that a report reads; `settings` override CONFIG's flags."""
    folder.mkdir(parents=True)
    (folder / "config.flags").write_text(replace(CONFIG, **settings).flags(), encoding="utf-8")
    (folder / "architecture.json").write_text(Architecture("mlp", (4, 4, 1), ("cat", "dog")).to_json())
    (folder / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    (folder / "result.json").write_text(json.dumps(RESULT if result is None else result))
    if scores is not None:
        (folder / "test.json").write_text(json.dumps(scores))
    if pictures:
        (folder / "pictures").mkdir()
        for name in pictures:
            (folder / "pictures" / name).write_bytes(PNG)
    return folder
