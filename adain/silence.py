"""Keeping what C code prints out of standard output and standard error."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def silenced(descriptor: int) -> Iterator[None]:
    """Nothing is written to 1, standard output, which is for results, or 2, standard error."""
    libc = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    try:
        kept = os.dup(descriptor)
    except OSError:  # There is none.
        yield
        return
    try:
        libc.fflush(None)
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), descriptor)
        yield
    finally:
        libc.fflush(None)
        os.dup2(kept, descriptor)
        os.close(kept)
