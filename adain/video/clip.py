"""The form that every kind of clip takes: a description, and frames one after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, Protocol

import numpy as np

_LEAST = Fraction(1, 1000)
"""Seconds that a frame is shown at least at the beginning of a part: times are given no finer."""


class VideoError(ValueError):
    """A clip that cannot be read or written: one line with its name, the reason, the remedy."""


class Frame(NamedTuple):
    """One frame."""

    colors: np.ndarray
    """HWC uint8 or uint16 sRGB, upright."""
    alpha: np.ndarray | None
    """`(height, width)` of the same type, 0 transparent; None: opaque."""
    time: Fraction
    """Seconds from the beginning of the clip, exact."""
    duration: Fraction
    """Seconds that it is shown, exact."""


@dataclass(frozen=True)
class Facts:
    """What is known of a clip before its frames are read."""

    name: str
    """What messages call it."""
    size: tuple[int, int]
    """`(height, width)`, upright."""
    rate: Fraction
    """Frames a second; of a variable rate the mean."""
    ticks: Fraction
    """Seconds of which all times are multiples."""
    frames: int = 0
    """How many there are; 0: not known."""
    length: Fraction = Fraction(0)
    """Seconds; 0: not known."""
    loop: int | None = None
    """How often an animation plays; see `ImageMeta.loop`."""


class Clip(Protocol):
    """A clip that has been opened."""

    facts: Facts
    notes: list[str]
    """One line for each thing that reading changes or leaves out."""
    problems: list[str]
    """One line for each thing that could not be read, once the frames have been."""
    is_deep: bool
    """Whether frames have more than 8 bits."""
    has_alpha: bool
    """Whether frames have transparency."""

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[Frame]:
        """The frames in order, from the first one that is still shown at `start`."""


@dataclass(frozen=True)
class Part:
    """Which frames of a clip are used.

    Args:
        start, end: Seconds; frames that are shown before `start` or begin at `end` or later are
            left out. `end` None: to the end.
        every: Only every so many-th frame, the first one included.
        most: At most so many frames; 0: all.
    """

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    every: int = 1
    most: int = 0

    @property
    def is_all(self) -> bool:
        return self == Part()

    def of(self, clip: Clip) -> Iterator[Frame]:
        """The chosen frames; times count from `start`."""
        kept: Frame | None = None
        count = 0
        for number, frame in enumerate(self._inside(clip)):
            if number % self.every == 0:
                if kept is not None:
                    yield kept
                if self.most and count == self.most:
                    return
                kept, count = frame, count + 1
            elif kept is not None:
                # It stays until the next one that is kept.
                kept = kept._replace(duration=frame.time + frame.duration - kept.time)
        if kept is not None:
            yield kept

    def _inside(self, clip: Clip) -> Iterator[Frame]:
        for frame in clip.frames(self.start):
            first, last = frame.time, frame.time + frame.duration
            if first < self.start and last < self.start + _LEAST and frame.duration:
                continue
            if self.end is not None and first >= self.end:
                return
            first = max(first, self.start)
            if self.end is not None:
                last = min(last, self.end)
            yield frame._replace(time=first - self.start, duration=max(last - first, Fraction(0)))

    def count(self, facts: Facts) -> int:
        """About how many frames that is; 0: not known."""
        length = facts.length or Fraction(facts.frames) / facts.rate
        if not length:
            return self.most
        end = length if self.end is None else min(self.end, length)
        share = max(end - self.start, Fraction(0)) / length
        whole = facts.frames or round(length * facts.rate)
        found = -(-round(whole * share) // self.every)
        return min(found, self.most) if self.most else found
