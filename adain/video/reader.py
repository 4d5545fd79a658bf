"""Reading video files with PyAV: exact times, upright frames, and what could not be read."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from adain.video.clip import Facts, Frame, VideoError
from adain.video.color import HDR, PEAK, has_alpha, to_rgb

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
_BROKEN = 8
"""So many packets in a row without a frame, and the rest of a clip is given up."""


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
        return av.open(str(path), options=_OPTIONS, metadata_errors="replace")
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
        kinds = sorted({stream.type for stream in container.streams}) or ["nothing"]
        raise VideoError(f"{name}: has no video stream, only {', '.join(kinds)}.")
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
        self.path, self._deep = path, deep
        self.notes: list[str] = []
        self.problems: list[str] = []
        with open_container(path) as container:
            stream = video_stream(container, str(path))
            context = stream.codec_context
            if context.width * context.height > max_pixels:
                raise VideoError(
                    f"{path}: {context.width} x {context.height} pixels, more than --max-pixels "
                    f"{max_pixels}."
                )
            first = next(self._decode(container, stream), None)
            if first is None:
                more = f" ({self.problems[0]})" if self.problems else ""
                raise VideoError(f"{path}: has no frame that can be decoded{more}.")
            self.problems.clear()
            self._begin = _begin(container, stream)
            self._turn = display_turn(first)
            self._peak = _peak(first)
            height, width = first.height, first.width
            self.is_deep = max(part.bits for part in first.format.components) > 8
            self.has_alpha = has_alpha(first)
            self.tags = int(first.colorspace), int(first.color_primaries), int(first.color_trc)
            if name := HDR.get(int(first.color_trc)):
                self.notes.append(f"{path}: HDR ({name}) is tone-mapped to standard range")
                self.tags = (1, 1, 1)
            ratio = stream.sample_aspect_ratio or Fraction(1)
            turned = self._turn[0] % 2 == 1
            self.pixel_aspect = 1 / ratio if turned and ratio else ratio
            rate = stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25)
            length = Fraction(0)
            if stream.duration:
                length = stream.duration * stream.time_base
            elif container.duration:
                length = Fraction(container.duration, av.time_base)
            self.facts = Facts(
                str(path),
                (width, height) if turned else (height, width),
                Fraction(rate),
                stream.time_base,
                stream.frames,
                length,
            )

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[Frame]:
        """See `Clip`."""
        self.problems.clear()
        size, told, last = self.facts.size, False, Fraction(-1)
        waiting: tuple[np.ndarray, Fraction, Fraction] | None = None
        with open_container(self.path) as container:
            stream = video_stream(container, str(self.path))
            stream.thread_type = "AUTO"
            if start > 0:
                place = int((start + self._begin) / stream.time_base)
                container.seek(max(place, 0), stream=stream, backward=True)
            for frame in self._decode(container, stream):
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
                    yield from self._shown(*waiting, until=time, start=start)
                waiting = None
                length = duration or 1 / self.facts.rate
                if time + 4 * length < start:
                    # Decoded for those that follow; not worth a conversion.
                    continue
                samples = turn(to_rgb(frame, self._deep and self.is_deep, self._peak), *self._turn)
                if samples.shape[:2] != size:
                    if not told:
                        self.notes.append(
                            f"{self.path}: frames change their size at {float(time):.2f} s from "
                            f"{size[1]} x {size[0]} to {samples.shape[1]} x {samples.shape[0]}; "
                            "they are fitted into the first size"
                        )
                        told = True
                    samples = fit_into(samples, size)
                waiting = samples, time, length
            if waiting is not None:
                yield from self._shown(*waiting, until=waiting[1] + waiting[2], start=start)
        end = last + (waiting[2] if waiting else 0)
        missing = self.facts.length - end
        if not self.problems and self.facts.length and missing > max(1, self.facts.length / 50):
            self.problems.append(
                f"{self.path}: ends after {float(end):.1f} s of {float(self.facts.length):.1f} s"
            )

    @staticmethod
    def _shown(samples, time, length, *, until, start) -> Iterator[Frame]:
        if until > start or time >= start:
            alpha = samples[..., 3] if samples.shape[2] == 4 else None
            yield Frame(np.ascontiguousarray(samples[..., :3]), alpha, time, until - time)

    def _decode(self, container, stream) -> Iterator[av.VideoFrame]:
        """All frames that can be decoded; the others are counted and reported."""
        lost = row = damaged = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self.problems.append(f"{self.path}: cannot be read any further ({_reason(error)})")
                break
            if packet is None:
                break
            try:
                found = packet.decode()
                row = 0
            except av.error.FFmpegError as error:
                lost, row = lost + 1, row + 1
                if isinstance(error, av.error.EOFError) or row > _BROKEN:
                    break
                continue
            damaged += sum(frame.is_corrupt for frame in found)
            yield from found
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


def _peak(frame: av.VideoFrame) -> float:
    """cd/m2 of the brightest highlights, by the frame's metadata."""
    data = frame.side_data.get("CONTENT_LIGHT_LEVEL")
    if data is not None and len(bytes(data)) >= 4:
        most = int.from_bytes(bytes(data)[:4], "little")
        if 300 <= most <= 10000:
            return float(most)
    return PEAK


def display_turn(frame: av.VideoFrame) -> tuple[int, bool]:
    """How a frame is turned to be shown: quarters anticlockwise, and whether mirrored before."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(bytes(data)[:36], "<i4")[:5] / 65536
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    # The matrix takes (x, y) to (a x + c y, b x + d y), y downwards.
    quarters = round(np.degrees(np.arctan2(-b, a)) / 90) % 4
    return quarters, bool(mirrored)


def turn(samples: np.ndarray, quarters: int, mirrored: bool) -> np.ndarray:
    """Samples as they are shown; see `display_turn`."""
    if mirrored:
        samples = samples[:, ::-1]
    return np.rot90(samples, quarters) if quarters else samples


def fit_into(samples: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Samples resized to fit into `(height, width)`, in the middle of black."""
    from adain.imaging.io import resize_image

    height, width = size
    scale = min(height / samples.shape[0], width / samples.shape[1])
    rows, columns = (max(1, round(side * scale)) for side in samples.shape[:2])
    rows, columns = min(rows, height), min(columns, width)
    result = np.zeros((*size, samples.shape[2]), samples.dtype)
    top, left = (height - rows) // 2, (width - columns) // 2
    colors = resize_image(np.ascontiguousarray(samples[..., :3]), (rows, columns))
    result[top : top + rows, left : left + columns, :3] = colors
    if samples.shape[2] == 4:
        alpha = resize_image(np.ascontiguousarray(samples[..., 3]), (rows, columns))
        result[top : top + rows, left : left + columns, 3] = alpha
    return result
