"""Files in = files out: pictures become HWC sRGB arrays, uint8 or uint16, and go back."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from adain import files
from adain.constants import MAX_PIXELS
from adain.imaging.decode import (
    BROKEN,
    DEEP_FORMATS,
    IMAGE_HISTORY,
    ORIENTATION,
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
    to_depth,
    transform,
    transform_wide,
)

logger = logging.getLogger(__name__)

_WRITERS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG",
    ".apng": "PNG", ".webp": "WEBP", ".avif": "AVIF", ".gif": "GIF", ".bmp": "BMP",
    ".tif": "TIFF", ".tiff": "TIFF", ".jp2": "JPEG2000",
}  # fmt: skip
WRITABLE_SUFFIXES = frozenset(_WRITERS)
"""Lower-case suffixes that `save_image` writes."""

IMAGE_SUFFIXES = WRITABLE_SUFFIXES | {".j2k", ".ppm", ".pgm", ".pnm", ".tga", ".qoi"}
"""Lower-case suffixes of the files that `list_images` finds and `read_image` reads."""

HISTORY_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")
"""Formats whose files hold EXIF, and with it how they were made."""

_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
_NO_ALPHA = ("JPEG",)
_PNG_HEADER = 33
_STRIPS, _RESOLUTION, _UNIT, _INCH = 0x0111, (0x011A, 0x011B, 0x0128), 0x0128, 2


def list_images(folder: str | Path) -> list[Path]:
    """Pictures in a folder and all its sub-folders, sorted; hidden files and folders left out.

    Only regular files: a pipe or a device that is called like a picture may have no end. A folder
    that cannot be read is told in the log.

    Args:
        folder: Where to look. Linked folders are followed, each once.

    Returns:
        Paths whose suffix is in `IMAGE_SUFFIXES`, in the same order on every machine.

    Raises:
        ImageError: If there is no such folder.
    """
    if not Path(folder).is_dir():
        raise ImageError(f"{folder}: no such folder. Check the path.")
    found = files.Walk(folder)
    for problem in found.problems:
        logger.warning(problem)
    return [path for path in found.files if path.suffix.lower() in IMAGE_SUFFIXES]


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
    source: str | Path | bytes | BinaryIO,
    *,
    max_pixels: int = MAX_PIXELS,
    keep_depth: bool = False,
) -> tuple[np.ndarray, ImageMeta]:
    """Read a picture upright, in sRGB, with what is needed to save the result like it.

    Grey, palette, CMYK, 1-bit and 16-bit files all give three channels of 8 bits; pixels behind a
    transparent alpha keep their colour. An ICC profile is applied; one that is broken or does not
    fit is passed over. Of an animation this is the first frame: see `read_frames`.

    With `keep_depth`, PNG and TIFF of 16 bits, grey or RGB, with alpha or without, give 16 bits,
    and their profile is applied in 16 bits too.

    Args:
        source: A path, a file's bytes, or a binary file object such as `sys.stdin.buffer`.
        max_pixels: Refuse pictures of more pixels, before they are decoded.
        keep_depth: Whether 16 bits stay 16 bits.

    Returns:
        The picture, HWC uint8 sRGB, 0 to 255, or uint16, 0 to 65535, and its `ImageMeta`, whose
        alpha has the same type.

    Raises:
        ImageError: If the file is missing, empty, truncated, too large or not a picture.

    Example:
        >>> image, meta = read_image("photo.jpg")
        >>> save_image("copy.jpg", image, meta=meta)
    """
    data, name = read_bytes(source)
    with named(name), open_picture(data, name, max_pixels) as picture:
        return decode(picture, data, name, max_pixels, keep_depth)


@contextlib.contextmanager
def _opened(source: str | Path | bytes | BinaryIO) -> Iterator[Image.Image]:
    """A picture of any size of which only the header is wanted."""
    data, name = read_bytes(source)
    with named(name), open_picture(data, name, None) as picture, pillow(None):
        yield picture


def read_history(source: str | Path | bytes | BinaryIO) -> str:
    """How a picture was made: what `save_image` wrote as `ImageMeta.history`; "" for none.

    Args:
        source: As in `read_image`.

    Raises:
        ImageError: If the file cannot be opened as a picture.
    """
    with _opened(source) as picture:
        return str(picture.getexif().get(IMAGE_HISTORY, ""))


def read_size(source: str | Path | bytes | BinaryIO) -> tuple[int, int]:
    """`(height, width)` of a picture as `read_image` gives it, without decoding it.

    Args:
        source: As in `read_image`.

    Raises:
        ImageError: If the file cannot be opened as a picture.
    """
    with _opened(source) as picture:
        width, height = picture.size
        # A quarter turn is applied in reading.
        turned = picture.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        return (width, height) if turned else (height, width)


def is_animated(source: str | Path | bytes | BinaryIO) -> bool:
    """Whether a file is a GIF, WebP, AVIF or APNG of more than one frame.

    Args:
        source: As in `read_image`.

    Returns:
        False for stills, and for many-page TIFF.

    Raises:
        ImageError: If the file cannot be opened as a picture.
    """
    with _opened(source) as picture:
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

    The array decides the depth, whatever `meta` says: uint16 is written with 16 bits as PNG and
    TIFF, and rounded to 8 for other formats.

    Args:
        target: A path, or a binary file object.
        image: HWC or HW sRGB, uint8 or uint16.
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
        frames: Pictures of one size, HWC sRGB, with their `ImageMeta`: `duration` and `alpha`
            count for each frame, the rest is taken from the first. uint8; uint16 is rounded to it.
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
        image: HWC or HW sRGB, uint8 or uint16.
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
    _check(image)
    if image.dtype == np.uint16 and format in DEEP_FORMATS:
        return _encode_wide(image, format, meta)
    picture, icc_profile = _to_pillow(image, meta, format)
    meta = replace(meta, icc_profile=icc_profile)
    return _encode(picture, format, _save_options(format, meta, quality))


def encode_png(image: np.ndarray) -> bytes:
    """A picture as a PNG file's bytes.

    Args:
        image: HWC or HW sRGB, uint8 or uint16.

    Returns:
        A complete PNG file, as deep as the array.
    """
    return encode_image(image, "PNG")


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize without aliasing: Lanczos where it shrinks, bicubic where it only enlarges.

    Lanczos keeps most detail when shrinking, but rings along edges when enlarging, and a style
    network paints such rings out as strokes.

    Args:
        image: HWC or HW, uint8 or uint16.
        size: `(height, width)`, pixels; a side of 0 is made 1.

    Returns:
        An array of that size and the same type.
    """
    _check(image)
    height, width = (max(1, int(side)) for side in size)
    if (height, width) == image.shape[:2]:
        return image
    shrinks = height < image.shape[0] or width < image.shape[1]
    method = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    return resample(image, (height, width), method)


