"""What every model promises, from one table of all public models."""

import importlib
import inspect
import pathlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore import models, ops
from tfcore.build.tables import MODELS
from tfcore.errors import ConfigError
from tfcore.layers import Pixels
from tfcore.modules import named_parameters, named_variables, outline
from tfcore.seeds import Key

CIFAR, MNIST = (32, 32, 3), (28, 28, 1)
SMALL, SMALL_GREY = (12, 12, 3), (12, 12, 1)
MEAN = np.full(CIFAR, 120, np.float32)


@dataclass(frozen=True)
class Case:
    """A model of one size, and how many numbers it must learn and keep."""

    model: Callable[..., tf.Module]
    image_shape: tuple[int, int, int]
    trainable: int
    non_trainable: int = 0
    sizes: dict[str, Any] = field(default_factory=dict)
    draws: bool = False  # at random when training, and so wants a key
    slow: bool = False  # and so left to `make test-rest`


CASES = {
    "softmax-cifar": Case(models.Softmax, CIFAR, 30_730),
    "softmax-mnist": Case(models.Softmax, MNIST, 7_850),
    "mlp-cifar": Case(models.Mlp, CIFAR, 3072 * 120 + 120 + 120 * 10 + 10),
    "mlp-mnist": Case(models.Mlp, MNIST, 42_310, sizes={"hidden": (50, 50)}),
    "mlp-none-hidden": Case(models.Mlp, MNIST, 7_850, sizes={"hidden": ()}),
    "mlp-gelu": Case(models.Mlp, SMALL, 432 * 7 + 7 + 7 * 10 + 10, sizes={"hidden": (7,), "activation": "gelu"}),
    "cifar_cnn": Case(models.CifarCnn, CIFAR, 2_263_114, 1_344, draws=True),
    "cifar_cnn-one-filter": Case(
        models.CifarCnn, SMALL, 224 + 16 + 11_530, 16, sizes={"filters": (8,), "hidden": ()}, draws=True
    ),
    "cifar_cnn-two-filters": Case(
        models.CifarCnn, SMALL, 112 + 8 + 296 + 16 + 18_448 + 32 + 170, 56, draws=True,
        sizes={"filters": (4, 8), "hidden": (16,), "activation": "silu", "dropout": (0.0, 0.5)},
    ),
    "cifar_cnn-six-filters": Case(
        models.CifarCnn, CIFAR, 112 + 5 * 148 + 6 * 8 + 170, 48,
        sizes={"filters": (4,) * 6, "hidden": (), "dropout": (0.0,), "pooling": "average"},
    ),
    "mnist_cnn": Case(models.MnistCnn, MNIST, 941_526, draws=True),
    "mnist_cnn-one-filter": Case(
        models.MnistCnn, SMALL_GREY, 40 + 1_010, draws=True,
        sizes={"filters": (4,), "hidden": (), "dropout": (0.3, 0.0)},
    ),
    "mnist_cnn-six-filters": Case(
        models.MnistCnn, MNIST, 20 + 5 * 38 + 1_290,
        sizes={"filters": (2,) * 6, "hidden": (), "dropout": (0.0,), "pooling": "sum", "activation": "tanh"},
    ),
    "resnet20": Case(
        models.ResNet20, SMALL, 54 + 6 * 36 + 54 + 5 * 81 + 108 + 5 * 144 + 112 + 50, 112, sizes={"filters": (2, 3, 4)}
    ),
    "resnet20-B": Case(
        models.ResNet20, (13, 9, 1), 1_683 + 12 + 20, 126, sizes={"filters": (2, 3, 4), "shortcut": "B"}, slow=True
    ),
    "resnet18": Case(
        models.ResNet18, SMALL, 54 + 4 * 36 + 54 + 3 * 81 + 108 + 3 * 144 + 180 + 3 * 225 + 38 + 140 + 60, 140,
        sizes={"filters": (2, 3, 4, 5)}, slow=True,
    ),
    "resnet18-large-stem": Case(
        models.ResNet18, (32, 45, 1), 98 + 2_074, 140, sizes={"filters": (2, 3, 4, 5), "stem": 224}
    ),
    "resnet50": Case(
        models.ResNet50, SMALL, 54 + 208 + 336 + 1_002 + 603 + 576 + 130, 576,
        sizes={"filters": (2, 2, 3, 3)}, slow=True,
    ),
    "wide_resnet": Case(
        models.WideResNet, SMALL, 77_850, 480, sizes={"depth": 10, "width": 1, "dropout": 0.3}, draws=True
    ),
    "airbench": Case(
        models.Airbench, (13, 9, 1), 8 + 9 * (16 + 4 + 8 + 16) + 12 + 40, 32 + 24,
        sizes={"filters": (2, 4), "activation": "relu"},
    ),
    "mobilenet": Case(
        models.MobileNet, (16, 19, 3), 216 + 11 * 136 + 152 + 190 + 444 + 110, 444, sizes={"width": 0.01}
    ),
    "mobilenet-large-stem": Case(
        models.MobileNet, (33, 32, 1), 58_818, 2_752, sizes={"width": 0.125, "stem": 224}, slow=True
    ),
    "vit": Case(
        models.ViT, SMALL, 588 + 2 * (48 + 468 + 156 + 624 + 588) + 24 + 130, sizes={"width": 12, "depth": 2}, slow=True
    ),
    "vit-grey-random": Case(
        models.ViT, (9, 6, 1), 160 + 2 * (64 + 816 + 272 + 119 + 128) + 32 + 170, draws=True,
        sizes={"width": 16, "depth": 2, "heads": 2, "patch": 3, "hidden": 7, "stochastic_depth": 0.5},
    ),
}  # fmt: skip
SMALLER = {name: case for name, case in CASES.items() if case.trainable < 100_000}


