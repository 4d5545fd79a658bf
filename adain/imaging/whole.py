"""Whether a picture's file is complete, by its structure: nothing is decoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from adain.imaging.formats import FORMATS, HEAD, ImageError
from adain.imaging.pillow import BROKEN, jpeg_is_whole, scan_gif

_END = b"\xff\xd9"
"""The end mark of JPEG 2000's code stream."""


def is_whole(data: bytes) -> bool:
    """Whether a file ends where its format says, and not before.

    Args:
        data: All bytes of the file.

    Returns:
        False for truncated files of the formats that results are written in, and for empty ones;
        True for everything else.
    """
    head = data[:HEAD]
    name = next((item.name for item in FORMATS.values() if item.starts(head)), "")
    return bool(data) and (name not in _CHECKS or _CHECKS[name](data))


def is_cut(data: bytes) -> bool:
    """Whether a file that cannot be read ends too early."""
    if not data.startswith((b"II", b"MM")):
        return not is_whole(data)
    # The readers tell of TIFF's samples; here that the first directory is not all there.
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    big = number(2, 2) == 43
    start = number(8, 8) if big else number(4, 4)
    count, width, entry = (number(start, 8), 8, 20) if big else (number(start, 2), 2, 12)
    return start + width + count * entry > len(data)


def _png(data: bytes) -> bool:
    return data.rfind(b"IEND\xaeB`\x82") >= 0


def _webp(data: bytes) -> bool:
    return len(data) >= 8 + int.from_bytes(data[4:8], "little")


def _bmp(data: bytes) -> bool:
    return len(data) >= int.from_bytes(data[2:6], "little")


def _avif(data: bytes) -> bool:
    return _boxes(data, b"mdat")


def _boxes(data: bytes, picture: bytes) -> bool:
    """Boxes with their length in front, one after the other, that of the picture among them."""
    at, found = 0, False
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        found |= kind == picture
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0:  # It reaches to the end, wherever that is.
            return kind != b"jp2c" or data.endswith(_END)
        if size < 8:
            return False
        at += size
    return found and at == len(data)


def _jpeg2000(data: bytes) -> bool:
    bare = data.startswith(b"\xff\x4f")  # A code stream without boxes.
    return data.endswith(_END) if bare else _boxes(data, b"jp2c")


def _tiff(data: bytes) -> bool:
    # A directory, anywhere in the file, says where its samples are.
    from adain.imaging.tiff import TiffReader

    try:
        return TiffReader(data).is_whole
    except (*BROKEN, ImageError):
        return False


_CHECKS: dict[str, Callable[[bytes], bool]] = {
    "JPEG": jpeg_is_whole,
    "PNG": _png,
    "WEBP": _webp,
    "AVIF": _avif,
    "GIF": lambda data: data.endswith(b";") and scan_gif(data)[0],
    "BMP": _bmp,
    "TIFF": _tiff,
    "JPEG2000": _jpeg2000,
}
