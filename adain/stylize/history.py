"""Resuming: how results were made, recorded in or beside them, and which are finished."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import stat
import threading
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from adain import __version__, files
from adain.imaging import io as imaging
from adain.imaging.formats import WRITERS
from adain.imaging.streams import read_bytes
from adain.imaging.whole import is_whole
from adain.once import Once
from adain.options import recorded
from adain.presets.preset import PARTS, Preset
from adain.sources import Source
from adain.stylize.config import StylizeConfig
from adain.stylize.planned import PlannedRegion, PlannedResult

logger = logging.getLogger(__name__)

RECORDS = ".adain.jsonl"
"""File in a folder of results, with one line for each result whose format has no EXIF."""

_INPUTS = "inputs"
# Formats whose EXIF, and with it the record, lies behind the picture: truncated, they have none.
_RECORD_LAST = ("WEBP", "AVIF", "TIFF")
# Larger EXIF than this may have left no room in a file; then one looks.
_ROOM = 2**15
# Lines that are out of date, before the file is written again without them.
_SPARE = 100


class State(Enum):
    """What exists at a result's path."""

    NEW = "nothing"
    FINISHED = "the result, made with the same settings from the same files"
    CHANGED = "a result made with the same settings from other files of the same names"
    TRUNCATED = "the beginning of such a result"
    OTHER = "something else, which stays unless the user says otherwise"


# === Settings ===


def settings(
    config: StylizeConfig,
    preset: Preset,
    result: PlannedResult,
    tell: Callable[[Source], str] | None = None,
) -> dict:
    """Everything that makes a result what it is, for JSON.

    Args:
        config: The settings of the run.
        preset: The weights.
        result: What is made.
        tell: What is said of each file; by default its name.
    """
    tell = tell or _file_name
    record: dict = {
        "program": f"adain {__version__}",
        "preset": preset.name,
        "weights": _checksum(preset),
        "content": tell(result.content),
    }
    if result.sheet:
        record["cells"] = [
            [[cell.label, [_describe(region, tell) for region in cell.regions]] for cell in row]
            for row in result.sheet
        ]
    else:
        record["regions"] = [_describe(region, tell) for region in result.regions]
    # The default is the preset's, which may change.
    record["palette"] = preset.palette if config.palette is None else config.palette
    return record | recorded(config)


def _describe(region: PlannedRegion, tell: Callable[[Source], str]) -> dict:
    mixed = zip(region.styles, region.weights, strict=True)
    about: dict = {
        "styles": [[tell(style), round(weight, 6)] for style, weight in mixed],
        "alpha": region.alpha,
    }
    if region.mask is not None:
        about["mask"] = tell(region.mask)
    return about


def _file_name(source: Source) -> str:
    return str(source) if source.path is None else source.path.name


def _checksum(preset: Preset) -> str:
    return "-".join(preset.sums.get(f"{part}.npz", "")[:8] for part in PARTS)


class History:
    """The record of each result of a run, and those of results that exist already.

    A result records in its EXIF (ImageHistory), as JSON, how it was made: the settings, the names
    of the files, and `inputs`, a digest of the settings and of the bytes of photo, styles and
    masks. For formats without EXIF the same text is in `RECORDS`, in the same folder, together with
    the SHA-256 of the result that it describes.

    Args:
        config: The settings of the run.
        preset: The weights.
    """

    def __init__(self, config: StylizeConfig, preset: Preset):
        self._config = config
        self._preset = preset
        # Results are written by several threads.
        self._lock, self._told = threading.Lock(), Once()
        self._folders: dict[Path, _Records] = {}

    def settings(self, result: PlannedResult) -> dict:
        """The record of a result without `inputs`."""
        return settings(self._config, self._preset, result)

    def describe(self, result: PlannedResult) -> str:
        """The text to write into a result, once its files have been read.

        Raises:
            ImageError: If one of them cannot be read.
        """
        return json.dumps(self.settings(result) | {_INPUTS: self._digest(result)})

    def _digest(self, result: PlannedResult) -> str:
        limit = self._config.max_pixels
        made = settings(self._config, self._preset, result, lambda source: source.digest(limit))
        del made["program"]
        return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:32]

    def look(self, result: PlannedResult) -> tuple[State, str]:
        """What exists at a result's path, and if it must not be replaced, the reason."""
        output = result.output
        if output is None or not os.path.exists(output):  # Its path may be too long to ask.
            return State.NEW, ""
        if not stat.S_ISREG(output.stat().st_mode):
            return State.OTHER, f"{output} is there already, and is no file. Rename it."
        if self._config.overwrite:
            return State.NEW, ""
        found, whole = self._read(output)
        if found is None:
            if not whole and (not output.stat().st_size or _format(output) in _RECORD_LAST):
                return State.TRUNCATED, ""
            made = "it does not tell how it was made"
            if problem := self._records(output.parent).problem:
                made += f" ({problem})"
        else:
            with contextlib.suppress(imaging.ImageError):  # Told when it is the file's turn.
                if whole and found.get(_INPUTS) == self._digest(result):
                    return State.FINISHED, ""
            if _essence(found) == _essence(self.settings(result)):
                return (State.CHANGED if whole else State.TRUNCATED), ""
            made = "it was made with other settings"
        reason = f"{output} is there already, and {made}. Use --overwrite to replace it."
        return State.OTHER, reason

    def is_result(self, path: Path) -> bool:
        """Whether a picture was made by this program."""
        return self._read(path)[0] is not None

    def _read(self, output: Path) -> tuple[dict | None, bool]:
        """A file's record, and whether the file is complete."""
        text, whole = "", output.stat().st_size > 0
        # Of a video the record is beside it.
        if _format(output):
            with contextlib.suppress(imaging.ImageError):
                data, _ = read_bytes(output)
                whole = is_whole(data)
                text = imaging.read_history(data)
        found = _parse(text) if text else None
        if found is None:
            found = self._records(output.parent).find(output, whole)
        made_here = str((found or {}).get("program", "")).startswith("adain")
        return (found if made_here else None), whole

    def keep(self, output: Path, file: BinaryIO, text: str, exif: bytes | None = None) -> None:
        """Record how a result was made beside it, if its file does not hold the record.

        Args:
            output: The name that the result is going to have.
            file: The result, complete and open for reading.
            text: The record, from `describe`.
            exif: The photo's EXIF, written with it; None: not known.
        """
        if _format(output) in imaging.HISTORY_FORMATS:
            if exif is not None and len(exif) < _ROOM:
                return
            file.seek(0)
            if imaging.read_history(file) == text:
                return
        records = self._records(output.parent)
        try:
            records.add(output.name, file, json.loads(text))
        except OSError as error:
            # A picture counts more than its record.
            if self._told.first(records.path):
                logger.warning(
                    "%s cannot be written (%s): how results of this folder were made is not "
                    "recorded, and the next run will not know them. Make it writable, or remove it",
                    *(records.path, error.strerror),
                )

    def _records(self, folder: Path) -> _Records:
        with self._lock:
            if folder not in self._folders:
                self._folders[folder] = _Records(folder)
            return self._folders[folder]


