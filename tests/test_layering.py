"""Imports point downwards only: read from the syntax tree, without importing tfcore or TensorFlow."""

import ast
import pathlib
from collections.abc import Callable, Iterable, Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
Sources = dict[str, str]  # path from the project's root -> text of the file
Rule = Callable[[Sources], Iterator[str]]  # yields complaints

GROUND = ["errors", "checks", "patterns", "seeds", "files", "npy_header", "machine", "workers"]
PURE = ["modules", "initializers", "losses", "metrics", "schedules", "views"]
PLAIN = [
    "architecture",
    "history",
    "config",
    "config_fields",
    "config_values",
    "model_args",
    "contradictions",
]  # need no TensorFlow
COMPUTED = ["ops", "layers", "optimizers", "models"]
BELOW_BUILD = [*GROUND, *PLAIN, "graphs", "modules", "metrics", "views", "data", "training", "export"]

# From the ground up, a row a folder. A file follows the longest name here that begins its own; what shares that name it
# may import. `run.parts` has a row of its own: `look` stands on it, and the rest of `run` stands on `look`.
MAY_IMPORT: dict[str, list[str]] = {
    "errors": [],
    "checks": ["errors"],
    "patterns": ["errors", "checks"],
    "seeds": ["errors", "checks"],
    "files": ["errors"],
    "npy_header": [],
    "machine": [],
    "workers": [],
    "architecture": ["errors", "checks"],
    "history": ["errors", "checks", "files"],
    "config_values": ["errors", "checks"],
    "config_fields": ["checks", "config_values"],
    "model_args": ["errors", "config_values"],
    "contradictions": ["errors", "config_values"],
    "config": [
        "errors",
        "checks",
        "architecture",
        "patterns",
        "config_fields",
        "config_values",
        "model_args",
        "contradictions",
    ],
    "recorded_calls": [],
    "graphs": [],
    "modules": [*GROUND, "graphs", "recorded_calls"],
    "adaptation": ["errors", "modules", "recorded_calls"],
    **{name: [*GROUND, "modules"] for name in PURE[1:]},
    "ops": [*GROUND, *PURE],
    **{name: [*GROUND, *PURE, "ops"] for name in ["layers", "optimizers", "data"]},
    "models": [*GROUND, *PURE, "ops", "layers"],
    "training": [*GROUND, "modules", "losses", "metrics", "data.batches", "data.order"],
    "distribution": GROUND,
    "export": [*GROUND, *PURE, "architecture", "config", "ops", "layers", "models", "training"],
    "build": [
        *GROUND,
        *PLAIN,
        *PURE,
        "graphs",
        *COMPUTED,
        "data",
        "training",
    ],  # the one room that names concrete classes
    "terminal": [*GROUND, "modules", "metrics"],
    "use": [*BELOW_BUILD, "build", "terminal"],
    "run.parts": [*BELOW_BUILD, "adaptation", "build", "use"],
    "look": [*BELOW_BUILD, "ops", "terminal", "run.parts"],
    "report": [*GROUND, *PLAIN, "training.run_folder", "training.divergence", "build.configuration", "terminal"],
    "run": [*BELOW_BUILD, "build", "terminal", "use", "look"],
    "sweep": [*GROUND, *PLAIN, "training.run_folder", "distribution", "build"],
    "dashboard": ["errors"],
    "doctor": [*GROUND, ""],
    "bench": [*BELOW_BUILD, "build", "run"],
    "lr_find": [*BELOW_BUILD, "build", "run", "report"],
    "cli": [
        *BELOW_BUILD,
        *(
            "build",
            "terminal",
            "use",
            "look",
            "report",
            "run",
            "sweep",
            "dashboard",
            "doctor",
            "bench",
            "lr_find",
            "distribution",
        ),
    ],
    "api": [*BELOW_BUILD, "build", "terminal", "use", "report", "run"],
    "__main__": ["cli"],
    "": ["api", "build.own_data", "use", "history", "cli"],
}
CONCRETE = ["data.sources", "schedules", "layers", "optimizers", "models"]  # which no room above `build` names
ABOVE_BUILD = [
    "terminal",
    "use",
    "run",
    "look",
    "report",
    "sweep",
    "dashboard",
    "doctor",
    "bench",
    "lr_find",
    "cli",
    "api",
]
SESSION = "run.session"  # which only these name:
NAME_SESSION = ["cli", "bench", "api", SESSION]
# What --help and a mistyped flag pass through: they answer at once only while none of these loads a large package.
QUICK = ["", "errors", "checks", "seeds", "architecture", "config", "cli", "cli.flags", "cli.main", "build",
         "build.lookup", "build.user_code", "build.runtime", "build.tables", "build.configuration"]  # fmt: skip
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


def row_of(module: str) -> str:
    """The longest name in MAY_IMPORT that begins the module's."""
    return max((row for row in MAY_IMPORT if under(module, [row])), key=len, default="")


def upward(sources: Sources) -> Iterator[str]:
    for path, text in sources.items():
        module = module_of(path)
        row = row_of(module)
        if module and not row:
            yield f"{path} has no row in MAY_IMPORT"
        for target in imports(path, ast.parse(text)):
            inner = target.removeprefix("tfcore").removeprefix(".")
            allowed = under(inner, [row or "-", *MAY_IMPORT[row], "__version__"])
            builds = under(row, ABOVE_BUILD) and under(inner, CONCRETE)
            names_session = under(inner, [SESSION]) and not under(module or "-", NAME_SESSION)
            if under(target, ["tfcore"]) and (builds or names_session or not allowed):
                yield f"{path} imports {target}"


