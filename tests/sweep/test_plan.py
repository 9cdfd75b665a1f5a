"""The plan of a sweep: values, names, the random draw, refusals before the first trial, and the saved plan."""

import json
from pathlib import Path
from typing import Any

import pytest

from tfcore.errors import ConfigError, RunError
from tfcore.sweep import plan as sweep_plan
from tfcore.sweep.plan import Plan, Trial

RATES, OPTIMIZERS = "learning_rate=0.1,1e-2", "optimizer=momentum,adam"


def plan(*grid: str, random: int = 0, **given: Any) -> Plan:
    return sweep_plan.make_plan(given, grid, random)


def names(found: Plan) -> list[str]:
    return [trial.name for trial in found.trials]


def test_every_combination_is_a_trial_named_after_its_settings() -> None:
    found = plan(OPTIMIZERS, RATES, model="mlp")
    assert names(found) == [
        "learning_rate=0.1,optimizer=momentum", "learning_rate=0.1,optimizer=adam",
        "learning_rate=0.01,optimizer=momentum", "learning_rate=0.01,optimizer=adam",
    ]  # fmt: skip
    assert names(plan(RATES, OPTIMIZERS, model="mlp")) == names(found)
    assert found.trials[0].title == "learning_rate=0.1 optimizer=momentum"
    assert found.trials[0].flags == ["--model=mlp", "--learning_rate=0.1", "--optimizer=momentum"]
    assert found.trials[3].config().optimizer == "adam"
    assert found.monitor == "loss"


def test_the_grid_comes_before_a_flag_of_that_name() -> None:
    found = plan("learning_rate=0.5", learning_rate=0.1, seed=3)
    assert found.trials[0].config().learning_rate == 0.5
    assert found.shared == {"seed": "3"}


@pytest.mark.parametrize(
    ("text", "values", "flag"),
    [
        ("hidden=50x30,100", [(50, 30), (100,)], "--hidden=50,30"),
        ("dropout=0.25x0.5", [(0.25, 0.5)], "--dropout=0.25,0.5"),
        ("nesterov=true, false", [True, False], "--nesterov=true"),
        ("seed=0,1,-2", [0, 1, -2], "--seed=0"),
    ],
)
def test_values_have_the_types_of_their_flags(text: str, values: list[Any], flag: str) -> None:
    found = plan(text, model="cifar_cnn", optimizer="momentum")
    name = text.partition("=")[0]
    assert [trial.settings[name] for trial in found.trials] == values
    assert flag in found.trials[0].flags
    assert f"{name}={text.partition('=')[2].split(',')[0]}" == found.trials[0].name


def test_arguments_of_the_model_vary_one_by_one() -> None:
    found = plan(
        "model_args.hidden=50x30,100", "model_args.activation=relu", model="mlp", model_args="initializer=ones"
    )
    assert names(found) == [
        "model_args.activation=relu,model_args.hidden=50x30", "model_args.activation=relu,model_args.hidden=100",
    ]  # fmt: skip
    assert found.trials[0].flags == ["--model=mlp", "--model_args=activation=relu,hidden=50x30,initializer=ones"]
    assert found.trials[1].config().model_args == "activation=relu,hidden=100,initializer=ones"
    assert found.shared == {"model": "mlp", "model_args": "initializer=ones"}
    over = plan("model_args.hidden=100", model="mlp", model_args="hidden=50")
    assert over.trials[0].config().model_args == "hidden=100"


def test_a_name_is_fit_for_a_file_and_stays_another_for_other_settings() -> None:
    long = {f"setting_{number}": 0.123456 for number in range(20)}
    paths = [{"model": "nets/a.py:Net"}, {"model": "nets/a.py_Net"}, {"model": "../b c"}]
    found = [Trial(settings, {}).name for settings in (long, {**long, "setting_19": 1}, *paths)]
    assert len(set(found)) == len(found)
    assert all(len(name) <= 100 and set(name).isdisjoint("/: ") for name in found)
    assert found[2].startswith("model=nets_a.py_Net-")


def test_a_draw_is_of_the_seed_and_grows_by_adding() -> None:
    grid = "seed=" + ",".join(map(str, range(30)))
    three, five = (names(plan(grid, "learning_rate=0.1,0.2", random=number)) for number in (3, 5))
    assert five[:3] == three
    assert len(set(five)) == 5
    assert set(five) < set(names(plan(grid, "learning_rate=0.1,0.2")))
    other = plan("learning_rate=" + ",".join(map(str, range(1, 31))), random=5)
    assert names(other) != names(plan("learning_rate=" + ",".join(map(str, range(1, 31))), random=5, seed=1))


