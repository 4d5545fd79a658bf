"""Files in = files out: pictures become HWC uint8 sRGB arrays and go back as they came."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from adain._decode import (
    BROKEN,
    ImageError,
    ImageMeta,
    decode,
    is_srgb,
    jpeg_is_whole,
    name_of,
    named,
    open_picture,
    pillow,
    read_bytes,
    read_profile,
    srgb_profile,
    transform,
)
from adain.config import MAX_PIXELS

_WRITERS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG",
    ".apng": "PNG", ".webp": "WEBP", ".avif": "AVIF", ".gif": "GIF", ".bmp": "BMP",
    ".tif": "TIFF", ".tiff": "TIFF", ".jp2": "JPEG2000",
}  # fmt: skip
WRITABLE_SUFFIXES = frozenset(_WRITERS)
"""Lower-case suffixes that `save_image` writes."""

IMAGE_SUFFIXES = WRITABLE_SUFFIXES | {".j2k", ".ppm", ".pgm", ".pnm", ".tga", ".qoi"}
"""Lower-case suffixes of the files that `list_images` finds and `read_image` reads."""

_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
_NO_ALPHA = ("JPEG",)


def list_images(folder: str | Path) -> list[Path]:
    """Pictures in a folder and all its sub-folders, sorted; hidden files and folders left out.

    Args:
        folder: Where to look. Linked folders are followed, each once.

    Returns:
        Paths whose suffix is in `IMAGE_SUFFIXES`, in the same order on every machine.

    Raises:
        ImageError: If there is no such folder.
    """
    if not Path(folder).is_dir():
        raise ImageError(f"{folder}: no such folder. Check the path.")
    found, seen = [], set()
    for where, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        # A link to a parent would go on for ever.
        folders[:] = [] if real in seen else sorted(f for f in folders if not f.startswith("."))
        if real not in seen:
            found += [
                Path(where, name)
                for name in files
                if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES
            ]
        seen.add(real)
    return sorted(found, key=lambda path: path.as_posix())


def load_image(
    source: str | Path | bytes | BinaryIO, *, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Read a picture's colours; see `read_image`, which also keeps the rest.

    Args:
        source: A path, a file's bytes, or a binary file object such as `sys.stdin.buffer`.
        max_pixels: Refuse pictures of more pixels.

    Returns:
        HWC uint8 sRGB.

    Raises:
        ImageError: As in `read_image`.
    """
    return read_image(source, max_pixels=max_pixels)[0]


def read_image(
    source: str | Path | bytes | BinaryIO, *, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, ImageMeta]:
    """Read a picture upright, in sRGB, with what is needed to save the result like it.

    Grey, palette, CMYK, 1-bit and 16-bit files all give three channels of 8 bits; pixels behind a
    transparent alpha keep their colour. An ICC profile is applied; one that is broken or does not
    fit is passed over. Of an animation this is the first frame: see `read_frames`.

    Args:
        source: A path, a file's bytes, or a binary file object such as `sys.stdin.buffer`.
        max_pixels: Refuse pictures of more pixels, before they are decoded.

    Returns:
        The picture, HWC uint8 sRGB, and its `ImageMeta`.

    Raises:
        ImageError: If the file is missing, empty, truncated, too large or not a picture.

    Example:
        >>> image, meta = read_image("photo.jpg")
        >>> save_image("copy.jpg", image, meta=meta)
    """
    data, name = read_bytes(source)
    with named(name), open_picture(data, name, max_pixels) as picture:
        return decode(picture, data, name, max_pixels)


def is_animated(source: str | Path | bytes | BinaryIO) -> bool:
    """Whether a file is a GIF, WebP, AVIF or APNG of more than one frame.

    Args:
        source: As in `read_image`.

    Returns:
        False for stills, and for many-page TIFF.

    Raises:
        ImageError: If the file cannot be opened as a picture.
    """
    data, name = read_bytes(source)
    with named(name), open_picture(data, name, None) as picture, pillow(None):
        return picture.format in _ANIMATED and bool(getattr(picture, "is_animated", False))


