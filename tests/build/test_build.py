"""Builders: every name leads to its object, and invalid names and settings are refused."""

import dataclasses
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore import model_args, models, optimizers, schedules
from tfcore.build import arguments, lookup, signatures
from tfcore.build.configuration import resolve, with_given
from tfcore.build.data import load_dataset, make_splits, pixel_statistics
from tfcore.build.model import build_model, plan_model
from tfcore.build.optimizer import build_loss, build_schedule, build_step
from tfcore.build.tables import DATASETS, LOSSES, MODELS, OPTIMIZERS, check_names
from tfcore.config import RunConfig
from tfcore.config.training import SCHEDULES
from tfcore.data.dataset import Dataset, Split, split_validation
from tfcore.errors import ConfigError, DataError
from tfcore.modules import named_parameters

generator = np.random.default_rng(0)


def split(count: int, classes: int = 2) -> Split:
    labels = (np.arange(count) % classes).astype(np.int32)
    return Split(generator.integers(0, 256, (count, 2, 3, 1), np.uint8), labels)


DATA = Dataset("small", split(40), split(10), ("cat", "dog"))
OWN_FILE = """
import dataclasses
import numpy as np
import tensorflow as tf
from tfcore.data.dataset import Dataset, Split

@dataclasses.dataclass
class Settings:
    pictures: int = 6

def pair(data_dir):
    images = np.zeros((Settings().pictures, 2, 2, 1), np.uint8)
    labels = np.array([0, 1, 0, 1, 0, 1], np.int32)
    return Dataset("pair", Split(images, labels), Split(images, labels), ("cat", "dog"))

def number(data_dir):
    return 3

class Net(tf.Module):
    def __init__(self, image_shape, classes, *, seed):
        super().__init__()
        self.arguments = (image_shape, classes, seed)
"""


@pytest.fixture
def own_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "own_models_for_test.py"
    path.write_text(OWN_FILE)
    yield path
    sys.modules.pop(path.stem, None)


def built_model(config: RunConfig) -> Any:
    plan = plan_model(config, DATA)
    return build_model(plan, seed=config.seed, statistics=pixel_statistics(config, DATA))


def model(**given: Any) -> Any:
    return built_model(resolve(RunConfig(**given)))


def optimizer(**given: Any) -> Any:
    return build_step(resolve(RunConfig(**given)), model(), 100).optimizer


