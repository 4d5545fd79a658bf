"""Carrying out a plan: clips, styles and masks opened, results encoded, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from adain.files import remove_leftovers
from adain.imaging import io as imaging
from adain.inference.stylizer import Stylizer
from adain.outcomes import reason_of
from adain.presets.preset import Preset
from adain.stylize.history import History
from adain.stylize.inputs import Lazy, StyleMix, fitted_size, source_style
from adain.stylize.pipeline import StylizePipeline
from adain.stylize.plan import read_mask
from adain.stylize.planned import PlannedRegion
from adain.video.animations import AnimationOutput
from adain.video.checkpoint import Checkpoint
from adain.video.clip import Clip, Part
from adain.video.codecs import CONTAINERS
from adain.video.config import VideoConfig
from adain.video.encoder import Encoding, encoding_of
from adain.video.masks import MaskAt, MovingMask
from adain.video.outputs import Output, PicturesOutput, VideoOutput
from adain.video.plan import PlannedClip, first_number
from adain.video.reader import VideoClip
from adain.video.render import Renderer, StyledRegion
from adain.video.sequences import AnimationClip, is_pattern
from adain.video.sources import ClipSource, open_clip
from adain.video.stages import Clock
from adain.video.styles import Schedule
from adain.video.tracks import find_tracks


@dataclass
class ClipOutcome:
    """What became of one result."""

    content: str
    style: str
    output: str
    frames: int = 0
    """How many were stylised in this run."""
    seconds: float = 0.0
    shares: str = ""
    """Where the time went."""
    network: float = 0.0
    """Seconds that the networks took."""
    error: str = ""
    """Why there is no result."""
    problems: tuple[str, ...] = ()
    """What could not be read or copied; the result holds the rest."""
    skipped: bool = False
    """Whether the result was finished before."""


def skipped(clip: PlannedClip) -> ClipOutcome:
    """The outcome of a result that was finished before."""
    return replace(_outcome(clip), skipped=True)


def _outcome(clip: PlannedClip) -> ClipOutcome:
    styles = " + ".join(map(str, clip.result.styles))
    return ClipOutcome(str(clip.content), styles, str(clip.output))


def render_clips(
    config: VideoConfig,
    planned: list[PlannedClip],
    history: History,
    watch: Callable[[PlannedClip, int, int], Callable[[int], None]],
    tell: Callable[[str], None],
    stylizer: Stylizer | None = None,
) -> Iterator[ClipOutcome]:
    """Make all results; a failure of one leaves the others alone.

    Args:
        config: The settings.
        planned: What is to be made.
        history: Records how results were made.
        watch: Called with a result, its number of frames (0: not known) and how many are finished;
            gives what is called after each frame.
        tell: Called with notices.
        stylizer: Networks that are loaded already.
    """
    options = {item: getattr(config, item) for item in _OPTIONS}
    pipeline = StylizePipeline(stylizer=stylizer or _load_networks(config), **options)
    for clip in planned:
        outcome = _outcome(clip)
        job = _Job(config, pipeline, clip, history, tell, outcome)
        outcome.error = reason_of(lambda job=job: job.run(watch))
        yield outcome


_OPTIONS = (
    "checkpoint", "engine", "precision", "style_size", "crop_size", "keep_colors", "palette",
    "stroke", "supersample", "passes", "refine", "feather", "tile", "max_memory", "max_pixels",
)  # fmt: skip
"""Options of the pipeline; the others concern pictures' sizes, and are ours."""
_MOST_LANES = 8
"""Frames that are processed at the same time, at most: each takes memory."""


def _load_networks(config: VideoConfig) -> Stylizer:
    """Small networks work on a frame for each core: they gain less by sharing one."""
    from adain.engines.engine import count_cores
    from adain.engines.registry import load_stylizer

    preset = Preset.load(config.checkpoint)
    if not preset.architecture.small:
        return load_stylizer(preset, config.engine, precision=config.precision)
    lanes = min(count_cores(), _MOST_LANES)
    return load_stylizer(preset, config.engine, threads=1, lanes=lanes, precision=config.precision)


