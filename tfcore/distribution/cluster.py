"""Reads the workers of a run from the environment, and finds those that cannot be reached; does not load TensorFlow."""

import json
import os
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tfcore.distribution import schedulers
from tfcore.errors import ConfigError, RunError

TF_CONFIG = "TF_CONFIG"
LAUNCHED = "TFCORE_LAUNCHED"  # set for processes of `tfcore launch`, which tells which worker was lost
LOST_STATUS = 75  # with which they end then
_EXAMPLE = '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}'
PROBE_SECS = 2.0


class LostWorkerError(RunError):
    """A worker that ended, hangs or cannot be reached, so that the others cannot go on."""


@dataclass(frozen=True)
class Cluster:
    """The addresses of all workers, such as 10.0.0.1:2222, and the number of this one."""

    addresses: tuple[str, ...]
    number: int = 0

    def named(self, number: int) -> str:
        """Names a worker with its address."""
        return f"worker {number} at {self.addresses[number]}"

    @property
    def tf_config(self) -> str:
        """The cluster as TensorFlow reads it from `TF_CONFIG`."""
        task = {"type": "worker", "index": self.number}
        return json.dumps({"cluster": {"worker": self.addresses}, "task": task})

    def unreachable(self) -> list[int]:
        """Returns the numbers of the other workers to whose address no connection can be made."""
        others = [number for number in range(len(self.addresses)) if number != self.number]
        with ThreadPoolExecutor(len(others)) as pool:
            accept = pool.map(lambda number: _accepts(self.addresses[number]), others)
            return [number for number, accepts in zip(others, accept, strict=True) if not accepts]


def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECS):
            return True
    except OSError:
        return False


def from_environment(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """Reads `TF_CONFIG` as TensorFlow does, or else the variables of a job scheduler; None for a single process.

    Raises:
        ConfigError: they name no workers with addresses, or not this one.
    """
    text = environment.get(TF_CONFIG, "")
    if not text:
        addresses, number = schedulers.from_list(environment) or schedulers.from_slurm(environment) or ((), 0)
        for address in addresses:
            _check_address(address)
        return Cluster(addresses, number) if len(addresses) > 1 else None
    try:
        given = json.loads(text)
        cluster, task = given.get("cluster", {}), given.get("task", {})
        kind, index = task.get("type", "worker"), int(task.get("index", 0))
        chiefs, others = tuple(cluster.get("chief", ())), tuple(cluster.get("worker", ()))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{TF_CONFIG} must be JSON such as {_EXAMPLE}. Received '{text}'.") from error
    for address in (*chiefs, *others):
        _check_address(address)
    if set(cluster) - {"chief", "worker"} or kind not in ("chief", "worker"):
        raise ConfigError(f"{TF_CONFIG}: the processes of a run are workers, and a chief at most. Received '{text}'.")
    number = index + (len(chiefs) if kind == "worker" else 0)
    if not (chiefs or others):
        return None
    if index < 0 or number >= len(chiefs if kind == "chief" else chiefs + others) or len(chiefs) > 1:
        raise ConfigError(
            f"{TF_CONFIG}: {kind} {index} must be one of the {len(chiefs)} chief and {len(others)} workers, and there "
            "is at most one chief."
        )
    return Cluster(chiefs + others, number) if len(chiefs + others) > 1 else None


def without_cluster(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns the environment of a process that shall train by itself."""
    return {name: value for name, value in environment.items() if name not in (TF_CONFIG, *schedulers.CLUSTERS)}


def _check_address(address: Any) -> None:
    """Raises ConfigError unless the address is text such as 10.0.0.1:2222."""
    port = address.rpartition(":")[2] if isinstance(address, str) and ":" in address else ""
    if not (port.isdecimal() and 0 < int(port) < 2**16):
        raise ConfigError(f"The address of a worker is HOST:PORT, such as 10.0.0.1:2222. Received '{address}'.")
