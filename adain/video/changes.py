"""What frames are painted with changes in the course of a clip: styles, and where masks lie.

Results follow the motion of what is seen. Where something else is to be painted than before, or
nothing, that would keep what was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from adain.stylize.inputs import StyleMix
from adain.video.motion import Motion

_STYLES = 50
"""Loss of trust for all of a style that is exchanged: in transitions of a second, none is left."""
_MASKS = 10
"""Loss of trust from what was outside of a mask to what is inside, and back."""
_SAME = 0.02
"""Change of a mask that does not count: rounding, and what a video's encoding leaves."""

_ROUNDING = 1e-6


class Painted(NamedTuple):
    """A region of a frame."""

    style: Any
    """As a pipeline takes it."""
    mask: np.ndarray | None
    """`(h, w)` uint8, 255 inside, of the frame's size; None: all of it."""


class PaintChanges:
    """Compares what each frame is painted with to what the one before was."""

    def __init__(self):
        self._last: Sequence[Painted] | None = None

    def next(self, regions: Sequence[Painted], motion: Motion) -> tuple[Motion, bool]:
        """Look at the next frame.

        Args:
            regions: As many for each frame, in the same order.
            motion: Of what is seen.

        Returns:
            The motion, without trust where something else was painted; and whether any style has
            changed.
        """
        last, self._last = self._last or regions, regions
        changes = [_change(*pair) for pair in zip(regions, last, strict=True)]
        if motion.flow is None:
            return motion, any(changes)
        trust = motion.trust
        for now, before, change in zip(regions, last, changes, strict=True):
            trust = trust * _kept(now.mask, before.mask, 1 - min(_STYLES * change, 1), motion)
        return motion._replace(trust=trust), any(changes)


def _change(now: Painted, before: Painted) -> float:
    """Share of a region's styles that are exchanged."""
    change = 1 - sum((_weights(now.style) & _weights(before.style)).values())
    return change if change > _ROUNDING else 0.0


def _kept(
    now: np.ndarray | None, before: np.ndarray | None, style: float, motion: Motion
) -> np.ndarray | float:
    """Share of trust that is left in a region and around it; `style`: where its mask lies."""
    import cv2

    if now is None or before is None:
        return style
    size = motion.flow.shape[1::-1]
    masks = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (now, before))
    mask, was = (each.astype("float32") / 255 for each in masks)
    places, _ = motion.places(*motion.flow.shape[:2])
    was = cv2.remap(was, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    moved = np.clip(1 - _MASKS * (np.abs(mask - was) - _SAME), 0, 1)
    # Trust is enlarged, and would reach into narrow stripes from both sides.
    return cv2.erode(moved, np.ones((3, 3), "uint8")) * (1 - mask * (1 - style))


def _weights(style: Any) -> Counter[Hashable]:
    """Shares of the styles of a mix, by what they are; of a style, all."""
    if not isinstance(style, StyleMix):
        # Pixels are the same where they are the same array.
        return Counter({style if isinstance(style, Hashable) else id(style): 1.0})
    weights = style.weights or [1.0] * len(style.styles)
    found: Counter[Hashable] = Counter()
    for part, weight in zip(style.styles, weights, strict=True):
        for key, share in _weights(part).items():
            found[key] += share * weight / sum(weights)
    return found
