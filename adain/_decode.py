"""Bytes of a picture file to arrays: EXIF, profiles, depth, transparency, and every broken file.

Pillow reads users' files: it knows EXIF, ICC, CMYK, animation and truncation. OpenCV reads what
Pillow would cut to 8 bits.
"""

from __future__ import annotations

import contextlib
import io
import math
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms

_ORIENTATION, _EXIF_IFD, _GPS_IFD = 0x0112, 0x8769, 0x8825
# Tags that speak of the picture, not of how some file lays out its pixels: description, make,
# model, resolution and its unit, software, date, artist, host, rating, copyright, Windows' XP*.
_KEPT_TAGS = (
    {0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746}
    | {0x8298, _EXIF_IFD, _GPS_IFD}
    | set(range(0x9C9B, 0x9CA0))
)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's readers raise on broken files, by experience; MemoryError is not among them.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError,
           OverflowError, RuntimeError, ZeroDivisionError, AttributeError)  # fmt: skip
_lock = threading.Lock()


class ImageError(ValueError):
    """A picture that cannot be read or written: one line with its name, the reason, the remedy."""


@dataclass(frozen=True, eq=False)
class ImageMeta:
    """What a file holds beside its colours, so that the result can be saved like the source.

    Args:
        format: Pillow's name of the format, such as "JPEG"; "" when unknown.
        mode: Pillow's mode in the file: "RGB", "L", "CMYK", "I;16", ...
        bits: Bits a channel in the file: 1, 8, 16 or 32. Results are saved with 8.
        exif: EXIF block without thumbnail and orientation (the turn is applied); b"" for none.
        icc_profile: The file's RGB profile, to convert back to; b"" for sRGB or none.
        alpha: HW uint8 alpha plane, 0 transparent; None for opaque formats.
        dpi: (horizontal, vertical) dots an inch, or None.
        duration: Milliseconds that this frame of an animation stays.
        loop: How often an animation plays, 0 for ever, None for once.
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

    @property
    def is_grey(self) -> bool:
        """Whether the file held no colours."""
        return self.mode in ("1", "L", "LA", "La", "I", "F") or self.mode.startswith("I;16")


# Reading ------------------------------------------------------------------------------------------


def name_of(source: str | Path | bytes | BinaryIO) -> str:
    if isinstance(source, str | Path):
        return str(source)
    return "<bytes>" if isinstance(source, bytes) else str(getattr(source, "name", "<stream>"))


def read_bytes(source: str | Path | bytes | BinaryIO) -> tuple[bytes, str]:
    name = name_of(source)
    try:
        if isinstance(source, bytes):
            data = source
        else:
            data = Path(source).read_bytes() if isinstance(source, str | Path) else source.read()
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file. Check the path.") from None
    except IsADirectoryError:
        raise ImageError(f"{name}: is a folder. Name a picture in it.") from None
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror or error}).") from error
    if not data:
        raise ImageError(f"{name}: the file is empty. Copy or download it again.")
    return data, name


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Whatever Pillow finds wrong with a file, in one line with the file's name."""
    try:
        yield
    except ImageError:
        raise
    except BROKEN as error:
        if "truncated" in str(error):
            message = "the file is truncated. Copy or download it again"
        else:
            reason = " ".join(str(error).split()) or type(error).__name__
            message = f"the picture's data is broken ({reason}). Copy or download it again"
        raise ImageError(f"{name}: {message}.") from error


