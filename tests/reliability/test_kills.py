"""Runs survive kills in every phase, and the campaign notices when they do not."""

import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import forked, sabotage

from tools.reliability import kills, run_differences
from tools.reliability.killed_runs import data_sets, kill_plan
from tools.reliability.killed_runs.campaign import Campaign, RehearsalError, Trial
from tools.reliability.killed_runs.hook_check import missed
from tools.reliability.killed_runs.killed_process import HOOK, HOOKS, OPERATION, Aim, Phase

KILLS = 10
IN_A_WRITE = Aim(Phase.WRITE, entry=3, operation=4)  # the logs are then ahead of the newest checkpoint


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """A campaign after its rehearsal, in which a run that was killed once equals the uninterrupted one."""
    forked.start_server()  # the campaign takes one that runs, and here it has drawn the pictures
    campaign = Campaign(tmp_path_factory.mktemp("kills"), flags=["--steps=120"])
    campaign.rehearse()
    yield campaign
    campaign.close()


@pytest.mark.thorough
def test_runs_killed_in_every_phase_end_like_an_uninterrupted_one(campaign: Campaign) -> None:
    figures = kills.report(campaign.run(KILLS))
    assert figures["problems"] == {}
    assert figures["all"]["tried"] == figures["all"]["survived"] >= KILLS
    assert [phase for phase, row in figures["kills"].items() if row["tried"] == 0] == []


@pytest.mark.thorough
@pytest.mark.parametrize("reader", data_sets.READERS)
def test_a_run_on_files_that_was_killed_ends_like_an_uninterrupted_one(reader: str, tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, flags=data_sets.flags(reader, tmp_path))
    campaign.run_reference()
    trial = campaign.trial(0, [IN_A_WRITE])
    campaign.close()
    assert trial.problem == ""
    assert len(trial.kills) == 1


SABOTAGES = {
    sabotage.keep_provisional_lines: r"^metrics\.jsonl; event files of train$",
    sabotage.forget_a_slot: r"^variables/.*conv_2",
    sabotage.write_in_place: r"checkpoints/|The checkpoint .* is damaged",
    sabotage.rename_a_hook: r"RuntimeError: tfcore\.training\.run_log\.trim does not exist, and kills hook into it",
}


@pytest.mark.thorough
@pytest.mark.parametrize("number", range(len(SABOTAGES)), ids=[prepare.__name__ for prepare in SABOTAGES])
def test_a_defect_of_resuming_is_found(campaign: Campaign, number: int) -> None:
    prepare, problem = list(SABOTAGES.items())[number]
    trial = campaign.trial(9000 + number, [IN_A_WRITE], prepare)
    assert re.search(problem, trial.problem), trial.problem
    counts = kills.report([trial])["all"]
    assert counts["lost"] == counts["tried"] == (prepare != sabotage.rename_a_hook)


@pytest.mark.thorough
def test_a_hook_that_is_never_reached_is_found(campaign: Campaign) -> None:
    with pytest.raises(RehearsalError) as found:
        campaign.learn(Trial(9100), sabotage.evaluate_elsewhere)
    assert "hooks were never reached: tfcore.training.evaluation.Evaluation.*." in str(found.value)
    assert "phases were never entered: EVALUATION." in str(found.value)


@pytest.mark.thorough
def test_evaluations_that_are_not_observed_are_found(campaign: Campaign) -> None:
    """As when only those with averaged weights go through the hook."""
    metrics, hooks = run_differences.metrics(campaign.reference), set(HOOKS)
    assert missed(campaign.habits, hooks, metrics) == []
    lines = sum(line["split"] != "train" for line in metrics)
    every_second = replace(campaign.habits, secs={**campaign.habits.secs, Phase.EVALUATION: [0.01] * lines})
    assert missed(every_second, hooks, metrics) == [
        f"The run logged {2 * lines} evaluations, and the phase EVALUATION was entered {lines} times."
    ]
    assert missed(campaign.habits, hooks - {"tfcore.training.run_log.trim"}, metrics) == [
        "These hooks were never reached: tfcore.training.run_log.trim."
    ]


@pytest.mark.thorough
def test_a_deficient_rehearsal_ends_the_campaign_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rehearse(_: Campaign) -> None:
        raise RehearsalError("These hooks were never reached: x.")

    monkeypatch.setattr(Campaign, "rehearse", rehearse)
    monkeypatch.setattr(sys, "argv", ["kills.py", "--kills=1"])
    assert kills.main() == 1
    assert "error: These hooks were never reached: x.\n" in capsys.readouterr().out


