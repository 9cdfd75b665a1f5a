"""Benchmarks and campaigns replace committed files only where they are given --record."""

import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from benchmarks import compare, precisions, recipes, recipes_page
from tools.reliability import disks, hostile_files, kills, long_lives, orders, small_disk, write_page
from tools.reliability.mutated_files.supervisor import Tally

ROOT = pathlib.Path(__file__).parents[1]
CAMPAIGNS = {"kills": kills, "disks": disks, "hostile_files": hostile_files, "long_lives": long_lives, "orders": orders}
Measured = dict[str, Any]


def committed() -> dict[str, bytes]:
    """All files that git knows below the folders that results are committed to."""
    command = ["git", "ls-files", "benchmarks", "docs", "recipes", "tools"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name: (ROOT / name).read_bytes() for name in names}


@pytest.fixture
def unchanged() -> Iterator[None]:
    """Fails the test if it changes a committed file; puts the file back."""
    before = committed()
    yield
    after = committed()
    changed = [name for name in before if after.get(name) != before[name]]
    for name in changed:
        (ROOT / name).write_bytes(before[name])
    assert changed == []


def record(name: str) -> Measured:
    """The committed record of a campaign."""
    return json.loads((write_page.RECORDS / f"{name}.json").read_text(encoding="utf-8"))


