"""The graphs of a preset: its networks for runtimes other than Keras, without the weights.

`graphs.json` lists the operations of ONNX that a preset's networks consist of and names the
weights they use; the weights stay in `encoder.npz` and `decoder.npz`. `PresetGraphs.to_onnx` puts
the two together, so that no weight is stored twice and no runtime needs Keras or `onnx`.

Inside, tensors are `(batch, channels, h, w)`, the layout runtimes are fastest with; pictures are
`(1, h, w, 3)`.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adain.presets.preset import PARTS, Preset, PresetError

GRAPHS = "graphs.json"
OPSET = 17
IR_VERSION = 8

# Numbers of ONNX's own enumerations, TensorProto.DataType and AttributeProto.AttributeType.
_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int64": 7, "float16": 10}
_FLOAT, _INT, _STRING, _FLOATS, _INTS = 1, 2, 3, 6, 7

_VERSION = "1"
"""Changes with what `Graph.to_onnx` writes, so that no older file is taken for a new one."""

# What a file raises whose entries are of other kinds.
_DAMAGED = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError,
    struct.error,
)  # fmt: skip


@dataclass
class Graph:
    """One ONNX graph without its weights. Tensors are known by their names.

    `inputs` and `outputs` are lists of `(name, dtype, shape)`; sides that vary have names in place
    of numbers.
    """

    inputs: list = field(default_factory=list)
    outputs: list = field(default_factory=list)
    nodes: list = field(default_factory=list)
    """`(operation, names of inputs, names of outputs, attributes)`, in order."""
    constants: dict = field(default_factory=dict)
    """`{name: (dtype, value)}`; a value is a number or a list of numbers."""
    weights: dict = field(default_factory=dict)
    """`{name: (weight, order of axes, shape)}`; `decoder/conv1_1/kernel` is the array
    `conv1_1/kernel` of `decoder.npz`, which is transposed first and then reshaped."""

    # === Writing ===

    def _new(self, kind: str) -> str:
        return f"{kind.lower()}_{len(self.nodes) + len(self.constants) + len(self.weights)}"

    def input(self, name: str, shape: Sequence, dtype: str = "float32") -> str:
        self.inputs.append((name, dtype, list(shape)))
        return name

    def output(self, tensor: str, name: str, shape: Sequence, dtype: str = "float32") -> None:
        self.nodes.append(("Identity", [tensor], [name], {}))
        self.outputs.append((name, dtype, list(shape)))

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append an operation with one output, whose name is returned."""
        (name,) = self.split(kind, inputs, 1, **attributes)
        return name

    def split(self, kind: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """Append an operation with several outputs, whose names are returned."""
        name = self._new(kind)
        names = [name] if count == 1 else [f"{name}_{number}" for number in range(count)]
        self.nodes.append((kind, list(inputs), names, attributes))
        return names

    def constant(self, value: Any, dtype: str = "float32") -> str:
        name = self._new("constant")
        self.constants[name] = (dtype, np.asarray(value, dtype).tolist())
        return name

    def weight(self, weight: str, axes: Sequence[int], shape: Sequence[int]) -> str:
        """Use a weight, in half precision as in the presets; runtimes widen it as they load it."""
        name = self._new("weight")
        self.weights[name] = (weight, list(axes), list(shape))
        return self.cast(name, "float32")

    def cast(self, tensor: str, dtype: str) -> str:
        return self.add("Cast", [tensor], to=_TYPES[dtype])

    # === Reading ===

    def to_onnx(self, name: str, arrays: Mapping[str, np.ndarray]) -> bytes:
        """The graph with its weights, as the contents of an ONNX file.

        Args:
            name: What the file calls the graph.
            arrays: The weights, by the names in `weights`; all but int8 are written in half
                precision.

        Raises:
            ValueError: If a weight is missing or has another shape.
        """
        tensors = []
        for tensor, (dtype, value) in self.constants.items():
            tensors.append(_tensor(tensor, np.asarray(value, dtype)))
        for tensor, (weight, axes, shape) in self.weights.items():
            if weight not in arrays:
                raise ValueError(f"the weight {weight} is missing")
            array = arrays[weight]
            if sorted(axes) != list(range(array.ndim)) or array.size != np.prod(shape, dtype=int):
                raise ValueError(f"{weight} must fit the shape {shape}, received {array.shape}")
            array = array.transpose(axes).reshape(shape)
            kind = array.dtype if array.dtype == np.int8 else "float16"
            tensors.append(_tensor(tensor, array.astype(kind, copy=False)))
        graph = _message(
            *((1, _node(*node)) for node in self.nodes),
            (2, name),
            *((5, tensor) for tensor in tensors),
            *((11, _value(*value)) for value in self.inputs),
            *((12, _value(*value)) for value in self.outputs),
        )
        opset = _message((1, ""), (2, OPSET))
        return _message((1, IR_VERSION), (2, "adain"), (7, graph), (8, opset))


class PresetGraphs:
    """The graphs of one preset, checked against the sums in its `config.json`.

    Args:
        preset: The preset.

    Raises:
        PresetError: If the preset has no graphs, or they are damaged.
    """

    def __init__(self, preset: Preset):
        self.path = preset.folder / GRAPHS
        self._preset = preset
        self._intact: set[str] = set()
        content = preset.read_file(GRAPHS)
        try:
            self.graphs = {name: Graph(**graph) for name, graph in json.loads(content).items()}
            self._parts = {name: _find_parts(graph) for name, graph in self.graphs.items()}
        except _DAMAGED as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception | str) -> PresetError:
        return PresetError(f"{self.path}: not the graphs of a preset ({error}).")

    def _check(self, name: str) -> None:
        if name not in self.graphs:
            raise self._damaged(f"{name!r} is missing")

    def digest(self, name: str) -> str:
        """A name for what `to_onnx` returns, the same for the same graph and weights.

        Raises:
            PresetError: If a weight file is damaged, although it is not going to be read where the
                result is in a cache.
        """
        self._check(name)
        weights = [f"{part}.npz" for part in self._parts[name]]
        for file in weights:
            if file not in self._intact:
                self._preset.read_file(file)
                self._intact.add(file)
        sums = map(self._preset.sum_of, (GRAPHS, *weights))
        return hashlib.sha256(" ".join([_VERSION, name, *sums]).encode()).hexdigest()[:32]

    def read_weights(self, parts: Sequence[str] = PARTS) -> dict[str, np.ndarray]:
        """The weights of networks, by the names that graphs know them by.

        Raises:
            PresetError: If a weight file is damaged.
        """
        return {
            f"{part}/{weight}": array
            for part in parts
            for weight, array in self._preset.read_weights(part).items()
        }

    def to_onnx(self, name: str) -> bytes:
        """A graph with its weights, as the contents of an ONNX file.

        Raises:
            PresetError: If a weight file is damaged or does not belong to the graph.
        """
        self._check(name)
        arrays = self.read_weights(self._parts[name])
        try:
            return self.graphs[name].to_onnx(name, arrays)
        except _DAMAGED as error:
            raise self._damaged(error) from error


