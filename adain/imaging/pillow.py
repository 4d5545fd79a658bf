"""What Pillow reads: JPEG, WebP, AVIF, GIF, BMP, TGA, QOI, and Netpbm of 8 bits."""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import re
import struct
import threading
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image

from adain.imaging.formats import FORMATS, ImageError
from adain.imaging.frames import Frame, Header

# What libraries raise on broken files, by experience; MemoryError is not among them.
BROKEN = (struct.error, OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError,
          OverflowError, RuntimeError, ZeroDivisionError, AttributeError,
          Image.DecompressionBombError)  # fmt: skip
_PLUGINS = {"JPEG": "Jpeg", "WEBP": "WebP", "AVIF": "Avif", "GIF": "Gif", "BMP": "Bmp",
            "TGA": "Tga", "QOI": "Qoi", "PPM": "Ppm"}  # fmt: skip
_OUTSIDE = "a frame lies outside of the picture"
_lock = threading.Lock()


@contextlib.contextmanager
def quiet(max_pixels: int | None = None) -> Iterator[None]:
    """A limit of ours in place of Pillow's, and no warnings about odd headers.

    Both are settings of the whole process, hence the lock; decoding stills needs neither.

    Args:
        max_pixels: Pillow refuses what has more than twice as many; None: nothing.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


class PillowReader:
    """An open picture of one of Pillow's formats.

    Args:
        data: The file.
        format: Its name; no other of Pillow's readers gets to see the file.
        max_pixels: Of a GIF, the most that may be drawn before its size is known.
    """

    def __init__(self, data: bytes, format: str, max_pixels: int):
        self._data, self._format = data, format
        # Without its reader Pillow would load all of them.
        importlib.import_module(f"PIL.{_PLUGINS[format]}ImagePlugin")
        # Opening a GIF draws its first frame, which may be larger than it says.
        with quiet(max_pixels if format == "GIF" else None):
            self._picture = picture = Image.open(io.BytesIO(data), formats=(format,))
            frames = getattr(picture, "n_frames", 1) if FORMATS[format].animated else 1
        width, height = picture.size
        info = picture.info
        self.header = Header(
            format, height, width, picture.mode,
            {"1": 1, "I": 16}.get(picture.mode, 8),
            frames=frames,
            loop=info.get("loop"),
            icc=info.get("icc_profile") or b"",
            exif=info.get("exif") or b"",
            dpi=_dpi(info.get("dpi")),
            orientation=_orientation_of_xmp(info.get("xmp")) if not info.get("exif") else 0,
            note="AVIF of more than 8 bits is read as 8" if _is_deep_avif(format, data) else "",
        )  # fmt: skip

    def first(self) -> Frame:
        """The still, or the first frame."""
        if self.header.frames > 1:
            return next(self.frames())
        self._check_end()
        self._picture.load()
        return self._frame()

    def frames(self) -> Iterator[Frame]:
        if self.header.frames == 1:
            yield self.first()
            return
        for index in range(self.header.frames):
            if index == self.header.frames - 1:
                self._check_end()
            # A frame that lies outside would make Pillow's canvas grow.
            size = self.header.width, self.header.height
            try:
                with quiet(size[0] * size[1]):
                    self._picture.seek(index)
                    self._picture.load()
            except Image.DecompressionBombError as error:
                raise ImageError(_OUTSIDE) from error
            if self._picture.size != size:
                raise ImageError(_OUTSIDE)
            yield self._frame()

    def _check_end(self) -> None:
        """Pillow shows what there is of some files, and says nothing."""
        is_whole = {"JPEG": jpeg_is_whole, "GIF": gif_is_whole}.get(self._format)
        if is_whole is not None and not is_whole(self._data):
            raise ImageError("the file is truncated")

    def reduced(self, shorter_side: int) -> np.ndarray | None:
        """A JPEG's colours, HWC uint8, decoded at 1/2, 1/4 or 1/8 where they stay large enough.

        OpenCV gives the same pixels as Pillow, as an array in a third of the time. None for other
        formats and for CMYK.
        """
        if self._format != "JPEG" or self._picture.mode not in ("RGB", "L"):
            return None
        self._check_end()
        import cv2

        flag, shorter = cv2.IMREAD_COLOR, min(self._picture.size)
        for factor in (2, 4, 8):
            if shorter // factor >= shorter_side:
                flag = getattr(cv2, f"IMREAD_REDUCED_COLOR_{factor}")
        try:
            data = np.frombuffer(self._data, np.uint8)
            decoded = cv2.imdecode(data, flag | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:
            decoded = None
        if decoded is None:
            raise ImageError("the picture's data is broken")
        return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)

    def _frame(self) -> Frame:
        picture = self._picture
        duration = float(picture.info.get("duration", 0) or 0)
        if picture.mode == "I":  # Netpbm written as text, which Pillow scales to 16 bits.
            return Frame(np.asarray(picture).astype(np.uint16), "gray", None)
        if picture.mode == "1":
            picture = picture.convert("L")
        elif picture.mode in ("LA", "La") or picture.has_transparency_data:
            grey = picture.mode in ("LA", "La")
            picture = picture.convert("LA" if grey else "RGBA")
            samples = np.array(picture)
            colors = samples[..., 0] if grey else samples[..., :3]
            space = "gray" if grey else "rgb"
            return Frame(np.ascontiguousarray(colors), space, samples[..., -1].copy(), duration)
        elif picture.mode not in ("RGB", "L", "CMYK"):
            picture = picture.convert("RGB")
        space = {"L": "gray", "CMYK": "cmyk"}.get(picture.mode, "rgb")
        return Frame(np.array(picture), space, None, duration)


def jpeg_is_whole(data: bytes) -> bool:
    """Whether an end marker follows the scan's start; thumbnails have markers of their own."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == 0xDA:
            return data.find(b"\xff\xd9", at) >= 0
        # Any number of 0xFF may fill the room before a marker.
        step = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        at += 1 if data[at + 1] == 0xFF else step
    return data.rfind(b"\xff\xd9") >= 0


def gif_is_whole(data: bytes) -> bool:
    """Whether a file ends with its end mark, or after a block, and not inside of one."""
    flags = data[10] if len(data) > 12 else 0
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while at < len(data):
        kind = data[at]
        if kind == 0x2C:  # A picture: its place, palette and code size.
            flags = data[at + 9] if at + 9 < len(data) else 0
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        elif kind == 0x21:
            at += 2
        else:  # The end, or what programs append.
            return True
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return at == len(data)


def _is_deep_avif(format: str, data: bytes) -> bool:
    at = data.find(b"av1C", 0, 65536)
    return (
        format == "AVIF"
        and at >= 0
        and bool(data[at + 6 : at + 7] > b"\x3f")
        and bool(data[at + 6] & 0x40)
    )


def _orientation_of_xmp(xmp: bytes | str | None) -> int:
    text = xmp.encode() if isinstance(xmp, str) else xmp or b""
    found = re.search(rb"tiff:Orientation(?:=\"|>)([1-8])", text)
    return int(found[1]) if found else 1


def _dpi(value: object) -> tuple[float, float] | None:
    try:
        across, down = (float(number) for number in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    # Some files say 1 dot an inch for "unknown".
    return (across, down) if 1 < across < math.inf and 1 < down < math.inf else None
