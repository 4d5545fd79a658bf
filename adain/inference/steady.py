"""Statistics of a clip's frames, smoothed so that the result does not flicker with them.

AdaIN takes a photo's means and deviations off and puts a style's on. Of two frames that hardly
differ, they hardly differ; but the result depends on them everywhere at once, and so does it on
what a decoder normalises with, and on the result's own palette. Here each of them is a running mean
over the last frames, which begins again with every scene.

What changes faster than that, as in a fade, is followed at once: where a frame hardly varies,
features that are off by little would be off by many of their deviations.

Frames may be processed at the same time, in threads: where one needs what the ones before have
measured, it waits for them, so that the result is that of one frame after the other.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_LOOKS = 4
"""In a window, statistics that cost a pass of their own are measured so often."""


class _Value(NamedTuple):
    """A running mean, and when it was first and last measured, in frames of the clip."""

    mean: np.ndarray
    dtype: np.dtype
    first: int
    last: int


class _Scene:
    """What is known of the frames of one scene."""

    def __init__(self, start: int):
        self.start = start
        self.values: dict[str, list[_Value]] = {}
        # Frames that are not finished, and what each of them has had.
        self.open: dict[int, set[str]] = {}
        self.changed = threading.Condition()


class Steady:
    """What the frames of one clip share.

    Args:
        window: Frames over which statistics are smoothed, the time constant of an exponential mean;
            0: each frame has its own.

    Example:
        >>> steady = Steady(12)
        >>> for frame in frames:
        ...     with steady.next_frame() as shared:
        ...         image = stylizer.stylize(frame, code, steady=shared)
    """

    def __init__(self, window: float):
        self.window = window
        self._frame = self._time = -1
        self._scene = _Scene(0)

    def next_frame(
        self, *, cut: bool = False, restyled: bool = False, later: int = 1
    ) -> SteadyFrame:
        """The next frame begins; with `cut`, so does a new scene.

        Frames begin in order, and may be used in threads; later ones wait until it is closed.

        Args:
            cut: Whether a new scene begins.
            restyled: Whether its style is another one than that of the frame before: what belongs
                to the style then begins again.
            later: Frames of the clip since the one before: more than 1 where some are left out.
        """
        self._frame += 1
        self._time += later
        if cut or not self.window:
            self._scene = _Scene(self._frame)
        return SteadyFrame(self.window, self._scene, self._frame, self._time, restyled)

    # === Resuming ===

    def state(self) -> dict[str, np.ndarray]:
        """All that is known, as arrays of numbers; no frame may be open."""
        found = [
            (f"{key}/{part}", value)
            for key, values in sorted(self._scene.values.items())
            for part, value in enumerate(values)
        ]
        times = [(value.first, value.last) for _, value in found]
        kinds = json.dumps([(name, str(value.dtype)) for name, value in found])
        return {
            "kinds": np.frombuffer(kinds.encode(), "uint8"),
            "times": np.array([*times, (self._scene.start, 0), (self._frame, self._time)], "int64"),
            **{f"value{number}": value.mean for number, (_, value) in enumerate(found)},
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` gave."""
        self._frame, self._time = map(int, state["times"][-1])
        self._scene = _Scene(int(state["times"][-2][0]))
        for number, (name, kind) in enumerate(json.loads(state["kinds"].tobytes())):
            # In the order of their parts.
            key, times = name.rpartition("/")[0], map(int, state["times"][number])
            value = _Value(state[f"value{number}"], np.dtype(kind), *times)
            self._scene.values.setdefault(key, []).append(value)


