"""Whole stylisers as single graphs: pictures of any size, and vectors, in; pictures out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from adain.export.tensors import GraphTensor, insert, prune, transpose
from adain.imaging.transport import transport_rows
from adain.inference.photo import SAMPLES
from adain.presets.architecture import Architecture
from adain.presets.graphs import Graph


def combine(graphs: Mapping[str, Graph], architecture: Architecture) -> dict[str, Graph]:
    """What other programs run, put together from a preset's graphs.

    Args:
        graphs: Those of the preset (`presets.graphs`).
        architecture: Its architecture.

    Returns:
        `"style"`, a picture to `style_mean` and `style_std`, `(channels of all levels,)`,
        `palette_mean` `(3,)` and `palette_covariance` `(3, 3)`; and `"stylize"`, `content`, those
        four, `alpha` and `palette` `(1,)` to `picture`. Pictures are `(1, height, width, 3)`
        uint8, of any size; all else is float32.
    """
    return {
        "style": _style_graph(graphs, architecture.stride),
        "stylize": _stylize_graph(graphs, architecture.stride),
    }


def _style_graph(graphs: Mapping[str, Graph], stride: int) -> Graph:
    graph = Graph()
    image = _picture(graph, "style")
    _, encoded = _encode(graphs, image, stride)
    width = graphs["decode"].inputs[-2][2][1]
    for name in ("mean", "std"):
        vector = GraphTensor(graph, encoded[name]).reshape(-1)
        graph.output(vector.name, f"style_{name}", (width,))
    mean, covariance = _palette(image * (1 / 255))
    graph.output(mean.reshape(3).name, "palette_mean", (3,))
    graph.output(covariance.name, "palette_covariance", (3, 3))
    return prune(graph)


def _stylize_graph(graphs: Mapping[str, Graph], stride: int) -> Graph:
    graph = Graph()
    image = _picture(graph, "content")
    size, encoded = _encode(graphs, image, stride)
    width = graphs["decode"].inputs[-2][2][1]
    given = {
        name: GraphTensor(graph, graph.input(name, shape))
        for name, shape in {
            "style_mean": (width,),
            "style_std": (width,),
            "palette_mean": (3,),
            "palette_covariance": (3, 3),
            "alpha": (1,),
            "palette": (1,),
        }.items()
    }
    inputs = encoded | {
        name: given[name].reshape(1, -1, 1, 1).name for name in ("style_mean", "style_std", "alpha")
    }
    decoded = insert(graph, graphs["decode_float"], "decode", inputs)
    picture = GraphTensor(graph, decoded["picture"])
    picture = picture.apply("Slice", np.array([0, 0]), size, np.array([1, 2]))
    mean, covariance = _palette(_sample(picture, size))
    # An alpha below 1 makes the move as much less.
    share = given["palette"] * given["alpha"].apply("Clip", 0.0, 1.0)
    target = given["palette_mean"].reshape(1, 3), given["palette_covariance"]
    moving = transport_rows((mean, covariance), target, share.reshape(1, 1), transpose)
    matrix, offset = (part * 255.0 for part in moving)
    rows = picture.reshape(-1, 3) @ matrix + (offset + 0.5)
    shape = _join(np.array([1]), size, np.array([3]))
    picture = rows.apply("Clip", 0.0, 255.0).apply("Reshape", shape).cast("uint8")
    graph.output(picture.name, "picture", (1, "height", "width", 3), "uint8")
    return prune(graph)


def _picture(graph: Graph, name: str) -> GraphTensor:
    """An input of grey levels, as float32."""
    image = graph.input(name, (1, "height", "width", 3), "uint8")
    return GraphTensor(graph, image).cast("float32")


def _encode(
    graphs: Mapping[str, Graph], image: GraphTensor, stride: int
) -> tuple[GraphTensor, dict[str, str]]:
    """A picture's size, and its levels and their statistics, padded as `pixels.pad` does."""
    size = image.apply("Shape").apply("Slice", np.array([1]), np.array([3]))
    # -size modulo stride; runtimes differ in what that is of negative numbers.
    missing = (size * (stride - 1)).apply("Mod", np.array(stride))
    sides = (size + missing).apply("Max", np.array(2 * stride))
    for axis in range(2):
        side, padded = (sizes.apply("Gather", np.array(axis)) for sizes in (size, sides))
        image = image.apply("Gather", _reflect(side, padded), axis=axis + 1)
    return size, insert(image.graph, graphs["encode_float"], "encode", {"image": image.name})


def _reflect(side: GraphTensor, padded: GraphTensor) -> GraphTensor:
    """Where each of `padded` rows comes from, of `side`: there and back, as often as it takes."""
    graph = side.graph
    start, step = (graph.constant(number, "int64") for number in range(2))
    period = ((side - 1) * 2).apply("Max", np.array(1))
    place = GraphTensor(graph, graph.add("Range", [start, padded.name, step]))
    place = place.apply("Mod", period)
    return place.apply("Min", period - place)


def _sample(picture: GraphTensor, size: GraphTensor) -> GraphTensor:
    """Every n-th pixel of every n-th row, as `Photo.palettes` takes them."""
    height, width = (
        size.apply("Slice", np.array([number]), np.array([number + 1])).cast("float32")
        for number in range(2)
    )
    step = (height * width * (1 / SAMPLES)) ** 0.5
    step = step.apply("Max", np.ones(1)).cast("int64")
    axes, steps = np.array([1, 2]), _join(step, step)
    return picture.apply("Slice", np.array([0, 0]), size, axes, steps)


def _palette(picture: GraphTensor) -> tuple[GraphTensor, GraphTensor]:
    """Mean colour `(1, 3)` and covariance of `(1, h, w, 3)` in [0, 1]."""
    rows = picture.reshape(-1, 3)
    count = rows.apply("Shape").apply("Slice", np.array([0]), np.array([1])).cast("float32")
    mean = rows.apply("ReduceMean", axes=[0], keepdims=1)
    away = rows - mean
    return mean, transpose(away) @ away / count


def _join(*vectors: GraphTensor | np.ndarray) -> GraphTensor:
    """Integers, one vector after the other."""
    graph = next(vector.graph for vector in vectors if isinstance(vector, GraphTensor))
    names = [
        vector.name if isinstance(vector, GraphTensor) else graph.constant(vector, "int64")
        for vector in vectors
    ]
    return GraphTensor(graph, graph.add("Concat", names, axis=0))
