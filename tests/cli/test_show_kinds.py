"""The subcommands of `tfcore show`: each has its own flags; the old syntax is refused with the new command."""

import shlex

import pytest

from tfcore.cli import flags, show_kinds
from tfcore.cli.main import main
from tfcore.errors import ConfigError


@pytest.mark.parametrize("kind", show_kinds.KINDS)
def test_each_kind_has_its_own_flags(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", kind, "--help"]) == 0
    printed = capsys.readouterr().out
    own = {"examples": "per_class", "example": "hex", "filters": "layer", "features": "layer"}[kind]
    of_data = kind.startswith("example")
    assert f"--{own} " in printed
    assert ("--dataset " in printed, "--run_dir " in printed) == (of_data, not of_data)


def test_help_names_the_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"tfcore show {kind} " in printed for kind in show_kinds.KINDS)
    assert main(["show"]) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--dataset=mnist", "examples --dataset=mnist"),
        ("--dataset=mnist --grid=3 --seed=1", "examples --dataset=mnist --per_class=3 --seed=1"),
        ("--dataset=mnist --example=0", "example --dataset=mnist --example=0"),
        ("--dataset 'a b' --hex", "example --dataset 'a b' --hex"),
        ("--run_dir=runs/a", "filters --run_dir=runs/a"),
        ("--run_dir=runs/a --filters=filters", "filters --run_dir=runs/a --layer=filters"),
        ("--run_dir=runs/a --features=conv_1", "features --run_dir=runs/a --layer=conv_1"),
        ("--run_dir=runs/a --example=7", "features --run_dir=runs/a --example=7"),
    ],
)
def test_the_old_spelling_is_answered_with_the_new_one(old: str, new: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", *shlex.split(old)]) == 2
    message = f"error: `tfcore show` takes what to show as its first argument. Use: tfcore show {new}\n"
    assert capsys.readouterr().err == message
    command, rest = show_kinds.command(shlex.split(new))
    assert not flags.parse(command, rest).wants_help  # it is understood


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"examples, example, filters, features\. Received 'filter'\. Did you mean"):
        show_kinds.command(["filter", "--run_dir=runs/a"])
