"""What the benchmarks share; nothing here imports Keras."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from pathlib import Path


def make_parser(document: str) -> argparse.ArgumentParser:
    """A parser described by the first line of a script's docstring; TensorFlow keeps quiet."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return argparse.ArgumentParser(
        description=document.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )


def resident(usage: resource.struct_rusage | None = None) -> float:
    """Peak of resident memory, MiB: this process's so far, or that of a child that was waited for.

    On Linux a child's peak starts at its parent's: keep parents small.
    """
    peak = (usage or resource.getrusage(resource.RUSAGE_SELF)).ru_maxrss
    # Bytes on macOS, KiB elsewhere.
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def write_report(report: dict, out: str | None) -> None:
    """As JSON into a file, or to standard output."""
    text = json.dumps(report, indent=2) + "\n"
    if out:
        Path(out).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
