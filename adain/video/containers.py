"""Whether a video file is as long as its container says, by the container's own structure."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from adain.imaging.formats import BOXES, EBML, TS_PACKETS

_SEGMENT = b"\x18S\x80g"


def is_cut_off(path: Path) -> bool | None:
    """Whether a file ends before its container does; None: not known of this container."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(400)
        if head[4:8] in BOXES:
            return _boxes(file, size)
        if head[:4] == EBML:
            return _segment(head, size)
        if head[:4] == b"RIFF":
            return _riff(file, size)
    for packet, place in TS_PACKETS.items():
        if head[place : place + packet + 1 : packet] == b"GG":
            return size % packet != 0
    return None


def _boxes(file: BinaryIO, size: int) -> bool:
    """MP4 and MOV: boxes that follow one another, each with its length."""
    place, kind = 0, b""
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
        # To the end of the file; or what follows the last box is none.
        if length < 8 or not kind.isalnum():
            return False
        place += length
    # A fragment's index comes before its data.
    return place > size or kind == b"moof"


def _segment(head: bytes, size: int) -> bool | None:
    """Matroska and WebM: a header, then one segment with its length, unless it was streamed."""
    place, length = _length(head, 4)
    place += length
    if head[place : place + 4] != _SEGMENT:
        return None
    first = head[place + 4] if place + 4 < len(head) else 0
    place, length = _length(head, place + 4)
    streamed = length == (1 << 7 * (9 - first.bit_length())) - 1
    return None if not first or streamed else place + length > size


def _length(head: bytes, place: int) -> tuple[int, int]:
    """EBML's number at a place, and the place after it."""
    first = head[place] if place < len(head) else 0
    count = 9 - first.bit_length()
    data = int.from_bytes(head[place : place + count], "big")
    return place + count, data & ((1 << 7 * count) - 1)


def _riff(file: BinaryIO, size: int) -> bool:
    """AVI: one or more chunks, each with its length."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        name, length = struct.unpack("<4sI", file.read(8))
        # Of a recording that is still going on it is 0.
        if name != b"RIFF" or not length:
            return False
        place += 8 + length
    return place > size + 1
