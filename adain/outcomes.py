"""What became of each result, and errors that would befall all others, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from adain import files


@dataclass(frozen=True)
class Outcome:
    """What became of a job or a style card."""

    content: str
    style: str
    output: str
    error: str
    seconds: float
    losses: dict[str, float] = field(default_factory=dict)
    """Of optimised pictures."""
    settings: dict = field(default_factory=dict)
    """Of stylised pictures: what made them."""
    told: bool = False
    """Whether the error is that of another one before."""


class NotTriedError(Exception):
    """A result that was not made, because nothing can be written where it goes."""


class Obstacles:
    """Where nothing can be written, as earlier results of a run have found out."""

    def __init__(self):
        self._reasons: dict[Path | None, str] = {}

    def check(self, output: Path | None) -> None:
        """Whether to try.

        Raises:
            NotTriedError: If an earlier result has failed on the same folder or the same full disk.
        """
        for folder in (None, output.parent if output is not None else None):
            if folder in self._reasons:
                raise NotTriedError(self._reasons[folder])

    def run(self, action: Callable[[], object], output: Path | None) -> tuple[str, bool]:
        """Run something for one file.

        Returns:
            Why it failed, in one line, or an empty string; and whether that has been told before.
        """
        told = False

        def watched():
            nonlocal told
            try:
                action()
            except Exception as error:
                told = self._meet(output, error)
                raise

        return reason_of(watched), told

    def _meet(self, output: Path | None, error: Exception) -> bool:
        """Remember an error if it stands in the way of others; whether it has been told before."""
        if isinstance(error, NotTriedError):
            return True
        if output is None or not isinstance(error, files.WriteError):
            return False
        full = error.errno in files.NO_SPACE
        folder = None if full else output.parent
        told = folder in self._reasons
        if full or error.errno in files.NO_ENTRY:
            self._reasons.setdefault(folder, str(error))
        return told


def reason_of(action: Callable[[], None]) -> str:
    """Run something for one file; why it failed, in one line, or an empty string."""
    try:
        action()
    except MemoryError:
        return "not enough memory; use a smaller --content-size (or --tile)"
    except files.WriteError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    except Exception as error:
        # Backends raise types of their own when memory runs out.
        return " ".join(str(error).split()) or type(error).__name__
    return ""