def shorten(path: Path, *, keep: float) -> None:
    """Truncates a file."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


DAMAGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "nothing": (lambda _: None, []),
    "a line doubled": (
        lambda run: (run / "metrics.jsonl").write_bytes((run / "metrics.jsonl").read_bytes() * 2),
        ["metrics.jsonl"],
    ),
    "no curve": (
        lambda run: shutil.rmtree(run / "validation"),
        ["event files of validation", "missing: validation", "missing: validation/events"],
    ),
    "another result": (
        lambda run: (run / "result.json").write_text('{"train_secs": 1.0, "status": "finished"}'),
        ["result.json"],
    ),
    "another configuration": (lambda run: shorten(run / "config.flags", keep=0.5), ["config.flags"]),
    "a folder that was left": (
        lambda run: (run / "checkpoints" / ".unfinished-step-0000000001").mkdir(),
        ["left: checkpoints/.unfinished-step-0000000001"],
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_difference_is_named(campaign: Campaign, tmp_path: Path, damage: str) -> None:
    make, expected = DAMAGES[damage]
    other = shutil.copytree(campaign.reference, tmp_path / "run")
    make(other)
    assert run_differences.all_differences(campaign.reference, other) == expected


@pytest.mark.thorough
def test_a_kept_checkpoint_that_cannot_be_read_is_found(campaign: Campaign, tmp_path: Path) -> None:
    other = shutil.copytree(campaign.reference, tmp_path / "run")
    oldest = min((other / "checkpoints").iterdir())
    shorten(oldest / "state.data-00000-of-00001", keep=0.5)
    (found,) = run_differences.all_differences(campaign.reference, other)
    assert found.startswith("it cannot be read: ")


def test_all_kills_of_a_lost_run_are_lost() -> None:
    kept = Trial(0, [(Phase.WRITE, True), (Phase.LOG, False)])
    lost = Trial(1, [(Phase.WRITE, False)], problem="metrics.jsonl")
    figures = kills.report([kept, lost])
    assert figures["kills"]["write"] == {"tried": 2, "survived": 1, "lost": 1}
    assert figures["kills"]["log"] == {"tried": 1, "survived": 1, "lost": 0}
    assert figures["all"] == {"tried": 3, "survived": 2, "lost": 1}
    assert figures["problems"] == {"run-0001": "metrics.jsonl"}


@given(kills=st.integers(1, 300), tried=st.dictionaries(st.sampled_from(list(Phase)), st.integers(0, 40)))
def test_a_plan_completes_number_and_shares(kills: int, tried: dict[Phase, int]) -> None:
    after = Counter(tried) + Counter(kill_plan.missing(Counter(tried), kills))
    total = sum(after[phase] for phase in kill_plan.SHARES)
    assert total >= kills
    assert all(after[phase] >= max(1, kill_plan.LEAST.get(phase, 0) * total) for phase in kill_plan.SHARES)
    assert kill_plan.missing(after, kills) == []


@given(phases=st.lists(st.sampled_from(list(kill_plan.SHARES)), min_size=1, max_size=60), seed=st.integers())
def test_dealt_out_runs_begin_with_a_step_and_keep_every_kill(phases: list[Phase], seed: int) -> None:
    runs = kill_plan.deal(phases, 0, random.Random(seed))
    assert runs == kill_plan.deal(phases, 0, random.Random(seed))
    dealt = Counter(phase for run in runs for phase in run)
    assert all(dealt[phase] >= count for phase, count in Counter(phases).items())
    for run in runs:
        after_start = [phase for phase in run if phase != Phase.FIRST_START]
        assert after_start[0] not in (Phase.STARTING, Phase.RESUMING, Phase.RESULT) or len(set(after_start)) == 1
        assert Phase.RESULT not in run[: -run.count(Phase.RESULT) or None]


def test_habits_are_learnt_from_the_bytes_of_a_process() -> None:
    habits = kill_plan.Habits()
    reported = [
        (Phase.TRAINING, 1.0),
        (HOOK, 2.9),
        (Phase.WRITE, 3.0),
        (OPERATION, 3.5),
        (OPERATION, 3.7),
        (Phase.TRAINING, 4.0),
    ]
    habits.learn([*reported, (OPERATION, 4.5)])
    assert habits.secs[Phase.TRAINING] == [2.0]
    assert habits.secs[Phase.WRITE] == [1.0]
    assert habits.operations[Phase.WRITE] == [2]
