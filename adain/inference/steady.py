"""Statistics of a clip's frames, smoothed so that the result does not flicker with them.

AdaIN takes a photo's means and deviations off and puts a style's on. Of two frames that hardly
differ, they hardly differ; but the result depends on them everywhere at once, and so does it on
what a decoder normalises with, and on the result's own palette. Here each of them is a running mean
over the last frames, which begins again with every scene.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_LOOKS = 4
"""In a window, statistics that cost a pass of their own are measured so often."""


class Steady:
    """What the frames of one clip share.

    Args:
        window: Frames over which statistics are smoothed, the time constant of an exponential mean;
            0: each frame has its own.

    Example:
        >>> steady = Steady(12)
        >>> for frame in frames:
        ...     steady.next_frame()
        ...     image = stylizer.stylize(frame, code, steady=steady)
    """

    def __init__(self, window: float):
        self.window = window
        self._every = max(1, round(window / _LOOKS))
        self._frame = -1
        self._call = 0
        self._values: dict[str, np.ndarray] = {}
        self._kinds: dict[str, np.dtype] = {}
        # When each was first and last measured.
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}

    def next_frame(self, *, cut: bool = False) -> None:
        """The next frame begins; with `cut`, so does a new scene."""
        self._frame += 1
        self._call = 0
        if cut or not self.window:
            self._values.clear()

    def next_call(self) -> None:
        """The networks run again for the same frame: a pass, or another size."""
        self._call += 1

    def due(self, kind: str) -> bool:
        """Whether something that costs a pass of its own is to be measured in this frame."""
        found = [key for key in self._values if key.startswith(f"{self._call}/{kind}/")]
        return not found or any(self._frame - self._last[key] >= self._every for key in found)

    def hold(self, kind: str, number: int, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The smoothed form of what was measured in this frame.

        Args:
            kind: What it is.
            number: Of which region.
            values: Arrays of any shape, float.

        Returns:
            As many arrays, of the same shapes and types.
        """
        found = []
        for part, value in enumerate(values):
            key = f"{self._call}/{kind}/{number}/{part}"
            old = self._values.get(key)
            if old is None or old.shape != np.shape(value):
                self._first[key] = self._frame
                new = np.asarray(value, "float64")
            else:
                # At first the plain mean: the first frame is not worth more than the next ones.
                steps = self._frame - self._last[key]
                age = self._frame - self._first[key]
                share = max(1 - math.exp(-steps / self.window), steps / (age + 1))
                new = old + min(share, 1) * (np.asarray(value, "float64") - old)
            self._values[key], self._last[key] = new, self._frame
            self._kinds[key] = np.asarray(value).dtype
            found.append(new.astype(np.asarray(value).dtype))
        return found

    def held(self, kind: str, number: int) -> list[np.ndarray]:
        """What `hold` gave last; only where `due` says that nothing is to be measured."""
        key = f"{self._call}/{kind}/{number}"
        parts = sum(name.startswith(f"{key}/") for name in self._values)
        found = [self._values[f"{key}/{part}"] for part in range(parts)]
        return [value.astype(self._kinds[f"{key}/{part}"]) for part, value in enumerate(found)]

    # === Resuming ===

    def state(self) -> dict[str, np.ndarray]:
        """All that is known, as arrays."""
        names = sorted(self._values)
        times = [(self._first[name], self._last[name]) for name in names]
        return {
            "names": np.array(names, dtype=str),
            "times": np.array([*times, (self._frame, 0)], "int64"),
            "kinds": np.array([str(self._kinds[name]) for name in names], dtype=str),
            **{f"value{number}": self._values[name] for number, name in enumerate(names)},
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` gave."""
        self._values.clear()
        for number, name in enumerate(map(str, state["names"])):
            self._values[name] = state[f"value{number}"]
            self._kinds[name] = np.dtype(str(state["kinds"][number]))
            self._first[name], self._last[name] = map(int, state["times"][number])
        self._frame = int(state["times"][-1][0])
