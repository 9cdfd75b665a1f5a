"""Training on remote data: the bits of a run on local files, a server that goes away, an S3-compatible server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.web_server import WebServer, serving

from tfcore.data import fetching
from tfcore.data.remote_files import Waits
from tools.reliability.run_differences import differences

DATA = "--dataset=npz:data.npz"
TRAIN = (
    "--model=softmax", "--batch_size=30", "--steps=12", "--image_size=9", "--checkpoint_every_epochs=0.1",
    "--intra_op_threads=1", "--inter_op_threads=1", "--data_dir=cache",
)  # fmt: skip
FINGERPRINT = ["variables/about/.ATTRIBUTES/VARIABLE_VALUE"]


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Attempts follow each other quickly, and no worker is that of another test."""
    fetching.end()
    monkeypatch.setattr(fetching, "WAITS", Waits(0.01, 5.0))
    monkeypatch.setattr(fetching, "_told", set())
    yield
    fetching.end()


@pytest.fixture
def server(call: Any, tmp_path: Path) -> Iterator[WebServer]:
    """Serves `made`, records of random pictures in files, in four shards a split."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 200), ("test", 40)):
        arrays[f"x_{part}"] = rng.integers(0, 256, (count, 12, 12, 3), np.uint8)
        arrays[f"y_{part}"] = np.arange(count) % 4
    np.savez(tmp_path / "data.npz", **arrays)
    call("convert", DATA, "--format=png", "--out=pictures")
    call("convert", "--dataset=folder:pictures", "--format=records", "--shards=4", "--out=served/made")
    with serving(tmp_path / "served") as found:
        yield found


def largest_bytes(folder: Path) -> int:
    return max(path.stat().st_size for path in folder.iterdir())


@pytest.mark.parametrize("shards_kept", [pytest.param(100, marks=pytest.mark.thorough), 2])
def test_a_run_has_the_bits_of_one_on_local_files(
    call: Any, tmp_path: Path, server: WebServer, shards_kept: int
) -> None:
    limit = shards_kept * largest_bytes(server.folder / "made")
    call("train", "--dataset=records:served/made", *TRAIN, "--run_dir=local")
    call("train", f"--dataset=records:{server.url}/made", *TRAIN, f"--cache_bytes={limit}", "--run_dir=remote")
    assert differences(tmp_path / "local", tmp_path / "remote") == []
    kept = (tmp_path / "cache" / "remote" / ".shards").glob("*.[0-9]*")
    assert sum(path.stat().st_size for path in kept) <= limit
    repeated = [name for name, count in server.downloads.items() if count > 1]
    assert bool(repeated) == (shards_kept == 2)


def test_blocks_open_a_shard_once_an_epoch(
    call: Any, tmp_path: Path, server: WebServer, caplog: pytest.LogCaptureFixture
) -> None:
    remote = f"--dataset=records:{server.url}/made"
    limit = f"--cache_bytes={3 * largest_bytes(server.folder / 'made')}"
    small = ("--batch_size=5", "--steps=72", "--validation=0")  # two epochs, of a batch of 5 for each 50 in a shard
    call("train", "--dataset=records:served/made", *TRAIN, *small, "--shuffle=blocks:1", "--run_dir=local")
    call("train", remote, limit, *TRAIN, *small, "--shuffle=blocks", "--stop_after_steps=30", "--run_dir=remote")
    assert "--shuffle=blocks:1\n" in (tmp_path / "remote" / "config.flags").read_text()
    call("train", remote, "--shuffle=blocks", "--cache_bytes=1000000", "--run_dir=remote")
    assert differences(tmp_path / "local", tmp_path / "remote") == []
    trained = [count for name, count in server.downloads.items() if "train-0" in name]
    assert sum(trained) <= 4 * 2 + 6  # a few twice, where a run is cut
    assert not [text for text in caplog.messages if "again and again" in text]
    refused = call("train", remote, limit, *TRAIN, "--shuffle=global", "--run_dir=remote", status=2)
    assert "--shuffle=global (there: blocks:1)" in refused.stderr
    call("train", remote, limit, *TRAIN, "--steps=1", "--run_dir=global")
    told = [text for text in caplog.messages if "again and again" in text]
    assert len(told) == 1
    assert told[0].endswith("Give --shuffle=blocks, or a larger --cache_bytes.")
    refused = call("train", DATA, *TRAIN[:3], "--shuffle=blocks", status=2)
    assert "--shuffle=blocks is for data in shards, such as records:. npz:data.npz has none" in refused.stderr


def test_a_server_that_goes_away_and_comes_back(
    call: Any, tmp_path: Path, server: WebServer, caplog: pytest.LogCaptureFixture
) -> None:
    remote = (f"--dataset=records:{server.url}/made", f"--cache_bytes={2 * largest_bytes(server.folder / 'made')}")
    call("train", *remote, *TRAIN, "--run_dir=whole")
    server.stops_after = server.downloads.total() + 30
    done = call("train", *remote, *TRAIN, "--run_dir=run", status=1)
    told = [text for text in caplog.messages if text.startswith(f"Cannot read {server.url}/made/t")]
    assert len(told) == 1
    assert done.stderr.startswith(f"error: Cannot read {server.url}/made/t")
    assert done.stderr.endswith(
        "6 times in turn. Check the network and the server, then give the same command again.\n"
    )
    server.stops_after = None
    server.start()
    call("train", *remote, *TRAIN, "--run_dir=run")
    assert differences(tmp_path / "whole", tmp_path / "run") == []


@pytest.mark.thorough
def test_other_commands_read_remote_data(call: Any, tmp_path: Path, server: WebServer) -> None:
    url = f"--dataset=records:{server.url}/made"
    call("train", url, *TRAIN, "--run_dir=run")
    assert "accuracy" in call("eval", "--run_dir=run").stdout
    call("convert", url, "--format=records", "--out=copied", "--data_dir=cache")
    assert (tmp_path / "copied" / "train-labels.npy").read_bytes() == (
        server.folder / "made" / "train-labels.npy"
    ).read_bytes()


def test_pictures_in_a_remote_folder_are_refused(call: Any) -> None:
    done = call("train", "--dataset=folder:https://h/photos", status=2)
    assert done.stderr.startswith("error: --dataset=folder: reads local files. Received https://h/photos. Convert")
