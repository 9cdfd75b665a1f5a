"""Starts TensorBoard as a child process that ends with this process, even if this one is killed."""

import ipaddress
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tfcore.errors import ConfigError

_SERVER = Path(__file__).with_name("server.py")
_STOP_SECS = 5.0


class Dashboard:
    """A TensorBoard that serves a run's folder from `start` to the end of the `with` block.

    The child has its own session, so Ctrl-C in the terminal reaches only the run, which still has to save. The child
    ends when its standard input does: the kernel closes that pipe even if this process is killed.

    Args:
        folder: the run's.
        host: the address to listen on.
        port: -1 for 6006 or the next free port, 0 for any free port.
        say: prints a line.
    """

    def __init__(self, folder: Path, *, host: str, port: int, say: Callable[[str], None]) -> None:
        self._flags = [f"--logdir={folder.absolute()}", f"--host={host}", *([f"--port={port}"] if port >= 0 else [])]
        self._host, self._say = host, say
        self._process: subprocess.Popen[str] | None = None
        self._listener = threading.Thread(target=self._listen, name="tensorboard", daemon=True)
        self._serves = False
        self._last_words = ""

    def __enter__(self) -> "Dashboard":
        return self

    def start(self) -> None:
        """Starts TensorBoard, waits until it can be reached, and prints its address.

        Raises:
            ConfigError: it cannot listen on this address.
        """
        # -P: otherwise Python would search for modules in the script's folder first.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_SERVER), *self._flags], start_new_session=True, text=True, errors="replace",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._listener.start()
        assert self._process.stdout is not None
        with self._process.stdout as output:
            address = output.readline().strip()
        if not address:
            self._listener.join()
            raise ConfigError(
                f"TensorBoard could not start: {self._last_words}. Leave --tensorboard out, or choose another "
                "--tensorboard_host or --tensorboard_port (0: any free port)."
            )
        self._serves = True
        self._say(f"TensorBoard: {address}")
        if not _is_loopback(self._host):
            self._say(f"warning: TensorBoard listens on {self._host}: anyone who can reach this machine reads the run.")

    def __exit__(self, *_: object) -> None:
        self._serves = False
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._listener.join()

    def _listen(self) -> None:
        """Reads the child's messages, so that a full pipe never blocks it; warns if it ends by itself."""
        assert self._process is not None
        assert self._process.stderr is not None
        with self._process.stderr as messages:
            for line in messages:
                self._last_words = line.strip().rstrip(".") or self._last_words
        status = self._process.wait()
        if self._serves:
            self._say(f"warning: TensorBoard has ended by itself (status {status}). Training continues without it.")


def _is_loopback(host: str) -> bool:
    """Whether the address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a host name
        return host == "localhost"
