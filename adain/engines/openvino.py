"""The engine OpenVINO."""

from __future__ import annotations

import numpy as np

from adain.engines.graph_stylizer import GraphStylizer, Run


class OpenVinoStylizer(GraphStylizer):
    """Runs on OpenVINO, on the CPU, in float32."""

    _engine = "openvino"

    def _load(self, name: str) -> Run:
        import openvino

        network = openvino.Core().read_model(self._graphs.to_onnx(name))
        # On its own it takes bfloat16 where the processor has it.
        how = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        # Else processes that share a machine, each with some threads, all run on the first cores.
        how["ENABLE_CPU_PINNING"] = "NO"
        if self._threads:
            how["INFERENCE_NUM_THREADS"] = str(self._threads)
        compiled = openvino.compile_model(network, "CPU", how)
        return lambda feeds: [np.array(value) for value in compiled(feeds).values()]
