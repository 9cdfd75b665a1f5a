"""`predict`: classifies picture files."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcore import checks
from tfcore.architecture import Architecture
from tfcore.build import importing
from tfcore.build.configuration import of_run
from tfcore.cli import flags
from tfcore.errors import ConfigError, DataError
from tfcore.use import loading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Found(NamedTuple):
    """A picture, its file, its number if the file holds several, and notes on its conversion."""

    pixels: "NDArray[np.uint8]"  # [H, W, C]
    file: str
    number: int | None
    notes: tuple[str, ...]


def run(parsed: flags.Parsed) -> int:
    """Prints the most probable classes of every picture and returns the exit status."""
    options = parsed.options
    _check(options, parsed.arguments)
    if options["run_dir"]:
        of_run(Path(options["run_dir"]))  # raises if there is no run
    importing.import_tensorflow_for_good()
    import numpy as np

    path = options["run_dir"] or options["model_path"]
    model = loading.load(path, checkpoint=options["checkpoint"], average=options["average"])
    pictures, skipped = _read(parsed.arguments, model.architecture, skip=options["skip_bad_pictures"])
    predictions = model.predict(np.stack([picture.pixels for picture in pictures]), top=options["top"])
    log = sys.stderr if options["json"] else sys.stdout
    for picture, classes in zip(pictures, predictions, strict=True):
        print(_line(picture, classes), file=log)
    if skipped:
        reasons = map(checks.escaped, skipped.values())
        print(f"{len(skipped)} of {len(parsed.arguments)} files skipped:", *reasons, sep="\n  ", file=sys.stderr)
    if options["json"]:
        entries = [_entry(picture, classes) for picture, classes in zip(pictures, predictions, strict=True)]
        print(json.dumps({"pictures": entries, "skipped": skipped}))
    return 0


def _check(options: Mapping[str, Any], arguments: Sequence[str]) -> None:
    """Raises ConfigError on flags that are missing or contradict each other."""
    if bool(options["run_dir"]) == bool(options["model_path"]):
        raise ConfigError("Name one model: --run_dir=runs/NAME, or --model_path of an exported one.")
    if not arguments:
        raise ConfigError("Name the pictures: tfcore predict --run_dir=runs/NAME cat.png dog.jpg.")
    checks.positive_integer("top", options["top"])
    loading.check_checkpoint(options["checkpoint"])


def _read(names: Sequence[str], architecture: Architecture, *, skip: bool) -> tuple[list[_Found], dict[str, str]]:
    """Reads all pictures; also returns the reason for every skipped file."""
    found: list[_Found] = []
    skipped: dict[str, str] = {}
    for name in names:
        try:
            found += _pictures(name, architecture)
        except DataError as error:
            if not skip:
                raise
            skipped[name] = str(error)
    if not found:
        raise DataError(f"None of the {len(names)} files can be used: {next(iter(skipped.values()))}")
    return found, skipped


def _pictures(name: str, architecture: Architecture) -> Iterator[_Found]:
    """Yields the pictures of one file."""
    from tfcore.data import encoded, pictures, windows

    shown = pictures.shown(name)
    if Path(name).suffix.lower() in pictures.ARRAYS:
        images = pictures.read_pictures(name, architecture.image_shape)
        yield from (_Found(image, shown, number, ()) for number, image in enumerate(images))
    else:
        pixels, notes = encoded.read_picture(name, architecture.image_shape, windows.fit(architecture.image_fit))
        yield _Found(pixels, shown, None, notes)


def _line(picture: _Found, classes: Sequence[tuple[str, float]]) -> str:
    place = picture.file if picture.number is None else f"{picture.file}[{picture.number}]"
    notes = f" ({'; '.join(picture.notes)})" if picture.notes else ""
    return f"{place}: {', '.join(f'{name} {probability:.4f}' for name, probability in classes)}{notes}"


def _entry(picture: _Found, classes: Sequence[tuple[str, float]]) -> dict[str, Any]:
    number = {} if picture.number is None else {"number": picture.number}
    named = [{"name": name, "probability": probability} for name, probability in classes]
    return {"file": picture.file, **number, "classes": named, "notes": list(picture.notes)}
