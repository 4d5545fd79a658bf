"""Animations, written frame by frame: GIF, WebP, APNG and AVIF, in memory that does not grow.

Reading and writing both stream, so that a pipeline does, too:

    image = open_image("in.gif")          # adain.imaging.io
    frames = ((stylize(picture), meta) for picture, meta in image.frames())
    save_frames("out.webp", frames)

Each frame is a whole picture with its own `ImageMeta`; what belongs to the whole file (loop,
profile, EXIF) is taken from the first. Frames that are equal stay frames of their own.

Reference:
    CompuServe, GIF89a; Google, WebP Container Specification
"""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, BinaryIO

import numpy as np
from PIL import GifImagePlugin, Image

from adain.imaging import exif as exif_blocks
from adain.imaging import png
from adain.imaging.decode import ImageMeta
from adain.imaging.encode import encode_image, exif_of, kept, lost_alpha, prepare, writing
from adain.imaging.formats import ANIMATED_SUFFIXES, FORMATS, ImageError, check_size
from adain.imaging.frames import changed_box
from adain.imaging.streams import name_of, written_whole

logger = logging.getLogger(__name__)

Frames = Iterator[tuple[np.ndarray, float]]
"""Samples as `encode.prepare` gives them, always HWC, and milliseconds."""

_TRANSPARENT = 255


def save_frames(
    target: Any,
    first: tuple[np.ndarray, ImageMeta],
    frames: Iterator[tuple[np.ndarray, ImageMeta]],
    format: str,
    quality: int,
) -> None:
    """`adain.imaging.io.save_frames`, with the first frame and the format known."""
    if not FORMATS[format].animated:
        known = " ".join(sorted(ANIMATED_SUFFIXES))
        raise ImageError(f"{name_of(target)}: {format} holds no animation. Use {known}.")
    second = next(frames, None)
    with written_whole(target) as file:
        if second is None:
            file.write(encode_image(first[0], format, meta=first[1], quality=quality))
            return
        meta, shape = first[1], first[0].shape
        profile = prepare(first[0], meta, format).icc_profile
        prepared = _prepared(chain((first, second), frames), meta, format, name_of(target))
        with writing(shape, format):
            check_size(shape[:2], format)
            _WRITERS[format](file, prepared, replace(meta, icc_profile=profile), quality)


def _prepared(
    frames: Iterable[tuple[np.ndarray, ImageMeta]], first: ImageMeta, format: str, name: str
) -> Frames:
    """Frames of one shape and type, in the first one's profile."""
    has_alpha, size, dtype, told = first.alpha is not None, None, None, ""
    for image, meta in frames:
        size = size or image.shape[:2]
        dtype = dtype or image.dtype
        if image.shape[:2] != size or image.dtype != dtype:
            raise ValueError(
                f"`frames` must all be {size[0]} x {size[1]} {dtype}. "
                f"Received: shape={image.shape}, dtype={image.dtype}"
            )
        if meta.alpha is not None and not has_alpha:
            raise ValueError("`frames` must have an alpha plane from the first one on, or none")
        meta = replace(meta, icc_profile=first.icc_profile)
        if meta.alpha is None and has_alpha:
            meta = replace(meta, alpha=np.full(size, np.iinfo(dtype).max, dtype))
        if image.ndim == 2:
            image = np.stack([image] * 3, axis=-1)
        samples = prepare(image, meta, format).samples
        if samples.shape[2] == 4 and not told and (told := lost_alpha(samples[..., 3], format)):
            logger.warning("%s: %s", name, told)
        yield samples, meta.duration


# GIF ----------------------------------------------------------------------------------------------


def gif_still(samples: np.ndarray) -> bytes:
    """A GIF of one frame; HW, or HWC of 3 or 4 channels, uint8."""
    file = io.BytesIO()
    _gif(file, iter([(samples, 0.0)]), None)
    return file.getvalue()


def _write_gif(file: BinaryIO, frames: Frames, meta: ImageMeta, quality: int) -> None:
    _gif(file, frames, meta.loop)


def _gif(file: BinaryIO, frames: Frames, loop: int | None) -> None:
    """Each frame covers the whole picture and has its own palette."""
    owed, begun = 0.0, False
    for samples, duration in frames:
        if not begun:
            height, width = samples.shape[:2]
            file.write(struct.pack("<6sHH3x", b"GIF89a", width, height))
            if loop is not None:
                count = min(loop, 65535)
                file.write(b"!\xff\x0bNETSCAPE2.0" + struct.pack("<BBHB", 3, 1, count, 0))
            begun = True
        # GIF counts hundredths of a second; rounding errors carry over to the next frame.
        hundredths = max(0, min(round((duration + owed) / 10), 65535))
        owed += duration - 10 * hundredths
        picture, options = _gif_picture(samples)
        # Cleared afterwards, so that it does not show through transparent parts of the next one.
        disposal = 2 if samples.ndim == 3 and samples.shape[2] == 4 else 1
        options |= {"duration": 10 * hundredths, "disposal": disposal, "include_color_table": True}
        for part in GifImagePlugin.getdata(picture, **options):
            file.write(part)
    file.write(b";")


