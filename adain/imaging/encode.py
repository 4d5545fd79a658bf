"""HWC sRGB arrays to picture files: profile and alpha put back, one writer per format.

Pillow writes JPEG, WebP, AVIF, GIF and BMP; imagecodecs JPEG 2000 and the pixels of PNG; tifffile
TIFF.
"""

from __future__ import annotations

import contextlib
import io
import logging
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from PIL import Image

from adain.imaging import exif as exif_blocks
from adain.imaging import icc
from adain.imaging.decode import ImageMeta
from adain.imaging.formats import FORMATS, ImageError, check_size
from adain.imaging.pillow import BROKEN
from adain.imaging.pixels import native_order, to_depth
from adain.imaging.resize import check, resize_image

logger = logging.getLogger(__name__)

JPEG_EXIF = 65_533
"""The most bytes of EXIF that a JPEG holds: one segment."""

_OPTIONS = {
    "JPEG": {"subsampling": "4:4:4"},
    # `exact` keeps the colours behind transparent pixels.
    "WEBP": {"exact": True},
    "AVIF": {"subsampling": "4:4:4"},
}


class Prepared(NamedTuple):
    """A picture as its format stores it.

    Args:
        samples: HW, or HWC of 3 or 4 channels, alpha last; uint8 or uint16.
        icc_profile: To embed, or b"".
    """

    samples: np.ndarray
    icc_profile: bytes = b""


def encode_image(
    image: np.ndarray, format: str = "PNG", *, meta: ImageMeta | None = None, quality: int = 95
) -> bytes:
    """The bytes of the file that `save_image` would write.

    Args:
        image: HWC or HW sRGB, uint8 or uint16; a fourth channel is transparency.
        format: "PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF" or "JPEG2000".
        meta: What to keep of the source.
        quality: 1 to 100, for JPEG, WebP and AVIF.

    Returns:
        A complete file.

    Raises:
        ImageError: If the format cannot hold such a picture.
        ValueError: If `image` has another shape or type.
    """
    check_quality(quality)
    meta = meta or ImageMeta()
    prepared = prepare(image, meta, format)
    with writing(image.shape, format):
        check_size(image.shape[:2], format)
        return _encode(prepared, format, meta, quality)


def _encode(prepared: Prepared, format: str, meta: ImageMeta, quality: int) -> bytes:
    samples, profile = prepared.samples, prepared.icc_profile
    if format == "PNG":
        from adain.imaging import png

        return png.encode(samples, profile, exif_of(meta).removeprefix(b"Exif\0\0"), meta.dpi)
    if format == "TIFF":
        from adain.imaging import tiff

        return tiff.encode(samples, profile, exif_blocks.parse(exif_of(meta)), meta.dpi)
    if format == "JPEG2000":
        import imagecodecs

        return imagecodecs.jpeg2k_encode(np.ascontiguousarray(samples), codecformat="jp2")
    if format == "GIF":
        from adain.imaging import animation

        return animation.gif_still(samples)
    if format == "BMP" and samples.ndim == 3 and samples.shape[2] == 4:
        return _bmp_with_alpha(samples, meta.dpi)
    options = {**_OPTIONS.get(format, {}), **kept(format, meta, profile)}
    if format in ("JPEG", "WEBP", "AVIF"):
        options["quality"] = int(quality)
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, format=format, **options)
    return buffer.getvalue()


def check_quality(quality: int) -> None:
    """Check a quality.

    Raises:
        ValueError: If it is no whole number from 1 to 100.
    """
    whole = isinstance(quality, int | np.integer) and not isinstance(quality, bool)
    if not whole or not 1 <= quality <= 100:
        raise ValueError(
            f"`quality` must be a whole number from 1 to 100. Received: quality={quality!r}"
        )


def encode_png(image: np.ndarray) -> bytes:
    """A picture as a PNG file's bytes.

    Args:
        image: HWC or HW sRGB, uint8 or uint16.

    Returns:
        A complete PNG file, as deep as the array.
    """
    return encode_image(image, "PNG")


