"""Lists the cases of the comparison, and the sides of each with their command lines."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Side:
    """One library in one setting; `arguments` follow `python -m`, in the project's folder."""

    name: str
    arguments: tuple[str, ...]

    @property
    def library(self) -> str:
        """The first word of the name."""
        return self.name.split()[0]


@dataclass(frozen=True)
class Case:
    """A network and its training.

    Args:
        sides: tfcore's defaults first; the defaults of Keras before its other settings.
        goals: speed relative to the defaults of Keras, or None for no goal, and to the fastest peer; None for a case
            without peers.
        figure: the name of the figure that is the rate.
    """

    sides: tuple[Side, ...]
    goals: tuple[float | None, float] | None = None
    figure: str = "steps_per_sec"

    def side(self, name: str) -> Side:
        """The side of that name."""
        return next(side for side in self.sides if side.name == name)

    def first(self, library: str) -> Side | None:
        """The side with the library's defaults; None for a library that is not in the case."""
        return next((side for side in self.sides if side.library == library), None)


def tfcore(*flags: str, name: str = "tfcore") -> Side:
    """A side of `tfcore benchmark`, without checkpoints, as the peers write none."""
    shared = ("--validation=0", "--schedule=constant", "--checkpoint_every_epochs=1000000", "--secs=1", "--json")
    return Side(name, ("tfcore", "benchmark", "--figures=training", *shared, *flags))


def peers(script: str, settings: dict[str, str], *arguments: str) -> list[Side]:
    """The sides of one peer; `settings` maps names to flags."""
    return [Side(name, (f"benchmarks.peers.{script}", *arguments, *flags.split())) for name, flags in settings.items()]


SOFTMAX = ("--model=softmax", "--optimizer=gradient_descent", "--learning_rate=0.005", "--batch_size=100")
MLP = (
    "--model=mlp",
    "--hidden=50,50",
    "--initializer=glorot_uniform",
    "--optimizer=adam",
    "--epsilon=1e-7",
    "--batch_size=100",
)
MNIST_EXAMPLES, CIFAR_EXAMPLES = 6400, 3200  # of an epoch of the convolutional cases, to shorten a round
MNIST_CNN = ("--model=mnist_cnn", "--optimizer=adadelta", "--batch_size=128", f"--train_examples={MNIST_EXAMPLES}")
CIFAR_CNN = ("--model=cifar_cnn", "--optimizer=adam", "--epsilon=1e-7", "--batch_size=64")
FLOAT32 = "tfcore float32"
EVALUATION = ("--figures=evaluation", "--dataset=cifar10", *CIFAR_CNN, "--eval_batch_size=500")

KERAS = {
    "Keras fit": "",
    "Keras steps_per_execution": "--steps_per_execution=50",
    "Keras mixed_bfloat16": "--mixed_bfloat16",
}
KERAS_DENSE = {
    **KERAS,
    "Keras tf.data, steps_per_execution": "--tf_data --steps_per_execution=50",
    "Keras one thread, steps_per_execution": "--one_thread --steps_per_execution=50",
    "Keras jit_compile, steps_per_execution": "--jit_compile --steps_per_execution=50",
}
KERAS_CNN = {
    **KERAS,
    "Keras tf.data, mixed_bfloat16": "--tf_data --mixed_bfloat16",
    "Keras steps_per_execution, mixed_bfloat16": "--steps_per_execution=10 --mixed_bfloat16",
}
KERAS_EVALUATION = {
    "Keras evaluate": "",
    "Keras steps_per_execution": "--steps_per_execution=20",
    "Keras mixed_bfloat16": "--mixed_bfloat16",
    "Keras tf.data, mixed_bfloat16": "--tf_data --mixed_bfloat16",
}
TORCH = {
    "PyTorch float32": "",
    "PyTorch bfloat16": "--bfloat16",
    "PyTorch compiled": "--compile",
    "PyTorch compiled, bfloat16": "--compile --bfloat16",
}
TORCH_DENSE = {
    "PyTorch float32": "",
    "PyTorch bfloat16": "--bfloat16",
    "PyTorch compiled": "--compile",
    "PyTorch one thread": "--one_thread",
    "PyTorch one thread, compiled": "--one_thread --compile",
}
JAX = {"JAX jitted step": "", "JAX epoch in scan": "--scan"}


