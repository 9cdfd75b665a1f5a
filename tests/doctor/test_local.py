"""The checks of one machine: what they find in order, and what they say where something is not."""

import os
import re
from importlib import metadata
from pathlib import Path

import pytest

from tfcore import machine
from tfcore.doctor import local
from tfcore.doctor.local import BAD, NOTE, OK, Finding


def test_a_machine_that_passes_the_tests_will_train(tmp_path: Path) -> None:
    found = local.findings(tmp_path / "runs", tmp_path / "data")
    assert [one for one in found if one.state == BAD] == []
    assert {"ok"} <= {one.state for one in found} <= {"ok", "note"}
    assert list(tmp_path.iterdir()) == []  # nothing is left behind
    assert all(bool(one.todo) == (one.state != OK) for one in found)
    text = "\n".join(one.what for one in found)
    assert f"tensorflow {metadata.version('tensorflow')}" in text
    assert f"{machine.processors()} of {os.cpu_count()} processors" in text


def test_a_package_of_another_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = metadata.version

    def version(name: str) -> str:
        if name.lower() == "rich":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name.lower() == "numpy" else installed(name)

    needed = ["numpy>=2,<3", "rich>=13", "torch==2.13.0; extra == 'peers'", "absl-py>=2"]
    monkeypatch.setattr(metadata, "requires", lambda _: needed)
    monkeypatch.setattr(metadata, "version", version)
    _, *bad = local.versions()
    assert bad == [
        Finding(BAD, "numpy 0.1 is installed, and tfcore needs <3,>=2", "pip install 'numpy<3,>=2'"),
        Finding(BAD, "no rich is installed, and tfcore needs >=13", "pip install 'rich>=13'"),
    ]


@pytest.mark.parametrize(
    ("check", "limit", "value"),
    [
        (local.memory, "_LEAST_MEMORY_GB", 1e9),
        (lambda: local.disk(Path("/"), "runs"), "_LEAST_DISK_GB", 1e9),
        (local.load, "_BUSY_SHARE", -1.0),
    ],
    ids=["memory", "disk", "load"],
)
def test_little_of_something_is_noted(check, limit: str, value: float, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    found = check()
    monkeypatch.setattr(local, limit, value)
    noted = check()
    assert (noted.state, bool(noted.todo)) == (NOTE, True)
    assert re.sub(r"\d+\.\d", "", noted.what) == re.sub(r"\d+\.\d", "", found.what)


def test_memory_that_is_not_known_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_bytes", lambda: None)
    assert local.memory().state == OK


@pytest.mark.parametrize("flags", [frozenset(), frozenset({"avx2"}), frozenset({"avx2", "avx512f", "amx_bf16"})])
def test_the_widest_instruction_set_is_named(flags: frozenset[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "processor_flags", lambda: flags)
    monkeypatch.setattr(local.platform, "machine", lambda: "x86_64")
    found = local.processors()
    assert found.state == (OK if flags else NOTE)
    assert found.what.rpartition(", ")[2] == {0: "without AVX2", 1: "AVX2", 3: "AMX"}[len(flags)]


def test_a_folder_that_cannot_be_written_is_bad() -> None:
    found = local.file_system(Path("/proc/tfcore/runs"))
    assert (found.state, found.what.partition(":")[0]) == (BAD, "/proc cannot be written")
    assert found.todo.startswith("Choose another folder for --run_dir")


def test_a_file_system_without_locks_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoLock(local.FileLock):  # as on a file system that grants every lock
        def _acquire(self) -> None:
            self._context.lock_file_fd = os.open(self.lock_file, os.O_RDWR | os.O_CREAT)

        def _release(self) -> None:
            os.close(self._context.lock_file_fd)
            self._context.lock_file_fd = None

    monkeypatch.setattr(local, "FileLock", NoLock)
    assert local.file_system(tmp_path).state == BAD
