"""Data sets that are folders of picture files; the first folder is the class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from adain.batch.config import BatchConfig
from adain.batch.sets import (
    BROKEN,
    FAILED,
    UNIT,
    File,
    Index,
    Sample,
    Unit,
    digest_of,
    refuse,
    refuse_joined,
    result_suffix,
)
from adain.files import replacing, sync
from adain.imaging.formats import ImageError
from adain.imaging.streams import read_bytes
from adain.options import UsageError


class Tree:
    """Folders of pictures."""

    whole = True

    def __init__(self, config: BatchConfig):
        self._config = config
        if config.picture or config.label:
            raise UsageError("--picture and --label are for shards and Parquet files.")

    def index(self, files: Sequence[File]) -> Index:
        names = Counter(self._result_name(file.name) for file in files)
        twice = [file.name for file in files if names[self._result_name(file.name)] > 1]
        refuse("Results would have the same name", twice, "Rename them, or give no --format.")
        refuse_joined(self._config.out_path, names)
        if self._config.by == "class":
            bare = [file.name for file in files if "/" not in file.name]
            refuse("--by class takes a folder for each class", bare, "Put them into folders.")
        units = []
        for first in range(0, len(files), UNIT):
            group = tuple(files[first : first + UNIT])
            sizes = [(file.name, _size(file.path)) for file in group]
            units.append(Unit(digest_of("tree", *sizes), len(group), files=group))
        return Index(units)

    def _result_name(self, name: str) -> str:
        suffix = PurePosixPath(name).suffix.lower()
        return _named(name, result_suffix(suffix, self._config.format))

    def read(self, unit: Unit) -> Iterator[Sample]:
        for name, path in unit.files:
            folder, slash, _ = name.partition("/")
            sample = Sample(name, folder if slash else "", path.suffix.lower(), b"")
            try:
                sample.data = read_bytes(path, self._config.max_pixels)[0]
            except ImageError as error:
                sample.problem = str(error)
                # Permissions and disks can be mended; what a file holds shows in its size.
                sample.status = FAILED if isinstance(error.__cause__, OSError) else BROKEN
            yield sample

    @contextmanager
    def part(self, unit: Unit, folder: Path, path: Path) -> Iterator[TreePart]:
        part = TreePart(folder)
        yield part
        # Together: each alone would wait for the disk twice.
        sync(part.written)

    def join(self, file: File, parts: Sequence[Path], out: BinaryIO) -> None:
        raise TypeError("files of a tree have no parts")


class TreePart:
    """Results in files of their own."""

    def __init__(self, folder: Path):
        self._folder = folder
        self.written: list[Path] = []

    def write(self, sample: Sample, data: bytes | None, suffix: str) -> str:
        name = _named(sample.name, suffix)
        path = self._folder / name
        with replacing(path, make_folder=True, sync=False) as file:
            file.write(data or b"")
        self.written.append(path)
        return name


def _named(name: str, suffix: str) -> str:
    path = PurePosixPath(name)
    return name if path.suffix.lower() == suffix else str(path.with_suffix(suffix))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # Told when it is read.
        return -1
