"""Output paths: how results are named, and conflicts found before any work."""

from __future__ import annotations

import os
import re
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar

from adain.imaging import io as imaging
from adain.options import UsageError
from adain.sources import STDOUT, Source

# What looks like a file's suffix, and not like the end of a folder's name such as `2.5` or `v2`.
_SUFFIX = re.compile(r"\.(?!v\d)[a-z][a-z0-9]{1,5}", re.IGNORECASE)
# Bytes of a name, where the file system does not tell.
_NAME_MAX = 255
_HASH = 8
# Zero-width joiner and variation selector, which make one sign of several.
_JOINERS = {"\u200d", "\ufe0f"}
# So many pairs make a line; more are counted.
_NAMED = 20


class HasOutput(Protocol):
    """A job of any kind; its text says what is made of what."""

    @property
    def output(self) -> Path | None:
        """None: standard output."""


Job = TypeVar("Job", bound=HasOutput)


# === Names ===


def check_out_path(
    out_path: str, suffixes: Sequence[str] = tuple(sorted(imaging.WRITABLE_SUFFIXES))
) -> None:
    """Whether `--out-path` is a folder, or a file of a kind that can be written.

    Raises:
        UsageError: If it is neither; the message lists what there is.
    """
    if out_path == STDOUT:
        return
    if not out_path:
        raise UsageError("--out-path must name a file or a folder. Received: an empty one")
    path = Path(out_path)
    is_folder, exists = path.is_dir(), os.path.lexists(path)
    if is_folder or out_path.endswith(("/", os.sep)):
        return
    suffix = path.suffix.lower()
    if suffix not in suffixes and (_SUFFIX.fullmatch(suffix) or path.is_file()):
        raise UsageError(
            f"--out-path {out_path}: {suffix or 'a file without a suffix'} cannot be written. Use "
            f"{' '.join(suffixes)}, or a folder"
            + ("" if exists else f", which ends with a slash: {out_path}/")
        )
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise UsageError(f"--out-path {out_path} is a pipe or a device. Use a file or a folder.")


def check_written(config: Any) -> None:
    """Whether everything that was given to the flags of a command can be written, before any work.

    Raises:
        UsageError: If one names a file where a folder is wanted or the other way round, lies in a
            file, or in a folder that takes none.
    """
    for item in fields(config):
        kind, path = item.metadata["writes"], getattr(config, item.name)
        # A default need not be used: `adain live` writes only what one records.
        if kind and path not in ("", STDOUT, item.default):
            flag = item.name.replace("_", "-")
            flag = item.name.upper() if item.metadata["how"].get("place") else f"--{flag}"
            check_place(flag, path, kind)


def check_place(flag: str, path: str, kind: str) -> None:
    """Whether something can be written where a flag says.

    Args:
        flag: The flag, for the message.
        path: What it names.
        kind: As `writes` of `options.flag`.

    Raises:
        UsageError: If not.
    """
    place, is_folder = Path(path), path.endswith(("/", os.sep)) or os.path.isdir(path)
    if kind == "file" and is_folder:
        raise UsageError(f"{flag} must be a file. Received: {path}, which is a folder")
    called_so = _SUFFIX.fullmatch(place.suffix) or os.path.exists(path)
    is_file = kind == "file" or (kind == "either" and not is_folder and called_so)
    if reason := check_folder(place.parent if is_file else place):
        raise UsageError(f"{flag} {reason}")
    if is_file and _size(place.name) > _name_max(place.parent):
        raise UsageError(f"{flag} {path}: the name is too long. Choose a shorter one.")


def check_out_folder(flag: str, path: str, holds: str) -> None:
    """Whether a flag that takes a folder names one, there or not.

    Args:
        flag: The flag, for the message.
        path: What it names.
        holds: What is going to be written there, for the message.

    Raises:
        UsageError: If it is something else, or is called like a file and not there.
    """
    place = Path(path)
    if place.is_dir() or path.endswith(("/", os.sep)):
        return
    if os.path.lexists(place) or _SUFFIX.fullmatch(place.suffix):
        exists = os.path.lexists(place)
        slash = "" if exists else f", or end it with a slash: {path}/"
        raise UsageError(
            f"{flag} must be a folder, for {holds}. Received: {path}, "
            f"{'which is a file' if exists else 'called like a file'}. Name a folder{slash}"
        )


