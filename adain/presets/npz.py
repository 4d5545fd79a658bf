"""One way to read and write arrays: `.npz` without pickle, replaced atomically."""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping

import numpy as np

from adain import files

MAX_BYTES = 2**31
"""Most that is read from one file, unless another limit is given."""

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


def read_bytes(path: str | os.PathLike, limit: int) -> bytes:
    """Contents of a file of at most `limit` bytes.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is larger.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        # Devices have no size, and a file may grow.
        content = file.read(min(size, limit) + 1)
    if len(content) > limit:
        raise _too_large(limit)
    return content


def load(
    path: str | os.PathLike, content: bytes | None = None, *, limit: int = MAX_BYTES
) -> tuple[dict[str, np.ndarray], dict]:
    """Read what `save` wrote. Never runs code from the file.

    Args:
        path: The file.
        content: What is in it, where that has been read before.
        limit: Most bytes to read from the file, and to unpack. Counted while unpacking, because
            the sizes that the file states may be wrong.

    Returns:
        The arrays, and the mapping.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a readable `.npz`, or larger than `limit`.
    """
    try:
        if content is None:
            content = read_bytes(path, limit)
        arrays = _unpack(content, limit)
        about = _to_about(arrays.pop(_ABOUT).tobytes()) if _ABOUT in arrays else {}
    except FileNotFoundError:
        raise
    except _DAMAGED as error:
        raise ValueError(f"{path} is not a readable .npz file ({error}).") from error
    return arrays, about


def _to_about(data: bytes) -> dict:
    try:
        about = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{_ABOUT} is not JSON") from error
    if not isinstance(about, dict):
        raise ValueError(f"{_ABOUT} is not an object")
    return about


def _too_large(limit: int) -> ValueError:
    return ValueError(f"it must have at most {limit / 2**20:g} MiB, and has more")


def _unpack(content: bytes, limit: int) -> dict[str, np.ndarray]:
    arrays, left = {}, limit
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            # Python unpacks the other methods without a bound.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{member.filename} is compressed by another method than deflate")
            with archive.open(member) as file:
                data = file.read(left + 1)
            left -= len(data)
            if left < 0:
                raise _too_large(limit)
            arrays[member.filename.removesuffix(".npy")] = _to_array(member.filename, data)
    return arrays


def _to_array(name: str, data: bytes) -> np.ndarray:
    """The contents of a `.npy` file as an array.

    Unlike NumPy, no memory is taken for more than the file holds, whatever its header states.
    """
    file = io.BytesIO(data)
    try:
        shape, fortran, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
    except Exception as error:  # It is parsed as Python, and errors are of any kind.
        raise ValueError(f"{name} has a damaged header") from error
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biuf" or min(shape, default=0) < 0 or size != len(data) - file.tell():
        raise ValueError(f"{name} is no array of numbers, or incomplete")
    flat = np.frombuffer(data, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran else "C").copy()


_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
