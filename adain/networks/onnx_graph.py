"""Keras networks to the graphs that other runtimes execute (`adain.presets.graphs`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import keras
from keras import layers

from adain.constants import NOISE
from adain.networks import compact
from adain.networks.layers import (
    QUIETED,
    Channels,
    ConditionalInstanceNormalization,
    NearestUpsampling2D,
    ReflectionPadding2D,
    UpsampledConv2D,
)
from adain.presets.architecture import ARCHITECTURES
from adain.presets.graphs import Graph

if TYPE_CHECKING:
    from adain.networks.model import StyleTransfer


class _Affine(NamedTuple):
    """What a convolution's result is multiplied by, and what is then added."""

    gain: float = 1
    offset: float = 0


_SAME = _Affine()


def describe(model: StyleTransfer) -> dict[str, Graph]:
    """The graphs of a model.

    Returns:
        `"encode"`, a picture to the levels and their statistics; `"decode"`, those and a style's
        statistics to a picture, uint8 both; `"encode_float"`, the same from float32 grey levels,
        and `"decode_float"`, to float32 in [0, 1]. One graph for both halves would cost every
        picture time. Of a decoder that normalises also
        `"measure"`, to the statistics that it normalises with, and `"decode_fixed"` and
        `"decode_fixed_float"`, which are given them.

    Raises:
        ValueError: If the networks hold a layer that has no counterpart in ONNX here.
    """
    graphs = {
        "encode": _encode_graph(model, "uint8"),
        "decode": _decode_graph(model, "uint8"),
        "encode_float": _encode_graph(model, "float32"),
        "decode_float": _decode_graph(model, "float32"),
    }
    facts = ARCHITECTURES[model.architecture]
    if facts.normalized:
        graphs["measure"] = _measure_graph(model)
        graphs["decode_fixed"] = _decode_graph(model, "uint8", fixed=True)
        graphs["decode_fixed_float"] = _decode_graph(model, "float32", fixed=True)
    return graphs


def _encode_graph(model: StyleTransfer, dtype: str) -> Graph:
    graph = Graph()
    x = graph.input("image", (1, "height", "width", 3), dtype)
    x = graph.add("Transpose", [x], perm=[0, 3, 1, 2])
    if dtype != "float32":
        x = graph.cast(x, "float32")
    x = graph.add("Mul", [x, graph.constant(1 / 255)])
    facts = ARCHITECTURES[model.architecture]
    levels = _apply(graph, "encoder", model.encoder, [x])[-facts.levels :]
    means, stds = [], []
    for level in levels:
        mean, variance = _moments(graph, level)
        means.append(mean)
        stds.append(_root(graph, variance, facts.epsilon))
    for number, level in enumerate(levels, start=1):
        graph.output(level, f"level{number}", (1, "channels", f"height{number}", f"width{number}"))
    for name, parts in (("mean", means), ("std", stds)):
        graph.output(graph.add("Concat", parts, axis=1), name, (1, "all_channels", 1, 1))
    return graph


def _decode_graph(model: StyleTransfer, dtype: str, fixed: bool = False) -> Graph:
    graph = Graph()
    targets = _transfer(graph, model)
    given = None
    if fixed:
        places = compact.places_of(model.decoder)
        count = max(place.stop for place in places.values())
        statistics = graph.input("statistics", (1, count, 1, 1))

        def given(layer, x):
            place = places[layer.name]
            return _slice(graph, statistics, place.start, place.stop)

    rounded = dtype != "float32"
    # The last convolution gives grey levels, which costs nothing.
    last = _Affine(255, 0.5) if rounded else _SAME
    (x,) = _apply(graph, "decoder", model.decoder, targets, given, last)
    if rounded:
        # Bytes are moved in a quarter of the time of floats.
        shuffle = graph.nodes.pop() if graph.nodes[-1][0] == "DepthToSpace" else None
        x = shuffle[1][0] if shuffle else x
        x = graph.add("Clip", [x, graph.constant(0), graph.constant(255)])
        x = graph.cast(x, dtype)
        x = graph.add(shuffle[0], [x], **shuffle[3]) if shuffle else x
    else:
        x = graph.add("Clip", [x, graph.constant(0), graph.constant(1)])
    x = graph.add("Transpose", [x], perm=[0, 2, 3, 1])
    graph.output(x, "picture", (1, "height", "width", 3), dtype)
    return graph


