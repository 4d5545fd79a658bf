"""Walking through folders and expanding glob patterns, with any names and links."""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path


class Walk:
    """The contents of a folder and its sub-folders, without hidden files and folders.

    Folders that are links are followed; each folder is visited once, under its own path if it has
    one below `folder`, so that a link to a parent does no harm.

    Args:
        folder: Where to begin.
        leave_out: A folder to skip, wherever it is found.

    Attributes:
        folders: All folders, the first one included.
        files: Regular files, links to them, and broken links, so that reading reports these.
        special: Pipes, sockets and devices, and links to them, which may have no end.
        problems: One line for each folder that cannot be read.
    """

    def __init__(self, folder: str | os.PathLike, leave_out: Path | None = None):
        self.folders: list[Path] = []
        self.files: list[Path] = []
        self.special: list[Path] = []
        self.problems: list[str] = []
        self._seen = set() if leave_out is None else {_identity(leave_out)}
        self._links: deque[Path] = deque()
        waiting = deque([Path(folder)])
        while waiting or self._links:
            where = waiting.popleft() if waiting else self._links.popleft()
            waiting += self._visit(where)
        for found in (self.folders, self.files, self.special):
            found.sort(key=lambda path: path.as_posix())

    def _visit(self, where: Path) -> list[Path]:
        """Sort a folder's entries; returns its sub-folders."""
        identity = _identity(where)
        if identity is not None and identity in self._seen:
            return []
        self._seen.add(identity)
        try:
            with os.scandir(where) as entries:
                found = sorted(
                    (entry for entry in entries if not entry.name.startswith(".")),
                    key=lambda entry: entry.name,
                )
        except OSError as error:
            self.problems.append(f"{where}: this folder cannot be read ({error.strerror})")
            return []
        self.folders.append(where)
        inside = []
        for entry in found:
            path = where / entry.name
            try:
                kind = stat.S_IFMT(entry.stat().st_mode) if entry.is_symlink() else None
                if kind == stat.S_IFDIR:
                    self._links.append(path)
                elif kind is None and entry.is_dir():
                    inside.append(path)
                elif kind == stat.S_IFREG or (kind is None and entry.is_file()):
                    self.files.append(path)
                else:
                    self.special.append(path)
            except OSError:  # A link to nothing, or to itself.
                self.files.append(path)
        return inside


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        about = folder.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


# === Patterns ===


def split(pattern: str, literal: bool) -> tuple[Path, list[str]]:
    """A pattern's beginning, and its other parts.

    The beginning has no brackets or stars, or, if `literal`, it is a folder that has them in its
    name.
    """
    parts = list(Path(pattern).parts)
    base = Path(parts.pop(0)) if Path(pattern).is_absolute() else Path()
    while len(parts) > 1:
        exists = literal and _is_folder(base / parts[0])
        if not exists and glob.has_magic(parts[0]):
            break
        base /= parts.pop(0)
    return base, parts


def expand(base: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Paths that fit a pattern, in order; names that begin with a dot only where it has one."""
    if not parts:
        yield base
        return
    (head, *rest), path = parts, base / parts[0]
    if not glob.has_magic(head):
        if os.path.lexists(path):
            yield from expand(path, rest)
    elif inside := list(expand(path, rest)) if os.path.lexists(path) else []:
        yield from inside
    elif head == "**":
        for folder in Walk(base).folders:
            yield from expand(folder, rest or ["*"])
    else:
        try:
            names = sorted(os.listdir(base))
        except OSError:
            return
        for name in names:
            hidden = name.startswith(".") and not head.startswith(".")
            if not hidden and fnmatch.fnmatch(name, head):
                yield from expand(base / name, rest)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):  # Among others a name that is too long.
        return False