def each(cases: dict[str, Case]) -> pytest.MarkDecorator:
    """Runs a test for each case."""
    marks = {name: [pytest.mark.thorough] if case.slow else [] for name, case in cases.items()}
    return pytest.mark.parametrize("case", [pytest.param(cases[name], id=name, marks=marks[name]) for name in cases])


each_case, each_smaller_case = each(CASES), each(SMALLER)
each_dtype = pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16], ids=lambda dtype: dtype.name)


def build(case: Case, *, seed: int = 0, dtype: tf.DType = tf.float32, **sizes: Any) -> tf.Module:
    pixels = Pixels("unit", dtype=dtype)
    return case.model(case.image_shape, 10, pixels=pixels, seed=seed, **(case.sizes | sizes))


def images(case: Case, count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *case.image_shape), np.uint8)


def disturb(model: tf.Module) -> None:
    """Gives every parameter, zeros included, a value that its logits depend on."""
    rng = np.random.default_rng(1)
    for variable in named_parameters(model).values():
        variable.assign_add(rng.normal(scale=0.05, size=variable.shape))


def test_every_model_is_in_the_table() -> None:
    files = [importlib.import_module(f"tfcore.models.{file.name}") for file in pkgutil.iter_modules(models.__path__)]
    defined = {
        value
        for file in files
        for value in vars(file).values()
        if inspect.isclass(value) and issubclass(value, tf.Module) and value.__module__ == file.__name__
    }
    public = {getattr(models, name) for name in models.__all__}
    assert {cls for cls in defined if next(iter(inspect.signature(cls).parameters)) == "image_shape"} == public
    assert {f"{model.__module__}:{model.__name__}" for model in public} == set(MODELS.values())
    # ResNet-32 is a ResNet-20 of other numbers: test_published_counts.py has the counts of all.
    assert {model.__init__ for model in public} == {case.model.__init__ for case in SMALLER.values()}


