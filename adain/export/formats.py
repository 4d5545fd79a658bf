"""The formats that presets are exported to, by name; their writers are imported when used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adain.options import load


@dataclass(frozen=True)
class ExportFormat:
    """What presets are written as, for other programs.

    A new one is a module with a writer, and an entry in `EXPORT_FORMATS`.
    """

    help: str
    place: str
    """`module:function`. It takes a preset's name or folder, the names of the graphs to write, and
    how weights are stored; it yields the name and the contents of each file, one after the other.
    A name may have folders, with `/`."""
    extra: str = ""
    """The extra of `pyproject.toml` that it needs."""
    weights: tuple[str, ...] = ("float32",)
    """How it can store weights, the default first."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why it does not store weights in another way of `WEIGHTS`."""
    tiles: bool = True
    """Whether it also writes `TILE_GRAPHS`."""

    @property
    def write(self) -> Callable[[str | Path, Sequence[str], str], Iterator[tuple[str, bytes]]]:
        return load(self.place)


_KNOWN = "weights are known in half precision only, so that float32 would say no more"
_COARSE = "its 8-bit arithmetic changes pictures by 8 grey levels on average"

EXPORT_FORMATS = {
    "onnx": ExportFormat(
        "for ONNX Runtime, TensorRT and others", "adain.export.onnx:write_onnx",
        extra="export", weights=("float16", "int8"), refused={"float32": _KNOWN},
    ),
    "openvino": ExportFormat(
        "OpenVINO IR", "adain.export.openvino:write_openvino",
        extra="openvino", weights=("float16", "int8"), refused={"float32": _KNOWN},
    ),
    "mnn": ExportFormat(
        "MNN", "adain.export.mnn:write_mnn",
        weights=("float32", "float16"), refused={"int8": _COARSE},
    ),
    "litert": ExportFormat(
        "LiteRT (TensorFlow Lite)", "adain.export.keras_formats:write_litert",
        extra="train", weights=("float32", "float16"), refused={"int8": _COARSE}, tiles=False,
    ),
    "saved_model": ExportFormat(
        "TensorFlow SavedModel", "adain.export.keras_formats:write_saved_model",
        extra="train", tiles=False,
        refused=dict.fromkeys(("float16", "int8"), "it stores what TensorFlow computes with"),
    ),
}  # fmt: skip
"""Every format, by its name of `adain export --format`."""

WHOLE_GRAPHS = ("style", "stylize")
"""The graphs that are written unless told otherwise (`export.portable`)."""

TILE_GRAPHS = ("encode", "decode", "measure", "decode_fixed")
"""A preset's own graphs, the last two of decoders that normalise: for tiles."""

WEIGHTS = tuple(dict.fromkeys(kind for each in EXPORT_FORMATS.values() for kind in each.weights))
"""Every way to store weights."""
