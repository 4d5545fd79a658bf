"""Between pictures, which are integers, and what networks take: floats in [0, 1], padded."""

from __future__ import annotations

import numpy as np


def to_input(picture: np.ndarray, name: str, stride: int) -> np.ndarray:
    """Check a picture and pad it, by reflection, to sides the networks take.

    Args:
        picture: HWC uint8 or uint16 sRGB, any size.
        name: What errors call it.
        stride: Sides become multiples of this, at least two.

    Returns:
        `(h, w, 3)`, the same dtype, the picture in the upper left corner.

    Raises:
        ValueError: If it is not a picture.
    """
    return pad(check_picture(picture, name), stride)


def check_picture(picture: np.ndarray, name: str) -> np.ndarray:
    """A picture, HWC uint8 or uint16, as an array.

    Raises:
        ValueError: If it is not a picture; the message calls it `name`.
    """
    picture = np.asarray(picture)
    good = picture.dtype in (np.uint8, np.uint16) and picture.ndim == 3 and picture.shape[-1] == 3
    if not good or not picture.size:
        raise ValueError(
            f"`{name}` must be (height, width, 3) uint8 or uint16 sRGB. "
            f"Received: shape={picture.shape}, dtype={picture.dtype}"
        )
    return picture


def pad(picture: np.ndarray, stride: int) -> np.ndarray:
    """Pad at the bottom and on the right, by reflection, as `to_input` does; HWC or HW."""
    # Reflection inside the networks needs two features in each direction.
    sides = [max(-(-side // stride), 2) * stride for side in picture.shape[:2]]
    padding = [(0, side - was) for side, was in zip(sides, picture.shape[:2], strict=True)]
    if any(after for _, after in padding):
        rest = [(0, 0)] * (picture.ndim - 2)
        picture = np.pad(picture, (*padding, *rest), mode="reflect")
    return picture


def to_unit(picture: np.ndarray) -> np.ndarray:
    """uint8 or uint16 to float32 in [0, 1], the same shape."""
    return np.divide(picture, np.float32(np.iinfo(picture.dtype).max), dtype="float32")


def to_picture(image: np.ndarray, dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """Float in [0, 1], clipped to it, to uint8 or uint16 of the same shape."""
    top = np.iinfo(dtype).max
    levels = np.multiply(image, top, dtype="float32")
    return np.clip(np.rint(levels, out=levels), 0, top, out=levels).astype(dtype)
