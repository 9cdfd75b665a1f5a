"""What the workers of a run agree on before its first step: the configuration, the facts and the state."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tfcore.build.configuration import AUTOMATIC
from tfcore.config import RunConfig
from tfcore.config_values import spelled
from tfcore.errors import ConfigError, RunError
from tfcore.run.parts import Parts
from tfcore.run.restore import Restored
from tfcore.workers import Workers

OF_A_MACHINE = (
    "data_dir",
    "intra_op_threads",
    "inter_op_threads",
    "prefetch_bytes",
    "cache_bytes",
)  # each sets its own
_MUST_BE_EQUAL = ("tfcore", "tensorflow", "precision", "order", "data", "example_weights", "teacher")
REPLAY_ALONE = "To find the layer and the examples, run the same command in a single process."


def agree_on_config(workers: Workers, config: RunConfig, given: Mapping[str, Any]) -> RunConfig:
    """Returns the chief's configuration, with this worker's own settings of its machine.

    Args:
        workers: of the run.
        config: of the given flags and, where this worker sees it, the run folder.
        given: the flags of this worker's command.

    Raises:
        ConfigError: a worker was given a flag of another value; raised by all.
    """
    chief = RunConfig.from_flags(workers.broadcast(config.flags()))
    open_names = [name for name, value in AUTOMATIC.items() if getattr(config, name) == value]
    if config.shuffle == "blocks" and chief.shuffle.startswith("blocks"):  # the chief's run has their number
        open_names.append("shuffle")
    names = [name for name in sorted(given) if name not in (*OF_A_MACHINE, *open_names)]
    told = [
        f"--{name}={spelled(getattr(config, name))} (the chief has {spelled(getattr(chief, name))})"
        for name in names
        if getattr(config, name) != getattr(chief, name)
    ]
    _refuse(workers, told, "was started with", ConfigError)
    return replace(chief, **{name: getattr(config, name) for name in OF_A_MACHINE})


def agree_on_facts(workers: Workers, read: Callable[[], Mapping[str, Any]]) -> None:
    """Raises RunError, on all workers, unless their versions and data are equal.

    Args:
        workers: of the run.
        read: returns the facts about this process; not called for a single one, since it waits for the data.
    """
    if workers.count == 1:
        return
    facts = read()
    chief = workers.broadcast(dict(facts))
    told = [
        f"{name} {facts.get(name, 'none')} (the chief has {chief.get(name, 'none')})"
        for name in _MUST_BE_EQUAL
        if facts.get(name) != chief.get(name)
    ]
    _refuse(workers, told, "has", RunError)


def _refuse(workers: Workers, told: list[str], verb: str, kind: type[Exception]) -> None:
    """Raises an error of a kind, on all workers, if one of them tells of a difference from the chief."""
    for number, differences in enumerate(workers.exchange(told)):
        if differences:
            workers.leave()
            raise kind(f"Worker {number} {verb} {', '.join(differences)}. All workers of a run must have the same.")


def restore_for_all(parts: Parts, restore: Callable[[], Restored | None]) -> Any:
    """Calls `restore` in the chief's process, and gives all workers the state that it leaves; returns its result."""
    workers = parts.workers
    if workers.count == 1:
        return restore()
    restored = workers.broadcast(restore() if workers.is_chief else None)
    workers.share(parts.state().values())
    return None if restored is None else Restored(*restored)


def answered_by_chief(workers: Workers, question: Callable[..., bool]) -> Callable[..., bool]:
    """Returns a function that gives all workers the chief's answer to a question about its files."""
    return lambda *arguments: bool(workers.broadcast(question(*arguments)))