def _find_parts(graph: Graph) -> list[str]:
    """The networks whose weights a graph uses."""
    parts = sorted({weight.partition("/")[0] for weight, *_ in graph.weights.values()})
    if not set(parts) <= set(PARTS):
        raise ValueError(f"weights must be of {PARTS}, received {parts}")
    return parts


def to_json(graphs: Mapping[str, Graph]) -> bytes:
    """Contents of `graphs.json`."""
    # One line for each operation, weight and constant, so that changes can be read.
    sections = []
    for name, graph in graphs.items():
        parts = [f"  {json.dumps(key)}: {_lines(value)}" for key, value in vars(graph).items()]
        sections.append(f" {json.dumps(name)}: {{\n" + ",\n".join(parts) + "\n }")
    return ("{\n" + ",\n".join(sections) + "\n}\n").encode()


def _lines(entries: list | dict) -> str:
    if isinstance(entries, dict):
        opening, closing = "{", "}"
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items()]
    else:
        opening, closing = "[", "]"
        lines = [json.dumps(entry) for entry in entries]
    return opening + ",".join(f"\n   {line}" for line in lines) + f"\n  {closing}"


# === ONNX files: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto ===
#
# Each message is a sequence of numbered fields; Protocol Buffers' wire format has integers of
# variable length, 32-bit numbers, and bytes with their length in front.


def _varint(number: int) -> bytes:
    number &= 2**64 - 1  # Negative numbers have ten bytes.
    content = bytearray()
    while number > 127:
        content.append(number & 127 | 128)
        number >>= 7
    content.append(number)
    return bytes(content)


def _field(number: int, value: int | float | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _message(*fields: tuple[int, int | float | str | bytes]) -> bytes:
    return b"".join(_field(number, value) for number, value in fields)


def _tensor(name: str, array: np.ndarray) -> bytes:
    dims = ((1, side) for side in array.shape)
    content = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
    return _message(*dims, (2, _TYPES[array.dtype.name]), (8, name), (9, content))


def _value(name: str, dtype: str, shape: Sequence[int | str]) -> bytes:
    sides = (_message((2 if isinstance(side, str) else 1, side)) for side in shape)
    tensor = _message((1, _TYPES[dtype]), (2, _message(*((1, side) for side in sides))))
    return _message((1, name), (2, _message((1, tensor))))


def _node(
    kind: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, Any]
) -> bytes:
    return _message(
        *((1, name) for name in inputs),
        *((2, name) for name in outputs),
        (3, outputs[0]),
        (4, kind),
        *((5, _attribute(name, value)) for name, value in attributes.items()),
    )


def _attribute(name: str, value: Any) -> bytes:
    if isinstance(value, str):
        return _message((1, name), (4, value), (20, _STRING))
    if isinstance(value, int):
        return _message((1, name), (3, value), (20, _INT))
    if isinstance(value, float):
        return _message((1, name), (2, value), (20, _FLOAT))
    if not isinstance(value, list | tuple):
        raise TypeError(f"the attribute {name} must be a number, a text or a list of numbers")
    if all(isinstance(item, int) for item in value):
        return _message((1, name), *((8, item) for item in value), (20, _INTS))
    return _message((1, name), *((7, float(item)) for item in value), (20, _FLOATS))
