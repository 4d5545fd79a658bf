"""What a run that is killed leaves for the next one: finished segments, and the state after."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adain import files
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
            with np.load(self.folder / "state.npz", allow_pickle=False) as arrays:
                state = dict(arrays)
            about = json.loads(str(state.pop("about")))
            found = Reached(about["frames"], about["segments"], about["end"], state)
        except (OSError, ValueError, KeyError):
            return Reached(0, 0, "0", {})
        whole = all(self.segment(number).is_file() for number in range(found.segments))
        return found if whole else Reached(0, 0, "0", {})

    def save(self, reached: Reached) -> None:
        """Keep how far this run has come, once its segments are written."""
        about = {"frames": reached.frames, "segments": reached.segments, "end": reached.end}
        data = io.BytesIO()
        np.savez(data, about=np.array(json.dumps(about)), **reached.state)
        with files.replacing(self.folder / "state.npz") as file:
            file.write(data.getbuffer())

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
