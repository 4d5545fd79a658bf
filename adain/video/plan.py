"""What `adain video` is going to make, and what is wrong with some of it, before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from adain.imaging import io as imaging
from adain.options import UsageError
from adain.outputs import check_folder, check_out_path, check_outputs, fit_name
from adain.presets.preset import Preset
from adain.sources import Source, disambiguate, find_sources
from adain.stylize.history import History, State
from adain.stylize.plan import fitting_styles, read_mask
from adain.stylize.planned import PlannedRegion, PlannedResult, name, planned_regions
from adain.video.checkpoint import checkpoint_folder
from adain.video.codecs import CONTAINERS
from adain.video.config import VideoConfig
from adain.video.encoder import encoding_of
from adain.video.sequences import NUMBER, is_pattern, is_picture, name_of, numbered
from adain.video.sources import ClipSource, find_clips, is_clip
from adain.video.styles import split_at


@dataclass(frozen=True)
class PlannedClip:
    """A result: a clip, how it is stylised, and where it goes."""

    result: PlannedResult
    times: tuple[Fraction, ...] = ()
    """Of `--style-at`, when each of the styles begins; each region then has all of them."""

    @property
    def content(self) -> ClipSource:
        return self.result.content  # pyright: ignore[reportReturnType]

    @property
    def output(self) -> Path:
        return self.result.output  # pyright: ignore[reportReturnType]

    def __str__(self) -> str:
        return str(self.result)


@dataclass(frozen=True)
class VideoPlan:
    """All results of a run, by what there is where they go."""

    ready: list[PlannedClip]
    finished: list[PlannedClip]
    refused: list[str]
    """One line for each that would replace something else."""
    problems: list[str]
    """One line for each path without clips, and each folder that cannot be written."""
    notes: list[str]


def plan_clips(config: VideoConfig, history: History) -> VideoPlan:
    """All results to make.

    Raises:
        UsageError: If the numbers of styles, weights, masks and strengths do not fit; if results
            would have the same name, or replace an input; if `--out-path` cannot be written.
        PresetError: If there are no such weights.
    """
    _check_output(config)
    preset = Preset.load(config.checkpoint)
    clips, problems = find_clips(config.content_path)
    times, names = (), config.style_path
    if config.style_at:
        pairs = split_at(config.style_at)
        times, names = tuple(t for t, _ in pairs), tuple(style for _, style in pairs)
    mixed = config.mask or config.style_mix or config.style_interp_weights or times
    styles, more, notes = find_sources(
        names, cards=True, library=preset.styles, repeats=bool(mixed), out_path=config.out_path
    )
    if more and mixed:
        # Their numbers must fit.
        raise UsageError(more[0])
    problems += more
    styles, unfit = fitting_styles(config, preset, styles)
    if times and len(styles) != len(times):
        raise UsageError("--style-at takes one picture or style card for each time.")
    if unfit and not styles and not more:
        problems.append(f"{' '.join(names)}: no style that can be used")
    masks = _find_masks(config)
    clips = disambiguate(clips, lambda clip: (clip.title, _suffix(clip)))
    styles = disambiguate(styles, lambda source: source.flat)
    options = _options(config, styles, masks, times) if styles else []
    planned = [
        PlannedClip(PlannedResult(clip, regions, _output(config, clip, regions)), times)
        for clip in clips
        for regions in options
    ]
    if _is_file(config.out_path) and len(planned) > 1:
        raise UsageError(
            f"--out-path {config.out_path} is one file, but there are {len(planned)} results. "
            "Give a folder."
        )
    moving = [clip for clip in [*clips, *masks] if isinstance(clip, ClipSource)]
    if config.rate and moving and not any(clip.is_sequence for clip in moving):
        raise UsageError(f"--rate is for numbered pictures. {moving[0]} has its own")
    check_outputs(config.out_path, planned, [*clips, *styles, *masks])
    _check_encoders(config, planned)
    for clip in planned:
        if clip.content.is_sequence and {*map(_real, _written(clip))} & {
            *map(_real, numbered(clip.content.path).values())
        }:
            raise UsageError(f"{clip.output} are inputs; choose another --out-path.")
    return _sort_out(planned, history, problems, [*notes, *unfit])


def _check_encoders(config: VideoConfig, planned: Sequence[PlannedClip]) -> None:
    suffixes = {clip.output.suffix.lower() for clip in planned}
    for setting in ("codec", "crf", "encoder_preset", "pixel_format"):
        given = getattr(config, setting) not in ("", None)
        if given and planned and not suffixes & {*CONTAINERS}:
            raise UsageError(
                f"--{setting.replace('_', '-')} is for {' '.join(CONTAINERS)}. The results are "
                f"{' '.join(sorted(suffixes))}"
            )
    for suffix in sorted(suffixes & {*CONTAINERS}):
        encoding_of(config, suffix).check_settings(suffix)


def _real(path: Path) -> str:
    return str(path.resolve())


def _written(clip: PlannedClip) -> list[Path]:
    """The pictures that numbered results have already, or may get."""
    if not is_pattern(clip.output):
        return [clip.output]
    numbers = numbered(clip.content.path) if clip.content.is_sequence else {1: Path()}
    return [name_of(clip.output, number) for number in numbers]


def _options(
    config: VideoConfig, styles: list[Source], masks: list[Source], times: Sequence[Fraction]
) -> list[tuple[PlannedRegion, ...]]:
    """The regions of each result."""
    if not times:
        if not masks and len(config.alpha) > 1:
            raise UsageError(
                f"--alpha takes one number without --mask. Received: {len(config.alpha)}"
            )
        return planned_regions(config, styles, masks)
    if config.style_interp_weights or config.style_mix:
        raise UsageError("--style-at takes the place of mixing: no --style-mix, no weights.")
    # All styles, once for each mask; which of them is shown is a matter of time.
    together = replace(config, style_mix=True)
    return planned_regions(together, styles, masks)


def _find_masks(config: VideoConfig) -> list[Source]:
    masks: list[Source] = []
    for text in config.mask:
        if is_clip(text) or _is_animation(text):
            clips, problems = find_clips([text])
            masks += clips
        else:
            found, problems, _ = find_sources([text], repeats=True)
            for mask in found:
                read_mask(mask, config.max_pixels)
            masks += found
        if problems:
            raise UsageError(f"--mask: {problems[0]}")
    return masks


def _is_animation(text: str) -> bool:
    path = Path(text)
    if path.suffix.lower() not in imaging.ANIMATED_SUFFIXES or not path.is_file():
        return False
    try:
        return imaging.is_animated(path)
    except imaging.ImageError as error:
        raise UsageError(f"--mask: {error}") from error


# === Results ===


def _is_file(out_path: str) -> bool:
    path = Path(out_path)
    known = {*CONTAINERS, *imaging.WRITABLE_SUFFIXES}
    return not path.is_dir() and not out_path.endswith("/") and path.suffix.lower() in known


def _check_output(config: VideoConfig) -> None:
    suffixes = [*CONTAINERS, *sorted(imaging.ANIMATED_SUFFIXES)]
    path = Path(config.out_path)
    if NUMBER.search(path.name) and is_picture(path):
        if not is_pattern(path) or path.suffix.lower() not in imaging.WRITABLE_SUFFIXES:
            raise UsageError(
                f"--out-path {path}: numbered pictures are called as frame_%05d.png, with one "
                f"number and one of {' '.join(sorted(imaging.WRITABLE_SUFFIXES))}"
            )
        return
    if config.preview == 1:
        suffixes += sorted(imaging.WRITABLE_SUFFIXES - imaging.ANIMATED_SUFFIXES)
    check_out_path(config.out_path, suffixes)


def _suffix(clip: ClipSource) -> str:
    """The suffix of a clip's results: its own, or .mp4."""
    suffix = clip.path.suffix.lower() if clip.path else ""
    # A video that is called like a picture would lose colours and frames as one.
    kept = {*CONTAINERS, *(imaging.ANIMATED_SUFFIXES if clip.is_animation else ())}
    return suffix if suffix in kept or clip.is_sequence else ".mp4"


