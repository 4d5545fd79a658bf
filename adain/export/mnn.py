"""Presets as files of MNN."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from adain.engines.mnn import convert_to_mnn
from adain.export.onnx import to_onnx


def write_mnn(
    preset: str | Path, graphs: Sequence[str], weights: str
) -> Iterator[tuple[str, bytes]]:
    """A file for each graph; arguments and errors are `to_onnx`'s, `weights` float32 or float16.

    MNN computes kernels of sub-pixel convolutions as it converts them, and with float16 rounds
    them and all constants: hence two ways to store what is known in half precision.
    """
    for name, content in to_onnx(preset, graphs):
        with tempfile.TemporaryDirectory() as scratch:
            made = convert_to_mnn(content, Path(scratch), half=weights == "float16")
            yield f"{name}.mnn", made.read_bytes()
