"""A picture file's bytes to HWC sRGB: one reader per format, then depth, profile and EXIF's turn.

Pillow reads JPEG, WebP, AVIF, GIF, BMP, TGA and QOI; imagecodecs JPEG 2000 and the pixels of PNG;
tifffile TIFF. docs/formats.md has the measurements behind this choice.
"""

from __future__ import annotations

import contextlib
import logging
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from adain.imaging import exif as exif_blocks
from adain.imaging import icc
from adain.imaging.formats import FORMATS, HEAD, ImageError, format_of
from adain.imaging.frames import Frame, Header, Reader
from adain.imaging.pillow import BROKEN, PillowReader
from adain.imaging.pixels import to_depth
from adain.imaging.whole import is_cut

logger = logging.getLogger(__name__)

# Libraries may quote all that they read.
_REASON = 150
# What they say, in small letters, where bytes are missing.
_SHORT = ("truncated", "stream too small", "failed to read", "end of stream", "not enough image",
          "reached eof")  # fmt: skip


@dataclass(frozen=True, eq=False)
class ImageMeta:
    """What a file holds besides its colours, so that the result can be saved like the source.

    Args:
        format: A name of `formats.FORMATS`, such as "JPEG"; "" when unknown.
        mode: Pillow's name of how the file stores its samples: "RGB", "L", "CMYK", "I;16", ...
        bits: Bits per channel in the file: 1, 8, 16 or 32. What is saved has those of its array.
        exif: EXIF block without thumbnail, orientation (the turn is applied) and history; b"" for
            none.
        icc_profile: The file's RGB profile, to convert back to; b"" for sRGB or none.
        alpha: HW alpha plane, 0 transparent, uint8 or uint16 like the colours read with it; None
            for opaque formats.
        dpi: (horizontal, vertical) dots per inch, or None.
        duration: Milliseconds that this frame of an animation is shown.
        loop: How often an animation plays, as its format counts it: 0 means forever, None that
            the file gives no count, which means once.
        history: ASCII text to save as EXIF's ImageHistory; not filled in by reading.
    """

    format: str = ""
    mode: str = "RGB"
    bits: int = 8
    exif: bytes = b""
    icc_profile: bytes = b""
    alpha: np.ndarray | None = None
    dpi: tuple[float, float] | None = None
    duration: float = 0.0
    loop: int | None = None
    history: str = ""

    @property
    def is_grey(self) -> bool:
        """Whether the file held no colours."""
        return self.mode in ("1", "L", "LA", "La", "I", "F") or self.mode.startswith("I;16")


@contextlib.contextmanager
def named(name: str, data: bytes) -> Iterator[None]:
    """Turn any error a library raises for a broken file into one line with the file's name.

    Args:
        name: The name used in messages.
        data: All bytes of the file, which tell a truncated one from others.
    """
    try:
        yield
    except ImageError as error:
        text = str(error)
        if text.startswith(f"{name}: "):
            raise
        raise ImageError(f"{name}: {text}. Copy or download it again.") from error
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        raise ImageError(
            f"{name}: {pixels[0] if pixels else 'too many'} pixels are more than the limit. "
            "Raise it with --max-pixels."
        ) from error
    except BROKEN as error:
        text = str(error)
        if any(words in text.lower() for words in _SHORT) or is_cut(data):
            message = "the file is truncated"
        else:
            # Of the object that holds the bytes nobody knows.
            text = re.sub(" <_io.BytesIO object at .*>", "", text)
            reason = " ".join(text.split())[:_REASON] or type(error).__name__
            message = f"the picture's data is broken ({reason})"
        raise ImageError(f"{name}: {message}. Copy or download it again.") from error


def open_reader(data: bytes, name: str, max_pixels: int) -> Reader:
    """The reader of a file's format.

    `max_pixels` limits only what has to be decoded to open the file; see `check_pixels`.

    Raises:
        ImageError: If the format is not accepted, or the header is broken.
    """
    found = format_of(data[:HEAD], name)
    with named(name, data):
        if found.name == "PNG":
            from adain.imaging.png import PngReader

            return PngReader(data)
        if found.name == "TIFF":
            from adain.imaging.tiff import TiffReader

            return TiffReader(data)
        if found.name == "JPEG2000":
            from adain.imaging.jpeg2000 import Jpeg2000Reader

            return Jpeg2000Reader(data)
        if found.name == "PPM" and (deep := _netpbm_header(data)):
            return _DeepNetpbm(data, *deep)
        if found.name == "GIF" and len(data) >= 10:
            # Opening it decodes a frame, so that this is the place for the usual message.
            width, height = struct.unpack("<HH", data[6:10])
            check_pixels(Header("GIF", height, width, "P", 8), 1, name, max_pixels)
        return PillowReader(data, found.name, max_pixels)


def check_pixels(header: Header, frames: int, name: str, max_pixels: int) -> None:
    """Check that a picture, or this many of its frames, stays within the limit.

    Raises:
        ImageError: If not.
    """
    pixels = frames * header.height * header.width
    if pixels > max_pixels:
        what = f"{header.height} x {header.width}"
        what = f"{frames} frames of {what}" if frames > 1 else what
        raise ImageError(
            f"{name}: {what} are more than {max_pixels} pixels. "
            f"Raise the limit with --max-pixels {pixels}."
        )


