"""Where finished frames go: video files, numbered pictures, single ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

from adain.files import replacing
from adain.imaging import io as imaging
from adain.imaging.encode import lost_alpha
from adain.imaging.formats import FORMATS, written_format
from adain.video.checkpoint import Checkpoint, Reached
from adain.video.clip import Frame, VideoError
from adain.video.encoder import Encoding, encode
from adain.video.muxer import join
from adain.video.packets import write_packets
from adain.video.sequences import is_pattern, name_of
from adain.video.stages import Clock
from adain.video.tracks import Tracks


class Finished(NamedTuple):
    """A frame of the result."""

    frame: Frame
    state: dict[str, np.ndarray] | None = None
    """After the last frame of a segment, what the next one needs of the ones before."""


Keep = Callable[[Path, BinaryIO], None]
"""Records how a file was made, once it is complete and before it gets its name."""


class Output(Protocol):
    """A result that is written frame by frame."""

    problems: list[str]
    """One line for each thing that could not be copied."""

    def reached(self) -> Reached:
        """How far an earlier run came."""

    def write(self, frames: Iterator[Finished]) -> int:
        """Write all frames that are still missing; returns how many there were."""


class VideoOutput:
    """A video file; each segment of it is kept until all of them are joined.

    Args:
        target: The file.
        encoding: How frames are encoded.
        tracks: What is copied of the source.
        checkpoint: Holds the segments.
        keep: Records how the file was made.
        clock: Told how long encoding takes.
        tell: Called with notices.
    """

    def __init__(
        self,
        target: Path,
        encoding: Encoding,
        tracks: Tracks | None,
        checkpoint: Checkpoint,
        keep: Keep,
        clock: Clock,
        tell: Callable[[str], None] = lambda text: None,
    ):
        self.problems: list[str] = []
        self._target, self._encoding, self._tracks = target, encoding, tracks
        self._checkpoint, self._keep, self._clock = checkpoint, keep, clock
        self._tell, self._told = tell, encoding.keeps_alpha
        self._reached = checkpoint.reached()

    def reached(self) -> Reached:
        """See `Output`."""
        return self._reached

    def write(self, frames: Iterator[Finished]) -> int:
        """See `Output`."""
        frames = map(self._looked_at, frames)
        first = self._reached.frames
        for item in frames:
            with self._clock("encoding"):
                context = self._encoding.open()
            segment = _Segment(chain([item], frames), self._encoding, self._clock)
            path = self._checkpoint.segment(self._reached.segments)
            with replacing(path) as file:
                write_packets(file, self._timed(encode(self._encoding, context, segment.frames())))
            self._reached = Reached(
                self._reached.frames + segment.count,
                self._reached.segments + 1,
                str(segment.end),
                segment.state or {},
            )
            if segment.state is not None:
                with self._clock("writing"):
                    self._checkpoint.save(self._reached)
        if not self._reached.segments:
            raise VideoError("no frame to write: the chosen part of the clip is empty.")
        segments = [self._checkpoint.segment(n) for n in range(self._reached.segments)]
        end = Fraction(self._reached.end)
        tracks = self._tracks
        if tracks is not None and not tracks.whole:
            tracks = tracks._replace(end=end if tracks.end is None else min(end, tracks.end))
        with self._clock("writing"), replacing(self._target) as file:
            # By its name: FFmpeg reads it again, to move its index to the front.
            self.problems += join(
                Path(file.name), self._target.suffix.lower(), self._encoding, segments, end, tracks
            )
            self._keep(self._target, file)
        return self._reached.frames - first

    def _looked_at(self, item: Finished) -> Finished:
        """The same; the first one that loses its transparency is told."""
        if not self._told and item.frame.alpha is not None:
            self._told = bool(item.frame.alpha.min() < np.iinfo(item.frame.alpha.dtype).max)
            if self._told:
                self._tell(
                    f"{self._target}: transparent parts become black; --codec prores or png in "
                    ".mov, or ffv1 in .mkv, keep them"
                )
        return item

    def _timed(self, packets: Iterator) -> Iterator:
        while True:
            with self._clock("encoding"):
                packet = next(packets, None)
            if packet is None:
                return
            yield packet


class _Segment:
    """The frames up to one that ends a segment."""

    def __init__(self, frames: Iterator[Finished], encoding: Encoding, clock: Clock):
        self._frames, self._encoding, self._clock = frames, encoding, clock
        self.count, self.end, self.state = 0, Fraction(0), None

    def frames(self):
        while True:
            # What comes before in the pipeline is no encoding.
            with self._clock.pause("encoding"):
                item = next(self._frames, None)
            if item is None:
                return
            self.count += 1
            self.end = item.frame.time + item.frame.duration
            yield self._encoding.to_frame(item.frame)
            if item.state is not None:
                self.state = item.state
                return


class PicturesOutput:
    """Numbered pictures, or a single one.

    Args:
        target: Their path with `%05d` in place of the number, or that of the only one.
        first: The number of the first one.
        quality: 1 to 100, for JPEG, WebP and AVIF.
        history: How they were made.
        keep: Records that, where the files do not hold it.
        checkpoint: Holds the state after a segment.
        clock: Told how long encoding takes.
        tell: Called with notices.
    """

    def __init__(
        self,
        target: Path,
        first: int,
        quality: int,
        history: str,
        keep: Keep,
        checkpoint: Checkpoint,
        clock: Clock,
        tell: Callable[[str], None] = lambda text: None,
    ):
        self.problems: list[str] = []
        self._target, self._first, self._quality = target, first, quality
        self._history, self._keep = history, keep
        self._checkpoint, self._clock = checkpoint, clock
        self._tell, self._told = tell, False
        self._reached = checkpoint.reached()

    def reached(self) -> Reached:
        """See `Output`."""
        return self._reached

    def write(self, frames: Iterator[Finished]) -> int:
        """See `Output`."""
        count = 0
        for frame, state in frames:
            number = self._first + self._reached.frames + count
            path = name_of(self._target, number) if is_pattern(self._target) else self._target
            meta = imaging.ImageMeta(alpha=self._kept(frame, path), history=self._history)
            with self._clock("encoding"), replacing(path) as file:
                imaging.save_image(
                    file,
                    frame.colors,
                    meta=meta,
                    quality=self._quality,
                    format=written_format(path),
                )
                self._keep(path, file)
            count += 1
            if state is not None:
                end = str(frame.time + frame.duration)
                self._checkpoint.save(Reached(self._reached.frames + count, 0, end, state))
        if not count and not self._reached.frames:
            raise VideoError("no frame to write: the chosen part of the clip is empty.")
        return count

    def _kept(self, frame: Frame, path: Path) -> np.ndarray | None:
        """The frame's transparency, None where the format has none; the first loss is told."""
        format = written_format(path)
        if frame.alpha is None or FORMATS[format].alpha:
            return frame.alpha
        lost = "" if self._told else lost_alpha(frame.alpha, format)
        if lost:
            self._told = True
            self._tell(f"{self._target}: {lost}")
        return None
