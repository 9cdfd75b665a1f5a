"""Tests that test_disk.py runs in a namespace where it may mount file systems; collected by that name only.

The process must stay one that may be forked: nothing here computes with TensorFlow or starts a thread.
"""

import gzip
import hashlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tfcore.data import download
from tfcore.data.sources import shapes
from tools.reliability import disks, small_disk
from tools.reliability.disks import PAGE_BYTES, Campaign

PLAIN = "--xla=off"  # compiling would take most of the time
COMMAND = (*disks.COMMAND, PLAIN)
STEP = 13  # of the faults: between the checkpoints of steps 10 and 15
NEWEST = "the same command with --run_dir=run resumes at the checkpoint of step 10."
FULL, READ_ONLY, GONE = "No space left on device", "Read-only file system", "No such file or directory"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    shapes.shapes(pathlib.Path())  # the pictures are drawn before the forks
    return Campaign(tmp_path_factory.mktemp("campaign"), PLAIN)


# Together these sizes end the run in each of the places that it writes to.
@pytest.mark.parametrize(
    ("limit", "value", "place"),
    [
        ("nr_inodes", 2, "folder"),
        ("nr_inodes", 3, "config.flags"),
        ("nr_inodes", 4, "architecture.json"),
        ("size", 8192, "metrics.jsonl"),
        ("size", 12288, "event files"),
        ("size", 61440, "checkpoint"),
    ],
)
def test_a_disk_that_is_too_small(campaign: Campaign, limit: str, value: int, place: str) -> None:
    assert campaign.trial(limit, value) == (place, "")


def test_a_disk_without_room_for_the_result(campaign: Campaign) -> None:
    """Returns one inode less than the finished run uses, counting the disk's root folder."""
    assert campaign.trial("nr_inodes", len(list(campaign.whole.rglob("*")))) == ("result.json", "")


