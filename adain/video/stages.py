"""Work in stages that overlap: each in a thread, with a short queue to the next."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

_WAIT = 0.1
"""Seconds after which a waiting stage looks whether it is still wanted."""


class Ahead(Generic[Item]):
    """An iterator that runs ahead in a thread of its own, by a bounded number of items.

    What it raises comes out where its items would. Once it is closed, the thread ends with the item
    that it is working on, and the iterator is closed too.

    Args:
        items: What to run.
        size: Items that may wait.
    """

    _END = object()

    def __init__(self, items: Iterator[Item], size: int = 3):
        self._items = items
        self._queue: queue.Queue = queue.Queue(size)
        self._stop = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put((item, None)):
                    break
        except BaseException as error:
            self._put((self._END, error))
        else:
            self._put((self._END, None))
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()

    def _put(self, pair: tuple) -> bool:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(pair, timeout=_WAIT)
                return True
        return False

    def __iter__(self):
        return self

    def __next__(self) -> Item:
        if self._ended:
            raise StopIteration
        item, error = self._queue.get()
        if item is self._END:
            self._ended = True
            if error is not None:
                raise error
            raise StopIteration
        return item

    def close(self) -> None:
        """Stop it, and wait until it has."""
        self._ended = True
        self._stop.set()
        self._thread.join()


class Clock:
    """How long each kind of work takes, in seconds; they overlap."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self.started = time.perf_counter()

    @contextlib.contextmanager
    def __call__(self, work: str, share: float = 1.0) -> Iterator[None]:
        """Count the time inside, or a share of it, as some work."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._add(work, share * (time.perf_counter() - start))

    @contextlib.contextmanager
    def pause(self, work: str) -> Iterator[None]:
        """Do not count the time inside, which is within that work."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._add(work, start - time.perf_counter())

    def _add(self, work: str, seconds: float) -> None:
        with self._lock:
            self.seconds[work] += seconds

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return time.perf_counter() - self.started

    def shares(self) -> str:
        """Each work's share of the time, the largest first."""
        whole = max(self.elapsed, 1e-9)
        found = sorted(self.seconds.items(), key=lambda pair: -pair[1])
        return ", ".join(f"{work} {100 * seconds / whole:.0f} %" for work, seconds in found)
