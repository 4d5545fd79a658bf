"""The command `adain export`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from adain import extras
from adain.console import DONE
from adain.export.config import ExportConfig
from adain.export.formats import EXPORT_FORMATS
from adain.options import UsageError
from adain.outputs import check_folder, check_out_folder
from adain.presets.preset import write_file


def run(config: ExportConfig) -> int:
    for path in export(config):
        sys.stderr.write(f"written: {path}\n")
    return DONE


def export(config: ExportConfig) -> Iterator[Path]:
    """Write a preset's graphs as files for other programs.

    Yields:
        Each file, once it is complete.

    Raises:
        MissingExtra: If what the format needs is not installed.
        PresetError: If there is no such preset, it has no such graph, or its files are damaged.
        UsageError: If the weights cannot be stored so, or nothing be written there.
        WriteError: If a file cannot be written.
    """
    chosen = EXPORT_FORMATS[config.format]
    extras.require(chosen.extra, f"adain export --format {config.format}")
    folder = Path(config.out_path or config.format)
    check_out_folder("--out-path", str(folder), "the files")
    if reason := check_folder(folder):
        raise UsageError(reason)
    graphs = list(dict.fromkeys(config.graphs))
    for name, content in chosen.write(config.checkpoint, graphs, config.stored):
        write_file(folder / name, content)
        yield folder / name
