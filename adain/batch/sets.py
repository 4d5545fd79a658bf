"""Data sets: their forms, and the pieces in which they are worked on."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from adain import folders
from adain.batch.config import BatchConfig
from adain.imaging.formats import IMAGE_SUFFIXES, WRITERS
from adain.options import UsageError, load
from adain.outputs import find_joined

UNIT = 32
"""Pictures of a unit, where the form of the data set allows any number."""
DONE, BROKEN, FAILED = "done", "broken", "failed"
"""What became of a picture: made; no picture that can be read; or not made for a reason that may
pass, so that the next run tries again."""
ROOM = "_adain"
"""Folder inside that of the results; it is no part of a data set."""
_NAMED = 10
_COMPRESSED = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")

FORMS = {
    "tree": "adain.batch.tree:Tree",
    "tar": "adain.batch.shards:Shards",
    "parquet": "adain.batch.tables:Tables",
}
"""Every form of data sets, by name, and the class that reads and writes it."""

SUFFIXES = {".tar": "tar", ".parquet": "parquet", **dict.fromkeys(IMAGE_SUFFIXES, "tree")}
"""The form of a data set that holds files of a suffix."""


class File(NamedTuple):
    """A file of a data set."""

    name: str
    """Path below the folder it was found in, with slashes."""
    path: Path

    @property
    def stem(self) -> str:
        """The name without the suffix of a shard."""
        return self.name.rpartition(".")[0]


@dataclass(frozen=True)
class Unit:
    """What is done at once, and again as a whole if it is not finished: some pictures of a file.

    Args:
        file: The shard; of a tree None.
        files: Of a tree, the pictures.
        first: Of Parquet, the number of the first row.
        start, stop: Where it is in the shard: bytes, or numbers of row groups.
        count: How many pictures.
        digest: Tells it from all others, and from itself before its files changed.
    """

    digest: str
    count: int
    file: File | None = None
    files: tuple[File, ...] = ()
    first: int = 0
    start: int = 0
    stop: int = 0


@dataclass
class Sample:
    """One picture of a data set, with all that belongs to it.

    Args:
        name: Its full name: of a shard's sample, with the name of the shard.
        label: Its class, "" without one.
        suffix: Of its file, with the dot.
        data: The picture's file; None: there is none, and the sample is copied.
        rest: What its form needs to write it again.
        problem: Why the picture cannot be read.
        status: What that makes of it: BROKEN or FAILED.
    """

    name: str
    label: str
    suffix: str = ""
    data: bytes | None = None
    rest: Any = None
    problem: str = ""
    status: str = BROKEN


class Part(Protocol):
    """What is written of a unit, for one draw; it is complete when its context ends."""

    def write(self, sample: Sample, data: bytes | None, suffix: str) -> str:
        """Add a sample with a new picture, or as it is; returns what the result is called."""
        raise NotImplementedError


@dataclass
class Index:
    """What is in a data set."""

    units: list[Unit] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Names of files, or of samples, that cannot be read, and why."""
    notes: list[str] = field(default_factory=list)


class Form(Protocol):
    """Reads and writes data sets of one form; `files` are those of the data set."""

    whole: bool
    """Whether results are files of their own, without parts that are joined."""

    def __init__(self, config: BatchConfig):
        raise NotImplementedError

    def index(self, files: Sequence[File]) -> Index:
        """What is in the data set; of broken files, what is before the damage.

        Raises:
            UsageError: If it is not clear what is meant.
        """
        raise NotImplementedError

    def read(self, unit: Unit) -> Iterator[Sample]:
        raise NotImplementedError

    def part(self, unit: Unit, folder: Path, path: Path) -> AbstractContextManager[Part]:
        """Where a unit's results of one draw go: below `folder`, or for a shard into `path`."""
        raise NotImplementedError

    def join(self, file: File, parts: Sequence[Path], out: BinaryIO) -> None:
        """Write a shard from its parts."""
        raise NotImplementedError


def make_form(name: str, config: BatchConfig) -> Form:
    return load(FORMS[name])(config)


