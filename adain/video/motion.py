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

from functools import lru_cache
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
_MOST_GAIN = 1.35
"""By what details are enlarged at most: a clip's own noise, which means take away, stays away."""


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
            self._finders = (
                _precise_flow(),
                cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST),
            )
        back = self._finders[0].calc(grey, last, None)
        there = self._finders[1].calc(last, grey, None)
        return Motion(False, back, self._trust(grey, last, back, there))

    def _trust(self, grey, last, back, there) -> np.ndarray:
        import cv2

        # All in planes: sums over two interleaved channels take ten times as long.
        x, y = cv2.split(back)
        columns, rows = _points(*grey.shape)
        places = x + columns, y + rows
        how = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
        there_x, there_y = cv2.split(cv2.remap(there, *places, **how))
        gap = _squares(x + there_x, y + there_y)
        # Ruder's bound, in pixels of this size, as a slope instead of a step.
        trust = 1.5 - gap / (0.02 * _squares(x, y) + 1)
        moved = cv2.remap(last, *places, **how)
        # What looks different is not the same point, whatever the flow says.
        unlike = cv2.boxFilter(cv2.absdiff(grey, moved), cv2.CV_32F, (5, 5))
        trust = np.minimum(trust, 2 - unlike / 16)
        # At the borders, where nothing to match comes in, flow is made up: what lies around counts.
        wide = max(9, min(grey.shape) // 12) | 1
        around = cv2.split(cv2.blur(back, (wide, wide)))
        outlier = _squares(x - around[0], y - around[1]) > 1 + 0.1 * _squares(*around)
        outlier[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
        seen = _is_inside(*places) & _is_inside(columns + around[0], rows + around[1])
        return np.clip(trust, 0, 1) * (seen & ~outlier)


@lru_cache(maxsize=2)
def _points(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of all points of a plane, float32; the same for every frame."""
    rows, columns = np.indices((height, width), "float32")
    return columns, rows


def _precise_flow():
    """OpenCV's medium preset, patches further apart: half its time, errors up to 13 % larger."""
    import cv2

    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    finder.setPatchStride(6)
    finder.setGradientDescentIterations(10)
    return finder


def _squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x * x + y * y


def _is_inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    height, width = x.shape
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
        white = np.iinfo(result.dtype).max
        if motion.flow is None or self._last is None or self._last.shape != now.shape:
            self._age = np.full(now.shape[:2], self._oldest)
            self._last = now
            return result
        height, width = now.shape[:2]
        flow, trust = motion.flow, motion.trust
        if flow.shape[:2] != (height, width):
            rows, columns = flow.shape[:2]
            scale = np.array([width / columns, height / rows], "float32")
            flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR) * scale
            trust = cv2.resize(trust, (width, height), interpolation=cv2.INTER_LINEAR)
        places = [*map(np.add, cv2.split(flow), _points(height, width))]
        border = {"borderMode": cv2.BORDER_REPLICATE}
        # Sharp: what is moved from frame to frame is interpolated again and again.
        moved = cv2.remap(self._last, *places, cv2.INTER_LANCZOS4, **border)
        age = cv2.remap(self._age, *places, cv2.INTER_LINEAR, **border) * trust
        share = age / (age + 1)
        blended = cv2.blendLinear(moved, now, share, 1 - share)
        self._age = np.minimum(age + _GROWTH, self._oldest)
        # Interpolation overshoots.
        self._last = np.clip(blended, 0, white, out=blended)
        shown = np.clip(_with_detail(blended, now, white), 0, white)
        return np.rint(shown, out=shown).astype(result.dtype)

    def state(self) -> dict[str, np.ndarray]:
        """All that the next frame needs."""
        return {"last": self._last, "age": self._age}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` gave."""
        self._last, self._age = state["last"], state["age"]


def _with_detail(blended: np.ndarray, now: np.ndarray, white: int) -> np.ndarray:
    """A mean of moved frames, its finest details as strong as they are in a single one.

    Means of strokes that do not lie on top of each other lose contrast, and so does what is
    interpolated from frame to frame. Each of two bands is enlarged as a whole, so that nothing
    changes from point to point; the mean itself, which the next frame continues, stays as it is.

    Args:
        blended, now: HWC float32, the mean and the newest frame.
        white: The largest value.
    """
    import cv2

    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (blended, now)]
    strengths = []
    for grey in greys:
        fine = _blur(grey, 0)
        strengths.append((cv2.norm(grey, fine), cv2.norm(fine, _blur(fine, 1))))
    least = 1e-3 * white * greys[0].size ** 0.5
    fine, coarse = (
        min(max(new / max(old, least), 1), _MOST_GAIN) for old, new in zip(*strengths, strict=True)
    )
    smooth = _blur(blended, 0)
    result = cv2.addWeighted(blended, fine, smooth, coarse - fine, 0)
    return cv2.addWeighted(result, 1, _blur(smooth, 1), 1 - coarse, 0, dst=result)


def _blur(picture: np.ndarray, level: int) -> np.ndarray:
    import cv2

    size, deviation = (((5, 5), 0.8), ((9, 9), 1.6))[level]
    return cv2.GaussianBlur(picture, size, deviation)
