"""The configuration of a run: one frozen dataclass that flags, resuming and the library all speak.

Each field is a flag of the same name. The identity part says what is trained; a resumed run must not change it. The
watching part says where and how it is observed.
"""

import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any

from tfcore import checks
from tfcore.errors import ConfigError

IDENTITY, WATCHING = "identity", "watching"
Choices = tuple[str, ...]
Check = Callable[[str, Any], Any] | None  # raises ConfigError; None as a value is never checked
OPTIMIZERS_WITH = {  # which of tfcore's optimizers have each setting
    "momentum": ("momentum", "rmsprop"),
    "nesterov": ("momentum",),
    "beta1": ("adam", "adamw", "nadam", "lion"),
    "beta2": ("adam", "adamw", "nadam", "lion"),
    "rho": ("adadelta", "rmsprop"),
    "centered": ("rmsprop",),
    "initial_accumulator": ("adagrad",),
    "epsilon": ("adagrad", "adadelta", "rmsprop", "adam", "adamw", "nadam"),
    "weight_decay": ("adamw", "lion"),
}
SOURCE_SETTINGS = ("test_share", "image_shape", "image_size", "skip_bad_pictures")  # of text:, npz:, idx:, folder:
MODEL_SIZES = ("hidden", "filters", "dropout", "activation", "pooling", "max_norm", "initializer")
SUMMARIES = ("norms", "histograms", "images", "pr_curves", "graph", "hparams", "text")
_LONGEST = 10**12  # steps or epochs; a run of as many would never end, and its examples are still counted in 64 bits
_FLAG = re.compile(r"--(?P<name>\w+)=(?P<value>.*)")
_SHOWN_CHARACTERS = 100  # of a line that is no flag
_BOOLS = {"true": True, "false": False, "1": True, "0": False}
_TAKEN = {  # what a flag takes, by its type and that of its numbers
    (int, int): "a whole number, such as 100",
    (float, float): "a number, such as 0.001",
    (tuple, int): "whole numbers with commas between, such as 50,50",
    (tuple, float): "numbers with commas between, such as 0.25,0.5",
}
SCHEDULES = ("constant", "step_wise", "exponential", "polynomial", "cosine")


def _flag(default: Any, description: str, check: Check = None, *, part: str = IDENTITY, choices: Choices = ()) -> Any:
    return field(default=default, metadata={"help": description, "check": check, "part": part, "choices": choices})


def _watch(default: Any, description: str, check: Check = None) -> Any:
    return _flag(default, description, check, part=WATCHING)


