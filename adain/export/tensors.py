"""Arithmetic that appends operations to a graph of ONNX."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from adain.presets.graphs import Graph


class GraphTensor:
    """A tensor of a graph; operators append operations.

    Args:
        graph: What to append to.
        name: Its name there.
    """

    __array_ufunc__ = None  # Or NumPy would apply `array * tensor` to each element.

    def __init__(self, graph: Graph, name: str):
        self.graph = graph
        self.name = name

    def apply(self, kind: str, *others: Any, **attributes: Any) -> GraphTensor:
        """Append an operation on this tensor and others; arrays and numbers become constants."""
        names = [self._name(other) for other in others]
        return GraphTensor(self.graph, self.graph.add(kind, [self.name, *names], **attributes))

    def cast(self, dtype: str) -> GraphTensor:
        return GraphTensor(self.graph, self.graph.cast(self.name, dtype))

    def reshape(self, *shape: int) -> GraphTensor:
        return self.apply("Reshape", np.array(shape))

    def _name(self, value: Any) -> str:
        if isinstance(value, GraphTensor):
            return value.name
        array = np.asarray(value)
        return self.graph.constant(array, "int64" if array.dtype.kind == "i" else "float32")

    def _reversed(self, kind: str, other: Any) -> GraphTensor:
        name = self.graph.add(kind, [self._name(other), self.name])
        return GraphTensor(self.graph, name)

    def __add__(self, other: Any) -> GraphTensor:
        return self.apply("Add", other)

    def __sub__(self, other: Any) -> GraphTensor:
        return self.apply("Sub", other)

    def __mul__(self, other: Any) -> GraphTensor:
        return self.apply("Mul", other)

    def __truediv__(self, other: Any) -> GraphTensor:
        return self.apply("Div", other)

    def __matmul__(self, other: Any) -> GraphTensor:
        return self.apply("MatMul", other)

    def __radd__(self, other: Any) -> GraphTensor:
        return self._reversed("Add", other)

    def __rsub__(self, other: Any) -> GraphTensor:
        return self._reversed("Sub", other)

    def __rmul__(self, other: Any) -> GraphTensor:
        return self._reversed("Mul", other)

    def __rmatmul__(self, other: Any) -> GraphTensor:
        return self._reversed("MatMul", other)

    def __pow__(self, exponent: float) -> GraphTensor:
        if exponent != 0.5:
            raise ValueError(f"`exponent` must be 0.5. Received: exponent={exponent}")
        return self.apply("Sqrt")


def transpose(matrix: GraphTensor) -> GraphTensor:
    return matrix.apply("Transpose", perm=[1, 0])


def insert(graph: Graph, part: Graph, name: str, inputs: dict[str, str]) -> dict[str, str]:
    """Append the operations of another graph.

    Args:
        graph: What to append to.
        part: What to append.
        name: What the names of its tensors begin with from now on.
        inputs: The tensors of `graph` that it takes, by the names of its inputs.

    Returns:
        Tensors by the names of its outputs.
    """
    names = {"": ""} | inputs

    def rename(tensor: str) -> str:
        return names.setdefault(tensor, f"{name}/{tensor}")

    for kind, sources, results, attributes in part.nodes:
        sources, results = (list(map(rename, tensors)) for tensors in (sources, results))
        graph.nodes.append((kind, sources, results, attributes))
    graph.constants |= {rename(tensor): value for tensor, value in part.constants.items()}
    graph.weights |= {rename(tensor): value for tensor, value in part.weights.items()}
    return {output: rename(output) for output, *_ in part.outputs}


def prune(graph: Graph) -> Graph:
    """The graph without what none of its outputs needs."""
    needed, nodes = {name for name, *_ in graph.outputs}, []
    for node in reversed(graph.nodes):
        _, sources, results, _ = node
        if needed.intersection(results):
            needed.update(sources)
            nodes.append(node)
    constants, weights = (
        {name: value for name, value in values.items() if name in needed}
        for values in (graph.constants, graph.weights)
    )
    return replace(graph, nodes=nodes[::-1], constants=constants, weights=weights)
