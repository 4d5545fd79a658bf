"""The formats that presets are exported to, by name; their writers are imported when used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from adain.options import load


@dataclass(frozen=True)
class ExportFormat:
    """What presets are written as, for other programs.

    A new one is a module with a writer, and an entry in `EXPORT_FORMATS`.
    """

    help: str
    place: str
    """`module:function`; it takes a preset's name or folder and the folder to write to, and returns
    the SHA-256 of each file by its name."""
    extra: str = ""
    """The extra of `pyproject.toml` that it needs."""

    @property
    def write(self) -> Callable[[str, str], dict[str, str]]:
        return load(self.place)


EXPORT_FORMATS = {
    "onnx": ExportFormat(
        "encode.onnx and decode.onnx", "adain.export.onnx:export_onnx", extra="export"
    ),
}
"""Every format, by its name of `adain export --format`."""
