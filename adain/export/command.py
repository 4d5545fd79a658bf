"""The command `adain export`."""

from __future__ import annotations

import sys

from adain.console import DONE
from adain.export.config import ExportConfig


def run(config: ExportConfig) -> int:
    from adain.export.onnx import export_onnx

    for file in export_onnx(config.checkpoint, config.out_path):
        sys.stderr.write(f"written: {config.out_path}/{file}\n")
    return DONE
