"""`doctor`: checks this machine, or all workers of a cluster, and says what to do before a training."""

import json
from pathlib import Path

from tfcore import checks
from tfcore.build import importing
from tfcore.cli import flags
from tfcore.data.download import data_dir
from tfcore.distribution.cluster import from_environment
from tfcore.doctor import local
from tfcore.workers import ALONE, Workers


def run(parsed: flags.Parsed) -> int:
    """Prints a line for each check; returns 1 if one of them found what will make a training fail."""
    folder, timeout = Path(parsed.options["folder"]), parsed.options["join_timeout"]
    timeout_secs, cluster = checks.duration_secs("join_timeout", timeout), from_environment()
    importing.import_tensorflow_for_good()
    workers: Workers = ALONE
    if cluster is not None:
        from tfcore.distribution.joined import join

        workers = join(cluster, timeout_secs=timeout_secs)
    with workers.watched():
        found = local.findings(folder, data_dir(parsed.options["data_dir"]))
        if workers.count > 1:
            from tfcore.doctor import together

            found += together.findings(workers, folder, found)
            workers.leave()
    if not workers.is_chief:
        return 0  # the chief tells what is wrong here
    _print(found, as_json=parsed.options["json"])
    return int(any(one.state == local.BAD for one in found))


def _print(found: list[local.Finding], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"findings": [one._asdict() for one in found]}))
        return
    for one in found:
        print(f"{one.state:<5} {one.what}." + (f" {one.todo}" if one.todo else ""))
