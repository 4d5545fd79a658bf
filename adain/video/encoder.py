"""Frames to packets: one encoder's settings, for a segment and for the file that joins them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import ColorRange

from adain.options import UsageError
from adain.silence import silenced
from adain.video.clip import Frame
from adain.video.codecs import CODECS, CONTAINERS, MUXERS, VideoCodec
from adain.video.color import matrix_of
from adain.video.config import VideoConfig

_SRGB_LIKE = (1, 1, 1)
"""Matrix, primaries and transfer of BT.709."""
_MOST_TICKS = 2**16 - 1
"""A second, in MPEG-4 part 2."""
_USUAL_SIZE = (720, 1280)
_FULL_RANGE = ("mjpeg", "ljpeg")
"""Encoders that take no other."""
_UNSPECIFIED = 2
_TAGS = {1, *range(4, 19), 22}
"""Primaries and transfers that have a meaning."""


@dataclass(frozen=True)
class Encoding:
    """How frames are encoded.

    Args:
        codec: A key of `CODECS`, or one of FFmpeg's encoders.
        size: `(height, width)`.
        rate: Frames a second, as the file states it.
        ticks: Seconds of which all times are multiples.
        crf, effort: The encoder's quality and preset; None, "": its default here.
        pixel_format: FFmpeg's name; "": what suits size and transparency.
        alpha: Whether frames are transparent in places.
        tags: Colour tags of the source: matrix, primaries, transfer.
        pixel_aspect: Width of a pixel over its height.
    """

    codec: str
    size: tuple[int, int]
    rate: Fraction
    ticks: Fraction
    crf: int | None = None
    effort: str = ""
    pixel_format: str = ""
    alpha: bool = False
    tags: tuple[int, int, int] = _SRGB_LIKE
    pixel_aspect: Fraction = Fraction(1)

    @property
    def about(self) -> VideoCodec:
        known = CODECS.get(self.codec)
        return known or VideoCodec(self.codec, "", quality="crf", effort="preset")

    @property
    def format(self) -> str:
        """The pixel format."""
        about = self.about
        if self.pixel_format:
            return self.pixel_format
        if self.alpha and about.alpha:
            return about.alpha
        odd = any(side % 2 for side in self.size)
        wanted = about.odd if odd else about.pixel_format
        if self.codec in CODECS:
            return wanted
        taken = _pixel_formats(about.encoder)
        return wanted if wanted in taken or not taken else taken[0]

    @property
    def keeps_alpha(self) -> bool:
        return self.alpha and self.format.startswith(("yuva", "rgba", "bgra", "gbrap", "ya"))

    @property
    def is_deep(self) -> bool:
        """Whether it holds more than 8 bits."""
        return max(part.bits for part in av.VideoFormat(self.format).components) > 8

    def check(self) -> None:
        """Open the encoder once, with settings that `check_settings` has looked at.

        Raises:
            UsageError: If it does not take them for this clip.
        """
        if not self._opens():
            raise UsageError(
                f"the encoder {self.about.encoder} does not take {self.size[1]} x {self.size[0]} "
                f"{self.format} with these settings. Try another --codec, --crf, --encoder-preset "
                "or --pixel-format."
            )

    def check_settings(self, suffix: str) -> None:
        """Look at what does not depend on the clip: its size, rate and transparency.

        Raises:
            UsageError: If there is no such encoder for a file of this suffix, or one of its
                settings is not among those that it has.
        """
        about = self.about
        if not _is_video_encoder(about.encoder):
            raise UsageError(
                f"--codec must be one of {', '.join(CODECS)}, or a video encoder of this FFmpeg. "
                f"Received: {self.codec}"
            )
        if self.crf is not None and not (about.quality and about.best <= self.crf <= about.worst):
            known = f"in [{about.best}, {about.worst}]" if about.quality else "left out"
            raise UsageError(f"--crf must be {known} for {self.codec}. Received: {self.crf}")
        if not self.fits(suffix):
            others = [each for each in (".mkv", ".mov", ".mp4") if self.fits(each)]
            write = f"Write {others[0]}, or use" if others else "Use"
            raise UsageError(f"{suffix} cannot hold {self.codec}. {write} another --codec.")
        taken = _pixel_formats(about.encoder)
        if self.pixel_format and not (self.pixel_format in taken if taken else self._is_format):
            known = f"one of {', '.join(taken)}" if taken else "a pixel format of FFmpeg"
            raise UsageError(
                f"--pixel-format must be {known} for {self.codec}. Received: {self.pixel_format}"
            )
        if self.effort and not (about.effort and self._takes_effort()):
            known = about.presets or f"a value of {about.encoder}'s {about.effort}"
            known = known if about.effort else "left out"
            raise UsageError(
                f"--encoder-preset must be {known} for {self.codec}. Received: {self.effort}"
            )

    @property
    def _is_format(self) -> bool:
        try:
            av.VideoFormat(self.pixel_format)
        except ValueError:
            return False
        return True

    def _takes_effort(self) -> bool:
        """Whether it is not this setting that keeps the encoder from opening."""
        usual = replace(self, size=_USUAL_SIZE, pixel_format="", alpha=False)
        return usual._opens() or not replace(usual, effort="")._opens()

    def _opens(self) -> bool:
        try:
            # Some encoders write there why not.
            with silenced(2):
                self.open()
        except (av.error.FFmpegError, ValueError, OverflowError):
            return False
        return True

    def fits(self, suffix: str) -> bool:
        """Whether a file of some suffix holds the codec."""
        with av.open(io.BytesIO(), "w", format=MUXERS[suffix]) as out:
            try:
                out.add_stream(self.about.encoder, rate=self.rate)
            except ValueError:
                return False
        return True

    def open(self):
        """The encoder, ready for frames."""
        # It writes banners to standard error.
        os.environ.setdefault("SVT_LOG", "1")
        context = av.CodecContext.create(self.about.encoder, "w")
        self.set_up(context)
        context.open()
        return context

    def set_up(self, context) -> None:
        """Give an encoder its settings."""
        about = self.about
        context.height, context.width = self.size
        context.pix_fmt = self.format
        context.time_base, context.framerate = self.clock, self.rate
        context.sample_aspect_ratio = self.pixel_aspect
        # In one place for all segments.
        context.flags |= Flags.global_header
        options = dict(about.options)
        quality = about.crf if self.crf is None else self.crf
        if about.quality == "qscale" and quality is not None:
            context.flags |= Flags.qscale
            context.global_quality = quality * 118
        elif about.quality and quality is not None:
            options[about.quality] = str(quality)
        if about.effort and (self.effort or about.preset):
            options[about.effort] = self.effort or about.preset
        context.options = options
        matrix, primaries, transfer = self.colors
        context.colorspace, context.color_primaries, context.color_trc = matrix, primaries, transfer
        context.color_range = self.range

    @property
    def clock(self) -> Fraction:
        """Seconds in which the encoder counts: ticks, or frames where it knows no such ticks."""
        if self.about.encoder != "mpeg4" or self.ticks.denominator <= _MOST_TICKS:
            return self.ticks
        rate = self.rate if self.rate.numerator <= _MOST_TICKS else max(round(self.rate), 1)
        return 1 / Fraction(rate)

    @property
    def range(self) -> ColorRange:
        """Of samples: 16 to 235 of 8 bits, or all of them."""
        full = self.format.startswith("yuvj") or self.about.encoder in _FULL_RANGE
        return ColorRange.JPEG if full or not self.is_yuv else ColorRange.MPEG

    @property
    def is_yuv(self) -> bool:
        return not av.VideoFormat(self.format).is_rgb

    @property
    def colors(self) -> tuple[int, int, int]:
        """Matrix, primaries and transfer that the file is tagged with."""
        matrix, *others = self.tags
        # What is reserved is told to no player.
        primaries, transfer = (tag if tag in _TAGS else _UNSPECIFIED for tag in others)
        if not self.is_yuv:
            return 0, primaries, transfer
        return matrix_of(matrix, self.size[0]), primaries, transfer

    def to_frame(self, frame: Frame) -> av.VideoFrame:
        """A frame as the encoder takes it; times become `ticks`, from the clip's beginning."""
        colors = frame.colors
        if frame.alpha is not None and not self.keeps_alpha:
            colors = on_black(colors, frame.alpha)
        elif self.keeps_alpha:
            alpha = frame.alpha
            if alpha is None:
                alpha = np.full(colors.shape[:2], np.iinfo(colors.dtype).max, colors.dtype)
            colors = np.dstack([colors, alpha])
        kinds = {(3, 1): "rgb24", (4, 1): "rgba", (3, 2): "rgb48le", (4, 2): "rgba64le"}
        kind = kinds[colors.shape[2], colors.dtype.itemsize]
        source = av.VideoFrame.from_ndarray(np.ascontiguousarray(colors), format=kind)
        source.color_range = ColorRange.JPEG
        matrix, primaries, transfer = self.colors
        result = source.reformat(
            format=self.format,
            dst_colorspace=matrix if self.is_yuv else None,
            dst_color_range=self.range,
        )
        # Not told to `reformat`, which would convert from BT.709: samples are the source's.
        result.color_primaries, result.color_trc = primaries, transfer
        result.time_base = self.ticks
        result.pts = round(frame.time / self.ticks)
        result.duration = max(1, round(frame.duration / self.ticks))
        return result


