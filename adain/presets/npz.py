"""One way to read and write arrays: `.npz` without pickle, replaced atomically."""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from adain import files

_ABOUT = "about.json"


def write_atomically(path: str | os.PathLike, write: Callable) -> None:
    """Call `write(file)` on a file that replaces `path` once it is complete; see `files.replacing`.

    Its folder is made if need be.

    Raises:
        WriteError: If it cannot be written; the old file is still there.
    """
    with files.replacing(path, make_folder=True) as file:
        write(file)


def save(
    path: str | os.PathLike,
    arrays: Mapping[str, np.ndarray],
    about: Mapping | None = None,
    *,
    compress: bool = False,
) -> None:
    """Write named arrays and a JSON-able mapping to one `.npz`."""
    text = np.frombuffer(json.dumps(dict(about or {})).encode(), np.uint8)
    writer = np.savez_compressed if compress else np.savez
    write_atomically(path, lambda file: writer(file, **arrays, **{_ABOUT: text}))


# What NumPy, zipfile and zlib raise for files that are damaged or of another kind.
_DAMAGED = (
    ValueError, TypeError, OSError, EOFError, KeyError, AttributeError, NotImplementedError,
    RuntimeError, OverflowError, MemoryError, SyntaxError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def load(
    path: str | os.PathLike, content: bytes | None = None
) -> tuple[dict[str, np.ndarray], dict]:
    """Read what `save` wrote. Never runs code from the file.

    Args:
        path: The file.
        content: What is in it, where that has been read before.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a readable `.npz`.
    """
    try:
        # Opened here, because NumPy leaves a damaged file open.
        file = io.BytesIO(Path(path).read_bytes() if content is None else content)
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        about = dict(json.loads(arrays.pop(_ABOUT).tobytes())) if _ABOUT in arrays else {}
    except FileNotFoundError:
        raise
    except _DAMAGED as error:
        raise ValueError(f"{path} is not a readable .npz file ({error}).") from error
    return arrays, about