class _Job:
    """One result."""

    def __init__(
        self,
        config: VideoConfig,
        pipeline: StylizePipeline,
        clip: PlannedClip,
        history: History,
        tell: Callable[[str], None],
        outcome: ClipOutcome,
    ):
        self._config, self._pipeline, self._planned = config, pipeline, clip
        self._history, self._tell, self._outcome = history, tell, outcome
        self._masks: list[MovingMask] = []

    def run(self, watch: Callable[[PlannedClip, int, int], Callable[[int], None]]) -> None:
        config, planned = self._config, self._planned
        clip = self._open(planned.content, deep=False)
        part = Part(config.start_time, config.end_time, config.every, config.preview)
        size, result_size = self._sizes(clip)
        suffix = planned.output.suffix.lower()
        video = suffix in CONTAINERS
        alpha = clip.has_alpha
        encoding = self._encoding(clip, result_size, alpha) if video else None
        if self._is_deep(clip, encoding):
            clip = self._open(planned.content, deep=True)
        for note in clip.notes:
            self._tell(note)
        if (
            encoding is not None
            and encoding.format.startswith("yuv444")
            and not config.pixel_format
        ):
            if encoding.codec in ("h264", "hevc", "vp9"):
                self._tell(
                    f"{planned.output}: {result_size[1]} x {result_size[0]} has an odd side, which "
                    "needs 4:4:4 colours; some players do not show them"
                )
        regions = [self._region(region) for region in planned.result.regions]
        # By now all but the clip has been read.
        text = self._history.describe(planned.result)
        clock = Clock()
        renderer = Renderer(
            self._pipeline,
            regions,
            stability=config.stability,
            rate=clip.facts.rate / part.every,
            size=size,
            concat=config.concat,
            clock=clock,
        )
        folder = planned.output.parent
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers([folder])
        checkpoint = None
        if video or is_pattern(planned.output) or suffix not in imaging.ANIMATED_SUFFIXES:
            checkpoint = Checkpoint(planned.output, json.loads(text)["inputs"])
        finished = False
        try:
            output = self._output(clip, part, encoding, checkpoint, text, clock)
            told = len(clip.notes)
            reached = output.reached().frames
            on_frame = watch(planned, part.count(clip.facts), reached)
            self._outcome.frames = renderer.run(clip, part, output, on_frame)
            for note in clip.notes[told:]:
                self._tell(note)
            masks = [f"--mask {line}" for mask in self._masks for line in mask.clip.problems]
            self._outcome.problems = (*clip.problems, *masks, *output.problems)
            finished = True
        finally:
            self._outcome.seconds = clock.elapsed
            self._outcome.shares = clock.shares()
            self._outcome.network = clock.seconds["network"]
            if checkpoint is not None:
                checkpoint.close(finished=finished)

    def _open(self, source: ClipSource, *, deep: bool) -> Clip:
        config = self._config
        return open_clip(source, rate=config.frame_rate, deep=deep, max_pixels=config.max_pixels)

    # === Sizes and formats ===

    def _sizes(self, clip: Clip) -> tuple[tuple[int, int] | None, tuple[int, int]]:
        """Size that frames are resized to, None for their own, and size of the result."""
        config, name = self._config, clip.facts.name
        sizes = (config.content_size, config.crop_size, config.max_pixels, name)
        resized, cut = fitted_size(clip.facts.size, *sizes)
        size = None
        if config.content_size and resized != clip.facts.size:
            # Most encoders take even sides only, and the exact size is nobody's wish.
            size = tuple(max(2, side + side % 2) for side in resized)
            cut = tuple(min(side, config.crop_size or side) for side in size)
        height, width = cut
        return size, (height, width * (1 + config.concat))

    def _encoding(self, clip: Clip, size: tuple[int, int], alpha: bool) -> Encoding:
        config, suffix = self._config, self._planned.output.suffix.lower()
        rate = clip.facts.rate / config.every
        encoding = encoding_of(config, suffix, size, rate, clip.facts.ticks, alpha)
        if isinstance(clip, VideoClip):
            encoding = replace(encoding, tags=clip.tags, pixel_aspect=clip.pixel_aspect)
        encoding.check()
        return encoding

    def _is_deep(self, clip: Clip, encoding: Encoding | None) -> bool:
        if not clip.is_deep:
            return False
        if encoding is not None:
            return encoding.is_deep
        return self._planned.output.suffix.lower() in (".png", ".apng", ".tif", ".tiff")

    def _output(
        self,
        clip: Clip,
        part: Part,
        encoding: Encoding | None,
        checkpoint: Checkpoint | None,
        text: str,
        clock: Clock,
    ) -> Output:
        config, target = self._config, self._planned.output

        def keep(path, file):
            self._history.keep(path, file, text)

        if encoding is not None:
            tracks = None
            if isinstance(clip, VideoClip) and config.sound:
                whole = not part.start and part.end is None and not part.most
                found = find_tracks(clip.path, target.suffix.lower(), part.start, part.end, whole)
                tracks, left = found
                for line in left:
                    self._tell(line)
            return VideoOutput(target, encoding, tracks, checkpoint, keep, clock, self._tell)
        if checkpoint is not None:
            first = first_number(self._planned)
            return PicturesOutput(
                target, first, config.quality, text, keep, checkpoint, clock, self._tell
            )
        loop = clip.facts.loop if isinstance(clip, AnimationClip) else 0
        return AnimationOutput(target, config.quality, loop, text, keep, clock)

    # === Regions ===

    def _region(self, planned: PlannedRegion) -> StyledRegion:
        limit = self._config.max_pixels
        styles = [source_style(style, limit) for style in planned.styles]
        if self._planned.times:
            schedule = Schedule(self._planned.times, styles, self._config.transition)
            style_at = schedule.at
        else:
            mixed = StyleMix(styles, planned.weights)

            def style_at(time: Fraction):
                return mixed

        return StyledRegion(style_at, planned.alpha, self._mask(planned))

    def _mask(self, planned: PlannedRegion) -> MaskAt | None:
        source = planned.mask
        if source is None:
            return None
        if isinstance(source, ClipSource):
            clip = self._open(source, deep=False)
            moving = MovingMask(clip, self._config.start_time)
            self._masks.append(moving)

            def mask_at(time: Fraction) -> Lazy | None:
                found = moving.at(time)
                return None if found is None else Lazy((source, time), lambda: found, str(source))

            return mask_at
        mask = Lazy(source, lambda: picture, str(source))
        picture = read_mask(source, self._config.max_pixels)
        return lambda time: mask
