"""The command `adain export`."""

from __future__ import annotations

import sys

from adain.console import DONE, load_backend
from adain.export.config import ExportConfig


def run(config: ExportConfig) -> int:
    load_backend()
    from adain.export.onnx import export_onnx
    from adain.networks.model import StyleTransfer

    for file in export_onnx(StyleTransfer.from_preset(config.checkpoint), config.out_path):
        sys.stderr.write(f"written: {config.out_path}/{file}\n")
    return DONE
