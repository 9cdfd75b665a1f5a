"""Contents of a traced function's graph, including called functions; imports nothing from tfcore."""

from collections.abc import Iterator
from typing import Any

CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def operations(traced: Any) -> set[str]:
    """Returns the operation types of a concrete function, without those of the kernels that it calls."""
    return {node.op for node, _ in _nodes(traced)}


def kernels(traced: Any) -> list[Any]:
    """Returns the definitions of the called functions that XLA must compile, one for each call."""
    return [kernel for _, kernel in _nodes(traced) if kernel is not None]


def _nodes(traced: Any) -> Iterator[tuple[Any, Any]]:
    """Yields each node with the definition of the kernel that it calls, or None."""
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
