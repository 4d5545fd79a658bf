"""Who is painted for next: tabs in turn, of previews the newest, one painting at a time.

Previews do not wait for a picture in full size: they are painted between its tiles.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from adain.options import UsageError

logger = logging.getLogger(__name__)

PREVIEW, THUMBNAIL, FULL = range(3)
"""Kinds of jobs; of one owner those that people wait for go first."""

_WAITING = 8
"""Paintings in full size that one owner may have in the queue."""


class Cancelled(Exception):
    """A job that is no longer wanted."""


class Job:
    """One painting: `future` has its result, or `Cancelled`, or what went wrong.

    Args:
        owner: Whose it is.
        kind: `PREVIEW`, `THUMBNAIL` or `FULL`.
        work: Makes it; it is called with the job, and calls `report`.
    """

    def __init__(self, owner: str, kind: int, work: Callable[[Job], Any]):
        self.owner, self.kind, self.work = owner, kind, work
        self.future: Future = Future()
        self.progress = 0.0
        self.between: Callable[[], None] = lambda: None
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop at the next step of the networks, or before the first."""
        self._cancelled.set()

    def report(self, progress: float) -> None:
        """Tell how much is done, in [0, 1]; of a long job, a preview is then painted in between.

        Raises:
            Cancelled: If it is no longer wanted.
        """
        self.progress = progress
        if self.cancelled:
            raise Cancelled
        self.between()


class PaintQueue:
    """Jobs of all tabs, and the thread that does them one after another."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, list[Job]] = OrderedDict()
        # The last one is painted now, in between the steps of the one before it.
        self._running: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="painting", daemon=True)
        self._thread.start()

    def submit(self, owner: str, kind: int, work: Callable[[Job], Any]) -> Job:
        """Add a job. A preview takes the place of the owner's earlier one, waiting or running.

        Raises:
            UsageError: If the owner has too many paintings waiting.
        """
        job = Job(owner, kind, work)
        with self._changed:
            if self._closed:
                raise UsageError("The studio is closing.")
            waiting = self._jobs.setdefault(owner, [])
            if kind == FULL and sum(other.kind == FULL for other in waiting) >= _WAITING:
                raise UsageError(
                    f"{_WAITING} pictures are waiting to be painted in full size already. Cancel "
                    "one, or wait."
                )
            waiting.append(job)
            if kind == PREVIEW:
                self._drop(owner, lambda other: other.kind == PREVIEW and other is not job)
            self._changed.notify()
        return job

    def place(self, job: Job) -> int:
        """How many jobs are going to be done before this one, as far as is known now."""
        with self._changed:
            if job.future.done() or job in self._running:
                return 0
            mine = self._jobs.get(job.owner, [])
            before = sum(other.kind < job.kind for other in mine)
            before += (
                sum(other.kind == job.kind for other in mine[: mine.index(job)])
                if (job in mine)
                else 0
            )
            # Each of the others has a turn for each of mine.
            others = sum(
                min(len(jobs), before + 1)
                for owner, jobs in self._jobs.items()
                if owner != job.owner
            )
            return before + others + len(self._running)

    def cancel(self, job: Job) -> None:
        """Take a job out of the queue, or stop it at its next step."""
        with self._changed:
            self._drop(job.owner, lambda other: other is job)

    def forget(self, owner: str) -> None:
        """Cancel all jobs of an owner."""
        with self._changed:
            self._drop(owner, lambda job: True)

    def close(self) -> None:
        """Cancel everything, and wait for the thread."""
        with self._changed:
            self._closed = True
            for owner in list(self._jobs):
                self._drop(owner, lambda job: True)
            for job in self._running:
                job.cancel()
            self._changed.notify_all()
        self._thread.join(timeout=30)

    def _drop(self, owner: str, unwanted: Callable[[Job], bool]) -> None:
        for job in self._running:
            if job.owner == owner and unwanted(job):
                job.cancel()
        jobs = self._jobs.get(owner, [])
        for job in [job for job in jobs if unwanted(job)]:
            jobs.remove(job)
            job.cancel()
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(Cancelled())
        if not jobs:
            self._jobs.pop(owner, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._jobs)
                if self._closed:
                    return
                job = self._take(FULL)
            self._do(job)

    def _step_aside(self) -> None:
        """Paint one preview, if there is one, in between the steps of a long job."""
        with self._changed:
            job = None if self._closed else self._take(PREVIEW)
        if job is not None:
            self._do(job)

    def _take(self, most: int) -> Job | None:
        """The next job of a kind up to `most`; its owner goes to the end of the line."""
        for owner, jobs in self._jobs.items():
            job = min(jobs, key=lambda job: job.kind)
            if job.kind > most:
                continue
            jobs.remove(job)
            if jobs:
                self._jobs.move_to_end(owner)
            else:
                del self._jobs[owner]
            if job.kind == FULL:
                job.between = self._step_aside
            self._running.append(job)
            return job
        return None

    def _do(self, job: Job) -> None:
        try:
            # Whoever waited for it may have gone.
            if not job.future.set_running_or_notify_cancel():
                return
            try:
                if job.cancelled:
                    raise Cancelled
                job.future.set_result(job.work(job))
            except BaseException as error:  # The thread must live on.
                if not isinstance(error, Cancelled | ValueError | OSError):
                    logger.exception("a painting failed")
                job.future.set_exception(error)
        finally:
            with self._changed:
                self._running.remove(job)
