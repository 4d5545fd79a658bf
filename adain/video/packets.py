"""Encoded packets in a file of our own: exact times of any codec, which few containers keep."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

import av

_HEAD = struct.Struct("<qqI?")


class Stored(NamedTuple):
    """One packet."""

    pts: int
    """In ticks of the clip."""
    duration: int
    is_keyframe: bool
    data: bytes


def write_packets(file: BinaryIO, packets: Iterable[av.Packet]) -> int:
    """Append packets to a file; returns how many."""
    count = 0
    for packet in packets:
        data = bytes(packet)
        file.write(_HEAD.pack(packet.pts, packet.duration or 0, len(data), packet.is_keyframe))
        file.write(data)
        count += 1
    return count


def read_packets(file: BinaryIO) -> Iterator[Stored]:
    """What `write_packets` wrote, in the same order."""
    while head := file.read(_HEAD.size):
        pts, duration, size, is_keyframe = _HEAD.unpack(head)
        yield Stored(pts, duration, is_keyframe, file.read(size))


def read_times(file: BinaryIO) -> Iterator[int]:
    """The times alone."""
    while head := file.read(_HEAD.size):
        pts, _, size, _ = _HEAD.unpack(head)
        file.seek(size, 1)
        yield pts