def result_suffix(suffix: str, format: str) -> str:
    """The suffix of a result, with its dot: of the format asked for, its own, or `.png`."""
    if format:
        return f".{format}"
    return suffix if suffix in WRITERS else ".png"


def digest_of(*words: object) -> str:
    text = "\0".join(map(str, words)).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def refuse(what: str, names: Iterable[str], remedy: str) -> None:
    """Raise a UsageError with some of the names, if there are any."""
    names = list(names)
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise UsageError(f"{what}: {', '.join(names[:_NAMED])}{more}. {remedy}")


def refuse_joined(out_path: str, names: Iterable[str]) -> None:
    """Refuse results of which one would replace another on the disk they go to."""
    joined = find_joined(Path(out_path) / name for name in names)
    refuse("Names that are one on that disk", joined, "Rename them, or choose another --out-path.")


def refuse_compressed(names: Iterable[str]) -> None:
    remedy = "Unpack them to .tar: pictures do not get smaller, and parts cannot be read alone."
    refuse("Compressed shards are not read", names, remedy)


# === Finding ===


class FoundSet(NamedTuple):
    """The files of a data set."""

    form: str
    files: list[File]
    problems: list[str]
    notes: list[str]


def find_set(paths: Sequence[str], out_path: str) -> FoundSet:
    """The files of a data set, in order of their names, and its form.

    Raises:
        UsageError: If there is none, or several forms in one; if two files have one name.
    """
    found: list[File] = []
    problems: list[str] = []
    for text in paths:
        path = Path(text)
        if path.is_file():
            found.append(File(path.name, path))
        elif path.is_dir():
            found += _walk(path, out_path, problems)
        else:
            found += _match(text, out_path, problems)
    packed = [file.name for file in found if file.name.lower().endswith(_COMPRESSED)]
    refuse_compressed(packed)
    forms: dict[str, list[File]] = {}
    left = []
    for file in sorted(found):
        form = SUFFIXES.get(file.path.suffix.lower())
        if form is None:
            left.append(file.name)
        else:
            forms.setdefault(form, []).append(file)
    if not forms:
        raise UsageError(
            f"--content-path {' '.join(paths)}: no pictures, .tar or .parquet files there"
        )
    if len(forms) > 1:
        counts = ", ".join(f"{len(files)} {form}" for form, files in sorted(forms.items()))
        raise UsageError(
            f"--content-path must be one kind of data set. Received: {counts} files. Name the "
            "files of one kind, such as 'data/*.tar'."
        )
    ((form, files),) = forms.items()
    counts = Counter(file.name for file in files)
    twice = [name for name, count in counts.items() if count > 1]
    refuse("Several files have one name", twice, "Give the folder above them.")
    notes = []
    if left:
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        notes.append(f"{len(left)} other files left out: {', '.join(left[:_NAMED])}{more}")
    return FoundSet(form, files, problems, notes)


def _walk(folder: Path, out_path: str, problems: list[str]) -> Iterator[File]:
    walk = folders.Walk(folder, None if _is_inside(folder, out_path) else Path(out_path))
    problems += walk.problems
    for path in walk.files:
        name = path.relative_to(folder)
        if ROOM not in name.parts:
            yield File(name.as_posix(), path)


def _match(pattern: str, out_path: str, problems: list[str]) -> list[File]:
    base, parts = folders.split(pattern, True)
    found: list[File] = []
    inside = _is_inside(base, out_path)
    for path in dict.fromkeys(folders.expand(base, parts)):
        # Results of the run that is resumed.
        if ROOM in path.relative_to(base).parts or (not inside and _is_inside(path, out_path)):
            continue
        if path.is_dir():
            found += _walk(path, out_path, problems)
        elif path.is_file():
            found.append(File(path.relative_to(base).as_posix(), path))
    if not found:
        raise UsageError(f"--content-path {pattern}: no such file or folder")
    return found


def _is_inside(path: Path, folder: str) -> bool:
    """Whether a path is a folder, or lies in it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
