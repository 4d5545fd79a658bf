"""Tar files of samples, in the form of WebDataset, member by member.

A sample is a run of members whose names are equal up to the first dot of the last part; what
follows is the member's kind: `000017.jpg`, `000017.cls`.

Reference:
    https://github.com/webdataset/webdataset, "The WebDataset format"
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

CHUNK = 2**20
"""Bytes that are copied at once; also the most that tar fills up with zeros, tapes included."""
_NAME = re.compile(r"((?:.*/)?[^./][^/.]*)\.([^/]+)")


@dataclass
class Group:
    """The members of one sample, or one member that belongs to none."""

    key: str
    members: list[tarfile.TarInfo] = field(default_factory=list)


def parts_of(member: tarfile.TarInfo) -> tuple[str, str]:
    """The sample that a member belongs to, and its kind; "" of what belongs to none."""
    is_file = member.isreg() or member.islnk() or member.issym()
    found = _NAME.fullmatch(member.name) if is_file else None
    return (found[1], found[2].lower()) if found else ("", "")


def kind_of(member: tarfile.TarInfo) -> str:
    return parts_of(member)[1]


def content_of(stream: BinaryIO, member: tarfile.TarInfo) -> bytes:
    if not member.isreg():
        return b""
    place = stream.tell()
    stream.seek(member.offset_data)
    data = stream.read(member.size)
    stream.seek(place)
    return data


def chunks_of(stream: BinaryIO, member: tarfile.TarInfo) -> Iterator[bytes]:
    """A member's contents, piece by piece.

    Raises:
        OSError: If they cannot be read.
    """
    stream.seek(member.offset_data)
    left = member.size
    while left:
        data = stream.read(min(left, CHUNK))
        if not data:
            raise OSError(f"unexpected end of data in {member.name}")
        yield data
        left -= len(data)


def _check_end(stream: BinaryIO, place: int) -> None:
    """Whether a tar file ends where its members do; only zeros may follow.

    Raises:
        tarfile.ReadError: If it is cut off, if parts of it are missing, or if it is several.
    """
    stream.seek(place)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("no end-of-archive mark")
    zeros = tarfile.BLOCKSIZE
    while data := stream.read(CHUNK):
        if data.strip(b"\0"):
            raise tarfile.ReadError(
                "more data after an end-of-archive mark: a gap in it, or several shards in one"
            )
        zeros += len(data)
    if zeros > CHUNK:
        raise tarfile.ReadError(f"{zeros} zeros at its end: a download that is not complete?")


def groups(stream: BinaryIO, size: int, stop: int | None = None) -> Iterator[Group]:
    """Samples in a tar file from where it stands, up to a place.

    Raises:
        tarfile.ReadError: After the last whole sample, if it is cut off or has gaps.
    """
    group: Group | None = None
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        while True:
            member = tar.next()
            if member is None or (stop is not None and member.offset >= stop):
                break
            # It keeps all of them.
            tar.members.clear()
            key, _ = parts_of(member)
            if group is not None and (not key or key != group.key):
                yield group
                group = None
            if member.issparse():
                raise tarfile.ReadError(
                    f"{member.name} is stored as a sparse file, which is not read"
                )
            if member.offset_data + (member.size if member.isreg() else 0) > size:
                raise tarfile.ReadError(f"unexpected end of data in {member.name}")
            group = group or Group(key)
            group.members.append(member)
        if stop is None:
            _check_end(stream, tar.offset)
    if group is not None:
        yield group