class Finisher:
    """Converts decoded frames to HWC sRGB and `ImageMeta`; the part common to all formats.

    Args:
        header: The file's.
        name: The name used in messages.
        keep_depth: Whether 16 bits stay 16 bits.
    """

    def __init__(self, header: Header, name: str, keep_depth: bool):
        self._header = header
        self._deep = keep_depth and FORMATS[header.format].deep
        block = exif_blocks.parse(header.exif)
        self._turn = header.orientation or block.orientation
        block.main.pop(exif_blocks.HISTORY, None)
        self._exif = block.tobytes()
        if header.note:
            logger.warning("%s: %s", name, header.note)

    def __call__(self, frame: Frame) -> tuple[np.ndarray, ImageMeta]:
        header, dtype = self._header, frame.colors.dtype.type
        if not self._deep:
            dtype = np.uint8
        colors = _to_srgb(to_depth(frame.colors, dtype), frame.space, header.icc)
        alpha = frame.alpha
        if alpha is not None:
            alpha = _turned(to_depth(alpha, dtype), self._turn)
        keeps_profile = icc.color_space(header.icc) == "rgb" and frame.space != "cmyk"
        meta = ImageMeta(
            format=header.format,
            mode=header.mode,
            bits=header.bits,
            exif=self._exif,
            icc_profile=header.icc if keeps_profile else b"",
            alpha=alpha,
            dpi=header.dpi,
            duration=frame.duration,
            loop=header.loop,
        )
        return _turned(colors, self._turn), meta


def reduced(reader: Reader, shorter_side: int) -> np.ndarray | None:
    """A JPEG's colours, HWC uint8 and upright, not much larger than asked for; None for others."""
    colors = reader.reduced(shorter_side) if isinstance(reader, PillowReader) else None
    if colors is None:
        return None
    turn = reader.header.orientation or exif_blocks.parse(reader.header.exif).orientation
    return _turned(colors, turn)


def turned_size(header: Header) -> tuple[int, int]:
    """`(height, width)` after EXIF's turn."""
    turn = header.orientation or exif_blocks.parse(header.exif).orientation
    size = header.height, header.width
    return size[::-1] if turn in (5, 6, 7, 8) else size


def _turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """EXIF's eight orientations: rows become columns, then either may run backwards."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    array = np.ascontiguousarray(array[::rows, ::columns])
    return array if array.flags.writeable else array.copy()


def _to_srgb(colors: np.ndarray, space: str, profile: bytes) -> np.ndarray:
    """HWC sRGB of the same type."""
    managed = icc.to_srgb(colors, profile, space) if profile else None
    if managed is None and space == "lab":
        managed = icc.lab_to_srgb(colors)
    if managed is not None:
        return managed
    if space == "gray":
        return np.stack([colors] * 3, axis=-1)
    return _from_cmyk(colors) if space == "cmyk" else colors


def _from_cmyk(inks: np.ndarray) -> np.ndarray:
    """Inks without a profile: each takes its share of the light that black leaves."""
    white = np.iinfo(inks.dtype).max
    result = np.empty((*inks.shape[:2], 3), inks.dtype)
    for row, wanted in zip(inks, result, strict=True):
        paper = white - row.astype(np.float32)
        wanted[...] = np.rint(paper[:, :3] * (paper[:, 3:] / white))
    return result


# Netpbm of 16 bits --------------------------------------------------------------------------------


def _netpbm_header(data: bytes) -> tuple[int, int, int, int, int] | None:
    """(channels, width, height, most, start of the samples) of raw files of more than 8 bits."""
    space = rb"(?:\s|#[^\n]*\n)+"
    found = re.match(rb"P([56])" + space + rb"(\d+)" + space + rb"(\d+)" + space + rb"(\d+)\s",
                     data)  # fmt: skip
    if not found or not 255 < int(found[4]) < 65536:
        return None
    kind, width, height, most = (int(group) for group in found.groups())
    return 1 if kind == 5 else 3, width, height, most, found.end()


class _DeepNetpbm:
    def __init__(self, data: bytes, channels: int, width: int, height: int, most: int, start: int):
        self._data, self._most, self._start = data, most, start
        self._shape = (height, width) if channels == 1 else (height, width, 3)
        mode = "I;16" if channels == 1 else "RGB"
        self.header = Header("PPM", height, width, mode, 16)

    def first(self) -> Frame:
        count = int(np.prod(self._shape))
        if len(self._data) < self._start + 2 * count:
            raise ImageError("the file is truncated")
        samples = np.frombuffer(self._data, ">u2", count, self._start).reshape(self._shape)
        levels = np.minimum(samples, self._most) * (65535 / self._most)
        return Frame(
            np.rint(levels).astype(np.uint16), "gray" if samples.ndim == 2 else "rgb", None
        )

    def frames(self) -> Iterator[Frame]:
        yield self.first()