def resample(image: np.ndarray, size: tuple[int, int], method: Image.Resampling) -> np.ndarray:
    """Resize with a filter of one's choice; see `resize_image`, which knows the right one.

    Args:
        image: HWC or HW, uint8 or uint16.
        size: `(height, width)`, pixels, 1 or more.
        method: Pillow's name of the filter.

    Returns:
        An array of that size and the same type.
    """
    height, width = size
    if image.dtype == np.uint8:
        picture = Image.fromarray(np.ascontiguousarray(image))
        return np.array(picture.resize((width, height), method))
    result = np.empty((height, width, *image.shape[2:]), np.uint16)
    planes = np.atleast_3d(image), np.atleast_3d(result)
    for channel in range(planes[0].shape[2]):
        plane = Image.fromarray(planes[0][..., channel].astype(np.float32))
        resized = np.array(plane.resize((width, height), method))
        planes[1][..., channel] = np.clip(np.rint(resized, out=resized), 0, 65535, out=resized)
    return result


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize bilinearly, which never rings beyond what the mask holds.

    Args:
        mask: HW uint8.
        size: `(height, width)`, pixels.

    Returns:
        An array of that size, uint8.
    """
    if mask.shape == tuple(size):
        return mask
    return resample(mask, size, Image.Resampling.BILINEAR)


def resize_shorter_side(image: np.ndarray, shorter: int) -> np.ndarray:
    """Resize, keeping the aspect, so that the shorter side is `shorter` pixels.

    Args:
        image: HWC or HW, uint8 or uint16.
        shorter: Pixels, 1 or more.

    Returns:
        The resized picture, of the same type.
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
    good = dtype in (np.uint8, np.uint16) and shape is not None and 0 not in shape
    if not good or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
        raise ValueError(
            "`image` must be (height, width, 3) or (height, width), uint8 or uint16. "
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
    picture = Image.fromarray(np.ascontiguousarray(to_depth(image, np.uint8)))
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
        alpha = to_depth(resize_image(meta.alpha, image.shape[:2]), np.uint8)
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
    exif = _with_history(meta.exif, meta.history) if meta.history else meta.exif
    if exif and format in HISTORY_FORMATS and (format != "JPEG" or len(exif) < 65_000):
        options["exif"] = exif
    if meta.icc_profile and format in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        options["icc_profile"] = meta.icc_profile
    if meta.dpi and format in ("JPEG", "PNG", "TIFF", "BMP"):
        options["dpi"] = meta.dpi
    return options


def _with_history(exif: bytes, history: str) -> bytes:
    block = Image.Exif()
    if exif:
        block.load(exif)
    block[IMAGE_HISTORY] = history
    return block.tobytes()


def _encode(picture: Image.Image, format: str, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    with _writing(picture.height, picture.width, format):
        picture.save(buffer, format=format, **options)
    return buffer.getvalue()


@contextlib.contextmanager
def _writing(height: int, width: int, format: str) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise ImageError(
            f"a picture of {height} x {width} cannot be written as {format} "
            f"({error}). Use PNG or TIFF."
        ) from error


def _to_wide(image: np.ndarray, meta: ImageMeta) -> tuple[np.ndarray, bytes]:
    """`_to_pillow` in 16 bits: HW, or HWC with alpha as the fourth channel."""
    profile, icc_profile = read_profile(meta.icc_profile), b""
    if image.ndim == 2 and (profile is not None or meta.alpha is not None):
        image = np.stack([image] * 3, axis=-1)
    if profile is not None:
        managed = image if is_srgb(profile) else transform_wide(image, srgb_profile(), profile)
        if managed is not None:
            image, icc_profile = managed, meta.icc_profile
    if meta.alpha is not None:
        alpha = resize_image(to_depth(meta.alpha, np.uint16), image.shape[:2])
        image = np.dstack([image, alpha])
    return np.ascontiguousarray(image), icc_profile


def _encode_wide(image: np.ndarray, format: str, meta: ImageMeta) -> bytes:
    """PNG or TIFF of 16 bits. Pillow cannot write colours of that depth, but still the rest."""
    import imagecodecs

    samples, icc_profile = _to_wide(image, meta)
    options = _save_options(format, replace(meta, icc_profile=icc_profile), 0)
    with _writing(*image.shape[:2], format):
        if format == "PNG":
            data = imagecodecs.png_encode(samples)
            # All that Pillow writes between the header, whose length is fixed, and the pixels.
            small = _encode(Image.new("RGB", (1, 1)), "PNG", options)
            rest = small[_PNG_HEADER : small.rindex(b"IDAT") - 4]
            view = memoryview(data)
            return b"".join([view[:_PNG_HEADER], rest, view[_PNG_HEADER:]])
        tiff = imagecodecs.TIFF
        data = imagecodecs.tiff_encode(
            samples,
            level=6,
            compression=tiff.COMPRESSION.ADOBE_DEFLATE,
            predictor=tiff.PREDICTOR.HORIZONTAL,
            photometric="minisblack" if samples.ndim == 2 else "rgb",
            extrasample="unassalpha" if meta.alpha is not None else None,
            byteorder="<",
            rowsperstrip=64,
            iccprofile=options.get("icc_profile"),
            resolution=options.get("dpi"),
            resolutionunit=tiff.RESUNIT.INCH if "dpi" in options else None,
        )
        return _add_exif(data, options["exif"]) if "exif" in options else data


def _add_exif(data: bytes, exif: bytes) -> bytes:
    """A little-endian TIFF with more entries in its directory, which moves ahead of the pixels."""
    directory = Image.Exif()
    directory.load(exif)
    directory.endian = "<"
    with open_picture(data, "<bytes>", None) as picture:
        entries = dict(picture.tag_v2)
    offsets = entries[_STRIPS]
    start = min(offsets)
    # Pillow counts a directory's pixels from the directory's end.
    entries[_STRIPS] = tuple(offset - start for offset in offsets)
    for tag, value in entries.items():
        # An unknown resolution is written as 1; the camera's may be known.
        if tag not in _RESOLUTION or entries.get(_UNIT, _INCH) == _INCH:
            directory[tag] = value
    return b"".join([directory.tobytes().removeprefix(b"Exif\0\0"), memoryview(data)[start:]])


def _write(target: str | Path | BinaryIO, data: bytes) -> None:
    if not isinstance(target, str | Path):
        target.write(data)
        return
    target = Path(target)
    try:
        with files.replacing(target) as file:
            file.write(data)
    except files.WriteError as error:
        raise ImageError(
            f"{target}: cannot write into {target.parent} ({error.strerror}). "
            f"{files.remedy(error)} (--out-path)"
        ) from error
