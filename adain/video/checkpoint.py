"""What a run that is killed leaves for the next one: finished segments, and the state after."""

from __future__ import annotations

import contextlib
import json
import shutil
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adain import files
from adain.presets import npz
from adain.video.clip import VideoError


class Reached(NamedTuple):
    """How far a run came."""

    frames: int
    """Frames that are finished."""
    segments: int
    """Files of packets that hold them."""
    end: str
    """Seconds from the beginning to the end of the last one, a fraction such as "1001/30"."""
    state: dict[str, np.ndarray]
    """What the next frame needs of the ones before."""


class Checkpoint:
    """A hidden folder beside a result, while it is made.

    Args:
        output: The result.
        inputs: Digest of all that decides the result; what another one left is removed.

    Raises:
        VideoError: If another run is making the same result.
        WriteError: If it cannot be written.
    """

    def __init__(self, output: Path, inputs: str):
        self.folder = checkpoint_folder(output)
        with files.naming(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.folder / "lock", "a+b")
        if not files.try_lock(self._lock):
            self._lock.close()
            raise VideoError(f"{output}: another run is making this result.")
        self._digests: list[str] = []
        files.remove_leftovers([self.folder])
        if self._read().get("inputs") != inputs:
            self._clear()
            with files.replacing(self.folder / "inputs.json") as file:
                file.write(json.dumps({"inputs": inputs}).encode())

    def _read(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self.folder / "inputs.json").read_bytes())
            return found if isinstance(found, dict) else {}
        return {}

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name != "lock":
                path.unlink()

    def segment(self, number: int) -> Path:
        """The file of one segment's packets."""
        return self.folder / f"{number:06}.packets"

    def reached(self) -> Reached:
        """How far the last run came; nothing where its files are damaged."""
        try:
            state, about = npz.load(self.folder / "state.npz")
            digests = about["digests"]
            found = Reached(about["frames"], len(digests), about["end"], state)
            if list(map(self._digest, range(found.segments))) == digests:
                self._digests = digests
                return found
        except (OSError, ValueError, KeyError):
            pass  # Nothing of it is of use.
        return Reached(0, 0, "0", {})

    def _digest(self, number: int) -> str:
        with open(self.segment(number), "rb") as file:
            return file_digest(file, "sha256").hexdigest()

    def save(self, reached: Reached) -> None:
        """Keep how far this run has come, once its segments are written."""
        new = range(len(self._digests), reached.segments)
        self._digests = [*self._digests, *map(self._digest, new)]
        about = {"frames": reached.frames, "digests": self._digests, "end": reached.end}
        npz.save(self.folder / "state.npz", reached.state, about)

    def close(self, *, finished: bool) -> None:
        """Let other runs have it; remove it once the result is there, or there is nothing in it."""
        nothing = not (self.folder / "state.npz").exists()
        if finished or nothing:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def checkpoint_folder(output: Path) -> Path:
    """Where a result's checkpoint is, whether there is one or not."""
    mark = sha256(str(output.name).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return output.parent / f".{mark}.adain-video"