def is_file(out_path: str) -> bool:
    """Whether `--out-path` names one picture and not a folder."""
    path = Path(out_path)
    return out_path == STDOUT or (
        not path.is_dir()
        and not out_path.endswith(("/", os.sep))
        and path.suffix.lower() in imaging.WRITABLE_SUFFIXES
    )


def result_suffix(source: Source) -> str:
    """The suffix of a source's results: its own, or .png for formats that are only read."""
    suffix = source.path.suffix.lower() if source.path else ".png"
    return suffix if suffix in imaging.WRITABLE_SUFFIXES else ".png"


def output_path(out_path: str, source: Source, tail: str) -> Path | None:
    """`OUT/{source}{tail}`, in the source's format and its sub-folder; None for standard output.

    Names that are too long for the file system are cut, and end with a hash of the whole.
    """
    if out_path == STDOUT:
        return None
    if is_file(out_path):
        return Path(out_path)
    *folders, name = Path(source.title).parts or ("",)
    folder = Path(out_path, *folders)
    return folder / fit_name(folder, name, tail, result_suffix(source))


def fit_name(folder: Path, name: str, tail: str, suffix: str) -> str:
    """`{name}{tail}{suffix}`, with name and tail cut to what fits into one file name.

    Args:
        folder: Where the file is going to be; it need not exist.
        name: The beginning, the photo's name.
        tail: What follows, with the style's name.
        suffix: The end, which stays whole.
    """
    room = _name_max(folder) - _size(suffix)
    if _size(name) + _size(tail) > room:
        tail = _cut(tail, max(room - _size(name), room // 2))
        name = _cut(name, room - _size(tail))
    return f"{name}{tail}{suffix}"


def _name_max(folder: Path) -> int:
    """Bytes that a name in a folder may have."""
    for place in (folder, *folder.parents):
        try:
            # Some systems say "no limit" as -1, and have one.
            limit = os.pathconf(place, "PC_NAME_MAX")
            return min(limit, _NAME_MAX) if limit > 0 else _NAME_MAX
        except FileNotFoundError:
            continue
        except (OSError, ValueError, AttributeError):  # Windows has no such call.
            break
    return _NAME_MAX


def _size(text: str) -> int:
    return len(os.fsencode(text))


def _cut(text: str, size: int) -> str:
    """A text of that many bytes at most; where it is cut, a hash of all of it follows."""
    if _size(text) <= size:
        return text
    mark = "~" + sha256(os.fsencode(text)).hexdigest()[:_HASH]
    end = min(len(text), size)
    while end > 0 and _size(text[:end]) > size - len(mark):
        end -= 1
    # Not between a letter and its accent, nor inside a joined emoji.
    while end > 0 and (unicodedata.combining(text[end]) or {text[end], text[end - 1]} & _JOINERS):
        end -= 1
    return text[:end] + mark


# === Checks before any work ===


def check_outputs(
    out_path: str,
    jobs: Sequence[HasOutput],
    inputs: Sequence[Source],
    written: Callable[[HasOutput], list[Path | None]] = lambda job: [job.output],
) -> None:
    """Find conflicts of names before any work.

    Args:
        out_path: `--out-path`.
        jobs: All results to make.
        inputs: All pictures that were named.
        written: The files that one job writes.

    Raises:
        UsageError: If results would have the same name, or replace an input; it names all of them.
    """
    if is_file(out_path) and len(jobs) > 1:
        raise UsageError(
            f"--out-path {out_path} is one file, but there are {len(jobs)} results. Give a folder."
        )
    owners: dict[Path | None, HasOutput] = {}
    similar: dict[str, Path] = {}
    paths = {os.path.realpath(source.path) for source in inputs if source.path}
    folded = {_fold(path): path for path in paths}
    wrong = []
    for job in jobs:
        for output in written(job):
            other = output if output is None else similar.setdefault(_fold(output), output)
            if output in owners or (other != output and _are_one(other, output)):
                also = "" if output in owners else f", which is {other} on this disk,"
                owner = owners[output if output in owners else other]
                wrong.append(
                    f"{output}{also} would be written twice: from {owner}, and from {job}. "
                    "Rename one of them."
                )
            elif output is not None and _is_input(output, paths, folded):
                wrong.append(f"{output} is an input; choose another --out-path.")
            owners.setdefault(output, job)
    if wrong:
        more = f" And {len(wrong) - _NAMED} more." if len(wrong) > _NAMED else ""
        raise UsageError(" ".join(wrong[:_NAMED]) + more)


def find_joined(paths: Iterable[Path]) -> list[str]:
    """Files of different names that would be one on the disk they go to."""
    similar: dict[str, Path] = {}
    # Whether names are one that differ in case, or in how letters are composed, or in both.
    joins: dict[tuple[bool, bool], bool] = {}
    found = []
    for path in paths:
        other = similar.setdefault(_fold(path), path)
        if other == path:
            continue
        first, second = os.fspath(other), os.fspath(path)
        kind = _composed(first) == _composed(second), first.casefold() == second.casefold()
        if kind not in joins:
            joins[kind] = _are_one(other, path)
        found += [f"{other} and {path}"] if joins[kind] else []
    return found


def _fold(path: str | os.PathLike) -> str:
    """Equal for names that some file systems take for one."""
    return _composed(os.fspath(path)).casefold()


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _is_input(output: Path, paths: set[str], folded: dict[str, str]) -> bool:
    real = os.path.realpath(output)
    if real in paths:
        return True
    same = folded.get(_fold(real))
    return same is not None and output.exists() and os.path.samefile(output, same)


def _are_one(first: Path, second: Path) -> bool:
    """Whether two names that differ in case or composition are one file where they lie."""
    place = next((place for place in first.parents if place.is_dir()), Path("."))
    try:
        with tempfile.TemporaryDirectory(prefix=".adain-", dir=place) as folder:
            os.makedirs(os.path.join(folder, os.path.relpath(first, place)))
            return os.path.exists(os.path.join(folder, os.path.relpath(second, place)))
    except (OSError, ValueError):  # Told when the folder is checked, or when they are written.
        return False


def check_folder(folder: Path) -> str:
    """Why results cannot be written into a folder, which may not exist yet; "" if they can."""
    place = next(
        (place for place in (folder, *folder.parents) if os.path.lexists(place)), Path(".")
    )
    longest = max(folder.parts, key=_size, default="")
    if _size(longest) > _name_max(place):
        return f"{folder}: cannot be made, because a name in it is too long. Choose another."
    if not os.path.isdir(place):
        return f"{folder}: cannot be made, because {place} is not a folder. Choose another."
    # This writes nothing, and reports read-only disks to the superuser as well.
    if not os.access(place, os.W_OK | os.X_OK):
        read_only = hasattr(os, "statvfs") and os.statvfs(place).f_flag & os.ST_RDONLY
        reason = "Read-only file system" if read_only else "Permission denied"
        return f"{folder}: cannot be written ({reason}). Make it writable, or choose another."
    return ""


def refuse_existing(
    jobs: Sequence[Job], written: Callable[[Job], list[Path | None]] = lambda job: [job.output]
) -> tuple[list[Job], list[str]]:
    """Jobs that write only new files, and a line for each of the others.

    Args:
        jobs: All results to make.
        written: The files that one job writes.
    """
    ready, refused = [], []
    for job in jobs:
        there = [path for path in written(job) if path is not None and os.path.lexists(path)]
        if there:
            refused.append(f"{there[0]} is there already. Use --overwrite to replace it.")
        else:
            ready.append(job)
    return ready, refused