def published(
    network: str, case: str, *, batch_size: int = 128, examples: int, learning_rate: float = 0.05, goal: float
) -> Case:
    """A case of networks.py: CIFAR-10, momentum; `examples` of an epoch."""
    flags = (
        "--dataset=cifar10",
        f"--model=benchmarks/networks.py:{network}",
        "--optimizer=momentum",
        "--momentum=0.9",
        f"--learning_rate={learning_rate}",
        f"--batch_size={batch_size}",
        f"--train_examples={examples}",
    )
    sides = (
        tfcore(*flags),
        tfcore(*flags, "--precision=float32", name=FLOAT32),
        *peers("keras_run", KERAS_CNN, case, f"--examples={examples}"),
        *peers("torch_run", TORCH, case, f"--examples={examples}"),
    )
    return Case(sides, (None, goal))


CASES = {
    "softmax": Case(
        (
            tfcore("--dataset=cifar10", *SOFTMAX),
            *peers("keras_run", KERAS_DENSE, "softmax"),
            *peers("torch_run", TORCH_DENSE, "softmax"),
            *peers("jax_run", JAX, "softmax"),
        ),
        (6.0, 2.0),
    ),
    "mlp": Case(
        (
            tfcore("--dataset=mnist", *MLP),
            *peers("keras_run", KERAS_DENSE, "mlp"),
            *peers("torch_run", TORCH_DENSE, "mlp"),
            *peers("jax_run", JAX, "mlp"),
        ),
        (8.0, 1.5),
    ),
    "mnist_cnn": Case(
        (
            tfcore("--dataset=mnist", *MNIST_CNN),
            tfcore("--dataset=mnist", *MNIST_CNN, "--precision=float32", name=FLOAT32),
            *peers("keras_run", KERAS_CNN, "mnist_cnn", f"--examples={MNIST_EXAMPLES}"),
            *peers("torch_run", TORCH, "mnist_cnn", f"--examples={MNIST_EXAMPLES}"),
        ),
        (3.0, 1.5),
    ),
    "cifar_cnn": Case(
        (
            tfcore("--dataset=cifar10", *CIFAR_CNN, f"--train_examples={CIFAR_EXAMPLES}"),
            tfcore(
                "--dataset=cifar10",
                *CIFAR_CNN,
                f"--train_examples={CIFAR_EXAMPLES}",
                "--precision=float32",
                name=FLOAT32,
            ),
            *peers("keras_run", KERAS_CNN, "cifar_cnn", f"--examples={CIFAR_EXAMPLES}"),
            *peers("torch_run", TORCH, "cifar_cnn", f"--examples={CIFAR_EXAMPLES}"),
        ),
        (3.0, 2.2),
    ),
    "evaluation": Case(
        (
            tfcore(*EVALUATION),
            tfcore(*EVALUATION, "--precision=float32", name=FLOAT32),
            *peers("keras_run", KERAS_EVALUATION, "cifar_cnn", "--evaluate"),
            *peers("torch_run", TORCH, "cifar_cnn", "--evaluate"),
        ),
        (3.5, 1.3),
        figure="evaluation",
    ),
    "resnet20": published("ResNet20", "resnet20", examples=2560, goal=1.5),
    "airbench94_500": published("Airbench94", "airbench94_500", batch_size=500, examples=2000, goal=1.5),
    "airbench94_1000": published("Airbench94", "airbench94_1000", batch_size=1000, examples=2000, goal=1.5),
    "wrn_16_4": published("WideResNet", "wrn_16_4", examples=640, goal=1.5),
    "vit": published("ViT", "vit", examples=1280, learning_rate=0.002, goal=1.3),
    "mobilenet": published("MobileNet", "mobilenet", examples=2560, goal=1.3),
    "data_size": Case(
        (
            tfcore("--dataset=benchmarks/big_shapes.py:tenfold", *SOFTMAX, name="tfcore on 100,000 pictures"),
            tfcore("--dataset=shapes", *SOFTMAX, name="tfcore on 10,000 pictures"),
        ),
    ),
}
TINY = {"tfcore": ("--secs=0.05",), "Keras": ("--secs=0", "--examples=2000")}  # the two sides of a tiny round
