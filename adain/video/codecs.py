"""The encoders and containers of results; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class VideoCodec:
    """An encoder, and how its quality and effort are set."""

    encoder: str
    """FFmpeg's name of it."""
    help: str
    quality: str = "crf"
    """The encoder's option that `--crf` sets; "": it has none."""
    crf: int | None = None
    """Its value where `--crf` is not given; lower is better."""
    best: int = 0
    worst: int = 51
    """The smallest and the largest value that it takes."""
    effort: str = "preset"
    """The option that `--encoder-preset` sets; "": it has none."""
    preset: str = ""
    """Its value where `--encoder-preset` is not given."""
    presets: str = ""
    """What it takes, in words."""
    pixel_format: str = "yuv420p"
    """That of frames with even sides."""
    odd: str = "yuv444p"
    """That of frames with an odd side, where `pixel_format` halves the sides."""
    alpha: str = ""
    """That of frames with transparency; "": none is kept."""
    options: Mapping[str, str] = field(default_factory=dict)


_X26 = "ultrafast, superfast, veryfast, faster, fast, medium, slow, slower or veryslow"

CODECS = {
    # With "medium" it would take half the time of the network; textures cost many bits anyway.
    "h264": VideoCodec(
        "libx264", "H.264, plays everywhere", crf=20, preset="veryfast", presets=_X26
    ),
    "hevc": VideoCodec(
        "libx265",
        "H.265, smaller files",
        crf=22,
        preset="veryfast",
        presets=_X26,
        options={"x265-params": "log-level=error"},
    ),
    "vp9": VideoCodec(
        "libvpx-vp9",
        "VP9, for .webm",
        crf=30,
        worst=63,
        effort="cpu-used",
        preset="6",
        presets="0 to 8",
        options={"deadline": "good", "b": "0", "row-mt": "1"},
    ),
    "av1": VideoCodec(
        "libsvtav1",
        "AV1, the smallest files",
        crf=30,
        worst=63,
        preset="10",
        presets="0 to 13",
        odd="yuv420p",
    ),
    "mpeg4": VideoCodec(
        "mpeg4",
        "MPEG-4 part 2, for old players",
        quality="qscale",
        crf=3,
        best=1,
        worst=31,
        effort="",
        odd="yuv420p",
    ),
    "prores": VideoCodec(
        "prores_ks",
        "ProRes, for cutting; keeps transparency",
        quality="",
        effort="profile",
        presets="0 to 5",
        pixel_format="yuv422p10le",
        odd="yuv444p10le",
        alpha="yuva444p10le",
    ),
    "ffv1": VideoCodec(
        "ffv1",
        "lossless; keeps transparency",
        quality="",
        effort="",
        pixel_format="bgr0",
        odd="bgr0",
        alpha="bgra",
        options={"level": "3"},
    ),
    "png": VideoCodec(
        "png",
        "lossless; keeps transparency",
        quality="",
        effort="",
        pixel_format="rgb24",
        odd="rgb24",
        alpha="rgba",
    ),
}
"""What `--codec` takes, besides any other of FFmpeg's encoders."""

CONTAINERS = {
    ".mp4": "h264", ".m4v": "h264", ".mov": "h264", ".mkv": "h264", ".webm": "vp9",
}  # fmt: skip
"""Suffixes of results that hold video, and the codec of each by default."""

MUXERS = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm",
}  # fmt: skip
"""FFmpeg's names of what writes them."""

VIDEO_SUFFIXES = frozenset(
    {*CONTAINERS, ".avi", ".mpg", ".mpeg", ".m2ts", ".mts", ".ts", ".wmv", ".flv", ".3gp", ".ogv",
     ".mxf", ".vob", ".y4m", ".h264", ".hevc", ".265", ".264", ".ivf", ".nut", ".dv"}
)  # fmt: skip
"""Suffixes by which `stylize.py` knows that a content is a clip."""
