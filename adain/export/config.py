"""Settings of `adain export`, field for field its flags."""

from __future__ import annotations

from dataclasses import dataclass

from adain.export.formats import EXPORT_FORMATS
from adain.options import check, flag, shared


@dataclass(frozen=True)
class ExportConfig:
    """Settings of `adain export`: weights to files for other programs."""

    checkpoint: str = shared("checkpoint")
    format: str = flag(
        "onnx",
        "; ".join(f"{name}: {format.help}" for name, format in EXPORT_FORMATS.items()),
        choices=EXPORT_FORMATS,
    )
    out_path: str = flag("onnx", "folder for the files")

    def __post_init__(self) -> None:
        check(self)
