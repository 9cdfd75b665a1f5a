"""The entry point: invalid input gives one line on standard error and an exit status, and leaves the disk unchanged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfcore import __version__
from tfcore.cli import flags
from tfcore.cli.main import COMMANDS, main
from tfcore.errors import DataError

ROOT = Path(__file__).parents[2]
RESOLVED = (
    "--steps=50\n--precision=float32\n--xla=on\n--learning_rate=0.001\n--intra_op_threads=1\n--inter_op_threads=1\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a file and a folder of the user."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    (tmp_path / "empty").mkdir()
    return tmp_path


def contents(folder: Path) -> dict[str, bytes | None]:
    paths = folder.rglob("*")
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in paths}


def assert_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str, status: int = 2
) -> None:
    before = contents(folder)
    assert main(arguments) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["trian"],
            "Unknown command 'trian'. Expected train, launch, doctor, sweep, eval, predict, export, convert, show, "
            "report, lr_find, benchmark.",
        ),
        (["--seed=1"], "Unknown command '--seed=1'"),
        (["train", "--stesp=3"], "Unknown flag --stesp. Did you mean 'steps'?"),
        (["train", "--model=sofmax"], "Did you mean 'softmax'?"),
        (["train", "--model=own.py:Net"], "there is no file own.py"),
        (["train", "--dataset=cifar1"], "Did you mean 'cifar10'?"),
        (["train", "--dataset=nowhere/own.py:make"], "there is no file nowhere/own.py"),
        (["train", "--optimizer=adma"], "Did you mean 'adam'?"),
        (["train", "--schedule=cosin"], "Did you mean 'cosine'?"),
        (["train", "--loss=hinge"], "`loss` must be one of"),
        (["train", "--batch_size=many"], "--batch_size"),
        (["train", "--batch_size=0"], "`batch_size` must be an integer of at least 1"),
        (["train", "--learning_rate=nan"], "`learning_rate` must be above 0"),
        (["train", "--steps=3", "--epochs=2"], "Give --steps or --epochs, not both"),
        (["train", "--patience=3", "--validation=0"], "--patience needs validation examples"),
        (["train", "--momentum=0.9"], "--momentum belongs to --optimizer=momentum"),
        (["train", "--microbatches=3"], "--microbatches must divide the batch of 128"),
        (["train", "--flagfile=nowhere.flags"], "nowhere.flags"),
        (["train", "softmax"], "Received 'softmax'"),
        (["train", "--run_dir=new", "--model=sofmax"], "Did you mean 'softmax'?"),
        (["train", "--run_dir=empty", "--seed=1", "--steps=-1"], "`steps` must be an integer of at least 1"),
        (["eval"], "Name the run to score: --run_dir=runs/NAME."),
        (["eval", "--run_dir=mine", "--split=tset"], "Did you mean 'test'?"),
        (["eval", "--run_dir=mine", "--checkpoint=first"], "`checkpoint` must be best, last or a step"),
        (["eval", "--run_dir=mine", "--watch", "--checkpoint=best"], "--watch scores every checkpoint"),
        (["eval", "--seed=1"], "Unknown flag --seed"),
        (["train", "--tensorboard_port=0"], "require --tensorboard"),
        (["lr_find"], "`out` must end in .png, such as --out=rates.png. Received ''"),
        (["lr_find", "--out=rates.jpg"], "`out` must end in .png, such as --out=rates.png. Received 'rates.jpg'"),
        (["lr_find", "--out=a.png", "--learning_rate=0.1"], "`tfcore lr_find` takes no --learning_rate: the learning"),
        (["lr_find", "--out=a.png", "--schedule=cosine"], "takes no --schedule: the learning rate rises from --lowest"),
        (["lr_find", "--out=a.png", "--warmup_steps=5"], "takes no --warmup_steps"),
        (["lr_find", "--out=a.png", "--epochs=1"], "takes no --epochs"),
        (["lr_find", "--out=a.png", "--run_dir=new"], "Unknown flag --run_dir"),
        (["lr_find", "--out=a.png", "--lowest=0"], "`lowest` must be above 0"),
        (["lr_find", "--out=a.png", "--highest=inf"], "`highest` must be above 0"),
        (["lr_find", "--out=a.png", "--lowest=20"], "`highest` must be above `lowest`, 20.0. Received 10.0"),
        (["lr_find", "--out=a.png", "--steps=19"], "`steps` must be an integer of at least 20. Received 19"),
        (["lr_find", "--out=a.png", "--model=sofmax"], "Did you mean 'softmax'?"),
        (["lr_find", "--out=a.png", "--patience=1", "--validation=0"], "--patience needs validation examples"),
        (["benchmark", "--secs=0"], "`secs` must be above 0"),
        (["benchmark", "--model=sofmax"], "Did you mean 'softmax'?"),
        (["benchmark", "--run_dir=new"], "Unknown flag --run_dir"),
    ],
)
def test_bad_flags_are_one_line_and_status_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert_refused(folder, capsys, arguments, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--run_dir=mine"], "mine holds files but no run (config.flags is missing)"),
        (["train", "--run_dir=file"], "cannot be written"),
        (["train", "--run_dir=file/run"], "cannot be written"),
        (["train", "--run_dir=file/deep/run"], "cannot be written"),
        (["eval", "--run_dir=mine"], "mine is not a run folder"),
        (["eval", "--run_dir=nowhere"], "nowhere is not a run folder"),
        (["eval", "--run_dir=file/run"], "file/run is not a run folder"),
    ],
)
def test_a_folder_that_cannot_be_a_run_is_one_line_and_status_1(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert_refused(folder, capsys, arguments, message, status=1)


def started(folder: Path, text: str) -> list[str]:
    (folder / "run").mkdir()
    (folder / "run" / ".lock").touch()
    (folder / "run" / "config.flags").write_text(text, encoding="utf-8")
    return ["train", f"--run_dir={folder / 'run'}"]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--seed=1", "belongs to another configuration: --seed=1 (there: 0). Name another --run_dir."),
        ("--hidden=5", "--hidden=5 (there: 7)"),
        ("--steps=90", "--steps=90 would change every learning rate"),
        ("--epochs=3", "--epochs=3.0 would change every learning rate"),
    ],
)
def test_a_run_that_is_resumed_as_another_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], flag: str, message: str
) -> None:
    run = started(folder, "--model=mlp\n--hidden=7\n--steps=50\n--precision=float32\n--xla=on\n--learning_rate=0.001\n")
    assert_refused(folder, capsys, [*run, flag], message)


@pytest.mark.parametrize("text", ["--sed=1\n", "--steps=many\n", "what\n"])
def test_a_damaged_configuration_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert_refused(folder, capsys, started(folder, text), "config.flags cannot be used: ", status=1)


def test_averages_that_a_run_does_not_keep_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, run_dir = started(folder, "--steps=50\n")
    assert_refused(folder, capsys, ["eval", run_dir, "--average"], "it was trained without --average_decay")


def test_a_finished_run_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = started(folder, RESOLVED)
    result = '{"status": "finished", "steps": 50, "test": {"loss": 0.5, "accuracy": 0.875}}'
    (folder / "run" / "result.json").write_text(result)
    before = contents(folder)
    assert main(run) == 0
    assert "has finished after 50 steps: test accuracy 0.8750." in capsys.readouterr().out
    assert main([*run, "--json"]) == 0
    assert capsys.readouterr().out == result + "\n"
    assert contents(folder) == before


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"], []])
def test_the_overview_lists_the_commands(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == (0 if arguments else 2)
    printed = capsys.readouterr().out
    for name in COMMANDS:
        assert f"tfcore {name}" in printed


@pytest.mark.parametrize("command", flags.OPTIONS)
def test_each_command_shows_its_flags(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"{command}: flags")


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tfcore {__version__}\n"


def test_ctrl_c_before_the_run_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tfcore.cli.flags.parse", interrupted)
    assert main(["train"]) == 130


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError("a\nb\x1b[2J\udce9"), "error: a\\nb\\x1b[2J\\udce9\n"),
        (MemoryError("Unable to allocate 3 GiB"), "error: out of memory. Unable to allocate 3 GiB\n"),
        (MemoryError(), "error: out of memory.\n"),
        (OSError(28, "No space left on device"), "error: Standard output cannot be used: No space left on device.\n"),
    ],
)
def test_an_error_is_one_line_of_plain_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr("tfcore.cli.flags.parse", failing)
    assert main(["train"]) == 1
    assert capsys.readouterr() == ("", line)


def test_a_result_that_does_not_say_how_the_run_ended_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = started(folder, RESOLVED)
    (folder / "run" / "result.json").write_text('{"status": "stopped_early", "steps": 50, "test": [1]}')
    assert_refused(folder, capsys, run, "result.json lacks the steps or the test accuracy of the run.", status=1)


QUICK = """
import sys
from tfcore.cli.main import main
commands = [[], ["train", "--help"], ["train", "--stesp=3"], ["train", "--model=mpl"]]
statuses = [main(arguments) for arguments in commands]
slow = {"tensorflow", "numpy", "keras", "tensorboard"} & set(sys.modules)
print("statuses", statuses, "slow", sorted(slow))
"""


def test_help_and_refusals_load_no_large_package() -> None:
    done = subprocess.run([sys.executable, "-c", QUICK], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "statuses [2, 0, 2, 2] slow []"


def test_the_script_has_the_same_statuses() -> None:
    done = subprocess.run(
        [sys.executable, "train.py", "--stesp=3"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: Unknown flag --stesp. Did you mean 'steps'?\n"


@pytest.mark.parametrize(
    ("streams", "status", "message"),
    [
        (">/dev/full", 1, "error: Standard output cannot be used: No space left on device.\n"),
        ("> >(exec >&-)", 1, "error: Standard output cannot be used: Broken pipe.\n"),
        (">&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        (">/dev/full 2>/dev/full", 1, ""),
    ],
)
def test_output_that_cannot_be_written_is_one_line(streams: str, status: int, message: str) -> None:
    """A stream that is closed from the start is not an error."""
    overview = f"sleep 0.2; exec {sys.executable} -m tfcore --help {streams}"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(["bash", "-c", overview], cwd=ROOT, capture_output=True, text=True, check=False, env=buffered)
    assert (done.returncode, done.stderr) == (status, message)


OPENS = """
import sys
from tfcore.cli import main
main._open_standard_streams()
with open("/dev/null") as file:
    sys.exit(file.fileno() if file.fileno() < 3 else 0)
"""


def test_no_file_gets_the_number_of_a_stream_that_is_closed() -> None:
    """TensorFlow's C++ code would print into it."""
    done = subprocess.run(
        ["bash", "-c", f"exec {sys.executable} -c '{OPENS}' <&- >&- 2>&-"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0
