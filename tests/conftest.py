"""What all tests share: the same surroundings on every machine, the marks, and the real data sets."""

import os
import pathlib
from collections.abc import Iterator

import hypothesis
import pytest
from support import marks, surroundings

surroundings.make_neutral()  # no conftest and no plugin imports TensorFlow before this
from support import drawn  # noqa: E402

import tfcore  # noqa: E402, F401 - chooses oneDNN for every test, whether or not it imports TensorFlow first
from tfcore.data.sources import shapes  # noqa: E402

# The first example of a property may trace a graph, which takes longer than hypothesis allows one by default.
hypothesis.settings.register_profile("tfcore", deadline=None)
hypothesis.settings.load_profile("tfcore")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Adds the marks that tests get by rule; first, since pytest's own `-m` selection happens in the same hook.

    Files of long tests come first, so that at the end no worker waits for one of them.
    """
    items.sort(key=lambda item: item.path.parent.name not in ("end_to_end", "reliability"))
    marks.mark_real_data(items)
    marks.mark_thorough(items)


@pytest.fixture(scope="module", autouse=True)
def drawn_shapes() -> Iterator[None]:
    """Draws `shapes` once per process; a file that tests the drawing itself replaces this fixture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "draw", drawn.draw)
        yield


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """The folder that holds `mnist/` and `cifar-10-batches-bin/`."""
    value = os.environ.get("TFCORE_DATA_DIR", "")
    if not value:
        pytest.fail(
            "Set TFCORE_DATA_DIR to a folder that holds mnist/ and cifar-10-batches-bin/, or leave these tests out: "
            '-m "not real_data".'
        )
    folder = pathlib.Path(value)
    for name in ("mnist", "cifar-10-batches-bin"):
        if not (folder / name).is_dir():
            pytest.fail(
                f"TFCORE_DATA_DIR is {folder}, where there is no folder {name}/. It must hold the published files."
            )
    return folder
