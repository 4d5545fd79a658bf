"""JPEG 2000: the header's boxes are read here, the code stream by OpenJPEG (imagecodecs).

Reference:
    ITU-T T.800, JPEG 2000 image coding system, annexes A and I
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from adain.imaging.formats import ImageError
from adain.imaging.frames import Frame, Header
from adain.imaging.pixels import stretch

_CMYK, _SYCC = 12, 18
_INCH = 0.0254


class Jpeg2000Reader:
    """An open JP2 file or bare code stream."""

    def __init__(self, data: bytes):
        self._data = data
        self._space, icc, dpi = 0, b"", None
        self._has_palette = False
        for kind, body in _boxes(data, 0, len(data)):
            if kind == b"colr" and body[:1] == b"\1" and len(body) >= 7:
                self._space = self._space or int.from_bytes(body[3:7], "big")
            elif kind == b"colr" and body[:1] == b"\2":
                icc = icc or bytes(body[3:])
            elif kind == b"pclr":
                self._has_palette = True
            elif kind == b"resc" or (kind == b"resd" and dpi is None):
                dpi = _resolution(bytes(body))
        at = data.find(b"\xff\x4f\xff\x51")
        if at < 0 or len(data) < at + 43:
            raise ImageError("there is no code stream; the file is truncated")
        right, lower, left, top = struct.unpack_from(">4I", data, at + 8)
        count, depth = struct.unpack_from(">HB", data, at + 40)
        self._bits, self._signed = (depth & 127) + 1, bool(depth & 128)
        grey = count < 3 and not self._has_palette
        names = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
        mode = "CMYK" if self._space == _CMYK else names.get(count, "RGB")
        mode = (
            "I;16" if mode == "L" and self._bits > 8 else "RGB" if not grey and count < 3 else mode
        )
        self.header = Header(
            "JPEG2000", lower - top, right - left, mode,
            1 if self._bits == 1 else 8 if self._bits <= 8 else 16 if self._bits <= 16 else 32,
            icc=icc, dpi=dpi,
        )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        yield self.first()

    def first(self) -> Frame:
        import imagecodecs

        samples = imagecodecs.jpeg2k_decode(self._data)
        if self._signed:
            samples = samples.astype(np.int64) + (1 << self._bits - 1)
        samples = stretch(samples, 8 if self._has_palette else self._bits)
        if samples.ndim == 2:
            return Frame(samples, "gray", None)
        channels = samples.shape[2]
        colors = {2: 1, 3: 3, 4: 4 if self._space == _CMYK else 3, 5: 4}.get(channels, 3)
        alpha = samples[..., colors].copy() if channels > colors else None
        samples = np.ascontiguousarray(samples[..., 0] if colors == 1 else samples[..., :colors])
        if self._space == _SYCC and colors == 3:
            samples = _from_ycc(samples)
        return Frame(samples, {1: "gray", 4: "cmyk"}.get(colors, "rgb"), alpha)


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, memoryview]]:
    """Boxes with those inside of them, until the code stream."""
    view = memoryview(data)
    while start + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, start)
        if length < 8 or kind == b"jp2c":
            return
        inside = start + 8, min(start + length, end)
        if kind in (b"jp2h", b"res "):
            yield from _boxes(data, *inside)
        else:
            yield kind, view[slice(*inside)]
        start += length


def _resolution(body: bytes) -> tuple[float, float] | None:
    if len(body) != 10:
        return None
    over_down, under_down, over, under, power_down, power = struct.unpack(">4H2b", body)
    if not (over and under and over_down and under_down):
        return None
    return over / under * 10.0**power * _INCH, over_down / under_down * 10.0**power_down * _INCH


def _from_ycc(samples: np.ndarray) -> np.ndarray:
    """Luma and chroma (ITU-R BT.601, full range) to RGB."""
    white = np.iinfo(samples.dtype).max
    luma, blue, red = np.moveaxis(samples.astype(np.float32), -1, 0)
    blue, red = blue - (white + 1) / 2, red - (white + 1) / 2
    colors = (luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue)
    return np.clip(np.rint(np.stack(colors, axis=-1)), 0, white).astype(samples.dtype)
