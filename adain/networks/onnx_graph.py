"""Keras networks to the graphs that other runtimes execute (`adain.presets.graphs`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import keras
from keras import layers

from adain.constants import EPSILON
from adain.networks.layers import (
    BilinearUpsampling2D,
    DepthToSpace,
    Modulation,
    NearestUpsampling2D,
    ReflectionPadding2D,
)
from adain.presets.architecture import ARCHITECTURES
from adain.presets.graphs import Graph

if TYPE_CHECKING:
    from adain.networks.model import StyleTransfer


def describe(model: StyleTransfer) -> dict[str, Graph]:
    """The graphs of a model.

    Returns:
        `"encode"`, a picture to its levels and their statistics; `"decode"`, those and a style's
        statistics to a picture; and both with pictures as float32 grey levels, unrounded, in place
        of uint8: `"encode_float"` and `"decode_float"`. One graph for both would cost every
        picture time.

    Raises:
        ValueError: If the networks hold a layer that has no counterpart in ONNX here.
    """
    return {
        "encode": _encode_graph(model, "uint8"),
        "decode": _decode_graph(model, "uint8"),
        "encode_float": _encode_graph(model, "float32"),
        "decode_float": _decode_graph(model, "float32"),
    }


def _encode_graph(model: StyleTransfer, dtype: str) -> Graph:
    graph = Graph()
    x = graph.input("image", (1, "height", "width", 3), dtype)
    x = graph.add("Transpose", [x], perm=[0, 3, 1, 2])
    if dtype != "float32":
        x = graph.cast(x, "float32")
    x = graph.add("Mul", [x, graph.constant(1 / 255)])
    count = ARCHITECTURES[model.architecture].levels
    levels = _apply(graph, "encoder", model.encoder, [x])[-count:]
    means, stds = [], []
    for level in levels:
        mean = graph.add("GlobalAveragePool", [level])
        away = graph.add("Sub", [level, mean])
        variance = graph.add("GlobalAveragePool", [graph.add("Mul", [away, away])])
        means.append(mean)
        stds.append(graph.add("Sqrt", [graph.add("Add", [variance, graph.constant(EPSILON)])]))
    for number, level in enumerate(levels, start=1):
        graph.output(level, f"level{number}", (1, "channels", f"height{number}", f"width{number}"))
    for name, parts in (("mean", means), ("std", stds)):
        graph.output(graph.add("Concat", parts, axis=1), name, (1, "all_channels", 1, 1))
    return graph


def _decode_graph(model: StyleTransfer, dtype: str) -> Graph:
    graph = Graph()
    *levels, mean, _, _, _, _ = model.decode_graph.inputs
    widths = [level.shape[-1] for level in levels]
    names = [
        graph.input(f"level{number}", (1, width, f"height{number}", f"width{number}"))
        for number, width in enumerate(widths, start=1)
    ]
    vectors = [
        graph.input(name, (1, mean.shape[-1], 1, 1))
        for name in ("mean", "std", "style_mean", "style_std")
    ]
    alpha = graph.input("alpha", (1, 1, 1, 1))
    own_mean, own_std, style_mean, style_std = vectors
    # The code wanted is the content's own, moved towards the style's: `x * scale + shift` then
    # takes one pass over the features.
    changes = [
        graph.add("Mul", [alpha, graph.add("Sub", pair)])
        for pair in ((style_mean, own_mean), (style_std, own_std))
    ]
    wanted_mean, wanted_std = (
        graph.add("Add", pair) for pair in zip((own_mean, own_std), changes, strict=True)
    )
    scale = graph.add("Div", [wanted_std, own_std])
    shift = graph.add("Sub", [wanted_mean, graph.add("Mul", [own_mean, scale])])
    scales, shifts = (
        graph.split("Split", [x, graph.constant(widths, "int64")], len(widths), axis=1)
        for x in (scale, shift)
    )
    targets = [
        graph.add("Add", [graph.add("Mul", [level, by]), plus])
        for level, by, plus in zip(names, scales, shifts, strict=True)
    ]
    if len(model.decoder.inputs) > len(widths):
        targets.append(graph.add("Concat", [wanted_mean, wanted_std, *changes], axis=1))
    (x,) = _apply(graph, "decoder", model.decoder, targets)
    x = graph.add("Mul", [x, graph.constant(255)])
    if dtype != "float32":
        x = graph.add("Add", [x, graph.constant(0.5)])
        x = graph.add("Clip", [x, graph.constant(0), graph.constant(255)])
        x = graph.cast(x, dtype)
    x = graph.add("Transpose", [x], perm=[0, 2, 3, 1])
    graph.output(x, "picture", (1, "height", "width", 3), dtype)
    return graph


def _apply(graph: Graph, part: str, network: keras.Model, inputs: Sequence[str]) -> list[str]:
    """Append a network, layer by layer; `part` is the name of its weight file."""
    names = {id(tensor): name for tensor, name in zip(network.inputs, inputs, strict=True)}
    for layer in network.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        write = _WRITERS.get(type(layer))
        if write is None:
            raise ValueError(f"{layer.name}: a {type(layer).__name__} cannot be exported.")
        tensors = layer.input if isinstance(layer.input, list) else [layer.input]
        weight = _weights_of(graph, part, layer)
        names[id(layer.output)] = write(graph, layer, weight, *(names[id(x)] for x in tensors))
    return [names[id(tensor)] for tensor in network.outputs]


def _weights_of(graph: Graph, part: str, layer: layers.Layer) -> Callable[..., str]:
    """`weight(name, axes)`: one of a layer's weights, its axes in that order, as a tensor."""
    shapes = {weight.name: tuple(weight.shape) for weight in layer.weights}

    def weight(name: str, axes: Sequence[int] = (0,), pixels: Sequence[int] = ()) -> str:
        shape = [shapes[name][axis] for axis in axes]
        return graph.weight(f"{part}/{layer.name}/{name}", axes, [*shape, *pixels])

    return weight


