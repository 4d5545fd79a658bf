"""Conversions between integer pictures, other depths and types, and network inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

_BAND = 512


def native_order(array: Any) -> Any:
    """An array of unsigned integers in this machine's byte order; anything else as it is."""
    if isinstance(array, np.ndarray) and array.dtype.kind == "u" and not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    return array


def check_picture(value: Any, name: str = "image") -> np.ndarray:
    """Check a picture, and convert it if it is Pillow's.

    Args:
        value: HWC uint8 or uint16 sRGB, or a Pillow picture of any mode, whose transparency is
            left out.
        name: The name used in errors.

    Returns:
        `(height, width, 3)` uint8 or uint16.

    Raises:
        ValueError: If it is neither.
    """
    # Recognised by their methods, so that Pillow need not be imported.
    if hasattr(value, "getbands") and hasattr(value, "convert"):
        value = np.asarray(value if value.mode == "RGB" else value.convert("RGB"))
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if not isinstance(value, np.ndarray) and hasattr(value, "__array__"):
        value = np.asarray(value)
    value = native_order(value)
    good = isinstance(value, np.ndarray) and value.dtype in (np.uint8, np.uint16) and value.size
    if not good or value.ndim != 3 or value.shape[2] != 3:
        found = f"shape={shape}, dtype={dtype}" if shape is not None else type(value).__name__
        raise ValueError(
            f"`{name}` must be (height, width, 3) uint8 or uint16 sRGB, or a Pillow picture. "
            f"Received: {found}"
        )
    return value


def to_input(picture: np.ndarray, name: str, stride: int) -> np.ndarray:
    """Check a picture and pad it, by reflection, to sides the networks take.

    Args:
        picture: HWC uint8 or uint16 sRGB, any size, or a Pillow picture.
        name: The name used in errors.
        stride: Sides become multiples of this, at least two.

    Returns:
        `(h, w, 3)`, the same dtype, the picture in the upper left corner.

    Raises:
        ValueError: If it is not a picture.
    """
    return pad(check_picture(picture, name), stride)


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


def to_depth(image: np.ndarray, dtype: type[np.unsignedinteger]) -> np.ndarray:
    """A uint8 or uint16 array in the other of the two depths; 16 bits to 8 are rounded."""
    if image.dtype == dtype:
        return image
    if dtype == np.uint16:
        return image.astype(np.uint16) * 257
    import cv2

    # No 16-bit level lies half-way between two of 8 bits: its float32 rounds all of them right.
    return cv2.convertScaleAbs(image, alpha=1 / 257).reshape(image.shape)


def stretch(samples: np.ndarray, bits: int) -> np.ndarray:
    """Samples of any type as uint8 or uint16 over that type's whole range.

    Integers run from 0 to the most their bits hold; what is below 0 is black. Those of 32 bits and
    more, all of which would fit into 8 or 16, run to what those hold; nothing but 0 and 1, in what
    is signed or of 32 bits, is black and white. Floats run from 0 to 1, and
    what is above is white, unless most pixels are above: then to 255 or 65535. Infinity is white,
    and what is no number is black.

    Args:
        samples: An array of any real type.
        bits: Bits that count in it, 1 to 64.

    Returns:
        The same shape, uint8 for up to 8 bits, uint16 for more.

    Raises:
        ValueError: If they are complex or no numbers.
    """
    if samples.dtype == (np.uint8 if bits == 8 else np.uint16) and bits in (8, 16):
        return samples
    dtype = np.uint8 if bits <= 8 else np.uint16
    if samples.dtype.kind not in "buif":
        raise ValueError(f"samples of type {samples.dtype} cannot be used as grey levels")
    top, is_float = _top(samples, bits), samples.dtype.kind == "f"
    result = np.empty(samples.shape, dtype)
    # In bands: doubles of a very large picture would not fit.
    for start in range(0, len(samples), _BAND):
        with np.errstate(invalid="ignore"):  # Copying a signalling NaN raises a warning.
            levels = samples[start : start + _BAND].astype(np.float64)
        if is_float:
            levels = np.nan_to_num(levels, nan=0.0, posinf=top, neginf=0.0)
        levels = np.clip(levels, 0, top) * (np.iinfo(dtype).max / top)
        result[start : start + _BAND] = np.rint(levels)
    return result


def _top(samples: np.ndarray, bits: int) -> float:
    """What white is in samples of some type."""
    if samples.dtype.kind == "f":
        finite = samples[np.isfinite(samples)]
        middle = float(np.median(finite)) if finite.size else 0.0
        if middle <= 1:
            return 1.0
        return 255.0 if finite.max() <= 255 else 65535.0
    signed = samples.dtype.kind == "i"
    top = float(2 ** (bits - signed) - 1)
    if bits <= 16 and not signed:
        return top
    narrower = (1, 255, 65535) if bits > 16 else (1,)
    highest = int(samples.max(initial=0))
    return next((float(most) for most in narrower if highest <= most), top)