def _output(config: VideoConfig, clip: ClipSource, regions: tuple[PlannedRegion, ...]) -> Path:
    if _is_file(config.out_path):
        return Path(config.out_path)
    *inner, stem = Path(clip.title).parts
    folder = Path(config.out_path, *inner)
    tail = f"_stylized_{name(regions)}"
    if clip.is_sequence:
        suffix = clip.path.suffix.lower()
        suffix = suffix if suffix in imaging.WRITABLE_SUFFIXES else ".png"
        return folder / fit_name(folder, stem, tail, "") / f"{clip.path.stem}{suffix}"
    return folder / fit_name(folder, stem, tail, _suffix(clip))


def _sort_out(
    planned: list[PlannedClip], history: History, problems: list[str], notes: list[str]
) -> VideoPlan:
    """What to do, from what there is."""
    ready, finished, refused = [], [], []
    for clip in planned:
        numbers = is_pattern(clip.output)
        first = _first(clip) if numbers else clip.output
        state, reason = history.look(replace(clip.result, output=first))
        # Numbered pictures are there before the last one is.
        begun = numbers and checkpoint_folder(clip.output).is_dir()
        if state is State.OTHER:
            refused.append(reason)
        elif state is State.FINISHED and not begun:
            finished.append(clip)
        elif reason := check_folder(clip.output.parent):
            problems.append(f"{reason} {clip.output} is not made.")
        else:
            ready.append(clip)
    return VideoPlan(ready, finished, refused, problems, list(dict.fromkeys(notes)))


def _first(clip: PlannedClip) -> Path:
    return name_of(clip.output, first_number(clip))


def first_number(clip: PlannedClip) -> int:
    """The number of the first of numbered pictures: that of the clip's, or 1."""
    if clip.content.is_sequence:
        return min(numbered(clip.content.path), default=1)
    return 1
