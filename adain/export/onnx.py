"""Networks as ONNX files, for engines that need no Keras.

Two files: `encode.onnx`, a picture to its levels and their statistics; `decode.onnx`, those and a
style's statistics to a picture. Together they hold every weight once. Inside, tensors are
`(batch, channels, h, w)`, which is what engines are fast with; pictures are `(1, h, w, 3)`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import layers

from adain import __version__
from adain.constants import EPSILON
from adain.networks.layers import (
    BilinearUpsampling2D,
    DepthToSpace,
    Modulation,
    NearestUpsampling2D,
    ReflectionPadding2D,
)
from adain.networks.model import StyleTransfer
from adain.presets import preset as presets
from adain.presets.architecture import ARCHITECTURES

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise ImportError("Exporting needs onnx: pip install onnx") from error

OPSET = 17
IR_VERSION = 8


def export_onnx(model: StyleTransfer, folder: str | Path) -> dict[str, str]:
    """Write `encode.onnx` and `decode.onnx`.

    Args:
        model: What to export.
        folder: Where to; it is made if need be.

    Returns:
        SHA-256 of each file.

    Raises:
        ValueError: If the networks hold layers that cannot be exported.
    """
    graphs = {"encode": _encode_graph(model), "decode": _decode_graph(model)}
    return {
        f"{name}.onnx": presets.write_file(Path(folder) / f"{name}.onnx", graph.serialize())
        for name, graph in graphs.items()
    }


def _encode_graph(model: StyleTransfer) -> _Graph:
    graph = _Graph("encode")
    x = graph.input("image", (1, "height", "width", 3), TensorProto.UINT8)
    x = graph.add("Transpose", [x], perm=[0, 3, 1, 2])
    x = graph.add("Cast", [x], to=TensorProto.FLOAT)
    x = graph.add("Mul", [x, graph.constant(1 / 255)])
    count = ARCHITECTURES[model.architecture].levels
    levels = graph.apply(model.encoder, [x])[-count:]
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


def _decode_graph(model: StyleTransfer) -> _Graph:
    graph = _Graph("decode")
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
        graph.add("Split", [x, graph.integers(widths)], outputs=len(widths), axis=1)
        for x in (scale, shift)
    )
    targets = [
        graph.add("Add", [graph.add("Mul", [level, by]), plus])
        for level, by, plus in zip(names, scales, shifts, strict=True)
    ]
    if len(model.decoder.inputs) > len(widths):
        targets.append(graph.add("Concat", [wanted_mean, wanted_std, *changes], axis=1))
    (x,) = graph.apply(model.decoder, targets)
    x = graph.add("Add", [graph.add("Mul", [x, graph.constant(255)]), graph.constant(0.5)])
    x = graph.add("Clip", [x, graph.constant(0), graph.constant(255)])
    x = graph.add("Cast", [x], to=TensorProto.UINT8)
    x = graph.add("Transpose", [x], perm=[0, 2, 3, 1])
    graph.output(x, "picture", (1, "height", "width", 3), TensorProto.UINT8)
    return graph


class _Graph:
    """An ONNX graph being written; tensors are known by their names."""

    def __init__(self, name: str):
        self._name = name
        self._inputs: list = []
        self._outputs: list = []
        self._nodes: list = []
        self._initializers: list = []

    def _new(self, kind: str) -> str:
        return f"{kind.lower()}_{len(self._nodes) + len(self._initializers)}"

    def input(self, name: str, shape: tuple, kind: int = TensorProto.FLOAT) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, tensor: str, name: str, shape: tuple, kind: int = TensorProto.FLOAT) -> None:
        self._nodes.append(helper.make_node("Identity", [tensor], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def add(self, kind: str, inputs, outputs: int = 0, **attributes):
        """Append a node; the name of its output, or a list of `outputs` names."""
        name = self._new(kind)
        names = [f"{name}_{i}" for i in range(outputs)] or [name]
        self._nodes.append(helper.make_node(kind, list(inputs), names, name=name, **attributes))
        return names if outputs else name

    def constant(self, values) -> str:
        return self._keep(np.asarray(values, "float32"))

    def integers(self, values) -> str:
        return self._keep(np.asarray(values, "int64"))

    def weights(self, values: np.ndarray) -> str:
        """Half precision in the file, as in the presets; engines widen it as they load it."""
        return self.add("Cast", [self._keep(values.astype("float16"))], to=TensorProto.FLOAT)

    def _keep(self, array: np.ndarray) -> str:
        name = self._new("constant")
        self._initializers.append(numpy_helper.from_array(array, name))
        return name

    def apply(self, network: keras.Model, inputs: list[str]) -> list[str]:
        """Append a Keras network, layer by layer."""
        names = {id(tensor): name for tensor, name in zip(network.inputs, inputs, strict=True)}
        for layer in network.layers:
            if isinstance(layer, layers.InputLayer):
                continue
            write = _WRITERS.get(type(layer))
            if write is None:
                raise ValueError(f"{layer.name}: a {type(layer).__name__} cannot be exported.")
            tensors = layer.input if isinstance(layer.input, list) else [layer.input]
            names[id(layer.output)] = write(self, layer, *(names[id(x)] for x in tensors))
        return [names[id(tensor)] for tensor in network.outputs]

    def serialize(self) -> bytes:
        graph = helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, self._initializers
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="adain",
            producer_version=__version__,
        )
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)


# === Layers: each writes itself and gives the name of its output ===


def _write_conv(graph: _Graph, layer, x: str) -> str:
    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in (layer.kernel, layer.bias))
    weights = [graph.weights(kernel.transpose(3, 2, 0, 1)), graph.weights(bias)]
    x = graph.add("Conv", [x, *weights], kernel_shape=kernel.shape[:2], strides=layer.strides)
    return _write_activation(graph, layer, x)


def _write_separable_conv(graph: _Graph, layer, x: str) -> str:
    depthwise, pointwise, bias = map(keras.ops.convert_to_numpy, layer.weights)
    channels = depthwise.shape[2]
    x = graph.add("Conv", [x, graph.weights(depthwise.transpose(2, 3, 0, 1))], group=channels)
    weights = [graph.weights(pointwise.transpose(3, 2, 0, 1)), graph.weights(bias)]
    return _write_activation(graph, layer, graph.add("Conv", [x, *weights]))


def _write_dense(graph: _Graph, layer, x: str) -> str:
    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in (layer.kernel, layer.bias))
    # A convolution of one pixel, so that everything keeps its layout.
    weights = [graph.weights(kernel.T[:, :, None, None]), graph.weights(bias)]
    return _write_activation(graph, layer, graph.add("Conv", [x, *weights]))


def _write_activation(graph: _Graph, layer, x: str) -> str:
    if layer.activation is keras.activations.relu:
        return graph.add("Relu", [x])
    if layer.activation is keras.activations.linear:
        return x
    raise ValueError(f"{layer.name}: activation {layer.activation} cannot be exported.")


def _write_padding(graph: _Graph, layer, x: str) -> str:
    pads = graph.integers([0, 0, *[layer.padding] * 2] * 2)
    return graph.add("Pad", [x, pads], mode="reflect")


def _write_nearest(graph: _Graph, layer, x: str) -> str:
    how = {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    return graph.add("Resize", [x, "", graph.constant([1, 1, 2, 2])], mode="nearest", **how)


def _write_bilinear(graph: _Graph, layer, x: str) -> str:
    how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return graph.add("Resize", [x, "", graph.constant([1, 1, 2, 2])], **how)


def _write_modulation(graph: _Graph, layer, x: str, change: str) -> str:
    scale, shift = graph.add("Split", [change], outputs=2, axis=1)
    scale = graph.add("Add", [scale, graph.constant(1)])
    return graph.add("Add", [graph.add("Mul", [x, scale]), shift])


def _write_depth_to_space(graph: _Graph, layer, x: str) -> str:
    return graph.add("DepthToSpace", [x], blocksize=layer.factor)


def _write_rescaling(graph: _Graph, layer, x: str) -> str:
    x = graph.add("Mul", [x, graph.constant(layer.scale)])
    return graph.add("Add", [x, graph.constant(layer.offset)])


_WRITERS: dict[type, Callable[..., str]] = {
    layers.Conv2D: _write_conv,
    layers.SeparableConv2D: _write_separable_conv,
    layers.Dense: _write_dense,
    layers.ReLU: lambda graph, layer, x: graph.add("Relu", [x]),
    layers.Add: lambda graph, layer, x, y: graph.add("Add", [x, y]),
    layers.Rescaling: _write_rescaling,
    layers.MaxPooling2D: lambda graph, layer, x: graph.add(
        "MaxPool", [x], kernel_shape=layer.pool_size, strides=layer.strides
    ),
    ReflectionPadding2D: _write_padding,
    NearestUpsampling2D: _write_nearest,
    BilinearUpsampling2D: _write_bilinear,
    Modulation: _write_modulation,
    DepthToSpace: _write_depth_to_space,
}
