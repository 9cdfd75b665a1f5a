"""Flags: parsed values, errors, and suggestions."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tfcore.build import registry
from tfcore.build.configuration import of_run, with_given
from tfcore.build.tables import OPTIMIZERS
from tfcore.cli import flags
from tfcore.config import RunConfig
from tfcore.errors import ConfigError, RunError


def given(*arguments: str, command: str = "train") -> dict[str, Any]:
    return flags.parse(command, arguments).given


def write(path: Path, *lines: str) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return f"--flagfile={path}"


def test_only_what_was_given_is_given() -> None:
    parsed = flags.parse("train", [])
    assert parsed.given == {}
    own = {"run_dir": "", "stop_after_steps": 0, "max_time": "", "quiet": False, "json": False}
    board = {"tensorboard": False, "tensorboard_host": "127.0.0.1", "tensorboard_port": -1}
    assert parsed.options == own | board | {"join_timeout": "5m"}
    assert not parsed.wants_help


def test_values_have_their_types() -> None:
    arguments = ["--model=mlp", "--seed=-3", "--learning_rate=1e-2", "--nesterov", "--hidden=50,30", "--epochs=3"]
    expected = {"model": "mlp", "seed": -3, "learning_rate": 0.01, "nesterov": True, "hidden": (50, 30), "epochs": 3.0}
    assert given(*arguments) == expected
    assert isinstance(given("--epochs=3")["epochs"], float)


def test_a_value_equal_to_the_default_is_given_all_the_same() -> None:
    assert given("--seed=0") == {"seed": 0}


@pytest.mark.parametrize(
    ("argument", "expected"), [("--nesterov", True), ("--nonesterov", False), ("--nesterov=false", False)]
)
def test_a_switch_has_its_spellings(argument: str, expected: bool) -> None:
    assert given(argument) == {"nesterov": expected}


@pytest.mark.parametrize(("text", "expected"), [("50", (50,)), ("50, 30,", (50, 30)), ("", ())])
def test_a_list_has_commas_between(text: str, expected: tuple[int, ...]) -> None:
    assert given(f"--hidden={text}") == {"hidden": expected}


def test_the_later_of_two_counts() -> None:
    assert given("--seed=1", "--seed=2") == {"seed": 2}


def test_a_commands_options_are_not_the_runs() -> None:
    parsed = flags.parse("train", ["--run_dir=runs/a", "--json", "--stop_after_steps=5", "--seed=1", "--max_time=1h"])
    own = {"run_dir": "runs/a", "json": True, "stop_after_steps": 5, "max_time": "1h"}
    assert {name: parsed.options[name] for name in own} == own
    assert parsed.given == {"seed": 1}


def test_eval_takes_no_flags_of_the_run_but_the_data_folder() -> None:
    assert flags.parse("eval", ["--data_dir=/data", "--split=train"]).options["data_dir"] == "/data"
    with pytest.raises(ConfigError, match="Unknown flag --seed"):
        flags.parse("eval", ["--seed=1"])


def test_a_flagfile_is_read_with_its_comments(tmp_path: Path) -> None:
    file = write(tmp_path / "a.flags", "# A comment", "", "--model=mlp", "  --data_dir=größe  ", "--hidden=5,6")
    assert given(file) == {"model": "mlp", "data_dir": "größe", "hidden": (5, 6)}


def test_the_later_of_flag_and_flagfile_counts(tmp_path: Path) -> None:
    file = write(tmp_path / "a.flags", "--seed=1")
    assert given(file, "--seed=2") == {"seed": 2}
    assert given("--seed=2", file) == {"seed": 1}


def test_in_nested_flagfiles_the_later_flag_counts(tmp_path: Path) -> None:
    inner = write(tmp_path / "inner.flags", "--seed=1", "--model=mlp", "--epochs=3")
    outer = write(tmp_path / "outer.flags", "--model=softmax", inner, "--seed=2")
    assert given(outer) == {"seed": 2, "model": "mlp", "epochs": 3.0}
    assert given(outer, "--epochs=4") == {"seed": 2, "model": "mlp", "epochs": 4.0}


def test_a_saved_configuration_is_a_flagfile(tmp_path: Path) -> None:
    config = RunConfig(model="mlp", hidden=(5, 6), optimizer="momentum", nesterov=False, epochs=0.1)
    (tmp_path / "config.flags").write_text(config.flags(), encoding="utf-8")
    assert RunConfig(**given(f"--flagfile={tmp_path / 'config.flags'}")) == config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learning_rat=1"], "Unknown flag --learning_rat. Did you mean 'learning_rate'?"),
        (["--xyzzy=1"], "Unknown flag --xyzzy. `tfcore train --help` lists them all."),
        ([f"--{'9' * 5000}=1"], f"Expected flags such as --name=value. Received '--{'9' * 98}…'."),
        (["--batch_size=many"], "--batch_size takes a whole number, such as 100. Received 'many'."),
        (["--batch_size=1.5"], "--batch_size takes a whole number, such as 100. Received '1.5'."),
        (["--learning_rate=fast"], "--learning_rate takes a number, such as 0.001. Received 'fast'."),
        (["--nesterov=perhaps"], "--nesterov takes true or false. Received 'perhaps'."),
        (["--hidden=50;30"], "--hidden takes whole numbers with commas between, such as 50,50. Received '50;30'."),
        (["--decay_boundaries=1,2.5"], "--decay_boundaries takes whole numbers"),
        (["--seed"], "seed"),
        (["softmax"], "Expected flags such as --name=value. Received 'softmax'."),
        (["--seed=1", "mlp", "--epochs=2"], "Received 'mlp'."),
        (["--flagfile=nowhere.flags"], "nowhere.flags"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        given(*arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_flag_in_a_flagfile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Unknown flag --sed"):
        given(write(tmp_path / "a.flags", "--sed=1"))


def test_a_flagfile_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.flags").write_bytes(b"--seed=1\n\xff\xfe\n")
    with pytest.raises(ConfigError) as caught:
        given(f"--flagfile={tmp_path / 'a.flags'}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", ["train", "convert", "show filters", "eval"])
@pytest.mark.parametrize("sign", ["\udce9", "\0", "\n", "\x1b", "\u2028"], ids=ascii)
def test_what_is_no_plain_text_is_refused(command: str, sign: str) -> None:
    name = {"eval": "run_dir", "train": "dataset"}.get(command, "out")
    with pytest.raises(
        ConfigError, match=rf"`{name}` must be UTF-8 text without control characters\. Received 'a"
    ) as caught:
        RunConfig(**flags.parse(command, [f"--{name}=a{sign}b"]).given)
    assert str(caught.value).isprintable()


def test_the_flags_of_a_run_come_back(tmp_path: Path) -> None:
    config = RunConfig(model="mlp", hidden=(5, 6), data_dir="/größe")
    (tmp_path / "config.flags").write_text(config.flags(), encoding="utf-8")
    assert of_run(tmp_path) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--flagfile={other}", "Unknown flag --flagfile."),
        ("--seed=1\n-flagfile={other}", "Each line must be a flag such as --name=value. Received '-flagfile="),
        ("--flagfile\n{other}", "Received '--flagfile'"),
        ("--seed", "seed"),
        ("--sed=1", "Unknown flag --sed"),
        ("--batch_size=0", "`batch_size`"),
        ("--batch_size=" + "9" * 5000, "batch_size"),
        ("--dataset=a\0b", "`dataset` must be UTF-8 text"),
        ("hello", "Received 'hello'"),
        ("\0" * 1000, "Each line must be a flag"),
    ],
)
def test_flags_that_no_run_writes_are_refused(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "other.flags", "--seed=7")
    (tmp_path / "config.flags").write_text(text.format(other=tmp_path / "other.flags"))
    with pytest.raises(RunError, match=r"config\.flags cannot be used: ") as caught:
        of_run(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_given_flags_lie_on_top_of_a_base() -> None:
    base = RunConfig(seed=1, epochs=3, model="mlp")
    assert with_given({"seed": 2}, base) == RunConfig(seed=2, epochs=3, model="mlp")
    assert with_given({"seed": 2}) == RunConfig(seed=2)


def test_a_given_length_takes_the_place_of_the_other_kind() -> None:
    config = with_given({"steps": 10}, RunConfig(epochs=3))
    assert (config.steps, config.epochs) == (10, None)
    config = with_given({"epochs": 2.0}, RunConfig(steps=10))
    assert (config.steps, config.epochs) == (None, 2.0)


@pytest.mark.parametrize("command", flags.OPTIONS)
def test_help_lists_every_flag(command: str) -> None:
    assert flags.parse(command, ["--help"]).wants_help
    assert flags.parse(command, ["-h"]).wants_help
    listed = {line.split()[0] for line in flags.usage(command).splitlines() if line.startswith("  --")}
    expected = {f"--{option.name}" for option in flags.OPTIONS[command]} | {"--flagfile"}
    expected |= {f"--{name}" for name in flags.RUN_FLAGS.get(command, ())}
    assert listed == expected
    if command in ("train", "benchmark"):
        assert {f"--{item.name}" for item in fields(RunConfig)} <= listed


def test_help_shows_the_defaults() -> None:
    lines = {line.split()[0]: line for line in flags.usage("train").splitlines() if line.startswith("  --")}
    assert lines["--batch_size"].endswith("[128]")
    assert lines["--hidden"].endswith("the model's.")


def test_help_says_which_optimizers_take_a_setting() -> None:
    texts = {name: text for name, _, text in flags.rows("train")}
    assert texts["momentum"].endswith(" Taken by momentum (0.9), rmsprop (0), lars (0.9), muon (0.95).")
    assert texts["nesterov"].endswith(" Taken by momentum (false), muon (true).")
    assert "adadelta (1), rmsprop (0.001)" in texts["learning_rate"]
    assert [name for name, text in texts.items() if "Taken by" in text] == [
        name for name in texts if name in registry.settings(OPTIMIZERS)
    ]
