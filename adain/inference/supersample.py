"""Small photos painted enlarged: strokes are some pixels wide, and a small photo has few pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from adain.imaging.io import resize_image, to_depth

LEAST, MOST = 1.1, 2
"""A photo is enlarged so many times: with less resizing costs as much as it brings, and further the
networks see a blur."""


def painted_size(height: int, width: int, shorter: int) -> tuple[int, int]:
    """The size that a photo is painted at, `(height, width)`, pixels.

    Args:
        height, width: Sides of the photo, pixels.
        shorter: The shorter side to enlarge smaller photos to, as far as `LEAST` and `MOST` allow;
            0: none.
    """
    scale = min(shorter / min(height, width), MOST)
    return (round(height * scale), round(width * scale)) if scale >= LEAST else (height, width)


def enlarge_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask, `(height, width)` uint8, for a photo painted at another `(height, width)`.

    Its edges stay as hard as they are: interpolated, two masks that touch would both be faint.
    """
    import cv2

    if mask.shape == size:
        return mask
    return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def stylize_enlarged(
    stylize: Callable[[np.ndarray], np.ndarray],
    content: np.ndarray,
    shorter: int,
    masks: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """Stylise a small photo enlarged, and make the result as small as the photo.

    It is enlarged in 16 bits: networks make strokes of what rounding to 8 leaves between pixels.

    Args:
        stylize: HWC picture to one of the same size and dtype; of what is enlarged, uint16.
        content: HWC uint8 or uint16 sRGB.
        shorter: As in `painted_size`.
        masks: As in `keep_untouched`.

    Returns:
        HWC sRGB, size and dtype of `content`.
    """
    size = content.shape[:2]
    painted = painted_size(*size, shorter)
    if painted == size:
        return stylize(content)
    result = stylize(resize_image(to_depth(content, np.uint16), painted))
    result = to_depth(resize_image(result, size), content.dtype.type)
    return keep_untouched(result, content, masks)


def keep_untouched(
    result: np.ndarray, content: np.ndarray, masks: Sequence[np.ndarray]
) -> np.ndarray:
    """`result` with the very pixels of `content` where no mask reaches: enlarging leaves traces.

    Args:
        result: HWC, changed in place.
        content: Like it.
        masks: `(height, width)` uint8 each; none: all of it is stylised.
    """
    if masks:
        untouched = reduce(np.maximum, masks) == 0
        result[untouched] = content[untouched]
    return result
