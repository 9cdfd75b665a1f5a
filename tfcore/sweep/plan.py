"""The plan of a sweep: the trials of its grid, their names, and the file that stores the plan.

In `--grid NAME=VALUE,VALUE` commas separate the values, and an x separates the numbers of one value:
`hidden=50x50,100`.
`--grid model_args.depth=2,3` varies one argument of the model.
"""

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from tfcore import checks, model_args, seeds
from tfcore.build.configuration import resolve, with_given
from tfcore.build.tables import check_names
from tfcore.config import KINDS, RunConfig, read_value
from tfcore.config_fields import IDENTITY
from tfcore.config_values import describe, spelled
from tfcore.errors import ConfigError, RunError
from tfcore.files import read_text, replacing

PLAN = "sweep.json"
_FORMAT = "tfcore sweep 1"
_RUNS = Path("runs")
_MOST_TRIALS = 100_000  # in a grid, drawn or not
_NAME_CHARACTERS = 100  # of a folder; a file system takes 255 bytes, including the suffix ".log"
_UNFIT = re.compile(r"[^A-Za-z0-9._+=,-]")  # characters replaced in file names
_DEFAULTS = {item.name: item.default for item in fields(RunConfig)}
_MODEL_ARGUMENT = "model_args."
_IDENTITY = {item.name for item in fields(RunConfig) if item.metadata["part"] == IDENTITY}


@dataclass(frozen=True)
class Trial:
    """One run of a sweep.

    Args:
        settings: its grid values by flag name, in alphabetical order.
        given: all flags of the run.
    """

    settings: Mapping[str, Any]
    given: Mapping[str, Any]

    @property
    def spelled(self) -> dict[str, str]:
        """Settings as they are typed in --grid."""
        return {name: _in_grid(value) for name, value in self.settings.items()}

    @property
    def title(self) -> str:
        """Settings on one line."""
        return " ".join(f"{name}={value}" for name, value in self.spelled.items())

    @property
    def name(self) -> str:
        """Name of the folder: the settings, with a hash where they are too long or have unsuitable characters."""
        text = ",".join(f"{name}={value}" for name, value in self.spelled.items())
        fit = _UNFIT.sub("_", text)
        if fit == text and len(text) <= _NAME_CHARACTERS:
            return text
        return f"{fit[: _NAME_CHARACTERS - 9]}-{_hash(text)}"

    @property
    def flags(self) -> list[str]:
        """Arguments of `train` for this trial."""
        return [f"--{name}={spelled(value)}" for name, value in self.given.items()]

    def config(self) -> RunConfig:
        """Returns the resolved configuration of the trial.

        Raises:
            ConfigError: flags that are invalid or contradict each other.
        """
        try:
            config = resolve(with_given(dict(self.given)))
            check_names(config)
        except ConfigError as error:
            raise ConfigError(f"Trial {self.title}: {error}") from error
        return config


@dataclass(frozen=True)
class Plan:
    """The trials of a sweep and their shared flags.

    Args:
        shared: flags outside the grid that say what is trained, as text, without those at their defaults.
        names: the flags in the grid.
        trials: in the order in which they run; all are valid.
        monitor: validation score that ranks them, `loss` or `accuracy`.
    """

    shared: Mapping[str, str]
    names: tuple[str, ...]
    trials: tuple[Trial, ...]
    monitor: str

    def default_folder(self) -> Path:
        """Returns a folder derived from the flags and the grid's names: adding values keeps the folder."""
        named = [self.shared.get(name, str(_DEFAULTS[name])) for name in ("model", "dataset") if name not in self.names]
        parts = [_UNFIT.sub("_", Path(name.rsplit(":", 1)[-1]).stem) for name in named]
        return _RUNS / "-".join(["sweep", *parts, _hash(json.dumps([sorted(self.shared.items()), self.names]))])


def make_plan(given: Mapping[str, Any], grid_texts: Sequence[str], random: int) -> Plan:
    """Makes the plan of a sweep.

    Args:
        given: the flags of every trial; the grid's values override them.
        grid_texts: `name=value,value`, as `--grid` was given.
        random: number of trials to draw; 0 for all. A larger number keeps the trials of a smaller one.

    Raises:
        ConfigError: a name or a value is bad, a trial's flags contradict each other, or the trials cannot be ranked.
    """
    checks.not_negative("random", random)
    grid = _read_grid(grid_texts)
    count = math.prod(map(len, grid.values()))
    if count > _MOST_TRIALS:
        raise ConfigError(f"A grid may have at most {_MOST_TRIALS:,} trials, also with --random. It has {count:,}.")
    if random > count:
        raise ConfigError(f"--random={random} is more than the {count} trials of the grid. Leave it out to run all.")
    names = sorted(grid)
    settings = [dict(zip(names, values, strict=True)) for values in itertools.product(*(grid[n] for n in names))]
    trials = [Trial(setting, _on_top(given, setting)) for setting in settings]
    if random:
        seed = given.get("seed", 0)
        trials = sorted(trials, key=lambda trial: seeds.integer(seed, "sweep", trial.name))[:random]
    configs = [trial.config() for trial in trials]
    _check_ranking(configs, names)
    shared = {
        name: spelled(value)
        for name, value in given.items()
        if name in _IDENTITY and name not in grid and value != _DEFAULTS[name]
    }
    return Plan(shared, tuple(names), tuple(trials), configs[0].monitor)


def _on_top(given: Mapping[str, Any], setting: Mapping[str, Any]) -> dict[str, Any]:
    """Merges a trial's settings into the shared flags; arguments of the model are merged one by one."""
    arguments = {
        name.removeprefix(_MODEL_ARGUMENT): value for name, value in setting.items() if name.startswith(_MODEL_ARGUMENT)
    }
    flags = {**given, **{name: value for name, value in setting.items() if not name.startswith(_MODEL_ARGUMENT)}}
    if arguments:
        flags["model_args"] = model_args.joined(model_args.parse(flags.get("model_args", "")) | arguments)
    return flags


