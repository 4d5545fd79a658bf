"""From the paths a user gives to pictures: files, folders, glob patterns and streams."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adain import folders
from adain.constants import MAX_PIXELS
from adain.imaging import io as imaging
from adain.imaging.streams import STDIN_NAME, most_bytes, read_bytes
from adain.options import UsageError

STDIN = STDOUT = "-"
STYLE_CARD = ".npz"

# So many names make a line; more are counted.
_NAMED = 10


@dataclass(frozen=True)
class Source:
    """A picture or style card to read, and what to call it in the names of results."""

    path: Path | None
    """None: standard input."""
    name: str
    """Path below the folder it was found in, without suffix."""
    label: str = ""
    """Replaces `name` in the names of results where two sources have the same name."""
    found: bool = field(default=False, compare=False)
    """Whether it was found in a folder or by a pattern rather than named by the user."""
    _kept: dict = field(default_factory=dict, compare=False, repr=False)

    @property
    def title(self) -> str:
        """The name in results, with folders."""
        return self.label or self.name

    @property
    def flat(self) -> str:
        """The name without folders, for the end of another name."""
        return self.title.replace("/", "_").replace("\\", "_")

    def __str__(self) -> str:
        return STDIN if self.path is None else str(self.path)

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        """All bytes of a picture's file; those of a pipe or a device are read once and kept.

        Raises:
            ImageError: As in `streams.read_bytes`.
        """
        if "data" not in self._kept:
            if self.path is None and sys.stdin is None:
                raise imaging.ImageError("standard input is closed. Name a file.")
            data, _ = read_bytes(sys.stdin.buffer if self.path is None else self.path, max_pixels)
            self._kept["sha256"] = hashlib.sha256(data).hexdigest()
            if self.path is not None and self.path.is_file():
                return data
            self._kept["data"] = data
        return self._kept["data"]

    def open(self, max_pixels: int = MAX_PIXELS) -> io.BytesIO:
        """The bytes as a file object with a name, which is what picture readers take."""
        return _NamedBytes(self.read(max_pixels), STDIN_NAME if self.path is None else str(self))

    def digest(self, max_pixels: int = MAX_PIXELS) -> str:
        """SHA-256 of the bytes last read; reads them now if that has not happened yet.

        Raises:
            ImageError: If they cannot be read.
        """
        if "sha256" in self._kept:
            return self._kept["sha256"]
        if self.path is None or not self.path.is_file():
            self.read(max_pixels)
            return self._kept["sha256"]
        try:
            with open(self.path, "rb") as file:
                if os.fstat(file.fileno()).st_size > most_bytes(max_pixels):
                    raise imaging.ImageError(
                        f"{self}: too large. Raise the limit with --max-pixels."
                    )
                self._kept["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise imaging.ImageError(f"{self}: cannot be read ({error.strerror}).") from error
        return self._kept["sha256"]


class _NamedBytes(io.BytesIO):
    def __init__(self, data: bytes, name: str):
        super().__init__(data)
        self.name = name


# === Finding ===


class Found(NamedTuple):
    """The sources that paths lead to."""

    sources: list[Source]
    problems: list[str]
    """One line for each path without pictures, and each folder that cannot be read."""
    notes: list[str]
    """One line for each folder or pattern in which files were left out."""


def find_sources(
    paths: Sequence[str],
    *,
    cards: bool = False,
    library: Mapping[str, Path] | None = None,
    repeats: bool = False,
    out_path: str = "",
    is_result: Callable[[Path], bool] = lambda path: False,
) -> Found:
    """Files, folders, patterns and `-` to pictures.

    A path that exists is taken as it is, even with brackets or stars in its name; so is the part of
    a pattern that exists. Folders are searched to any depth. What is found there, or by a pattern,
    must be a regular file that is called like a picture; what is named is read whatever it is.

    Args:
        paths: What the user named.
        cards: Whether style cards count as pictures.
        library: Style cards that are known by name; a file or folder of that name goes first.
        repeats: Whether a file that is named several times counts as often: masks, and the styles
            of a mix. What a folder or a pattern finds besides counts once.
        out_path: Where results go: what is found there is no input. Where that is searched
            itself, or a folder of it, only results are left out.
        is_result: Tells results from other pictures.

    Returns:
        The sources in order, problems and notes.

    Raises:
        UsageError: If a path is empty.
    """
    finder = _Finder(cards, out_path, is_result)
    for text in paths:
        if not text:
            raise UsageError("A path must name a file or a folder. Received: an empty one")
        path = Path(text)
        kind, reason = _look(path)
        if text == STDIN:
            finder.add(Source(None, "stdin"), repeats)
        elif kind == stat.S_IFDIR:
            finder.search(path)
        elif kind is not None:
            finder.add(Source(path, path.stem), repeats)
        elif text in (library or {}):
            finder.add(Source(library[text], text), repeats)
        elif reason:
            finder.problems.append(f"{path}: {reason}")
        elif not finder.match(text):
            hint = ", nor a style of that name: see `adain styles list`" if library else ""
            # As it was given: a path has lost a slash of a URL.
            finder.problems.append(f"{text}: no such file or folder{hint}")
    return Found(finder.sources, finder.problems, list(dict.fromkeys(finder.notes)))


def _look(path: Path) -> tuple[int | None, str]:
    """The kind of file, or None and the reason why that is not known ("": there is none)."""
    try:
        return stat.S_IFMT(path.stat().st_mode), ""
    except (FileNotFoundError, NotADirectoryError):
        return None, "a link to a file that does not exist" if path.is_symlink() else ""
    except OSError as error:
        return None, f"cannot be read ({error.strerror})"
    except ValueError:  # A null character.
        return None, ""


class _Finder:
    def __init__(self, cards: bool, out_path: str, is_result: Callable[[Path], bool]):
        self.sources: list[Source] = []
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._suffixes = imaging.IMAGE_SUFFIXES | ({STYLE_CARD} if cards else set())
        self._out = os.path.realpath(out_path) if out_path not in ("", STDOUT) else ""
        self._is_result = is_result
        self._known: set[str] = set()

    def add(self, source: Source, repeats: bool = False) -> None:
        entry = _entry(source.path)
        if entry not in self._known or repeats:
            self._known.add(entry)
            self.sources.append(source)

    def search(self, folder: Path) -> None:
        """Take the pictures of a folder."""
        inside = self._is_inside(os.path.realpath(folder))
        found = folders.Walk(folder, Path(self._out) if self._out and not inside else None)
        self.problems += found.problems
        taken = self._take(folder, found.files, found.special, inside)
        for path in taken:
            self.add(Source(path, str(path.relative_to(folder).with_suffix("")), found=True))
        if not taken and not found.problems:
            self.problems.append(f"{folder}: no pictures in this folder{self._but(inside)}")

    def match(self, pattern: str) -> bool:
        """Take the pictures that a pattern finds, or those of folders; whether there are any."""
        for literal in (True, False):
            base, parts = folders.split(pattern, literal)
            matches = list(dict.fromkeys(folders.expand(base, parts)))
            if matches:
                break
        inner = [path for path in matches if path.is_dir()]
        if len(inner) == len(matches):
            for folder in inner:
                self.search(folder)
            return bool(inner)
        regular = [path for path in matches if path.is_file() or not path.exists()]
        special = [path for path in matches if path not in {*regular, *inner}]
        inside = self._is_inside(os.path.realpath(base))
        taken = self._take(Path(pattern), regular, special, inside)
        stems = Counter(path.stem for path in taken)
        for path in taken:
            # Of the same name in several folders: the folders tell them apart.
            whole = path.relative_to(base).with_suffix("")
            name = path.stem if stems[path.stem] == 1 else str(whole)
            self.add(Source(path, name, found=True))
        if not taken:
            self.problems.append(f"{pattern}: no pictures match this{self._but(inside)}")
        return True

    def _take(
        self, place: Path, regular: list[Path], special: list[Path], inside: bool
    ) -> list[Path]:
        """Pictures that are no results; the others are noted."""
        taken, left = [], [f"{path.name} (a pipe or a device)" for path in special]
        for path in regular:
            if path.suffix.lower() not in self._suffixes:
                left.append(path.name)
            elif not self._out or not self._is_inside(_entry(path)):
                taken.append(path)
            elif inside and not self._is_result(path):
                taken.append(path)
        if left:
            more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
            plural = "" if len(left) == 1 else "s"
            self.notes.append(
                f"{place}: {len(left)} file{plural} left out: {', '.join(left[:_NAMED])}{more}"
            )
        return taken

    def _is_inside(self, real: str) -> bool:
        """Whether a path without links is where results go, or below."""
        return bool(self._out) and (real == self._out or real.startswith(self._out + os.sep))

    def _but(self, inside: bool) -> str:
        return "; results in the output folder are no inputs unless they are named" * inside


def _entry(path: Path | None) -> str:
    """One spelling for each entry of a folder; two links to a file are two entries."""
    if path is None:
        return STDIN
    return os.path.join(os.path.realpath(path.parent), path.name)


def check_streams(sources: Sequence[Source]) -> None:
    """Check that no pipe, and not standard input, is read for two inputs.

    Args:
        sources: Those of all inputs, each as often as it was named.

    Raises:
        UsageError: If one is named twice.
    """
    seen = set()
    for source in sources:
        key = _stream(source.path)
        if key in seen:
            name = STDIN_NAME if source.path is None else f"{source} (a pipe or a device)"
            raise UsageError(
                f"{name} is named twice, but can be read only once. Save it to a file, and name "
                "that."
            )
        if key is not None:
            seen.add(key)


def _stream(path: Path | None) -> Hashable:
    """What tells a stream from others, by whatever name; None for files."""
    try:
        if path is None:
            about = os.fstat(sys.stdin.fileno())
        else:
            about = path.stat()
            if stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode):
                return None
    except (OSError, ValueError, AttributeError):
        return STDIN if path is None else None
    return about.st_dev, about.st_ino


def disambiguate(
    sources: Sequence[Source],
    key: Callable[[Source], Hashable],
    keeps: Callable[[Source], bool] = lambda source: False,
) -> list[Source]:
    """Change the names of sources whose results would have the same name.

    They get their suffix, `a_tga`; where that is the same, their folder, `x1/a` and `x2/a`.

    Args:
        sources: What was found.
        key: Equal for two sources whose results would have the same name; it may use `title`.
        keeps: Whether a source keeps its name where its suffix would be added.

    Returns:
        The same sources, some of them with a `label`.
    """
    groups: dict[Hashable, dict[str, Source]] = {}
    for source in sources:
        groups.setdefault(key(source), {})[_entry(source.path)] = source
    named = [_in_folder(source, groups[key(source)].values()) for source in sources]
    # Twice: `a_tga` may be the name of another source.
    for _ in range(2):
        counts = Counter(map(key, {_entry(source.path): source for source in named}.values()))
        for number, source in enumerate(named):
            suffix = source.path.suffix[1:] if source.path is not None else ""
            if counts[key(source)] > 1 and suffix and not keeps(source):
                named[number] = replace(source, label=f"{source.title}_{suffix}")
    return named


def _in_folder(source: Source, group: Collection[Source]) -> Source:
    """A source with the name of its folder, if only that differs within a group of one name."""
    paths = [other.path for other in group if other.path is not None]
    if source.path is None or len({path.suffix for path in paths}) == len(paths):
        return source
    try:
        base = os.path.commonpath([os.path.realpath(path.parent) for path in paths])
    except ValueError:  # Several drives of Windows.
        return source
    inside = os.path.relpath(os.path.realpath(source.path.parent), base)
    return replace(source, label=str(Path(inside, source.path.stem)))


# === Reading ===


def is_card(source: Source) -> bool:
    return source.path is not None and source.path.suffix.lower() == STYLE_CARD


def read_source(source: Source, max_pixels: int, *, keep_depth: bool = False):
    """`imaging.read_image` of a source."""
    return imaging.read_image(source.open(max_pixels), max_pixels=max_pixels, keep_depth=keep_depth)


def shrink(picture: np.ndarray, size: int, max_pixels: int, name: str) -> np.ndarray:
    """A picture resized to a shorter side of `size` pixels; 0: not at all.

    Raises:
        ImageError: If it would have more than `max_pixels` pixels; the message calls it `name`.
    """
    if not size:
        return picture
    return imaging.resize_shorter_side(picture, size, max_pixels=max_pixels, name=name)
