"""Downloading and unpacking, from a local server."""

import gzip
import hashlib
import io
import os
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest

from tfcore.data import download
from tfcore.data.archive import OTHER_BYTES
from tfcore.errors import DataError

CONTENTS = {"one.bin": b"1" * 3000, "two.bin": b"2" * 500}
SIZES = {"one.bin": 3000, "two.bin": 1000}


class Site:
    """A web site on loopback: `pages` by path, and the paths asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                page = site.pages.get(self.path)
                self.send_response(404 if page is None else 200)
                self.send_header("Content-Length", str(len(page or b"")))
                self.end_headers()
                self.wfile.write(page or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, args=(0.01,))
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, "/etc/passwd"
    return info, data


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A .tar.gz of the members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def good(prefix: str = "pair/") -> list[tuple[tarfile.TarInfo, bytes]]:
    return [member(prefix + name, data) for name, data in CONTENTS.items()]


def publish_archive(site: Site, monkeypatch: pytest.MonkeyPatch, archive: bytes) -> None:
    """Makes `pair` a data set of one archive on the site."""
    site.pages["/at/pair.tar.gz"] = archive
    published = download.Archive(f"{site.address}/at/pair.tar.gz", md5(archive), "pair", SIZES)
    monkeypatch.setitem(download.PUBLISHED, "pair", published)


def publish_files(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `pair` a data set of two files on the site."""
    site.pages.update({f"/{name}.gz": data for name, data in CONTENTS.items()})
    sums = {f"{name}.gz": md5(data) for name, data in CONTENTS.items()}
    monkeypatch.setitem(download.PUBLISHED, "pair", download.Files(f"{site.address}/", "pair", sums))