def _measure_graph(model: StyleTransfer) -> Graph:
    graph = Graph()
    targets = _transfer(graph, model)
    weight = graph.input("weight", (1, 1, "height", "width"))
    places, found, weights = compact.places_of(model.decoder), {}, {}

    def given(layer, x):
        place = places[layer.name]
        if place.stride not in weights:
            how = {name: [place.stride] * 2 for name in ("kernel_shape", "strides")}
            pooled = graph.add("AveragePool", [weight], **how)
            total = graph.add("GlobalAveragePool", [pooled])
            weights[place.stride] = graph.add("Div", [pooled, total])
        shares = weights[place.stride]
        mean, variance = _moments(graph, x, shares)
        # As `WeightedStatistics` has it.
        still = graph.add("Mul", [variance, graph.constant(-1 / NOISE)])
        still = graph.add("Relu", [graph.add("Add", [still, graph.constant(1)])])
        still = graph.add("Mul", [still, graph.constant(QUIETED)])
        std = graph.add("Add", [_root(graph, variance, layer.epsilon), still])
        found[place.start] = graph.add("Concat", [mean, std], axis=1)
        return found[place.start]

    # What comes after the last normalisation is left out by every runtime.
    _apply(graph, "decoder", model.decoder, targets, given)
    statistics = graph.add("Concat", [found[start] for start in sorted(found)], axis=1)
    graph.output(statistics, "statistics", (1, "statistics", 1, 1))
    return graph


def _moments(graph: Graph, x: str, shares: str | None = None) -> tuple[str, str]:
    """Means and variances of the channels, where pixels count alike or by their `shares`."""

    def share(tensor: str) -> str:
        return graph.add("Mul", [tensor, shares]) if shares else tensor

    mean = graph.add("GlobalAveragePool", [share(x)])
    away = graph.add("Sub", [x, mean])
    # Some runtimes add up pixel by pixel, and lose digits of what is large; of the small rest, few.
    shared = share(away)
    rest = graph.add("GlobalAveragePool", [shared])
    squares = graph.add("GlobalAveragePool", [graph.add("Mul", [away, shared])])
    variance = graph.add("Sub", [squares, graph.add("Mul", [rest, rest])])
    return graph.add("Add", [mean, rest]), graph.add("Relu", [variance])