class SteadyFrame:
    """What one frame has of the ones before, and leaves to the next ones.

    Args:
        window: As in `Steady`.
        scene: What is known.
        number: Of this frame.
        time: Of this frame, in frames of the clip.
        restyled: As for `Steady.next_frame`.
    """

    def __init__(self, window: float, scene: _Scene, number: int, time: int, restyled: bool):
        self.window = window
        self._restyled = restyled
        self._scene, self._number, self._time = scene, number, time
        self._every = max(1, round(window / _LOOKS))
        self._call = 0
        self._changes = restyled
        with scene.changed:
            scene.open[number] = set()

    def __enter__(self) -> SteadyFrame:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def close(self) -> None:
        """The frame is finished, or given up."""
        with self._scene.changed:
            self._scene.open.pop(self._number, None)
            self._scene.changed.notify_all()

    def next_call(self) -> None:
        """The networks run again for the same frame: a pass, or another size."""
        self._call += 1

    def due(self, kind: str) -> bool:
        """Whether something that costs a pass of its own is to be measured in this frame.

        In every n-th one, where the style is another one, and where what `hold` was given limits
        for has changed by more.
        """
        if self._changes or (self._number - self._scene.start) % self._every == 0:
            return True
        key = f"{self._call}/{kind}/0"
        with self._scene.changed:
            self._scene.changed.wait_for(lambda: key in self._scene.values or self._is_turn(key))
            return key not in self._scene.values

    def hold(
        self,
        kind: str,
        number: int,
        values: Sequence[np.ndarray],
        limits: Sequence[np.ndarray] = (),
        *,
        styled: bool = True,
    ) -> list[np.ndarray]:
        """The smoothed form of what was measured in this frame.

        Args:
            kind: What it is.
            number: Of which region.
            values: Arrays of any shape, float.
            limits: How far all of it may be from that, as a root mean square of shares of these:
                an array for each of the values, of its shape.
            styled: Whether it depends on the style.

        Returns:
            As many arrays, of the same shapes and types.
        """
        anew = styled and self._restyled
        return self._take(kind, number, list(map(np.asarray, values)), limits, anew)

    def held(self, kind: str, number: int) -> list[np.ndarray]:
        """What `hold` gave last; only where `due` says that nothing is to be measured."""
        return self._take(kind, number, None)

    def _take(
        self,
        kind: str,
        number: int,
        values: list[np.ndarray] | None,
        limits: Sequence[np.ndarray] = (),
        anew: bool = False,
    ) -> list[np.ndarray]:
        key, scene = f"{self._call}/{kind}/{number}", self._scene
        with scene.changed:
            scene.changed.wait_for(lambda: self._is_turn(key))
            found = scene.values.get(key, [])
            if values is not None:
                olds = [None] * len(values) if anew or len(found) != len(values) else found
                found = [self._mean(*pair) for pair in zip(olds, values, strict=True)]
                if limits:
                    found = self._limited(found, values, limits)
                scene.values[key] = found
            if self._number in scene.open:
                scene.open[self._number].add(key)
            scene.changed.notify_all()
        return [value.mean.astype(value.dtype) for value in found]

    def _limited(
        self, found: list[_Value], values: list[np.ndarray], limits: Sequence[np.ndarray]
    ) -> list[_Value]:
        gaps = [value.mean - new for value, new in zip(found, values, strict=True)]
        shares = [(gap / limit).ravel() for gap, limit in zip(gaps, limits, strict=True)]
        far = math.sqrt(np.mean(np.square(np.concatenate(shares))))
        if far <= 1:
            return found
        self._changes = True
        return [
            value._replace(mean=new + gap / far)
            for value, new, gap in zip(found, values, gaps, strict=True)
        ]

    def _is_turn(self, key: str) -> bool:
        """Whether all frames before have had something, or will not need it any more."""
        frames = self._scene.open.items()
        return all(key in had for number, had in frames if number < self._number)

    def _mean(self, old: _Value | None, value: np.ndarray) -> _Value:
        new, first = value.astype("float64"), self._time
        if old is not None and old.mean.shape == value.shape:
            # At first the plain mean: the first frame is not worth more than the next ones.
            first, steps = old.first, self._time - old.last
            share = max(1 - math.exp(-steps / self.window), steps / (self._time - first + 1))
            new = old.mean + min(share, 1) * (new - old.mean)
        return _Value(new, value.dtype, first, self._time)
