"""EXIF, copied as bytes entry by entry: texts are not re-encoded, and only bad tags are dropped.

A block is a small TIFF file: a byte order, then directories of entries (tag, type, count, value).
Values are copied without being interpreted, in the byte order of the source.

Reference:
    CIPA DC-008, Exchangeable image file format, sections 4.5 and 4.6
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

PREFIX = b"Exif\0\0"
HISTORY = 0x9213
"""EXIF's tag for what has been done to a picture (ImageHistory)."""

_ORIENTATION, _EXIF, _GPS, _INTEROP, _MAKER = 0x0112, 0x8769, 0x8825, 0xA005, 0x927C
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_BYTES, _TEXT, _SHORT, _LONG, _RATIO = (1, 7), (1, 2, 7, 129), (3, 4), (4, 13), (5,)
# Tags that describe the picture rather than the layout of the file, with their allowed types.
_KEPT = {
    0x000B: _TEXT, 0x010E: _TEXT, 0x010F: _TEXT, 0x0110: _TEXT, 0x011A: _RATIO, 0x011B: _RATIO,
    0x0128: _SHORT, 0x0131: _TEXT, 0x0132: _TEXT, 0x013B: _TEXT, 0x013C: _TEXT, 0x4746: _SHORT,
    0x4749: _SHORT, 0x8298: _TEXT, HISTORY: _TEXT, 0xC4A5: _BYTES,
    **{tag: _BYTES for tag in range(0x9C9B, 0x9CA0)},
}  # fmt: skip
_RESOLUTION = (0x011A, 0x011B, 0x0128)

Entries = dict[int, tuple[int, int, bytes]]
"""`{tag: (type, count, value)}`."""


@dataclass
class Exif:
    """The directories of a block.

    Args:
        order: "<" for little-endian values, ">" for big-endian.
        main: The first directory: camera, author, description.
        exif, gps, interop: Its sub-directories: exposure and notes, place, compatibility.
        orientation: How the picture has to be turned, 1 to 8; not kept as a tag.
    """

    order: str = "<"
    main: Entries = field(default_factory=dict)
    exif: Entries = field(default_factory=dict)
    gps: Entries = field(default_factory=dict)
    interop: Entries = field(default_factory=dict)
    orientation: int = 1

    def dpi(self) -> tuple[float, float] | None:
        """(horizontal, vertical) dots per inch, from the resolution's tags; None if unknown."""
        unit = self.main.get(0x0128)
        unit = int.from_bytes(unit[2][:2], "little" if self.order == "<" else "big") if unit else 2
        values = []
        for tag in (0x011A, 0x011B):
            _, _, value = self.main.get(tag, (5, 1, bytes(8)))
            over, under = struct.unpack(f"{self.order}II", value[:8])
            values.append(over / under * {2: 1.0, 3: 2.54}.get(unit, 0.0) if under else 0.0)
        # Some files say 1 dot per inch for "unknown".
        return (values[0], values[1]) if min(values) > 1 else None

    def tobytes(self, limit: int | None = None) -> bytes:
        """The block, `PREFIX` and all; b"" if it holds nothing.

        Args:
            limit: The most bytes it may have. The camera maker's private note goes first, then
                whatever is longest; the history stays.
        """
        kept = Exif(self.order, dict(self.main), dict(self.exif), dict(self.gps),
                    dict(self.interop))  # fmt: skip
        while True:
            block = PREFIX + kept._header() + kept.directories(8)
            if not (kept.main or kept.exif or kept.gps):
                return b""
            if limit is None or len(block) <= limit or not kept._drop_longest():
                return block

    def _header(self) -> bytes:
        return struct.pack(f"{self.order}2sHI", b"II" if self.order == "<" else b"MM", 42, 8)

    def _drop_longest(self) -> bool:
        found = [
            (tag == _MAKER, len(value), tag, place)
            for place in (self.main, self.exif, self.gps, self.interop)
            for tag, (_, _, value) in place.items()
            if not (place is self.main and tag == HISTORY)
        ]
        if found:
            _, _, tag, place = max(found, key=lambda item: item[:3])
            del place[tag]
        return bool(found)

    def directories(self, start: int, layout: Entries | None = None) -> bytes:
        """The directories for a file in which they begin at byte `start`.

        Args:
            start: Where they are going to lie; even.
            layout: More entries of the main directory, which go before those kept here.
        """
        main = self.main | (layout or {})
        parts, at = [], start + _length(main, bool(self.exif) + bool(self.gps))
        pointers: Entries = {}
        for tag, place, inner in (
            (_EXIF, self.exif, self.interop),
            (_GPS, self.gps, {}),
        ):
            if not place:
                continue
            pointers[tag] = self._long(at)
            below: Entries = {}
            length = _length(place, bool(inner))
            if inner:
                below[_INTEROP] = self._long(at + length)
            parts.append(self._directory(place | below, at))
            if inner:
                parts.append(self._directory(inner, at + length))
            at += sum(map(len, parts[-1 - bool(inner) :]))
        return b"".join([self._directory(main | pointers, start), *parts])

    def _long(self, value: int) -> tuple[int, int, bytes]:
        return 4, 1, struct.pack(f"{self.order}I", value)

    def _directory(self, entries: Entries, start: int) -> bytes:
        at = start + 2 + 12 * len(entries) + 4
        head, values = struct.pack(f"{self.order}H", len(entries)), b""
        for tag, (kind, count, value) in sorted(entries.items()):
            head += struct.pack(f"{self.order}HHI", tag, kind, count)
            if len(value) <= 4:
                head += value.ljust(4, b"\0")
            else:
                head += struct.pack(f"{self.order}I", at + len(values))
                values += value + b"\0" * (len(value) % 2)
        return head + bytes(4) + values