def prepare(image: np.ndarray, meta: ImageMeta, format: str) -> Prepared:
    """The picture in the source's profile, with its alpha, as deep as the format allows.

    Raises:
        ValueError: If `image` has another shape or type.
    """
    image = native_order(image)
    if getattr(image, "ndim", 0) == 3 and image.shape[2] == 4:
        meta, image = replace(meta, alpha=image[..., 3]), image[..., :3]
    check(image)
    if meta.alpha is not None:
        meta = replace(meta, alpha=native_order(meta.alpha))
    about = FORMATS[format]
    if not about.deep:
        image = to_depth(image, np.uint8)
    profile, embedded = meta.icc_profile if about.icc else b"", b""
    has_alpha = meta.alpha is not None and about.alpha
    if image.ndim == 2 and (profile or has_alpha):
        image = np.stack([image] * 3, axis=-1)
    managed = icc.from_srgb(image, profile) if profile else None
    # A profile that works one way only leaves the picture in plain sRGB.
    if managed is not None:
        image, embedded = managed, profile
    if has_alpha:
        alpha = resize_image(to_depth(meta.alpha, image.dtype.type), image.shape[:2])
        image = np.dstack([image, alpha])
    return Prepared(np.ascontiguousarray(image), embedded)


def lost_alpha(alpha: np.ndarray, format: str) -> str:
    """What a format loses of an alpha plane, uint8 or uint16, for a warning; "" for nothing."""
    white = np.iinfo(alpha.dtype).max
    if not FORMATS[format].alpha and (alpha < white).any():
        return f"{format} has no transparency; the picture becomes opaque"
    if format == "GIF" and ((alpha > 0) & (alpha < white)).any():
        return "GIF has no half-transparent pixels; each becomes opaque or clear"
    return ""


def exif_of(meta: ImageMeta, limit: int | None = None) -> bytes:
    """The EXIF block to write, history and all; b"" for none."""
    if not meta.exif and not meta.history:
        return b""
    block = exif_blocks.parse(meta.exif)
    if meta.history:
        exif_blocks.with_history(block, meta.history)
    return block.tobytes(limit)


def kept(format: str, meta: ImageMeta, profile: bytes) -> dict[str, object]:
    """Pillow's options for what a file holds besides its colours."""
    about, options = FORMATS[format], {}
    exif = exif_of(meta, JPEG_EXIF if format == "JPEG" else None) if about.exif else b""
    if exif:
        options["exif"] = exif
    if profile:
        options["icc_profile"] = profile
    if about.dpi and meta.dpi:
        options["dpi"] = meta.dpi
    return options


@contextlib.contextmanager
def writing(shape: tuple[int, ...], format: str) -> Iterator[None]:
    """Turn any error a library raises while writing into one line.

    Raises:
        ImageError: If the format cannot hold it.
    """
    try:
        yield
    except ImageError:
        raise
    except BROKEN as error:
        raise ImageError(
            f"a picture of {shape[0]} x {shape[1]} cannot be written as {format} "
            f"({error}). Use PNG or TIFF."
        ) from error


def _bmp_with_alpha(samples: np.ndarray, dpi: tuple[float, float] | None) -> bytes:
    """A BMP whose header (BITMAPV4HEADER) says that the fourth channel is alpha."""
    height, width = samples.shape[:2]
    across, down = (round(value * 39.3701) for value in dpi or (0, 0))
    size = 4 * height * width
    masks = (0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)
    info = struct.pack("<IiiHHIIiiII4I4s48x", 108, width, height, 1, 32, 3, size, across, down,
                       0, 0, *masks, b"BGRs")  # fmt: skip
    header = struct.pack("<2sI4xI", b"BM", 122 + size, 122)
    return b"".join([header, info, samples[::-1, :, [2, 1, 0, 3]].tobytes()])
