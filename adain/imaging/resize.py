"""Resizing and cutting pictures; sizes are `(height, width)`."""

from __future__ import annotations

import numpy as np
from PIL import Image

from adain.constants import MAX_PIXELS
from adain.imaging import halving
from adain.imaging.formats import ImageError

# A longer side is not enlarged beyond so many shorter ones, or so many pixels.
_ASPECT, _LONGEST = 8, 4096


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize without aliasing: Lanczos where it shrinks, bicubic where it only enlarges.

    Lanczos keeps most detail when shrinking, but rings along edges when enlarging, and a style
    network turns such rings into strokes.

    Args:
        image: HWC or HW, uint8 or uint16.
        size: `(height, width)`, pixels; a side of 0 is made 1.

    Returns:
        An array of that size and the same type; the same array if it has that size.
    """
    check(image)
    height, width = (max(1, int(side)) for side in size)
    if (height, width) == image.shape[:2]:
        return image
    if image.dtype == np.uint16:
        if (height, width) == (2 * image.shape[0], 2 * image.shape[1]):
            return halving.double(image)
        if (2 * height, 2 * width) == image.shape[:2]:
            return halving.halve(image)
    shrinks = height < image.shape[0] or width < image.shape[1]
    method = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    return resample(image, (height, width), method)


def resample(image: np.ndarray, size: tuple[int, int], method: Image.Resampling) -> np.ndarray:
    """Resize with a given filter; see `resize_image`, which knows the right one.

    Args:
        image: HWC or HW, uint8 or uint16.
        size: `(height, width)`, pixels, 1 or more.
        method: Pillow's name of the filter.

    Returns:
        An array of that size and the same type.
    """
    height, width = size
    if image.dtype == np.uint8:
        picture = Image.fromarray(np.ascontiguousarray(image))
        return np.array(picture.resize((width, height), method))
    # Here, because pictures of 8 bits need it not.
    import cv2

    planes = []
    for plane in cv2.split(image):
        resized = Image.fromarray(plane.astype(np.float32)).resize((width, height), method)
        # Rounds, and clips to 16 bits.
        planes.append(cv2.add(np.asarray(resized), 0, dtype=cv2.CV_16U))
    return cv2.merge(planes).reshape(height, width, *image.shape[2:])


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize bilinearly, which never leaves the range that the mask holds.

    Args:
        mask: HW uint8.
        size: `(height, width)`, pixels.

    Returns:
        An array of that size, uint8.
    """
    if mask.shape == tuple(size):
        return mask
    return resample(mask, size, Image.Resampling.BILINEAR)


def shorter_side_size(
    size: tuple[int, int],
    shorter: int,
    *,
    max_pixels: int = MAX_PIXELS,
    name: str = "the picture",
) -> tuple[int, int]:
    """The size of a picture whose shorter side is to be `shorter` pixels.

    The longer side of a strip is not enlarged beyond 8 times `shorter`, or 4096 pixels if that is
    more; the shorter one stays below `shorter` then.

    Args:
        size: `(height, width)` of the picture.
        shorter: Pixels, 1 or more.
        max_pixels: The most pixels of the result.
        name: The name used in errors.

    Returns:
        `(height, width)`, each 1 or more.

    Raises:
        ImageError: If the result would have more than `max_pixels` pixels.
    """
    height, width = size
    scale = shorter / min(size)
    if scale > 1:
        scale = max(1.0, min(scale, max(_ASPECT * shorter, _LONGEST) / max(size)))
    height, width = (max(1, round(side * scale)) for side in size)
    if height * width > max_pixels:
        raise ImageError(
            f"{name}: resized to a shorter side of {shorter}, its {height} x {width} are more than "
            f"{max_pixels} pixels. Use a smaller size, or --max-pixels {height * width}."
        )
    return height, width


def resize_shorter_side(
    image: np.ndarray,
    shorter: int,
    *,
    max_pixels: int = MAX_PIXELS,
    name: str = "the picture",
) -> np.ndarray:
    """Resize, keeping the aspect, so that the shorter side is `shorter` pixels.

    Args:
        image: HWC or HW, uint8 or uint16.
        shorter: Pixels, 1 or more; long strips stay below, see `shorter_side_size`.
        max_pixels: The most pixels of the result.
        name: The name used in errors.

    Returns:
        The resized picture, of the same type.

    Raises:
        ImageError: If the result would have more than `max_pixels` pixels.
    """
    size = shorter_side_size(image.shape[:2], shorter, max_pixels=max_pixels, name=name)
    return resize_image(image, size)


def center_crop(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut out the middle.

    Args:
        image: HWC or HW array.
        size: `(height, width)`; a side longer than the picture's leaves that side whole.

    Returns:
        A view of the picture's middle.
    """
    height, width = (min(side, have) for side, have in zip(size, image.shape[:2], strict=True))
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def check(image: np.ndarray) -> None:
    """Whether an array is a picture, HWC or HW, uint8 or uint16.

    Raises:
        ValueError: If it is not.
    """
    shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", None)
    good = dtype in (np.uint8, np.uint16) and shape is not None and 0 not in shape
    if not good or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
        raise ValueError(
            "`image` must be an array (height, width, 3) or (height, width), uint8 or uint16. "
            + (
                "Received: a Pillow picture. Use np.asarray(picture.convert('RGB'))"
                if hasattr(image, "getbands")
                else f"Received: shape={shape}, dtype={dtype}"
                if shape is not None
                else f"Received: {type(image).__name__}"
            )
        )
