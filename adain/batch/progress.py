"""The progress of a batch."""

from __future__ import annotations

import time

from adain.batch.estimate import describe
from adain.console import NoProgress, progress_bar, tell


class BatchBar:
    """How many pictures are done, how many a second, and how long the others take.

    On a terminal it is a bar; elsewhere a line now and then.
    """

    EVERY = 30.0
    """Seconds between two lines."""

    def __init__(self, total: int, before: int, quiet: bool):
        self._bar = progress_bar(total, "picture", quiet, initial=before)
        self._lines = not quiet and isinstance(self._bar, NoProgress)
        self._total, self._before = total, before
        self._done = self._first = 0
        self._begun: dict[str, int] = {}
        # From the first picture on: processes take some seconds to start.
        self._start = self._told = None
        self.rate = 0.0

    def __enter__(self) -> BatchBar:
        self._bar.__enter__()
        return self

    def __exit__(self, *reason) -> None:
        self._bar.__exit__(*reason)

    def move(self, unit: str, picture: int) -> None:
        """A picture of a unit has been begun: those before it are done."""
        # Again from the first, if its process was killed.
        self._begun[unit] = picture
        self._show()

    def finish(self, unit: str, count: int) -> None:
        self._begun.pop(unit, None)
        self._done += count
        self._show()

    def _show(self) -> None:
        done = self._done + sum(self._begun.values())
        now = time.monotonic()
        if self._start is None:
            self._start = self._told = now
            self._first = done
        since = now - self._start
        self.rate = (done - self._first) / since if since > 0 else 0.0
        self._bar.update(self._before + done - self._bar.n)
        if self._lines and now - self._told >= self.EVERY:
            self._told = now
            left = (self._total - self._before - done) / self.rate if self.rate else 0
            tell(
                f"{self._before + done} of {self._total} pictures, {self.rate:.1f} a second, "
                f"{describe(left)} left"
            )