def test_the_defaults_and_every_listed_name_are_known() -> None:
    check_names(resolve(RunConfig()))
    for field, table in [
        ("model", MODELS),
        ("dataset", DATASETS),
        ("loss", LOSSES),
        ("optimizer", OPTIMIZERS),
    ]:
        for name in table:
            check_names(resolve(RunConfig(**{field: name})))


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        ({"model": "sofmax"}, "`model` must be one of softmax, .* Received 'sofmax'. Did you mean 'softmax'"),
        ({"dataset": "cifar"}, "`dataset` must be one of .* Received 'cifar'. Did you mean 'cifar10"),
        ({"optimizer": "adamm"}, "`optimizer` must be one of .* Received 'adamm'. Did you mean 'adam"),
        ({"loss": "cross_entrpy"}, "`loss` must be one of .* Received 'cross_entrpy'. Did you mean 'cross_entropy"),
        ({"model": "xyzzy"}, "Received 'xyzzy'.$"),
        ({"model": "nowhere/file.py:Net"}, "--model=nowhere/file.py:Net: there is no file nowhere/file.py"),
        ({"dataset": "nowhere/file.py:make"}, "--dataset=nowhere/file.py:make: there is no file nowhere/file.py"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(given_values: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_names(RunConfig(**given_values))


def test_the_help_names_every_built_in_model() -> None:
    assert tuple(MODELS) == model_args.MODELS


@pytest.mark.parametrize("table", [MODELS, DATASETS, LOSSES, OPTIMIZERS])
def test_every_path_in_a_table_leads_somewhere(table: dict[str, str]) -> None:
    for name in table:
        assert callable(lookup.find(name, table))


def test_a_users_model_gets_what_it_takes(own_file: Path) -> None:
    config = RunConfig(model=f"{own_file}:Net", seed=7)
    check_names(config)
    assert built_model(config).arguments == ((2, 3, 1), 2, 7)


def test_a_users_data_set_is_loaded(own_file: Path) -> None:
    data = load_dataset(RunConfig(dataset=f"{own_file}:pair"))
    assert (data.name, len(data.train), data.classes) == ("pair", 6, 2)


def test_a_data_set_that_is_none_is_refused(own_file: Path) -> None:
    with pytest.raises(DataError, match=r"must return a tfcore\.data\.dataset\.Dataset\. Received <class 'int'>"):
        load_dataset(RunConfig(dataset=f"{own_file}:number"))


def test_a_name_that_the_file_lacks_is_refused_with_the_nearest(own_file: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"own_models_for_test\.py has no class or function 'Nett'\. Did you mean 'Net'"
    ):
        built_model(RunConfig(model=f"{own_file}:Nett"))


def test_a_name_in_a_package_is_found() -> None:
    config = RunConfig(model="tfcore.models.softmax:Softmax", precision="float32")
    assert isinstance(built_model(config), models.Softmax)
    with pytest.raises(ConfigError, match=r"There is no module tfcore\.modls"):
        built_model(RunConfig(model="tfcore.modls:Softmax"))


def test_resolving_sets_length_and_learning_rate() -> None:
    config = resolve(RunConfig())
    assert (config.learning_rate, config.epochs, config.steps) == (0.001, 10.0, None)
    assert resolve(config) == config


def test_a_run_keeps_its_choices_where_the_same_is_given_as_automatic() -> None:
    own = RunConfig(precision="float32", xla="on", intra_op_threads=1, inter_op_threads=1)
    given = {"precision": "auto", "xla": "auto", "intra_op_threads": 0, "seed": 3}
    assert with_given(given, own) == dataclasses.replace(own, seed=3)


def test_a_setting_that_is_given_as_none_is_given() -> None:
    own = RunConfig(patience=5, steps=20)
    found = with_given({"patience": None, "steps": None, "epochs": None}, own)
    assert (found.patience, found.steps, found.epochs) == (None, None, None)


def test_resolving_keeps_what_was_given() -> None:
    given_config = RunConfig(
        precision="bfloat16", xla="on", epochs=0.5, intra_op_threads=2, inter_op_threads=3, learning_rate=0.5
    )
    assert resolve(given_config) == given_config
    by_steps = resolve(RunConfig(steps=5))
    assert (by_steps.steps, by_steps.epochs) == (5, None)


@pytest.mark.parametrize(
    ("given_values", "taken"),
    [
        ({"model": "wide_resnet", "dropout": (0.3,), "model_args": "depth=28"}, {"dropout": 0.3, "depth": 28}),
        (
            {"model": "vit", "hidden": (768,), "model_args": "stochastic_depth=0"},
            {"hidden": 768, "stochastic_depth": 0.0},
        ),
        ({"model": "mobilenet", "model_args": "width=1,stem=224"}, {"width": 1.0, "stem": 224}),
        ({"model": "resnet110", "filters": (4, 4), "model_args": "shortcut=B"}, {"filters": (4, 4), "shortcut": "B"}),
        ({"model": "resnet50", "model_args": "stem=224"}, {"stem": 224}),
    ],
)
def test_sizes_of_a_built_in_network_have_the_types_of_its_signature(
    given_values: dict[str, Any], taken: dict[str, Any]
) -> None:
    config = RunConfig(**given_values)
    signature = signatures.of_path(MODELS[config.model])
    assert signature is not None
    found = arguments.fitting(config.model, arguments.given(config), signature)
    assert found == taken
    assert [type(value) for value in found.values()] == [type(taken[name]) for name in found]


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        ({"model": "wide_resnet", "dropout": (0.3, 0.2)}, "--model=wide_resnet: dropout takes a number"),
        ({"model": "vit", "hidden": (768, 3)}, "--model=vit: hidden takes a whole number"),
        ({"model": "vit", "filters": (8,)}, "--model=vit takes no --filters"),
        (
            {"model": "resnet50", "model_args": "depth=3"},
            "takes no depth in --model_args. Its arguments are stem, filt",
        ),
    ],
)
def test_sizes_that_a_built_in_network_does_not_take_are_refused(given_values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_names(RunConfig(**given_values))


def test_sizes_go_to_the_model_that_takes_them() -> None:
    net = model(model="mlp", hidden=(5, 4), initializer="he_normal")
    shapes = {path: tuple(variable.shape) for path, variable in named_parameters(net).items()}
    weights = {path: shape for path, shape in shapes.items() if path.endswith("weights")}
    assert list(weights.values()) == [(6, 5), (5, 4), (4, 2)]


def test_a_size_that_the_model_does_not_take_is_refused(own_file: Path) -> None:
    with pytest.raises(ConfigError, match="--model=softmax takes no --hidden"):
        model(hidden=(5,))
    with pytest.raises(ConfigError, match=r"--model=.*Net takes no --initializer"):
        model(model=f"{own_file}:Net", initializer="he_normal")


def test_an_unknown_initializer_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`initializer` must be one of .* Did you mean 'glorot_"):
        model(initializer="glorot_unifrom")


@pytest.mark.parametrize(("precision", "dtype"), [("float32", tf.float32), ("bfloat16", tf.bfloat16)])
def test_the_precision_is_the_logits(precision: str, dtype: tf.DType) -> None:
    assert model(precision=precision)(tf.constant(DATA.test.images), training=False).dtype == dtype


@pytest.mark.parametrize("scaling", ["unit", "raw"])
def test_pixels_without_statistics_hold_none(scaling: str) -> None:
    assert not model(pixels=scaling).pixels.variables


@pytest.mark.parametrize("validation", [0.0, 0.25, 10.0])
def test_pixel_statistics_are_those_of_the_training_share_alone(validation: float) -> None:
    train, held_out = split_validation(DATA.train.labels, validation, 3)
    assert len(train) + len(held_out) == 40
    share = DATA.train.images[train].astype(np.float64)
    centered = model(pixels="centered", validation=validation, seed=3).pixels
    np.testing.assert_allclose(centered.mean, share.mean(axis=0), rtol=1e-6)
    standardized = model(pixels="standardized", validation=validation, seed=3).pixels
    np.testing.assert_allclose(standardized.mean, share.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(standardized.std, share.std(axis=(0, 1, 2)), rtol=1e-6)


def test_pixel_statistics_of_a_hashed_part() -> None:
    config = RunConfig(validation=0.25, validation_split="hashed", seed=3, pixels="centered")
    train = make_splits(config, DATA)["train"]
    images, _ = train.gather(tf.range(len(train), dtype=tf.int64))
    expected = images.numpy().astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(pixel_statistics(config, DATA)["mean"], expected, rtol=1e-6)


@pytest.mark.parametrize("split", ["auto", "stratified", "hashed"])
def test_splits_hold_every_training_example_once(split: str) -> None:
    found = make_splits(RunConfig(validation=0.25, validation_split=split), DATA)
    assert {name: len(part) for name, part in found.items()} == {"train": 30, "validation": 10, "test": 10}
    rows = np.concatenate(
        [found[name].gather(tf.range(len(found[name]), dtype=tf.int64))[0] for name in ("train", "validation")]
    )
    assert sorted(map(bytes, rows.astype(np.uint8))) == sorted(map(bytes, DATA.train.images))


def test_without_validation_there_is_no_such_split() -> None:
    assert {name: len(part) for name, part in make_splits(RunConfig(validation=0), DATA).items()} == {
        "train": 40,
        "test": 10,
    }


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_one_number_an_example_and_hears_of_the_smoothing(name: str) -> None:
    logits, labels = tf.constant([[3.0, -1.0], [0.5, 0.25]]), tf.constant([0, 1])
    plain = build_loss(RunConfig(loss=name))(logits, labels)
    smoothed = build_loss(RunConfig(loss=name, label_smoothing=0.3))(logits, labels)
    assert plain.shape == (2,)
    assert not np.allclose(plain, smoothed)


@pytest.mark.parametrize(
    ("name", "method", "settings"),
    [
        ("gradient_descent", "GradientDescent", {"clip_value": 0.01}),
        ("momentum", "Momentum", {"momentum": 0.5, "nesterov": True}),
        ("adam", "Adam", {"beta1": 0.5, "beta2": 0.75}),
        ("adam", "Adam", {"epsilon": 0.1, "clip_norm": 0.5}),
        ("nadam", "Nadam", {"beta1": 0.25, "beta2": 0.75, "epsilon": 0.01}),
        ("adagrad", "Adagrad", {"initial_accumulator": 0.5, "epsilon": 0.25}),
        ("adadelta", "Adadelta", {"rho": 0.5, "epsilon": 0.25}),
        ("rmsprop", "RMSprop", {"rho": 0.5, "momentum": 0.25, "centered": True, "epsilon": 0.25}),
        ("lars", "Lars", {"momentum": 0.5, "trust_coefficient": 0.25}),
        ("lamb", "Lamb", {"beta1": 0.5, "epsilon": 0.25, "weight_decay": 0.0}),
        ("muon", "MuonAndAdamW", {"muon_variables": "", "momentum": 0.5, "fallback_learning_rate_factor": 0.5}),
        ("adafactor", "Adafactor", {"beta1": 0.5, "scale_by_weights": False}),
        ("schedule_free_adamw", "ScheduleFreeAdamW", {"beta1": 0.5, "beta2": 0.75, "weight_decay": 0.0}),
        ("adam", "Adam", {"average_decay": 0.5, "beta1": 0.5}),
    ],
)
def test_an_optimizer_updates_as_its_settings_say(name: str, method: str, settings: dict[str, Any]) -> None:
    built = optimizer(optimizer=name, schedule="constant", learning_rate=0.25, **settings)
    by_hand, bare = (
        getattr(optimizers, method)(
            {path: tf.Variable(p) for path, p in zip(built.paths, built.parameters, strict=True)},
            0.25,
            **given_settings,
        )
        for given_settings in (settings, {"muon_variables": ""} if name == "muon" else {})
    )
    for scale in (1.0, -0.3, 0.7):
        for each in (built, by_hand, bare):
            each.apply([tf.fill(parameter.shape, scale) for parameter in each.parameters])
    assert type(built) is type(by_hand)
    for ours, theirs, default in zip(built.parameters, by_hand.parameters, bare.parameters, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert not np.array_equal(ours, default)


@pytest.mark.parametrize("name", ["adamw", "lion", "muon"])
@pytest.mark.parametrize(("decayed", "which"), [({}, "logits.weights"), ({"decayed_variables": "b"}, "logits.biases")])
def test_the_decay_is_of_weights_alone_unless_said(name: str, decayed: dict[str, str], which: str) -> None:
    given = decayed | ({"muon_variables": "", "fallback_learning_rate_factor": 1.0} if name == "muon" else {})
    shrunk, same = (optimizer(optimizer=name, learning_rate=0.5, weight_decay=w, **given) for w in (0.5, 0.0))
    for each in (shrunk, same):
        for parameter in each.parameters:
            parameter.assign(tf.ones_like(parameter))
        each.apply([tf.fill(parameter.shape, 1.0) for parameter in each.parameters])
    for path, ours, bare in zip(shrunk.paths, shrunk.parameters, same.parameters, strict=True):
        np.testing.assert_allclose(bare - ours, 0.25 if path == which else 0.0, atol=1e-6)


def test_the_max_norm_that_a_layer_declares_is_held() -> None:
    config = resolve(RunConfig(model="cifar_cnn", filters=(2,), hidden=(3,), max_norm=0.125))
    net = built_model(config)
    step = build_step(config, net, 10)
    step.optimizer.apply([tf.zeros_like(parameter) for parameter in step.optimizer.parameters])
    norms = {path: np.linalg.norm(variable.numpy(), axis=0).max() for path, variable in named_parameters(net).items()}
    assert norms["hidden_1.weights"] == pytest.approx(0.125)
    assert norms["logits.weights"] > 0.125


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_default_learning_rate_is_the_optimizers_own(name: str) -> None:
    own = inspect.signature(lookup.find(name, OPTIMIZERS)).parameters["learning_rate"].default
    assert resolve(RunConfig(optimizer=name)).learning_rate == own


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_builds_with_its_own_defaults(name: str) -> None:
    given = {"muon_variables": ""} if name == "muon" else {}  # softmax has only the layer that muon leaves out
    built = optimizer(optimizer=name, schedule="constant", learning_rate=0.25, **given)
    assert built.paths == ("logits.biases", "logits.weights")
    assert float(built.learning_rate(tf.constant(0, tf.int64))) == 0.25


@pytest.mark.parametrize(
    ("given_values", "expected"),
    [
        ({"schedule": "constant"}, schedules.Constant(0.5)),
        (
            {"schedule": "step_wise", "decay_boundaries": (3, 6), "decay_factor": 0.25},
            schedules.StepWise(0.5, (3, 6), 0.25),
        ),
        ({"schedule": "exponential", "decay_factor": 0.25}, schedules.Exponential(0.5, 100, 0.25)),
        ({"schedule": "exponential", "decay_steps": 7}, schedules.Exponential(0.5, 7, 0.1)),
        (
            {"schedule": "polynomial", "decay_power": 2.0, "end_learning_rate": 0.1},
            schedules.Polynomial(0.5, 100, 2.0, 0.1),
        ),
        ({"schedule": "cosine"}, schedules.Cosine(0.5, 100, 0.0)),
        ({"schedule": "cosine", "decay_steps": 7, "end_learning_rate": 0.1}, schedules.Cosine(0.5, 7, 0.1)),
        (
            {"schedule": "trapezoid", "cooldown_share": 0.4, "end_learning_rate": 0.1},
            schedules.Trapezoid(0.5, 100, 0.4, 0.1),
        ),
        (
            {"schedule": "trapezoid", "decay_steps": 7, "warmup_steps": 5},
            schedules.WarmUp(schedules.Trapezoid(0.5, 7, 0.2, 0.0), 5),
        ),
        (
            {"schedule": "cosine_restarts", "decay_steps": 7, "period_factor": 2, "end_learning_rate": 0.1},
            schedules.CosineRestarts(0.5, 7, 2, 0.1),
        ),
        ({"schedule": "one_cycle"}, schedules.OneCycle(0.5, 100, 0.3, 25.0, 0.0)),
        (
            {"schedule": "one_cycle", "warmup_share": 0.4, "start_divisor": 10.0, "end_learning_rate": 0.1},
            schedules.OneCycle(0.5, 100, 0.4, 10.0, 0.1),
        ),
        ({"schedule": "cosine", "warmup_steps": 5}, schedules.WarmUp(schedules.Cosine(0.5, 100, 0.0), 5)),
    ],
)
def test_a_schedule_is_built_with_its_settings(given_values: dict[str, Any], expected: Any) -> None:
    assert build_schedule(RunConfig(learning_rate=0.5, **given_values), 100) == expected


def test_every_schedule_name_builds() -> None:
    for name in SCHEDULES:
        needed: dict[str, Any] = {"step_wise": {"decay_boundaries": (3,)}, "cosine_restarts": {"decay_steps": 3}}
        config = RunConfig(schedule=name, learning_rate=0.001, **needed.get(name, {}))
        first = 0.001 / config.start_divisor if name == "one_cycle" else 0.001
        assert float(build_schedule(config, 10)(tf.constant(0, tf.int64))) == pytest.approx(first)


def test_a_step_has_its_penalty_and_its_parts() -> None:
    config = RunConfig(l2=0.5, penalty_variables="biases", microbatches=2, batch_size=4, learning_rate=0.1)
    net = model()
    step = build_step(config, net, 10)
    named_parameters(net)["logits.biases"].assign([1.0, 2.0])
    images, labels = tf.cast(DATA.train.images[:4], tf.float32), tf.constant(DATA.train.labels[:4])
    result = tf.function(step.__call__)(images, labels)
    assert float(result.total_loss - result.loss) == pytest.approx(0.25 * 5)


def test_a_penalty_on_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="`penalty_variables` must match a parameter"):
        build_step(RunConfig(l2=0.5, penalty_variables="kernel", learning_rate=0.1), model(), 10)


@pytest.mark.parametrize(
    ("text", "reason"), [("x =\n", "SyntaxError"), ("import not_there_at_all\n", "ModuleNotFoundError")]
)
def test_a_users_file_that_does_not_run_is_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "broken.py").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"broken\.py does not run: {reason}"):
        built_model(RunConfig(model=f"{tmp_path / 'broken.py'}:Net"))