def _gif_picture(samples: np.ndarray) -> tuple[Image.Image, dict[str, int]]:
    """A picture of 256 colours, and which of them is transparent."""
    if samples.ndim == 2:
        picture = Image.fromarray(samples).convert("P")
        return picture, {}
    if samples.shape[2] == 3:
        return Image.fromarray(np.ascontiguousarray(samples[..., :3])).quantize(256), {}
    colors, clear = samples[..., :3].copy(), samples[..., 3] < 128
    # Invisible colours should not use up palette entries.
    colors[clear] = colors[~clear][0] if not clear.all() else 0
    picture = Image.fromarray(colors).quantize(_TRANSPARENT)
    indices = np.array(picture)
    indices[clear] = _TRANSPARENT
    result = Image.fromarray(indices, "P")
    result.putpalette(bytes(picture.getpalette()).ljust(768, b"\0"))
    return result, {"transparency": _TRANSPARENT}


# WebP ---------------------------------------------------------------------------------------------

_ICC, _ALPHA, _EXIF, _ANIMATION = 0x20, 0x10, 0x08, 0x02
_NO_BLENDING = 0x02


def _write_webp(file: BinaryIO, frames: Frames, meta: ImageMeta, quality: int) -> None:
    """Write stills into an animation container, each cropped to the part that changed."""
    exif = exif_of(meta)
    flags = _ANIMATION | (_ICC if meta.icc_profile else 0) | (_EXIF if exif else 0)
    last = None
    for samples, duration in frames:
        if last is None:
            height, width = samples.shape[:2]
            size = _int24(width - 1) + _int24(height - 1)
            file.write(b"RIFF\0\0\0\0WEBP" + _riff(b"VP8X", bytes(4) + size))
            if meta.icc_profile:
                file.write(_riff(b"ICCP", meta.icc_profile))
            plays = 1 if meta.loop is None else min(meta.loop, 65535)
            file.write(_riff(b"ANIM", bytes(4) + struct.pack("<H", plays)))
        top, left, rows, columns = changed_box(last, samples)
        # Places are counted in steps of two.
        top, rows = top - top % 2, rows + top % 2
        left, columns = left - left % 2, columns + left % 2
        part = np.ascontiguousarray(samples[top : top + rows, left : left + columns])
        buffer = io.BytesIO()
        Image.fromarray(part).save(buffer, format="WEBP", quality=quality, exact=True)
        body = b"".join(_riff(kind, data) for kind, data in _webp_pixels(buffer.getvalue()))
        if samples.shape[2] == 4:
            flags |= _ALPHA
        place = b"".join(
            map(_int24, (left // 2, top // 2, columns - 1, rows - 1, _milliseconds(duration)))
        )
        file.write(_riff(b"ANMF", place + bytes([_NO_BLENDING]) + body))
        last = samples
    if exif:
        file.write(_riff(b"EXIF", exif.removeprefix(exif_blocks.PREFIX)))
    end = file.tell()
    file.seek(4)
    file.write(struct.pack("<I", end - 8))
    file.seek(20)
    file.write(bytes([flags]))
    file.seek(end)


def _webp_pixels(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind in (b"ALPH", b"VP8 ", b"VP8L"):
            yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _riff(kind: bytes, body: bytes) -> bytes:
    return b"".join([kind, struct.pack("<I", len(body)), body, b"\0" * (len(body) % 2)])


def _int24(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _milliseconds(duration: float) -> int:
    return max(0, min(round(duration), 2**24 - 1))


# APNG and AVIF ------------------------------------------------------------------------------------


def _write_apng(file: BinaryIO, frames: Frames, meta: ImageMeta, quality: int) -> None:
    exif = exif_of(meta).removeprefix(exif_blocks.PREFIX)
    plays = 1 if meta.loop is None else meta.loop
    writer = png.ApngWriter(file, plays, meta.icc_profile, exif, meta.dpi)
    for samples, duration in frames:
        writer.add(samples, duration)
    writer.close()


class _AvifFrames:
    """Stands in for a many-frame Pillow picture; frames are made when the writer asks for them."""

    def __init__(self, frames: Frames, durations: list[int]):
        self._frames, self._durations, self._at = frames, durations, -1
        self.mode, self.size = "RGB", (0, 0)

    def seek(self, index: int) -> None:
        if index == self._at:
            return
        item = next(self._frames, None)
        if item is None:
            raise EOFError
        self._picture = Image.fromarray(item[0])
        self.mode, self.size = self._picture.mode, self._picture.size
        self._durations.append(_milliseconds(item[1]))
        self._at = index

    def tobytes(self, *layout: str) -> bytes:
        return self._picture.tobytes(*layout)


def _write_avif(file: BinaryIO, frames: Frames, meta: ImageMeta, quality: int) -> None:
    if meta.loop:
        logger.warning("AVIF is written to play forever; the source plays %d times", meta.loop)
    samples, duration = next(frames)
    durations = [_milliseconds(duration)]
    options = {**kept("AVIF", meta, meta.icc_profile), "quality": quality, "subsampling": "4:4:4"}
    Image.fromarray(samples).save(
        file,
        format="AVIF",
        save_all=True,
        append_images=[_AvifFrames(frames, durations)],
        duration=durations,
        **options,
    )


_WRITERS = {"GIF": _write_gif, "WEBP": _write_webp, "PNG": _write_apng, "AVIF": _write_avif}