def read_frames(
    source: str | Path | bytes | BinaryIO, *, max_pixels: int = MAX_PIXELS
) -> Iterator[tuple[np.ndarray, ImageMeta]]:
    """Read an animation frame by frame; a still is an animation of one frame.

    Args:
        source: As in `read_image`.
        max_pixels: Limit of one frame.

    Yields:
        Each whole frame, HWC uint8 sRGB, and its `ImageMeta` with `alpha`, `duration` and `loop`.

    Raises:
        ImageError: As in `read_image`, also in the midst of a file.
    """
    data, name = read_bytes(source)
    with named(name), open_picture(data, name, max_pixels) as picture:
        many = picture.format in _ANIMATED
        with pillow(max_pixels):
            total = getattr(picture, "n_frames", 1) if many else 1
        # An APNG may hold a still for old programs ahead of its frames.
        first = 1 if picture.info.get("default_image") and total > 1 else 0
        for index in range(first, total):
            if many:
                with pillow(max_pixels):
                    picture.seek(index)
            yield decode(picture, data, name, max_pixels)


def save_image(
    target: str | Path | BinaryIO,
    image: np.ndarray,
    *,
    meta: ImageMeta | None = None,
    quality: int = 95,
    format: str | None = None,
) -> None:
    """Write a picture, all of it or nothing: it appears under its name once it is complete.

    With `meta` from `read_image` the file gets the source's EXIF, resolution, alpha (resized if
    need be; JPEG has none and drops it) and ICC profile, into which the colours are converted.

    Args:
        target: A path, or a binary file object.
        image: HWC or HW uint8 sRGB.
        meta: What to keep of the source.
        quality: 1 to 100, for JPEG (never with subsampled colours), WebP and AVIF.
        format: "PNG", "JPEG", ...; default: by the path's suffix, else the source's, else PNG.

    Raises:
        ImageError: If the suffix is unknown or the file cannot be written.
        ValueError: If `image` has another shape or type.
    """
    format = _format_of(target, format, meta)
    _write(target, encode_image(image, format, meta=meta, quality=quality))


def save_frames(
    target: str | Path | BinaryIO,
    frames: Iterable[tuple[np.ndarray, ImageMeta]],
    *,
    quality: int = 95,
    format: str | None = None,
) -> None:
    """Write an animated GIF, WebP, AVIF or APNG; the frames are held in memory until then.

    Args:
        target: A path, or a binary file object.
        frames: Pictures of one size, HWC uint8 sRGB, with their `ImageMeta`: `duration` and
            `alpha` count for each frame, the rest is taken from the first.
        quality: 1 to 100, for WebP and AVIF.
        format: "GIF", "WEBP", "AVIF" or "PNG"; default: as in `save_image`.

    Raises:
        ImageError: If the format holds no animation or the file cannot be written.
        ValueError: If there are no frames, or one has another shape or type.
    """
    frames = list(frames)
    if not frames:
        raise ValueError("`frames` must hold at least one picture. Received: none")
    meta = frames[0][1]
    format = _format_of(target, format, meta)
    if format not in _ANIMATED:
        raise ImageError(
            f"{name_of(target)}: {format} holds no animation. Use .gif, .webp, .avif or .png."
        )
    pictures = [_to_pillow(image, replace(m, icc_profile=b""), format)[0] for image, m in frames]
    options = _save_options(format, meta, quality)
    if len(pictures) > 1:
        # GIF plays once without a count; the others call that 1.
        once = {} if format in ("GIF", "AVIF") else {"loop": 1}
        options |= once if meta.loop is None else {"loop": meta.loop}
        durations = [round(m.duration) for _, m in frames]
        options |= {"save_all": True, "append_images": pictures[1:], "duration": durations}
        if format == "GIF":
            # Frames are whole pictures: nothing of the last one may shine through.
            options["disposal"] = 2
    _write(target, _encode(pictures[0], format, options))