@dataclass(frozen=True)
class RunConfig:
    """Every setting of a run, with its default.

    Raises:
        ConfigError: a value out of range, or two that contradict each other.
    """

    model: str = _flag("softmax", "softmax, mlp, mnist_cnn, cifar_cnn, or path/to/file.py:Name of your own.")
    dataset: str = _flag(
        "shapes",
        "cifar10, cifar100, mnist, fashion_mnist, kmnist, shapes; text:PATH, npz:PATH, idx:PATH or folder:PATH; or "
        "path/to/file.py:name.",
    )
    train_examples: int | None = _flag(None, "Only the first so many training examples.", checks.positive_integer)
    test_examples: int | None = _flag(None, "Only the first so many test examples.", checks.positive_integer)
    test_share: float | None = _flag(
        None, "Share held out to test on where a text:, npz: or folder: has no test part. Default: 0.1.", checks.share
    )
    image_shape: tuple[int, ...] | None = _flag(
        None, "Height, width and channels of text:, such as 28,28,1. Default: a square."
    )
    image_size: tuple[int, ...] | None = _flag(
        None, "Height and width that folder: resizes to, such as 32,32. Default: the pictures' own."
    )
    skip_bad_pictures: bool | None = _flag(None, "Leave out the pictures of folder: that cannot be decoded.")
    validation: float = _flag(
        0.1, "Taken from train to validate on: a share below 1, or a number of examples.", checks.not_negative
    )
    seed: int = _flag(0, "Seed of the initial weights, the order and every other draw.")

    hidden: tuple[int, ...] | None = _flag(None, "Units of each hidden layer, such as 50,50. Default: the model's own.")
    filters: tuple[int, ...] | None = _flag(
        None, "Filters of each convolution, such as 32,64. Default: the model's own."
    )
    dropout: tuple[float, ...] | None = _flag(
        None, "Share of activations dropped: of convolutions and of linear layers, such as 0.25,0.5, or one for both."
    )
    activation: str | None = _flag(None, "relu, gelu, silu, tanh, sigmoid or softmax. Default: the model's own.")
    pooling: str | None = _flag(None, "max, average or sum. Default: the model's own.")
    max_norm: float | None = _flag(
        None, "Longest column of the hidden weights. Default: the model's own.", checks.positive
    )
    initializer: str | None = _flag(
        None,
        "Of the weights: zeros, ones, constant:VALUE, truncated_normal, or glorot, he or lecun with _uniform or "
        "_normal. Default: the model's own.",
    )
    init_from: str = _flag("", "Start from the weights of this run folder or exported file.")
    pixels: str = _flag(
        "unit",
        "unit: x/255; raw: x; centered: x minus the mean training picture; standardized: per channel.",
        choices=("unit", "raw", "centered", "standardized"),
    )
    precision: str = _flag(
        "auto",
        "Type of the model's arithmetic; variables and losses stay float32. auto: bfloat16 for mnist_cnn and cifar_cnn "
        "on a processor with AMX or a GPU of NVIDIA's Ampere or later, else float32.",
        choices=("auto", "float32", "bfloat16"),
    )
    xla: str = _flag(
        "auto",
        "Compile the training steps by XLA. auto: for mlp on MNIST and its like, and for every model on a GPU.",
        choices=("auto", "on", "off"),
    )
    deterministic: bool = _flag(
        False, "Only ops that repeat themselves to the bit on every device; on a CPU those that tfcore uses always do."
    )

    loss: str = _flag("cross_entropy", "What is minimised: cross_entropy, mean_squared_error or path/to/file.py:name.")
    label_smoothing: float = _flag(0.0, "Share of each label spread evenly over all classes.", checks.below_one)
    l1: float = _flag(0.0, "L1 penalty λ·Σ|w|.", checks.not_negative)
    l2: float = _flag(0.0, "L2 penalty λ/2·Σw².", checks.not_negative)
    penalty_variables: str = _flag("weights$", "Regular expression for the paths under --l1 and --l2.")

    optimizer: str = _flag(
        "adam",
        "gradient_descent, momentum, adagrad, adadelta, rmsprop, adam, adamw, nadam, lion or path/to/file.py:Name.",
    )
    learning_rate: float | None = _flag(
        None, "Learning rate, at its peak. Default: the optimizer's own, 0.001 for adam.", checks.positive
    )
    schedule: str = _flag("cosine", "constant, step_wise, exponential, polynomial or cosine.", choices=SCHEDULES)
    warmup_steps: int = _flag(0, "Steps of linear rise before the schedule.", checks.not_negative)
    decay_steps: int | None = _flag(
        None,
        "Length of an exponential (one factor), polynomial or cosine decay. Default: the whole run.",
        checks.positive_integer,
    )
    decay_factor: float = _flag(0.1, "Factor of a step_wise or exponential decay.", checks.positive)
    decay_boundaries: tuple[int, ...] | None = _flag(None, "Steps at which a step_wise learning rate falls.")
    decay_power: float = _flag(1.0, "Power of a polynomial decay.", checks.positive)
    end_learning_rate: float = _flag(0.0, "Where a polynomial or cosine decay ends.", checks.not_negative)
    momentum: float | None = _flag(
        None, "Momentum of momentum (default: 0.9) and of rmsprop (default: 0).", checks.below_one
    )
    nesterov: bool | None = _flag(None, "Nesterov's form of --optimizer=momentum.")
    beta1: float | None = _flag(None, "Decay of the mean gradient. Default: 0.9.", checks.below_one)
    beta2: float | None = _flag(
        None, "Decay of the mean squared gradient. Default: 0.999; lion: 0.99.", checks.below_one
    )
    rho: float | None = _flag(None, "Decay of the means of adadelta (0.95) and rmsprop (0.9).", checks.below_one)
    centered: bool | None = _flag(None, "Rmsprop divides by the standard deviation of the gradient.")
    initial_accumulator: float | None = _flag(None, "Where adagrad's sums start.", checks.not_negative)
    epsilon: float | None = _flag(None, "The rule's ε. Default: the optimizer's own.", checks.positive)
    weight_decay: float | None = _flag(None, "Decoupled decay of adamw (0.01) and lion (0).", checks.not_negative)
    decayed_variables: str = _flag("weights$", "Regular expression for the paths under --weight_decay.")
    average_decay: float | None = _flag(
        None, "Keep an exponential moving average of the weights, and score it too.", checks.below_one
    )
    clip_value: float | None = _flag(None, "Each gradient entry is cut to ± this.", checks.positive)
    clip_norm: float | None = _flag(None, "The gradient is scaled down to this global norm.", checks.positive)

    batch_size: int = _flag(128, "Examples a step.", checks.positive_integer)
    microbatches: int = _flag(1, "Parts that a batch is computed in, to save memory.", checks.positive_integer)
    steps: int | None = _flag(None, "Length of the run in steps.", checks.positive_integer)
    epochs: float | None = _flag(
        None, "Length of the run in epochs of the training examples. Default: 10.", checks.positive
    )
    patience: int | None = _flag(
        None, "Stop after so many evaluations in a row without a better one; test the best.", checks.positive_integer
    )
    monitor: str = _flag("loss", "What the best score is judged by: loss or accuracy.", choices=("loss", "accuracy"))
    evaluate_every_epochs: float = _flag(1.0, "Epochs between validations.", checks.positive)

    data_dir: str = _watch("", "Where data sets lie. Default: $TFCORE_DATA_DIR, else a cache folder in your home.")
    eval_batch_size: int = _watch(
        500, "Examples a batch when evaluating; no score depends on it beyond rounding.", checks.positive_integer
    )
    print_every_epochs: int = _watch(1, "Epochs between two lines on the terminal.", checks.positive_integer)
    log_every_steps: int = _watch(100, "Steps between two points of the training curves.", checks.positive_integer)
    summaries: str = _watch(
        "all",
        "What TensorBoard gets beside the curves: all, none, or some of norms, histograms, images, pr_curves, graph, "
        "hparams and text, with commas between.",
        lambda name, value: checks.some_of(name, value, SUMMARIES),
    )
    observe_every_steps: int = _watch(
        2000, "Steps between two looks at norms and histograms; images come every fifth time, predictions are those of "
        "the next evaluation.", checks.positive_integer,
    )  # fmt: skip
    batch_accuracy_every_steps: int | None = _watch(
        None, "Print a batch's accuracy before its update, every so often.", checks.positive_integer
    )
    checkpoint_every_epochs: float = _watch(1.0, "Epochs between checkpoints.", checks.positive)
    keep_checkpoints: int = _watch(3, "Newest checkpoints to keep, beside the best. 0: all.", checks.not_negative)
    keep_best: int = _watch(1, "Checkpoints of the best validation scores to keep.", checks.positive_integer)
    intra_op_threads: int = _watch(0, "Threads within one op. 0: by a fixed rule for the model.", checks.not_negative)
    inter_op_threads: int = _watch(
        0, "Ops that may run side by side. 0: by a fixed rule for the model.", checks.not_negative
    )
    report: bool = _watch(
        True, "Leave report.html, a page to send, and its pictures in the folder of a run that has ended."
    )
    require_gpu: bool = _watch(False, "Refuse to run where TensorFlow sees no GPU.")

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, str):
                checks.plain_text(item.name, value)
            if item.metadata["choices"]:
                checks.one_of(item.name, value, item.metadata["choices"])
            if item.metadata["check"] is not None and value is not None:
                item.metadata["check"](item.name, value)
        _refuse_contradictions(self)

    def steps_per_epoch(self, examples: int) -> Fraction:
        """N/B, not rounded: epochs are laid end to end."""
        return Fraction(examples, self.batch_size)

    def total_steps(self, examples: int) -> int:
        """The run's length, of which --epochs=E is ceil(E·N/B) steps.

        Raises:
            ConfigError: neither --steps nor --epochs is set.
        """
        if self.steps is not None:
            return self.steps
        if self.epochs is None:
            raise ConfigError("Give --steps or --epochs.")
        return math.ceil(Fraction(str(self.epochs)) * self.steps_per_epoch(examples))

    @property
    def depends_on_length(self) -> bool:
        """Whether the learning rate at a step depends on the run's length: such a run cannot be extended."""
        return self.schedule in ("exponential", "polynomial", "cosine") and self.decay_steps is None

    @property
    def summary_parts(self) -> frozenset[str]:
        """What `summaries` names."""
        return frozenset(checks.some_of("summaries", self.summaries, SUMMARIES))

    @classmethod
    def from_flags(cls, text: str) -> "RunConfig":
        """Reads what `flags` wrote: `--name=value`, one a line.

        Raises:
            ConfigError: a line that is no such flag, a name that no flag has, or a value of another type.
        """
        given = {}
        for line in text.splitlines():
            match = _FLAG.fullmatch(line)
            if match is None:
                raise ConfigError(
                    f"Each line must be a flag such as --name=value. Received '{line[:_SHOWN_CHARACTERS]}'."
                )
            if match["name"] not in _HINTS:
                raise ConfigError(f"Unknown flag --{match['name']}.{checks.nearest(match['name'], _HINTS)}")
            given[match["name"]] = read_value(match["name"], match["value"])
        return cls(**given)

    def flags(self) -> str:
        """Every effective flag, one a line; `--flagfile` of it repeats the run."""
        lines = (_line(item.name, getattr(self, item.name)) for item in fields(self))
        return "".join(line + "\n" for line in lines if line)

    def differences(self, other: "RunConfig", part: str) -> dict[str, tuple[Any, Any]]:
        """The fields of `part` in which the two differ: name to (own value, the other's)."""
        pairs = {
            f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self) if f.metadata["part"] == part
        }
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


