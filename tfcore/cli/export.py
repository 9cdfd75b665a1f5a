"""`export`: writes a run's model in a format that other programs read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfcore import __version__, checks
from tfcore.build import importing
from tfcore.build.configuration import of_run
from tfcore.cli import flags
from tfcore.errors import ConfigError
from tfcore.export import files
from tfcore.files import appearing
from tfcore.training.run_folder import ARCHITECTURE
from tfcore.use import loading

_WEIGHTS = ("h5", "npz", "safetensors")  # single-file formats, with the architecture as metadata
_FORMATS = ("saved_model", *_WEIGHTS, "json")


def run(parsed: flags.Parsed) -> int:
    """Writes the file or folder, prints one line about it, and returns the exit status."""
    options = parsed.options
    _check(options)
    run_dir, out, kind = Path(options["run_dir"]), Path(options["out"]), options["format"]
    config = of_run(run_dir)
    architecture = loading.read_architecture(run_dir / ARCHITECTURE)
    if kind == "json":
        with appearing(out) as scratch:
            scratch.write_text(architecture.to_json(), encoding="utf-8")
        print(f"The architecture of {run_dir} is in {out}: {files.size_bytes(out):,} bytes.")
        return 0
    importing.import_tensorflow_for_good()
    step = loading.checkpoint_step(run_dir, config, options["checkpoint"])
    chosen = {"checkpoint": str(step), "average": options["average"]}
    if kind == "saved_model":
        from tfcore.export import saved_model

        model = loading.load(run_dir, **chosen)
        saved_model.write(out, model.module, model.architecture)
    else:
        from tfcore.export.weights import FORMATS

        metadata = {} if options["weights_only"] else {"architecture": architecture.to_json()}
        metadata |= {"step": str(step), "tfcore": __version__}
        FORMATS[kind].write(out, loading.read_weights(run_dir, **chosen), metadata)
    averages = "averaged weights of " if options["average"] else ""
    print(f"{averages}{run_dir} at step {step} is in {out}: {kind}, {files.size_bytes(out):,} bytes.")
    return 0


def _check(options: Mapping[str, Any]) -> None:
    """Raises ConfigError on flags that are missing or contradict each other."""
    kind, out = options["format"], Path(options["out"])
    checks.one_of("format", kind, _FORMATS)
    loading.check_checkpoint(options["checkpoint"])
    if not options["run_dir"]:
        raise ConfigError("Name the run to export: --run_dir=runs/NAME.")
    if not options["out"]:
        raise ConfigError("Name the file or folder to write: --out=PATH.")
    if options["weights_only"] and kind not in _WEIGHTS:
        raise ConfigError(f"--weights_only goes with --format={' or '.join(_WEIGHTS)}. Received {kind}.")
    if kind == "json" and (options["checkpoint"] or options["average"]):
        raise ConfigError("--format=json holds no weights: leave out --checkpoint and --average.")
    # `load` recognises formats by the ending.
    if kind == "saved_model" and out.suffix.removeprefix(".") in (*_WEIGHTS, "json"):
        raise ConfigError(
            f"--out={out} ends in {out.suffix}. Give --format={out.suffix.removeprefix('.')}, or a folder."
        )
    if kind != "saved_model" and out.suffix != f".{kind}":
        raise ConfigError(f"With --format={kind}, --out must end in .{kind}. Received {out}.")
