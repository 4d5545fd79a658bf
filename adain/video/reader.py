"""Reading video files with PyAV: exact times, upright frames, and what could not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from adain.video.clip import Facts, Frame, VideoError
from adain.video.color import HDR, PixelFormatError, has_alpha, to_rgb, unknown_matrix
from adain.video.containers import find_damage, is_cut_off
from adain.video.frames import display_turn, fit_into, peak_of, turn
from adain.video.timeline import Timeline, find_place

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "flv", "asf", "ogg",
    "nut", "mxf", "gxf", "ivf", "h264", "hevc", "av1", "obu", "mpegvideo", "m4v", "dv", "wtv",
    "yuv4mpegpipe", "rm", "swf",
)  # fmt: skip
"""What is read: FFmpeg's names. Play lists, scripts and devices open other files, and are not."""

_OPTIONS = {
    "format_whitelist": ",".join(FORMATS),
    "protocol_whitelist": "file,pipe",
    # Variable rates and late sound are found beyond FFmpeg's own 5 MB.
    "probesize": str(2**24),
}


def open_container(path: Path):
    """A video file, opened for reading.

    Raises:
        VideoError: If it is none, or cannot be read.
    """
    if not path.exists():
        raise VideoError(f"{path}: no such file.")
    if path.is_dir():
        raise VideoError(f"{path}: is a folder. Name a clip, or frames as {path}/frame_%05d.png.")
    if path.is_file() and not path.stat().st_size:
        raise VideoError(f"{path}: is empty.")
    try:
        # What comes before a colon would be a protocol.
        return av.open(str(path.absolute()), options=_OPTIONS, metadata_errors="replace")
    except av.error.FFmpegError as error:
        if isinstance(error, PermissionError):
            raise VideoError(f"{path}: cannot be read ({error.strerror}).") from error
        raise VideoError(
            f"{path}: is not a video that can be read, or its beginning or its index is missing "
            "(a download or recording that was cut off?)."
        ) from error