def _transfer(graph: Graph, model: StyleTransfer) -> list[str]:
    """Append the decoder's inputs and AdaIN: what the decoder takes."""
    facts = ARCHITECTURES[model.architecture]
    widths = [output.shape[-1] for output in model.encoder.outputs[-facts.levels :]]
    names = [
        graph.input(f"level{number}", (1, width, f"height{number}", f"width{number}"))
        for number, width in enumerate(widths, start=1)
    ]
    vectors = [
        graph.input(name, (1, sum(widths), 1, 1))
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
    if len(model.decoder.inputs) > facts.levels:
        targets.append(graph.add("Concat", [wanted_mean, wanted_std], axis=1))
    return targets


def _apply(
    graph: Graph,
    part: str,
    network: keras.Model,
    inputs: Sequence[str],
    given: Callable[[layers.Layer, str], str] | None = None,
    last: _Affine = _SAME,
) -> list[str]:
    """Append a network, layer by layer.

    Args:
        graph: What to append to.
        part: Name of the network's weight file.
        network: It.
        inputs: Names of what it takes.
        given: A layer that normalises, and the name of its features, to that of the statistics to
            normalise with; None: their own.
        last: For what the last convolution gives.

    Returns:
        Names of what it gives.
    """
    final = [layer for layer in network.layers if layer.weights][-1]
    names = {id(tensor): name for tensor, name in zip(network.inputs, inputs, strict=True)}
    for layer in network.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        write = _WRITERS.get(type(layer))
        if write is None:
            raise ValueError(f"{layer.name}: a {type(layer).__name__} cannot be exported.")
        tensors = layer.input if isinstance(layer.input, list) else [layer.input]
        weight = _weights_of(graph, part, layer)
        values = [names[id(x)] for x in tensors]
        if given is not None and isinstance(layer, ConditionalInstanceNormalization):
            values.append(given(layer, values[0]))
        how = {"affine": last} if layer is final and last != _SAME else {}
        names[id(layer.output)] = write(graph, layer, weight, *values, **how)
    return [names[id(tensor)] for tensor in network.outputs]


def _weights_of(graph: Graph, part: str, layer: layers.Layer) -> Callable[..., str]:
    """`weight(name, axes)`: one of a layer's weights, its axes in that order, as a tensor."""
    shapes = {weight.name: tuple(weight.shape) for weight in layer.weights}

    def weight(name: str, axes: Sequence[int] = (0,), pixels: Sequence[int] = ()) -> str:
        shape = [shapes[name][axis] for axis in axes]
        return graph.weight(f"{part}/{layer.name}/{name}", axes, [*shape, *pixels])

    return weight


# === Layers: each appends itself and returns the name of its output ===


def _change(graph: Graph, tensor: str, gain: float, offset: float = 0) -> str:
    tensor = tensor if gain == 1 else graph.add("Mul", [tensor, graph.constant(gain)])
    return graph.add("Add", [tensor, graph.constant(offset)]) if offset else tensor


def _write_conv(graph: Graph, layer, weight, x: str, affine: _Affine = _SAME) -> str:
    inputs = [x, _change(graph, weight("kernel", (3, 2, 0, 1)), affine.gain)]
    if layer.use_bias:
        inputs.append(_change(graph, weight("bias"), *affine))
    how = {"kernel_shape": list(layer.kernel_size), "strides": list(layer.strides)}
    return _write_activation(graph, layer, graph.add("Conv", inputs, **how))


def _write_upsampled_conv(graph: Graph, layer, weight, x: str, affine: _Affine = _SAME) -> str:
    # Runtimes compute the kernel once, when they load the graph.
    *_, side, _, size, _ = layer.enlarging.shape
    channels, filters = layer.kernel.shape[2:]
    kernel = weight("kernel", (0, 1, 2, 3))

    def reshape(tensor, shape):
        return graph.add("Reshape", [tensor, graph.constant(shape, "int64")])

    enlarging = graph.constant(layer.enlarging.reshape(-1, size * size))
    kernel = reshape(kernel, [size * size, channels * filters])
    kernel = reshape(graph.add("MatMul", [enlarging, kernel]), [4, side, side, channels, filters])
    kernel = graph.add("Transpose", [kernel], perm=[0, 4, 3, 1, 2])
    kernel = reshape(kernel, [4 * filters, channels, side, side])
    pads = graph.constant([0, 0, *[layer.padding] * 2] * 2, "int64")
    x = graph.add("Pad", [x, pads], mode="reflect")
    inputs = [x, _change(graph, kernel, affine.gain)]
    if layer.use_bias:
        bias = reshape(_change(graph, weight("bias"), *affine), [1, filters])
        bias = graph.add("Expand", [bias, graph.constant([4, filters], "int64")])
        inputs.append(reshape(bias, [4 * filters]))
    x = graph.add("Conv", inputs, kernel_shape=[side, side])
    return graph.add("DepthToSpace", [x], blocksize=2)


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


def _write_normalization(graph: Graph, layer, weight, x: str, change: str, *given: str) -> str:
    scale, shift = graph.split("Split", [change], 2, axis=1)
    scale = graph.add("Add", [scale, graph.constant(1)])
    if given:
        mean, std = graph.split("Split", given, 2, axis=1)
        scale = graph.add("Div", [scale, std])
        shift = graph.add("Sub", [shift, graph.add("Mul", [mean, scale])])
    else:
        width = layer.input[0].shape[-1]
        inputs = [x, graph.constant([1] * width), graph.constant([0] * width)]
        x = graph.add("InstanceNormalization", inputs, epsilon=layer.epsilon)
    return graph.add("Add", [graph.add("Mul", [x, scale]), shift])


def _write_channels(graph: Graph, layer, weight, x: str) -> str:
    return _slice(graph, x, layer.start, layer.stop)


def _slice(graph: Graph, x: str, start: int, stop: int) -> str:
    ends = (graph.constant([number], "int64") for number in (start, stop, 1))
    return graph.add("Slice", [x, *ends])


def _root(graph: Graph, variance: str, epsilon: float) -> str:
    return graph.add("Sqrt", [graph.add("Add", [variance, graph.constant(epsilon)])])


def _write_rescaling(graph: Graph, layer, weight, x: str) -> str:
    x = graph.add("Mul", [x, graph.constant(layer.scale)])
    return graph.add("Add", [x, graph.constant(layer.offset)])


_WRITERS: dict[type, Callable[..., str]] = {
    layers.Conv2D: _write_conv,
    layers.SeparableConv2D: _write_separable_conv,
    layers.Dense: _write_dense,
    UpsampledConv2D: _write_upsampled_conv,
    layers.ReLU: lambda graph, layer, weight, x: graph.add("Relu", [x]),
    layers.Add: lambda graph, layer, weight, x, y: graph.add("Add", [x, y]),
    layers.Rescaling: _write_rescaling,
    layers.MaxPooling2D: _write_max_pooling,
    ReflectionPadding2D: _write_padding,
    NearestUpsampling2D: _write_nearest,
    ConditionalInstanceNormalization: _write_normalization,
    Channels: _write_channels,
}
