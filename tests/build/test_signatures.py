"""Signatures out of source text: equal to those of the loaded objects, and unknown rather than wrong."""

import sys
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from tfcore.build import lookup, signatures
from tfcore.build.signatures import REQUIRED, UNKNOWN, Argument
from tfcore.build.tables import DATASETS, LOSSES, MODELS, OPTIMIZERS, SOURCES
from tfcore.config_values import Kind

OWN = """
from tfcore.optimizers import Adam as Base, Momentum
import tfcore.optimizers

SIZE = 3

class Plain:
    def __init__(self, a, b: "int", c: float = -0.5, *rest, d: str = SIZE, e=(1, 2), **more): pass

class Child(Plain): pass
class OfTfcore(Base): pass
class Grandchild(OfTfcore): pass
class Unfollowed(tfcore.optimizers.Adam): pass
class Nothing: pass
def function(x, y=None): pass
class Circle(Circle): pass
"""


@pytest.mark.parametrize("path", [*OPTIMIZERS.values(), *MODELS.values(), *LOSSES.values()])
def test_the_source_says_what_the_object_takes(path: str) -> None:
    read, found = signatures.of_path(path), signatures.of_object(lookup.load(path))
    assert read is not None
    assert (list(read.arguments), read.takes_any, read.positional) == (
        list(found.arguments), found.takes_any, found.positional
    )  # fmt: skip
    for name, argument in read.arguments.items():
        if argument.default is not UNKNOWN:
            assert argument.default == found.arguments[name].default
            assert type(argument.default) is type(found.arguments[name].default)
        assert argument.kind == found.arguments[name].kind
    assert {name for name, argument in read.arguments.items() if argument.default is UNKNOWN} <= {"dtype"}


@pytest.mark.parametrize("path", [*DATASETS.values(), *SOURCES.values()])
def test_a_function_is_read_too(path: str) -> None:
    read, found = signatures.of_path(path), signatures.of_object(lookup.load(path))
    assert read is not None
    assert (list(read.arguments), read.takes_any) == (list(found.arguments), found.takes_any)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def test_all_forms_of_arguments_are_read(own: Path) -> None:
    for name in ("Plain", "Child"):
        found = signatures.of_path(f"{own}:{name}")
        assert found is not None
        assert found.takes_any
        assert found.positional == ("a", "b", "c")
        assert found.arguments == {
            "a": Argument("", REQUIRED),
            "b": Argument("'int'", REQUIRED),
            "c": Argument("float", -0.5),
            "d": Argument("str", UNKNOWN, keyword_only=True),
            "e": Argument("", (1, 2), keyword_only=True),
        }
    function = signatures.of_path(f"{own}:function")
    assert function is not None
    assert list(function.arguments) == ["x", "y"]


@pytest.mark.parametrize("name", ["OfTfcore", "Grandchild"])
def test_a_base_class_of_tfcore_is_followed(own: Path, name: str) -> None:
    assert signatures.of_path(f"{own}:{name}") == signatures.of_path("tfcore.optimizers.adam:Adam")
    assert signatures.of_path("tfcore.optimizers:Adam") == signatures.of_path("tfcore.optimizers.adam:Adam")


@pytest.mark.parametrize("name", ["Unfollowed", "Nothing", "Missing", "SIZE", "Circle"])
def test_what_the_source_does_not_say_is_unknown(own: Path, name: str) -> None:
    assert signatures.of_path(f"{own}:{name}") is None


@pytest.mark.parametrize("content", [b"class A(:\n", b"\xff\xfe", b"\0", b"(" * 5000])
def test_a_file_that_is_no_python_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.py").write_bytes(content)
    assert signatures.of_path(f"{tmp_path / 'bad.py'}:A") is None
    for place in (f"{tmp_path / 'nowhere.py'}:A", "no.such.module:A", f"{tmp_path}:A", "json.decoder.x:A", "name"):
        assert signatures.of_path(place) is None


def test_an_edited_file_is_read_again(own: Path) -> None:
    assert signatures.of_path(f"{own}:function") is not None
    own.write_text("def other(z): pass\n")
    assert signatures.of_path(f"{own}:function") is None


def test_no_file_is_run(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def f(a): pass\nraise SystemExit\n")
    found = signatures.of_path(f"{tmp_path / 'own.py'}:f")
    assert found is not None
    assert list(found.arguments) == ["a"]


def test_the_keys_of_a_typed_dict_are_read() -> None:
    from tfcore.optimizers.chain import Chain

    assert signatures.annotated("tfcore.optimizers.chain:Chain") == tuple(Chain.__annotations__)
    assert signatures.annotated("tfcore.optimizers.chain:NoSuchClass") == ()


@pytest.mark.parametrize(
    ("annotation", "default", "kind"),
    [
        ("int", REQUIRED, Kind(int, int)),
        ("'float'", REQUIRED, Kind(float, float)),
        ("bool", 3, Kind(bool, bool)),
        ("str", REQUIRED, Kind(str, str)),
        ("int | None", REQUIRED, Kind(int, int, optional=True)),
        ("Optional[float]", REQUIRED, Kind(float, float, optional=True)),
        ("typing.Optional[int]", REQUIRED, Kind(int, int, optional=True)),
        ("int | float", 3, Kind(float, float)),
        ("int", None, Kind(int, int, optional=True)),
        ("tuple[int, ...]", REQUIRED, Kind(tuple, int)),
        ("tuple[float, float] | None", None, Kind(tuple, float, optional=True)),
        ("collections.abc.Sequence[int]", REQUIRED, Kind(tuple, int)),
        ("List[float]", REQUIRED, Kind(tuple, float)),
        ("tuple", (3, 3), Kind(tuple, int)),
        ("", 3, Kind(int, int)),
        ("", True, Kind(bool, bool)),
        ("", 0.5, Kind(float, float)),
        ("", "relu", Kind(str, str)),
        ("", [3, 0.5], Kind(tuple, float)),
        ("Literal['a', 'b']", "a", Kind(str, str)),
        ("", REQUIRED, None),
        ("", None, None),
        ("", UNKNOWN, None),
        ("", (), None),
        ("", ("a",), None),
        ("Callable[[int], int]", REQUIRED, None),
        ("dict[str, int]", REQUIRED, None),
    ],
)
def test_the_kind_is_that_of_the_annotation_or_else_of_the_default(annotation: str, default: Any, kind: Any) -> None:
    assert Argument(annotation, default).kind == kind


class Finder:
    """Finds one package, which is not on the path, as an editable installation does."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        del path, target
        if name != self._name:
            return None
        return spec_from_file_location(
            name, self._folder / "__init__.py", submodule_search_locations=[str(self._folder)]
        )


def test_a_package_that_only_a_finder_of_its_own_finds_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "installed elsewhere"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('was imported')\n")
    (package / "rules.py").write_text("class Own:\n    def __init__(self, learning_rate=0.25): pass\n")
    assert signatures.of_path("own_rules.rules:Own") is None
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder("own_rules", package)])
    found = signatures.of_path("own_rules.rules:Own")
    assert found is not None
    assert found.arguments == {"learning_rate": Argument("", 0.25)}
