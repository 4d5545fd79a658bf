"""What lies behind full transparency: colours that nobody sees, and that must not show."""

from __future__ import annotations

import math

import numpy as np

from adain.imaging.formats import ImageError

_SAMPLES = 2**22
_BAND = 256


def has_hidden(alpha: np.ndarray) -> bool:
    """Whether some pixels of a picture are invisible, and others are not."""
    return bool(alpha.any()) and not alpha.all()


def check_opaque(alpha: np.ndarray | None, name: str) -> None:
    """Refuse a style of which parts cannot be seen, where all of it would count.

    Args:
        alpha: `(height, width)`, uint8 or uint16; None: opaque.
        name: What the message calls it.

    Raises:
        ImageError: If any pixel is not opaque.
    """
    if alpha is not None and alpha.min() < np.iinfo(alpha.dtype).max:
        raise ImageError(f"{name}: the style must not be transparent anywhere; cut or fill it")


def cover_hidden(colors: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Give invisible pixels the colours of the nearest visible ones.

    Networks see the surroundings of each pixel, and resizing blends neighbours. What files hold
    behind full transparency, often black or white, would show along the edges, and count in the
    statistics.

    Args:
        colors: HWC uint8 or uint16.
        alpha: `(height, width)` of the same size, 0 is invisible; None: opaque.

    Returns:
        A picture like `colors`; `colors` itself if no pixel is invisible, or all of them are.
    """
    if alpha is None or not has_hidden(alpha):
        return colors
    import cv2

    hidden = alpha == 0
    # Of large pictures not every pixel is looked at: both maps below take 4 bytes for each.
    step = max(1, math.isqrt(hidden.size // _SAMPLES))
    step = step if not hidden[::step, ::step].all() else 1
    known = ~hidden[::step, ::step]
    how = {"distanceType": cv2.DIST_L2, "maskSize": 5, "labelType": cv2.DIST_LABEL_PIXEL}
    _, nearest = cv2.distanceTransformWithLabels((~known).view(np.uint8), **how)
    table = np.zeros((int(nearest.max()) + 1, colors.shape[2]), colors.dtype)
    table[nearest[known]] = colors[::step, ::step][known]
    result = colors.copy()
    for top in range(0, len(hidden), _BAND):
        rows, columns = np.nonzero(hidden[top : top + _BAND])
        result[top + rows, columns] = table[nearest[(top + rows) // step, columns // step]]
    return result
