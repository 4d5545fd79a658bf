"""Animated pictures and numbered pictures as clips."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from adain.imaging import io as imaging
from adain.video.clip import Facts, Frame, VideoError

NUMBER = re.compile(r"%0?(\d*)d")
"""The place of the number in the name of numbered pictures, such as `frame_%05d.png`."""
TICKS = Fraction(1, 60000)
"""Of animations: holds GIF's hundredths, WebP's thousandths and APNG's usual fractions."""
_NO_TIME = Fraction(1, 10)
"""What browsers take for a frame of no duration."""


class AnimationClip:
    """A GIF, WebP, APNG or AVIF; see `Clip`.

    Raises:
        ImageError: If it is no picture that can be read.
    """

    def __init__(self, path: Path, *, deep: bool = False, max_pixels: int):
        self.notes: list[str] = []
        self.problems: list[str] = []
        self._image = imaging.open_image(path, max_pixels=max_pixels)
        self._deep = deep
        self.is_deep = self._image.bits > 8
        first = next(self._image.frames())[1]
        self.has_alpha = first.alpha is not None
        self.facts = Facts(
            str(path),
            self._image.size,
            1 / (_seconds(first.duration) or _NO_TIME),
            TICKS,
            self._image.n_frames,
            loop=self._image.loop,
        )

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[Frame]:
        """See `Clip`."""
        time = Fraction(0)
        self.problems.clear()
        try:
            for colors, meta in self._image.frames(keep_depth=self._deep):
                duration = _seconds(meta.duration) or _NO_TIME
                yield Frame(colors, meta.alpha, time, duration)
                time += duration
        except imaging.ImageError as error:
            if not time:
                raise
            self.problems.append(str(error))


def _seconds(milliseconds: float) -> Fraction:
    return Fraction(round(Fraction(milliseconds) / 1000 / TICKS)) * TICKS


class SequenceClip:
    """Numbered pictures of a folder, in the order of their numbers; see `Clip`.

    Args:
        pattern: Their path with `%05d` or `%d` in place of the number.
        rate: Frames a second.
        deep: Whether frames of more than 8 bits become uint16.
        max_pixels: Refuse pictures of more pixels.

    Raises:
        VideoError, ImageError: If there are none, or the first one cannot be read.
    """

    def __init__(self, pattern: Path, rate: Fraction, *, deep: bool = False, max_pixels: int):
        self.notes: list[str] = []
        self.problems: list[str] = []
        self._deep, self._max_pixels = deep, max_pixels
        self.files = numbered(pattern)
        if not self.files:
            raise VideoError(f"{pattern}: no pictures are called like this.")
        numbers = sorted(self.files)
        self.first = numbers[0]
        missing = numbers[-1] - numbers[0] + 1 - len(numbers)
        if missing:
            some = "1 number is" if missing == 1 else f"{missing} numbers are"
            self.notes.append(f"{pattern}: {some} missing; the rest follow on")
        colors, meta = imaging.read_image(
            self.files[self.first], max_pixels=max_pixels, keep_depth=True
        )
        self.has_alpha, self.is_deep = meta.alpha is not None, colors.dtype.itemsize > 1
        self.facts = Facts(str(pattern), colors.shape[:2], rate, 1 / rate, len(numbers))

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[Frame]:
        """See `Clip`."""
        from adain.video.frames import fit_into

        duration, size = self.facts.ticks, self.facts.size
        told, broken = False, []
        self.problems.clear()
        for place, number in enumerate(sorted(self.files)):
            if (place + 1) * duration <= start:
                continue
            try:
                colors, meta = imaging.read_image(
                    self.files[number],
                    max_pixels=self._max_pixels,
                    keep_depth=self._deep and self.is_deep,
                )
            except imaging.ImageError as error:
                # Those after it keep their times.
                broken.append(error)
                more = f"It and {len(broken) - 1} more are" if broken[1:] else "It is"
                self.problems[:] = [f"{broken[0]} {more} left out."]
                continue
            alpha = meta.alpha
            if colors.shape[:2] != size:
                if not told:
                    self.notes.append(
                        f"{self.files[number]} is {colors.shape[1]} x {colors.shape[0]}, fitted "
                        f"into the first one's {size[1]} x {size[0]}"
                    )
                    told = True
                colors = fit_into(colors, size)
                alpha = None if alpha is None else fit_into(alpha[..., None], size)[..., 0]
            yield Frame(colors, alpha, place * duration, duration)


def is_pattern(path: str | Path) -> bool:
    """Whether a path is that of numbered pictures."""
    name = Path(path).name
    return len(NUMBER.findall(name)) == 1 and is_picture(path)


def is_picture(path: str | Path) -> bool:
    return Path(path).suffix.lower() in imaging.IMAGE_SUFFIXES


def numbered(pattern: Path) -> dict[int, Path]:
    """The pictures that a pattern means, by number."""
    before, after = NUMBER.sub("\0", pattern.name).split("\0")
    width = int(NUMBER.search(pattern.name)[1] or 1)
    name = re.compile(rf"{re.escape(before)}(\d{{{width},}}){re.escape(after)}")
    found = {}
    if pattern.parent.is_dir():
        for path in pattern.parent.iterdir():
            match = name.fullmatch(path.name)
            if match and path.is_file():
                found[int(match[1])] = path
    return found


def name_of(pattern: Path, number: int) -> Path:
    """The path of one picture."""
    width = int(NUMBER.search(pattern.name)[1] or 1)
    return pattern.with_name(NUMBER.sub(f"{number:0{width}d}", pattern.name))
