"""Read picture files as HWC sRGB arrays, uint8 or uint16, and write them back without losses.

Open a picture once to read it repeatedly, or to stream an animation:

    image = open_image("in.gif")
    if image.is_animated:
        save_frames("out.gif", ((change(picture), meta) for picture, meta in image.frames()))
    else:
        picture, meta = image.read()

`frames` decodes and `save_frames` encodes one frame after the other, so that memory does not grow
with their number. Files appear under their name once they are complete.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np

from adain import folders
from adain.constants import MAX_PIXELS
from adain.imaging.decode import ImageMeta
from adain.imaging.encode import check_quality, encode_image, encode_png, lost_alpha
from adain.imaging.formats import (
    ANIMATED_SUFFIXES,
    FORMATS,
    HISTORY_FORMATS,
    IMAGE_SUFFIXES,
    WRITABLE_SUFFIXES,
    ImageError,
    written_format,
)
from adain.imaging.image_file import ImageFile, open_image
from adain.imaging.pixels import to_depth
from adain.imaging.resize import (
    center_crop,
    resample,
    resize_image,
    resize_mask,
    resize_shorter_side,
    shorter_side_size,
)
from adain.imaging.streams import Readable, name_of, written_whole

logger = logging.getLogger(__name__)

__all__ = [
    "ANIMATED_SUFFIXES", "HISTORY_FORMATS", "IMAGE_SUFFIXES", "WRITABLE_SUFFIXES", "ImageError",
    "ImageFile", "ImageMeta", "center_crop", "encode_image", "encode_png", "is_animated",
    "list_images", "load_image", "open_image", "read_frames", "read_history",
    "read_image", "read_size", "read_training_image", "resample",
    "resize_image", "resize_mask", "resize_shorter_side", "save_frames", "save_image",
    "shorter_side_size", "to_depth",
]  # fmt: skip


def list_images(folder: str | PathLike) -> list[Path]:
    """Pictures in a folder and all its sub-folders, sorted; hidden files and folders left out.

    Pipes and devices are left out, whatever their names: they may never end. A folder
    that cannot be read is reported in the log.

    Args:
        folder: Where to look. Linked folders are followed, each once.

    Returns:
        Paths whose suffix is in `IMAGE_SUFFIXES`, in the same order on every machine.

    Raises:
        ImageError: If there is no such folder.
    """
    if not Path(folder).is_dir():
        raise ImageError(f"{folder}: no such folder. Check the path.")
    found = folders.Walk(folder)
    for problem in found.problems:
        logger.warning(problem)
    return [path for path in found.files if path.suffix.lower() in IMAGE_SUFFIXES]


def load_image(source: Readable, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
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
    source: Readable, *, max_pixels: int = MAX_PIXELS, keep_depth: bool = False
) -> tuple[np.ndarray, ImageMeta]:
    """Read a picture upright, in sRGB, with what is needed to save the result like it.

    Grey, palette, CMYK, L*a*b* and files of any depth give three channels of 8 bits; pixels behind
    a transparent alpha keep their colour. An ICC profile is applied; one that is broken or does
    not fit is passed over. Numbers of other types are scaled as `pixels.stretch` says. Of an
    animation this is the first frame.

    With `keep_depth`, PNG, TIFF, JPEG 2000 and Netpbm of more than 8 bits give 16, and their
    profile is applied in 16 bits too.

    Args:
        source: A path, a file's bytes, or a binary file object such as `sys.stdin.buffer`. The
            content decides the format, whatever the suffix.
        max_pixels: Refuse pictures of more pixels, before they are decoded.
        keep_depth: Whether more than 8 bits become 16.

    Returns:
        The picture, HWC uint8 sRGB, 0 to 255, or uint16, 0 to 65535, and its `ImageMeta`, whose
        alpha has the same type.

    Raises:
        ImageError: If the file is missing, empty, truncated, too large or not a picture.

    Example:
        >>> image, meta = read_image("photo.jpg")
        >>> save_image("copy.jpg", image, meta=meta)
    """
    return open_image(source, max_pixels=max_pixels).read(keep_depth=keep_depth)


def read_history(source: Readable) -> str:
    """How a picture was made: what `save_image` wrote as `ImageMeta.history`; "" for none.

    Args:
        source: As in `read_image`.

    Raises:
        ImageError: If the file cannot be opened as a picture.
    """
    return open_image(source).history


def read_size(source: Readable) -> tuple[int, int]:
    """`(height, width)` of a picture as `read_image` gives it, without decoding it.

    Args:
        source: As in `read_image`.

    Raises:
        ImageError: If the file cannot be opened as a picture.
    """
    return open_image(source).size


def is_animated(source: Readable) -> bool:
    """Whether a file is a GIF, WebP, AVIF or APNG of more than one frame.

    Args:
        source: As in `read_image`.

    Returns:
        False for stills, and for many-page TIFF.

    Raises:
        ImageError: If the file cannot be opened as a picture.
    """
    return open_image(source).is_animated


def read_frames(
    source: Readable, *, max_pixels: int = MAX_PIXELS, keep_depth: bool = False
) -> Iterator[tuple[np.ndarray, ImageMeta]]:
    """Read an animation frame by frame; a still is an animation of one frame.

    Args:
        source: As in `read_image`.
        max_pixels: Limit of all frames together.
        keep_depth: Whether APNG of 16 bits stays so.

    Yields:
        Each whole frame, HWC sRGB, and its `ImageMeta` with `alpha`, `duration` and `loop`.

    Raises:
        ImageError: As in `read_image`, also partway through a file.
    """
    yield from open_image(source, max_pixels=max_pixels).frames(keep_depth=keep_depth)


def save_image(
    target: str | PathLike | BinaryIO,
    image: np.ndarray,
    *,
    meta: ImageMeta | None = None,
    quality: int = 95,
    format: str | None = None,
) -> None:
    """Write a picture, all of it or nothing: it appears under its name once it is complete.

    With `meta` from `read_image` the file gets the source's EXIF, resolution, alpha (resized if
    need be) and ICC profile, into which the colours are converted. A warning in the log says what
    the format cannot hold of the alpha.

    The array decides the depth, whatever `meta` says: uint16 is written with 16 bits as PNG, TIFF
    and JPEG 2000, and rounded to 8 for other formats.

    Args:
        target: A path, or a binary file object.
        image: HWC or HW sRGB, uint8 or uint16 of either byte order; a fourth channel is
            transparency, and replaces that of `meta`. Pillow pictures are refused: they
            have a method of their own to be saved.
        meta: What to keep of the source.
        quality: 1 to 100, for JPEG (never with subsampled colours), WebP and AVIF.
        format: "PNG", "JPEG", ...; default: by the path's suffix, else the source's, else PNG.

    Raises:
        ImageError: If the suffix is unknown, the picture is larger than its format takes, or the
            file cannot be written.
        ValueError: If `image` has another shape or type, or `quality` is out of range.
    """
    format = _format_of(target, format, meta)
    data = encode_image(image, format, meta=meta, quality=quality)
    alpha = meta.alpha if meta is not None else None
    if image.ndim == 3 and image.shape[2] == 4:
        alpha = image[..., 3]
    if alpha is not None and (lost := lost_alpha(alpha, format)):
        logger.warning("%s: %s", name_of(target), lost)
    with written_whole(target) as file:
        file.write(data)


def save_frames(
    target: str | PathLike | BinaryIO,
    frames: Iterable[tuple[np.ndarray, ImageMeta]],
    *,
    quality: int = 95,
    format: str | None = None,
) -> None:
    """Write an animated GIF, WebP, AVIF or APNG, one frame after the other.

    Args:
        target: A path, or a binary file object.
        frames: Pictures of one size, HWC sRGB, with their `ImageMeta`: `duration` and `alpha`
            count for each frame, the rest is taken from the first. uint16 stays so in APNG and is
            rounded to uint8 elsewhere. Each frame is requested after the previous one is written.
        quality: 1 to 100, for WebP and AVIF.
        format: "GIF", "WEBP", "AVIF" or "PNG"; default: as in `save_image`.

    Raises:
        ImageError: If the format holds no animation or the file cannot be written.
        ValueError: If there are no frames, one has another shape or type, or `quality` is out of
            range.
    """
    from adain.imaging import animation

    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError("`frames` must hold at least one picture. Received: none")
    check_quality(quality)
    format = _format_of(target, format, first[1])
    animation.save_frames(target, first, frames, format, quality)


def read_training_image(
    path: str | PathLike, shorter_side: int, *, max_pixels: int = MAX_PIXELS
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
    return open_image(path, max_pixels=max_pixels).read_reduced(shorter_side)


def _format_of(
    target: str | PathLike | BinaryIO, format: str | None, meta: ImageMeta | None
) -> str:
    written = [item.name for item in FORMATS.values() if item.written]
    if format is not None:
        if format.upper() not in written:
            raise ImageError(
                f"`format` must be one of {', '.join(written)}. Received: format={format!r}"
            )
        return format.upper()
    if isinstance(target, str | PathLike):
        return written_format(target)
    return meta.format if meta is not None and meta.format in written else "PNG"
