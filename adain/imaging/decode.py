"""Bytes of a picture file to arrays: EXIF, profiles, depth, transparency, and every broken file.

Pillow reads users' files: it knows EXIF, ICC, CMYK, animation and truncation. What it would cut to
8 bits is read by OpenCV (PNG) and imagecodecs (TIFF), which also applies profiles in 16 bits.
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

ORIENTATION, _EXIF_IFD, _GPS_IFD = 0x0112, 0x8769, 0x8825
IMAGE_HISTORY = 0x9213
"""EXIF's tag for what has been done to a picture."""
# Tags that speak of the picture, not of how some file lays out its pixels: description, make,
# model, resolution and its unit, software, date, artist, host, rating, copyright, Windows' XP*.
_KEPT_TAGS = (
    {0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746}
    | {0x8298, _EXIF_IFD, _GPS_IFD}
    | set(range(0x9C9B, 0x9CA0))
)
_BITS, _LAYOUT, _EXTRA = 0x0102, 0x011C, 0x0152
# Where a PNG names its kind, and the one of grey with alpha.
_PNG_KIND, _GREY_ALPHA = 25, 4
# The formats that hold 16 bits in every mode, and whose bits `keep_depth` keeps.
DEEP_FORMATS = ("PNG", "TIFF")
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
        bits: Bits a channel in the file: 1, 8, 16 or 32. What is saved has those of its array.
        exif: EXIF block without thumbnail and orientation (the turn is applied); b"" for none.
        icc_profile: The file's RGB profile, to convert back to; b"" for sRGB or none.
        alpha: HW alpha plane, 0 transparent, uint8 or uint16 like the colours read with it; None
            for opaque formats.
        dpi: (horizontal, vertical) dots an inch, or None.
        duration: Milliseconds that this frame of an animation stays.
        loop: How often an animation plays, 0 for ever, None for once.
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
    if data[:2] in (b"II", b"MM"):
        _open_deep_grey_alpha()
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


def _open_deep_grey_alpha() -> None:
    """Let Pillow open TIFF of grey with alpha in 16 bits, whose pixels `_read_tiff` reads."""
    from PIL import TiffImagePlugin

    for order in (b"II", b"MM"):
        for extra in ((), (1,), (2,)):
            key = (order, 1, (1,), 1, (16, 16), extra)
            TiffImagePlugin.OPEN_INFO.setdefault(key, ("LA", "LA;16B"))


def decode(
    picture: Image.Image, data: bytes, name: str, max_pixels: int, keep_depth: bool = False
) -> tuple[np.ndarray, ImageMeta]:
    _check_pixels(picture, name, max_pixels)
    if picture.format in ("JPEG", "MPO") and not jpeg_is_whole(data):
        raise ImageError(f"{name}: the file is truncated. Copy or download it again.")
    mode, deep = picture.mode, _is_deep(picture)
    wide = _read_tiff(picture, data) if deep and picture.format == "TIFF" else None
    # Loading turns a TIFF. A PNG's EXIF may follow its pixels, and is known only after loading.
    if wide is None:
        picture.load()
    if mode.startswith("I;16"):
        wide = np.asarray(picture).astype(np.uint16)
    elif deep and picture.format == "PNG" and picture.tell() == 0:
        wide = _read_png(data)
    with pillow(max_pixels):
        try:
            exif = picture.getexif()
            orientation = exif.get(ORIENTATION, 1)
            kept = _clean_exif(exif)
        except BROKEN:
            orientation, kept = 1, b""
    profile = read_profile(picture.info.get("icc_profile"))
    if wide is not None and keep_depth and picture.format in DEEP_FORMATS:
        wide, alpha = _split_wide(wide)
        colors = _wide_to_srgb(wide, profile)
    else:
        frame = picture if wide is None else Image.fromarray(to_depth(wide, np.uint8))
        frame, plane = _split_alpha(frame)
        colors = np.array(_to_srgb(frame, profile))
        alpha = None if plane is None else np.array(plane)
    keep_profile = profile is not None and profile.profile.xcolor_space.strip() == "RGB"
    meta = ImageMeta(
        format="JPEG" if picture.format == "MPO" else picture.format or "",
        mode=mode,
        bits=1 if mode == "1" else 16 if deep else 32 if mode in ("I", "F") else 8,
        exif=kept,
        icc_profile=picture.info["icc_profile"] if keep_profile else b"",
        alpha=None if alpha is None else _turn(alpha, orientation),
        dpi=_dpi(picture.info.get("dpi")),
        duration=float(picture.info.get("duration", 0) or 0),
        loop=picture.info.get("loop"),
    )
    return _turn(colors, orientation), meta


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


