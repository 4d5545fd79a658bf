"""Motion from a frame to the one before.

A point whose way forward and back does not end where it began was hidden. Results are moved again
and again, so that small errors of the flow add up: where a homography, the motion of a camera that
turns, zooms or looks at a plane, explains the flow, it takes its place.

Reference:
    Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016; Ruder, Dosovitskiy &
    Brox, "Artistic Style Transfer for Videos", GCPR 2016, equations 5 to 7, for what was hidden.
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
_GRID = 12
"""Pixels between the points to which the camera's motion is fitted."""
_STEP = 3
"""Pixels between those on which it is refined."""
_NEAR = 1.5
"""Pixels between flow and the camera's motion up to which they are the same motion."""


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
        if not self._flows or min(grey.shape) < _LEAST:
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
        # All in planes: sums over two interleaved channels take ten times as long.
        places = tuple(map(np.add, cv2.split(back), points_of(*grey.shape)))
        unlike = _difference(grey, last, places)
        trust = self._trust(back, there, places, unlike)
        camera = _camera_motion(places, trust)
        if camera is not None:
            near = _squares(*map(np.subtract, places, camera)) < _NEAR * _NEAR
            camera = _refined(grey, last, camera, near & (trust > 0.5) & _is_inside(*camera))
            places, trust = _with_camera(grey, last, (places, unlike, trust), camera)
        moves = [*map(np.subtract, places, points_of(*grey.shape))]
        trust *= ~_is_outline(*moves)
        flow = cv2.merge(moves)
        return Motion(False, flow, trust)

    def _trust(self, back, there, places, unlike) -> np.ndarray:
        import cv2

        x, y = cv2.split(back)
        columns, rows = points_of(*x.shape)
        there_x, there_y = cv2.split(cv2.remap(there, *places, **_linear()))
        gap = _squares(x + there_x, y + there_y)
        # Ruder's bound, in pixels of this size, as a slope instead of a step.
        trust = 1.5 - gap / (0.02 * _squares(x, y) + 1)
        # What looks different is not the same point, whatever the flow says.
        trust = np.minimum(trust, 2 - unlike / 16)
        # At the borders, where nothing to match comes in, flow is made up: what lies around counts.
        wide = max(9, min(x.shape) // 12) | 1
        around = cv2.split(cv2.blur(back, (wide, wide)))
        outlier = _squares(x - around[0], y - around[1]) > 1 + 0.1 * _squares(*around)
        outlier[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
        seen = _is_inside(*places) & _is_inside(columns + around[0], rows + around[1])
        return np.clip(trust, 0, 1) * (seen & ~outlier)


def _linear() -> dict:
    import cv2

    return {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}


def _difference(grey: np.ndarray, last: np.ndarray, places) -> np.ndarray:
    """How much a frame differs from the one before, taken from some places; grey levels."""
    import cv2

    moved = cv2.remap(last, *places, **_linear())
    return cv2.boxFilter(cv2.absdiff(grey, moved), cv2.CV_32F, (5, 5))


def _is_outline(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where motion changes from one side to the other, and either may have been hidden."""
    import cv2

    around = np.ones((7, 7), "uint8")
    jump = _squares(*(cv2.dilate(part, around) - cv2.erode(part, around) for part in (x, y)))
    return jump > 0.5 + 0.05 * _squares(x, y)


def _camera_motion(places, trust: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Columns and rows where points were, if only the camera moves; None if no motion fits."""
    import cv2

    grid = slice(_GRID // 2, None, _GRID), slice(_GRID // 2, None, _GRID)
    columns, rows = points_of(*trust.shape)
    sure = trust[grid].ravel() > 0.5
    now, before = (
        np.stack([x[grid].ravel()[sure], y[grid].ravel()[sure]], axis=-1)
        for x, y in ((columns, rows), places)
    )
    if len(now) < 16:
        return None
    matrix, fits = cv2.findHomography(now, before, cv2.RANSAC, 0.5, maxIters=200)
    if matrix is None or fits.mean() < 0.3:
        return None
    x, y, depth = (row[0] * columns + row[1] * rows + row[2] for row in matrix.astype("float32"))
    return x / depth, y / depth


def _refined(grey: np.ndarray, last: np.ndarray, places, fits: np.ndarray):
    """Places by an affine motion on top, which the two frames themselves agree with.

    Flow of less than a pixel is a tenth of one too short, the same way in every frame. Two steps of
    Lucas & Kanade over the points that move with the camera.
    """
    import cv2

    grid = slice(1, None, _STEP), slice(1, None, _STEP)
    columns, rows = points_of(*grey.shape)
    x, y = (columns - columns.mean()) / columns.max(), (rows - rows.mean()) / rows.max()
    slopes = [cv2.Sobel(grey, cv2.CV_32F, *order, scale=1 / 8)[grid] for order in ((1, 0), (0, 1))]
    bases = np.ones_like(x[grid]), x[grid], y[grid]
    design = np.stack([slope * basis for slope in slopes for basis in bases])
    now, fits = grey[grid].astype("float32"), fits[grid]
    near = [np.ascontiguousarray(place[grid]) for place in places]
    total = np.zeros((2, 3), "float32")
    for _ in range(2):
        moved = cv2.remap(last, *near, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        gap = now - moved
        sure = (np.abs(gap) < 12) & fits
        parts = design[:, sure]
        step = np.linalg.lstsq(parts @ parts.T, parts @ gap[sure], rcond=None)[0].reshape(2, 3)
        total += step
        near = [
            place + sum(share * basis for share, basis in zip(row, bases, strict=True))
            for place, row in zip(near, step, strict=True)
        ]
    return tuple(
        place + (a + b * x + c * y) for place, (a, b, c) in zip(places, total, strict=True)
    )


def _with_camera(grey: np.ndarray, last: np.ndarray, local, camera):
    """Places and trust with the camera's motion where it is the flow's own, or the flow fails.

    Args:
        grey, last: The frame and the one before.
        local: Places by the flow, how much they differ, and trust.
        camera: Places by the camera's motion.
    """
    import cv2

    places, unlike, trust = local
    other = _difference(grey, last, camera)
    gap = _squares(*map(np.subtract, places, camera))
    takes = ((gap < _NEAR * _NEAR) | (trust < 0.5)) & _is_inside(*camera)
    takes &= other < unlike + 1.5
    # Smoothly where both are near: steps would tear what is moved by them again and again.
    share = cv2.blur(takes.astype("float32"), (21, 21))
    share = np.where(gap < _NEAR * _NEAR, share, share > 0.5).astype("float32")
    places = tuple(x + share * (y - x) for x, y in zip(places, camera, strict=True))
    takes = share > 0.5
    seen = _is_inside(*camera)
    return places, np.where(takes, np.clip(2 - other / 8, 0, 1) * seen, trust).astype("float32")


@lru_cache(maxsize=2)
def points_of(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
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
    # Flow of what stands still is not quite 0.
    return (x > -0.05) & (x < width - 0.95) & (y > -0.05) & (y < height - 0.95)


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
