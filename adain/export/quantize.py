"""Weights of graphs as 8-bit integers; arithmetic stays float32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from adain.presets.graphs import Graph

_SMALL = 1024
"""Weights of fewer numbers stay as they are: they are no share of a file."""


def quantize(graph: Graph, arrays: Mapping[str, np.ndarray]) -> tuple[Graph, dict[str, np.ndarray]]:
    """Store kernels as integers between -127 and 127, with one scale for each output channel.

    Args:
        graph: A graph.
        arrays: Its weights.

    Returns:
        The graph, with `DequantizeLinear` behind those weights, and the weights.
    """
    graph = replace(graph, constants=dict(graph.constants), nodes=list(graph.nodes))
    arrays, found = dict(arrays), {}
    for weight, *_ in graph.weights.values():
        array = arrays[weight]
        # Their last axis holds the output channels; of depthwise kernels it has one.
        if array.dtype == np.int8 or array.ndim < 2 or array.size < _SMALL or array.shape[-1] == 1:
            continue
        levels = np.abs(array).max(axis=tuple(range(array.ndim - 1)))
        scale = np.maximum(levels, np.finfo("float16").tiny) / 127
        arrays[weight] = np.rint(array / scale).astype("int8")
        found[weight] = scale.astype("float32")
    for number, (kind, sources, results, *_) in enumerate(graph.nodes):
        weight, axes, *_ = graph.weights.get(sources[0], ("", ()))
        if weight in found and kind == "Cast":
            scale = f"{sources[0]}/scale"
            graph.constants[scale] = ("float32", found[weight].tolist())
            how = {"axis": list(axes).index(len(axes) - 1)}
            graph.nodes[number] = ("DequantizeLinear", [sources[0], scale], results, how)
    return graph, arrays
