"""Arguments of models: typed by the signature, kept with the run and its exports, and refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

import tfcore
from tfcore.architecture import Architecture
from tfcore.build import arguments, lookup
from tfcore.build.signatures import REQUIRED, Argument, Signature
from tfcore.build.tables import check_names
from tfcore.cli.main import main
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.modules import named_variables

OWN = """
import math
import tensorflow as tf
from tfcore.layers import Flatten, Linear

class Net(tf.Module):
    def __init__(self, image_shape, classes, *, pixels, seed, depth: int, width=4, rate: float = 0.5,
                 sizes: tuple[int, ...] = (), kind: str = "a", bias=True, last: int | None = 3):
        super().__init__(name="net")
        self.arguments = dict(depth=depth, width=width, rate=rate, sizes=sizes, kind=kind, bias=bias, last=last)
        self.pixels, self.flatten, self.layers = pixels, Flatten(), []
        features = math.prod(image_shape)
        for number in range(depth):
            self.layers.append(Linear(features, width, name=f"hidden_{number}", seed=seed))
            features = width
        self.logits = Linear(features, classes, name="logits", seed=seed)

    def __call__(self, x, *, training, key=None):
        x = self.flatten(self.pixels(x, training=training), training=training)
        for layer in self.layers:
            x = tf.nn.relu(layer(x, training=training))
        return self.logits(x, training=training)