@pytest.fixture(scope="module")
def with_pictures(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return Campaign(tmp_path_factory.mktemp("with_pictures"), PLAIN, "--summaries=all")


def test_a_disk_without_room_for_the_pictures(with_pictures: Campaign) -> None:
    """Returns sizes that end in the events of the first observation and in the files before the last checkpoint."""
    assert with_pictures.trial("size", 18 * PAGE_BYTES) == ("event files", "")
    files = len(list(with_pictures.whole.rglob("*")))
    assert with_pictures.trial("nr_inodes", files - 2) == ("pictures", "")


@dataclass(frozen=True)
class Fault:
    """Fault of the disk that a run is on, the error line expected, and its repair."""

    happens: Callable[[pathlib.Path], None]
    message: str
    mended: Callable[[pathlib.Path], None]
    goes_on: str = NEWEST


def put_aside(disk: pathlib.Path) -> None:
    (disk / "run").rename(disk / "aside")


def put_back(disk: pathlib.Path) -> None:
    assert not (disk / "run").exists()  # no new run was started
    (disk / "aside").rename(disk / "run")


FAULTS = {
    "read-only": Fault(
        lambda disk: small_disk.make_read_only(disk / "run"),
        f"run/parts.jsonl cannot be written: {READ_ONLY}.",
        lambda disk: small_disk.unmount(disk / "run"),
    ),
    "renamed": Fault(put_aside, f"run/metrics.jsonl cannot be written: {GONE}", put_back, goes_on="starts over"),
    "deleted": Fault(
        lambda disk: shutil.rmtree(disk / "run"),
        f"run/metrics.jsonl cannot be written: {GONE}",
        lambda _: None,
        goes_on="starts over",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_disk_that_fails_ends_the_run_and_it_goes_on_exactly(
    campaign: Campaign, tmp_path: pathlib.Path, name: str
) -> None:
    fault = FAULTS[name]
    happens = lambda: small_disk.at_step(STEP, lambda: fault.happens(tmp_path))  # noqa: E731
    done = small_disk.run(*COMMAND, cwd=tmp_path, before=happens)
    assert done.is_one_error, done
    assert fault.message in done.err
    assert fault.goes_on in done.err
    fault.mended(tmp_path)
    again = small_disk.run(*COMMAND, cwd=tmp_path)
    assert (again.status, again.err) == (0, "")
    assert campaign.difference(tmp_path) == ""


def test_an_old_checkpoint_that_cannot_go_is_a_warning(tmp_path: pathlib.Path) -> None:
    old = tmp_path / "run" / "checkpoints" / "step-0000000010"
    pinned = lambda: small_disk.at_step(STEP, lambda: small_disk.bind(old, old))  # noqa: E731
    done = small_disk.run(*COMMAND, "--keep_checkpoints=2", cwd=tmp_path, before=pinned)
    assert (done.status, done.err) == (0, "")
    assert "warning: The old checkpoint of step 10 in run/checkpoints could not be deleted" in done.out
    kept = sorted(int(path.name[-2:]) for path in old.parent.iterdir())
    assert 10 in kept  # and no other expired one
    assert kept[-2:] == [20, 24]
    assert len(kept) <= 4  # including the best one
    small_disk.unmount(old)


def test_standard_output_that_nobody_takes(campaign: Campaign, tmp_path: pathlib.Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    full = small_disk.run(*COMMAND, cwd=tmp_path, before=lambda: small_disk.at_step(STEP, fill_output))
    broken = small_disk.run(*COMMAND, cwd=tmp_path, before=lambda: os.dup2(writer, 1))
    os.close(writer)
    assert full.is_one_error
    assert full.err == f"error: Standard output cannot be used: {FULL}.\n"
    assert broken.is_one_error
    assert broken.err == "error: Standard output cannot be used: Broken pipe.\n"
    assert small_disk.run(*COMMAND, cwd=tmp_path).status == 0
    assert campaign.difference(tmp_path) == ""


def fill_output() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


PICTURES = ("--dataset=shapes", "--train_examples=60", "--test_examples=10")
WRITING = {
    **{kind: ("export", "--run_dir=run", f"--format={kind}") for kind in ("h5", "npz", "safetensors", "saved_model")},
    **{kind: ("convert", *PICTURES, f"--format={kind}") for kind in ("text", "png")},
    "npz of pictures": ("convert", *PICTURES, "--format=npz"),
    "sheet": ("show", "examples", "--dataset=shapes"),
}
ENDINGS = {"h5": ".h5", "npz": ".npz", "safetensors": ".safetensors", "npz of pictures": ".npz", "sheet": ".png"}


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Fills the disk but for one page."""
    small_disk.mount(tmp_path, size=4096)
    yield tmp_path
    small_disk.unmount(tmp_path)


@pytest.mark.parametrize("name", WRITING)
def test_what_is_written_for_others_is_there_whole_or_not_at_all(
    campaign: Campaign, disk: pathlib.Path, name: str
) -> None:
    out = disk / f"out{ENDINGS.get(name, '')}"
    done = small_disk.run(*WRITING[name], f"--out={out}", cwd=campaign.whole)
    assert done.is_one_error, done
    assert done.err == f"error: {out} cannot be written: {FULL}.\n"
    assert os.listdir(disk) == []


def test_a_read_only_run_can_be_used_and_not_trained(campaign: Campaign) -> None:
    small_disk.make_read_only(campaign.whole)
    try:
        assert small_disk.run("eval", "--run_dir=run", cwd=campaign.whole).status == 0
        assert small_disk.run("train", "--run_dir=new", cwd=campaign.whole).err == (
            f"error: The run folder new cannot be written: {READ_ONLY}.\n"
        )
        done = small_disk.run("train", "--run_dir=run", cwd=campaign.whole)
        assert done.is_one_error
        assert "The run folder run cannot be written: " in done.err
    finally:
        small_disk.unmount(campaign.whole)


SERVER = """
import http.server, pathlib, shutil, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = pathlib.Path(sys.argv[1], self.path[1:]).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page[:1000])
        if self.path == "/vanishing":
            shutil.rmtree(sys.argv[2])
        self.wfile.write(page[1000:])
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Site:
    """Address of a web server in a separate process, since threads cannot be forked, and the folder of its pages."""

    address: str
    pages: pathlib.Path
    data_dir: pathlib.Path  # deleted by the server in the middle of the page /vanishing


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Iterator[Site]:
    pages, data_dir = tmp_path / "pages", tmp_path / "data"
    for made in (pages, data_dir):
        made.mkdir()
    command = [sys.executable, "-c", SERVER, str(pages), str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Site(f"http://127.0.0.1:{process.stdout.readline().strip()}/", pages, data_dir)
        process.terminate()


def publish(site: Site, name: str, page: bytes, *, unpacked: int = 0) -> Callable[[], None]:
    """Makes the site serve mnist: a file, or an archive of a file of `unpacked` bytes."""
    (site.pages / name).write_bytes(page)
    checksum = hashlib.md5(page).hexdigest()
    archive = download.Archive(site.address + name, checksum, "mnist", {"train.bin": unpacked})
    files = download.Files(site.address, "mnist", {name: checksum})
    return lambda: download.PUBLISHED.update(mnist=archive if unpacked else files)


def archive_of_zeros(size_bytes: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("mnist/train.bin")
        info.size = size_bytes
        tar.addfile(info, io.BytesIO(bytes(size_bytes)))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("download", FULL), ("unpacking", FULL), ("read-only", READ_ONLY), ("vanishing", GONE)],
)
def test_a_data_folder_that_fails_is_named(site: Site, fault: str, reason: str) -> None:
    if fault == "unpacking":
        published = publish(site, "page", archive_of_zeros(1 << 20), unpacked=1 << 20)
    else:
        published = publish(site, fault, gzip.compress(os.urandom(1 << 18)))
    if fault in ("download", "unpacking"):
        small_disk.mount(site.data_dir, size=1 << 16)
    if fault == "read-only":
        small_disk.make_read_only(site.data_dir)
    arguments = ("convert", "--dataset=mnist", f"--data_dir={site.data_dir}", "--format=npz", "--out=mnist.npz")
    done = small_disk.run(*arguments, cwd=site.pages, before=published)
    assert done.is_one_error, done
    assert done.err.startswith(f"error: Cannot use {site.data_dir}")
    assert f": {reason}. Name a data folder" in done.err
    if site.data_dir.exists():
        assert os.listdir(site.data_dir) == []
    if site.data_dir.is_mount():
        small_disk.unmount(site.data_dir)
