"""Settings of `adain export`, field for field its flags."""

from __future__ import annotations

from dataclasses import dataclass

from adain.options import flag, shared


@dataclass(frozen=True)
class ExportConfig:
    """Settings of `adain export`: weights to ONNX files."""

    checkpoint: str = shared("checkpoint")
    out_path: str = flag("onnx", "folder for encode.onnx and decode.onnx")
