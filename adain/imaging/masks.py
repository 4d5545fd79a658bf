"""Masks: pictures that say where a style is painted."""

from __future__ import annotations

import numpy as np

from adain.constants import MAX_PIXELS
from adain.imaging.io import read_image
from adain.imaging.streams import Source

_LUMA = np.float32([0.299, 0.587, 0.114])


def read_mask(source: Source, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A mask's lightness times its opacity.

    A mask that holds nothing but 0 and 1, as label pictures do, is 0 and 255.

    Args:
        source: A path, a file's bytes, or a binary file object.
        max_pixels: Refuse pictures of more pixels.

    Returns:
        `(height, width)` uint8; 255 is painted.

    Raises:
        ImageError: As in `read_image`.
    """
    picture, meta = read_image(source, max_pixels=max_pixels, keep_depth=True)
    white = np.iinfo(picture.dtype).max
    # 1 of 255 is 257 of 65535.
    if (brightest := int(picture.max())) in (1, white // 255):
        picture = picture // brightest * np.array(white, picture.dtype)
    mask = picture @ _LUMA * np.float32(255 / white)
    if meta.alpha is not None:
        mask *= meta.alpha / np.float32(white)
    return np.rint(mask).astype(np.uint8)