def file_of(target: str, files: Iterable[str]) -> str:
    """The file that an imported name is in: tfcore.data.order.indices -> tfcore.data.order; "" for no file of ours."""
    return max((file for file in files if under(target, [file])), key=len, default="")


def circular(sources: Sources) -> Iterator[str]:
    """Complains of each file, and of each row, that is imported by what it imports; imports for types count."""
    files = {f"tfcore.{module_of(path)}": path for path in sources if module_of(path)}
    reached = {
        file: {found for target in imports(path, ast.parse(sources[path])) if (found := file_of(target, files))}
        - {file}
        for file, path in files.items()
    }
    rows: dict[str, set[str]] = {}
    for file, targets in reached.items():
        row = row_of(file.removeprefix("tfcore."))
        others = {row_of(target.removeprefix("tfcore.")) for target in targets}
        rows.setdefault(f"row {row}", set()).update(f"row {other}" for other in others - {row})
    for graph in (reached, rows):
        yield from (f"{name} is in a circle" for name in graph if name in beyond(graph, name))


def beyond(graph: dict[str, set[str]], start: str) -> set[str]:
    """All that can be reached from `start` in one step or more."""
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph.get(name, ())
    return found


def foreign(sources: Sources) -> Iterator[str]:
    for path, text in sources.items():
        attributes = [node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)]
        words = {word for name in [*imports(path, ast.parse(text)), *attributes] for word in name.split(".")}
        if words & {"keras", "tf_keras"}:
            yield f"{path} names Keras"
        if "absl" in words and path != "tfcore/cli/flags.py":
            yield f"{path} imports absl: only cli/flags.py may"


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


RULES: list[Rule] = [upward, circular, foreign, slow_to_load]
NOTHING = {f"tfcore/{name.replace('.', '/')}.py": "" for name in QUICK[1:] if name not in ("cli", "build")}
NOTHING |= {f"tfcore/{name}__init__.py": "" for name in ("", "cli/", "build/")}
BREACHES = [
    (upward, "errors.py", "from tfcore.checks import positive"),
    (upward, "seeds.py", "import tfcore"),
    (upward, "config.py", "from tfcore.seeds import words"),
    (upward, "losses.py", "from tfcore import metrics"),
    (upward, "ops/conv.py", "def f():\n    from tfcore.layers.conv import Conv2D"),
    (upward, "layers/conv.py", "from ..data import batches"),
    (upward, "models/mlp.py", "import tfcore.optimizers.adam as adam"),
    (upward, "training/loop.py", "from tfcore.data.sources.mnist import load"),
    (upward, "build/model.py", "from tfcore.cli.main import console"),
    (upward, "gadgets.py", ""),
    (upward, "cli/train.py", "def f():\n    from tfcore.models.mlp import MLP"),
    (upward, "cli/train.py", "from tfcore.data import sources"),
    (foreign, "cli/main.py", "from absl import flags"),
    (foreign, "models/mlp.py", "import tensorflow as tf\nx = tf.keras.layers.Dense(1)"),
    (foreign, "models/mlp.py", "def f():\n    from keras import layers"),
    (slow_to_load, "cli/flags.py", "import tensorflow as tf"),
    (slow_to_load, "cli/main.py", "if True:\n    import numpy as np"),
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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("from tfcore.data.order import indices", "from tfcore.data import batches"),
        ("import tfcore.data.order", "if TYPE_CHECKING:\n    from tfcore.data.batches import Batches"),
    ],
)
def test_files_that_import_each_other_are_found(one: str, other: str) -> None:
    sources = {"tfcore/data/batches.py": one, "tfcore/data/order.py": other, "tfcore/checks.py": "import tfcore.files"}
    assert list(circular(sources)) == ["tfcore.data.batches is in a circle", "tfcore.data.order is in a circle"]


def test_rooms_that_import_each_other_are_found() -> None:
    sources = {"tfcore/look/album.py": "import tfcore.run.restore", "tfcore/look/sheets.py": "",
               "tfcore/run/restore.py": "", "tfcore/run/session.py": "from tfcore.look import sheets"}  # fmt: skip
    assert list(circular(sources)) == ["row look is in a circle", "row run is in a circle"]
    sources["tfcore/look/album.py"] = "import tfcore.run.parts"  # which has a row of its own
    assert list(circular(sources | {"tfcore/run/parts.py": ""})) == []


def test_what_lies_further_down_counts_as_loaded() -> None:
    chain = {"tfcore/cli/main.py": "import tfcore.data.order", "tfcore/data/__init__.py": "import tensorflow"}
    assert list(slow_to_load(NOTHING | chain)) == ["tfcore/data/__init__.py loads tensorflow"]


def test_imports_that_wait_are_quick() -> None:
    text = "import ast\nif TYPE_CHECKING:\n    import numpy\ndef f():\n    import tensorflow"
    assert list(slow_to_load(NOTHING | {"tfcore/cli/main.py": text})) == []