def _read_grid(texts: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Reads --grid into values by flag name."""
    if not texts:
        raise ConfigError("Give the values to try: --grid learning_rate=0.1,0.01, repeated for other flags.")
    grid: dict[str, tuple[Any, ...]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        if name not in _DEFAULTS and not _names_an_argument(name):
            raise ConfigError(f"--grid={text}: a run has no flag --{name}.{checks.nearest(name, _DEFAULTS)}")
        if name in grid:
            raise ConfigError(f"--grid names --{name} twice. Give all its values in one, separated by commas.")
        grid[name] = tuple(_read_value(name, value.strip(), text) for value in values.split(","))
        if len(set(grid[name])) < len(grid[name]):
            hint = f" Separate the numbers of one value by x: {name}=50x50." if _is_tuple(name) else ""
            raise ConfigError(f"--grid={text} has a value twice.{hint}")
    return grid


def _read_value(name: str, value: str, text: str) -> Any:
    """Reads one value of the flag's type; keeps a model argument as text, since the model determines its type."""
    if not value:
        raise ConfigError(f"--grid takes a flag and its values, such as learning_rate=0.1,0.01. Received '{text}'.")
    if name.startswith(_MODEL_ARGUMENT):
        return value
    return read_value(name, value.replace("x", ",") if _is_tuple(name) else value)


def _names_an_argument(name: str) -> bool:
    return name.startswith(_MODEL_ARGUMENT) and name.removeprefix(_MODEL_ARGUMENT).isidentifier()


def _is_tuple(name: str) -> bool:
    return name in KINDS and KINDS[name].plain is tuple


def _check_ranking(configs: Sequence[RunConfig], names: Sequence[str]) -> None:
    """Raises ConfigError unless the validation scores of all trials can be compared."""
    if any(config.validation == 0 for config in configs):
        raise ConfigError(
            "A sweep ranks its trials by their validation scores. Give --validation above 0, such as 0.1."
        )
    if "monitor" in names:
        raise ConfigError("--grid cannot have monitor: all trials are ranked by the same score. Use --monitor instead.")
    losses = {"loss", "label_smoothing"}.intersection(names)
    if losses and configs[0].monitor == "loss":
        raise ConfigError(f"Losses of different --{min(losses)} cannot be compared. Add --monitor=accuracy.")


def write_plan(plan: Plan, folder: Path) -> None:
    """Writes the plan into the folder, which may have it or one that it extends; see `trials.planned`.

    Raises:
        ConfigError: the folder has another plan.
        RunError: its plan cannot be read.
    """
    found = _read(folder)
    if found is not None:
        _refuse_another(plan, folder, found)
    secs = {} if found is None else found.secs
    trials = {trial.name: trial.spelled for trial in plan.trials}
    _write(_Kept(dict(plan.shared), trials, secs), folder)


def read_secs(folder: Path, name: str) -> float:
    """Reads the seconds that a trial has taken so far, in all processes.

    Raises:
        RunError: the plan cannot be read.
    """
    found = _read(folder)
    return 0.0 if found is None else found.secs.get(name, 0.0)


def write_secs(folder: Path, name: str, secs: float) -> None:
    """Writes the seconds that a trial has taken so far into the folder's plan, which may have been extended meanwhile.

    Raises:
        RunError: the plan cannot be read.
    """
    found = _read(folder)
    if found is not None:
        found.secs[name] = secs
        _write(found, folder)


class _Kept(NamedTuple):
    """The plan as the folder has it: shared flags, trials' settings and seconds by trial."""

    flags: dict[str, str]
    trials: Mapping[str, Mapping[str, str]]
    secs: dict[str, float]


def _write(kept: _Kept, folder: Path) -> None:
    with replacing(folder / PLAN) as scratch:
        scratch.write_text(json.dumps({"format": _FORMAT, **kept._asdict()}, indent=2) + "\n", encoding="utf-8")


def _read(folder: Path) -> _Kept | None:
    """Reads the folder's plan; None if there is none."""
    path = folder / PLAN
    if not path.exists():
        return None
    try:
        found = json.loads(read_text(path))
        if found["format"] != _FORMAT:
            raise ValueError("it has another format")
        secs = {str(name): float(value) for name, value in dict(found["secs"]).items()}
        return _Kept(dict(found["flags"]), {name: dict(trial) for name, trial in found["trials"].items()}, secs)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path} cannot be read: {error}. Name another --out.") from error


def _refuse_another(plan: Plan, folder: Path, kept: _Kept) -> None:
    there, trials, names = kept.flags, kept.trials, set(itertools.chain(*kept.trials.values()))
    pairs = {name: (plan.shared.get(name, "default"), there.get(name, "default")) for name in {**there, **plan.shared}}
    differing = {name: pair for name, pair in sorted(pairs.items()) if pair[0] != pair[1]}
    if names != set(plan.names):
        said = f"its grid has {', '.join(sorted(names))}"
    elif differing:
        said = describe(differing)
    elif missing := sorted(trials.keys() - {trial.name for trial in plan.trials}):
        said = f"it has the trial {missing[0]}, which this command lacks"
    else:
        return
    raise ConfigError(f"{folder} belongs to another sweep: {said}. Name another --out, or only add trials.")


def _in_grid(value: Any) -> str:
    """Formats a value as it is typed in --grid."""
    return spelled(value).replace(",", "x") if isinstance(value, tuple) else spelled(value)


def _hash(text: str) -> str:
    return f"{seeds.integer(0, text):016x}"[:8]