@pytest.mark.parametrize(
    ("grid", "given", "random", "message"),
    [
        ([], {}, 0, "Give the values to try: --grid learning_rate=0.1,0.01"),
        (["learning_rat=0.1"], {}, 0, "a run has no flag --learning_rat. Did you mean 'learning_rate'?"),
        (["run_dir=a,b"], {}, 0, "a run has no flag --run_dir."),
        (["model_args.=1"], {}, 0, "a run has no flag --model_args."),
        (["model_args.a b=1"], {}, 0, "a run has no flag --model_args.a b."),
        (["model_args.hidden=50,5.5"], {"model": "mlp"}, 0, "Trial model_args.hidden=5.5: --model=mlp: hidden takes"),
        (["model_args.hiden=50"], {"model": "mlp"}, 0, "Trial model_args.hiden=50: --model=mlp takes no hiden in"),
        (["model_args.hidden=50,"], {"model": "mlp"}, 0, "--grid takes a flag and its values"),
        (["learning_rate"], {}, 0, "--grid takes a flag and its values"),
        (["learning_rate=0.1,"], {}, 0, "--grid takes a flag and its values"),
        ([RATES, RATES], {}, 0, "--grid names --learning_rate twice"),
        (["learning_rate=0.1,0.10"], {}, 0, "--grid=learning_rate=0.1,0.10 has a value twice."),
        (["hidden=50,50"], {"model": "mlp"}, 0, "Separate the numbers of one value by x: hidden=50x50."),
        (["learning_rate=0.1,fast"], {}, 0, "--learning_rate"),
        (["hidden=50;50"], {}, 0, "--hidden takes whole numbers"),
        (["optimizer=adam,adma"], {}, 0, "Trial optimizer=adma: `optimizer` must be one of"),
        (["learning_rate=0.1,-1"], {}, 0, "Trial learning_rate=-1.0: `learning_rate` must be above 0"),
        ([OPTIMIZERS], {"momentum": 0.5}, 0, "Trial optimizer=adam: --momentum belongs to --optimizer=momentum"),
        (["model=mlp,mpl"], {}, 0, "Trial model=mpl: `model` must be one of"),
        (["epochs=1,2"], {"steps": 5}, 0, "Trial epochs=1.0: Give --steps or --epochs, not both"),
        ([RATES], {"validation": 0}, 0, "Give --validation above 0"),
        (["monitor=loss,accuracy"], {}, 0, "--grid cannot have monitor"),
        (["label_smoothing=0,0.1"], {}, 0, "Losses of different --label_smoothing cannot be compared. Add --monitor"),
        ([RATES], {}, 3, "--random=3 is more than the 2 trials"),
        ([RATES], {}, -1, "`random` must be at least 0"),
        ([f"{name}={','.join(map(str, range(1, 60)))}" for name in ("seed", "batch_size", "steps")], {}, 0, "205,379"),
    ],
)  # fmt: skip
def test_a_sweep_that_cannot_be_meant_is_refused(
    grid: list[str], given: dict[str, Any], random: int, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        sweep_plan.make_plan(given, grid, random)
    assert message in str(caught.value)


def test_losses_of_another_kind_may_vary_where_accuracy_ranks() -> None:
    assert len(plan("label_smoothing=0,0.1", monitor="accuracy").trials) == 2


def test_the_folder_follows_from_the_flags_and_stays_as_values_are_added() -> None:
    folder = plan(RATES, model="mlp").default_folder()
    assert folder.parent == Path("runs")
    assert folder.name.startswith("sweep-mlp-shapes-")
    assert plan("learning_rate=0.1,0.2,0.3", model="mlp", data_dir="/there").default_folder() == folder
    others = [plan(RATES, model="mlp", seed=1), plan(RATES, OPTIMIZERS, model="mlp"), plan("model=mlp,softmax")]
    assert len({other.default_folder() for other in others} | {folder}) == 4


def test_a_plan_that_only_adds_is_taken_up_with_the_times(tmp_path: Path) -> None:
    first = plan(RATES, epochs=2.0)
    sweep_plan.write_plan(first, tmp_path)
    assert sweep_plan.read_secs(tmp_path, "learning_rate=0.1") == 0
    sweep_plan.write_secs(tmp_path, "learning_rate=0.1", 1.5)
    for same in (first, plan("learning_rate=0.5,0.1,0.01", epochs=2.0, keep_checkpoints=9, seed=0)):
        sweep_plan.write_plan(same, tmp_path)
        assert sweep_plan.read_secs(tmp_path, "learning_rate=0.1") == 1.5
    sweep_plan.write_secs(tmp_path, "learning_rate=0.01", 2.5)  # by one that began before a trial was added
    kept = json.loads((tmp_path / "sweep.json").read_text())
    assert kept["secs"] == {"learning_rate=0.1": 1.5, "learning_rate=0.01": 2.5}
    assert "learning_rate=0.5" in kept["trials"]


@pytest.mark.parametrize(
    ("grid", "given", "message"),
    [
        ([RATES], {"seed": 1, "epochs": 2.0}, "belongs to another sweep: --seed=1 (there: default)."),
        ([RATES], {}, "--epochs=default (there: 2.0)"),
        ([RATES, OPTIMIZERS], {"epochs": 2.0}, "its grid has learning_rate."),
        (["learning_rate=0.1"], {"epochs": 2.0}, "it has the trial learning_rate=0.01, which this command lacks"),
    ],
)
def test_another_plan_is_refused(tmp_path: Path, grid: list[str], given: dict[str, Any], message: str) -> None:
    sweep_plan.write_plan(plan(RATES, epochs=2.0), tmp_path)
    with pytest.raises(ConfigError) as caught:
        sweep_plan.write_plan(plan(*grid, **given), tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "tfcore sweep 2"}', '{"format": "tfcore sweep 1"}', "\0"])
def test_a_damaged_plan_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(RunError, match=r"sweep\.json cannot be read: .* Name another --out\."):
        sweep_plan.write_plan(plan(RATES), tmp_path)
