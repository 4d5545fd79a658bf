"""The folder of results: which job it belongs to, and what of it is finished.

`OUT/_adain` holds `job.json`, the settings; `units/`, one record for each finished unit; `parts/`,
pieces of shards that are not complete; and the manifest. Nothing depends on clocks: names and sizes
tell what is finished. Each file appears once it is complete, so that a run may be killed at any
moment.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adain import __version__
from adain.batch.config import BatchConfig
from adain.batch.sets import DONE, FAILED, ROOM, File, Unit, digest_of
from adain.files import WriteError, replacing, try_lock
from adain.options import UsageError, recorded
from adain.presets.preset import PARTS, Preset
from adain.sources import Source

_HEAD = 2**16
_SIZES = "sizes"


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know.

    Args:
        config: The settings.
        form: A key of `sets.FORMS`.
        engine: A key of `ENGINES`.
        styles: What is drawn from, in order.
        sizes: `(height, width)` of photos that engines may make networks for.
    """

    config: BatchConfig
    form: str
    engine: str
    styles: tuple[Source, ...]
    sizes: tuple[tuple[int, int], ...] = ()

    @property
    def out(self) -> Path:
        return Path(self.config.out_path)

    @property
    def room(self) -> Path:
        return self.out / ROOM

    def folders(self) -> list[Path]:
        """Where the results of each draw go."""
        count = self.config.draws
        return [self.out / f"draw-{number}" for number in range(count)] if count > 1 else [self.out]

    def record_path(self, unit: Unit) -> Path:
        return self.room / "units" / unit.digest[:2] / f"{unit.digest}.json"

    def part_path(self, unit: Unit, draw: int) -> Path:
        return self.room / "parts" / unit.digest[:2] / f"{unit.digest}-{draw}"

    # === Whose folder it is ===

    def settings(self, names: Sequence[str]) -> dict[str, Any]:
        """Everything that makes results what they are, for JSON.

        Args:
            names: What the data set is called, wherever it lies.
        """
        preset = Preset.load(self.config.checkpoint)
        palette = self.config.palette
        return {
            "program": f"adain {__version__}",
            "data": [self.form, *names],
            "weights": [preset.name, *(preset.sums.get(f"{part}.npz", "")[:16] for part in PARTS)],
            "engine": self.engine,
            "styles": len(self.styles),
            "style_files": digest_of(
                *(f"{style.flat} {_fingerprint(style.path)}" for style in self.styles)
            ),
        } | recorded(self.config) | {
            "checkpoint": preset.name,
            "palette": preset.palette if palette is None else palette,
        }  # fmt: skip

    def claim(self, settings: dict[str, Any]) -> Job:
        """Make the folder of results this job's.

        Returns:
            The job, with the `sizes` that it began with: pictures may have been added since, and
            all are to be made alike.

        Raises:
            UsageError: If it is another's, or holds something else.
            WriteError: If it cannot be written.
        """
        settings = json.loads(json.dumps({**settings, _SIZES: self.sizes}))
        path = self.room / "job.json"
        if path.is_file():
            try:
                found = json.loads(path.read_text("utf-8"))
            except ValueError:
                found = {}
            differing = sorted(
                key for key in {*found, *settings} - {_SIZES} if found.get(key) != settings.get(key)
            )
            if differing:
                shown = ", ".join(
                    f"{key} ({_short(found.get(key))} there, {_short(settings.get(key))} now)"
                    for key in differing
                )
                raise UsageError(
                    f"--out-path {self.out} belongs to another job, of other {shown}. Choose "
                    "another folder, or remove that one."
                )
            return replace(self, sizes=tuple(map(tuple, found.get(_SIZES, ()))))
        try:
            others = [entry for entry in os.listdir(self.out) if entry != ROOM]
        except FileNotFoundError:
            others = []
        except OSError as error:
            raise UsageError(f"--out-path {self.out}: {error.strerror}") from error
        if others:
            raise UsageError(
                f"--out-path {self.out} must be a new or empty folder, or one of this job. "
                f"Received: one with {others[0]}"
            )
        with replacing(path, make_folder=True) as file:
            file.write(json.dumps(settings, indent=1).encode())
        return self

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs of the same part away.

        Raises:
            UsageError: If there is one.
        """
        number, count = self.config.part
        path = self.room / f"part-{number}-of-{count}.lock"
        try:
            file = open(path, "ab")
        except OSError as error:
            raise WriteError(error.errno, error.strerror, str(path)) from error
        with file:
            if not try_lock(file):
                raise UsageError(f"{self.out}: another run is making this part.")
            yield

    # === What is finished ===

    def write_record(self, unit: Unit, rows: list[dict]) -> None:
        with replacing(self.record_path(unit), make_folder=True) as file:
            file.write(json.dumps(rows).encode())

    def read_record(self, unit: Unit) -> list[dict] | None:
        """What became of a unit's pictures; None if it has not been finished."""
        try:
            return json.loads(self.record_path(unit).read_text("utf-8"))
        except (OSError, ValueError):
            return None

    def is_finished(self, unit: Unit, whole: bool) -> bool:
        """Whether a unit has its record, and its results are there: files, or parts of shards."""
        rows = self.read_record(unit)
        if rows is None or any(row["status"] == FAILED for row in rows):
            return False
        if not whole:
            return all(self.part_path(unit, draw).is_file() for draw in range(self.config.draws))
        return all(
            _size(self.folders()[row["draw"]] / row["output"]) == row["bytes"]
            for row in rows
            if row["status"] == DONE
        )

    def is_joined(self, file: File) -> bool:
        """Whether a shard's results are complete."""
        return all((folder / file.name).is_file() for folder in self.folders())

    def remaining(self, units: Sequence[Unit], whole: bool) -> tuple[list[Unit], list[File]]:
        """Units to do, and shards whose parts are only to be joined."""
        if whole:
            return [unit for unit in units if not self.is_finished(unit, whole)], []
        todo, ready = [], []
        for file, group in by_file(units).items():
            records = list(map(self.read_record, group))
            clean = all(
                rows is not None and all(row["status"] != FAILED for row in rows)
                for rows in records
            )
            if clean and self.is_joined(file):
                continue
            missing = [unit for unit in group if not self.is_finished(unit, whole)]
            todo += missing
            ready += [] if missing else [file]
        return todo, ready


def by_file(units: Sequence[Unit]) -> dict[File, list[Unit]]:
    """The units of each shard, in order."""
    groups: dict[File, list[Unit]] = {}
    for unit in units:
        if unit.file is not None:
            groups.setdefault(unit.file, []).append(unit)
    return groups


def take_part(units: Sequence[Unit], part: tuple[int, int]) -> list[Unit]:
    """Part I of N: every N-th unit of a tree, or all units of every N-th shard."""
    number, count = part
    files = {file: index for index, file in enumerate(by_file(units))}
    return [
        unit
        for index, unit in enumerate(units)
        if (index if unit.file is None else files[unit.file]) % count == number
    ]


def _fingerprint(path: Path) -> str:
    """Tells a style from others of its name: its size, and a hash of its beginning."""
    with open(path, "rb") as file:
        head = hashlib.blake2b(file.read(_HEAD), digest_size=16).hexdigest()
        return f"{os.fstat(file.fileno()).st_size} {head}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _short(value: Any) -> str:
    text = "the default" if value is None else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
