"""Data sets in tar shards, in the form of WebDataset.

A sample is a run of members whose names are equal up to the first dot of the last part; what
follows is the member's kind: `000017.jpg`, `000017.cls`.

Reference:
    https://github.com/webdataset/webdataset, "The WebDataset format"
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from adain.batch.config import BatchConfig
from adain.batch.sets import UNIT, File, Index, Sample, Unit, digest_of, refuse, result_suffix
from adain.files import naming, replacing
from adain.imaging.formats import IMAGE_SUFFIXES
from adain.options import UsageError

_NAME = re.compile(r"((?:.*/)?[^./][^/.]*)\.([^/]+)")
_END = bytes(2 * tarfile.BLOCKSIZE)
_LABEL = "cls"


@dataclass
class _Group:
    """The members of one sample, or one member that belongs to none."""

    key: str
    members: list[tarfile.TarInfo] = field(default_factory=list)


class Shards:
    """Tar files of samples."""

    whole = False

    def __init__(self, config: BatchConfig):
        self._config = config
        self._label = config.label or _LABEL

    # === What is there ===

    def index(self, files: Sequence[File]) -> Index:
        found = Index()
        labels = [self._index_file(file, found) for file in files]
        if self._config.by == "class" and not any(labels):
            raise UsageError(
                f"--by class needs members of the kind {self._label}. Received: none; see --label"
            )
        return found

    def _index_file(self, file: File, found: Index) -> bool:
        """Add the units of a shard; whether its samples have labels."""
        size = os.path.getsize(file.path)
        pieces: list[list[_Group]] = []
        counts: list[int] = []
        names: Counter[str] = Counter()
        members: list[str] = []
        problem, loose, labels = "", 0, False
        try:
            with open(file.path, "rb") as stream:
                for group in _groups(stream, size):
                    if not counts or counts[-1] == UNIT:
                        pieces.append([])
                        counts.append(0)
                    has_picture = bool(self._pictures(group))
                    members += self._alike(group)
                    pieces[-1].append(group)
                    counts[-1] += has_picture
                    loose += not has_picture
                    names.update([group.key] if group.key else [])
                    labels = labels or self._label in map(_kind, group.members)
        except (tarfile.TarError, OSError) as error:
            problem = " ".join(str(error).split()) or type(error).__name__
            found.problems.append(
                (file.name, f"{file.path}: damaged or cut off after {names.total()} whole samples "
                 f"({problem}). Copy or download it again.")
            )  # fmt: skip
        twice = [name for name, count in names.items() if count > 1]
        remedy = "Make the shard again with one name for each."
        refuse(f"{file.path} has several samples of one name", twice, remedy)
        refuse(f"{file.path} or its results have several members of one name", members, remedy)
        if loose:
            found.notes.append(f"{file.path}: {loose} samples or files without a picture, copied")
        if not pieces and not problem:
            found.notes.append(f"{file.path}: an empty shard")
            found.units.append(Unit(digest_of("tar", file.name, size), 0, file))
        for piece, count in zip(pieces, counts, strict=True):
            members = [member for group in piece for member in group.members]
            about = [(member.name, member.size, member.offset) for member in members]
            digest = digest_of("tar", file.name, size, *about)
            ends = members[0].offset, members[-1].offset + 1
            found.units.append(Unit(digest, count, file, (), 0, *ends))
        return labels

    def _alike(self, group: _Group) -> list[str]:
        """Names that several members of a sample have, or would have after its picture is made."""
        names = Counter(member.name for member in group.members if group.key)
        for member in self._pictures(group):
            suffix = result_suffix(_suffix(member), self._config.format)
            result = _renamed(member.name, suffix)
            # It must not meet another one.
            names[result] += result != member.name
        return [name for name, count in names.items() if count > 1]

    def _pictures(self, group: _Group) -> list[tarfile.TarInfo]:
        """The members that are the sample's picture: one at most."""
        wanted = self._config.picture.lower().lstrip(".")
        found = [
            member
            for member in group.members
            if (_kind(member) == wanted if wanted else f".{_kind(member)}" in IMAGE_SUFFIXES)
        ]
        if len(found) > 1:
            names = ", ".join(member.name for member in found)
            raise UsageError(
                f"Each sample must have one picture. Received: {names}. Choose with --picture."
            )
        return found

    # === Reading ===

    def read(self, unit: Unit) -> Iterator[Sample]:
        if unit.stop == 0:
            return
        with open(unit.file.path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            stream.seek(unit.start)
            for group in _groups(stream, size, unit.stop):
                contents = [(member, _content(stream, member)) for member in group.members]
                yield self._sample(unit.file, group, contents)

    def _sample(self, file: File, group: _Group, contents: list) -> Sample:
        pictures = self._pictures(group)
        sample = Sample(f"{file.stem}/{group.key}", "", rest=(contents, pictures))
        for member, data in contents:
            if _kind(member) == self._label:
                sample.label = data.decode("utf-8", "backslashreplace").strip()
            if member in pictures:
                sample.suffix, sample.data = _suffix(member), data
        return sample

    @contextmanager
    def part(self, unit: Unit, folder: Path, path: Path) -> Iterator[ShardPart]:
        with replacing(path, make_folder=True) as file:
            yield ShardPart(file, path)

    def join(self, file: File, parts: Sequence[Path], out: BinaryIO) -> None:
        for part in parts:
            with open(part, "rb") as stream:
                shutil.copyfileobj(stream, out, 2**20)
        out.write(_END)
        out.write(bytes(-out.tell() % tarfile.RECORDSIZE))


class ShardPart:
    """Members of a shard, without the mark of its end."""

    def __init__(self, file: BinaryIO, path: Path):
        self._file = file
        self._path = path

    def write(self, sample: Sample, data: bytes | None, suffix: str) -> str:
        contents, pictures = sample.rest
        result = ""
        for member, content in contents:
            member = copy.copy(member)
            if data is not None and member.name in [picture.name for picture in pictures]:
                content = data
                result = member.name = _renamed(member.name, suffix)
            self._add(member, content)
        return result

    def _add(self, member: tarfile.TarInfo, content: bytes) -> None:
        if member.isreg():
            member.size = len(content)
        headers = member.pax_headers.items()
        member.pax_headers = {key: text for key, text in headers if key not in ("size", "path")}
        with naming(self._path):
            self._file.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
            self._file.write(content)
            self._file.write(bytes(-len(content) % tarfile.BLOCKSIZE))


def _suffix(member: tarfile.TarInfo) -> str:
    return "." + member.name.rpartition(".")[2].lower()


def _renamed(name: str, suffix: str) -> str:
    """A name with another suffix; as it is if only its letters are larger."""
    end = name.rpartition(".")[2]
    return name if f".{end.lower()}" == suffix else name.removesuffix(f".{end}") + suffix


def _kind(member: tarfile.TarInfo) -> str:
    found = _NAME.fullmatch(member.name) if member.isreg() else None
    return found[2].lower() if found else ""


def _content(stream: BinaryIO, member: tarfile.TarInfo) -> bytes:
    if not member.isreg():
        return b""
    place = stream.tell()
    stream.seek(member.offset_data)
    data = stream.read(member.size)
    stream.seek(place)
    return data


def _groups(stream: BinaryIO, size: int, stop: int | None = None) -> Iterator[_Group]:
    """Samples in a tar file from where it stands, up to a place.

    Raises:
        tarfile.ReadError: After the last whole sample, if it is cut off.
    """
    group: _Group | None = None
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        while True:
            member = tar.next()
            if member is None or (stop is not None and member.offset >= stop):
                break
            # It keeps all of them.
            tar.members.clear()
            found = _NAME.fullmatch(member.name) if member.isreg() else None
            key = found[1] if found else ""
            if group is not None and (not key or key != group.key):
                yield group
                group = None
            if member.issparse():
                raise tarfile.ReadError(
                    f"{member.name} is stored as a sparse file, which is not read"
                )
            if member.offset_data + (member.size if member.isreg() else 0) > size:
                raise tarfile.ReadError(f"unexpected end of data in {member.name}")
            group = group or _Group(key)
            group.members.append(member)
        if stop is None:
            stream.seek(tar.offset)
            ended = stream.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
        if stop is None and not ended:
            raise tarfile.ReadError("no end-of-archive mark")
    if group is not None:
        yield group
