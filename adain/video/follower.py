"""Results that follow the motion.

Where a frame shows what the one before has shown, its result should be the earlier one, moved. The
motion comes from the clip, which does not flicker; what was hidden is taken from the network alone.

Reference:
    Lang et al., "Practical Temporal Consistency for Image-Based Graphics Applications", SIGGRAPH
    2012.
"""

from __future__ import annotations

import numpy as np

from adain.imaging.palette import Palette, transport
from adain.video.motion import Motion

_GROWTH = 5
"""By how many frames a point's age grows in each: more than 1, because means of many frames are
means of other strokes; few, because what has just come into view is seen best some frames later."""
_FASTER = 4
"""How many times faster than strokes the colours of areas follow the newest frame: light changes
from place to place, strokes need not."""
_THIN = 17
"""Pixels up to which what is new is the outline of something, or just behind it."""
_AREA = 8
"""Pixels of an area's side."""
_POWERS = np.array([2.1, 1])
"""Power of what a mean's details have lost by which they are enlarged, in the finest band and the
next: in the finest, few strong outlines, which lose little, hide what many weak strokes lose."""
_MOST_GAIN = 2
"""By what details are enlarged at most: a clip's own noise, which means take away, stays away."""
_CALM = 0.5
"""Share of the last frame's map of colours in the next one's."""


