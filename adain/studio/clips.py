"""Clips in place of photos, where the extra `video` is installed."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from adain import extras
from adain.inference.stylizer import Stylizer
from adain.presets.preset import Preset
from adain.studio.uploads import UploadError
from adain.stylize.config import StylizeConfig
from adain.stylize.history import History
from adain.stylize.inputs import Planes

_SHOWN = Fraction(1, 4)
"""Where in a clip the frame is that previews are painted of; many begin black."""


class Glimpse(NamedTuple):
    """A frame of a clip, and what is known of all."""

    frame: Planes
    frames: int
    """0: not known."""
    seconds: float
    """0: not known."""


def can_clips() -> bool:
    """Whether clips can be read here."""
    return all(map(extras.is_installed, extras.EXTRAS["video"]))


def is_clip(name: str) -> bool:
    """Whether a file is called like a video."""
    from adain.video.codecs import VIDEO_SUFFIXES

    return Path(name).suffix.lower() in VIDEO_SUFFIXES


def glimpse(path: Path, max_pixels: int) -> Glimpse:
    """Look into a clip.

    Raises:
        MissingExtra: If the extra is not installed.
        VideoError: If it cannot be read.
    """
    extras.require("video", "a clip")
    from adain.video.reader import VideoClip

    clip = VideoClip(path, deep=False, max_pixels=max_pixels)
    facts = clip.facts
    for start in (facts.length * _SHOWN, Fraction(0)):
        for frame in clip.frames(start):
            return Glimpse(Planes(frame.colors, frame.alpha), facts.frames, float(facts.length))
    raise UploadError(f"{path}: has no frames that can be read.")


def paint_clip(
    config: StylizeConfig, stylizer: Stylizer, report: Callable[[float], None]
) -> tuple[Path, float, tuple[str, ...]]:
    """What `adain stylize` makes of a clip.

    Args:
        config: The settings; the content is the clip.
        stylizer: Networks that are loaded already.
        report: Called with how much is done, in [0, 1]; what it raises ends the run.

    Returns:
        The file, seconds that it took, and a line for each thing that could not be copied.

    Raises:
        ValueError: If something does not fit, or fails.
    """
    from adain.video.command import as_video
    from adain.video.plan import plan_clips
    from adain.video.run import render_clips

    settings = as_video(config, config.content_path)
    history = History(settings, Preset.load(config.checkpoint))
    plan = plan_clips(settings, history)
    if not plan.ready:
        raise UploadError([*plan.problems, *plan.refused, "it cannot be painted"][0])

    def watch(planned, total: int, done: int) -> Callable[[int], None]:
        finished = done

        def on_frame(count: int) -> None:
            nonlocal finished
            finished += count
            report(min(finished / total, 1.0) if total else 0.0)

        return on_frame

    (outcome,) = render_clips(settings, plan.ready, history, watch, lambda text: None, stylizer)
    if outcome.error:
        raise UploadError(outcome.error)
    return Path(outcome.output), outcome.seconds, outcome.problems
