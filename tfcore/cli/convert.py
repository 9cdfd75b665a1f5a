"""`convert`: writes a data set as text, .npz, PNG files or records."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcore import checks
from tfcore.build.data import load_dataset
from tfcore.build.tables import check_names
from tfcore.cli import flags
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.files import refuse_existing

if TYPE_CHECKING:
    from tfcore.data.dataset import Dataset

RECORDS = "records"


def run(parsed: flags.Parsed) -> int:
    """Writes the files, prints one line about them, and returns the exit status."""
    from tfcore.data import record_state, writers

    options = parsed.options
    for name, example in (("dataset", "cifar10"), ("out", "PATH")):
        if not options[name]:
            raise ConfigError(f"Give --{name}={example}.")
    checks.one_of("format", options["format"], (*writers.FORMATS, RECORDS))
    settings = {name: options[name] for name in ("dataset", "data_dir", "train_examples", "test_examples")}
    config = RunConfig(**parsed.given, **{name: value for name, value in settings.items() if value})  # 0: all
    check_names(config)
    as_records = options["format"] == RECORDS
    _refuse_settings(config, options)
    out = Path(options["out"]).expanduser()
    if not (as_records and record_state.is_unfinished(out)):
        refuse_existing(out)  # before a data set is downloaded
    data = load_dataset(config, as_files=as_records)
    if as_records:
        shape = _write_records(data, out, options)
    else:
        writers.write(data, options["format"], out)
        shape = "x".join(map(str, data.image_shape))
    print(
        f"{out}: {len(data.train):,} training and {len(data.test):,} test pictures of {shape} in {data.classes} classes"
    )
    return 0


def _refuse_settings(config: RunConfig, options: Mapping[str, Any]) -> None:
    """Raises ConfigError on a setting that the format does not use, or a negative one."""
    for name in ("shards", "size"):
        checks.not_negative(name, options[name])
        if options[name] and options["format"] != RECORDS:
            raise ConfigError(f"--{name} belongs to --format={RECORDS}. Leave it out.")
    for name in ("image_size", "image_fit"):
        if getattr(config, name) is not None and options["format"] == RECORDS:
            raise ConfigError(
                f"--format={RECORDS} keeps image files and not their pixels, and takes no --{name}. Leave it out, or "
                "shrink them with --size."
            )


def _write_records(data: "Dataset", out: Path, options: Mapping[str, Any]) -> str:
    """Writes the records, and returns the size of the pictures for a message."""
    from tfcore.data import record_writer
    from tfcore.terminal import progress

    with progress.bar(out.name, len(data.train) + len(data.test)) as advance:
        images = record_writer.write(
            data, out, shards=options["shards"] or None, shorter_side=options["size"] or None, advance=advance
        ).images
    return "x".join(map(str, (*images.size, images.channels))) if images.size else "different sizes"
