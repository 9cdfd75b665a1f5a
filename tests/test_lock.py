"""The locks in requirements/: a version and its hashes for everything, within the bounds that setup.cfg sets."""

import configparser
import pathlib
import re
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).parents[1]
LOCKS = {name: (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8") for name in ("runtime", "test")}
PINNED = re.compile(r"[a-z0-9-]+==[0-9][^ ]*( ; [^\\]+)?( +--hash=sha256:[0-9a-f]{64})+")


def declared() -> dict[str, list[Requirement]]:
    """What setup.cfg asks for, by extra; `runtime` is what every installation needs."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    texts = {"runtime": settings["options"]["install_requires"], **settings["options.extras_require"]}
    return {name: [Requirement(line) for line in text.split("\n") if line] for name, text in texts.items()}


def build_requirements() -> list[str]:
    """What building the project needs."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]


def entries(text: str) -> list[str]:
    """A lock's entries, each on one line; comments are left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", "").splitlines()


def unpinned(text: str) -> Iterator[str]:
    yield from (entry for entry in entries(text) if not PINNED.fullmatch(entry))


def unbounded(requirements: list[Requirement]) -> Iterator[str]:
    for requirement in requirements:
        if not {part.operator for part in requirement.specifier} & {"<", "<=", "==", "~="}:
            yield f"{requirement} has no upper bound"


def unmet(requirements: list[Requirement], text: str) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for entry in entries(text):
        name, _, rest = entry.partition("==")
        found.setdefault(canonicalize_name(name), []).append(rest.split()[0])
    for requirement in requirements:
        versions = found.get(canonicalize_name(requirement.name), [])
        if not versions or not all(requirement.specifier.contains(version) for version in versions):
            yield f"{requirement}: locked is {versions}"


@pytest.mark.parametrize("extra", declared())
def test_every_dependency_has_an_upper_bound(extra: str) -> None:
    assert list(unbounded(declared()[extra])) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_everything_is_pinned_with_its_hashes(lock: str) -> None:
    assert len(entries(LOCKS[lock])) > 30
    assert list(unpinned(LOCKS[lock])) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_server_and_no_folder_of_a_machine(lock: str) -> None:
    assert re.findall(r"://|[\s@=]~?/\S*", LOCKS[lock]) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_keeps_the_bounds(lock: str) -> None:
    wanted = [*declared()["runtime"], *map(Requirement, build_requirements())]
    assert list(unmet(wanted, LOCKS[lock])) == []


def test_the_test_lock_is_the_runtime_lock_and_the_test_tools() -> None:
    assert list(unmet(declared()["test"], LOCKS["test"])) == []
    assert set(entries(LOCKS["runtime"])) < set(entries(LOCKS["test"]))


def test_the_peers_are_not_locked() -> None:
    """They belong to the benchmarks, and are as large as all the rest."""
    for requirement in declared()["peers"]:
        assert list(unmet([requirement], LOCKS["test"]))


def test_the_lock_is_made_for_the_setuptools_that_builds_the_project() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["uv"]["constraint-dependencies"] == build_requirements()


HASH = "--hash=sha256:" + 64 * "a"


@pytest.mark.parametrize(
    "line", ["numpy==2.0", f"numpy>=2.0 {HASH}", f"numpy {HASH}", "--index-url simple", f"numpy==2.0 {HASH[:-1]}"]
)
def test_an_entry_that_is_not_pinned_is_found(line: str) -> None:
    assert list(unpinned(f"# a comment\nabsl-py==2.1 \\\n    {HASH} \\\n    {HASH}\n    # via tfcore\n{line}\n")) == [
        line
    ]


@pytest.mark.parametrize(
    ("text", "complaints"), [("a>=1", 1), ("a", 1), ("a!=2", 1), ("a>=1,<2", 0), ("a==1", 0), ("a~=1.2", 0)]
)
def test_a_missing_bound_is_found(text: str, complaints: int) -> None:
    assert len(list(unbounded([Requirement(text)]))) == complaints


@pytest.mark.parametrize(("text", "complaints"), [("My_Name>=1,<2", 0), ("my-name>=2,<3", 1), ("other<2", 1)])
def test_a_version_out_of_bounds_is_found(text: str, complaints: int) -> None:
    assert (
        len(list(unmet([Requirement(text)], f"my-name==1.5 ; python_version < '3.12' \\\n    {HASH}\n"))) == complaints
    )
