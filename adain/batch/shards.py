"""Data sets in tar shards, in the form of WebDataset."""

from __future__ import annotations

import copy
import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from adain.batch.config import BatchConfig
from adain.batch.sets import (
    UNIT,
    File,
    Index,
    Sample,
    Unit,
    digest_of,
    refuse,
    refuse_compressed,
    refuse_joined,
    result_suffix,
)
from adain.batch.tar import CHUNK, Group, chunks_of, content_of, groups, kind_of
from adain.files import naming, replacing
from adain.imaging.formats import IMAGE_SUFFIXES
from adain.imaging.streams import most_bytes
from adain.options import UsageError

_END = bytes(2 * tarfile.BLOCKSIZE)
_LABEL = "cls"
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
"""How gzip, bzip2, xz and Zstandard begin."""
_HEAD = max(map(len, _COMPRESSED))


class Shards:
    """Tar files of samples."""

    whole = False

    def __init__(self, config: BatchConfig):
        self._config = config
        self._label = config.label or _LABEL

    # === What is there ===

    def index(self, files: Sequence[File]) -> Index:
        refuse_joined(self._config.out_path, [file.name for file in files])
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
        pieces: list[list[Group]] = []
        counts: list[int] = []
        names: Counter[str] = Counter()
        members: list[str] = []
        problem, loose, labels = "", 0, False
        try:
            with open(file.path, "rb") as stream:
                for group in groups(stream, size):
                    if not counts or counts[-1] == UNIT:
                        pieces.append([])
                        counts.append(0)
                    has_picture = bool(self._pictures(group))
                    members += self._alike(group)
                    pieces[-1].append(group)
                    counts[-1] += has_picture
                    loose += not has_picture
                    names.update([group.key] if group.key else [])
                    labels = labels or self._label in map(kind_of, group.members)
        except (tarfile.TarError, OSError) as error:
            if not pieces:
                self._refuse_compressed(file)
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

    def _refuse_compressed(self, file: File) -> None:
        """Tell a compressed shard, whatever it is called, from a damaged one."""
        with suppress(OSError), open(file.path, "rb") as stream:
            if stream.read(_HEAD).startswith(_COMPRESSED):
                refuse_compressed([file.name])

    def _alike(self, group: Group) -> list[str]:
        """Names that several members of a sample have, or would have after its picture is made."""
        names = Counter(member.name for member in group.members if group.key)
        for member in self._pictures(group):
            suffix = result_suffix(_suffix(member), self._config.format)
            result = _renamed(member.name, suffix)
            # It must not meet another one.
            names[result] += result != member.name
        return [name for name, count in names.items() if count > 1]

    def _pictures(self, group: Group) -> list[tarfile.TarInfo]:
        """The members that are the sample's picture: one at most."""
        wanted = self._config.picture.lower().lstrip(".")
        found = [
            member
            for member in group.members
            if (kind_of(member) == wanted if wanted else f".{kind_of(member)}" in IMAGE_SUFFIXES)
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
            for group in groups(stream, size, unit.stop):
                yield self._sample(stream, unit.file, group)

    def _sample(self, stream: BinaryIO, file: File, group: Group) -> Sample:
        pictures = self._pictures(group)
        contents: list[tuple[tarfile.TarInfo, bytes | None]] = []
        sample = Sample(f"{file.stem}/{group.key}", "", rest=(file.path, contents, pictures))
        for member in group.members:
            is_label, is_picture = kind_of(member) == self._label, member in pictures
            if (is_label or is_picture) and not member.isreg():
                sample.problem = (
                    f"{member.name} is a link to {member.linkname}, which is not followed. Make "
                    "the shard again with the file itself (tar --dereference --hard-dereference)."
                )
            elif is_picture and member.size > most_bytes(self._config.max_pixels):
                sample.problem = f"{member.name} is larger than any picture of --max-pixels."
            # What is large, such as a film, is copied when it is written.
            wanted = member.size <= CHUNK or (is_picture and not sample.problem)
            data = content_of(stream, member) if wanted else None
            contents.append((member, data))
            if is_label:
                sample.label = (data or b"").decode("utf-8", "backslashreplace").strip()
            if is_picture:
                sample.suffix, sample.data = _suffix(member), data or b""
        return sample

    @contextmanager
    def part(self, unit: Unit, folder: Path, path: Path) -> Iterator[ShardPart]:
        with replacing(path, make_folder=True) as file:
            yield ShardPart(file, path)

    def join(self, file: File, parts: Sequence[Path], out: BinaryIO) -> None:
        for part in parts:
            with open(part, "rb") as stream:
                shutil.copyfileobj(stream, out, CHUNK)
        out.write(_END)
        out.write(bytes(-out.tell() % tarfile.RECORDSIZE))


class ShardPart:
    """Members of a shard, without the mark of its end."""

    def __init__(self, file: BinaryIO, path: Path):
        self._file = file
        self._path = path

    def write(self, sample: Sample, data: bytes | None, suffix: str) -> str:
        source, contents, pictures = sample.rest
        result = ""
        for member, content in contents:
            member = copy.copy(member)
            if data is not None and member.name in [picture.name for picture in pictures]:
                content = data
                result = member.name = _renamed(member.name, suffix)
            if content is None:
                with open(source, "rb") as stream:
                    self._add(member, chunks_of(stream, member))
            else:
                if member.isreg():
                    member.size = len(content)
                self._add(member, [content])
        return result

    def _add(self, member: tarfile.TarInfo, content: Iterable[bytes]) -> None:
        headers = member.pax_headers.items()
        member.pax_headers = {key: text for key, text in headers if key not in ("size", "path")}
        self._write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        for data in content:
            self._write(data)
        self._write(bytes(-member.size % tarfile.BLOCKSIZE if member.isreg() else 0))

    def _write(self, data: bytes) -> None:
        with naming(self._path):
            self._file.write(data)


def _suffix(member: tarfile.TarInfo) -> str:
    return "." + member.name.rpartition(".")[2].lower()


def _renamed(name: str, suffix: str) -> str:
    """A name with another suffix; as it is if only its letters are larger."""
    end = name.rpartition(".")[2]
    return name if f".{end.lower()}" == suffix else name.removesuffix(f".{end}") + suffix
