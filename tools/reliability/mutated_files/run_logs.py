"""Mutates the logs of a resumed run: metrics.jsonl by lines, and event files by records."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from tfcore.training import run_log
from tools.reliability.mutated_files import mutate
from tools.reliability.mutated_files.reader import Files, Link, Pipe, Reader, Wrong, mutated, watched
from tools.reliability.mutated_files.run_folders import entry, odd_curves

STEP = 20  # the checkpoint that the logs are trimmed to
METRICS, EVENTS = "metrics.jsonl", "train/events.out.tfevents.0000000001.0.host.1"


def _record(event: bytes) -> bytes:
    length = struct.pack("<Q", len(event))
    return length + struct.pack("<I", masked_crc32c(length)) + event + struct.pack("<I", masked_crc32c(event))


def _events(draw: Random) -> list[bytes]:
    """The events of a file; the first one holds the version."""
    value = Summary.Value(tag="loss", simple_value=draw.random())
    made = [Event(step=step, wall_time=1.0, summary=Summary(value=[value])) for step in range(0, 50, 10)]
    return [event.SerializeToString() for event in (Event(file_version="brain.Event:2"), *made)]


def _files(draw: Random, bad: bool) -> Files:
    lines = [json.dumps(entry(draw, step)).encode() + b"\n" for step in range(0, 50, 10)]
    files: Files = {METRICS: b"".join(lines), EVENTS: b"".join(map(_record, _events(draw)))}
    if not bad:
        return files
    if draw.random() < 0.05:
        return {**files, draw.choice(list(files)): draw.choice((Pipe(), Link("/dev/zero"), Link("nowhere"), b""))}
    return mutated(draw, files, lambda name, text: odd_curves(draw, text) if name == METRICS else _odd_events(draw))


def _odd_events(draw: Random) -> bytes:
    events = _events(draw)
    records = [_record(event) for event in events]
    place = draw.randrange(len(records))
    match draw.randrange(7):
        case 0:
            records = mutate.rearrange(draw, records, [b"", draw.randbytes(12)])
        case 1:
            records[place] = _record(mutate.damage(draw, events[place]))
        case 2:  # a wrong length, with its checksum
            length = struct.pack("<Q", mutate.integer(draw, len(events[place]), 64))
            records[place] = length + struct.pack("<I", masked_crc32c(length)) + records[place][12:]
        case 3:
            records[place] = mutate.flip(draw, records[place])
        case 4:
            records[place] = _record(draw.choice((b"", bytes(10**5), draw.randbytes(30), b"\xff" * 20)))
        case 5:
            steps = (-1, 2**63 - 1, -(2**63), STEP, STEP + 1)
            records.append(_record(Event(step=draw.choice(steps), wall_time=float("nan")).SerializeToString()))
        case 6:
            return mutate.damage(draw, b"".join(records))
    return b"".join(records)


def _read(folder: Path, draw: Random, past: Callable[[], None]) -> None:  # noqa: ARG001 (all readers are called alike)
    with watched(run_log, "_event_stays", past):
        run_log.trim(folder, STEP)
    if (folder / METRICS).exists():
        for line in (folder / METRICS).read_bytes().split(b"\n")[:-1]:
            if not json.loads(line)["step"] <= STEP:
                raise Wrong(f"the line {line!r} was not removed")
    for step in _steps((folder / EVENTS).read_bytes()):
        if step > STEP:
            raise Wrong(f"the event of step {step} was not removed")


def _steps(data: bytes) -> list[int]:
    """The steps of all events in a rewritten file, which is complete."""
    steps, place = [], 0
    while place < len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        steps.append(Event.FromString(data[place + 12 : place + 12 + length]).step)
        place += 16 + length
    return steps


LOGS = Reader(_files, _read)