def encoding_of(
    config: VideoConfig,
    suffix: str,
    size: tuple[int, int] = _USUAL_SIZE,
    rate: Fraction = Fraction(25),
    ticks: Fraction = Fraction(1, 25),
    alpha: bool = False,
) -> Encoding:
    """How the settings of a run encode a file of some suffix; the rest is as in `Encoding`."""
    codec = config.codec or CONTAINERS[suffix]
    effort, pixel_format = config.encoder_preset, config.pixel_format
    return Encoding(codec, size, rate, ticks, config.crf, effort, pixel_format, alpha)


def _is_video_encoder(name: str) -> bool:
    if name not in av.codecs_available:
        return False
    try:
        return av.Codec(name, "w").type == "video"
    except av.error.FFmpegError:
        return False


def _pixel_formats(encoder: str) -> list[str]:
    """What an encoder takes; none: it does not say."""
    return [item.name for item in av.Codec(encoder, "w").video_formats or ()]


def encode(encoding: Encoding, context, frames: Iterator[av.VideoFrame]) -> Iterator[av.Packet]:
    """Packets of frames, and at the end those that the encoder holds back; times are in ticks."""
    if encoding.clock == encoding.ticks:
        for frame in frames:
            yield from context.encode(frame)
        yield from context.encode(None)
        return
    times: list[tuple[int, int]] = []

    def numbered() -> Iterator[av.VideoFrame | None]:
        for frame in frames:
            times.append((frame.pts, frame.duration))
            frame.pts, frame.time_base = len(times) - 1, encoding.clock
            yield frame
        yield None

    for frame in numbered():
        for packet in context.encode(frame):
            packet.pts, packet.duration = times[packet.pts]
            yield packet


def on_black(colors: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A transparent picture laid on black."""
    white = np.iinfo(alpha.dtype).max
    if alpha.min() == white:
        return colors
    share = alpha.astype("float32")[..., None] / white
    return np.rint(colors * share).astype(colors.dtype)
