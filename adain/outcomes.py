"""Outcomes of results, and errors that every other result would run into as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from adain import files


@dataclass(frozen=True)
class Outcome:
    """The outcome of one result: a picture or a style card."""

    content: str
    style: str
    output: str
    error: str
    seconds: float
    losses: dict[str, float] = field(default_factory=dict)
    """Of optimised pictures."""
    cells: list[dict] = field(default_factory=list)
    """Of sheets of optimised pictures: the originals, layers and losses of each picture."""
    settings: dict = field(default_factory=dict)
    """Of stylised pictures: the settings they were made with."""
    reported: bool = False
    """Whether the error has been reported before, for another result."""
    skipped: bool = False
    """Whether it was finished before."""


class NotTriedError(Exception):
    """A result that was skipped because its folder or disk takes no files."""


class Obstacles:
    """Folders and disks that earlier results of a run could not be written to."""

    def __init__(self):
        self._reasons: dict[Path | None, str] = {}

    def check(self, output: Path | None) -> None:
        """Check that a result is worth making.

        Raises:
            NotTriedError: If an earlier result has failed on the same folder or the same full disk.
        """
        for folder in (None, output.parent if output is not None else None):
            if folder in self._reasons:
                raise NotTriedError(self._reasons[folder])

    def run(self, action: Callable[[], object], output: Path | None) -> tuple[str, bool]:
        """Run something for one file.

        Returns:
            Why it failed, in one line ("" if it did not), and whether that was reported before.
        """
        reported = False

        def watched():
            nonlocal reported
            try:
                action()
            except Exception as error:
                reported = self._meet(output, error)
                raise

        return reason_of(watched), reported

    def _meet(self, output: Path | None, error: Exception) -> bool:
        """Remember an error that affects other results; whether it was reported before."""
        if isinstance(error, NotTriedError):
            return True
        if output is None or not isinstance(error, files.WriteError):
            return False
        full = error.errno in files.NO_SPACE
        folder = None if full else output.parent
        reported = folder in self._reasons
        if full or error.errno in files.NO_ENTRY:
            self._reasons.setdefault(folder, str(error))
        return reported


def reason_of(action: Callable[[], None]) -> str:
    """Run something for one file; returns why it failed, in one line, or an empty string."""
    try:
        action()
    except MemoryError:
        return "not enough memory; use a smaller --content-size, --size or --tile"
    except OSError as error:
        return files.describe(error)
    except Exception as error:
        # Backends raise types of their own when memory runs out.
        return " ".join(str(error).split()) or type(error).__name__
    return ""
