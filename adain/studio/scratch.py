"""The temporary folder of a studio, and those that killed ones have left behind."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from adain.files import lock, try_lock
from adain.options import UsageError

_PREFIX = "adain-studio-"
_LOCK = "lock"


class Scratch:
    """A folder that nobody else can read, until `close`.

    Raises:
        UsageError: If there is no place for temporary files.
    """

    def __init__(self) -> None:
        try:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            # Held as long as the studio lives, also where it is killed.
            self._lock = open(self.path / _LOCK, "xb")
        except OSError as error:
            raise UsageError(
                f"{error.filename or 'temporary files'}: cannot be written "
                f"({error.strerror or error}). Set TMPDIR to a folder that can."
            ) from error
        lock(self._lock)
        _remove_leftovers(self.path.parent)

    def close(self) -> None:
        """Remove it, and all that is in it."""
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove the folders of studios that were killed; those of live ones are locked."""
    for path in folder.glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            if try_lock(file):
                shutil.rmtree(path.parent, ignore_errors=True)