def encode_image(
    image: np.ndarray, format: str = "PNG", *, meta: ImageMeta | None = None, quality: int = 95
) -> bytes:
    """The bytes of the file that `save_image` would write.

    Args:
        image: HWC or HW uint8 sRGB.
        format: "PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF" or "JPEG2000".
        meta: What to keep of the source.
        quality: 1 to 100, for JPEG, WebP and AVIF.

    Returns:
        A complete file.

    Raises:
        ImageError: If the format cannot hold such a picture.
        ValueError: If `image` has another shape or type.
    """
    meta = meta or ImageMeta()
    picture, icc_profile = _to_pillow(image, meta, format)
    meta = replace(meta, icc_profile=icc_profile)
    return _encode(picture, format, _save_options(format, meta, quality))


def encode_png(image: np.ndarray) -> bytes:
    """A picture as a PNG file's bytes.

    Args:
        image: HWC or HW uint8 sRGB.

    Returns:
        A complete PNG file.
    """
    return encode_image(image, "PNG")


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize without aliasing: Lanczos where it shrinks, bicubic where it only enlarges.

    Lanczos keeps most detail when shrinking, but rings along edges when enlarging, and a style
    network paints such rings out as strokes.

    Args:
        image: HWC or HW uint8.
        size: `(height, width)`, pixels; a side of 0 is made 1.

    Returns:
        An array of that size, uint8.
    """
    _check(image)
    height, width = (max(1, int(side)) for side in size)
    if (height, width) == image.shape[:2]:
        return image
    shrinks = height < image.shape[0] or width < image.shape[1]
    method = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(np.ascontiguousarray(image)).resize((width, height), method))


def resize_shorter_side(image: np.ndarray, shorter: int) -> np.ndarray:
    """Resize, keeping the aspect, so that the shorter side is `shorter` pixels.

    Args:
        image: HWC or HW uint8.
        shorter: Pixels, 1 or more.

    Returns:
        The resized picture, uint8.
    """
    scale = shorter / min(image.shape[:2])
    height, width = (round(side * scale) for side in image.shape[:2])
    return resize_image(image, (height, width))


def center_crop(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut out the middle.

    Args:
        image: HWC or HW array.
        size: `(height, width)`; a side longer than the picture's leaves that side whole.

    Returns:
        A view of the picture's middle.
    """
    height, width = (min(side, have) for side, have in zip(size, image.shape[:2], strict=True))
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def read_training_image(
    path: str | Path, shorter_side: int, *, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Read a picture for training: JPEGs fast, and no larger than needed.

    A JPEG is decoded at 1/2, 1/4 or 1/8 when its shorter side stays at least `shorter_side`, and
    its ICC profile is not applied: both save most of the time a large photograph takes.

    Args:
        path: The file.
        shorter_side: Pixels that the caller is going to use.
        max_pixels: Refuse pictures of more pixels, before they are decoded.

    Returns:
        HWC uint8 RGB, upright.

    Raises:
        ImageError: If the file is missing, empty, truncated, too large or not a picture.
    """
    data, name = read_bytes(path)
    with named(name), open_picture(data, name, max_pixels) as picture:
        if picture.format not in ("JPEG", "MPO") or picture.mode not in ("RGB", "L"):
            return decode(picture, data, name, max_pixels)[0]
        shorter = min(picture.size)
    # OpenCV fills the missing part of a truncated JPEG with grey and says nothing.
    if not jpeg_is_whole(data):
        raise ImageError(f"{name}: the file is truncated. Copy or download it again.")
    import cv2

    flag = cv2.IMREAD_COLOR
    for factor in (2, 4, 8):
        if shorter // factor >= shorter_side:
            flag = getattr(cv2, f"IMREAD_REDUCED_COLOR_{factor}")
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        decoded = None
    if decoded is None:
        raise ImageError(f"{name}: the picture's data is broken. Copy or download it again.")
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


# Writing ------------------------------------------------------------------------------------------


def _check(image: np.ndarray) -> None:
    shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", None)
    good = dtype == np.uint8 and shape is not None and 0 not in shape
    if not good or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
        raise ValueError(
            "`image` must be (height, width, 3) or (height, width) uint8. "
            f"Received: shape={shape}, dtype={dtype}"
        )


def _format_of(target: str | Path | BinaryIO, format: str | None, meta: ImageMeta | None) -> str:
    if format is not None:
        known = sorted(set(_WRITERS.values()))
        if format.upper() not in known:
            raise ImageError(f"`format` must be one of {', '.join(known)}. Received: {format!r}")
        return format.upper()
    if isinstance(target, str | Path):
        suffix = Path(target).suffix.lower()
        if suffix not in _WRITERS:
            raise ImageError(
                f"{target}: cannot write {suffix or 'a file without a suffix'}. "
                f"Use one of {' '.join(_WRITERS)}."
            )
        return _WRITERS[suffix]
    return meta.format if meta is not None and meta.format in _WRITERS.values() else "PNG"


def _to_pillow(image: np.ndarray, meta: ImageMeta, format: str) -> tuple[Image.Image, bytes]:
    """The picture in the source's profile with its alpha, and the profile to embed."""
    _check(image)
    picture = Image.fromarray(np.ascontiguousarray(image))
    profile = read_profile(meta.icc_profile)
    icc_profile = b""
    if profile is not None and format not in ("GIF", "BMP", "JPEG2000"):
        managed = picture.convert("RGB")
        if not is_srgb(profile):
            managed = transform(managed, srgb_profile(), profile)
        # A profile that works one way only leaves the picture in plain sRGB.
        if managed is not None:
            picture, icc_profile = managed, meta.icc_profile
    if meta.alpha is not None and format not in _NO_ALPHA:
        alpha = resize_image(meta.alpha, image.shape[:2])
        picture = picture.convert("RGB")
        picture.putalpha(Image.fromarray(np.ascontiguousarray(alpha)))
    return picture, icc_profile


def _save_options(format: str, meta: ImageMeta, quality: int) -> dict[str, object]:
    options: dict[str, object] = {
        "JPEG": {"quality": quality, "subsampling": "4:4:4"},
        # `exact` keeps the colours behind transparent pixels.
        "WEBP": {"quality": quality, "exact": True},
        "AVIF": {"quality": quality, "subsampling": "4:4:4"},
        "TIFF": {"compression": "tiff_deflate"},
    }.get(format, {})
    # A JPEG holds no more EXIF than one segment; that much is a camera maker's private note.
    holds_exif = format in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")
    if meta.exif and holds_exif and (format != "JPEG" or len(meta.exif) < 65_000):
        options["exif"] = meta.exif
    if meta.icc_profile and format in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        options["icc_profile"] = meta.icc_profile
    if meta.dpi and format in ("JPEG", "PNG", "TIFF", "BMP"):
        options["dpi"] = meta.dpi
    return options


def _encode(picture: Image.Image, format: str, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    try:
        picture.save(buffer, format=format, **options)
    except BROKEN as error:
        raise ImageError(
            f"a picture of {picture.height} x {picture.width} cannot be written as {format} "
            f"({error}). Use PNG or TIFF."
        ) from error
    return buffer.getvalue()


def _write(target: str | Path | BinaryIO, data: bytes) -> None:
    if not isinstance(target, str | Path):
        target.write(data)
        return
    target = Path(target)
    # Hidden, so that a folder being read while it is written shows no half files.
    part = target.with_name(f".{secrets.token_hex(6)}.part")
    try:
        part.write_bytes(data)
        os.replace(part, target)
    except OSError as error:
        raise ImageError(
            f"{target}: cannot write into {target.parent} ({error.strerror or error}). "
            "Choose another --out-path, or make the folder writable."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