class Follower:
    """Results that follow the motion.

    A point is a weighted mean over the frames in which it was seen. The first result of a scene
    counts most; what comes into view later grows together with what follows, or each frame would
    leave strokes of its own along the border.

    Args:
        strength: Share of what was there before, where the motion is sure, in [0, 1).
        soft: Pixels, odd, over which that goes over into what is new; at outlines at once.
    """

    def __init__(self, strength: float, soft: int = 5):
        self._soft = soft
        self._oldest = np.float32(strength / (1 - strength))
        self._last: np.ndarray | None = None
        self._age: np.ndarray | None = None
        self._colors = np.eye(3, 4)
        self._gains = np.ones(2)

    def next(self, result: np.ndarray, motion: Motion, *, painted: bool = True) -> np.ndarray:
        """A result blended with the one before, moved.

        Args:
            result: HWC uint8 or uint16.
            motion: From its frame to the one before.
            painted: Whether the networks have painted it; if not, it is a stand-in, which tells
                nothing of colours and details.

        Returns:
            The same shape and type.
        """
        import cv2

        now = result.astype("float32")
        white = np.iinfo(result.dtype).max
        if motion.flow is None or self._last is None or self._last.shape != now.shape:
            self._age = np.full(now.shape[:2], self._oldest)
            self._last = now
            self._colors, self._gains = np.eye(3, 4), np.ones(2)
            return result
        places, trust = motion.places(*now.shape[:2])
        border = {"borderMode": cv2.BORDER_REPLICATE}
        # Sharp: what is moved from frame to frame is interpolated again and again.
        moved = cv2.remap(self._last, places, None, cv2.INTER_LANCZOS4, **border)
        age = cv2.remap(self._age, places, None, cv2.INTER_LINEAR, **border)
        # Ages are large: of half of one, nearly all would be kept.
        age *= trust * trust
        share = age / (age + 1)
        share = np.minimum(share, _softened(share, self._soft))
        age = share / (1 - share)
        blended = cv2.blendLinear(moved, now, share, 1 - share)
        self._age = np.minimum(age + _GROWTH, self._oldest)
        if painted:
            old, new = _areas_of(blended), _areas_of(now)
            smooth = (cv2.GaussianBlur(picture, (0, 0), 1) for picture in (new, old))
            follows = np.minimum((_FASTER - 1) / np.maximum(_areas_of(age), 1), 1)
            change = follows[..., None] * np.subtract(*smooth)
            blended += cv2.resize(change, now.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            newest = _colors_of(old + change, new, white)
            self._colors = _CALM * self._colors + (1 - _CALM) * newest
        # Interpolation overshoots.
        self._last = np.clip(blended, 0, white, out=blended)
        colored = cv2.transform(blended, self._colors)
        if painted:
            self._gains = _gains_of(colored, now, white)
        return _with_detail(colored, self._gains, result.dtype)

    def state(self) -> dict[str, np.ndarray]:
        """All that the next frame needs."""
        known = {"last": self._last, "age": self._age}
        return known | {"colors": self._colors, "gains": self._gains}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` gave."""
        self._last, self._age = state["last"], state["age"]
        self._colors, self._gains = state["colors"], state["gains"]


def _softened(share: np.ndarray, soft: int) -> np.ndarray:
    """Shares of what was there before that change slowly: steps would be seen as seams."""
    import cv2

    # Beyond the border lies what lies along it.
    wide = cv2.copyMakeBorder(share, *4 * [_THIN], cv2.BORDER_REPLICATE)
    wide = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((_THIN, _THIN), "uint8"))
    return cv2.blur(wide, (soft, soft))[_THIN:-_THIN, _THIN:-_THIN]


def _areas_of(picture: np.ndarray) -> np.ndarray:
    """A picture `_AREA` times smaller, where noise and strokes are of no account."""
    import cv2

    size = tuple(max(side // _AREA, 1) for side in picture.shape[1::-1])
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _colors_of(old: np.ndarray, new: np.ndarray, white: int) -> np.ndarray:
    """The map that gives a mean of moved frames the newest frame's mean and covariance of colours.

    Where the camera goes on to other things, the networks give each of them colours by what else is
    there; what is moved along would keep those of a frame that is gone. All points change alike,
    slowly, and the mean itself, which the next frame continues, stays as it is.

    Args:
        old, new: Areas of the mean and of the newest frame, HWC float32.
        white: The largest value.

    Returns:
        `(3, 4)`: the matrix, and the offset as its last column.
    """
    matrix = transport(*(Palette.of(picture / white) for picture in (old, new)))
    matrix[:, 3] *= white
    return matrix


def _gains_of(blended: np.ndarray, now: np.ndarray, white: int) -> np.ndarray:
    """By what the finest details of a mean of moved frames are weaker than those of a single one.

    Means of strokes that do not lie on top of each other lose contrast, and so does what is
    interpolated from frame to frame.

    Args:
        blended, now: HWC float32, the mean and the newest frame.
        white: The largest value.

    Returns:
        `(2,)`: of two bands, the finest one first.
    """
    import cv2

    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (blended, now)]
    strengths = []
    for grey in greys:
        fine = _blur(grey, 0)
        strengths.append((cv2.norm(grey, fine), cv2.norm(fine, _blur(fine, 1))))
    old, new = np.array(strengths)
    least = 1e-3 * white * greys[0].size ** 0.5
    lost = np.maximum(new / np.maximum(old, least), 1)
    return np.minimum(lost**_POWERS, _MOST_GAIN)


def _with_detail(blended: np.ndarray, gains: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A mean of moved frames, its finest details as strong as they are in a single one.

    Each of two bands is enlarged as a whole, so that nothing changes from point to point; the mean
    itself, which the next frame continues, stays as it is.

    Args:
        blended: HWC float32.
        gains: What `_gains_of` gave.
        dtype: uint8 or uint16, that of the result.
    """
    import cv2

    fine, coarse = gains
    smooth = _blur(blended, 0)
    rough = _blur(smooth, 1)
    cv2.addWeighted(blended, fine, smooth, coarse - fine, 0, dst=smooth)
    # Rounded, and within the type's range.
    depth = cv2.CV_8U if dtype == np.uint8 else cv2.CV_16U
    return cv2.addWeighted(smooth, 1, rough, 1 - coarse, 0, dtype=depth)


def _blur(picture: np.ndarray, level: int) -> np.ndarray:
    import cv2

    size, deviation = (((5, 5), 0.8), ((9, 9), 1.6))[level]
    return cv2.GaussianBlur(picture, size, deviation)