def _format(output: Path) -> str:
    """The picture format of a result; "" for a video."""
    return WRITERS.get(output.suffix.lower(), "")


def _essence(found: dict) -> dict:
    """A record without what does not affect the picture, and without `inputs`."""
    found = dict(found)
    # So before 0.1.0.
    if "layers" in found:
        found["regions"] = found.pop("layers")
    return {key: value for key, value in found.items() if key not in ("program", _INPUTS)}


# === Beside the results ===


class _Records:
    """The lines of `RECORDS` in one folder; several runs may add to it at the same time."""

    def __init__(self, folder: Path):
        self.path = folder / RECORDS
        self._made: dict[str, dict[str, dict]] = {}
        lines, self.problem = _lines(self.path)
        for line in lines:
            self._made.setdefault(line["file"], {})[line["sha256"]] = line["made"]
        self._spare = len(lines) - len(self._made)

    def find(self, output: Path, whole: bool) -> dict | None:
        """How a file was made; None if the records are of other files of its name.

        Args:
            output: The file.
            whole: Whether it is complete; the latest record of its name is that of a truncated one.
        """
        made = self._made.get(output.name)
        if made is None:
            return None
        if not whole:
            return list(made.values())[-1]
        try:
            with open(output, "rb") as file:
                return made.get(_sha256(file))
        except OSError:
            return None

    def add(self, name: str, file: BinaryIO, made: dict) -> None:
        """Add a line; called before the file gets its name, so that no file is without a line."""
        line = {"file": name, "sha256": _sha256(file), "made": made}
        if self.path.exists() and not self.path.is_file():
            raise OSError(errno.EISDIR, "it is not a file")
        with _locked(self.path) as records:
            if self._spare > _SPARE + len(self._made):
                self._spare = 0
                latest = {line["file"]: line for line in [*_lines(self.path)[0], line]}
                with files.replacing(self.path) as new:
                    new.writelines(map(_to_line, latest.values()))
                return
            size = records.seek(0, os.SEEK_END)
            records.seek(max(size - 1, 0))
            # What a killed run left of a line does not spoil this one.
            start = b"" if records.read(1) in (b"", b"\n") else b"\n"
            records.write(start + _to_line(line))
            records.flush()
            os.fsync(records.fileno())


def _to_line(line: dict) -> bytes:
    return json.dumps(line).encode() + b"\n"


def _lines(path: Path) -> tuple[list[dict], str]:
    """All intact lines, and what is wrong with the file; "" for nothing."""
    try:
        if not path.exists():
            return [], ""
        if not path.is_file():  # A pipe would be waited for.
            return [], f"{path} is not a file"
        data = path.read_bytes()
    except OSError as error:
        return [], f"{path} cannot be read: {error.strerror}"
    lines, texts = [], data.splitlines()
    for text in texts:
        line = _parse(text) or {}
        kinds = {name: type(line.get(name)) for name in ("file", "sha256", "made")}
        if kinds == {"file": str, "sha256": str, "made": dict}:
            lines.append(line)
    broken = len(texts) - len(lines)
    return lines, f"{path} has {broken} lines that are no records" if broken else ""


def _parse(text: str | bytes) -> dict | None:
    """A JSON object; None for everything else, which may come from anywhere."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


@contextlib.contextmanager
def _locked(path: Path):
    """Open a file for reading and appending while other runs are kept from appending."""
    while True:
        with open(path, "a+b") as file:
            files.lock(file)
            # It may have been replaced while this waited.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield file
                return


def _sha256(file: BinaryIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
