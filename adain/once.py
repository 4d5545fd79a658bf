"""What is said once, whichever thread comes first."""

from collections.abc import Hashable
from threading import Lock


class Once:
    """Remembers what has been said; threads may ask at the same time."""

    def __init__(self):
        self._lock = Lock()
        self._said: set[Hashable] = set()

    def first(self, about: Hashable) -> bool:
        """Whether this has not been asked before."""
        with self._lock:
            if about in self._said:
                return False
            self._said.add(about)
            return True