# === Layers: each appends itself and returns the name of its output ===


def _write_conv(graph: Graph, layer, weight, x: str) -> str:
    inputs = [x, weight("kernel", (3, 2, 0, 1)), weight("bias")]
    how = {"kernel_shape": list(layer.kernel_size), "strides": list(layer.strides)}
    return _write_activation(graph, layer, graph.add("Conv", inputs, **how))


def _write_separable_conv(graph: Graph, layer, weight, x: str) -> str:
    kernel = weight("depthwise_kernel", (2, 3, 0, 1))
    x = graph.add("Conv", [x, kernel], group=layer.input.shape[-1])
    x = graph.add("Conv", [x, weight("pointwise_kernel", (3, 2, 0, 1)), weight("bias")])
    return _write_activation(graph, layer, x)


def _write_dense(graph: Graph, layer, weight, x: str) -> str:
    # A convolution of one pixel, so that everything keeps its layout.
    x = graph.add("Conv", [x, weight("kernel", (1, 0), pixels=(1, 1)), weight("bias")])
    return _write_activation(graph, layer, x)


def _write_activation(graph: Graph, layer, x: str) -> str:
    if layer.activation is keras.activations.relu:
        return graph.add("Relu", [x])
    if layer.activation is keras.activations.linear:
        return x
    raise ValueError(f"{layer.name}: activation {layer.activation} cannot be exported.")


def _write_max_pooling(graph: Graph, layer, weight, x: str) -> str:
    how = {"kernel_shape": list(layer.pool_size), "strides": list(layer.strides)}
    return graph.add("MaxPool", [x], **how)


def _write_padding(graph: Graph, layer, weight, x: str) -> str:
    pads = graph.constant([0, 0, *[layer.padding] * 2] * 2, "int64")
    return graph.add("Pad", [x, pads], mode="reflect")


def _write_nearest(graph: Graph, layer, weight, x: str) -> str:
    how = {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    return graph.add("Resize", [x, "", graph.constant([1, 1, 2, 2])], mode="nearest", **how)


def _write_bilinear(graph: Graph, layer, weight, x: str) -> str:
    how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return graph.add("Resize", [x, "", graph.constant([1, 1, 2, 2])], **how)


def _write_modulation(graph: Graph, layer, weight, x: str, change: str) -> str:
    scale, shift = graph.split("Split", [change], 2, axis=1)
    scale = graph.add("Add", [scale, graph.constant(1)])
    return graph.add("Add", [graph.add("Mul", [x, scale]), shift])


def _write_rescaling(graph: Graph, layer, weight, x: str) -> str:
    x = graph.add("Mul", [x, graph.constant(layer.scale)])
    return graph.add("Add", [x, graph.constant(layer.offset)])


_WRITERS: dict[type, Callable[..., str]] = {
    layers.Conv2D: _write_conv,
    layers.SeparableConv2D: _write_separable_conv,
    layers.Dense: _write_dense,
    layers.ReLU: lambda graph, layer, weight, x: graph.add("Relu", [x]),
    layers.Add: lambda graph, layer, weight, x, y: graph.add("Add", [x, y]),
    layers.Rescaling: _write_rescaling,
    layers.MaxPooling2D: _write_max_pooling,
    ReflectionPadding2D: _write_padding,
    NearestUpsampling2D: _write_nearest,
    BilinearUpsampling2D: _write_bilinear,
    Modulation: _write_modulation,
    DepthToSpace: lambda graph, layer, weight, x: graph.add(
        "DepthToSpace", [x], blocksize=layer.factor
    ),
}
