"""The engine OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from adain.engines.bfloat16 import round_products
from adain.engines.engine import BFLOAT16, PrecisionError
from adain.engines.graph_stylizer import GraphStylizer, Run


class OpenVinoStylizer(GraphStylizer):
    """Runs on OpenVINO, on the CPU, in float32, or with products in bfloat16."""

    _engine = "openvino"
    _sizes: tuple[tuple[int, int], ...] = ()
    """Those that were prepared last, in positions of the deepest level."""

    def __reduce__(self):
        return (*super().__reduce__(), {"_sizes": self._sizes})

    def _load(self, name: str) -> Run:
        import openvino

        core = openvino.Core()
        half = self._precision == BFLOAT16
        if half and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise PrecisionError(
                "This processor does not compute in bfloat16. Use --precision float32."
            )
        network = core.read_model(self._graphs.to_onnx(name))
        count = len(network.outputs)
        if half:
            round_products(network)
        # On its own it takes bfloat16 where the processor has it.
        how = {"INFERENCE_PRECISION_HINT": "bf16" if half else "f32", "PERFORMANCE_HINT": "LATENCY"}
        # Else processes that share a machine, each with some threads, all run on the first cores.
        how["ENABLE_CPU_PINNING"] = "NO"
        if self._threads:
            how["INFERENCE_NUM_THREADS"] = str(self._threads)
        return _Network(_with_channels_last(network), how, count, self._is_prepared)

    def prepare(self, height: int, width: int) -> None:
        stride = self._architecture.stride
        size = -(-height // stride), -(-width // stride)
        # More than are kept would be made again and again.
        self._sizes = (*(other for other in self._sizes if other != size), size)[-_KEPT:]

    def _is_prepared(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        if "image" in shapes:
            stride = self._architecture.stride
            return tuple(side / stride for side in shapes["image"][1:3]) in self._sizes
        deepest = max(name for name in shapes if name.startswith(_LEVEL))
        return shapes[deepest][1:3] in self._sizes


_LEVEL = "level"
_KEPT = 4
"""Networks for one size that are kept of a graph: each takes memory."""


class _Network:
    """A graph for pictures of any size, and copies of it for sizes that are prepared."""

    def __init__(self, network, how: Mapping[str, str], count: int, is_prepared):
        self._network, self._how = network, how
        self._is_prepared = is_prepared
        self._any = self._compile(network)
        self._fixed: dict = {}
        self._channels_last = [_is_level(output) for output in network.outputs[:count]]

    def _compile(self, network):
        import openvino

        return openvino.compile_model(network, "CPU", self._how)

    def __call__(self, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        feeds = {
            name: np.ascontiguousarray(
                value.transpose(0, 2, 3, 1) if name.startswith(_LEVEL) else value
            )
            for name, value in feeds.items()
        }
        values = list(self._choose(feeds)(feeds).values())
        return [
            value.transpose(0, 3, 1, 2) if last else value
            for value, last in zip(values, self._channels_last, strict=False)
        ]

    def _choose(self, feeds: Mapping[str, np.ndarray]):
        shapes = {name: value.shape for name, value in feeds.items()}
        if not self._is_prepared(shapes):
            return self._any
        key = tuple(shapes.values())
        if key not in self._fixed:
            network = self._network.clone()
            network.reshape({name: list(shape) for name, shape in shapes.items()})
            if len(self._fixed) == _KEPT:
                del self._fixed[next(iter(self._fixed))]
            self._fixed[key] = self._compile(network)
        return self._fixed[key]


def _is_level(value) -> bool:
    """Whether a network's input or output is a level of features; it may have several names."""
    return any(name.startswith(_LEVEL) for name in value.names)


def _with_channels_last(network):
    """Levels go in and out as convolutions hold them, which saves moving them about."""
    from openvino import Layout
    from openvino.preprocess import PrePostProcessor

    inside, outside = Layout("NCHW"), Layout("NHWC")
    steps = PrePostProcessor(network)
    for number, value in enumerate(network.inputs):
        if _is_level(value):
            steps.input(number).tensor().set_layout(outside)
            steps.input(number).model().set_layout(inside)
    for number, value in enumerate(network.outputs):
        if _is_level(value):
            steps.output(number).model().set_layout(inside)
            steps.output(number).tensor().set_layout(outside)
    return steps.build()
