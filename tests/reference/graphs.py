"""What a traced function's graph holds; imports nothing from tfcore."""

from typing import Any

CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def operations(traced: Any) -> set[str]:
    """The types of the operations of a concrete function, without those of the functions that it calls."""
    return {operation.type for operation in traced.graph.get_operations()}


def kernels(traced: Any) -> list[Any]:
    """The definitions of the functions that it calls and that XLA must compile, one for each call."""
    graph = traced.graph.as_graph_def()
    functions = {function.signature.name: function for function in graph.library.function}
    called = [functions[node.attr["f"].func.name] for node in graph.node if node.op in CALLS]
    return [function for function in called if function.attr["_XlaMustCompile"].b]
