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
from adain.video.motion import Motion, flow_size

_STYLES = 50
"""Loss of trust for all of a style that is exchanged: in transitions of a second, none is left."""
_MASKS = (0.05, 0.35)
"""Change of a mask up to which all trust is left, and from which none is."""
_POWER = 4
"""Of the trust that is left: results follow for so long that half of it would keep nearly all."""
_OLDEST = 1000
"""Frames over which results are means, about."""
_ROUNDING = 1e-6


class Painted(NamedTuple):
    """A region of a frame."""

    style: Any
    """As a pipeline takes it."""
    mask: np.ndarray | None
    """`(h, w)` uint8, 255 inside, of the frame's size; None: all of it."""


class PaintChanges:
    """Compares what each frame is painted with to what its points were painted with before."""

    def __init__(self):
        self._last: Sequence[Painted] | None = None
        self._masks: list[np.ndarray | None] = []

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
        masks = [None if region.mask is None else _small(region.mask) for region in regions]
        if motion.flow is None or not self._masks:
            self._masks = masks
            return motion, any(changes)
        trust = motion.trust
        moved = [_moved(before, motion) for before in self._masks]
        for mask, before, change in zip(masks, moved, changes, strict=True):
            trust = trust * _kept(mask, before, 1 - min(_STYLES * change, 1))
        self._masks = [_mixed(*pair, trust) for pair in zip(masks, moved, strict=True)]
        return motion._replace(trust=trust), any(changes)

    def state(self) -> dict[str, np.ndarray]:
        """What the next frame needs besides the last one."""
        return {str(n): mask for n, mask in enumerate(self._masks) if mask is not None}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` gave, once the last frame was looked at again."""
        self._masks = [state.get(str(number)) for number in range(len(self._masks))]


def _small(mask: np.ndarray) -> np.ndarray:
    """A mask as small as flow is, float32 in [0, 1]."""
    import cv2

    size = flow_size(*mask.shape)[::-1]
    return cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype("float32") / 255


def _moved(mask: np.ndarray | None, motion: Motion) -> np.ndarray | None:
    import cv2

    if mask is None:
        return None
    places, _ = motion.places(*mask.shape)
    return cv2.remap(mask, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _mixed(
    now: np.ndarray | None, before: np.ndarray | None, trust: np.ndarray
) -> np.ndarray | None:
    """The masks that points of a result were painted with: of their mean, which is the result."""
    if now is None or before is None:
        return now
    age = _OLDEST * trust * trust
    return now + age / (age + 1) * (before - now)


def _change(now: Painted, before: Painted) -> float:
    """Share of a region's styles that are exchanged."""
    change = 1 - sum((_weights(now.style) & _weights(before.style)).values())
    return change if change > _ROUNDING else 0.0


def _kept(now: np.ndarray | None, before: np.ndarray | None, style: float) -> np.ndarray | float:
    """Share of trust that is left in a region and around it; `style`: where its mask lies."""
    import cv2

    if now is None or before is None:
        return style
    least, most = _MASKS
    kept = np.clip((most - np.abs(now - before)) / (most - least), 0, 1) ** _POWER
    # Trust is enlarged, and would reach into narrow stripes from both sides.
    return cv2.erode(kept, np.ones((3, 3), "uint8")) * (1 - now * (1 - style))


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