_HINTS = typing.get_type_hints(RunConfig)


def plain_type(name: str) -> type:
    """The type that the field's text is read as: bool, int, float or str, or tuple for numbers with commas between."""
    kinds = [kind for kind in typing.get_args(_HINTS[name]) if kind is not types.NoneType]
    plain = kinds[0] if isinstance(_HINTS[name], types.UnionType) else _HINTS[name]
    return plain if isinstance(plain, type) else tuple


def read_value(name: str, text: str) -> Any:
    """The value of the field `name` that `text` spells.

    Raises:
        ConfigError: it spells none.
    """
    kind = plain_type(name)
    if kind is str:
        return text
    if kind is bool:
        if text.lower() not in _BOOLS:
            raise ConfigError(f"--{name} takes true or false. Received '{text}'.")
        return _BOOLS[text.lower()]
    number = float if kind is float or "float" in str(_HINTS[name]) else int
    try:
        if kind is tuple:
            return tuple(number(part) for part in text.split(",") if part.strip())
        return number(text)
    except ValueError:
        raise ConfigError(f"--{name} takes {_TAKEN[kind, number]}. Received '{text}'.") from None


def spelled(value: Any) -> str:
    """A value as it stands behind `--name=`."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def describe(pairs: Mapping[str, tuple[Any, Any]]) -> str:
    """Differences in words: `--seed=1 (there: 0)`."""
    return ", ".join(f"--{name}={spelled(own)} (there: {spelled(other)})" for name, (own, other) in pairs.items())


def _line(name: str, value: Any) -> str:
    return "" if value is None else f"--{name}={spelled(value)}"


def _refuse_contradictions(config: RunConfig) -> None:
    """Raises ConfigError on flags that cannot all be meant."""
    if config.steps is not None and config.epochs is not None:
        raise ConfigError(f"Give --steps or --epochs, not both. Received {config.steps} and {config.epochs:g}.")
    if (length := config.steps or config.epochs or 0) > _LONGEST:
        raise ConfigError(f"A run has at most {_LONGEST:,} steps or epochs. Received {length}.")
    if config.patience is not None and config.validation == 0:
        raise ConfigError("--patience needs validation examples to wait on. Received --validation=0.")
    if config.batch_size % config.microbatches:
        raise ConfigError(
            f"--microbatches must divide the batch of {config.batch_size}. Received {config.microbatches}."
        )
    if config.schedule == "step_wise" and not config.decay_boundaries:
        raise ConfigError("--schedule=step_wise needs --decay_boundaries, such as 1000,2000.")
    if config.decay_boundaries and config.schedule != "step_wise":
        raise ConfigError(f"--decay_boundaries belongs to --schedule=step_wise. Received --schedule={config.schedule}.")
    if list(config.decay_boundaries or ()) != sorted({step for step in config.decay_boundaries or () if step > 0}):
        raise ConfigError(
            f"--decay_boundaries must rise from step to step. Received {spelled(config.decay_boundaries)}."
        )
    for name, optimizers in OPTIMIZERS_WITH.items():
        _refuse_unused(config, "optimizer", (name,), optimizers)
    _refuse_unused(config, "schedule", ("decay_steps",), ("exponential", "polynomial", "cosine"))


def _refuse_unused(config: RunConfig, chooser: str, names: Iterable[str], users: tuple[str, ...]) -> None:
    """A setting that the chosen method does not have would be ignored: refuse it instead.

    What a method of the user's own takes is known once its file is run, and the builders refuse the rest.
    """
    given, chosen = [name for name in names if getattr(config, name) is not None], getattr(config, chooser)
    if given and chosen not in users and ":" not in chosen:
        raise ConfigError(f"--{given[0]} belongs to --{chooser}={' or '.join(users)}. Received {chosen}.")
