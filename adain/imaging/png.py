"""PNG and APNG, chunk by chunk: every depth, transparency and animation, one frame at a time.

libpng decodes and encodes the pixels; here are only chunks, whose texts are passed over, and how
an animation's frames lie on one another.

Reference:
    W3C, Portable Network Graphics (PNG) Specification, third edition
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from adain.imaging.formats import ImageError
from adain.imaging.frames import Frame, FrameCanvas, Header, changed_box
from adain.imaging.icc import MAX_PROFILE

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_CHANNELS = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGB_ALPHA: 4}
_DEPTHS = {_GREY: (1, 2, 4, 8, 16), _PALETTE: (1, 2, 4, 8)}
_METRE = 39.3701
MAX_EXIF = 1024**2
"""Longer EXIF, in bytes, is not looked for among a PNG's texts."""
_CLEARED = 1
# Adam7: the first column and row of each pass, and the steps.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
           (0, 1, 1, 2))  # fmt: skip


@dataclass
class _Control:
    """An APNG's frame control."""

    width: int
    height: int
    left: int
    top: int
    duration: float
    dispose: int
    blend: int
    data: list[memoryview] = field(default_factory=list)


class PngReader:
    """An open PNG: its header, and its frames one by one."""

    def __init__(self, data: bytes):
        self._still: list[memoryview] = []
        self._animation: list[_Control] = []
        self._fixed = b""
        plays = None
        icc = exif = b""
        dpi = None
        self._kind = -1
        self._fault: list[ImageError] = []
        for kind, body in _chunks(data, self._fault):
            if kind == b"IHDR" and self._kind < 0:
                self._read_header(bytes(body))
            elif self._kind < 0:
                raise ImageError("the first chunk is not a header")
            elif kind in (b"PLTE", b"tRNS"):
                self._fixed += chunk(kind, bytes(body))
            elif kind == b"IDAT":
                self._still.append(body)
                if len(self._animation) == 1:
                    self._animation[0].data.append(body)
            elif kind == b"acTL" and len(body) == 8 and not self._still:
                plays = struct.unpack(">II", body)[1]
            elif kind == b"fcTL" and len(body) == 26 and plays is not None:
                self._animation.append(_read_control(bytes(body)))
            elif kind == b"fdAT" and self._animation:
                self._animation[-1].data.append(body[4:])
            elif kind == b"iCCP":
                icc = _read_profile(bytes(body)) or icc
            elif kind == b"eXIf":
                exif = bytes(body)
            elif kind in (b"tEXt", b"zTXt") and not exif:
                exif = _read_text_exif(kind, body)
            elif kind == b"pHYs" and len(body) == 9:
                across, down, unit = struct.unpack(">IIB", body)
                dpi = (across / _METRE, down / _METRE) if unit == 1 else None
        if self._kind < 0:
            raise ImageError("the file is truncated")
        names = {_GREY: "1" if self._bits == 1 else "I;16" if self._bits == 16 else "L",
                 _RGB: "RGB", _PALETTE: "P", _GREY_ALPHA: "LA", _RGB_ALPHA: "RGBA"}  # fmt: skip
        self.header = Header(
            "PNG", self._height, self._width, names[self._kind],
            1 if self._bits == 1 else 16 if self._bits == 16 else 8,
            frames=max(1, len(self._animation)), loop=plays, icc=icc, exif=exif, dpi=dpi,
        )  # fmt: skip

    def _read_header(self, body: bytes) -> None:
        if len(body) != 13:
            raise ImageError("the header is broken")
        self._width, self._height, self._bits, self._kind, *rest = struct.unpack(">IIBBBBB", body)
        self._interlaced = rest[2]
        known = self._bits in _DEPTHS.get(self._kind, (8, 16)) and self._kind in _CHANNELS
        if not known or rest[:2] != [0, 0] or self._interlaced > 1:
            raise ImageError("the header is broken")

    def frames(self) -> Iterator[Frame]:
        """The still, or the animation's frames as they are shown."""
        if not self._animation:
            yield self.first()
            return
        canvas = FrameCanvas(self._height, self._width, np.uint16 if self._bits == 16 else np.uint8)
        # All frames have an alpha plane, or none has.
        has_alpha = self._kind in (_GREY_ALPHA, _RGB_ALPHA) or b"tRNS" in self._fixed
        has_alpha |= any(control.dispose == _CLEARED for control in self._animation)
        first = self._animation[0]
        has_alpha |= (first.height, first.width) != (self._height, self._width)
        for control in self._animation:
            if self._fault and control is self._animation[-1]:
                raise self._fault[0]
            samples = self._decode(control.data, control.height, control.width)
            samples = samples[..., None] if samples.ndim == 2 else samples
            box = (control.top, control.left, control.height, control.width)
            colors, alpha = canvas.show(samples, box, control.dispose, control.blend == 1)
            yield Frame(colors, "rgb", alpha if has_alpha else None, control.duration)

    def first(self) -> Frame:
        """The default image, which programs without APNG support show."""
        if self._fault:
            raise self._fault[0]
        samples = self._decode(self._still, self._height, self._width)
        if samples.ndim == 2 or samples.shape[2] == 3:
            return Frame(samples, "gray" if samples.ndim == 2 else "rgb", None)
        colors = samples[..., 0] if samples.shape[2] == 2 else samples[..., :3]
        return Frame(colors, "gray" if colors.ndim == 2 else "rgb", samples[..., -1])

    def _decode(self, data: list[memoryview], height: int, width: int) -> np.ndarray:
        """HW, or HWC of 2 to 4 channels, uint8 or uint16."""
        if not self._interlaced:
            size = _raw_size(height, width, self._bits * _CHANNELS[self._kind])
            return self._decode_rows(_inflate(data, size), height, width)
        passes, total = [], 0
        for left, top, across, down in _PASSES:
            rows, columns = -(-(height - top) // down), -(-(width - left) // across)
            if rows > 0 and columns > 0:
                size = _raw_size(rows, columns, self._bits * _CHANNELS[self._kind])
                passes.append((left, top, across, down, rows, columns, total, total + size))
                total += size
        raw, result = _inflate(data, total), None
        for left, top, across, down, rows, columns, start, stop in passes:
            part = self._decode_rows(raw[start:stop], rows, columns)
            if result is None:
                result = np.empty((height, width, *part.shape[2:]), part.dtype)
            result[top::down, left::across] = part
        return result

    def _decode_rows(self, raw: bytes, height: int, width: int) -> np.ndarray:
        import imagecodecs

        # libpng prints warnings about other chunks, about interlacing and about surplus data.
        head = struct.pack(">IIBBBBB", width, height, self._bits, self._kind, 0, 0, 0)
        body = chunk(b"IDAT", zlib.compress(raw, 0))
        return imagecodecs.png_decode(
            b"".join([SIGNATURE, chunk(b"IHDR", head), self._fixed, body, chunk(b"IEND", b"")])
        )


def _chunks(data: bytes, fault: list[ImageError]) -> Iterator[tuple[bytes, memoryview]]:
    """Types and contents of the chunks up to the first fault, which goes into `fault`."""
    view, at = memoryview(data), len(SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return
        body = view[at + 8 : at + 8 + length]
        at += 12 + length
        if at > len(data):
            break
        if kind[:1].isupper() or kind in (b"fcTL", b"fdAT"):
            if zlib.crc32(body, zlib.crc32(kind)) != struct.unpack_from(">I", data, at - 4)[0]:
                fault.append(ImageError(f"a checksum is wrong, in chunk {kind.decode('latin-1')}"))
                return
        yield kind, body
    fault.append(ImageError("the file is truncated"))


def _read_control(body: bytes) -> _Control:
    _, width, height, left, top, over, under, dispose, blend = struct.unpack(">5I2H2B", body)
    return _Control(width, height, left, top, 1000 * over / (under or 100), dispose, blend)


def _read_profile(body: bytes) -> bytes:
    packed = body[body.find(b"\0") + 2 :]
    try:
        unpacker = zlib.decompressobj()
        profile = unpacker.decompress(packed, MAX_PROFILE + 1)
    except zlib.error:
        return b""
    return profile if len(profile) <= MAX_PROFILE else b""


def _read_text_exif(kind: bytes, body: memoryview) -> bytes:
    """EXIF in a text chunk, in hexadecimal, as older versions of ImageMagick write it."""
    keyword, _, text = bytes(body[:MAX_EXIF]).partition(b"\0")
    if keyword not in (b"Raw profile type exif", b"Raw profile type APP1"):
        return b""
    try:
        if kind == b"zTXt":
            text = zlib.decompressobj().decompress(text[1:], 3 * MAX_EXIF)
        # The name, the length and the digits stand in lines of their own.
        return bytes.fromhex(text.split(None, 2)[2].decode("ascii"))
    except (zlib.error, ValueError, IndexError):
        return b""


def _raw_size(height: int, width: int, bits: int) -> int:
    return height * (1 + (width * bits + 7) // 8)


def _inflate(data: list[memoryview], size: int) -> bytes:
    """Decompress at most `size` bytes."""
    raw = zlib.decompressobj().decompress(b"".join(data), size)
    if len(raw) < size:
        raise ImageError("the file is truncated")
    return raw


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and checksum."""
    crc = zlib.crc32(body, zlib.crc32(kind))
    return b"".join([struct.pack(">I4s", len(body), kind), body, struct.pack(">I", crc)])


# Writing ------------------------------------------------------------------------------------------


def encode(samples: np.ndarray, icc: bytes, exif: bytes, dpi: tuple[float, float] | None) -> bytes:
    """A PNG file.

    Args:
        samples: HW, or HWC of 2 to 4 channels, uint8 or uint16, alpha last.
        icc: Profile, or b"".
        exif: EXIF block without prefix, or b"".
        dpi: (horizontal, vertical) dots per inch, or None.
    """
    header, pixels = _encode_pixels(samples)
    parts = [SIGNATURE, chunk(b"IHDR", header), *_extras(icc, exif, dpi)]
    return b"".join([*parts, *(chunk(b"IDAT", body) for body in pixels), chunk(b"IEND", b"")])


def _encode_pixels(samples: np.ndarray) -> tuple[bytes, list[memoryview]]:
    import imagecodecs

    header, pixels = b"", []
    for kind, body in _chunks(imagecodecs.png_encode(np.ascontiguousarray(samples)), []):
        if kind == b"IHDR":
            header = bytes(body)
        elif kind == b"IDAT":
            pixels.append(body)
    return header, pixels


def _extras(icc: bytes, exif: bytes, dpi: tuple[float, float] | None) -> list[bytes]:
    parts = []
    if icc:
        parts.append(chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if dpi:
        across, down = (min(round(value * _METRE), 2**31 - 1) for value in dpi)
        parts.append(chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if exif:
        parts.append(chunk(b"eXIf", exif))
    return parts


class ApngWriter:
    """Writes an APNG frame by frame; only the part that changed is stored.

    Args:
        file: An empty file, open for writing and seeking.
        loop: How often it plays, 0 means forever.
        icc, exif, dpi: As for `encode`.
    """

    def __init__(self, file: BinaryIO, loop: int, icc: bytes, exif: bytes, dpi):
        self._file, self._loop, self._extras = file, loop, _extras(icc, exif, dpi)
        self._frames = self._sequence = self._control_at = 0
        self._last: np.ndarray | None = None

    def add(self, samples: np.ndarray, duration: float) -> None:
        """Append a frame, HWC of 3 or 4 channels, all of one shape and type; milliseconds."""
        top, left, height, width = changed_box(self._last, samples)
        part = samples[top : top + height, left : left + width]
        header, pixels = _encode_pixels(part)
        if self._last is None:
            self._file.write(SIGNATURE + chunk(b"IHDR", header))
            self._control_at = self._file.tell()
            self._file.write(chunk(b"acTL", bytes(8)))
            self._file.write(b"".join(self._extras))
        delay = Fraction(duration / 1000).limit_denominator(1000)
        delay = delay if delay.numerator <= 65535 else Fraction(65535, 1000)
        place = (width, height, left, top, delay.numerator, delay.denominator, 0, 0)
        self._write(b"fcTL", struct.pack(">4I2H2B", *place))
        for body in pixels:
            if self._last is None:
                self._file.write(chunk(b"IDAT", body))
            else:
                self._write(b"fdAT", bytes(body))
        self._last = samples
        self._frames += 1

    def _write(self, kind: bytes, body: bytes) -> None:
        self._file.write(chunk(kind, struct.pack(">I", self._sequence) + body))
        self._sequence += 1

    def close(self) -> None:
        """Finish the file."""
        self._file.write(chunk(b"IEND", b""))
        self._file.seek(self._control_at)
        self._file.write(chunk(b"acTL", struct.pack(">II", self._frames, self._loop)))
        self._file.seek(0, 2)
