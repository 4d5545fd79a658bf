"""Whether a video file is as long as its container says, and whole, by its own structure."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from adain.imaging.formats import BOXES, EBML, TS_PACKETS

_SEGMENT = b"\x18S\x80g"
_CLUSTER = b"\x1fC\xb6u"
_ANYWHERE = {b"\xec", b"\xbf"}
# Head, information, tracks, index, attachments, chapters, tags.
_IN_SEGMENT = _ANYWHERE | {_CLUSTER} | {
    bytes.fromhex(name) for name in
    ("114d9b74", "1549a966", "1654ae6b", "1c53bb6b", "1941a469", "1043a770", "1254c367")
}  # fmt: skip
# Time, silent tracks, position, size of the one before, blocks.
_IN_CLUSTER = _ANYWHERE | {bytes.fromhex(n) for n in ("e7", "5854", "a7", "ab", "a3", "a0", "af")}


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
    _, end = _segment_of(head)
    return None if end is None else end > size


def find_damage(path: Path) -> int | None:
    """The first byte at which a Matroska or WebM file holds none of its elements, as in a hole.

    FFmpeg goes on behind it, without a word. None: it is whole up to where it may be cut off, or
    another container. Holes within the data of one frame are left to its decoder.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        place, end = _segment_of(file.read(400))
        end = size if end is None else min(end, size)
        # The end of the cluster that is looked into; 0: none, None: it was streamed.
        inside: int | None = 0
        while 0 < place < end:
            if place == inside:
                inside = 0
            file.seek(place)
            name, start, length = _element(file.read(12))
            if name in (EBML, _SEGMENT) and inside in (0, None):
                # Another one was joined.
                return None
            if inside is None and name in _IN_SEGMENT - _ANYWHERE:
                inside = 0
            known = name in (_IN_SEGMENT if inside == 0 else _IN_CLUSTER)
            after = place + start + (length or 0)
            if not known or not start or (inside and after > inside):
                return place if place + 12 <= size else None
            if name == _CLUSTER:
                inside = None if length is None else after
                after = place + start
            elif length is None:
                return place
            place = after
    return None


def _segment_of(head: bytes) -> tuple[int, int | None]:
    """Where what a segment holds starts and ends (None: not known); (0, None) without one."""
    name, start, length = _element(head)
    place = start + (length or 0)
    segment, start, length = _element(head[place:])
    if (name, segment) != (EBML, _SEGMENT) or not start:
        return 0, None
    return place + start, None if length is None else place + start + length


def _element(head: bytes) -> tuple[bytes, int, int | None]:
    """EBML's name of an element, where its data starts after that, and their length if known.

    The start is 0 if the length cannot be read.
    """
    count = 9 - head[0].bit_length() if head else 0
    name = head[:count]
    first = head[count] if count < len(head) else 0
    if not first:
        return name, 0, None
    width = 9 - first.bit_length()
    mask = (1 << 7 * width) - 1
    length = int.from_bytes(head[count : count + width], "big") & mask
    return name, count + width, None if length == mask else length


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
