"""Presets as ONNX files, for other programs.

Two files: `encode.onnx`, a picture to its levels and their statistics; `decode.onnx`, those and a
style's statistics to a picture. Together they hold every weight once, in half precision. For tiles
and regions, of a decoder that normalises also `measure.onnx`, to what it normalises with, and
`decode_fixed.onnx`, which is given that. Inside, tensors are `(batch, channels, h, w)`; pictures
are `(1, h, w, 3)` uint8.
"""

from __future__ import annotations

from pathlib import Path

from adain.presets.graphs import PresetGraphs
from adain.presets.preset import Preset, write_file

EXPORTED = ("encode", "decode", "measure", "decode_fixed")
"""The graphs that are written, of those that a preset has."""


def export_onnx(preset: str | Path, folder: str | Path) -> dict[str, str]:
    """Write a preset's graphs, after ONNX's own checks.

    Args:
        preset: A name from `available_presets()`, a preset's folder, or the folder a training run
            writes to.
        folder: Where to; it is made if need be.

    Returns:
        SHA-256 of each file.

    Raises:
        PresetError: If there is no such preset, it has no graphs, or its files are damaged.
    """
    import onnx

    graphs = PresetGraphs(Preset.load(preset))
    sums = {}
    for name in filter(graphs.graphs.__contains__, EXPORTED):
        content = graphs.to_onnx(name)
        onnx.checker.check_model(content, full_check=True)
        sums[f"{name}.onnx"] = write_file(Path(folder) / f"{name}.onnx", content)
    return sums
