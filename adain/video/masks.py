"""Masks of clips: a picture for all frames, or a clip that moves along."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from adain.stylize.inputs import Lazy
from adain.video.clip import Clip, Frame, VideoError

_LUMA = np.array([0.299, 0.587, 0.114], "float32")


class MovingMask:
    """A clip as mask: at each time its frame of that time, after its end the last one.

    Times must not go back.

    Args:
        clip: White inside.
        start: Seconds of the first time; what comes before is not decoded where that can be helped.

    Attributes:
        clip: The same.
    """

    def __init__(self, clip: Clip, start: Fraction = Fraction(0)):
        self.clip = clip
        self._frames = clip.frames(start)
        self._next: Frame | None = next(self._frames, None)
        if self._next is None and start:
            # It ends before: its last frame stays.
            self._frames = clip.frames()
            self._next = next(self._frames, None)
        if self._next is None:
            raise VideoError(f"--mask {clip.facts.name}: has no frames.")
        self._now: np.ndarray = _to_mask(self._next)

    def at(self, time: Fraction) -> np.ndarray | None:
        """`(height, width)` uint8, 255 inside; None where all of it is black."""
        while self._next is not None and self._next.time <= time:
            now, self._next = self._next, next(self._frames, None)
            if self._next is None or self._next.time > time:
                self._now = _to_mask(now)
        return self._now if self._now.any() else None


MaskAt = Callable[[Fraction], Lazy | None]
"""A mask at a time; None where there is nothing inside."""


def _to_mask(frame: Frame) -> np.ndarray:
    mask = frame.colors @ _LUMA / (np.iinfo(frame.colors.dtype).max / 255)
    if frame.alpha is not None:
        mask = mask * (frame.alpha / np.float32(np.iinfo(frame.alpha.dtype).max))
    mask = np.rint(mask).astype("uint8")
    # What a video's rounding leaves of black.
    mask[mask < 4] = 0
    return mask
