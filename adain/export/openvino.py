"""Presets as OpenVINO IR: two files for each graph, `.xml` and `.bin`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from adain.export.onnx import to_onnx


def write_openvino(
    preset: str | Path, graphs: Sequence[str], weights: str
) -> Iterator[tuple[str, bytes]]:
    """Two files for each graph; arguments and errors are `to_onnx`'s."""
    import openvino

    core = openvino.Core()
    for name, content in to_onnx(preset, graphs, weights):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, f"{name}.xml")
            # Weights are known in half precision only; of 8-bit ones the scales are kept so.
            openvino.save_model(core.read_model(content), path, compress_to_fp16=True)
            for made in (path, path.with_suffix(".bin")):
                yield made.name, made.read_bytes()
