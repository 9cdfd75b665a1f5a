"""A web server on loopback that fails as real ones do."""

import functools
import http.server
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

_PIECES = 8  # in which a slow answer comes


class WebServer:
    """Serves a folder, with listings, and counts the downloads.

    Attributes:
        faults: what happens to the next downloads of a file, by its name: a status such as 500, or cut, wrong, slow,
            silent. The last one stays if `lasting`.
        pause_secs: between the pieces of a slow answer.
        downloads: the number of downloads of each file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: dict[str, list[str | int]] = {}
        self.lasting = False
        self.downloads: Counter[str] = Counter()
        self.stops_after: int | None = None  # downloads, from when on it refuses connections
        self.pause_secs = 0.02
        self._server: http.server.ThreadingHTTPServer | None = None
        self._stopping = threading.Lock()
        self._port = 0

    @property
    def url(self) -> str:
        """The address of the folder."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listens, at the port of the last time."""
        handler = functools.partial(_Handler, self, directory=str(self.folder))
        self._server = _Server(("127.0.0.1", self._port), handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Refuses connections."""
        with self._stopping:  # several downloads may ask for it
            server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def next_fault(self, name: str) -> str | int | None:
        """The fault of this download."""
        faults = self.faults.get(name)
        if not faults:
            return None
        return faults[0] if self.lasting and len(faults) == 1 else faults.pop(0)


@contextmanager
def serving(folder: Path) -> Iterator[WebServer]:
    """Runs a server of a folder."""
    server = WebServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class _Server(http.server.ThreadingHTTPServer):
    """A server at which many connections may wait; of six at once the last would wait for a second."""

    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Prints nothing of clients that went away."""


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Answers a request, or fails."""

    def __init__(self, owner: WebServer, *args: object, directory: str) -> None:
        self._owner = owner
        super().__init__(*args, directory=directory)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        """Prints nothing."""

    def do_GET(self) -> None:
        """Counts downloads and makes faults."""
        path = unquote(self.path.partition("?")[0]).strip("/")
        file = self._owner.folder / path
        if not file.is_file():
            fault = self._owner.next_fault(f"{file.name}/")  # of the listing
            if isinstance(fault, int):
                self.send_error(fault)
            else:
                super().do_GET()
            return
        fault = self._owner.next_fault(file.name)
        if isinstance(fault, int):
            self.send_error(fault)
            return
        self._owner.downloads[path] += 1
        stops_after = self._owner.stops_after
        if stops_after is not None and self._owner.downloads.total() > stops_after:
            threading.Thread(target=self._owner.stop).start()
            return
        if fault == "silent":
            time.sleep(1.5)
            return
        self._send(file, fault)

    def _send(self, file: Path, fault: str | None) -> None:
        data = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Last-Modified", self.date_time_string(file.stat().st_mtime))
        self.end_headers()
        if fault == "cut":
            data = data[: len(data) // 2]
        if fault == "wrong":
            data = bytes(byte ^ 1 for byte in data)
        size = -(-len(data) // _PIECES)
        for start in range(0, len(data), size):
            self.wfile.write(data[start : start + size])
            if fault == "slow":
                time.sleep(self._owner.pause_secs)
