"""Imports point downwards only: read from the syntax tree, without importing tfcore or TensorFlow."""

import ast
import pathlib
from collections.abc import Callable, Iterable, Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
Sources = dict[str, str]  # path from the project's root -> text of the file
Rule = Callable[[Sources], Iterator[str]]  # yields complaints

GROUND = ["errors", "checks", "seeds", "files", "npy_header"]
PURE = ["modules", "initializers", "losses", "metrics", "schedules"]
CONCRETE = ["data.sources", "schedules", "layers", "optimizers", "models"]
ALL = [
    *GROUND,
    *PURE,
    "architecture",
    "history",
    "config",
    "ops",
    "layers",
    "optimizers",
    "data",
    "models",
    "training",
    "distribution",
    "export",
]

# From the ground up. A file follows the longest name here that begins its own; whatever shares that name it may import.
MAY_IMPORT: dict[str, list[str]] = {
    "errors": [],
    "checks": ["errors"],
    "seeds": ["errors", "checks"],
    "files": ["errors"],
    "npy_header": [],
    "architecture": ["errors", "checks"],
    "history": ["errors", "checks", "files"],
    "config": ["errors", "checks"],
    "modules": GROUND,
    **{name: [*GROUND, "modules"] for name in PURE[1:]},
    "ops": [*GROUND, *PURE],
    **{name: [*GROUND, *PURE, "ops"] for name in ["layers", "optimizers", "data"]},
    "models": [*GROUND, *PURE, "ops", "layers"],
    "training": [*GROUND, "modules", "losses", "metrics", "data.batches", "data.order"],
    "distribution": [*GROUND, "config"],
    "export": [*GROUND, *PURE, "architecture", "config", "ops", "layers", "models", "training"],
    "commands.builders": [*ALL, "commands.lookup", "commands.own_code", "commands.runtime"],
    "commands": ALL,  # but for CONCRETE, which only the builders may name
    "__main__": ["commands"],
    "": [*ALL, "commands"],
}
# What --help and a mistyped flag pass through: they answer at once only while none of these loads a large package.
QUICK = ["", "errors", "checks", "seeds", "architecture", "config", "commands", "commands.flags", "commands.lookup",
         "commands.own_code", "commands.main", "commands.runtime", "commands.builders"]  # fmt: skip
LARGE = ["tensorflow", "numpy", "keras", "tensorboard", "h5py", "PIL", "safetensors", "matplotlib", "jinja2"]


def module_of(path: str) -> str:
    """tfcore/data/order.py -> data.order; tfcore/data/__init__.py -> data; tfcore/__init__.py -> nothing."""
    return ".".join(pathlib.PurePath(path.removesuffix("__init__.py").removesuffix(".py")).parts[1:])


def under(name: str, prefixes: Iterable[str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def targets(path: str, node: ast.AST) -> list[str]:
    """The absolute names that an import statement mentions, `from a import b` as a.b; none for other nodes."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        package = pathlib.PurePath(path).parts[: -node.level] if node.level else ()
        return [".".join([*package, *filter(None, [node.module]), alias.name]) for alias in node.names]
    return []


def imports(path: str, node: ast.AST, *, on_loading: bool = False) -> Iterator[str]:
    """What a file imports anywhere, or only what loading it does: not in functions nor under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if not (on_loading and (for_types or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))):
            yield from targets(path, child)
            yield from imports(path, child, on_loading=on_loading)


def upward(sources: Sources) -> Iterator[str]:
    for path, text in sources.items():
        module = module_of(path)
        row = max((row for row in MAY_IMPORT if under(module, [row])), key=len, default="")
        if module and not row:
            yield f"{path} has no row in MAY_IMPORT"
        for target in imports(path, ast.parse(text)):
            inner = target.removeprefix("tfcore").removeprefix(".")
            allowed = under(inner, [row or "-", *MAY_IMPORT[row], "__version__"])
            builds = row == "commands" and under(inner, CONCRETE)
            if under(target, ["tfcore"]) and (builds or not allowed):
                yield f"{path} imports {target}"


def foreign(sources: Sources) -> Iterator[str]:
    for path, text in sources.items():
        attributes = [node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)]
        words = {word for name in [*imports(path, ast.parse(text)), *attributes] for word in name.split(".")}
        if words & {"keras", "tf_keras"}:
            yield f"{path} names Keras"
        if "absl" in words and path != "tfcore/commands/flags.py":
            yield f"{path} imports absl: only commands/flags.py may"


