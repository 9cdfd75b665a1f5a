"""What the process that commands are forked from (forked.py) has done before: slow imports, and drawing `shapes`."""

import pathlib

from support import drawn

import tools.reliability.killed_runs.preload  # noqa: F401
from tfcore.data.sources import shapes

shapes.draw = drawn.draw
shapes.shapes(pathlib.Path())
