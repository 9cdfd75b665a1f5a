"""absl flags: the one module that knows them. TensorFlow is not imported here, so `--help` answers at once."""

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

_NAME_CHARACTERS = 100  # more than the name of any flag has
_TYPES = {"int": int, "float": float, "bool": bool}  # by absl's names
_RUN_FIELDS = {item.name: item for item in fields(RunConfig)}


@dataclass(frozen=True)
class Option:
    """A flag that belongs to a command, not to the run: it is not saved with it."""

    name: str
    default: Any
    description: str


RUN_DIR = Option("run_dir", "", "The run's folder. Naming an unfinished one resumes it.")
STOP_AFTER = Option("stop_after_steps", 0, "Save and leave after so many completed steps, as on a signal. 0: never.")
MAX_TIME = Option("max_time", "", "Save and leave after so long, as on a signal: seconds, 90m, 1h30m. Default: never.")
TENSORBOARD = Option("tensorboard", False, "Serve TensorBoard on the run's folder for as long as training goes on.")
TENSORBOARD_HOST = Option(
    "tensorboard_host", "127.0.0.1", "The address it listens on. With another than this, others can read the run."
)
TENSORBOARD_PORT = Option("tensorboard_port", -1, "The port it listens on, 0: any free one. -1: 6006 or the next free.")
SPLIT = Option("split", "test", "test, validation or train.")
CHECKPOINT = Option("checkpoint", "", "best, last or a step. Default: what the run itself was scored with.")
JSON = Option(
    "json", False, "Print one JSON object as the last line of standard output; the log goes to standard error."
)
QUIET = Option("quiet", False, "Print only warnings, errors and how the run ended.")
WATCH = Option(
    "watch", False, "Score each checkpoint as it comes, until the run has ended: a line each, in --json too."
)
DATASET = Option("dataset", "", _RUN_FIELDS["dataset"].metadata["help"])
DATA_DIR = Option("data_dir", "", _RUN_FIELDS["data_dir"].metadata["help"])
TRAIN_EXAMPLES = Option("train_examples", 0, "Only the first so many training examples. 0: all.")
TEST_EXAMPLES = Option("test_examples", 0, "Only the first so many test examples. 0: all.")
BENCH_SECS = Option("secs", 3.0, "Seconds that each repeat of a measurement takes.")
FIGURES = Option("figures", "all", "all, or only those of training or evaluation, which takes a fraction of the time.")
PROFILE_STEPS = Option("profile_steps", 0, "Profile so many steps after the measurements. 0: none.")
PROFILE_DIR = Option("profile_dir", "", "The folder to write the profile to; nothing may be there yet.")
AVERAGE = Option("average", False, "The moving average of the weights instead of the last ones.")
OUT = Option("out", "", "Where to write; nothing may be there yet.")
MODEL_PATH = Option("model_path", "", "An exported model, instead of a run.")
EXPORT_FORMAT = Option("format", "saved_model", "saved_model, h5, npz, safetensors; json: the architecture.")
WEIGHTS_ONLY = Option("weights_only", False, "Leave the architecture out of an h5, npz or safetensors file.")
CONVERT_FORMAT = Option("format", "text", "text, npz or png.")
TOP = Option("top", 3, "Classes to name for each picture.")
SKIP_BAD = Option("skip_bad_pictures", False, "Go on without the pictures that cannot be decoded.")
EXAMPLE = Option("example", 0, "Number of the example, from 0.")
SHOW_SPLIT = Option("split", "test", "test or train.")
SHOW_OUT = Option("out", "", "The .png to write. Default: a name that says what it is.")
FROM_RUN = Option("run_dir", "", "The run's folder.")
HEX = Option("hex", False, "Print the example's pixels as hexadecimal bytes.")
PER_CLASS = Option("per_class", 8, "Random examples of each class, at most 100.")
LAYER = Option("layer", "", "Path of the layer, such as conv_1. Default: the first that fits.")
REPORT_OUT = Option("out", "", "Where to write. Default: report.html in the run's folder; here for several runs.")
SEED = Option("seed", 0, "Seed of what is drawn at random.")
SWEEP_GRID = Option(
    "grid", [], "A flag and the values to try, such as learning_rate=0.1,0.01 or hidden=50x50,100. May be repeated."
)
SWEEP_RANDOM = Option("random", 0, "Try so many of the grid's trials, drawn by --seed. 0: all.")
SWEEP_OUT = Option(
    "out", "", "The sweep's folder. The same command goes on with it. Default: one of runs/ by the flags."
)

