"""Strokes of one size relative to the picture, however large it is: stylised small, then enlarged.

The networks draw strokes of some pixels, which are fine on a large photo and coarse on a preview.
So a large photo is stylised as small as its preview and enlarged octave by octave: the enlarged
picture is stylised again, and of that only the detail is added that enlarging could not give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from adain.imaging.io import resize_image, resize_mask
from adain.imaging.pixels import to_depth, to_unit
from adain.inference.regions import Shares
from adain.inference.supersample import keep_untouched

_BAND = 256


def octaves(height: int, width: int, shorter: int) -> list[tuple[int, int]]:
    """Sizes that a photo is stylised at, `(height, width)` each; the last one is its own.

    Args:
        height, width: Sides of the photo, pixels.
        shorter: Shorter side of the first size; a photo that is not larger has no other.
    """
    sizes = [(height, width)]
    while min(sizes[0]) > shorter:
        scale = max(shorter, min(sizes[0]) / 2) / min(height, width)
        sizes.insert(0, (max(1, round(height * scale)), max(1, round(width * scale))))
    return sizes


def stylize_octaves(
    stylize: Callable[[np.ndarray], np.ndarray],
    content: np.ndarray,
    shorter: int,
    keep: float | np.ndarray = 0.0,
) -> np.ndarray:
    """Stylise a photo with the strokes that it has at another size.

        image_0 = stylize(content_0)
        image_k = up(image_{k-1}) + detail(stylize(up(image_{k-1}) + keep * detail(content_k)))

    with `detail(x) = x - up(down(x))`, what the next smaller size does not hold.

    Args:
        stylize: HWC picture to one of the same size and dtype; uint16 where there are several
            sizes.
        content: HWC uint8 or uint16 sRGB.
        shorter: Shorter side, pixels, of the size whose strokes are wanted.
        keep: How much of the photo's own detail stays: a number in [0, 1], or `(height, width)`
            uint8, where 255 is all.

    Returns:
        HWC sRGB, size and dtype of `content`. Made smaller, it looks as the photo does when it is
        made smaller and stylised.
    """
    first, *sizes = octaves(*content.shape[:2], shorter)
    if not sizes:
        return stylize(content)

    # In 16 bits: each size makes what the one before has rounded some ten times as large.
    def resize(size):
        return resize_image(to_depth(content, np.uint16), size)

    image = stylize(resize(first))
    for size in sizes:
        small = image.shape[:2]
        image = resize_image(image, size)
        source = image
        if np.any(keep):
            share = keep if np.isscalar(keep) else resize_mask(keep, size)
            source = _add_detail(image, resize(size), small, share)
        image = _add_detail(image, stylize(source), small, 1.0)
    return to_depth(image, content.dtype.type)


def stylize_region_octaves(
    stylize: Callable[[np.ndarray], np.ndarray],
    content: np.ndarray,
    shorter: int,
    masks: Sequence[np.ndarray],
    alphas: Sequence[float],
) -> np.ndarray:
    """`stylize_octaves` for a photo of which parts are stylised, each with a strength of its own.

    Args:
        stylize, content, shorter: As in `stylize_octaves`.
        masks: `(height, width)` of the photo each, uint8.
        alphas: The strength inside each.

    Returns:
        HWC sRGB, size and dtype of `content`; its very pixels where no mask reaches.
    """
    shares = Shares(masks)
    strengths = np.minimum(np.float32(alphas), 1)
    keep = np.empty(content.shape[:2], "uint8")
    for top in range(0, len(keep), _BAND):
        rows = slice(top, top + _BAND)
        covered = np.tensordot(strengths, shares(rows, slice(None)), 1)
        keep[rows] = np.rint(255 * (1 - covered))
    return keep_untouched(stylize_octaves(stylize, content, shorter, keep), content, masks)


def _add_detail(
    image: np.ndarray, other: np.ndarray, small: tuple[int, int], share: float | np.ndarray
) -> np.ndarray:
    """`image + share * (other - up(down(other)))`; `small` is the size below."""
    smooth = resize_image(resize_image(other, small), image.shape[:2])
    result = np.empty_like(image)
    # In bands: the float copies of a very large picture would not fit.
    for top in range(0, image.shape[0], _BAND):
        rows = slice(top, top + _BAND)
        part = share if np.isscalar(share) else to_unit(share[rows, :, None])
        detail = other[rows].astype("float32") - smooth[rows]
        band = np.rint(image[rows] + part * detail)
        result[rows] = np.clip(band, 0, np.iinfo(image.dtype).max)
    return result