@each_case
def test_number_of_parameters(case: Case) -> None:
    model = build(case)
    parameters, variables = named_parameters(model), named_variables(model)
    assert sum(variable.shape.num_elements() for variable in parameters.values()) == case.trainable
    # Scaled to 0..1, pictures need no statistics: what is not trained is the norms' averages.
    assert sum(v.shape.num_elements() for v in variables.values()) == case.trainable + case.non_trainable
    rows = outline(model, case.image_shape).layers
    assert sum(row.trainable for row in rows) == case.trainable
    assert sum(row.non_trainable for row in rows) == case.non_trainable
    assert rows[0].path == "pixels"
    assert rows[-1].path == "logits"
    assert rows[-1].output_shape == (None, 10)


@each_case
@each_dtype
def test_logits_have_the_compute_type_and_a_row_for_each_picture(case: Case, dtype: tf.DType) -> None:
    model, x = build(case, dtype=dtype), tf.constant(images(case))
    for logits in (model(x, training=True, key=Key(0, 0, 0)), model(x, training=False)):
        assert logits.dtype == dtype
        assert logits.shape == (6, 10)
        assert np.isfinite(tf.cast(logits, tf.float32)).all()
    assert all(variable.dtype == tf.float32 for variable in model.variables)


@pytest.mark.sampled(3)
@each_smaller_case
def test_bfloat16_agrees_with_float32_to_rounding(case: Case) -> None:
    low, full = build(case, dtype=tf.bfloat16), build(case)
    for model in (low, full):
        disturb(model)
    expected = full(tf.constant(images(case)), training=False).numpy()
    logits = tf.cast(low(tf.constant(images(case)), training=False), tf.float32)
    products = sum(parameter.shape.rank > 1 for parameter in named_parameters(full).values())
    rounding = 3e-2 * max(1.0, (products / 10) ** 0.5)  # errors of layers add up like a random walk
    np.testing.assert_allclose(logits, expected, rtol=0, atol=rounding * np.abs(expected).max())


@pytest.mark.sampled(9)
@each_smaller_case
@each_dtype
def test_the_fast_paths_of_a_training_step_are_the_plain_function(case: Case, dtype: tf.DType) -> None:
    model, x = build(case, dtype=dtype), tf.constant(images(case))
    disturb(model)
    parameters = list(named_parameters(model).values())

    def step() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = tf.cast(model(x, training=True, key=Key(0, 3, 18)), tf.float32)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(tf.range(6), logits))
        return [logits, *tape.gradient(loss, parameters)]

    fast = tf.function(step)()
    with ops.plain():
        plain = tf.function(step)()
    for one, other in zip(fast, plain, strict=True):
        size = max(float(tf.reduce_max(tf.abs(other))), 1e-3)
        np.testing.assert_allclose(one, other, rtol=0, atol=(1e-4 if dtype == tf.float32 else 3e-2) * size)


@pytest.mark.sampled(3)
@each_smaller_case
def test_bytes_and_floats_of_the_same_pictures_give_the_same_logits(case: Case) -> None:
    model = build(case)
    disturb(model)
    from_bytes = model(tf.constant(images(case)), training=False)
    np.testing.assert_array_equal(model(tf.cast(images(case), tf.float32), training=False), from_bytes)