OPTIONS = {
    "train": (RUN_DIR, STOP_AFTER, MAX_TIME, TENSORBOARD, TENSORBOARD_HOST, TENSORBOARD_PORT, QUIET, JSON),
    "sweep": (SWEEP_GRID, SWEEP_RANDOM, SWEEP_OUT, JSON),
    "eval": (FROM_RUN, SPLIT, CHECKPOINT, WATCH, AVERAGE, DATA_DIR, JSON),
    "predict": (FROM_RUN, MODEL_PATH, CHECKPOINT, AVERAGE, TOP, SKIP_BAD, JSON),
    "export": (FROM_RUN, EXPORT_FORMAT, OUT, CHECKPOINT, AVERAGE, WEIGHTS_ONLY),
    "convert": (DATASET, CONVERT_FORMAT, OUT, TRAIN_EXAMPLES, TEST_EXAMPLES, DATA_DIR),
    "show examples": (DATASET, SHOW_SPLIT, PER_CLASS, SEED, SHOW_OUT, DATA_DIR),
    "show example": (DATASET, SHOW_SPLIT, EXAMPLE, HEX, SHOW_OUT, DATA_DIR),
    "show filters": (FROM_RUN, LAYER, SHOW_OUT),
    "show features": (FROM_RUN, LAYER, SHOW_SPLIT, EXAMPLE, SHOW_OUT, DATA_DIR),
    "report": (REPORT_OUT,),
    "benchmark": (BENCH_SECS, FIGURES, PROFILE_STEPS, PROFILE_DIR, JSON),
}
WITH_FILES = ("predict", "report")
RUN_FLAGS = {  # the fields of RunConfig that a command takes as flags
    "train": tuple(_RUN_FIELDS),
    "sweep": tuple(_RUN_FIELDS),
    "benchmark": tuple(_RUN_FIELDS),
    "convert": SOURCE_SETTINGS,
    "show examples": SOURCE_SETTINGS,
    "show example": SOURCE_SETTINGS,
}


class Parsed(typing.NamedTuple):
    """The outcome of parsing: what was given for the run, and the command's own options with their defaults."""

    given: dict[str, Any]
    options: dict[str, Any]
    wants_help: bool
    arguments: tuple[str, ...] = ()  # what is no flag, for a command that takes files
    command: str = ""


def parse(command: str, arguments: Sequence[str]) -> Parsed:
    """Reads the flags of `command`, `--flagfile=…` included.

    Raises:
        ConfigError: an unknown flag (with the nearest one), a value of the wrong type, or a stray argument.
    """
    values = _define(command)
    for argument in arguments:  # absl's search for a flag of a similar name takes forever over a long one
        if argument.startswith("-") and len(argument.partition("=")[0]) > _NAME_CHARACTERS:
            raise ConfigError(f"Expected flags such as --name=value. Received '{argument[:_NAME_CHARACTERS]}…'.")
    try:
        rest = values([command, *arguments])
    except absl_flags.UnrecognizedFlagError as error:
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
    """What absl says as `flag --steps=many: ` and what Python said of the text, in our words."""
    flag = str(error).removeprefix("flag --").removesuffix(f": {error.__context__}")
    name, _, value = flag.partition("=")
    kind = _TYPES[values[name].flag_type()]
    return f"--{name} takes {taken(Kind(kind, kind))}. Received '{value}'."


def usage(command: str) -> str:
    """What `--help` prints."""
    lines = [f"{command}: flags (defaults in brackets)", ""]
    for name, default, description in rows(command):
        lines.append(f"  --{name:<28}{description}" + (f" [{default}]" if default else ""))
    return "\n".join(lines)


def rows(command: str) -> list[tuple[str, str, str]]:
    """Name, default ("" for none) and description of each flag of a command: its own, then those of a run."""
    own = [(option.name, option.default, option.description) for option in OPTIONS[command]]
    own.append(("flagfile", "", "Read flags from a file, one a line, such as recipes/softmax_cifar10.flags."))
    users = registry.settings(OPTIMIZERS)
    items = [_RUN_FIELDS[name] for name in RUN_FLAGS.get(command, ())]
    of_a_run = [
        (item.name, item.default, item.metadata["help"] + _taken_by(users.get(item.name, {}))) for item in items
    ]
    return [(name, "" if default in (None, []) else str(default), text) for name, default, text in [*own, *of_a_run]]


def _taken_by(users: Mapping[str, Any]) -> str:
    """The optimizers that take a setting, each with its default."""
    named = ", ".join(f"{name} ({_short(default)})" for name, default in users.items())
    return f" Taken by {named}." if named else ""


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else spelled(value)


def _define(command: str) -> absl_flags.FlagValues:
    """Fresh flags, apart from absl's global ones, so that no library's flags are among them."""
    values = absl_flags.FlagValues()
    for option in OPTIONS[command]:
        _define_one(values, option.name, type(option.default), option.default, option.description)
    for name in RUN_FLAGS.get(command, ()):
        _define_one(values, name, KINDS[name].plain, None, _RUN_FIELDS[name].metadata["help"])
    absl_flags.DEFINE_string("flagfile", "", "Read flags from a file.", flag_values=values)
    absl_flags.DEFINE_string("undefok", "", "Unused; absl asks for it.", flag_values=values)
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
    """`50,50` as a tuple, where the field is one."""
    return read_value(name, value) if KINDS[name].plain is tuple else value
