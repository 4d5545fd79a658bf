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

from adain.video.camera import find_camera, points_of, refined, transformed
from adain.video.scenes import SceneDetector

SIDE = 384
"""Pixels of the shorter side of the frames whose motion is estimated, at most. Flow is that of
frames half as large."""

_BORDER = 6
"""Pixels of a frame's border in which flow is compared with what lies around."""
_LEAST = 32
"""Pixels of a side below which there is nothing to see."""
_NEAR = 0.75
"""Pixels between flow and the camera's motion up to which they are the same motion."""

_BESIDE = 5
"""Pixels from an outline at which flow is that of one side alone; less than `_BORDER`."""
_TAKEN_BESIDE = 0.5
"""Grey levels by which motion from beside must be better than the camera's, and worse than the
flow's own it may be, to be taken."""
_REMEMBERED = 0.95
"""Share of what was seen before in what is remembered of a point."""
_UNLIKE = 0.3
"""Change of a point, in deviations of its frame, above which it is no longer trusted fully."""
_LEAST_DEVIATION = 2.0
"""Grey levels below which a frame has nothing to be seen."""
_CLOSING = -0.02
"""Divergence of flow, pixels a pixel, below which points come from places nearer to each other."""


class Motion(NamedTuple):
    """From one frame to the one before."""

    cut: bool
    """Whether a new scene begins."""
    flow: np.ndarray | None = None
    """`(h, w, 2)` float32: how far away each point was, of a small frame; None at a cut."""
    trust: np.ndarray | None = None
    """`(h, w)` float32 in [0, 1]: how sure it is that the point was there."""

    def places(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """For a frame of a size.

        Returns:
            Column and row where each point was, `(height, width, 2)` float32, and trust,
            `(height, width)`.
        """
        import cv2

        trust = cv2.resize(self.trust, (width, height), interpolation=cv2.INTER_LINEAR)
        return _places(self.flow, height, width), trust

    def brought_back(self, picture: np.ndarray) -> np.ndarray:
        """A picture of this frame, of any size and type, as the frame before would show it."""
        import cv2

        # The other way, with the flow of where that leads to: what has been uncovered moves as
        # what is there now, and not as what has left.
        places = _pixels(*self.flow.shape[:2]) - self.flow
        ahead = -cv2.remap(self.flow, places, None, **_linear())
        return cv2.remap(picture, _places(ahead, *picture.shape[:2]), None, **_linear())


def _places(flow: np.ndarray, height: int, width: int) -> np.ndarray:
    """Where flow of a small frame leads from each point of a large one."""
    import cv2

    rows, columns = flow.shape[:2]
    flow = flow * np.array([width / columns, height / rows], "float32")
    flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.add(flow, _pixels(height, width), out=flow)


@lru_cache(maxsize=4)
def _pixels(height: int, width: int) -> np.ndarray:
    return np.dstack(points_of(height, width))


class MotionEstimator:
    """Motion of one frame after the other.

    Args:
        flows: Whether flow is wanted; without, only scene changes are found.
    """

    def __init__(self, flows: bool = True):
        self._flows = flows
        self._last: np.ndarray | None = None
        self._memory: np.ndarray | None = None
        self._scenes = SceneDetector()
        self._finders: tuple = ()

    def next(self, colors: np.ndarray) -> Motion:
        """The motion of the next frame, HWC uint8 or uint16; of the first one, a cut."""
        import cv2

        full = _small_grey(colors)
        cut = self._scenes.is_cut(full)
        full_last, self._last = self._last, full
        memory, self._memory = self._memory, None
        if cut or full_last is None or full_last.shape != full.shape:
            return Motion(True)
        if not self._flows or min(full.shape) < _LEAST:
            return Motion(False)
        if not self._finders:
            # Results move by the first one, again and again: its errors, a tenth of a pixel, add
            # up. The second one only has to tell what was hidden.
            self._finders = (_precise_flow(), _quick_flow())
        grey, last = _half(full), _half(full_last)
        back = self._finders[0].calc(grey, last, None)
        there = self._finders[1].calc(last, grey, None)
        # All in planes: sums over two interleaved channels take ten times as long.
        places = _moved(points_of(*grey.shape), cv2.split(back))
        unlike = _difference(grey, last, places)
        trust = self._trust(back, there, places, unlike)
        matrix, camera = find_camera(places, trust), None
        if matrix is not None:
            camera = transformed(points_of(*grey.shape), matrix)
            near = _squares(*map(np.subtract, places, camera)) < _NEAR * _NEAR
            fits = near & (trust > 0.5) & _is_inside(*camera)
            camera = refined(full, full_last, (matrix, camera), fits)
            places, trust = _with_camera(grey, last, (places, unlike, trust), camera)
        moves = [*map(np.subtract, places, points_of(*grey.shape))]
        moves, trust = _with_outlines(grey, last, (moves, trust), camera)
        trust = self._compared(grey, _normalized(last) if memory is None else memory, moves, trust)
        return Motion(False, cv2.merge(moves), trust)

    def _compared(self, grey, memory, moves, trust) -> np.ndarray:
        """Trust where a point looks as it did in the frames before, whatever the exposure.

        From one frame of a fade to the next one little changes, but what was black is a face.
        """
        import cv2

        now = _normalized(grey)
        places = _moved(points_of(*grey.shape), moves)
        seen = cv2.remap(memory, *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        unlike = cv2.boxFilter(cv2.absdiff(now, seen), -1, (5, 5))
        trust = trust * np.clip(2 - unlike / _UNLIKE, 0, 1)
        self._memory = now + _REMEMBERED * trust * (seen - now)
        return trust

    def state(self) -> dict[str, np.ndarray]:
        """What the next frame needs besides the last one."""
        known = {} if self._memory is None else {"memory": self._memory}
        return known | {"scenes": self._scenes.state()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` gave, once the last frame was looked at again."""
        self._memory = state.get("memory")
        self._scenes.restore(state["scenes"])

    def _trust(self, back, there, places, unlike) -> np.ndarray:
        import cv2

        x, y = cv2.split(back)
        columns, rows = points_of(*x.shape)
        there_x, there_y = cv2.split(cv2.remap(there, *places, **_linear()))
        gap = _squares(x + there_x, y + there_y)
        # Ruder's bound, in pixels of the full size, as a slope instead of a step.
        trust = 1.5 - gap / (0.02 * _squares(x, y) + 0.25)
        # What looks different is not the same point, whatever the flow says.
        trust = np.minimum(trust, 2 - unlike / 16)
        # At the borders, where nothing to match comes in, flow is made up: what lies around counts.
        wide = max(9, min(x.shape) // 12) | 1
        around = cv2.split(cv2.blur(back, (wide, wide)))
        outlier = _squares(x - around[0], y - around[1]) > 0.25 + 0.1 * _squares(*around)
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
    return cv2.boxFilter(cv2.absdiff(grey, moved), cv2.CV_32F, (3, 3))


def _with_outlines(grey: np.ndarray, last: np.ndarray, local, camera):
    """Motion that jumps at outlines, where flow goes over from one side to the other.

    What lies in between would be moved by neither and tear. Each point there moves as one of the
    places beside it, or as the camera: as what makes it most like the frame before.

    Args:
        grey, last: The frame and the one before.
        local: Motion, `(x, y)`, and trust.
        camera: Places by the camera's motion, if there is one.
    """
    import cv2

    moves, trust = local
    outline = _is_outline(*moves)
    # At the borders there is nothing to choose by, and not on all sides a place beside.
    inside = np.s_[_BORDER:-_BORDER, _BORDER:-_BORDER]
    zone = np.zeros(grey.shape, "uint8")
    zone[inside] = cv2.dilate(outline.view("uint8"), np.ones((3, 3), "uint8"))[inside]
    trust = trust * ((zone > 0) | ~outline)
    left, top, width, height = cv2.boundingRect(zone)
    if not width:
        return moves, trust

    def at(row: int, column: int) -> tuple[slice, slice]:
        return np.s_[row : row + height, column : column + width]

    part = at(top, left)
    zone, points = zone[part] > 0, [place[part] for place in points_of(*grey.shape)]

    def unlike(motion) -> np.ndarray:
        return _difference(grey[part], last, _moved(points, motion))

    own = found = [axis[part] for axis in moves]
    least = unlike(own) + 2 * _TAKEN_BESIDE
    others = []
    if camera is not None:
        others.append(([*map(np.subtract, (axis[part] for axis in camera), points)], 0.0))
    for rows, columns in ((0, -_BESIDE), (0, _BESIDE), (-_BESIDE, 0), (_BESIDE, 0)):
        beside = at(top + rows, left + columns)
        others.append(([axis[beside] for axis in moves], _TAKEN_BESIDE))
    for other, more in others:
        cost = unlike(other) + more
        better = cost < least
        found = [np.where(better, new, old) for new, old in zip(other, found, strict=True)]
        least = np.minimum(cost, least)
    found = [
        np.where(zone, cv2.medianBlur(new, 5), old) for new, old in zip(found, own, strict=True)
    ]
    x, y = _moved(points, found)
    sure = np.clip(2 - unlike(found) / 6, 0, 1) * _is_inside(x, y, grey.shape)
    moves = [axis.copy() for axis in moves]
    trust[part] = np.where(zone, sure, trust[part]) * ~_was_hidden(*found)
    for axis, new in zip(moves, found, strict=True):
        axis[part] = new
    return moves, trust


def _moved(points, moves) -> tuple[np.ndarray, ...]:
    return tuple(map(np.add, points, moves))


def _is_outline(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where motion changes from one side to the other."""
    import cv2

    around = np.ones((5, 5), "uint8")
    jump = _squares(*(cv2.dilate(part, around) - cv2.erode(part, around) for part in (x, y)))
    return jump > 0.06 + 0.03 * _squares(x, y)


def _was_hidden(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Outlines both of whose sides come from the same places: one was hidden by the other.

    Along the other outlines of an object, which cover what lies behind or slide past it, nothing
    comes into view.
    """
    import cv2

    spread = cv2.Sobel(x, -1, 1, 0, scale=1 / 8) + cv2.Sobel(y, -1, 0, 1, scale=1 / 8)
    return _is_outline(x, y) & (cv2.erode(spread, np.ones((3, 3), "uint8")) < _CLOSING)


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
    near = gap < _NEAR * _NEAR
    takes = (near | (trust < 0.5)) & _is_inside(*camera)
    # Flow finds something that looks a little more alike in fine patterns, whatever moves.
    takes &= other < unlike + np.where(near, 4, 1.5)
    # Smoothly where both are near: steps would tear what is moved by them again and again.
    share = cv2.blur(takes.astype("float32"), (11, 11))
    share = np.where(near, share, share > 0.5).astype("float32")
    places = tuple(x + share * (y - x) for x, y in zip(places, camera, strict=True))
    takes = share > 0.5
    seen = _is_inside(*camera)
    return places, np.where(takes, np.clip(2 - other / 8, 0, 1) * seen, trust).astype("float32")


def _precise_flow():
    """OpenCV's medium preset down to single pixels, patches further apart, fewer refinements."""
    import cv2

    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    finder.setFinestScale(0)
    finder.setPatchStride(6)
    finder.setGradientDescentIterations(10)
    finder.setVariationalRefinementIterations(3)
    return finder


def _quick_flow():
    """OpenCV's ultrafast preset, at half the size."""
    import cv2

    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    finder.setFinestScale(1)
    return finder


def _squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x * x + y * y


def _is_inside(x: np.ndarray, y: np.ndarray, shape: tuple[int, ...] = ()) -> np.ndarray:
    """Whether places are in a frame of some shape; of that of `x` and `y`, unless it is given."""
    height, width = shape or x.shape
    # Flow of what stands still is not quite 0.
    return (x > -0.05) & (x < width - 0.95) & (y > -0.05) & (y < height - 0.95)


def _normalized(grey: np.ndarray) -> np.ndarray:
    """A frame as the networks see it, float32: what is faint in a dark one is as strong there."""
    import cv2

    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(grey))
    return (grey - np.float32(mean)) / np.float32(max(deviation, _LEAST_DEVIATION))


def _small_grey(colors: np.ndarray) -> np.ndarray:
    import cv2

    if colors.dtype != np.uint8:
        colors = (colors >> 8).astype("uint8")
    size = _full_size(*colors.shape[:2])
    if size != colors.shape[:2]:
        colors = cv2.resize(colors, size[::-1], interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(colors, cv2.COLOR_RGB2GRAY)


def _full_size(height: int, width: int) -> tuple[int, int]:
    scale = min(1.0, SIDE / min(height, width))
    return max(round(height * scale), 1), max(round(width * scale), 1)


def flow_size(height: int, width: int) -> tuple[int, int]:
    """`(height, width)` of the flow of frames of a size."""
    return tuple(max(round(side / 2), 1) for side in _full_size(height, width))


def _half(grey: np.ndarray) -> np.ndarray:
    """A frame half as large, smooth: what is finer than its pixels would change with the motion."""
    import cv2

    smooth = cv2.GaussianBlur(grey, (5, 5), 1.0)
    return cv2.resize(smooth, flow_size(*grey.shape)[::-1], interpolation=cv2.INTER_AREA)
