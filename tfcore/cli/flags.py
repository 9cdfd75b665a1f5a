"""Defines and parses the commands' flags, the only use of absl; does not import TensorFlow, so --help is instant."""

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from absl import flags as absl_flags

from tfcore import checks
from tfcore.build import registry
from tfcore.build.tables import OPTIMIZERS
from tfcore.config import KINDS, SOURCE_SETTINGS, RunConfig, read_value
from tfcore.config_values import Kind, spelled, taken
from tfcore.errors import ConfigError

_NAME_CHARACTERS = 100  # longer than the name of any flag
_REPLACED_HERE = (
    "`tfcore lr_find` takes no --{name}: the learning rate rises from --lowest to --highest over --steps. Leave it out."
)
_TYPES = {"int": int, "float": float, "bool": bool}  # by absl's names
_RUN_FIELDS = {item.name: item for item in fields(RunConfig)}


@dataclass(frozen=True)
class Option:
    """A flag of a command that is not part of the run's configuration and is not saved with it."""

    name: str
    default: Any
    description: str


RUN_DIR = Option("run_dir", "", "Folder of the run. The folder of an unfinished run resumes it.")
STOP_AFTER = Option("stop_after_steps", 0, "Save and exit after this many completed steps, as on a signal. 0: never.")
MAX_TIME = Option("max_time", "", "Save and exit after this time, as on a signal: seconds, 90m, 1h30m. Default: never.")
TENSORBOARD = Option("tensorboard", False, "Serve TensorBoard on the run's folder during training.")
TENSORBOARD_HOST = Option(
    "tensorboard_host",
    "127.0.0.1",
    "Address that TensorBoard listens on. Any other than 127.0.0.1 lets other machines read the run.",
)
TENSORBOARD_PORT = Option(
    "tensorboard_port", -1, "Port that TensorBoard listens on. 0: any free port. -1: 6006 or the next free port."
)
SPLIT = Option("split", "test", "test, validation or train.")
CHECKPOINT = Option("checkpoint", "", "best, last or a step. Default: the checkpoint of the run's test score.")
JSON = Option(
    "json", False, "Print one JSON object as the last line of standard output; the log goes to standard error."
)
QUIET = Option("quiet", False, "Print only warnings, errors and the final result.")
WATCH = Option("watch", False, "Score each new checkpoint until the run has ended, one line each, also with --json.")
DATASET = Option("dataset", "", _RUN_FIELDS["dataset"].metadata["help"])
DATA_DIR = Option("data_dir", "", _RUN_FIELDS["data_dir"].metadata["help"])
TRAIN_EXAMPLES = Option("train_examples", 0, "Use only this many training examples, the first ones. 0: all.")
TEST_EXAMPLES = Option("test_examples", 0, "Use only this many test examples, the first ones. 0: all.")
BENCH_SECS = Option("secs", 3.0, "Seconds per repetition of a measurement.")
FIGURES = Option("figures", "all", "all, training or evaluation; the last two take a fraction of the time.")
TRY_ALL = Option(
    "try_all", False, "Train under every choice of precision, XLA and threads, and show what tfcore chooses by itself."
)
PROFILE_STEPS = Option("profile_steps", 0, "Number of steps to profile after the measurements. 0: none.")
PROFILE_DIR = Option("profile_dir", "", "Folder to write the profile to; must not exist yet.")
AVERAGE = Option("average", False, "Use the averaged weights instead of the last weights.")
OUT = Option("out", "", "Path to write to; must not exist yet.")
MODEL_PATH = Option("model_path", "", "Path of an exported model, instead of a run.")
EXPORT_FORMAT = Option(
    "format", "saved_model", "saved_model, h5, npz, safetensors, or json for the architecture alone."
)
WEIGHTS_ONLY = Option("weights_only", False, "Leave the architecture out of an h5, npz or safetensors file.")
CONVERT_FORMAT = Option("format", "text", "text, npz, png or records.")
CONVERT_OUT = Option("out", "", "Path to write to; must not exist yet, except for an unfinished conversion to records.")
SHARDS = Option("shards", 0, "Number of files of records for each split. 0: as many as have about 256 MB each.")
SHRINK_TO = Option(
    "size", 0, "Shrink image files in records whose shorter side has more pixels than this. 0: keep them as they are."
)
TOP = Option("top", 3, "Number of classes to name for each image.")
SKIP_BAD = Option("skip_bad_pictures", False, "Skip images that cannot be decoded.")
EXAMPLE = Option("example", 0, "Number of the example, from 0.")
SHOW_SPLIT = Option("split", "test", "test or train.")
SHOW_OUT = Option("out", "", "Path of the .png to write. Default: a descriptive name.")
FROM_RUN = Option("run_dir", "", "Folder of the run.")
HEX = Option("hex", False, "Print the example's pixels as hexadecimal bytes.")
PER_CLASS = Option("per_class", 8, "Number of random examples of each class, at most 100.")
LAYER = Option("layer", "", "Path of the layer, such as conv_1. Default: the first that fits.")
REPORT_OUT = Option(
    "out", "", "Path to write to. Default: report.html in the run's folder, for several runs in the current folder."
)
SEED = Option("seed", 0, "Seed of random choices.")
SWEEP_GRID = Option(
    "grid",
    [],
    "A flag and the values to try, such as learning_rate=0.1,0.01, hidden=50x50,100 or model_args.depth=2,3. May be "
    "repeated.",
)
SWEEP_RANDOM = Option("random", 0, "Number of trials to draw at random from the grid, by --seed. 0: all.")
SWEEP_OUT = Option(
    "out", "", "Folder of the sweep. The same command resumes it. Default: a folder in runs/ derived from the flags."
)
SWEEP_JOBS = Option("jobs", 1, "Number of trials that run at a time, each on its share of the processors.")
SWEEP_PRINT = Option(
    "print", False, "Print the command of each trial that has not ended, one a line, for job schedulers; run none."
)
LOWEST = Option("lowest", 1e-6, "Learning rate of the first step.")
HIGHEST = Option("highest", 10.0, "Learning rate of the last step.")
RISE_STEPS = Option("steps", 300, "Steps from the lowest rate to the highest; they end earlier if training diverges.")
RATES_OUT = Option("out", "", "Path of the .png to write; must not exist yet.")