def slow_to_load(sources: Sources) -> Iterator[str]:
    files = {f"tfcore.{module_of(path)}".removesuffix("."): path for path in sources if path.startswith("tfcore/")}
    waiting = [f"tfcore.{name}".removesuffix(".") for name in QUICK]
    yield from (f"{name} is in QUICK and does not exist" for name in waiting if name not in files)
    seen = set()
    while waiting:
        parts = waiting.pop().split(".")
        for end in range(1, len(parts) + 1):  # Python runs the packages above first.
            name = ".".join(parts[:end])
            if name in files and name not in seen:
                seen.add(name)
                reached = list(imports(files[name], ast.parse(sources[files[name]]), on_loading=True))
                waiting += reached
                yield from (f"{files[name]} loads {target}" for target in reached if under(target, LARGE))


RULES: list[Rule] = [upward, foreign, slow_to_load]
NOTHING = {f"tfcore/{name.replace('.', '/')}.py": "" for name in QUICK[1:] if name != "commands"}
NOTHING |= {"tfcore/__init__.py": "", "tfcore/commands/__init__.py": ""}
BREACHES = [
    (upward, "errors.py", "from tfcore.checks import positive"),
    (upward, "seeds.py", "import tfcore"),
    (upward, "config.py", "from tfcore.seeds import words"),
    (upward, "losses.py", "from tfcore import metrics"),
    (upward, "ops/conv.py", "def f():\n    from tfcore.layers.conv import Conv2D"),
    (upward, "layers/conv.py", "from ..data import batches"),
    (upward, "models/mlp.py", "import tfcore.optimizers.adam as adam"),
    (upward, "training/loop.py", "from tfcore.data.sources.mnist import load"),
    (upward, "commands/builders.py", "from tfcore.cli.main import console"),
    (upward, "gadgets.py", ""),
    (upward, "commands/train.py", "def f():\n    from tfcore.models.mlp import MLP"),
    (upward, "commands/train.py", "from tfcore.data import sources"),
    (foreign, "commands/main.py", "from absl import flags"),
    (foreign, "models/mlp.py", "import tensorflow as tf\nx = tf.keras.layers.Dense(1)"),
    (foreign, "models/mlp.py", "def f():\n    from keras import layers"),
    (slow_to_load, "commands/flags.py", "import tensorflow as tf"),
    (slow_to_load, "commands/main.py", "if True:\n    import numpy as np"),
    (slow_to_load, "__init__.py", "from tfcore.config import *\nfrom numpy import array"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps(rule: Rule) -> None:
    paths = [ROOT / "train.py", ROOT / "eval.py", *sorted(ROOT.glob("tfcore/**/*.py"))]
    sources = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    assert list(rule(sources)) == []


@pytest.mark.parametrize(("rule", "file", "text"), BREACHES)
def test_a_breach_is_found(rule: Rule, file: str, text: str) -> None:
    assert list(rule(NOTHING)) == []
    assert len(list(rule(NOTHING | {f"tfcore/{file}": text}))) == 1


def test_what_lies_further_down_counts_as_loaded() -> None:
    chain = {"tfcore/commands/main.py": "import tfcore.data.order", "tfcore/data/__init__.py": "import tensorflow"}
    assert list(slow_to_load(NOTHING | chain)) == ["tfcore/data/__init__.py loads tensorflow"]


def test_imports_that_wait_are_quick() -> None:
    text = "import ast\nif TYPE_CHECKING:\n    import numpy\ndef f():\n    import tensorflow"
    assert list(slow_to_load(NOTHING | {"tfcore/commands/main.py": text})) == []