def to_depth(image: np.ndarray, dtype: type[np.unsignedinteger]) -> np.ndarray:
    """A uint8 or uint16 array in the other of the two depths; 16 bits to 8 are rounded."""
    if image.dtype == dtype:
        return image
    if dtype == np.uint16:
        return image.astype(np.uint16) * 257
    # (image + 128) // 257, within 16 bits.
    reduced = image // 257
    reduced += image - reduced * 257 > 128
    return reduced.astype(np.uint8)


def _turn(array: np.ndarray, orientation: int) -> np.ndarray:
    """EXIF's eight orientations: rows become columns, then either may run backwards."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(array[::rows, ::columns])


def _is_deep(picture: Image.Image) -> bool:
    if picture.format == "TIFF" and set(picture.tag_v2.get(_BITS, ())) == {16}:
        return True
    tiles = getattr(picture, "tile", None) or []
    return picture.mode.startswith("I;16") or any(";16" in str(tile[3]) for tile in tiles)


def _read_png(data: bytes) -> np.ndarray | None:
    """The first frame's colours, or grey with alpha, HWC uint16; None where OpenCV fails."""
    import cv2

    # Header, transparency and pixels only: of any other chunk libpng complains on stderr.
    parts, at = [data[:8]], 8
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] in (b"IHDR", b"tRNS", b"IDAT", b"IEND"):
            parts.append(data[at:end])
        at = end
    try:
        wide = cv2.imdecode(np.frombuffer(b"".join(parts), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if wide is None or wide.dtype != np.uint16 or wide.ndim != 3:
        return None
    if data[_PNG_KIND] == _GREY_ALPHA:
        return wide[..., [0, 3]]
    return cv2.cvtColor(wide, cv2.COLOR_BGR2RGB if wide.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


def _read_tiff(picture: Image.Image, data: bytes) -> np.ndarray | None:
    """Colours, or grey with alpha, HWC uint16, not turned; None for what only Pillow reads."""
    if picture.mode not in ("RGB", "RGBA", "LA"):
        return None
    import imagecodecs

    wide = imagecodecs.tiff_decode(data)
    if picture.tag_v2.get(_LAYOUT) == 2:
        wide = np.moveaxis(wide, 0, -1)
    if wide.dtype != np.uint16 or wide.ndim != 3 or {*wide.shape[:2]} != {*picture.size}:
        return None
    if picture.mode == "RGB":
        # A fourth channel may mean anything.
        return wide[..., :3]
    if picture.tag_v2.get(_EXTRA) == (1,):
        colors = wide[..., :-1].astype(np.uint32)
        colors *= 65535
        colors //= np.maximum(wide[..., -1:], 1)
        wide[..., :-1] = np.minimum(colors, 65535, out=colors)
    return wide


def _split_wide(wide: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours HWC or grey HW, and alpha HW."""
    if wide.ndim == 2 or wide.shape[2] == 3:
        return np.ascontiguousarray(wide), None
    colors = wide[..., 0] if wide.shape[2] == 2 else wide[..., :3]
    return np.ascontiguousarray(colors), wide[..., -1].copy()


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


def transform_wide(
    colors: np.ndarray,
    source: ImageCms.ImageCmsProfile,
    target: ImageCms.ImageCmsProfile,
) -> np.ndarray | None:
    """`transform` for HWC colours or HW grey, uint16, to HWC uint16."""
    import imagecodecs

    flags = imagecodecs.CMS.FLAGS
    try:
        return imagecodecs.cms_transform(
            colors,
            source.tobytes(),
            target.tobytes(),
            colorspace="rgb" if colors.ndim == 3 else "gray",
            outcolorspace="rgb",
            intent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            # Optimised, a transform of 16 bits interpolates in a table too coarse for dark colours.
            flags=flags.BLACKPOINTCOMPENSATION | flags.NOOPTIMIZE,
        )
    except BROKEN:
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


def _wide_to_srgb(colors: np.ndarray, profile: ImageCms.ImageCmsProfile | None) -> np.ndarray:
    managed = None
    if profile is not None and not is_srgb(profile):
        managed = transform_wide(colors, profile, srgb_profile())
    if managed is None:
        managed = colors if colors.ndim == 3 else np.stack([colors] * 3, axis=-1)
    return managed
