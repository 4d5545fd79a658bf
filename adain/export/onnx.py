"""Presets as ONNX files.

Two files: `style.onnx`, a picture to what describes it as a style, and `stylize.onnx`, a photo and
that to a picture (`export.portable`). For tiles also a preset's own graphs: `encode`, a picture to
its levels and their statistics; `decode`, those and a style's statistics to a picture; and of a
decoder that normalises `measure`, to what it normalises with, and `decode_fixed`, which is given
that. Inside, tensors are `(batch, channels, h, w)`; pictures are `(1, h, w, 3)` uint8.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from adain.export.formats import TILE_GRAPHS
from adain.export.portable import combine
from adain.export.quantize import quantize
from adain.options import UsageError
from adain.presets.graphs import PresetGraphs
from adain.presets.preset import Preset, PresetError


def write_onnx(
    preset: str | Path, graphs: Sequence[str], weights: str
) -> Iterator[tuple[str, bytes]]:
    """A file for each graph, after ONNX's own checks; arguments and errors are `to_onnx`'s."""
    import onnx

    for name, content in to_onnx(preset, graphs, weights):
        onnx.checker.check_model(content, full_check=True)
        yield f"{name}.onnx", content


def to_onnx(
    preset: str | Path, graphs: Sequence[str], weights: str = "float16"
) -> Iterator[tuple[str, bytes]]:
    """Graphs with their weights.

    Args:
        preset: A name from `available_presets()`, a preset's folder, or the folder a training run
            writes to.
        graphs: Names of `WHOLE_GRAPHS` and `TILE_GRAPHS`.
        weights: `"float16"` or `"int8"`.

    Yields:
        The name of each, and the contents of an ONNX file.

    Raises:
        PresetError: If there is no such preset, it has no such graph, or its files are damaged.
        UsageError: If networks of its architecture do not bear 8-bit weights.
    """
    loaded = Preset.load(preset)
    source = PresetGraphs(loaded)
    if weights == "int8" and not loaded.architecture.quantizes:
        raise UsageError(
            f"`weights` must be float16 for {preset}: with int8, pictures of "
            f"{loaded.architecture.name} networks change by more than 2 grey levels on average. "
            "Received: weights='int8'"
        )
    found = combine(source.graphs, loaded.architecture)
    found |= {name: source.graphs[name] for name in TILE_GRAPHS if name in source.graphs}
    if missing := [name for name in graphs if name not in found]:
        raise PresetError(
            f"{source.path}: the decoder does not normalise, so that there is no "
            f"{' and no '.join(missing)}. Use others of {', '.join(found)}"
        )
    arrays = source.read_weights()
    for name in graphs:
        graph, stored = found[name], arrays
        if weights == "int8":
            graph, stored = quantize(graph, arrays)
        yield name, graph.to_onnx(name, stored)
