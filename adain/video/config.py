"""Settings of `adain video`, field for field its flags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from adain.options import NOT_NEGATIVE, Range, UsageError, flag, require, shared
from adain.stylize.config import STYLES, Inputs, StylizeOptions

_TIME = re.compile(r"(?:(\d+):)?(?:(\d+):)?(\d+(?:\.\d+)?)(ms|s|m|h)?")
_LONGEST = 10**8
"""Seconds of a time, three years."""
_UNITS = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600)}


def parse_time(text: str, name: str) -> Fraction:
    """Seconds: `12.5`, `12.5s`, `1m`, `1:30`, `0:01:30`.

    Raises:
        UsageError: If it is none of these.
    """
    match = _TIME.fullmatch(text.strip())
    if not match or (match[1] and match[4]):
        raise UsageError(
            f"{name} must be a time such as 12.5, 12.5s, 2m, 1:30 or 0:01:30. Received: {text!r}"
        )
    first, second, last, unit = match.groups()
    whole = [int(part) for part in (first, second) if part is not None]
    seconds = Fraction(last) * _UNITS[unit or "s"]
    for place, part in enumerate(reversed(whole)):
        seconds += part * 60 ** (place + 1)
    if seconds > _LONGEST:
        raise UsageError(f"{name} must be at most {_LONGEST} seconds. Received: {text!r}")
    return seconds


@dataclass(frozen=True)
class VideoConfig(StylizeOptions, Inputs):
    """Settings of one run over clips: `StylizeOptions`, files, and what concerns time."""

    content_path: tuple[str, ...] = flag(
        (),
        "clips: video files, animated GIF, WebP, APNG or AVIF, or numbered pictures as "
        "frame_%05d.png",
        nargs="+",
        place=True,
        in_plan=True,
    )
    style_path: tuple[str, ...] = flag(
        (),
        STYLES,
        nargs="+",
        short="--style",
        in_plan=True,
    )
    out_path: str = flag(
        "output",
        "folder for the results, or a file: .mp4, .mov, .mkv, .webm, an animation (.gif, .webp, "
        ".png, .avif), or numbered pictures as frame_%05d.png",
        short="-o",
        affects_result=False,
        writes="either",
    )
    mask: tuple[str, ...] = flag(
        (),
        "grey pictures, or clips that move along, white inside: each mask takes the next style, or "
        "all the only one; what no mask covers stays as it is",
        nargs="+",
        in_plan=True,
    )
    style_at: tuple[str, ...] = flag(
        (),
        "styles over time in place of --style, as 0:starry-night 5s:mosaic 1m10s:card.npz",
        nargs="+",
        in_plan=True,
    )
    transition: float = flag(
        1.0, "seconds in which one style of --style-at passes into the next", limits=NOT_NEGATIVE
    )
    stability: float = flag(
        0.5,
        "how much frames follow the ones before: 0 each on its own, 1 most",
        limits=Range(least=0, most=1),
    )
    # As many frames a second as networks can count more there.
    supersample: int = flag(
        0,
        "paint frames of a smaller shorter side enlarged to this, twice at most, and make the "
        "result small again: finer strokes (0: paint them as they are)",
        limits=NOT_NEGATIVE,
    )
    start: str = flag("", "leave out what comes before this time, such as 12.5s or 1:30")
    end: str = flag("", "leave out what comes after this time")
    every: int = flag(
        1,
        "only every so many-th frame, shown as long as all of them",
        limits=Range(least=1, most=10**6),
    )
    preview: int = flag(
        0, "only the first frames, this many (without a number: one)", limits=NOT_NEGATIVE, const=1
    )
    rate: str = flag(
        "", "frames a second of numbered pictures, such as 24 or 30000/1001 (default: 25)"
    )
    concat: bool = flag(False, "clip and result side by side")
    codec: str = flag(
        "",
        "h264, hevc, vp9, av1, mpeg4, prores, ffv1, png, or another of FFmpeg's encoders (default: "
        "h264; for .webm vp9)",
    )
    crf: int | None = flag(
        None,
        "quality of the encoder, lower is better and larger (default: 20 for h264)",
        type=int,
        limits=NOT_NEGATIVE,
    )
    encoder_preset: str = flag(
        "", "speed of the encoder, in its own words: medium or slow for h264, 6 for av1"
    )
    pixel_format: str = flag(
        "", "FFmpeg's name of the pixel format, such as yuv420p10le (default: what suits the clip)"
    )
    sound: bool = flag(True, "copy sound, subtitles and chapters")
    quality: int = shared("quality")
    overwrite: bool = flag(
        False,
        "replace results that are there already; without, finished ones are skipped",
        affects_result=False,
    )
    dry_run: bool = flag(False, "only list what would be done", affects_result=False)
    json: bool = shared("json")
    quiet: bool = shared("quiet")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "alpha", len(self.alpha) > 0, "at least one number")
        require(self, "content_path", len(self.content_path) > 0, "at least one clip")
        require(self, "feather", self.feather == 0 or len(self.mask) > 0, "0 without --mask")
        require(self, "out_path", self.out_path not in ("", "-"), "a file or a folder")
        if bool(self.style_path) == bool(self.style_at):
            raise UsageError("Give either --style or --style-at. Received: both or neither")
        start = self.start_time
        if self.end_time is not None and self.end_time <= start:
            shown = self.start or "0"
            raise UsageError(f"--end must be after --start. Received: {self.end} and {shown}")
        self.frame_rate  # noqa: B018, checked here

    @property
    def start_time(self) -> Fraction:
        """`start` in seconds."""
        return parse_time(self.start, "--start") if self.start else Fraction(0)

    @property
    def end_time(self) -> Fraction | None:
        """`end` in seconds; None: to the end."""
        return parse_time(self.end, "--end") if self.end else None

    @property
    def frame_rate(self) -> Fraction:
        """`rate`, 25 where it is left out."""
        try:
            found = Fraction(self.rate or "25")
        except (ValueError, ZeroDivisionError):
            found = Fraction(0)
        # A well-known rate, written as people write it.
        found = {
            Fraction("23.976"): Fraction(24000, 1001), Fraction("23.98"): Fraction(24000, 1001),
            Fraction("29.97"): Fraction(30000, 1001), Fraction("59.94"): Fraction(60000, 1001),
        }.get(found, found)  # fmt: skip
        good = 0 < found <= 1000
        require(self, "rate", good, "frames a second, such as 24, 29.97 or 30000/1001")
        return found
