"""The bytes of picture files: reading within bounds, and atomic writing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from adain import files
from adain.constants import MAX_PIXELS
from adain.imaging.formats import HEAD, ImageError, format_of

Readable = str | os.PathLike | bytes | bytearray | memoryview | BinaryIO
"""What pictures are read from: a path, a file's bytes, or a binary file object."""

STDIN_NAME = "standard input"

_CHUNK = 1024**2
# A picture without compression has up to 16 bytes per pixel: four channels of 32 bits.
_BYTES_A_PIXEL, _MORE_BYTES = 16, 64 * 1024**2


def name_of(source: Readable) -> str:
    """The name of a source in messages."""
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    name = files.meant(str(getattr(source, "name", "<stream>")))
    return STDIN_NAME if name == "<stdin>" else name


def most_bytes(max_pixels: int) -> int:
    """The largest file that a picture of `max_pixels` can have."""
    return _BYTES_A_PIXEL * max_pixels + _MORE_BYTES


def read_bytes(source: Readable, max_pixels: int = MAX_PIXELS) -> tuple[bytes, str]:
    """All bytes of a picture's file, and its name.

    Pipes and devices are read once. Reading stops after the first bytes if they are not those of an
    accepted format, and at the size that an uncompressed picture of `max_pixels` can have.

    Raises:
        ImageError: If it is none of `Readable`, missing, empty, too long, or of no accepted format.
    """
    name = name_of(source)
    limit = most_bytes(max_pixels)
    try:
        if isinstance(source, bytes | bytearray | memoryview):
            data = bytes(source)
        elif isinstance(source, str | os.PathLike):
            # Path("") is the current folder.
            if not os.fspath(source):
                raise ImageError("a picture's path must not be empty.")
            with open(source, "rb") as file:
                data = _read(file, name, limit)
        elif hasattr(source, "read"):
            data = _read(source, name, limit)
        else:
            raise ImageError(
                "a picture must be a path, bytes or a binary file. "
                f"Received: {type(source).__name__}"
            )
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file. Check the path.") from None
    except IsADirectoryError:
        raise ImageError(f"{name}: is a folder. Name a picture in it.") from None
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        if isinstance(error, ImageError):
            raise
        # A null character in a path, or a file object that is closed.
        raise ImageError(f"{name!r}: cannot be read ({error}).") from error
    if not data and name == STDIN_NAME:
        raise ImageError(f"{name}: nothing came. Check the command before the pipe.")
    if not data:
        raise ImageError(f"{name}: the file is empty. Copy or download it again.")
    return data, name


def _read(file: BinaryIO, name: str, limit: int) -> bytes:
    head = b""
    while len(head) < HEAD and (more := file.read(HEAD - len(head))):
        if isinstance(more, str):
            raise ImageError(f"{name}: is open as text. Open it with mode 'rb'.")
        head += more
    if not head:
        return b""
    format_of(head, name)
    parts, length = [head], len(head)
    while more := file.read(_CHUNK if length < 16 * _CHUNK else 16 * _CHUNK):
        parts.append(more)
        length += len(more)
        if length > limit:
            raise ImageError(
                f"{name}: more than {limit // 1024**2} MB. Raise the limit with --max-pixels."
            )
    return b"".join(parts)


# Writing ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def written_whole(target: str | os.PathLike | BinaryIO) -> Iterator[Any]:
    """A file to write into, which appears under its name once it is complete and on the disk.

    Args:
        target: A path, or a binary file object, to which the bytes are copied at the end.

    Raises:
        ImageError: If it cannot be written; what was there before stays.
    """
    if not isinstance(target, str | os.PathLike):
        if not hasattr(target, "write"):
            raise ImageError(
                "`target` must be a path or a binary file open for writing. "
                f"Received: {type(target).__name__}"
            )
        import shutil
        import tempfile

        with tempfile.SpooledTemporaryFile(max_size=64 * _CHUNK) as file:
            yield file
            file.seek(0)
            shutil.copyfileobj(file, target, _CHUNK)
        return
    target = Path(target)
    try:
        with files.replacing(target) as file:
            yield file
    except files.WriteError as error:
        raise ImageError(
            f"{target}: cannot write into {target.parent} ({error.strerror}). "
            f"{files.remedy(error)} (--out-path)"
        ) from error
