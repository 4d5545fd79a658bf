"""Motion between frames, and results that follow it.

Where a frame shows what the one before has shown, its result should be the earlier one, moved. The
flow comes from the clip, which does not flicker; a point whose way forward and back does not end
where it began was hidden, and is taken from the network alone.

Reference:
    Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016; Ruder, Dosovitskiy &
    Brox, "Artistic Style Transfer for Videos", GCPR 2016, equations 5 and 6, for the check; Lang et
    al., "Practical Temporal Consistency for Image-Based Graphics Applications", SIGGRAPH 2012.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adain.video.scenes import SceneDetector

SIDE = 384
"""Pixels of the shorter side of the frames between which motion is estimated, at most."""

_BORDER = 12
"""Pixels of a frame's border in which flow is compared with what lies around."""
_LEAST = 32
"""Pixels of a side below which there is nothing to see."""
_GROWTH = 3
"""By how many frames a point's age grows in each; 1 would make it the plain mean, which has less
contrast."""


class Motion(NamedTuple):
    """From one frame to the one before."""

    cut: bool
    """Whether a new scene begins."""
    flow: np.ndarray | None = None
    """`(h, w, 2)` float32: where each point was, in pixels of this small frame; None at a cut."""
    trust: np.ndarray | None = None
    """`(h, w)` float32 in [0, 1]: how sure it is that the point was there."""


class MotionEstimator:
    """Motion of one frame after the other.

    Args:
        flows: Whether flow is wanted; without, only scene changes are found.
    """

    def __init__(self, flows: bool = True):
        self._flows = flows
        self._last: np.ndarray | None = None
        self._scenes = SceneDetector()
        self._grid: np.ndarray | None = None
        self._finders: tuple = ()

    def next(self, colors: np.ndarray) -> Motion:
        """The motion of the next frame, HWC uint8 or uint16; of the first one, a cut."""
        import cv2

        grey = _small_grey(colors)
        cut = self._scenes.is_cut(grey)
        last, self._last = self._last, grey
        if cut or last is None or last.shape != grey.shape:
            return Motion(True)
        if not self._flows:
            return Motion(False)
        if min(grey.shape) < _LEAST:
            return Motion(False)
        if not self._finders:
            # Results move by the first one, again and again: its errors, a tenth of a pixel, add
            # up. The second one only has to tell what was hidden.
            kinds = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM, cv2.DISOPTICAL_FLOW_PRESET_FAST
            self._finders = tuple(map(cv2.DISOpticalFlow.create, kinds))
        back = self._finders[0].calc(grey, last, None)
        there = self._finders[1].calc(last, grey, None)
        return Motion(False, back, self._trust(grey, last, back, there))

    def _trust(self, grey, last, back, there) -> np.ndarray:
        import cv2

        if self._grid is None or self._grid.shape != back.shape:
            rows, columns = np.indices(grey.shape, "float32")
            self._grid = np.stack([columns, rows], axis=-1)
        place = self._grid + back
        how = (cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
        returned = back + cv2.remap(there, place, None, how[0], borderMode=how[1])
        gap = np.square(returned).sum(axis=-1)
        length = np.square(back).sum(axis=-1)
        # Ruder's bound, in pixels of this size, as a slope instead of a step.
        trust = 1.5 - gap / (0.02 * length + 1)
        moved = cv2.remap(last, place, None, how[0], borderMode=how[1])
        # What looks different is not the same point, whatever the flow says.
        unlike = cv2.blur(np.abs(grey.astype("float32") - moved), (5, 5))
        trust = np.minimum(trust, 2 - unlike / 16)
        # At the borders, where nothing to match comes in, flow is made up: what lies around counts.
        wide = max(9, min(grey.shape) // 12) | 1
        around = cv2.blur(back, (wide, wide))
        outlier = np.square(back - around).sum(axis=-1) > 1 + 0.1 * np.square(around).sum(axis=-1)
        band = _BORDER
        outlier[band:-band, band:-band] = False
        seen = self._is_inside(place) & self._is_inside(self._grid + around) & ~outlier
        return np.clip(trust, 0, 1) * seen

    @staticmethod
    def _is_inside(place: np.ndarray) -> np.ndarray:
        height, width = place.shape[:2]
        x, y = place[..., 0], place[..., 1]
        return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def _small_grey(colors: np.ndarray) -> np.ndarray:
    import cv2

    if colors.dtype != np.uint8:
        colors = (colors >> 8).astype("uint8")
    height, width = colors.shape[:2]
    scale = min(1.0, SIDE / min(height, width))
    if scale < 1:
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        colors = cv2.resize(colors, size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(colors, cv2.COLOR_RGB2GRAY)


class Follower:
    """Results that follow the motion.

    A point is a weighted mean over the frames in which it was seen. The first result of a scene
    counts most; what comes into view later grows together with what follows, or each frame would
    leave strokes of its own along the border.

    Args:
        strength: Share of what was there before, where the motion is sure, in [0, 1).
    """

    def __init__(self, strength: float):
        self._oldest = np.float32(strength / (1 - strength))
        self._last: np.ndarray | None = None
        self._age: np.ndarray | None = None

    def next(self, result: np.ndarray, motion: Motion) -> np.ndarray:
        """A result, HWC uint8 or uint16, blended with the one before, moved; the same type."""
        import cv2

        now = result.astype("float32")
        if motion.flow is None or self._last is None or self._last.shape != now.shape:
            self._age = np.full(now.shape[:2], self._oldest)
        else:
            height, width = now.shape[:2]
            rows, columns = motion.flow.shape[:2]
            scale = np.array([width / columns, height / rows], "float32")
            flow = cv2.resize(motion.flow, (width, height), interpolation=cv2.INTER_LINEAR) * scale
            trust = cv2.resize(motion.trust, (width, height), interpolation=cv2.INTER_LINEAR)
            flow[..., 0] += np.arange(width, dtype="float32")
            flow[..., 1] += np.arange(height, dtype="float32")[:, None]
            # Sharp: what is moved from frame to frame is interpolated again and again.
            moved = cv2.remap(
                self._last, flow, None, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE
            )
            age = cv2.remap(
                self._age, flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            age *= trust
            moved -= now
            moved *= (age / (age + 1))[..., None]
            now += moved
            self._age = np.minimum(age + _GROWTH, self._oldest)
        white = np.iinfo(result.dtype).max
        # Interpolation overshoots.
        self._last = np.clip(now, 0, white, out=now)
        return np.rint(now).astype(result.dtype)

    def state(self) -> dict[str, np.ndarray]:
        """All that the next frame needs."""
        return {"last": self._last, "age": self._age}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` gave."""
        self._last, self._age = state["last"], state["age"]