def _length(entries: Entries, pointers: int) -> int:
    values = (len(value) for _, _, value in entries.values())
    return 6 + 12 * (len(entries) + pointers) + sum(n + n % 2 for n in values if n > 4)


def parse(block: bytes) -> Exif:
    """Read a block, with its `PREFIX` or without, or the start of a TIFF file.

    Entries of unknown types, or whose values lie outside, are dropped; so are thumbnails, and of
    the main directory all that speaks of a file's layout.
    """
    data = block.removeprefix(PREFIX)
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return Exif()
    found = read_directory(data, order, struct.unpack(f"{order}I", data[4:8])[0])
    result = Exif(order)
    turned = _number(order, found.get(_ORIENTATION))
    result.orientation = turned if turned in range(1, 9) else 1
    for tag, entry in found.items():
        if tag in _KEPT and entry[0] in _KEPT[tag]:
            result.main[tag] = entry
    for tag, name in ((_EXIF, "exif"), (_GPS, "gps")):
        if tag in found:
            setattr(result, name, read_directory(data, order, _number(order, found[tag])))
    inner = result.exif.pop(_INTEROP, None)
    if inner:
        result.interop = read_directory(data, order, _number(order, inner))
    for tag in (_EXIF, _GPS):
        result.exif.pop(tag, None)
    return result


def _number(order: str, entry: tuple[int, int, bytes] | None) -> int:
    """The entry as an integer; 0 if it is none."""
    if entry is None or entry[0] not in (3, 4, 13):
        return 0
    return struct.unpack(f"{order}{'H' if entry[0] == 3 else 'I'}", entry[2][: _SIZES[entry[0]]])[0]


def read_directory(data: bytes, order: str, start: int) -> Entries:
    """The whole entries of a directory of classic TIFF at byte `start`; {} if there is none."""
    if not 0 < start <= len(data) - 2:
        return {}
    entries: Entries = {}
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for at in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
        tag, kind, amount = struct.unpack_from(f"{order}HHI", data, at)
        size = _SIZES.get(kind, 0) * amount
        if not size:
            continue
        begin = at + 8
        if size > 4:
            (begin,) = struct.unpack_from(f"{order}I", data, at + 8)
        if begin + size <= len(data) and tag not in entries:
            entries[tag] = kind, amount, data[begin : begin + size]
    return entries


def with_history(exif: Exif, history: str) -> Exif:
    """Set the history to an ASCII text; returns the same object."""
    text = history.encode("ascii", "replace") + b"\0"
    exif.main[HISTORY] = 2, len(text), text
    return exif


def history(block: bytes) -> str:
    """What `with_history` put into a block; "" for none."""
    entry = parse(block).main.get(HISTORY)
    return entry[2].rstrip(b"\0").decode("ascii", "replace") if entry else ""


def without_resolution(exif: Exif) -> Exif:
    """Remove the resolution tags, which TIFF writes itself; returns the same object."""
    for tag in _RESOLUTION:
        exif.main.pop(tag, None)
    return exif