class NoDisk:
    """Stands for the campaign over disks, without mounts."""

    def __init__(self, *_: Any) -> None:
        pass

    def trial(self, *_: Any) -> tuple[str, str]:
        return "", ""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts measure nothing: they get made-up results."""
    run = {"seed": 0, "precision": "float32", "test_accuracy": 0.5, "test_loss": 1.0, "steps": 3, "train_secs": 1.0}
    killed, lived = record("kills") | {"date": "1970-01-01"}, record("long_lives")["results"]
    monkeypatch.setattr(kills, "measure", lambda *_: killed)
    monkeypatch.setattr(small_disk, "enter", lambda: None)
    monkeypatch.setattr(disks, "Campaign", NoDisk)
    monkeypatch.setattr(
        hostile_files, "campaign", lambda counts, **_: {name: Tally(2, 1, 1, 0, 0, 2) for name in counts}
    )
    monkeypatch.setattr(long_lives, "measure", lambda _: lived)
    walked = record("orders")
    monkeypatch.setattr(orders, "campaign", lambda *_: {**walked, "date": "1970-01-01"})
    figures = json.loads(compare.FIGURES.read_text(encoding="utf-8"))["rounds"][0]
    monkeypatch.setattr(compare, "CASES", {name: compare.CASES[name] for name in figures})  # the recorded ones
    monkeypatch.setattr(compare, "run_all", lambda case, **_: figures[case])
    monkeypatch.setitem(recipes.ABOUT, "mlp_mnist", "Another description.")
    monkeypatch.setattr(precisions, "accuracy", lambda *_: 0.5)
    monkeypatch.setattr(recipes, "run", lambda _, seed: {**run, "seed": seed, "total_secs": 2.0})


def call(monkeypatch: pytest.MonkeyPatch, script: ModuleType, *arguments: str) -> None:
    """Runs the `main` of a script with these arguments, to exit status 0."""
    monkeypatch.setattr(sys, "argv", [str(script.__file__), *arguments])
    try:
        status = script.main()
    except SystemExit as end:
        status = end.code
    assert not status


SHORT: dict[str, tuple[ModuleType, list[str]]] = {
    "kills": (kills, ["--kills=5"]),
    "disks": (disks, []),
    "hostile_files": (hostile_files, ["--cases=300"]),
    "one reader": (hostile_files, ["--cases=10", "--reader=npz"]),
    "long_lives": (long_lives, ["--cases=softmax", "--trainings=4", "--steps=0"]),
    "orders": (orders, ["--examples=1000"]),
    "compare": (compare, ["--rounds=1"]),
    "one comparison": (compare, ["softmax", "--rounds=1"]),
    "precisions": (precisions, ["mnist_cnn_1000"]),
    "recipes": (recipes, ["mlp_mnist"]),
    "headers": (recipes, ["--headers_only"]),
}


@pytest.mark.usefixtures("quick", "unchanged")
@pytest.mark.parametrize("name", SHORT)
def test_without_record_a_script_prints_its_result_and_says_that_nothing_was_recorded(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script, arguments = SHORT[name]
    call(monkeypatch, script, *arguments)
    printed = capsys.readouterr()
    assert printed.out.strip()
    assert "Nothing was recorded: --record replaces " in printed.err
    assert "Recorded in" not in printed.err


@pytest.mark.usefixtures("quick", "unchanged")
@pytest.mark.parametrize("name", CAMPAIGNS)
def test_with_record_a_campaign_writes_its_record_and_the_page(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, folder = (
        shutil.copy(write_page.PAGE, tmp_path / "page.md"),
        shutil.copytree(write_page.RECORDS, tmp_path / "records"),
    )
    (folder / f"{name}.json").write_text("{}" if name != "long_lives" else '{"results": []}', encoding="utf-8")
    monkeypatch.setattr(write_page, "PAGE", page)
    monkeypatch.setattr(write_page, "RECORDS", folder)
    call(monkeypatch, CAMPAIGNS[name], "--record")
    assert json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["command"].endswith("--record")
    assert write_page.BEGIN + write_page.table() + write_page.END in page.read_text(encoding="utf-8")
    assert f"Recorded in tools/reliability/records/{name}.json" in capsys.readouterr().err


@pytest.mark.usefixtures("quick", "unchanged")
@pytest.mark.parametrize("script", [compare, precisions], ids=["compare", "precisions"])
def test_with_record_a_comparison_writes_its_figures_and_the_page(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    page, figures = (
        shutil.copy(script.PAGE, tmp_path / "page.md"),
        shutil.copy(script.FIGURES, tmp_path / "figures.json"),
    )
    monkeypatch.setattr(script, "PAGE", page)
    monkeypatch.setattr(script, "FIGURES", figures)
    before = json.loads(figures.read_text(encoding="utf-8"))
    call(monkeypatch, script, "--record")
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert found.keys() == before.keys()
    assert found != before
    assert script.BEGIN + script.table(found) + script.END in page.read_text(encoding="utf-8")


@pytest.mark.usefixtures("quick", "unchanged")
def test_with_record_one_precision_keeps_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(precisions, "PAGE", shutil.copy(precisions.PAGE, tmp_path / "page.md"))
    monkeypatch.setattr(precisions, "FIGURES", shutil.copy(precisions.FIGURES, tmp_path / "figures.json"))
    before = json.loads(precisions.FIGURES.read_text(encoding="utf-8"))
    call(monkeypatch, precisions, "cifar_cnn", "--record")
    found = json.loads(precisions.FIGURES.read_text(encoding="utf-8"))
    assert [name for name in before if found[name] != before[name]] == ["cifar_cnn"]


@pytest.mark.usefixtures("quick", "unchanged")
def test_with_record_a_recipe_gets_its_result_and_its_header(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr(recipes, "FOLDER", shutil.copytree(recipes.FOLDER, tmp_path / "recipes"))
    monkeypatch.setattr(recipes_page, "PAGE", pathlib.Path(shutil.copy(recipes_page.PAGE, tmp_path)))
    monkeypatch.setattr(recipes_page, "PICTURE", tmp_path / "recipes.png")
    flags = recipes.flags("mlp_mnist")
    call(monkeypatch, recipes, "mlp_mnist", "--record")
    assert recipes.result("mlp_mnist")["test_accuracy"]["mean"] == 0.5
    text = (recipes.FOLDER / "mlp_mnist.flags").read_text(encoding="utf-8")
    assert text.startswith(recipes.header("mlp_mnist", recipes.result("mlp_mnist")))
    assert recipes.flags("mlp_mnist") == flags
    assert "| mnist | 0.5000 ± 0.0000 | 5 | 3 | 2 s |" in recipes_page.PAGE.read_text(encoding="utf-8")
    assert recipes_page.PICTURE.stat().st_size > 0
    call(monkeypatch, recipes, "--headers_only", "--record")
    assert (recipes.FOLDER / "mlp_mnist.flags").read_text(encoding="utf-8") == text


@pytest.mark.usefixtures("quick", "unchanged")
@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        (compare, ["softmax"]),
        (compare, ["--tiny"]),
        (disks, ["--size", "8192"]),
        (hostile_files, ["--reader=npz"]),
        (hostile_files, ["--reader=npz", "--case=0"]),
    ],
)
def test_a_part_of_a_campaign_cannot_be_recorded(
    script: ModuleType, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(script.__file__), *arguments, "--record"])
    with pytest.raises(SystemExit) as end:
        script.main()
    assert end.value.code == 2
    assert "--record takes all " in capsys.readouterr().err


def test_every_script_that_writes_is_tested_here() -> None:
    """Each script in the folders of benchmarks and campaigns that takes --record."""
    paths = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "tools").rglob("*.py")]
    recording = {path.stem for path in paths if "records.add_flag(" in path.read_text(encoding="utf-8")}
    assert recording == {pathlib.Path(str(script.__file__)).stem for script, _ in SHORT.values()}
    others = {path.stem for path in paths if "write_text(" in path.read_text(encoding="utf-8")} - recording
    assert others == {"records", "small_disk"}  # small_disk writes to /proc
