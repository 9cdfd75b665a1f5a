"""Data in an S3-compatible server on loopback: moto's, through s3fs."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from support.record_sets import DATA, OPTIONS
from support.shard_files import some, write

from tfcore.data import fetching, record_writer
from tfcore.data.fingerprint import fingerprint
from tfcore.data.remote import local_folder
from tfcore.data.remote_files import Waits
from tfcore.data.sources.records import records
from tfcore.data.sources.webdataset import webdataset
from tfcore.errors import DataError

LIMIT = 2**30


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket with `sets/made`, records, and `sets/pets`, WebDataset; the environment of those who may read it."""
    record_writer.write(DATA, tmp_path / "sets" / "made", shards=3)
    write("webdataset", tmp_path / "sets" / "pets", {"train": some(9), "test": some(4, first=100)})
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    fetching.end()
    monkeypatch.setattr(fetching, "WAITS", Waits(0.01, 5.0))
    client = boto3.client("s3")
    client.create_bucket(Bucket="data")
    for path in (tmp_path / "sets").rglob("*"):
        if path.is_file() and ".tfcore-index" not in path.parts:
            client.upload_file(str(path), "data", str(path.relative_to(tmp_path)))
    yield "s3://data/sets"
    fetching.end()
    client.close()
    server.stop()


def test_data_in_a_bucket(bucket: str, tmp_path: Path) -> None:
    data = records(local_folder("records", f"{bucket}/made", tmp_path / "cache", LIMIT), **OPTIONS)
    np.testing.assert_array_equal(data.train.read(np.arange(len(data.train))), DATA.train.images)
    settings = {"image_size": None, "image_fit": "stretch", "test_share": 0.3, "seed": 0, "skip_bad_pictures": False}
    found = webdataset(local_folder("webdataset", f"{bucket}/pets", tmp_path / "cache", LIMIT), **settings)
    local = webdataset(tmp_path / "sets" / "pets", **settings)
    assert fingerprint(found.train) == fingerprint(local.train)
    everything = np.arange(len(local.train))
    np.testing.assert_array_equal(found.train.read(everything), local.train.read(everything))
    with pytest.raises(DataError, match=r"^Cannot read s3://data/sets/none/manifest\.json: .*Check the address and"):
        local_folder("records", f"{bucket}/none", tmp_path / "cache", LIMIT)
    with pytest.raises(DataError, match=r"^Cannot read s3://none/: .*Check the address and your access to it\.$"):
        local_folder("webdataset", "s3://none/", tmp_path / "cache", LIMIT)


def test_without_credentials(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DataError, match=r"^Cannot read s3://data/sets/made/manifest\.json: "):
        local_folder("records", f"{bucket}/made", tmp_path / "cache", LIMIT)
