"""Runs a notebook's code cells one after another, without Jupyter: `python notebook.py PATH`.

As in Jupyter, `__main__` has no file and the source of a cell stands in no file either, and a cell's last expression is
printed. A kernel would need some thirty packages more, two of them compiled, for what this does with none.
"""

import ast
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def run(path: Path) -> None:
    """Runs the cells in a new `__main__`."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    main = sys.modules["__main__"] = ModuleType("__main__")
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            _run_cell("".join(cell["source"]), f"<cell {cell['id']}>", vars(main))


def _run_cell(source: str, name: str, namespace: dict[str, Any]) -> None:
    """Executes a cell; prints the value of an expression at its end."""
    body = ast.parse(source, name).body
    last = [body.pop()] if isinstance(body[-1], ast.Expr) else []
    exec(compile(ast.Module(body, []), name, "exec"), namespace)
    exec(compile(ast.Interactive(last), name, "single"), namespace)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