@contextlib.contextmanager
def pillow(max_pixels: int | None) -> Iterator[None]:
    """Our limit in place of Pillow's, and none of its warnings about odd headers.

    Both are settings of the whole process, hence the lock; decoding itself needs neither.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def open_picture(data: bytes, name: str, max_pixels: int | None) -> Image.Image:
    try:
        with pillow(max_pixels):
            picture = Image.open(io.BytesIO(data))
    except Image.UnidentifiedImageError:
        if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
            raise ImageError(f"{name}: HEIC is not read. Convert it to JPEG or PNG.") from None
        raise ImageError(
            f"{name}: not a picture that can be read. Use JPEG, PNG, WebP, TIFF, GIF or AVIF."
        ) from None
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name}: more than {max_pixels} pixels. Raise the limit with --max-pixels."
        ) from error
    if max_pixels is not None:
        _check_pixels(picture, name, max_pixels)
    return picture


def _check_pixels(picture: Image.Image, name: str, max_pixels: int) -> None:
    width, height = picture.size
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: {height} x {width} are more than {max_pixels} pixels. "
            f"Raise the limit with --max-pixels {width * height}."
        )


def decode(
    picture: Image.Image, data: bytes, name: str, max_pixels: int
) -> tuple[np.ndarray, ImageMeta]:
    _check_pixels(picture, name, max_pixels)
    if picture.format in ("JPEG", "MPO") and not jpeg_is_whole(data):
        raise ImageError(f"{name}: the file is truncated. Copy or download it again.")
    mode, deep = picture.mode, _is_deep(picture)
    picture.load()
    with pillow(max_pixels):
        # After loading: a PNG's EXIF may follow its pixels; and TIFF has been turned by then.
        try:
            exif = picture.getexif()
            turn = _TURNS.get(exif.get(_ORIENTATION, 1))
            kept = _clean_exif(exif)
        except BROKEN:
            turn, kept = None, b""
    frame = _reduce_depth(picture, data) if deep else picture
    frame, alpha = _split_alpha(frame)
    profile = read_profile(picture.info.get("icc_profile"))
    srgb = _to_srgb(frame, profile)
    if turn is not None:
        srgb = srgb.transpose(turn)
        alpha = None if alpha is None else alpha.transpose(turn)
    keep_profile = profile is not None and profile.profile.xcolor_space.strip() == "RGB"
    meta = ImageMeta(
        format="JPEG" if picture.format == "MPO" else picture.format or "",
        mode=mode,
        bits=1 if mode == "1" else 16 if deep else 32 if mode in ("I", "F") else 8,
        exif=kept,
        icc_profile=picture.info["icc_profile"] if keep_profile else b"",
        alpha=None if alpha is None else np.array(alpha),
        dpi=_dpi(picture.info.get("dpi")),
        duration=float(picture.info.get("duration", 0) or 0),
        loop=picture.info.get("loop"),
    )
    return np.array(srgb), meta


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


def _is_deep(picture: Image.Image) -> bool:
    tiles = getattr(picture, "tile", None) or []
    return picture.mode.startswith("I;16") or any(";16" in str(tile[3]) for tile in tiles)


def _reduce_depth(picture: Image.Image, data: bytes) -> Image.Image:
    """16 bits to 8, rounded: Pillow would clip grey to white and cut the low byte of colours."""
    if picture.mode.startswith("I;16"):
        wide = np.asarray(picture)
    else:
        import cv2

        try:
            wide = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            wide = None
        shape = (picture.height, picture.width)
        if wide is None or wide.dtype != np.uint16 or wide.shape[:2] != shape:
            return picture
        if wide.ndim == 3:
            wide = wide[..., [2, 1, 0, 3][: wide.shape[2]]]
    return Image.fromarray(((wide.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _split_alpha(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    if picture.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(picture, dtype=np.float64))
        # Integers are 16 bits in a wider box; floats run to 1, or to 255 where they pass 1.
        scale = 1 / 257 if picture.mode == "I" else 255.0 if values.max() <= 1 else 1.0
        return Image.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)), None
    if picture.mode in ("LA", "La"):
        picture = picture.convert("LA")
        return picture.getchannel("L"), picture.getchannel("A")
    if picture.mode == "1":
        picture = picture.convert("L")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return picture.convert("RGB"), picture.getchannel("A")
    keep = picture.mode in ("RGB", "L", "CMYK", "LAB")
    return (picture if keep else picture.convert("RGB")), None


def _clean_exif(exif: Image.Exif) -> bytes:
    clean = Image.Exif()
    for tag in _KEPT_TAGS & set(exif):
        clean[tag] = exif.get_ifd(tag) if tag in (_EXIF_IFD, _GPS_IFD) else exif[tag]
    return clean.tobytes() if len(clean) else b""


def _dpi(value: object) -> tuple[float, float] | None:
    try:
        across, down = (float(number) for number in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    # Some files say 1 dot an inch for "unknown".
    return (across, down) if 1 < across < math.inf and 1 < down < math.inf else None


# Colour profiles ----------------------------------------------------------------------------------


def read_profile(data: bytes | None) -> ImageCms.ImageCmsProfile | None:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data)) if data else None
    except (*BROKEN, ImageCms.PyCMSError):
        return None


def is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    return "srgb" in (profile.profile.profile_description or "").lower()


def transform(
    picture: Image.Image,
    source: ImageCms.ImageCmsProfile,
    target: ImageCms.ImageCmsProfile,
) -> Image.Image | None:
    try:
        return ImageCms.profileToProfile(
            picture,
            source,
            target,
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (*BROKEN, ImageCms.PyCMSError):
        return None


def srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _to_srgb(picture: Image.Image, profile: ImageCms.ImageCmsProfile | None) -> Image.Image:
    if picture.mode == "LAB":
        profile = profile or ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    managed = None
    if profile is not None and not is_srgb(profile):
        managed = transform(picture, profile, srgb_profile())
    return picture.convert("RGB") if managed is None else managed
