"""`convert`: writes a data set as text, .npz or PNG files."""

from pathlib import Path

from tfcore import checks
from tfcore.build.data import load_dataset
from tfcore.build.tables import check_names
from tfcore.cli import flags
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.files import refuse_existing


def run(parsed: flags.Parsed) -> int:
    """Writes the files, prints one line about them, and returns the exit status."""
    from tfcore.data import writers

    options = parsed.options
    for name, example in (("dataset", "cifar10"), ("out", "PATH")):
        if not options[name]:
            raise ConfigError(f"Give --{name}={example}.")
    checks.one_of("format", options["format"], tuple(writers.FORMATS))
    settings = {name: options[name] for name in ("dataset", "data_dir", "train_examples", "test_examples")}
    config = RunConfig(**parsed.given, **{name: value for name, value in settings.items() if value})  # 0: all
    check_names(config)
    out = Path(options["out"]).expanduser()
    refuse_existing(out)  # before a data set is downloaded
    data = load_dataset(config)
    writers.write(data, options["format"], out)
    shape = "x".join(map(str, data.image_shape))
    print(
        f"{out}: {len(data.train):,} training and {len(data.test):,} test pictures of {shape} in {data.classes} classes"
    )
    return 0
