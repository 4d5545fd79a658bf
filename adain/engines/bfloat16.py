"""Networks of OpenVINO in bfloat16: the products of convolutions alone, all else in float32.

OpenVINO itself would round every tensor to bfloat16's 8 bits. What convolutions give is then
normalised, and where a channel's mean is many times its deviation, rounding is as strong as what
remains. So three things are made otherwise, none of which changes what is computed:

- Sums leave convolutions in float32, and stay so until the next one. A convolution's result is of
  the type of what it is fused with: here a `Clamp` that nothing reaches. OpenVINO leaves in float32
  whatever leads to an output without a convolution between: each convolution's input becomes one.
- The decoder's convolutions get their input less its mean over the picture, whose share is added
  afterwards: `w * x = w * (x - m) + sum(w) m`.
- The first convolution gets the picture and its kernel in two parts, as `high + low`.
"""

from __future__ import annotations

import numpy as np

_BEYOND = 1e30
"""What no feature reaches."""


def round_products(network) -> None:
    """Prepare a network for the hint `bf16`, in place; it gets outputs, after its own.

    Args:
        network: An `openvino.Model` in float32: a graph of a preset.
    """
    from openvino import opset13 as op

    convolutions = [
        node
        for node in network.get_ordered_ops()
        if node.get_type_name() in ("Convolution", "GroupConvolution")
    ]
    encodes = network.inputs[0].any_name == "image"
    kept = []
    for number, node in enumerate(convolutions):
        source = _unpadded(node)
        readers, output = _with_bias(node)
        result = op.clamp(output, -_BEYOND, _BEYOND).output(0)
        if encodes and number == 0:
            source = _split(op, node, source)
        elif not encodes and _looks_around(node):
            source, share = _center(op, node, source)
            result = op.add(result, share).output(0)
        for reader in readers:
            reader.replace_source_output(result)
        if source.get_node().get_type_name() != "Parameter":
            ends = (np.zeros(4, "int64"), np.ones(4, "int64"), np.ones(4, "int64"))
            kept.append(op.slice(source, *ends, np.arange(4)).output(0))
    network.add_outputs(kept)


def _unpadded(node):
    source = node.input_value(0)
    before = source.get_node()
    return before.input_value(0) if before.get_type_name() == "Pad" else source


def _feed(op, node, source) -> None:
    """Give a convolution another input, padded as the one before."""
    before = node.input_value(0).get_node()
    if before.get_type_name() == "Pad":
        source = op.pad(source, before.input_value(1), before.input_value(2), "reflect").output(0)
    node.input(0).replace_source_output(source)


def _with_bias(node) -> tuple[list, object]:
    """Who reads a convolution's result, and that result; of one with a bias, after adding it."""
    output = node.output(0)
    readers = list(output.get_target_inputs())
    if len(readers) == 1 and readers[0].get_node().get_type_name() == "Add":
        add = readers[0].get_node()
        other = add.input_value(1 - readers[0].get_index()).get_partial_shape()
        if other.is_static and len(other) == 4 and other[2] == other[3] == 1:
            output = add.output(0)
            readers = list(output.get_target_inputs())
    return readers, output


def _looks_around(node) -> bool:
    return node.get_type_name() == "Convolution" and node.input_value(1).get_partial_shape()[3] != 1


def _center(op, node, source) -> tuple:
    """Take the mean off an input; returns what is left, and what the mean would have given."""
    kernel = node.input_value(1)
    mean = op.reduce_mean(source, np.array([2, 3]), keep_dims=True)
    centered = op.subtract(source, mean).output(0)
    _feed(op, node, centered)
    # (out, in) times (1, in): no matrix product, which would be rounded.
    sums = op.reduce_sum(kernel, np.array([2, 3]), keep_dims=False)
    row = op.reshape(mean, np.array([1, -1]), False)
    share = op.reduce_sum(op.multiply(sums, row), np.array([1]), keep_dims=False)
    return centered, op.reshape(share, np.array([1, -1, 1, 1]), False)


def _split(op, node, source):
    """Make a convolution one of `[high, low, high]` with `[high, high, low]`; returns the former.

    What is missing, `low * low`, is 2^-16 of the result.
    """
    picture, rest = _halves(op, source)
    kernel, kernel_rest = _halves(op, node.input_value(1))
    parts = op.concat([picture, rest, picture], 1).output(0)
    _feed(op, node, parts)
    kernels = op.concat([kernel, kernel, kernel_rest], 1)
    node.input(1).replace_source_output(kernels.output(0))
    return parts


def _halves(op, value) -> tuple:
    high = op.convert(op.convert(value, "bf16"), "f32")
    return high, op.subtract(value, high)
