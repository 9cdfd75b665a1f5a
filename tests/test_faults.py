"""Runs survive being killed anywhere, and what watches over that notices where they would not."""

import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import sabotage

from benchmarks import faults
from benchmarks.faulting import plan, same_run
from benchmarks.faulting.campaign import Campaign, Trial
from benchmarks.faulting.child import OPERATION, Aim, Phase

KILLS = 10
IN_A_WRITE = Aim(Phase.WRITE, entry=3, operation=4)  # the logs are ahead of the newest checkpoint then


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """After its rehearsal, in which a run that was killed once has come out as the one that was left alone."""
    campaign = Campaign(tmp_path_factory.mktemp("faults"))
    campaign.rehearse()
    yield campaign
    campaign.close()


def test_runs_killed_in_every_phase_end_as_if_left_alone(campaign: Campaign) -> None:
    figures = faults.report(campaign.run(KILLS))
    assert figures["problems"] == {}
    assert figures["all"]["tried"] == figures["all"]["survived"] >= KILLS
    assert [phase for phase, row in figures["kills"].items() if row["tried"] == 0] == []


SABOTAGES = {
    sabotage.keep_provisional_lines: r"^metrics\.jsonl; event files of train$",
    sabotage.forget_a_slot: r"^variables/.*conv_2",
    sabotage.write_in_place: r"checkpoints/|The checkpoint .* is damaged",
    sabotage.rename_a_hook: r"RuntimeError: .* hooks into tfcore\.training\.run_log\.trim, which is gone",
}


@pytest.mark.parametrize("number", range(len(SABOTAGES)), ids=[prepare.__name__ for prepare in SABOTAGES])
def test_what_breaks_resuming_is_found(campaign: Campaign, number: int) -> None:
    prepare, problem = list(SABOTAGES.items())[number]
    trial = campaign.trial(9000 + number, [IN_A_WRITE], prepare)
    assert re.search(problem, trial.problem), trial.problem
    kills = faults.report([trial])["all"]
    assert kills["lost"] == kills["tried"] == (prepare != sabotage.rename_a_hook)


def shorten(path: Path, *, keep: float) -> None:
    """Cuts off the end of a file."""
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


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_difference_is_named(campaign: Campaign, tmp_path: Path, damage: str) -> None:
    make, expected = DAMAGES[damage]
    other = shutil.copytree(campaign.reference, tmp_path / "run")
    make(other)
    assert same_run.all_differences(campaign.reference, other) == expected


def test_a_kept_checkpoint_that_cannot_be_read_is_found(campaign: Campaign, tmp_path: Path) -> None:
    other = shutil.copytree(campaign.reference, tmp_path / "run")
    oldest = min((other / "checkpoints").iterdir())
    shorten(oldest / "state.data-00000-of-00001", keep=0.5)
    (found,) = same_run.all_differences(campaign.reference, other)
    assert found.startswith("it cannot be read: ")


def test_all_kills_of_a_lost_run_are_lost() -> None:
    kept = Trial(0, [(Phase.WRITE, True), (Phase.LOG, False)])
    lost = Trial(1, [(Phase.WRITE, False)], problem="metrics.jsonl")
    figures = faults.report([kept, lost])
    assert figures["kills"]["write"] == {"tried": 2, "survived": 1, "lost": 1}
    assert figures["kills"]["log"] == {"tried": 1, "survived": 1, "lost": 0}
    assert figures["all"] == {"tried": 3, "survived": 2, "lost": 1}
    assert figures["problems"] == {"run-0001": "metrics.jsonl"}


@given(kills=st.integers(1, 300), tried=st.dictionaries(st.sampled_from(list(Phase)), st.integers(0, 40)))
def test_a_plan_completes_number_and_shares(kills: int, tried: dict[Phase, int]) -> None:
    after = Counter(tried) + Counter(plan.missing(Counter(tried), kills))
    total = sum(after[phase] for phase in plan.SHARES)
    assert total >= kills
    assert all(after[phase] >= max(1, plan.LEAST.get(phase, 0) * total) for phase in plan.SHARES)
    assert plan.missing(after, kills) == []


@given(phases=st.lists(st.sampled_from(list(plan.SHARES)), min_size=1, max_size=60), seed=st.integers())
def test_dealt_out_runs_begin_with_a_step_and_keep_every_kill(phases: list[Phase], seed: int) -> None:
    runs = plan.deal(phases, 0, random.Random(seed))
    assert runs == plan.deal(phases, 0, random.Random(seed))
    dealt = Counter(phase for run in runs for phase in run)
    assert all(dealt[phase] >= count for phase, count in Counter(phases).items())
    for run in runs:
        after_start = [phase for phase in run if phase != Phase.FIRST_START]
        assert after_start[0] not in (Phase.STARTING, Phase.RESUMING, Phase.RESULT) or len(set(after_start)) == 1
        assert Phase.RESULT not in run[: -run.count(Phase.RESULT) or None]


def test_habits_are_read_off_what_a_process_tells() -> None:
    habits = plan.Habits()
    told = [(Phase.TRAINING, 1.0), (Phase.WRITE, 3.0), (OPERATION, 3.5), (OPERATION, 3.7), (Phase.TRAINING, 4.0)]
    habits.learn([*told, (OPERATION, 4.5)])
    assert habits.secs[Phase.TRAINING] == [2.0]
    assert habits.secs[Phase.WRITE] == [1.0]
    assert habits.operations[Phase.WRITE] == [2]
