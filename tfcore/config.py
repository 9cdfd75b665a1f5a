"""The configuration of a run: one frozen dataclass for flags, resuming and the library.

Each field is a flag of the same name. Identity fields say what is trained; a resumed run must not change them. Watching
fields say where and how the run is observed; a resumed run may change them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tfcore import checks, config_values, contradictions, model_args, patterns
from tfcore.config_fields import Settings
from tfcore.config_fields import flag as _flag
from tfcore.config_fields import watch as _watch
from tfcore.errors import ConfigError

SOURCE_SETTINGS = ("test_share", "image_shape", "image_size", "skip_bad_pictures")  # of text:, npz:, idx:, folder:
MODEL_SIZES = ("hidden", "filters", "dropout", "activation", "pooling", "max_norm", "initializer")
SUMMARIES = ("norms", "histograms", "images", "pr_curves", "graph", "hparams", "text")
SCHEDULES = (
    "constant", "step_wise", "exponential", "polynomial", "trapezoid", "cosine", "cosine_restarts", "one_cycle",
)  # fmt: skip
_TO_AN_END = ("exponential", "polynomial", "trapezoid", "cosine", "one_cycle")  # of the run, or of --decay_steps


@dataclass(frozen=True)
class RunConfig(Settings):
    """Every setting of a run, with its default.

    Values are converted to the annotated types: lists to tuples, NumPy's numbers to Python's, and `model_args` to text.

    Raises:
        ConfigError: a value of another type or out of range, or two that contradict each other.
    """

    model: str = _flag("softmax", f"{', '.join(model_args.MODELS)}, or a class of yours: path/to/file.py:Name.")
    model_args: str | Mapping[str, Any] = _flag(
        "", "Arguments of the model's __init__, such as depth=3,width=64; the numbers of a tuple as in sizes=50x50."
    )
    dataset: str = _flag(
        "shapes",
        "cifar10, cifar100, mnist, fashion_mnist, kmnist, shapes; files as text:PATH, npz:PATH, idx:PATH or "
        "folder:PATH; or a function of yours: path/to/file.py:name.",
    )
    train_examples: int | None = _flag(
        None, "Use only this many training examples, the first ones. Default: all.", checks.positive_integer
    )
    test_examples: int | None = _flag(
        None, "Use only this many test examples, the first ones. Default: all.", checks.positive_integer
    )
    test_share: float | None = _flag(
        None,
        "Share of the examples held out for testing where a text:, npz: or folder: has no test part. Default: 0.1.",
        checks.share,
    )
    image_shape: tuple[int, ...] | None = _flag(
        None, "Height, width and channels of the images in text:, such as 28,28,1. Default: square images."
    )
    image_size: tuple[int, ...] | None = _flag(
        None, "Height and width that the images of folder: are resized to, such as 32,32. Default: no resizing."
    )
    skip_bad_pictures: bool | None = _flag(None, "Leave out images of folder: that cannot be decoded.")
    validation: float = _flag(
        0.1, "Training examples held out for validation: a share below 1, or a number of examples.", checks.not_negative
    )
    augment: str = _flag(
        "",
        "Augmentation of the training pictures, in the given order, such as flip,crop:4,cutout:8: flip, "
        "alternating_flip, crop, resized_crop, translate, rotate, jitter, cutout, erase, randaugment, trivialaugment, "
        "mixup, cutmix, or a function of yours: path/to/file.py:name. Default: none.",
    )
    seed: int = _flag(0, "Seed of the initial weights, the order of the examples and all other random numbers.")

    hidden: tuple[int, ...] | None = _flag(None, "Units of each hidden layer, such as 50,50. Default: the model's.")
    filters: tuple[int, ...] | None = _flag(None, "Filters of each convolution, such as 32,64. Default: the model's.")
    dropout: tuple[float, ...] | None = _flag(
        None, "Dropout rates after convolutions and after linear layers, such as 0.25,0.5, or one rate for both."
    )
    activation: str | None = _flag(None, "relu, gelu, silu, tanh, sigmoid or softmax. Default: the model's.")
    pooling: str | None = _flag(None, "max, average or sum. Default: the model's.")
    max_norm: float | None = _flag(
        None, "Largest norm of a column of the hidden weights. Default: the model's.", checks.positive
    )
    initializer: str | None = _flag(
        None,
        "Initial weights: zeros, ones, constant:VALUE, truncated_normal, or glorot, he or lecun with _uniform or "
        "_normal. Default: the model's.",
    )
    init_from: str = _flag(
        "", "Run folder, exported file, or others' file of weights (with --rename), which training starts from."
    )
    rename: str = _flag(
        "",
        "Tables of names for others' weights in --init_from, in order: pytorch_resnet, keras, new_head (another last "
        "layer), or files of your own, such as names.txt,pytorch_resnet. Default: the names are tfcore's.",
    )
    pixels: str = _flag(
        "unit",
        "Scaling. unit: x/255; raw: x; centered: x minus the mean training image; standardized: per channel.",
        choices=("unit", "raw", "centered", "standardized"),
    )
    precision: str = _flag(
        "auto",
        "Compute type of the model; variables and losses stay float32. auto: bfloat16 for a model with convolutions or "
        "large products on a processor with AMX or an NVIDIA GPU of the Ampere generation or later, else float32.",
        choices=("auto", "float32", "bfloat16"),
    )
    xla: str = _flag(
        "auto",
        "Compile the training steps with XLA. auto: on for a model of several products without convolutions (with "
        "AVX-512: of small ones), and on a GPU.",
        choices=("auto", "on", "off"),
    )
    deterministic: bool = _flag(
        False, "Use only deterministic ops. On a CPU all ops of tfcore are deterministic anyway."
    )

    loss: str = _flag(
        "cross_entropy",
        "Loss function: cross_entropy, mean_squared_error or a function of yours: path/to/file.py:name.",
    )
    label_smoothing: float = _flag(0.0, "Share of each label that is spread evenly over all classes.", checks.below_one)
    l1: float = _flag(0.0, "L1 penalty λ·Σ|w|.", checks.not_negative)
    l2: float = _flag(0.0, "L2 penalty λ/2·Σw².", checks.not_negative)
    penalty_variables: str = _flag(
        "weights$", "Regular expression for the paths of the variables that --l1 and --l2 apply to."
    )

    optimizer: str = _flag(
        "adam",
        "gradient_descent, momentum, adagrad, adadelta, rmsprop, adam, adamw, nadam, lion or a class of yours: "
        "path/to/file.py:Name.",
    )
    learning_rate: float | None = _flag(None, "Peak learning rate. Default: the optimizer's.", checks.positive)
    schedule: str = _flag(
        "cosine",
        "Learning rate schedule: constant, step_wise, exponential, polynomial, trapezoid (flat, then a linear fall), "
        "cosine, cosine_restarts or one_cycle.",
        choices=SCHEDULES,
    )
    warmup_steps: int = _flag(0, "Steps of linear warm-up. one_cycle has its own rise.", checks.not_negative)
    decay_steps: int | None = _flag(
        None,
        "Length of a polynomial, trapezoid, cosine or one_cycle schedule; of an exponential one, the steps per factor. "
        "Default: the whole run. Of cosine_restarts, the length of the first period, which must be given.",
        checks.positive_integer,
    )
    decay_factor: float = _flag(0.1, "Factor of a step_wise or exponential decay.", checks.positive)
    decay_boundaries: tuple[int, ...] | None = _flag(
        None, "Steps at which a step_wise learning rate is multiplied by --decay_factor."
    )
    decay_power: float = _flag(1.0, "Power of a polynomial decay.", checks.positive)
    end_learning_rate: float = _flag(
        0.0,
        "Learning rate at the end of a polynomial, trapezoid, cosine or one_cycle schedule, or of each period of "
        "cosine_restarts.",
        checks.not_negative,
    )
    cooldown_share: float = _flag(0.2, "Last share of a trapezoid schedule, in which the rate falls.", checks.share)
    warmup_share: float = _flag(0.3, "First share of a one_cycle schedule, in which the rate rises.", checks.share)
    start_divisor: float = _flag(
        25.0, "Peak of a one_cycle schedule in units of its first learning rate.", checks.at_least_one
    )
    period_factor: int = _flag(
        1, "Length of each period of cosine_restarts in lengths of the one before.", checks.positive_integer
    )
    momentum: float | None = _flag(None, "Decay of the velocity.", checks.below_one)
    nesterov: bool | None = _flag(None, "Nesterov's momentum.")
    beta1: float | None = _flag(None, "Decay of the mean gradient.", checks.below_one)
    beta2: float | None = _flag(None, "Decay of the mean squared gradient; of lion, of its mean.", checks.below_one)
    rho: float | None = _flag(None, "Decay of the mean squared gradient.", checks.below_one)
    centered: bool | None = _flag(None, "Divide by the standard deviation of the gradient.")
    initial_accumulator: float | None = _flag(
        None, "Initial value of the sums of squared gradients.", checks.not_negative
    )
    epsilon: float | None = _flag(None, "Constant ε of the update rule, against division by zero.", checks.positive)
    weight_decay: float | None = _flag(None, "Decoupled weight decay.", checks.not_negative)
    decayed_variables: str = _flag(
        "weights$", "Regular expression for the paths of the variables that --weight_decay applies to."
    )
    freeze: str = _flag(
        "",
        "Regular expression for the paths of parameters that keep their initial values, such as those of --init_from. "
        "Of a batch norm it freezes scale and offset; its moving mean and variance are no parameters and still move.",
        patterns.check,
    )
    learning_rate_factors: str = _flag(
        "",
        "Factors of the learning rate by regular expressions for the paths of parameters: ^conv_1:0.1,^conv:0.5. The "
        "first that matches counts; --freeze comes before all.",
        patterns.with_factors,
    )
    average_decay: float | None = _flag(
        None,
        "Decay of an exponential moving average of the weights, which is scored too. Default: no average.",
        checks.below_one,
    )
    clip_value: float | None = _flag(None, "Clip each gradient entry to ± this value.", checks.positive)
    clip_norm: float | None = _flag(None, "Clip the gradients to this global norm.", checks.positive)

    batch_size: int = _flag(128, "Examples per step.", checks.positive_integer)
    microbatches: int = _flag(1, "Parts that each batch is split into, to save memory.", checks.positive_integer)
    steps: int | None = _flag(None, "Length of the run in steps.", checks.positive_integer)
    epochs: float | None = _flag(
        None, "Length of the run in epochs of the training examples. Default: 10.", checks.positive
    )
    patience: int | None = _flag(
        None,
        "Stop after this many evaluations without improvement, and test the best weights. Default: never.",
        checks.positive_integer,
    )
    monitor: str = _flag(
        "loss", "Validation score that decides which weights are best: loss or accuracy.", choices=("loss", "accuracy")
    )
    evaluate_every_epochs: float = _flag(1.0, "Epochs between validations.", checks.positive)

    data_dir: str = _watch("", "Folder of the data sets. Default: $TFCORE_DATA_DIR, else a cache folder in your home.")
    eval_batch_size: int = _watch(
        500, "Examples per evaluation batch; scores depend on it by rounding alone.", checks.positive_integer
    )
    print_every_epochs: int = _watch(1, "Epochs between lines on the terminal.", checks.positive_integer)
    log_every_steps: int = _watch(100, "Steps between points of the training curves.", checks.positive_integer)
    summaries: str = _watch(
        "all",
        "TensorBoard summaries beside the curves: all, none, or some of norms, histograms, images, pr_curves, graph, "
        "hparams and text, with commas between.",
        lambda name, value: checks.some_of(name, value, SUMMARIES),
    )
    observe_every_steps: int = _watch(
        2000, "Steps between norms and histograms; images are written every fifth time, predictions with the next "
        "evaluation.", checks.positive_integer,
    )  # fmt: skip
    batch_accuracy_every_steps: int | None = _watch(
        None, "Steps between prints of a batch's accuracy before its update. Default: never.", checks.positive_integer
    )
    checkpoint_every_epochs: float = _watch(1.0, "Epochs between checkpoints.", checks.positive)
    keep_checkpoints: int = _watch(
        3, "Number of newest checkpoints to keep, in addition to the best. 0: all.", checks.not_negative
    )
    keep_best: int = _watch(1, "Number of best checkpoints to keep, by validation score.", checks.positive_integer)
    intra_op_threads: int = _watch(0, "Threads within one op. 0: by a fixed rule for the model.", checks.not_negative)
    inter_op_threads: int = _watch(
        0, "Ops that may run in parallel. 0: chosen by a fixed rule for the model.", checks.not_negative
    )
    report: bool = _watch(True, "Write report.html and its images into the run folder at the end.")
    require_gpu: bool = _watch(False, "Refuse to run where TensorFlow sees no GPU.")

    def __post_init__(self) -> None:
        object.__setattr__(self, "model_args", model_args.normalized(self.model_args))
        super().__post_init__()
        contradictions.check(self)

    def steps_per_epoch(self, examples: int) -> Fraction:
        """Returns N/B, not rounded: an epoch may begin within a batch."""
        return Fraction(examples, self.batch_size)

    def total_steps(self, examples: int) -> int:
        """Returns the length of the run in steps; --epochs=E is ceil(E·N/B) steps.

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
        return self.schedule in _TO_AN_END and self.decay_steps is None

    @property
    def summary_parts(self) -> frozenset[str]:
        """The parts that `summaries` names."""
        return frozenset(checks.some_of("summaries", self.summaries, SUMMARIES))


KINDS = RunConfig.kinds()


def read_value(name: str, text: str) -> Any:
    """Reads the value of the field `name` from text.

    Raises:
        ConfigError: the text spells none.
    """
    return config_values.read(f"--{name}", text, KINDS[name])
