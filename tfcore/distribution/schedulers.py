"""Reads the workers of a run from the variables of job schedulers: Slurm, Kubernetes, mpirun."""

import re
import subprocess
from collections.abc import Mapping

from tfcore.errors import ConfigError

WORKERS = "TFCORE_WORKERS"  # the addresses of all workers, separated by commas
NUMBERS = ("TFCORE_WORKER", "JOB_COMPLETION_INDEX", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID")
_SLURM_STEP = "SLURM_STEP_NUM_TASKS"  # set by srun only, not in a batch script
CLUSTERS = (WORKERS, _SLURM_STEP)  # without which a process is alone
_FIRST_PORT, _PORTS, _STEP_PORTS = 20_000, 20_000, 1_009
_TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?")
_SCONTROL_SECS = 20.0

Found = tuple[tuple[str, ...], int]  # addresses of all workers, number of this one


def from_list(environment: Mapping[str, str]) -> Found | None:
    """Reads `TFCORE_WORKERS`, and the number of this worker from the first variable of NUMBERS that is set.

    NUMBERS has what an indexed Job of Kubernetes, mpirun (Open MPI, MPICH, Intel MPI) and srun set.

    Raises:
        ConfigError: no variable has the number, or it is none of the workers.
    """
    text = environment.get(WORKERS, "")
    if not text:
        return None
    addresses = tuple(part.strip() for part in text.split(",") if part.strip())
    name = next((name for name in NUMBERS if environment.get(name)), None)
    if name is None:
        raise ConfigError(f"{WORKERS} needs the number of this worker, from 0, in one of {', '.join(NUMBERS)}.")
    number = _whole(name, environment[name])
    if number >= len(addresses):
        raise ConfigError(f"{name}={number} must be below the {len(addresses)} addresses of {WORKERS}.")
    return addresses, number


def from_slurm(environment: Mapping[str, str]) -> Found | None:
    """Reads the tasks of a step that `srun` started, a worker each; None outside of such a step, or for one task.

    Tasks fill the nodes one after the other (`--distribution=block`, Slurm's default). Ports follow from the numbers
    of job and step, so that jobs on one node seldom meet.

    Raises:
        ConfigError: the variables cannot be read, or `scontrol` does not answer.
    """
    count = _whole(_SLURM_STEP, environment.get(_SLURM_STEP) or "1")
    if count <= 1:
        return None
    try:
        nodes, tasks = environment["SLURM_STEP_NODELIST"], environment["SLURM_STEP_TASKS_PER_NODE"]
        number, job = environment["SLURM_PROCID"], environment["SLURM_JOB_ID"]
    except KeyError as error:
        raise ConfigError(f"In a step of Slurm, srun sets {error.args[0]}; it is missing.") from error
    hosts = _hosts(nodes)
    counts = [int(many) for many, times in _TASKS.findall(tasks) for _ in range(int(times or 1))]
    placed = [host for host, many in zip(hosts, counts, strict=False) for _ in range(many)]
    if len(hosts) != len(counts) or len(placed) != count:
        raise ConfigError(
            f"SLURM_STEP_TASKS_PER_NODE={tasks} must say how {count} tasks are on the {len(hosts)} nodes of {nodes}."
        )
    step = environment.get("SLURM_STEP_ID", "0")
    first = _FIRST_PORT + (_whole("SLURM_JOB_ID", job) + _STEP_PORTS * _whole("SLURM_STEP_ID", step)) % _PORTS
    addresses = tuple(f"{host}:{first + rank}" for rank, host in enumerate(placed))
    return addresses, _whole("SLURM_PROCID", number)


def _hosts(nodes: str) -> list[str]:
    """Has Slurm expand a list of nodes such as gpu[01-03,07]."""
    command = ["scontrol", "show", "hostnames", nodes]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SCONTROL_SECS)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"`{' '.join(command)}` names the nodes of this step, and failed: {error}") from error
    return done.stdout.split()


def _whole(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ConfigError(f"{name} must be a whole number from 0. Received '{text}'.")
    return int(text)