OPTIONS = {
    "train": (RUN_DIR, STOP_AFTER, MAX_TIME, TENSORBOARD, TENSORBOARD_HOST, TENSORBOARD_PORT, QUIET, JSON),
    "sweep": (SWEEP_GRID, SWEEP_RANDOM, SWEEP_OUT, SWEEP_JOBS, SWEEP_PRINT, JSON),
    "eval": (FROM_RUN, SPLIT, CHECKPOINT, WATCH, AVERAGE, DATA_DIR, JSON),
    "predict": (FROM_RUN, MODEL_PATH, CHECKPOINT, AVERAGE, TOP, SKIP_BAD, JSON),
    "export": (FROM_RUN, EXPORT_FORMAT, OUT, CHECKPOINT, AVERAGE, WEIGHTS_ONLY),
    "convert": (DATASET, CONVERT_FORMAT, CONVERT_OUT, SHARDS, SHRINK_TO, TRAIN_EXAMPLES, TEST_EXAMPLES, DATA_DIR),
    "show examples": (DATASET, SHOW_SPLIT, PER_CLASS, SEED, SHOW_OUT, DATA_DIR),
    "show example": (DATASET, SHOW_SPLIT, EXAMPLE, HEX, SHOW_OUT, DATA_DIR),
    "show filters": (FROM_RUN, LAYER, SHOW_OUT),
    "show features": (FROM_RUN, LAYER, SHOW_SPLIT, EXAMPLE, SHOW_OUT, DATA_DIR),
    "report": (REPORT_OUT,),
    "benchmark": (BENCH_SECS, FIGURES, TRY_ALL, PROFILE_STEPS, PROFILE_DIR, JSON),
    "lr_find": (RATES_OUT, LOWEST, HIGHEST, RISE_STEPS, JSON),
}
WITH_FILES = ("predict", "report")
REPLACED = (  # by the rate that rises, and its length
    "learning_rate", "schedule", "warmup_steps", "decay_steps", "decay_factor", "decay_boundaries", "decay_power",
    "end_learning_rate", "cooldown_share", "warmup_share", "start_divisor", "period_factor", "steps", "epochs",
)  # fmt: skip
RUN_FLAGS = {  # the fields of RunConfig that each command takes as flags
    "train": tuple(_RUN_FIELDS),
    "sweep": tuple(_RUN_FIELDS),
    "benchmark": tuple(_RUN_FIELDS),
    "lr_find": tuple(name for name in _RUN_FIELDS if name not in REPLACED),
    "convert": SOURCE_SETTINGS,
    "show examples": SOURCE_SETTINGS,
    "show example": SOURCE_SETTINGS,
}


class Parsed(typing.NamedTuple):
    """The result of parsing: the given flags of the run, and the command's options with their defaults."""

    given: dict[str, Any]
    options: dict[str, Any]
    wants_help: bool
    arguments: tuple[str, ...] = ()  # arguments that are not flags, for a command that takes files
    command: str = ""


