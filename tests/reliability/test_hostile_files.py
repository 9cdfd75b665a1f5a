"""The readers accept or refuse ten thousand mutated files, and the campaign finds readers that misbehave."""

import dataclasses
import pathlib
from random import Random

import pytest

from tools.reliability import hostile_files
from tools.reliability.mutated_files import supervisor, worker
from tools.reliability.mutated_files.reader_table import READERS, divided
from tools.reliability.mutated_files.supervisor import Shift, Tally

CASES = 10_000


def run(name: str, *, cases: int = 2, limit_secs: float = 60.0) -> Tally:
    """Runs the first cases of a reader in support/broken_readers.py, all of them mutated."""
    shift = Shift(name, f"tests.support.broken_readers:{name}", 0, 1, 1 + cases)
    return supervisor.run(shift, limit_secs=limit_secs)


@pytest.mark.thorough
def test_ten_thousand_mutated_files_are_read_or_refused() -> None:
    tallies = hostile_files.campaign(divided(CASES), seed=0, jobs=2)
    assert hostile_files.verdict(tallies) == []
    assert tallies.keys() == READERS.keys()
    for name, tally in tallies.items():
        assert tally.accepted + tally.refused == tally.cases == divided(CASES)[name]
        assert tally.accepted, "no valid file was accepted"
        assert tally.refused, "no mutated file was refused"


@pytest.mark.parametrize(
    ("name", "kind", "what"),
    [
        ("RAISES", "crash", "KeyError: 'label' at broken_readers.py:"),
        ("EXITS", "crash", "SystemExit"),
        ("ABORTS", "death", "signal SIGABRT: Fatal Python error: Aborted"),
        ("QUITS", "death", "exit 0"),
        ("ALLOCATES", "crash", "MemoryError: Unable to allocate 1.00 GiB"),
        ("HIDES_MEMORY", "crash", "memory (.*Unable to allocate"),
        ("WARNS", "crash", "a warning: UserWarning in .*: odd"),
        ("IS_WRONG", "crash", "Wrong: labels are 3 to 9 for 2 classes"),
        ("IS_NAMELESS", "crash", "a message that names no file"),
    ],
)
def test_a_reader_that_misbehaves_is_found(name: str, kind: str, what: str) -> None:
    tally = run(name)
    assert (tally.cases, tally.crashes, tally.hangs, tally.accepted, tally.refused) == (2, 2, 0, 0, 0)
    assert [(failure["case"], failure["kind"]) for failure in tally.failures] == [(1, kind), (2, kind)]
    for failure in tally.failures:
        assert all(part in failure["what"] for part in what.split(".*"))


def test_a_reader_that_hangs_is_found() -> None:
    tally = run("SLEEPS", limit_secs=1.0)
    assert (tally.cases, tally.crashes, tally.hangs) == (2, 0, 2)
    assert "broken_readers.py" in tally.failures[0]["what"]


@pytest.mark.parametrize(
    ("name", "counts"), [("ACCEPTS", (60, 0, 60)), ("REFUSES", (1, 59, 60)), ("REFUSES_EARLY", (1, 59, 1))]
)
def test_cases_are_counted(name: str, counts: tuple[int, int, int]) -> None:
    tally = run(name, cases=60)  # the fiftieth is good
    assert (tally.accepted, tally.refused, tally.past_header) == counts
    assert tally.peak_memory_bytes >= tally.base_memory_bytes > 0
    assert bool(hostile_files.verdict({name: tally})) == (name == "REFUSES_EARLY")


def test_good_files_have_to_be_accepted() -> None:
    with pytest.raises(RuntimeError, match=r"Good files of .*refused"):
        supervisor.run(Shift("x", "tests.support.broken_readers:SPOILED", 0, 1, 2), limit_secs=60.0)


@pytest.mark.parametrize("name", READERS)
def test_a_case_is_a_function_of_its_number(name: str) -> None:
    reader = worker.load(READERS[name].where)
    for number in range(20):
        assert reader.files(Random(number), True) == reader.files(Random(number), True)
    assert reader.files(Random(0), False) != reader.files(Random(0), True)


def test_a_case_can_be_repeated(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("one", "two"):
        assert hostile_files.again("idx", 0, 7, tmp_path / folder) == 0
    assert "past the header" in capsys.readouterr().out
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).rglob("*byte")} for folder in ("one", "two")
    )
    assert one == two
    assert len(one) == 4


def test_a_campaign_fails_for_failures_and_for_a_small_share_past_the_header() -> None:
    good = Tally(cases=10, accepted=2, refused=8, past_header=5)
    assert hostile_files.verdict({"a": good, "b": good}) == []
    early = dataclasses.replace(good, past_header=4)
    assert hostile_files.verdict({"a": good, "b": early}) == ["Only 45.0% of the cases got past the header."]
    failed = dataclasses.replace(good)
    failed.failed(Shift("a", "", 0, 0, 10), 3, "hang", "where")
    assert hostile_files.verdict({"a": failed}) == ["a case 3, hang: where"]
    assert "| a | 10 | 2 | 8 | 0 | 1 | 50.0% |" in hostile_files.table({"a": failed})