def files(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by their path in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


UNPACKED = {f"pair/{name}": data for name, data in CONTENTS.items()}


def test_an_archive_is_fetched_once(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    extra = [member("pair", kind=tarfile.DIRTYPE), member("pair/readme.html", b"hello"), member("one.bin", b"outside")]
    publish_archive(site, monkeypatch, packed(*extra, *good("./pair/")))
    data_dir = tmp_path / "new" / "data"
    assert download.obtain("pair", data_dir) == data_dir / "pair"
    assert files(data_dir) == UNPACKED
    assert os.listdir(data_dir) == ["pair"]
    download.obtain("pair", data_dir)
    assert site.asked == ["/at/pair.tar.gz"]


def test_single_files_are_fetched_once(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish_files(site, monkeypatch)
    download.obtain("pair", tmp_path)
    assert files(tmp_path) == {f"{name}.gz": data for name, data in UNPACKED.items()}
    download.obtain("pair", tmp_path)
    assert sorted(site.asked) == ["/one.bin.gz", "/two.bin.gz"]


def test_only_missing_files_are_fetched(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish_files(site, monkeypatch)
    (tmp_path / "pair").mkdir()
    (tmp_path / "pair" / "one.bin").write_bytes(b"the user's own, decompressed")
    download.obtain("pair", tmp_path)
    assert site.asked == ["/two.bin.gz"]
    assert files(tmp_path) == {
        "pair/one.bin": b"the user's own, decompressed",
        "pair/two.bin.gz": CONTENTS["two.bin"],
    }


def test_the_users_files_are_not_replaced(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish_archive(site, monkeypatch, packed(*good()))
    (tmp_path / "pair").mkdir()
    (tmp_path / "pair" / "one.bin").write_bytes(b"mine")
    download.obtain("pair", tmp_path)
    assert files(tmp_path) == {**UNPACKED, "pair/one.bin": b"mine"}


def test_the_users_archive_is_unpacked(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish_archive(site, monkeypatch, b"not to be asked for")
    (tmp_path / "pair.tar.gz").write_bytes(packed(*good()))
    download.obtain("pair", tmp_path)
    assert site.asked == []
    assert files(tmp_path / "pair") == CONTENTS


def test_a_wrong_checksum_is_tried_twice_and_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    publish_archive(site, monkeypatch, packed(*good()))
    site.pages["/at/pair.tar.gz"] = b"something else"
    with pytest.raises(DataError, match="another checksum") as caught:
        download.obtain("pair", tmp_path)
    assert site.asked == ["/at/pair.tar.gz"] * 2
    assert os.listdir(tmp_path) == []
    assert "\n" not in str(caught.value)


def test_a_page_that_is_gone(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish_archive(site, monkeypatch, b"")
    del site.pages["/at/pair.tar.gz"]
    with pytest.raises(DataError, match=r"/at/pair.tar.gz: the server answered 404 Not Found\."):
        download.obtain("pair", tmp_path)
    assert os.listdir(tmp_path) == []


def test_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/pair.tar.gz"
    monkeypatch.setitem(download.PUBLISHED, "pair", download.Archive(address, "0" * 32, "pair", SIZES))
    start = time.monotonic()
    with pytest.raises(DataError) as caught:
        download.obtain("pair", tmp_path)
    assert time.monotonic() - start < 5
    message = str(caught.value)
    assert address in message
    assert f"Put this file into {tmp_path}" in message
    assert "--dataset=shapes" in message
    assert "\n" not in message
    assert os.listdir(tmp_path) == []


def test_output_goes_to_standard_error(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_files(site, monkeypatch)
    download.obtain("pair", tmp_path)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Downloading data" not in err  # the log line of pooch


HOSTILE = {
    "dots": member("../evil", b"x"),
    "dots below": member("pair/../../evil", b"x"),
    "absolute": member("/tmp/evil", b"x"),
    "symbolic link": member("pair/one.bin", kind=tarfile.SYMTYPE),
    "hard link": member("pair/one.bin", kind=tarfile.LNKTYPE),
    "device": member("pair/one.bin", kind=tarfile.CHRTYPE),
    "pipe": member("pair/other", kind=tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_member_is_named(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    publish_archive(site, monkeypatch, packed(*good(), HOSTILE[kind]))
    data_dir = tmp_path / "data"
    with pytest.raises(DataError, match=f"holds '{HOSTILE[kind][0].name}'"):
        download.obtain("pair", data_dir)
    assert files(tmp_path) == {}
    assert os.listdir(data_dir) == []


def too_long() -> bytes:
    return packed(member("pair/one.bin", b"1" * 3001), *good()[1:])


def bomb() -> bytes:
    return packed(member("pair/readme.html", bytes(OTHER_BYTES)), *good())


def header_bomb() -> bytes:
    return packed(member("x", b"1 x=" + bytes(2 * OTHER_BYTES), tarfile.XHDTYPE), *good())


def endless(name: str, kind: bytes, size: int) -> bytes:
    header = bytearray(member(name, kind=kind)[0].tobuf())
    header[124:136] = b"\x80" + size.to_bytes(11)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    return gzip.compress(bytes(header))


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (endless("x", tarfile.REGTYPE, 2**62), f"x in .* must have at most {OTHER_BYTES} bytes. It has {2**62}"),
        (endless("pair/", tarfile.DIRTYPE, 2**87), f"pair in .* must have at most {OTHER_BYTES} bytes"),
        (endless("x", tarfile.XHDTYPE, 2**87), "is damaged"),
        (too_long(), "pair/one.bin in .* must have at most 3000 bytes. It has 3001"),
        (bomb(), "holds more than the published archive"),
        (header_bomb(), "holds more than the published archive"),
        (packed(*good()[1:]), "must hold pair/one.bin"),
        (packed(*good())[:-30], "is damaged"),
        (packed(*good())[:-8] + bytes(8), r"is damaged \(BadGzipFile\)"),
        (b"no archive", r"is damaged \(BadGzipFile\)"),
    ],
    ids=[
        "endless",
        "endless folder",
        "endless header",
        "too long",
        "bomb",
        "header bomb",
        "incomplete",
        "cut",
        "checksum",
        "no archive",
    ],
)
def test_a_bad_archive_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, archive: bytes, message: str
) -> None:
    publish_archive(site, monkeypatch, b"not to be asked for")
    (tmp_path / "pair.tar.gz").write_bytes(archive)
    with pytest.raises(DataError, match=message):
        download.obtain("pair", tmp_path)
    assert os.listdir(tmp_path) == ["pair.tar.gz"]


def test_a_data_folder_that_cannot_be_made(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish_archive(site, monkeypatch, packed(*good()))
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"Cannot use .*/file/data: Not a directory\. .*--data_dir"):
        download.obtain("pair", tmp_path / "file" / "data")


def test_where_the_data_folder_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFCORE_DATA_DIR", "/from/environment")
    assert download.data_dir("~/flag") == Path.home() / "flag"
    assert download.data_dir("") == Path("/from/environment")
    monkeypatch.delenv("TFCORE_DATA_DIR")
    assert download.data_dir("") == Path(pooch.os_cache("tfcore"))


def test_the_table_is_complete() -> None:
    assert set(download.PUBLISHED) == {"cifar10", "cifar100", "mnist", "fashion_mnist", "kmnist"}
    for published in download.PUBLISHED.values():
        sums = [published.md5] if isinstance(published, download.Archive) else list(published.md5.values())
        assert all(len(checksum) == 32 and int(checksum, 16) for checksum in sums)
        assert published.address.endswith("/") == isinstance(published, download.Files)
