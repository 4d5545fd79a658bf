"""What a result takes over from its source besides the picture, and what it cannot hold."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.stream import Disposition

from adain.video.clip import VideoError
from adain.video.codecs import MUXERS
from adain.video.reader import open_container

_COPIED = ("audio", "subtitle", "attachment")
COVERS = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}
"""Names and types by which players of Matroska know cover pictures."""


class Tracks(NamedTuple):
    """What a result takes over from its source besides the picture."""

    path: Path
    streams: tuple[int, ...]
    """Indices of the streams that are copied."""
    start: Fraction
    """Seconds of the source's time at which the result begins."""
    end: Fraction | None
    """Seconds after its beginning at which the result ends; None: all that there is."""
    whole: bool
    """Whether chapters fit, because all of the clip is used."""


def find_tracks(
    path: Path, suffix: str, start: Fraction, end: Fraction | None, whole: bool
) -> tuple[Tracks, list[str]]:
    """The sound, subtitles and attachments of a source that a result can hold.

    Args:
        path: The source.
        suffix: Of the result.
        start, end: Seconds from the source's beginning.
        whole: Whether all of it is used.

    Returns:
        The tracks, and a line for each one that is left out.

    Raises:
        VideoError: If a sound track cannot be held.
    """
    kept, left = [], []
    with open_container(path) as source:
        begin = Fraction(source.start_time or 0, av.time_base)
        for stream in source.streams:
            if stream.type not in _COPIED and not is_cover(stream):
                continue
            codec = getattr(stream.codec_context, "name", None) or "of an unknown codec"
            if _holds(suffix, stream):
                kept.append(stream.index)
            elif stream.type == "audio":
                raise VideoError(
                    f"{path}: {suffix} cannot hold its sound ({codec}) as it is. {_remedy(stream)}"
                )
            else:
                kind = {"video": "cover picture"}.get(stream.type, stream.type)
                kind += f" ({codec})" if stream.type != "attachment" else ""
                left.append(f"{path}: its {kind} is left out, which {suffix} cannot hold")
    return Tracks(path, tuple(kept), begin + start, end, whole), left


def is_cover(stream) -> bool:
    """Whether a stream is a picture that stands for all of the file."""
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def _holds(suffix: str, stream) -> bool:
    """Whether a result takes a stream as it is."""
    if stream.type == "attachment":
        return MUXERS[suffix] == "matroska"
    if is_cover(stream) and MUXERS[suffix] == "matroska":
        return stream.codec_context is not None and stream.codec_context.name in COVERS
    with av.open(io.BytesIO(), "w", format=MUXERS[suffix]) as out:
        try:
            out.add_stream_from_template(stream)
        except (av.error.FFmpegError, ValueError, AttributeError, KeyError):
            return False
    return True


def _remedy(stream) -> str:
    """What to do about sound that a result cannot hold."""
    names = [suffix for suffix in (".mkv", ".mov", ".mp4") if _holds(suffix, stream)]
    others = f"Write {names[0]}, or use" if names else "Use"
    return f"{others} --no-sound."