def video_stream(container, name: str):
    """The stream that a player shows: cover art and thumbnails are none.

    Raises:
        VideoError: If there is none, or nothing decodes it.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
    ]
    if not streams:
        kinds = ", ".join(sorted({stream.type for stream in container.streams}))
        raise VideoError(f"{name}: has no video stream{kinds and f', only {kinds}'}.")
    first = [stream for stream in streams if stream.disposition & Disposition.default]
    stream = (first or streams)[0]
    if stream.codec_context is None:
        raise VideoError(
            f"{name}: its video codec is not known here. Convert it to H.264, for example with "
            "ffmpeg -i."
        )
    return stream


class VideoClip:
    """A video file.

    Args:
        path: The file.
        deep: Whether frames of more than 8 bits become uint16.
        max_pixels: Refuse frames of more pixels.

    Attributes:
        facts, notes, problems: As in `Clip`.
        tags: The colour tags of the frames, for the writer: matrix, primaries, transfer.

    Raises:
        VideoError: If it is no video that can be read.
    """

    def __init__(self, path: Path, *, deep: bool = False, max_pixels: int):
        self.path, self._deep, self._max_pixels = path, deep, max_pixels
        self.notes: list[str] = []
        self.problems: list[str] = []
        self._told = False
        with open_container(path) as container:
            stream = video_stream(container, str(path))
            context = stream.codec_context
            width, height = context.width, context.height
            if width * height > max_pixels:
                raise VideoError(
                    f"{path}: {width} x {height} pixels, more than --max-pixels {max_pixels}."
                )
            first = next(self._decode(container, stream), None)
            if first is None:
                more = f" ({self.problems[0]})" if self.problems else ""
                raise VideoError(f"{path}: has no frame that can be decoded{more}.")
            self.problems.clear()
            self._begin = _begin(container, stream)
            self._turn = display_turn(first)
            self._peak = peak_of(first)
            height, width = first.height, first.width
            self.is_deep = max(part.bits for part in first.format.components) > 8
            self.tags = int(first.colorspace), int(first.color_primaries), int(first.color_trc)
            if name := unknown_matrix(first):
                self.notes.append(f"{path}: its matrix ({name}) is not known here; colours are off")
            if name := HDR.get(int(first.color_trc)):
                self.notes.append(f"{path}: HDR ({name}) is tone-mapped to standard range")
                self.tags = (1, 1, 1)
            self._converted(first, self._turn)
            self.has_alpha = has_alpha(first)
            ratio = stream.sample_aspect_ratio or Fraction(1)
            turned = self._turn[0] % 2 == 1
            self.pixel_aspect = 1 / ratio if turned and ratio else ratio
            length, self._sure = _length(container, stream)
            self.facts = Facts(
                str(path),
                (width, height) if turned else (height, width),
                _rate(stream),
                stream.time_base,
                stream.frames,
                length,
            )

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[Frame]:
        """See `Clip`."""
        self.problems.clear()
        last, how = Fraction(-1), self._turn
        # When a frame ends is known with the next one; what was over before is not converted.
        waiting: tuple[av.VideoFrame, tuple[int, bool], Fraction] | None = None
        length = Fraction(0)

        def shown(until: Fraction) -> Iterator[Frame]:
            frame, how, time = waiting
            if until > start or time >= start:
                samples = self._fitted(frame, how, time)
                alpha = samples[..., 3] if samples.shape[2] == 4 else None
                yield Frame(np.ascontiguousarray(samples[..., :3]), alpha, time, until - time)

        place = self._place(start) if start > 0 else None
        with open_container(self.path) as container:
            stream = video_stream(container, str(self.path))
            stream.thread_type = "AUTO"
            if place is not None:
                container.seek(place, stream=stream, backward=True)
            for frame in self._decode(container, stream):
                if frame.key_frame or display_turn(frame) != (0, False):
                    # Of streams that tell it with keyframes only, it holds until the next one.
                    how = display_turn(frame)
                duration = Fraction(frame.duration or 0) * stream.time_base
                time = last + max(duration, self.facts.ticks)
                if frame.pts is not None:
                    time = frame.pts * (frame.time_base or stream.time_base) - self._begin
                elif last < 0:
                    time = Fraction(0)
                # Of broken time stamps the order of the frames counts.
                time = max(time, last + self.facts.ticks) if last >= 0 else max(time, Fraction(0))
                last = time
                if waiting is not None:
                    yield from shown(time)
                waiting, length = None, duration or 1 / self.facts.rate
                if frame.width * frame.height > self._max_pixels:
                    self.problems.append(
                        f"{self.path}: frames change their size to {frame.width} x {frame.height} "
                        f"pixels, more than --max-pixels {self._max_pixels}; it ends before them"
                    )
                    break
                waiting = frame, how, time
            if waiting is not None:
                yield from shown(last + length)
        self._look_at_end(last + (length if waiting else 0))

    def _fitted(self, frame: av.VideoFrame, how: tuple[int, bool], time: Fraction) -> np.ndarray:
        """Upright samples, of the clip's size; the first ones that have another are told."""
        samples, size = self._converted(frame, how), self.facts.size
        if samples.shape[:2] == size:
            return samples
        if not self._told:
            self._told = True
            self.notes.append(
                f"{self.path}: frames change their size at {float(time):.2f} s from "
                f"{size[1]} x {size[0]} to {samples.shape[1]} x {samples.shape[0]}; "
                "they are fitted into the first size"
            )
        return fit_into(samples, size)

    def _converted(self, frame: av.VideoFrame, how: tuple[int, bool]) -> np.ndarray:
        """Upright samples, turned as `display_turn` says.

        Raises:
            VideoError: If nothing converts the pixel format.
        """
        try:
            return turn(to_rgb(frame, self._deep and self.is_deep, self._peak), *how)
        except PixelFormatError as error:
            raise VideoError(f"{self.path}: {error}") from error

    def _place(self, start: Fraction) -> int | None:
        """Where to seek for frames from a time on; see `find_place`."""
        with open_container(self.path) as container:
            stream = video_stream(container, str(self.path))
            return find_place(container, stream, start + self._begin)

    def _look_at_end(self, end: Fraction) -> None:
        """Say so where a file is cut off."""
        length, cut = self.facts.length, is_cut_off(self.path)
        early = self._sure and length - end > max(1, length / 50)
        damage = None if cut else find_damage(self.path)
        if damage is not None:
            lost = f"is damaged at byte {damage}, where frames or sound are missing"
            self._tell_first(lost)
        if cut or early:
            whole = f" of {float(length):.1f} s" if self._sure and length > end else ""
            ends = f"{'is cut off, and ' if cut else ''}ends after {float(end):.1f} s{whole}"
            self._tell_first(ends)

    def _tell_first(self, problem: str) -> None:
        """All problems in one line, a new one before the others."""
        others = [line.removeprefix(f"{self.path}: ") for line in self.problems]
        self.problems[:] = [f"{self.path}: {'; '.join([problem, *others])}"]

    def _decode(self, container, stream) -> Iterator[av.VideoFrame]:
        """All frames that can be decoded; the others are counted and reported."""
        lost = damaged = broken = 0
        packets = container.demux(stream)
        timeline, decode = Timeline(stream), _decoder(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self.problems.append(f"{self.path}: cannot be read any further ({_reason(error)})")
                break
            if packet is None:
                break
            try:
                found = decode(timeline.fit(packet))
            except av.error.EOFError:
                break
            except av.error.FFmpegError:
                lost += 1
                continue
            damaged += sum(frame.is_corrupt for frame in found)
            broken += packet.is_corrupt
            yield from found
        # Where streams were joined, packets are missing in the eyes of FFmpeg.
        damaged = max(damaged, broken - len(timeline.jumps))
        if damaged:
            frames = "1 frame is" if damaged == 1 else f"{damaged} frames are"
            self.problems.append(f"{self.path}: {frames} damaged")
        if lost:
            self.problems.append(
                f"{self.path}: {lost} packet{'' if lost == 1 else 's'} of it could not be decoded"
            )


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or error)


def _begin(container, stream) -> Fraction:
    """When a clip begins: times of frames count from there."""
    if container.start_time is not None:
        return Fraction(container.start_time, av.time_base)
    return (stream.start_time or 0) * stream.time_base


def _length(container, stream) -> tuple[Fraction, bool]:
    """Seconds that the picture lasts, 0 if not known; and whether no other stream has a say."""
    if stream.duration:
        return stream.duration * stream.time_base, True
    length = Fraction(container.duration or 0, av.time_base)
    if container.format.name == "matroska,webm":
        # There it is the time of the end.
        length -= _begin(container, stream)
    others = [each for each in container.streams if each.type in ("audio", "video")]
    return max(length, Fraction(0)), len(others) == 1


_FAST = 300
"""Frames a second beyond which a mean is doubted: DV's has the ticks of its clock."""


def _rate(stream) -> Fraction:
    """Frames a second."""
    mean, guess = stream.average_rate, stream.guessed_rate or stream.base_rate
    if mean and mean > _FAST and guess:
        mean = min(mean, guess)
    return Fraction(mean or guess or 25)


_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that read the transparency of WebM files; FFmpeg's own do not."""


def _decoder(stream) -> Callable[[av.Packet], list[av.VideoFrame]]:
    """What decodes a stream's packets."""
    name = _WITH_ALPHA.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return lambda packet: packet.decode()
    context = av.CodecContext.create(name, "r")
    context.thread_count = stream.codec_context.thread_count
    return context.decode