"""
TAKEN = Signature(
    {
        "shape": Argument("", REQUIRED),
        "classes": Argument("", REQUIRED),
        "seed": Argument("", REQUIRED, keyword_only=True),
        "depth": Argument("int", REQUIRED, keyword_only=True),
        "rate": Argument("float", 0.5, keyword_only=True),
        "sizes": Argument("tuple[int, ...]", (), keyword_only=True),
        "kind": Argument("str", "a", keyword_only=True),
        "last": Argument("int | None", 3, keyword_only=True),
        "free": Argument("", None, keyword_only=True),
        "hidden": Argument("int", 3, keyword_only=True),
    },
    takes_any=False,
)


def fitting(text: str) -> dict[str, Any]:
    given = arguments.given(RunConfig(model_args=text))
    return arguments.fitting("own.py:Net", given, TAKEN)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("", "depth", 2),
        ("rate=1", "rate", 1.0),
        ("sizes=50x30", "sizes", (50, 30)),
        ("sizes=50", "sizes", (50,)),
        ("sizes=", "sizes", ()),
        ("kind=007", "kind", "007"),
        ("kind=none", "kind", "none"),
        ("kind=3", "kind", "3"),
        ("last=none", "last", None),
        ("free=0.5x1", "free", (0.5, 1)),
        ("free=none", "free", None),
        ("free=text", "free", "text"),
    ],
)
def test_a_value_has_the_type_that_the_signature_names(text: str, name: str, value: Any) -> None:
    found = fitting(f"depth=2,{text}")[name]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--model=own.py:Net needs depth. Give --model_args=depth=VALUE."),
        ("depth=2,dept=3", "--model=own.py:Net takes no dept in --model_args. Its arguments are depth, rate, "),
        ("depth=2,dept=3", "Did you mean 'depth'?"),
        ("depth=0.5", "--model=own.py:Net: depth takes a whole number, such as 100. Received '0.5'."),
        ("depth=none", "--model=own.py:Net: depth takes a whole number"),
        ("depth=2,rate=nan", "--model=own.py:Net: rate takes a number"),
        (
            "depth=2,sizes=axb",
            "--model=own.py:Net: sizes takes whole numbers with an x between, such as 50x50. Received 'axb'.",
        ),
        ("depth=2,seed=3", "--model_args: seed is given by the run itself. Leave it out."),
        ("depth=2,shape=3", "--model_args: shape is given by the run itself."),
        ("depth=2,pixels=3", "--model_args: pixels is given by the run itself."),
    ],
)
def test_what_does_not_fit_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fitting(text)
    assert message in str(caught.value)


def test_size_flags_and_arguments_are_one() -> None:
    given = arguments.given(RunConfig(hidden=(8,), model_args="depth=2"))
    assert given == {"hidden": (8,), "depth": 2}
    assert arguments.fitting("own.py:Net", given, TAKEN)["hidden"] == 8  # its annotation says one number
    with pytest.raises(ConfigError, match="--hidden and --model_args both give hidden"):
        arguments.given(RunConfig(hidden=(8,), model_args="hidden=9"))
    with pytest.raises(ConfigError, match="Net: hidden takes a whole number"):
        arguments.fitting("own.py:Net", {"hidden": (8, 9), "depth": 2}, TAKEN)


def test_a_model_with_a_double_star_takes_any_name() -> None:
    assert arguments.fitting("m", {"new": 3}, Signature({}, takes_any=True)) == {"new": 3}


@pytest.mark.parametrize(
    ("model_args", "message"),
    [
        ("hiden=50", "takes no hiden in --model_args. .* Did you mean 'hidden'"),
        ("hidden=many", "whole numbers with an x"),
    ],
)
def test_models_of_tfcore_are_checked_before_anything_is_loaded(model_args: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_names(RunConfig(model="mlp", model_args=model_args))
    check_names(RunConfig(model="mlp", model_args="hidden=50x30,activation=tanh"))


@pytest.fixture
def _own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)


TRAIN = ["train", "--model=own.py:Net", "--train_examples=100", "--test_examples=50", "--quiet", "--summaries=none",
         "--schedule=constant", "--steps=2", "--run_dir=run"]  # fmt: skip


@pytest.mark.thorough
@pytest.mark.usefixtures("_own_file")
def test_a_run_keeps_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "--model_args=width=5,depth=2,sizes=50x30,kind=007,last=none"]) == 0
    expected = {"depth": 2, "width": 5, "rate": 0.5, "sizes": (50, 30), "kind": "007", "bias": True, "last": None}
    text = "depth=2,kind=007,last=none,sizes=50x30,width=5"
    assert f"--model_args={text}\n" in Path("run/config.flags").read_text()
    sizes = json.loads(Path("run/architecture.json").read_text())["sizes"]
    assert sizes == {"depth": 2, "kind": "007", "last": None, "sizes": [50, 30], "width": 5}
    module = tfcore.load("run").module
    assert module.arguments == expected

    # A file names its class, which is given; the arguments are in it.
    assert main(["export", "--run_dir=run", "--format=npz", "--out=model.npz"]) == 0
    loaded = tfcore.load("model.npz", model=type(module))
    assert loaded.module.arguments == expected
    assert main(["export", "--run_dir=run", "--format=json", "--out=model.json"]) == 0
    assert tfcore.load("model.json", model=type(module)).module.arguments == expected

    # Resumed, it has the same arguments, and no others.
    assert main([*TRAIN, "--steps=4"]) == 0
    assert tfcore.load("run").module.arguments == expected
    assert main([*TRAIN, f"--model_args={text}", "--steps=5"]) == 0
    capsys.readouterr()
    assert main([*TRAIN, "--model_args=depth=3", "--steps=6"]) == 2
    said = capsys.readouterr().err
    assert f"belongs to another configuration: --model_args=depth=3 (there: {text}). Name another --run_dir." in said
    assert said.count("\n") == 1
    report = Path("run/report.html").read_text()
    assert "model_args" in report
    assert text in report


@pytest.mark.usefixtures("_own_file")
@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--model_args=", "error: --model=own.py:Net needs depth. Give --model_args=depth=VALUE.\n"),
        ("--model_args=depth=x", "error: --model=own.py:Net: depth takes a whole number, such as 100. Received 'x'.\n"),
        ("--model_args=depth", "error: `model_args` must be pairs such as depth=3,width=64. Received 'depth'.\n"),
    ],
)
def test_a_bad_argument_is_one_line(flag: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, flag]) == 2
    assert capsys.readouterr().err == message
    assert not Path("run").exists()


@pytest.mark.usefixtures("_own_file")
def test_an_architecture_without_them_is_read_as_before() -> None:
    plan = Architecture("own.py:Net", (2, 2, 1), ("cat", "dog"), sizes={"depth": 1})
    Path("a.json").write_text(plan.to_json())
    assert tfcore.load("a.json", model=lookup.load("own.py:Net")).module.arguments["width"] == 4
    Path("b.json").write_text(Architecture("mlp", (2, 2, 1), ("cat", "dog")).to_json())
    assert named_variables(tfcore.load("b.json").module)["hidden_1.weights"].shape == (4, 120)
