"""Settings of the loss, the optimizer and the length of training."""

from dataclasses import dataclass

from tfcore import checks, config_values, patterns
from tfcore.architecture import VIEWS
from tfcore.config_fields import Settings, flag
from tfcore.config_values import Kind
from tfcore.errors import ConfigError

SCHEDULES = (
    "constant", "step_wise", "exponential", "polynomial", "trapezoid", "cosine", "cosine_restarts", "one_cycle",
)  # fmt: skip
BALANCED = "balanced"


def class_weights(name: str, text: str) -> tuple[float, ...]:
    """Reads weights of classes, such as 1,2,0.5; none of "" and "balanced".

    Raises:
        ConfigError: the text is neither, a number is below 0, or all are 0.
    """
    if text in ("", BALANCED):
        return ()
    try:
        weights: tuple[float, ...] = config_values.read(f"--{name}", text, Kind(tuple, float))
    except ConfigError:
        raise ConfigError(f"--{name} takes {BALANCED}, or numbers such as 1,2,0.5. Received '{text}'.") from None
    for weight in weights:
        checks.not_negative(name, weight)
    checks.positive(name, max(weights, default=0.0))
    return weights


def epochs_by_pattern(name: str, text: str) -> None:
    """Raises ConfigError unless the text is pairs `PATTERN:EPOCHS` of epochs above 0."""
    for _, epochs in patterns.with_numbers(name, text):
        checks.positive(name, epochs)


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """How the network is trained."""

    loss: str = flag(
        "cross_entropy",
        "Loss function: cross_entropy, mean_squared_error or a function of yours: path/to/file.py:name.",
    )
    label_smoothing: float = flag(0.0, "Share of each label that is spread evenly over all classes.", checks.below_one)
    class_weights: str = flag(
        "",
        "Factors of the training loss by class: balanced (each class counts alike), or a number for each class. Scores "
        "are without them. Default: none.",
        class_weights,
    )
    example_weights: str = flag(
        "",
        ".npy file of a number for each training example of the data set, in its order, by which its training loss is "
        "multiplied. Scores are without them. Default: those of the data set, if it has any.",
    )
    teacher: str = flag(
        "",
        "Run folder, .npz, .h5 or .safetensors file of a trained model of the same pictures and classes, whose "
        "probabilities are learned beside the labels (knowledge distillation). Scores are without it. Default: none.",
    )
    teacher_share: float = flag(
        0.5, "Share of the teacher in the training loss; the rest is that of the labels.", checks.share_or_one
    )
    teacher_temperature: float = flag(
        4.0, "Temperature T: logits of model and teacher are divided by it before they are compared.", checks.positive
    )
    teacher_average: bool = flag(False, "Take the averaged weights of the teacher, which is a run's folder.")
    l1: float = flag(0.0, "L1 penalty λ·Σ|w|.", checks.not_negative)
    l2: float = flag(0.0, "L2 penalty λ/2·Σw².", checks.not_negative)
    penalty_variables: str = flag(
        "weights$", "Regular expression for the paths of the variables that --l1 and --l2 apply to."
    )

    optimizer: str = flag(
        "adam",
        "gradient_descent, momentum, adagrad, adadelta, rmsprop, adam, adamw, nadam, lion, lars, lamb, adafactor, "
        "schedule_free_adamw, muon or a class of yours: path/to/file.py:Name.",
    )
    learning_rate: float | None = flag(None, "Peak learning rate. Default: the optimizer's.", checks.positive)
    schedule: str = flag(
        "cosine",
        "Learning rate schedule: constant, step_wise, exponential, polynomial, trapezoid (flat, then a linear fall), "
        "cosine, cosine_restarts or one_cycle.",
        choices=SCHEDULES,
    )
    warmup_steps: int = flag(0, "Steps of linear warm-up. one_cycle has its own rise.", checks.not_negative)
    decay_steps: int | None = flag(
        None,
        "Length of a polynomial, trapezoid, cosine or one_cycle schedule; of an exponential one, the steps per factor. "
        "Default: the whole run. Of cosine_restarts, the length of the first period, which must be given.",
        checks.positive_integer,
    )
    decay_factor: float = flag(0.1, "Factor of a step_wise or exponential decay.", checks.positive)
    decay_boundaries: tuple[int, ...] | None = flag(
        None, "Steps at which a step_wise learning rate is multiplied by --decay_factor."
    )
    decay_power: float = flag(1.0, "Power of a polynomial decay.", checks.positive)
    end_learning_rate: float = flag(
        0.0,
        "Learning rate at the end of a polynomial, trapezoid, cosine or one_cycle schedule, or of each period of "
        "cosine_restarts.",
        checks.not_negative,
    )
    cooldown_share: float = flag(0.2, "Last share of a trapezoid schedule, in which the rate falls.", checks.share)
    warmup_share: float = flag(0.3, "First share of a one_cycle schedule, in which the rate rises.", checks.share)
    start_divisor: float = flag(
        25.0, "Peak of a one_cycle schedule in units of its first learning rate.", checks.at_least_one
    )
    period_factor: int = flag(
        1, "Length of each period of cosine_restarts in lengths of the one before.", checks.positive_integer
    )
    momentum: float | None = flag(None, "Decay of the velocity.", checks.below_one)
    nesterov: bool | None = flag(None, "Nesterov's momentum.")
    beta1: float | None = flag(
        None,
        "Decay of the mean gradient; of adafactor, of its mean update; of schedule_free_adamw, share of the average in "
        "the weights at which it takes gradients.",
        checks.below_one,
    )
    beta2: float | None = flag(None, "Decay of the mean squared gradient; of lion, of its mean.", checks.below_one)
    rho: float | None = flag(None, "Decay of the mean squared gradient.", checks.below_one)
    centered: bool | None = flag(None, "Divide by the standard deviation of the gradient.")
    initial_accumulator: float | None = flag(
        None, "Initial value of the sums of squared gradients.", checks.not_negative
    )
    epsilon: float | None = flag(None, "Constant ε of the update rule, against division by zero.", checks.positive)
    trust_coefficient: float | None = flag(
        None, "Norm of a step of lars over the norm of the layer's weights, at a learning rate of 1.", checks.positive
    )
    weight_decay: float | None = flag(None, "Weight decay: decoupled, but for lars and lamb.", checks.not_negative)
    scale_by_weights: bool | None = flag(
        None, "Whether the learning rate of adafactor is relative to the root mean square of each parameter."
    )
    muon_variables: str | None = flag(
        None, "Regular expression for the paths of the matrices and filters that muon trains by its own rule."
    )
    fallback_learning_rate_factor: float | None = flag(
        None, "Learning rate of the AdamW that trains all else with muon, in units of muon's.", checks.positive
    )
    decayed_variables: str = flag(
        "weights$", "Regular expression for the paths of the variables that --weight_decay applies to."
    )
    freeze: str = flag(
        "",
        "Regular expression for the paths of parameters that keep their initial values, such as those of --init_from. "
        "Of a batch norm it freezes scale and offset; its moving mean and variance are no parameters and still move.",
        patterns.check,
    )
    freeze_after: str = flag(
        "",
        "Epochs after which parameters are frozen for the rest of the run, by regular expressions for their paths: "
        "^conv_1:3,^conv:5.5. The first that matches counts; --freeze comes before all.",
        epochs_by_pattern,
    )
    learning_rate_factors: str = flag(
        "",
        "Factors of the learning rate by regular expressions for the paths of parameters: ^conv_1:0.1,^conv:0.5. The "
        "first that matches counts; --freeze comes before all.",
        patterns.with_numbers,
    )
    lookahead_steps: int | None = flag(
        None, "Steps between returns to Lookahead's slow weights. Default: none.", checks.positive_integer
    )
    lookahead_share: float | None = flag(None, "Share that slow weights move by. Default: 0.5.", checks.share_or_one)
    sam_radius: float | None = flag(
        None,
        "Radius of sharpness-aware minimization (SAM): take each gradient at weights this far uphill, by two passes "
        "over the batch. Default: none.",
        checks.positive,
    )
    average_decay: float | None = flag(
        None,
        "Decay of an exponential moving average of the weights, which is scored too. Default: no average.",
        checks.below_one,
    )
    average_from_epochs: float | None = flag(
        None,
        "Epochs before the first weights of an equal-weight average (stochastic weight averaging), which is scored "
        "too. Default: no such average.",
        checks.positive,
    )
    average_every_epochs: float = flag(1.0, "Epochs between the weights of that average.", checks.positive)
    clip_value: float | None = flag(None, "Clip each gradient entry to ± this value.", checks.positive)
    clip_norm: float | None = flag(None, "Clip the gradients to this global norm.", checks.positive)

    batch_size: int = flag(128, "Examples per step.", checks.positive_integer)
    batch_norm: str = flag(
        "synced",
        "How several workers normalise a batch: synced (as one process would, by sums over all of them) or local (each "
        "its own part; faster).",
        choices=("synced", "local"),
    )
    microbatches: int = flag(1, "Parts that each batch is split into, to save memory.", checks.positive_integer)
    steps: int | None = flag(None, "Length of the run in steps.", checks.positive_integer)
    epochs: float | None = flag(
        None, "Length of the run in epochs of the training examples. Default: 10.", checks.positive
    )
    patience: int | None = flag(
        None,
        "Stop after this many evaluations without improvement, and test the best weights. Default: never.",
        checks.positive_integer,
    )
    test_views: str = flag(
        "none",
        "Views of each picture over which evaluations, predictions and exports average the logits: none, mirror, "
        "shifts (by a pixel) or all; 1, 2, 3 or 6 passes.",
        lambda name, value: checks.some_of(name, value, VIEWS),
    )
    monitor: str = flag(
        "loss", "Validation score that decides which weights are best: loss or accuracy.", choices=("loss", "accuracy")
    )
    evaluate_every_epochs: float = flag(1.0, "Epochs between validations.", checks.positive)
