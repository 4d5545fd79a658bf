"""The common output of all readers: a header, and frames of full-range samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np


@dataclass(frozen=True)
class Header:
    """Metadata that is known before the pixels are decoded.

    Args:
        format: A name of `formats.FORMATS`.
        height, width: Pixels as stored, before EXIF's turn.
        mode: Pillow's name of how the samples are stored: "RGB", "L", "CMYK", "I;16", ...
        bits: Bits per channel: 1, 8, 16 or 32.
        frames: Frames of the animation, 1 for a still.
        loop: How often it plays, as the format counts it: 0 means forever, None for no count.
        icc: Profile; b"" for none.
        exif: EXIF block, with prefix or without; b"" for none.
        dpi: (horizontal, vertical) dots per inch, or None.
        orientation: EXIF orientation, 1 to 8, if it is not in the EXIF block; else 0.
        note: A warning for the user about what reading loses; "" for none.
    """

    format: str
    height: int
    width: int
    mode: str = "RGB"
    bits: int = 8
    frames: int = 1
    loop: int | None = None
    icc: bytes = b""
    exif: bytes = b""
    dpi: tuple[float, float] | None = None
    orientation: int = 0
    note: str = ""


class Frame(NamedTuple):
    """Decoded samples, uint8 or uint16 over the type's whole range.

    Args:
        colors: HW grey or HWC.
        space: "gray", "rgb", "cmyk" (0: no ink) or "lab" (ICC's encoding).
        alpha: HW of the same type, 0 transparent, or None.
        duration: Milliseconds that the frame is shown.
    """

    colors: np.ndarray
    space: str
    alpha: np.ndarray | None
    duration: float = 0.0


class Reader(Protocol):
    """An open picture file."""

    header: Header

    def first(self) -> Frame:
        """The still, or the first frame."""

    def frames(self) -> Iterator[Frame]:
        """All frames, whole, as they are shown; one is held at a time."""


class FrameCanvas:
    """The picture that an animation has built up so far, by APNG's rules.

    Args:
        height, width: Pixels.
        dtype: uint8 or uint16.
    """

    def __init__(self, height: int, width: int, dtype: type[np.unsignedinteger]):
        self._pixels = np.zeros((height, width, 4), dtype)
        self._white = np.iinfo(dtype).max
        self._restore: tuple[tuple[slice, slice], np.ndarray | int] | None = None

    def show(
        self, samples: np.ndarray, box: tuple[int, int, int, int], dispose: int, over: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a frame.

        Args:
            samples: HWC of 1 to 4 channels: grey, grey and alpha, RGB, RGBA.
            box: (top, left, height, width) of its place.
            dispose: What happens to its area before the next frame: 0 kept, 1 cleared, 2 restored.
            over: Whether to blend it over what is there instead of replacing it.

        Returns:
            Copies of the whole canvas: colours HWC and alpha HW.

        Raises:
            ValueError: If the frame does not lie inside.
        """
        top, left, height, width = box
        place = slice(top, top + height), slice(left, left + width)
        if self._restore is not None:
            self._pixels[self._restore[0]] = self._restore[1]
        under = self._pixels[place]
        if under.shape[:2] != samples.shape[:2]:
            raise ValueError("a frame lies outside the picture")
        self._restore = {1: (place, 0), 2: (place, under.copy())}.get(dispose)
        drawn = np.empty_like(under)
        drawn[..., :3] = samples[..., : 3 if samples.shape[2] > 2 else 1]
        drawn[..., 3] = samples[..., -1] if samples.shape[2] in (2, 4) else self._white
        under[...] = _blend(drawn, under, self._white) if over else drawn
        return self._pixels[..., :3].copy(), self._pixels[..., 3].copy()


def _blend(top: np.ndarray, under: np.ndarray, white: int) -> np.ndarray:
    share = top[..., 3:].astype(np.float64) / white
    below = under[..., 3:].astype(np.float64) / white * (1 - share)
    alpha = share + below
    colors = (top[..., :3] * share + under[..., :3] * below) / np.maximum(alpha, 1e-9)
    # Where only one of the two is visible, its colours stay exactly as they are.
    colors = np.where(share >= 1, top[..., :3], np.where(share <= 0, under[..., :3], colors))
    return np.rint(np.concatenate([colors, alpha * white], axis=-1)).astype(top.dtype)


def changed_box(last: np.ndarray | None, now: np.ndarray) -> tuple[int, int, int, int]:
    """(top, left, height, width) of what differs between two frames; one pixel at least."""
    if last is None:
        return (0, 0, *now.shape[:2])
    differs = (last != now).any(axis=-1)
    rows, columns = (np.flatnonzero(differs.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, 1, 1
    return (
        int(rows[0]), int(columns[0]), int(rows[-1] - rows[0]) + 1,
        int(columns[-1] - columns[0]) + 1,
    )  # fmt: skip