@pytest.mark.sampled(3)
@each_smaller_case
def test_logits_in_evaluation_do_not_depend_on_the_batch(case: Case) -> None:
    model, x = build(case), images(case)
    disturb(model)
    whole = model(tf.constant(x), training=False).numpy()
    alone = np.concatenate([model(tf.constant(x[row : row + 1]), training=False) for row in range(len(x))])
    np.testing.assert_allclose(alone, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


@pytest.mark.sampled(3)
@each_smaller_case
def test_one_trace_serves_batches_of_every_size(case: Case) -> None:
    model = build(case)
    spec = tf.TensorSpec([None, *case.image_shape], tf.uint8)
    call = tf.function(lambda x: model(x, training=False), input_signature=[spec])
    assert [call(images(case, count)).shape[0] for count in (1, 2, 5)] == [1, 2, 5]
    assert call.experimental_get_tracing_count() == 1


@each_smaller_case
def test_a_gradient_reaches_every_parameter(case: Case) -> None:
    model = build(case, initializer="he_normal")
    parameters = named_parameters(model)
    with tf.GradientTape() as tape:
        logits = model(tf.constant(images(case)), training=True, key=Key(0, 0, 0))
        loss = tf.reduce_sum(logits * tf.sin(tf.reshape(tf.range(60.0) ** 1.5, [6, 10])))
    for path, gradient in tape.gradient(loss, parameters).items():
        assert np.any(gradient.numpy() != 0), path


@each_smaller_case
def test_a_model_that_drops_numbers_depends_on_the_key_and_wants_one(case: Case) -> None:
    x = tf.constant(images(case))
    model = build(case, initializer="he_normal")
    here, again, there = (model(x, training=True, key=Key(0, 0, position)).numpy() for position in (0, 0, 6))
    np.testing.assert_array_equal(here, again)
    assert np.array_equal(here, there) == (not case.draws)
    if case.draws:
        with pytest.raises(ConfigError, match="draws at random: call the model with `key`"):
            model(x, training=True)
    else:
        model(x, training=True)


@each_smaller_case
def test_initial_values_depend_on_the_seed_alone(case: Case) -> None:
    first, again, other = (named_parameters(build(case, seed=seed, initializer="he_normal")) for seed in (1, 1, 2))
    in_bfloat16 = named_parameters(build(case, seed=1, initializer="he_normal", dtype=tf.bfloat16))
    for path, variable in first.items():
        np.testing.assert_array_equal(again[path], variable)
        np.testing.assert_array_equal(in_bfloat16[path], variable)
        assert not path.endswith("weights") or np.all(other[path].numpy() != variable.numpy())


@each_smaller_case
def test_the_initializer_is_that_of_all_trained_weights_and_of_nothing_else(case: Case) -> None:
    for path, variable in named_variables(build(case, initializer="constant:0.25")).items():
        kind = path.rpartition(".")[2]
        if kind == "weights" and not variable.trainable:
            continue  # those of a whitening
        start = {"weights": 0.25, "scale": 1.0, "moving_variance": 1.0}.get(kind, 0.0)
        np.testing.assert_array_equal(variable, np.full(variable.shape, start), err_msg=path)


@each_smaller_case
def test_an_unknown_initializer_is_refused(case: Case) -> None:
    with pytest.raises(ConfigError, match=r"`initializer` must be one of zeros, .*Received 'one'"):
        build(case, initializer="one")


@pytest.mark.sampled(3)
@each_smaller_case
def test_a_checkpoint_brings_the_model_back(case: Case, tmp_path: pathlib.Path) -> None:
    saved, restored = build(case), build(case, seed=1)
    disturb(saved)
    saved(tf.constant(images(case)), training=True, key=Key(0, 0, 0))  # moves the averages
    path = tf.train.Checkpoint(model=saved).write(str(tmp_path / "model"))
    tf.train.Checkpoint(model=restored).read(path).assert_consumed()
    x = tf.constant(images(case))
    np.testing.assert_array_equal(restored(x, training=False), saved(x, training=False))


@each_smaller_case
def test_pictures_are_scaled_by_the_layer_given(case: Case) -> None:
    mean = np.resize(MEAN, case.image_shape)
    model = case.model(case.image_shape, 10, pixels=Pixels("centered", mean=mean), seed=0, **case.sizes)
    disturb(model)
    x = tf.constant(images(case))
    plain = case.model(case.image_shape, 10, pixels=Pixels("raw"), seed=0, **case.sizes)
    disturb(plain)
    np.testing.assert_allclose(
        model(x, training=False), plain(tf.cast(x, tf.float32) - mean, training=False), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", ["Mlp", "CifarCnn", "MnistCnn"])
def test_an_unknown_activation_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"`activation` must be one of relu, .*Received 'rleu'. Did you mean 'relu'"):
        getattr(models, name)(MNIST, 10, pixels=Pixels(), seed=0, activation="rleu")
