"""Regions: parts of a photo, each with a mask, a style and a strength of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from adain.imaging.pixels import to_unit
from adain.presets.architecture import Architecture

# Blurred masks pass the limits by a rounding error.
_SLACK = 1e-4


@dataclass(frozen=True, eq=False)
class Region:
    """A part of a photo with a style of its own.

    Example:
        >>> sky = adain.load_image("sky.png")[..., 0]
        >>> regions = [adain.Region(sky, waves, 0.8), adain.Region(255 - sky, mosaic)]
        >>> image = stylizer.stylize_regions(photo, regions)
    """

    mask: Any
    """`(height, width)` of the photo: bool, float in [0, 1], uint8 or uint16, whose largest number
    is inside, or integers 0 and 1. `StylizePipeline` takes other sizes, pictures and files too, and
    None for the whole photo."""
    style: Any
    """What `Stylizer.stylize` takes, or for a pipeline what `StylizePipeline.run` takes."""
    alpha: float = 1.0
    """Strength, as in `Stylizer.stylize`."""


class Shares:
    """How much each pixel counts for each region: the masks, divided by their sum where it is > 1.

    Args:
        masks: `(height, width)` each, all of one size: uint8, or float32 in [0, 1].
    """

    def __init__(self, masks: Sequence[np.ndarray]):
        self._masks = masks

    def __call__(self, rows: slice, columns: slice) -> np.ndarray:
        """`(regions, h, w)` float32."""
        shares = np.stack(
            [
                to_unit(mask[rows, columns]) if mask.dtype == np.uint8 else mask[rows, columns]
                for mask in self._masks
            ]
        )
        return shares / np.maximum(shares.sum(axis=0), 1)


def bounding_box(share: np.ndarray, architecture: Architecture) -> tuple[slice, slice] | None:
    """Where a region is, with what the decoder sees around it; None: nowhere."""
    box = []
    for side, axis in zip(share.shape, (1, 0), strict=True):
        places = np.flatnonzero(share.any(axis=axis))
        if not places.size:
            return None
        # Few sizes, because some engines prepare for each.
        multiple = 8 * architecture.stride
        start = max(places[0] - architecture.decoder_halo, 0) // multiple * multiple
        stop = -(-(places[-1] + 1 + architecture.decoder_halo) // multiple) * multiple
        box.append(slice(start, min(stop, side)))
    return box[0], box[1]


def check_alpha(alpha: Any) -> None:
    """Check a strength.

    Raises:
        ValueError: If it is no number of 0 or more.
    """
    if not (isinstance(alpha, Real) and 0 <= float(alpha) < math.inf):
        raise ValueError(f"`alpha` must be 0 or more. Received: alpha={alpha}")


def integers_to_mask(mask: np.ndarray, name: str) -> np.ndarray:
    """bool, uint8, uint16, or integers 0 and 1, to uint8 of the same shape, 255 inside.

    Label pictures hold 0 and 1, and are understood.

    Raises:
        ValueError: If it is of another type.
    """
    highest = mask.max() if mask.size and mask.dtype.kind in "bui" else None
    if highest is not None and 0 <= mask.min() and highest <= 1:
        return mask.astype("uint8") * np.uint8(255)
    if mask.dtype == np.uint16:
        mask = np.rint(mask / np.float32(257)).astype("uint8")
    if mask.dtype != np.uint8:
        raise ValueError(
            f"{name} must be bool, float in [0, 1], uint8, uint16, or integers 0 and 1. "
            f"Received: shape={mask.shape}, dtype={mask.dtype}"
        )
    return mask


def to_mask(mask: np.ndarray, size: tuple[int, ...], name: str = "A region's mask") -> np.ndarray:
    """Check a mask, which errors call `name`; uint8, or float32 in [0, 1]."""
    mask = np.asarray(mask)
    if mask.shape != size:
        raise ValueError(
            f"{name} must be {size} bool, integer or float, as large as the picture. "
            f"Received: shape={mask.shape}, dtype={mask.dtype}"
        )
    if mask.dtype.kind == "f":
        mask = mask.astype("float32", copy=False)
        # Not a number is neither.
        if not (mask.min() >= -_SLACK and mask.max() <= 1 + _SLACK):
            raise ValueError(
                f"{name} must hold numbers in [0, 1]. Received: {mask.min()} to {mask.max()}"
            )
        mask = np.clip(mask, 0, 1)
    else:
        mask = integers_to_mask(mask, name)
    if not mask.any():
        raise ValueError(f"{name} must have something inside. Received: all zeros")
    return mask
