"""`export`: writes one file or folder with the run's model, or prints one error line and writes nothing."""

import pathlib
import re
from typing import Any

import numpy as np
import pytest

import tfcore
from tfcore.cli.main import main
from tfcore.export.weights import FORMATS
from tfcore.use import loading

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 5, 3), np.uint8)


@pytest.fixture
def run(make_run: Any, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    folder: pathlib.Path = make_run()
    monkeypatch.chdir(folder.parent)
    return folder


@pytest.mark.parametrize("name", ["saved_model", *FORMATS])
def test_what_is_exported_loads_as_the_run_does(run: pathlib.Path, name: str, capsys: Any) -> None:
    out = "out/model" if name == "saved_model" else f"out/model.{name}"
    assert main(["export", "--run_dir=run", f"--format={name}", f"--out={out}"]) == 0
    printed = capsys.readouterr()
    assert re.fullmatch(rf"run at step 20 is in {out}: {name}, [\d,]+ bytes\.\n", printed.out)
    rows = tfcore.load(run).probabilities(IMAGES)
    np.testing.assert_allclose(tfcore.load(out).probabilities(IMAGES), rows, rtol=1e-6)


@pytest.mark.usefixtures("run")
def test_checkpoint_and_averages_are_chosen(expected_weights: Any, capsys: Any) -> None:
    flags = ["export", "--run_dir=run", "--format=npz", "--out=m.npz", "--checkpoint=10", "--average", "--weights_only"]
    assert main(flags) == 0
    assert capsys.readouterr().out.startswith("averaged weights of run at step 10 is in m.npz: npz, ")
    weights, metadata = FORMATS["npz"].read(pathlib.Path("m.npz"))
    expected = expected_weights(10, average=True)
    assert weights.keys() == expected.keys()
    assert all(np.array_equal(weights[path], expected[path]) for path in expected)
    assert metadata == {"step": "10", "tfcore": tfcore.__version__}


def test_the_architecture_alone_needs_no_checkpoint(make_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(steps=())
    monkeypatch.chdir(run.parent)
    assert main(["export", "--run_dir=run", "--format=json", "--out=m.json"]) == 0
    assert loading.read_architecture(pathlib.Path("m.json")) == loading.read_architecture(run / "architecture.json")


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        ([], 2, "Name the run to export: --run_dir=runs/NAME."),
        (["--run_dir=run"], 2, "Name the file or folder to write: --out=PATH."),
        (["--run_dir=run", "--out=new", "--format=npy"], 2, "Did you mean 'npz'?"),
        (["--run_dir=run", "--out=new", "--format=npz"], 2, "With --format=npz, --out must end in .npz. Received new."),
        (["--run_dir=run", "--out=new.h5", "--format=npz"], 2, "must end in .npz"),
        (["--run_dir=run", "--out=new.h5"], 2, "--out=new.h5 ends in .h5. Give --format=h5, or a folder."),
        (["--run_dir=run", "--out=new", "--weights_only"], 2, "--weights_only goes with --format=h5 or npz or"),
        (["--run_dir=run", "--out=new.json", "--format=json", "--average"], 2, "holds no weights"),
        (["--run_dir=run", "--out=new.json", "--format=json", "--checkpoint=last"], 2, "holds no weights"),
        (["--run_dir=run", "--out=new", "--checkpoint=newest"], 2, "`checkpoint` must be best, last or a step"),
        (["--run_dir=run", "--out=new", "--checkpoint=15"], 1, "no checkpoint of step 15"),
        (["--run_dir=nowhere", "--out=new"], 1, "nowhere is not a run folder"),
        (["--run_dir=run", "--out=mine"], 1, "mine is there already"),
        (["--run_dir=empty", "--out=new"], 1, "The run in empty has no checkpoint yet."),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_written(
    run: pathlib.Path, capsys: Any, flags: list[str], status: int, message: str
) -> None:
    folder = run.parent
    (folder / "mine").touch()
    (folder / "empty").mkdir()
    for name in ("config.flags", "architecture.json"):
        (folder / "empty" / name).write_bytes((run / name).read_bytes())
    before = sorted(folder.rglob("*"))
    assert main(["export", *flags]) == status
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert message in printed.err
    assert sorted(folder.rglob("*")) == before
