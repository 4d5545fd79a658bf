"""The engine ONNX Runtime."""

from __future__ import annotations

from adain.engines.graph_stylizer import GraphStylizer, Run


class OnnxRuntimeStylizer(GraphStylizer):
    """Runs on ONNX Runtime, on the CPU, in float32."""

    _engine = "onnxruntime"

    def _load(self, name: str) -> Run:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        session = onnxruntime.InferenceSession(
            self._graphs.to_onnx(name), options, providers=["CPUExecutionProvider"]
        )
        return lambda feeds: session.run(None, feeds)
