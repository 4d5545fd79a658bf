"""Files and folders: walking, reading text, and writing so that no half-written file is seen."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # Windows.
    fcntl = None

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a full disk or an exhausted quota: nothing else can be written there either."""
NO_ENTRY = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
"""Errors of a folder in which no file can be created."""

_PART = re.compile(r"\.[0-9a-f]{12}\.part")
_DAY = 24 * 60 * 60


# === Writing ===


class WriteError(OSError):
    """A file that cannot be written; its text is one line: path, reason, what was kept, remedy."""

    kept = False
    """Whether the file that was there before still is."""

    def __str__(self) -> str:
        kept = "; the file that was there is unchanged" if self.kept else ""
        return f"{self.filename}: cannot be written ({self.strerror}){kept}. {remedy(self)}"


def describe(error: OSError) -> str:
    """What the system said, in one line: the file, if it names one, and the reason."""
    if isinstance(error, WriteError) or not error.strerror:
        return str(error)
    named = isinstance(error.filename, str | bytes | os.PathLike)
    return f"{os.fsdecode(error.filename)}: {error.strerror}" if named else error.strerror


def remedy(error: OSError) -> str:
    """What to do about a file that cannot be written."""
    if error.errno in NO_SPACE:
        return (
            "What is finished is kept. Free some space and run the same command again, or choose "
            "another folder."
        )
    if error.errno == errno.EFBIG:
        return "Allow larger files (ulimit -f), or choose a disk that takes them."
    if error.errno == errno.ENAMETOOLONG:
        return "Choose a folder with a shorter path."
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return "Something else has that name; choose another."
    # The folder was made, or was there: a file system that takes no files, such as /proc.
    if error.errno == errno.ENOENT:
        return "No files can be made there; choose another folder."
    return "Make the folder writable, or choose another."


_meant: dict[str, str] = {}


@contextlib.contextmanager
def replacing(
    path: str | os.PathLike, *, make_folder: bool = False, sync: bool = True
) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` at the end, once it is complete and synced to the disk.

    A reader, or a run that is killed and restarted, sees either the old file or the new one. While
    it is written the file is hidden and locked, which is how `remove_leftovers` tells it from one
    that a killed run left behind. After an error the old file is unchanged and no other is left.

    Args:
        path: The file.
        make_folder: Whether to create its folder if it does not exist.
        sync: Whether to bring it to the disk at once; otherwise `sync` does, for many files
            together. Until then it may be lost, or empty, after a power failure, not after a kill.

    Yields:
        A binary file, open for reading and writing.

    Raises:
        WriteError: If it cannot be written.
    """
    path = Path(path)
    part = file = None
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        # Short, whatever the name of the file is; hidden, so that nothing reads half a file.
        part, file = _create(path.parent)
        _meant[str(part)] = str(path)
        yield file
        file.flush()
        if sync:
            os.fsync(file.fileno())
        if fcntl is None:  # Open files are not renamed there.
            file.close()
        os.replace(part, path)
        part = None
        if sync:
            _sync_folder(path.parent)
    except Exception as error:
        cause = _cause(error)
        if cause is None:
            raise
        failed = WriteError(cause.errno, cause.strerror, str(path))
        failed.kept = path.is_file()
        raise failed from error
    finally:
        with contextlib.suppress(OSError):
            if file is not None:
                _meant.pop(str(file.name), None)
            if part is not None:
                part.unlink(missing_ok=True)
            if file is not None:
                file.close()


def meant(name: str) -> str:
    """What messages call a file: the name that it is going to have, while it is being written."""
    return _meant.get(name, name)


def sync(paths: Iterable[Path]) -> None:
    """Bring files and their names to the disk; those that are gone are passed over.

    Args:
        paths: What `replacing` wrote without syncing.

    Raises:
        WriteError: If the disk is full, or fails.
    """
    folders = set()
    for path in paths:
        with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file, naming(path):
            os.fsync(file.fileno())
        folders.add(path.parent)
    for folder in folders:
        _sync_folder(folder)


def make_writable(folder: str | os.PathLike) -> None:
    """Make a folder unless it is there, and check that it takes files, before long work.

    Args:
        folder: Where results go.

    Raises:
        WriteError: If it cannot be made, or takes no files.
    """
    folder = Path(folder)
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        part, file = _create(folder)
        file.close()
        part.unlink()


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """Add the path to errors of writing to an open file, which do not name it.

    Raises:
        WriteError: In place of `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise WriteError(error.errno, error.strerror or str(error), str(path)) from error


def _cause(error: BaseException | None) -> OSError | None:
    """What the system said, if this is an error of writing; libraries wrap it in their own."""
    first = error
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            # Any error of the file itself; of what others do meanwhile, a full disk.
            if error is first or error.errno in NO_SPACE:
                return error
        error = error.__cause__ or error.__context__
    return None


def _create(folder: Path) -> tuple[Path, BinaryIO]:
    while True:
        part = folder / f".{os.urandom(6).hex()}.part"
        file = open(part, "x+b")
        lock(file)
        # Between the two lines above it may have been taken for a leftover.
        if fcntl is None or os.fstat(file.fileno()).st_nlink:
            return part, file
        file.close()


def lock(file: BinaryIO) -> None:
    """Keep other processes from a file until it is closed, where the system can."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # Some network file systems have no locks.
            fcntl.flock(file, fcntl.LOCK_EX)


def try_lock(file: BinaryIO) -> bool:
    """`lock` without waiting: whether no other process has it, or the system has no locks."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # As in `lock`.
            pass
    return True


def _sync_folder(folder: Path) -> None:
    """Bring a new name in a folder to the disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(folders: Iterable[Path]) -> None:
    """Remove half-written files of runs that were killed; those of live runs are locked, and stay.

    Args:
        folders: Where to look, each without its sub-folders; one that is missing is passed over.
    """
    for folder in set(folders):
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                if _PART.fullmatch(name):
                    _remove_leftover(folder / name)


def _remove_leftover(part: Path) -> None:
    with contextlib.suppress(OSError), open(part, "rb") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()
                return
            except BlockingIOError:
                return
            except OSError:  # No locks: age must do.
                pass
        if time.time() - part.stat().st_mtime > _DAY:
            part.unlink()


# === Reading ===


def read_toml(path: str | os.PathLike) -> dict[str, Any]:
    """A TOML file's contents.

    Raises:
        ValueError: If it cannot be read, is not TOML, or nested too deeply; the text is the reason,
            without the path.
    """
    # Here, because most commands read no such file.
    import tomllib

    try:
        return tomllib.loads(read_text(path))
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise ValueError("it is not text in UTF-8") from error
    except RecursionError as error:
        raise ValueError(str(error)) from error


def read_text(path: str | os.PathLike) -> str:
    """A text file's contents: UTF-8, or what its byte-order mark says.

    Raises:
        OSError: If it cannot be read.
        UnicodeDecodeError: If it is not text of that encoding.
    """
    data = Path(path).read_bytes()
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding)
    return data.decode("utf-8")