def parse(command: str, arguments: Sequence[str]) -> Parsed:
    """Reads the flags of `command`, `--flagfile=…` included.

    Raises:
        ConfigError: an unknown flag (with the nearest one), a value of the wrong type, or a stray argument.
    """
    values = _define(command)
    for argument in arguments:  # absl searches for similar names, which takes very long for a long name
        if argument.startswith("-") and len(argument.partition("=")[0]) > _NAME_CHARACTERS:
            raise ConfigError(f"Expected flags such as --name=value. Received '{argument[:_NAME_CHARACTERS]}…'.")
    try:
        rest = values([command, *arguments])
    except absl_flags.UnrecognizedFlagError as error:
        if command == "lr_find" and error.flagname in REPLACED:
            raise ConfigError(_REPLACED_HERE.format(name=error.flagname)) from None
        hint = checks.nearest(error.flagname, list(values)) or f" `tfcore {command} --help` lists them all."
        raise ConfigError(f"Unknown flag --{error.flagname}.{hint}") from None
    except absl_flags.IllegalFlagValueError as error:
        raise ConfigError(_wrong_kind(error, values)) from None
    except (absl_flags.Error, OSError, UnicodeDecodeError) as error:
        raise ConfigError(" ".join(str(error).split()).removeprefix("ERROR:: ")) from None
    if len(rest) > 1 and command not in WITH_FILES:
        raise ConfigError(f"Expected flags such as --name=value. Received '{rest[1]}'.")
    names = [name for name in RUN_FLAGS.get(command, ()) if values[name].present]
    given = {name: _value(name, values[name].value) for name in names}
    options = {option.name: values[option.name].value for option in OPTIONS[command]}
    for name, value in options.items():
        if isinstance(value, str):
            checks.plain_text(name, value)
    return Parsed(given, options, bool(values["help"].value), tuple(rest[1:]), command)


def _wrong_kind(error: absl_flags.IllegalFlagValueError, values: absl_flags.FlagValues) -> str:
    """Rewords absl's error on a value of the wrong type."""
    flag = str(error).removeprefix("flag --").removesuffix(f": {error.__context__}")
    name, _, value = flag.partition("=")
    kind = _TYPES[values[name].flag_type()]
    return f"--{name} takes {taken(Kind(kind, kind))}. Received '{value}'."


def usage(command: str) -> str:
    """Returns the text that `--help` prints."""
    lines = [f"{command}: flags (defaults in brackets)", ""]
    for name, default, description in rows(command):
        lines.append(f"  --{name:<30}{description}" + (f" [{default}]" if default else ""))
    return "\n".join(lines)


def rows(command: str) -> list[tuple[str, str, str]]:
    """Returns name, default ("" for none) and description of each flag: the command's, then the run's."""
    own = [(option.name, option.default, option.description) for option in OPTIONS[command]]
    own.append(("flagfile", "", "Read flags from a file, one per line, such as recipes/softmax_cifar10.flags."))
    users = registry.settings(OPTIMIZERS)
    items = [_RUN_FIELDS[name] for name in RUN_FLAGS.get(command, ())]
    of_a_run = [
        (item.name, item.default, item.metadata["help"] + _taken_by(users.get(item.name, {}))) for item in items
    ]
    return [(name, "" if default in (None, []) else str(default), text) for name, default, text in [*own, *of_a_run]]


def _taken_by(users: Mapping[str, Any]) -> str:
    """Returns the text on the optimizers that take a setting, with their defaults."""
    named = ", ".join(f"{name} ({_short(default)})" for name, default in users.items())
    return f" Taken by {named}." if named else ""


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else spelled(value)


def _define(command: str) -> absl_flags.FlagValues:
    """Defines the flags of a command, separate from absl's global flags and those of libraries."""
    values = absl_flags.FlagValues()
    for option in OPTIONS[command]:
        _define_one(values, option.name, type(option.default), option.default, option.description)
    for name in RUN_FLAGS.get(command, ()):
        _define_one(values, name, KINDS[name].plain, None, _RUN_FIELDS[name].metadata["help"])
    absl_flags.DEFINE_string("flagfile", "", "Read flags from a file.", flag_values=values)
    absl_flags.DEFINE_string("undefok", "", "Unused; absl requires it.", flag_values=values)
    absl_flags.DEFINE_boolean("help", False, "Show the flags.", short_name="h", flag_values=values)
    return values


def _define_one(values: absl_flags.FlagValues, name: str, kind: type, default: Any, description: str) -> None:
    define: dict[type, Callable[..., Any]] = {
        bool: absl_flags.DEFINE_boolean,
        int: absl_flags.DEFINE_integer,
        float: absl_flags.DEFINE_float,
        list: absl_flags.DEFINE_multi_string,
    }
    define.get(kind, absl_flags.DEFINE_string)(name, default, description, flag_values=values)


def _value(name: str, value: Any) -> Any:
    """Converts the text of a tuple field such as `50,50`; leaves other values as they are."""
    return read_value(name, value) if KINDS[name].plain is tuple else value
