"""The command `adain export`."""

from __future__ import annotations

import sys

from adain import extras
from adain.console import DONE
from adain.export.config import ExportConfig
from adain.export.formats import EXPORT_FORMATS


def run(config: ExportConfig) -> int:
    chosen = EXPORT_FORMATS[config.format]
    extras.require(chosen.extra, f"adain export --format {config.format}")
    for file in chosen.write(config.checkpoint, config.out_path):
        sys.stderr.write(f"written: {config.out_path}/{file}\n")
    return DONE
