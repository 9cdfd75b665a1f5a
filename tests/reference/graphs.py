"""What a traced function's graph holds, calls of ordinary functions unfolded; imports nothing from tfcore."""

from collections.abc import Iterator
from typing import Any

CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def operations(traced: Any) -> set[str]:
    """The types of the operations of a concrete function, without those of the kernels that it calls."""
    return {node.op for node, _ in _nodes(traced)}


def kernels(traced: Any) -> list[Any]:
    """The definitions of the functions that it calls and that XLA must compile, one for each call."""
    return [kernel for _, kernel in _nodes(traced) if kernel is not None]


def _nodes(traced: Any) -> Iterator[tuple[Any, Any]]:
    """Each node with the definition of the kernel that it calls; None where it calls none."""
    graph = traced.graph.as_graph_def()
    functions = {function.signature.name: function for function in graph.library.function}
    waiting = list(graph.node)
    while waiting:
        node = waiting.pop(0)
        called = functions[node.attr["f"].func.name] if node.op in CALLS else None
        if called is None or called.attr["_XlaMustCompile"].b:
            yield node, called
        else:
            waiting += called.node_def
