"""`tfcore benchmark` from the command line: all figures and their consistency, the profile, and the errors."""

import gzip
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from tfcore.cli import benchmark
from tfcore.cli.main import main

ROOT = pathlib.Path(__file__).parents[2]
ARGUMENTS = ("--model=softmax", "--dataset=shapes", "--batch_size=100", "--train_examples=2000", "--secs=0.02")
FIGURES = {
    *("steps_per_sec", "steps_per_sec_range", "examples_per_sec", "compute_only", "input_only", "evaluation"),
    *("import_secs", "build_secs", "trace_secs", "first_step_secs", "bare_import_secs", "startup_ratio"),
    *("peak_memory_bytes", "import_memory_bytes", "data_bytes"),
    *("flops_per_step", "flops_per_sec", "peak_flops_per_sec_float32", "peak_flops_per_sec_bfloat16", "peak_share"),
    *("logging_share", "scalars_secs", "checkpoint_secs", "loss_first", "loss_last", "loss_fell"),
    *("precision", "xla", "intra_op_threads", "inter_op_threads", "machine"),
}
Done = subprocess.CompletedProcess[str]


def benchmarked(folder: pathlib.Path, *more: str) -> Done:
    """Runs the command in a separate process with warnings as errors."""
    command = [sys.executable, "-W", "error", "-m", "tfcore", "benchmark", *ARGUMENTS, *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, pathlib.Path]:
    """A benchmark with JSON and a profile, and its working directory."""
    folder = tmp_path_factory.mktemp("benchmark")
    return benchmarked(
        folder,
        "--json",
        "--patience=1",
        "--evaluate_every_epochs=0.1",
        "--profile_steps=3",
        "--profile_dir=deep/profile",
    ), folder


@pytest.fixture
def figures(profiled: tuple[Done, pathlib.Path]) -> dict[str, Any]:
    """The JSON, the only content of standard output."""
    return json.loads(profiled[0].stdout)


@pytest.mark.thorough
def test_every_figure_is_there(figures: dict[str, Any]) -> None:
    assert set(figures) == FIGURES
    numbers = {name: value for name, value in figures.items() if isinstance(value, float)}
    assert all(
        value > 0 for name, value in numbers.items() if name not in ("trace_secs", "scalars_secs", "logging_share")
    )


@pytest.mark.thorough
def test_the_figures_agree(figures: dict[str, Any]) -> None:
    assert figures["startup_ratio"] == figures["first_step_secs"] / figures["bare_import_secs"]
    assert figures["first_step_secs"] > figures["import_secs"] + figures["build_secs"]
    assert figures["flops_per_sec"] == figures["flops_per_step"] * figures["steps_per_sec"]
    assert figures["flops_per_step"] == 2 * 2 * 100 * 3072 * 10  # forward, and the gradient of the weights
    assert figures["precision"] == "float32"
    assert figures["peak_share"] == figures["flops_per_sec"] / figures["peak_flops_per_sec_float32"]
    assert figures["loss_fell"] is (figures["loss_last"] < figures["loss_first"])
    assert 0 <= figures["logging_share"] < 1
    assert figures["peak_memory_bytes"] > figures["import_memory_bytes"] > 0
    assert figures["data_bytes"] == (2000 + 2000) * 32 * 32 * 3
    assert (figures["intra_op_threads"], figures["inter_op_threads"]) == (1, 1)


@pytest.mark.thorough
def test_the_profile_opens_and_its_table_is_in_the_log(profiled: tuple[Done, pathlib.Path]) -> None:
    done, folder = profiled
    assert [path.name for path in folder.iterdir()] == ["deep"]
    assert [path.name for path in (folder / "deep").iterdir()] == ["profile"]
    assert len(list(folder.glob("deep/profile/plugins/profile/*/*.xplane.pb"))) == 1
    trace = json.loads(gzip.decompress((folder / "deep" / "profile" / "trace.json.gz").read_bytes()))
    assert [event["name"] for event in trace["traceEvents"]].count("train") == 3
    for words in ("time by op", "all ops", "3 steps of ", "--logdir deep/profile", "deep/profile/trace.json.gz"):
        assert words in done.stderr


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        (
            "training",
            {"steps_per_sec", "steps_per_sec_range", "examples_per_sec", "loss_first", "loss_last", "loss_fell"},
        ),
        ("evaluation", {"evaluation"}),
    ],
)
def test_only_what_is_wanted_is_measured(tmp_path: pathlib.Path, wanted: str, there: set[str]) -> None:
    done = benchmarked(tmp_path, "--json", f"--figures={wanted}")
    memory = {"peak_memory_bytes", "import_memory_bytes", "data_bytes"}
    setting = {"precision", "xla", "intra_op_threads", "inter_op_threads", "machine"}
    assert set(json.loads(done.stdout)) == there | memory | setting


@pytest.mark.thorough
def test_people_get_the_same_in_groups(profiled: tuple[Done, pathlib.Path]) -> None:
    lines = profiled[0].stderr.partition("time by op")[0].splitlines()
    assert {line.split()[0] for line in lines if line.startswith("  ")} == FIGURES
    assert [line for line in lines if not line.startswith("  ")] == [
        f"{title}:" for title in ("speed", "start-up", "memory", "computation", "logging", "loss", "setting")
    ]


def test_a_loss_that_did_not_fall_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    groups = {"speed": {"steps_per_sec_range": [10.0, 2000.0]}, "loss": {"loss_first": 2.5, "loss_last": float("nan")}}
    for fell, warnings in ((True, 0), (False, 1)):
        groups["loss"]["loss_fell"] = fell
        benchmark._report(groups, sys.stdout, as_json=True)
        printed = capsys.readouterr()
        assert printed.err.count("warning: the training loss did not fall: 2.5000 at the beginning, nan") == warnings
        assert printed.err.count("\n") == warnings
        assert "  steps_per_sec_range           10 to 2,000\n" in printed.out
        flat = {"steps_per_sec_range": [10.0, 2000.0], "loss_first": 2.5, "loss_last": None, "loss_fell": fell}
        assert json.loads(printed.out.splitlines()[-1]) == flat


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--secs=0"], 2, "`secs` must be above 0"),
        (["--figures=some"], 2, "`figures` must be one of"),
        (["--profile_steps=-1", "--profile_dir=new"], 2, "`profile_steps` must be at least 0"),
        (["--profile_steps=some"], 2, "--profile_steps"),
        (["--profile_steps=3"], 2, "--profile_steps and --profile_dir go together"),
        (["--profile_dir=new"], 2, "--profile_steps and --profile_dir go together"),
        (["--profile_steps=3", "--profile_dir=mine"], 1, "mine is there already"),
    ],
)
def test_options_of_no_use_are_one_line(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert main(["benchmark", *arguments]) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
