"""Finished frames as a GIF, WebP, APNG or AVIF."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from adain.files import replacing
from adain.imaging import io as imaging
from adain.imaging.formats import written_format
from adain.video.checkpoint import Reached
from adain.video.clip import Frame, VideoError
from adain.video.encoder import on_black
from adain.video.outputs import Finished, Keep
from adain.video.stages import Clock

logger = logging.getLogger(__name__)

_GIF_LEAST = Fraction(2, 100)
"""Seconds; browsers show shorter frames of a GIF for a tenth of a second."""


class AnimationOutput:
    """A GIF, WebP, APNG or AVIF. It has no segments: a run that is killed begins again.

    Args:
        target: The file.
        quality: 1 to 100, for WebP and AVIF.
        loop: How often it plays; 0: forever.
        history: How it was made.
        keep: Records that, where the file does not hold it.
        clock: Told how long encoding takes.
    """

    def __init__(
        self,
        target: Path,
        quality: int,
        loop: int | None,
        history: str,
        keep: Keep,
        clock: Clock,
    ):
        self.problems: list[str] = []
        self._target, self._quality, self._keep, self._clock = target, quality, keep, clock
        self._meta = imaging.ImageMeta(loop=loop, history=history)
        self._left = 0

    def reached(self) -> Reached:
        """See `Output`."""
        return Reached(0, 0, "0", {})

    def write(self, frames: Iterator[Finished]) -> int:
        """See `Output`."""
        count = 0

        def pictures():
            nonlocal count
            late, alike = Fraction(0), _Alike(self._target)
            for frame in map(alike, self._shown(frames)):
                # Rounding to milliseconds does not add up.
                exact = 1000 * frame.duration + late
                duration = max(round(exact), 1)
                late = exact - duration
                yield frame.colors, replace(self._meta, alpha=frame.alpha, duration=float(duration))
                count += 1

        format = written_format(self._target)
        with self._clock("encoding"), replacing(self._target) as file:
            try:
                imaging.save_frames(file, pictures(), quality=self._quality, format=format)
            except ValueError as error:
                if count:
                    raise
                raise VideoError(f"{self._target}: {error}") from error
            self._keep(self._target, file)
        if self._left:
            frames = "1 frame" if self._left == 1 else f"{self._left} frames"
            logger.warning(
                "%s: %s left out, because players show GIF's frames of less than %d ms for 100",
                *(self._target, frames, 1000 * _GIF_LEAST),
            )
        return count

    def _shown(self, frames: Iterator[Finished]) -> Iterator[Frame]:
        """The frames without those that are too short for the format."""
        least = _GIF_LEAST if self._target.suffix.lower() == ".gif" else 0
        kept: Frame | None = None
        while True:
            with self._clock.pause("encoding"):
                item = next(frames, None)
            if item is None:
                break
            if kept is not None and kept.duration < least:
                kept = kept._replace(duration=kept.duration + item.frame.duration)
                self._left += 1
                continue
            if kept is not None:
                yield kept
            kept = item.frame
        if kept is not None:
            yield kept


class _Alike:
    """Gives all frames transparency if the first one has it, or none."""

    def __init__(self, target: Path):
        self._has: bool | None = None
        self._target, self._told = target, False

    def __call__(self, frame: Frame) -> Frame:
        colors, alpha = frame.colors, frame.alpha
        if self._has is None:
            self._has = alpha is not None
        if self._has and alpha is None:
            return frame._replace(
                alpha=np.full(colors.shape[:2], np.iinfo(colors.dtype).max, colors.dtype)
            )
        if self._has or alpha is None:
            return frame
        plain = on_black(colors, alpha)
        if plain is not colors and not self._told:
            self._told = True
            logger.warning(
                "%s: transparent parts become black, because the first frame has none", self._target
            )
        return frame._replace(colors=plain, alpha=None)
