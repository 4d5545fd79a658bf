"""Formats read with Pillow: JPEG, WebP, AVIF, GIF, BMP, TGA, QOI, and Netpbm of 8 bits."""

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
# Of the index of a JPEG of several pictures (CIPA DC-007).
_MP_ENTRIES = 0xB002
_OUTSIDE = "a frame lies outside the picture"
_lock = threading.Lock()


@contextlib.contextmanager
def quiet(max_pixels: int | None = None) -> Iterator[None]:
    """Replace Pillow's pixel limit with ours, and silence its warnings about odd headers.

    Both settings are process-wide, hence the lock; decoding stills needs neither.

    Args:
        max_pixels: Pillow refuses pictures of more than twice as many pixels; None: no limit.
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
        format: Its name; only this one of Pillow's readers is tried.
        max_pixels: Limit for the first frame of a GIF, which is decoded on opening.
    """

    def __init__(self, data: bytes, format: str, max_pixels: int):
        self._data, self._format = data, format
        # Otherwise Pillow would import all of its readers to find this one.
        importlib.import_module(f"PIL.{_PLUGINS[format]}ImagePlugin")
        # Opening a GIF decodes its first frame, which may be larger than the header says.
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
            note=_note(picture, format, data),
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
        # All frames have an alpha plane, or none has; Pillow tells only as it decodes them.
        has_alpha = self._format == "GIF" and scan_gif(self._data)[1]
        for index in range(self.header.frames):
            if index == self.header.frames - 1:
                self._check_end()
            # A frame outside the picture would make Pillow enlarge its canvas.
            size = self.header.width, self.header.height
            try:
                with quiet(size[0] * size[1]):
                    self._picture.seek(index)
                    self._picture.load()
            except Image.DecompressionBombError as error:
                raise ImageError(_OUTSIDE) from error
            if self._picture.size != size:
                raise ImageError(_OUTSIDE)
            frame = self._frame()
            if frame.alpha is None and has_alpha:
                frame = frame._replace(alpha=np.full(size[::-1], 255, np.uint8))
            yield frame

    def _check_end(self) -> None:
        """Refuse truncated files, which Pillow decodes as far as they go without an error."""
        cut = self._format == "JPEG" and not jpeg_is_whole(self._data)
        if cut or (self._format == "GIF" and not scan_gif(self._data)[0]):
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
        if (alpha := _bmp_alpha(self._data)) is not None:
            return Frame(np.array(picture.convert("RGB")), "rgb", alpha, duration)
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


def scan_gif(data: bytes) -> tuple[bool, bool]:
    """Whether a GIF is whole, and whether any of its frames is transparent somewhere.

    It is whole if it ends with the end mark or after a complete block.
    """
    flags = data[10] if len(data) > 12 else 0
    at, transparent = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0), False
    while at < len(data):
        if data[at] == 0x2C:  # An image block: position, palette and code size.
            flags = data[at + 9] if at + 9 < len(data) else 0
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        elif data[at] == 0x21:  # An extension; the one before an image tells of transparency.
            if data[at + 1 : at + 3] == b"\xf9\4" and at + 3 < len(data):
                transparent |= bool(data[at + 3] & 1)
            at += 2
        else:  # The end mark, or data that a program appended.
            return True, transparent
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return at == len(data), transparent


def _bmp_alpha(data: bytes) -> np.ndarray | None:
    """The fourth byte of a BMP's pixels of 32 bits, whose header has no masks; HW uint8.

    The format leaves it undefined: some programs write transparency there, Pillow among them, and
    the others 0, with which all would be invisible; then, and for other files, this is None.
    """
    if not data.startswith(b"BM") or len(data) < 54:
        return None
    start, about = struct.unpack("<II", data[10:18])
    width, height, _, bits, compression = struct.unpack("<iiHHI", data[18:34])
    if about < 40 or bits != 32 or compression or width < 1:
        return None
    pixels = np.frombuffer(data, np.uint8, 4 * width * abs(height), start)
    alpha = pixels.reshape(abs(height), width, 4)[..., 3]
    # Rows go upwards unless the height is negative.
    return alpha[:: -1 if height > 0 else 1].copy() if alpha.any() else None


def _note(picture: Image.Image, format: str, data: bytes) -> str:
    """What reading loses."""
    if _is_deep_avif(format, data):
        return "AVIF of more than 8 bits is read as 8"
    # What is listed as previews, depth or gain maps belongs to the one picture.
    listed = getattr(picture, "mpinfo", {}).get(_MP_ENTRIES, ())
    views = sum("Multi-Frame" in str(item["Attribute"]["MPType"]) for item in listed)
    return f"only the first of its {views} pictures is read" if views > 1 else ""


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
    # Some files say 1 dot per inch for "unknown".
    return (across, down) if 1 < across < math.inf and 1 < down < math.inf else None
