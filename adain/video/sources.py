"""From the paths a user gives to clips."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from adain import folders
from adain.imaging import io as imaging
from adain.imaging.formats import HEAD, format_of, is_video
from adain.options import UsageError
from adain.sources import Source
from adain.video.clip import Clip, VideoError
from adain.video.codecs import VIDEO_SUFFIXES
from adain.video.sequences import NUMBER, AnimationClip, SequenceClip, is_pattern, numbered

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True)
class ClipSource(Source):
    """A clip: a video file, an animation, or the pattern of numbered pictures."""

    @property
    def is_sequence(self) -> bool:
        return self.path is not None and is_pattern(self.path) and not self.path.exists()

    @property
    def is_animation(self) -> bool:
        """Whether it is a picture file, by its content, or else by its name."""
        if self.path is None or self.is_sequence:
            return False
        head = read_head(self.path)
        try:
            if format_of(head, str(self.path)).animated:
                return True
        except imaging.ImageError:
            # Many a clip is called .gif.
            if is_video(head):
                return False
        return self.path.suffix.lower() in imaging.ANIMATED_SUFFIXES

    def digest(self, max_pixels: int = 0) -> str:
        """SHA-256 of all its bytes, whatever its size.

        Raises:
            ImageError: If it cannot be read.
        """
        if "sha256" not in self._kept:
            try:
                if self.is_sequence:
                    found = numbered(self.path)
                    parts = [_digest(found[number]) for number in sorted(found)]
                    self._kept["sha256"] = hashlib.sha256("".join(parts).encode()).hexdigest()
                else:
                    self._kept["sha256"] = _digest(self.path)
            except OSError as error:
                raise imaging.ImageError(f"{self}: cannot be read ({error.strerror}).") from error
        return self._kept["sha256"]


def read_head(path: Path) -> bytes:
    """The bytes of a file that decide its format; none of a file that cannot be read."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(HEAD)
    return b""


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_clips(paths: Sequence[str]) -> tuple[list[ClipSource], list[str]]:
    """Clips that were named, or that a pattern or a folder holds, and a line for each problem.

    Raises:
        UsageError: If a path is empty.
    """
    found: dict[str, ClipSource] = {}
    problems = []
    for text in paths:
        if not text:
            raise UsageError("A path must name a clip. Received: an empty one")
        path = Path(text)
        if _ADDRESS.match(text) and not path.exists():
            problems.append(f"{text}: is an address. Download it, and name the file")
        elif path.exists() and not path.is_file() and not path.is_dir():
            # It would be read more than once, and a pipe waits for ever.
            problems.append(f"{path}: is a pipe or a device. Save it to a file, and name that")
        elif path.is_dir():
            inside = [p for p in folders.Walk(path).files if p.suffix.lower() in VIDEO_SUFFIXES]
            if not inside:
                problems.append(
                    f"{path}: no video files in this folder. Name numbered pictures as "
                    f"{path / 'frame_%05d.png'}"
                )
            for each in inside:
                name = str(each.relative_to(path).with_suffix(""))
                found.setdefault(os.path.realpath(each), ClipSource(each, name, found=True))
        elif path.exists():
            found.setdefault(os.path.realpath(path), ClipSource(path, path.stem))
        elif is_pattern(path):
            name = path.parent.name or NUMBER.sub("", path.stem).strip("_-. ") or "frames"
            found.setdefault(text, ClipSource(path, name))
        else:
            base, parts = folders.split(text, False)
            matches = [p for p in folders.expand(base, parts) if p.is_file()]
            if not matches:
                problems.append(f"{path}: no such file or folder")
            for each in matches:
                found.setdefault(os.path.realpath(each), ClipSource(each, each.stem, found=True))
    return list(found.values()), problems


def open_clip(source: ClipSource, *, rate: Fraction, deep: bool = False, max_pixels: int) -> Clip:
    """Open a clip.

    Args:
        source: Where it is.
        rate: Frames a second of numbered pictures.
        deep: Whether frames of more than 8 bits become uint16.
        max_pixels: Refuse frames of more pixels.

    Raises:
        VideoError, ImageError: If it cannot be read.
    """
    how = {"deep": deep, "max_pixels": max_pixels}
    if source.is_sequence:
        return SequenceClip(source.path, rate, **how)
    if content_of(source.path) == "picture":
        raise VideoError(f"{source}: is a single picture, no clip. Use `adain stylize`.")
    if source.is_animation:
        return AnimationClip(source.path, **how)
    from adain.video.reader import VideoClip

    return VideoClip(source.path, **how)


def content_of(path: Path) -> str:
    """What a file is by its content: "video", "picture", "animation", or "" where that is unknown.

    TGA pictures have no signature, and are known by their name only.
    """
    if not path.is_file():
        return ""
    head = read_head(path)
    try:
        found = format_of(head, str(path))
        if found.name == "TGA":
            return ""
        moves = found.animated and imaging.is_animated(path)
    except imaging.ImageError:
        return "video" if is_video(head) else ""
    return "animation" if moves else "picture"


def is_clip(text: str) -> bool:
    """Whether a path that `adain stylize` is given names a clip rather than a picture.

    Content decides where it tells; animations are clips if they are called like videos.
    """
    path = Path(text)
    named = path.suffix.lower() in VIDEO_SUFFIXES or (is_pattern(path) and not path.exists())
    return {"video": True, "picture": False}.get(content_of(path), named)
