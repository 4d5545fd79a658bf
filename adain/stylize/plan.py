"""What `adain stylize` is going to paint: every result, its styles, masks and strengths."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adain.imaging import io as imaging
from adain.imaging.color_methods import changes_style
from adain.inference.style_code import StyleCode
from adain.options import UsageError
from adain.outputs import (
    check_folder,
    check_out_path,
    check_outputs,
    output_path,
    result_suffix,
)
from adain.presets.preset import Preset
from adain.sources import Source, find_sources, is_card, read_source, tell_apart
from adain.stylize import sheets
from adain.stylize.config import StylizeConfig
from adain.stylize.history import History, State
from adain.stylize.inputs import Planes, fit_mask, to_mask

_NAMES = 3
"""Names of results tell so many styles; more would make too long a name."""


@dataclass(frozen=True)
class PlannedRegion:
    """Styles mixed into one, with a strength, on the whole photo or inside a mask."""

    styles: tuple[Source, ...]
    weights: tuple[float, ...]
    """One for each style; they sum to 1."""
    alpha: float
    mask: Source | None = None


@dataclass(frozen=True)
class PlannedResult:
    """One result: a photo, what is painted on it, and where it goes."""

    content: Source
    regions: tuple[PlannedRegion, ...]
    """Of a contact sheet none."""
    output: Path | None
    """None: standard output."""
    sheet: sheets.Rows = ()
    """Of a contact sheet, its pictures."""

    @property
    def cells(self) -> list[tuple[PlannedRegion, ...]]:
        """The regions of all pictures that have to be painted."""
        cells = [cell.regions for row in self.sheet for cell in row] or [self.regions]
        return [regions for regions in cells if regions]

    @property
    def styles(self) -> list[Source]:
        """All styles, each once, in order."""
        return list(
            dict.fromkeys(
                style for regions in self.cells for region in regions for style in region.styles
            )
        )

    @property
    def masks(self) -> list[Source]:
        """All masks, each once, in order."""
        masks = (region.mask for regions in self.cells for region in regions)
        return list(dict.fromkeys(mask for mask in masks if mask is not None))

    def __str__(self) -> str:
        return f"{self.content} with {' + '.join(map(str, self.styles))}"


# === Planning ===


@dataclass(frozen=True)
class Plan:
    """All results of a run, by what there is where they go."""

    ready: list[PlannedResult]
    """To be made, those of `changed` among them."""
    finished: list[PlannedResult]
    """There already."""
    changed: list[PlannedResult]
    """There already, but made from other files of the same names."""
    refused: list[str]
    """One line for each that would replace something else."""
    problems: list[str]
    """One line for each path without pictures, and each folder that cannot be written."""
    failed: int
    """How many problems there are: each path, and each result that a folder does not take."""
    notes: list[str]
    """One line for each folder in which files were left out, and each style card passed over."""


def plan_results(config: StylizeConfig) -> Plan:
    """All results to make, and what is wrong with some of them.

    Everything that can be known to go wrong is found here, before any work.

    Raises:
        UsageError: If the numbers of styles, weights, masks and strengths do not fit; if a style
            card that was named is broken or of other weights, or a mask empty; if results would
            have the same name, or replace an input; if `--out-path` cannot be written.
        PresetError: If there are no such weights.
    """
    check_out_path(config.out_path)
    preset = Preset.load(config.checkpoint)
    history = History(config, preset)
    where = {"out_path": config.out_path, "is_result": history.is_result}
    contents, problems, notes = find_sources(config.content_path, **where)
    # Without a mix the same style twice would be the same result twice.
    mixed = config.mask or config.style_mix or config.style_interp_weights or config.sheet == "mix"
    styles, more, more_notes = find_sources(
        config.style_path,
        cards=True,
        library=preset.styles,
        repeats=bool(mixed),
        **where,
    )
    if more and (config.mask or config.style_mix or config.style_interp_weights):
        # Their numbers must fit.
        raise UsageError(more[0])
    problems += more
    styles, unfit = _fitting_styles(config, preset, styles)
    if unfit and not styles and not more:
        problems.append(f"{' '.join(config.style_path)}: no style that can be used")
    contents = tell_apart(
        contents,
        lambda source: (source.name, result_suffix(source)),
        lambda source: source.path.suffix == result_suffix(source),
    )
    styles = tell_apart(styles, lambda source: source.flat)
    rng = np.random.default_rng(config.seed)
    results: list[PlannedResult] = []
    checked: set[Source] = set()
    for content in contents if styles else ():
        chosen = styles
        if 0 < config.random < len(styles):
            picks = rng.choice(len(styles), config.random, replace=False)
            chosen = [styles[i] for i in sorted(picks)]
        masks = _find_masks(config, content, where)
        for mask in masks:
            if config.crop_size or mask not in checked:
                checked.add(mask)
                _check_cover(config, content, mask, read_mask(mask, config.max_pixels))
        results += _planned_results(config, content, chosen, masks)
    check_outputs(config.out_path, results, [*contents, *styles, *checked])
    notes = list(dict.fromkeys([*notes, *more_notes, *unfit]))
    return _sort_out(results, history, problems, notes)


def _sort_out(
    results: list[PlannedResult], history: History, problems: list[str], notes: list[str]
) -> Plan:
    """What to do, from what there is."""
    ready, finished, changed, refused = [], [], [], []
    unwritable: dict[Path, str] = {}
    blocked: Counter[str] = Counter()
    for result in results:
        state, reason = history.look(result)
        if state is State.OTHER:
            refused.append(reason)
        elif state is State.FINISHED:
            finished.append(result)
        elif reason := _obstacle(result, unwritable):
            blocked[reason] += 1
        else:
            ready.append(result)
            if state is State.CHANGED:
                changed.append(result)
    failed = len(problems) + blocked.total()
    for reason, count in blocked.items():
        problems.append(f"{reason} {count} result{'' if count == 1 else 's'} not made.")
    return Plan(ready, finished, changed, refused, problems, failed, notes)


def _obstacle(result: PlannedResult, known: dict[Path, str]) -> str:
    """Why nothing can be written where a result goes; "" if it can."""
    if result.output is None:
        return ""
    folder = result.output.parent
    if folder not in known:
        known[folder] = check_folder(folder)
    return known[folder]


def _fitting_styles(
    config: StylizeConfig, preset: Preset, styles: Sequence[Source]
) -> tuple[list[Source], list[str]]:
    """Styles without the cards that cannot be used, and a line for each of these.

    Raises:
        UsageError: If such a card was named, and not found in a folder.
    """
    kind = (preset.name, preset.fingerprint, preset.level_widths)
    fitting, unfit = [], []
    for style in styles:
        reason = _unfit(config, style, kind) if is_card(style) else ""
        if reason and not style.found:
            raise UsageError(reason)
        if reason:
            unfit.append(f"skipped: {reason}")
        else:
            fitting.append(style)
    return fitting, unfit


def _unfit(config: StylizeConfig, style: Source, kind: tuple[str, str, tuple[int, ...]]) -> str:
    """Why a style card cannot be used, or an empty string."""
    if config.refine:
        return f"--refine needs the style's picture. Received: {style}, a style card"
    if changes_style(config.keep_colors):
        return (
            f"--keep-colors {config.keep_colors} needs the style's picture; luma does not. "
            f"Received: {style}, a style card"
        )
    try:
        StyleCode.load(style.path).check(*kind)
    except (ValueError, OSError) as error:
        text = str(error)
        return text if str(style) in text else f"{style}: {text}"
    return ""


def _find_masks(config: StylizeConfig, content: Source, where: dict) -> list[Source]:
    paths = []
    for text in config.mask:
        own = os.path.join(text, content.name)
        paths.append(own if text and os.path.isdir(own) else text)
    masks, problems, _ = find_sources(paths, repeats=True, **where)
    if problems:
        raise UsageError(f"--mask: {problems[0]}")
    return masks


def read_mask(source: Source, max_pixels: int) -> np.ndarray:
    """A mask's lightness times its opacity, `(height, width)` uint8.

    Raises:
        UsageError: If it cannot be read, or all of it is black.
    """
    try:
        picture, meta = read_source(source, max_pixels, keep_depth=True)
    except ValueError as error:
        raise UsageError(f"--mask: {error}") from error
    try:
        return to_mask(Planes(picture, meta.alpha), f"--mask {source}", max_pixels)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_cover(config: StylizeConfig, content: Source, source: Source, mask: np.ndarray) -> None:
    """Whether a mask still has something inside where the photo is cut out."""
    if not config.crop_size:
        return
    cut = (config.content_size, config.crop_size, config.max_pixels, str(content))
    try:
        left = fit_mask(mask, imaging.read_size(content.open(config.max_pixels)), *cut)
    except ValueError:
        return  # Told when it is the photo's turn, and the others are done.
    if not left.any():
        raise UsageError(
            f"--mask {source} must reach into the middle of {content} that --crop-size "
            f"{config.crop_size} leaves. Received: nothing inside there"
        )


def _planned_results(
    config: StylizeConfig, content: Source, styles: list[Source], masks: list[Source]
) -> list[PlannedResult]:
    """The results of one photo."""
    options = _planned_regions(config, styles, masks)
    if config.refine and any(len(regions) > 1 or len(regions[0].styles) > 1 for regions in options):
        raise UsageError("--refine takes one style on the whole photo: no masks, no mixing.")
    if config.sheet:
        rows = _sheet(config, styles, options)
        output = output_path(config.out_path, content, f"_sheet_{config.sheet}")
        return [PlannedResult(content, (), output, rows)]
    if not masks and len(config.alpha) > 1:
        raise UsageError(
            f"--alpha takes one number without --mask or --sheet. Received: {len(config.alpha)}"
        )
    return [
        PlannedResult(
            content, regions, output_path(config.out_path, content, f"_stylized_{name(regions)}")
        )
        for regions in options
    ]


def _sheet(
    config: StylizeConfig, styles: list[Source], options: list[tuple[PlannedRegion, ...]]
) -> sheets.Rows:
    if config.sheet == "mix":
        if len(styles) not in (2, 4) or config.mask:
            raise UsageError(
                "--sheet mix takes 2 styles, or 4 for its corners, and no masks. "
                f"Received: {len(styles)} styles"
            )
        return sheets.mix_steps(
            [style.flat for style in styles],
            lambda weights: PlannedRegion(tuple(styles), weights, config.alpha[0]),
            config.sheet_steps,
        )
    named = [(name(regions), regions) for regions in options]
    if config.sheet == "styles":
        return sheets.all_styles(named)
    # One number for all of a mask's strengths scales them.
    alphas = config.alpha if len(config.alpha) > 1 else ()
    return sheets.alpha_steps(named, config.sheet_steps, alphas)


def name(regions: Sequence[PlannedRegion]) -> str:
    """What tells results of the same photo apart: the names of the styles."""
    names = list(dict.fromkeys(style.flat for region in regions for style in region.styles))
    more = len(names) - _NAMES
    return "+".join(names[:_NAMES]) + (f"+{more}_more" if more > 0 else "")


def _planned_regions(
    config: StylizeConfig, styles: list[Source], masks: list[Source]
) -> list[tuple[PlannedRegion, ...]]:
    """Regions of each picture to paint on a photo."""
    weights, alphas = config.style_interp_weights, config.alpha
    mixed = config.style_mix or bool(weights)
    count = len(styles)
    if not masks:
        if not mixed:
            return [(PlannedRegion((style,), (1.0,), alphas[0]),) for style in styles]
        return [(PlannedRegion(tuple(styles), _shares(weights, count, 1)[0], alphas[0]),)]
    if len(alphas) not in (1, len(masks)):
        raise UsageError(
            f"--alpha must be one number, or one for each of the {len(masks)} masks. "
            f"Received: {len(alphas)}"
        )
    if mixed:
        mixes = [(tuple(styles), row) for row in _shares(weights, count, len(masks))]
    elif count in (1, len(masks)):
        mixes = [((style,), (1.0,)) for style in styles] * (len(masks) // count)
    else:
        raise UsageError(
            f"Give one style, or one for each of the {len(masks)} masks, or --style-mix. "
            f"Received: {count} styles"
        )
    alphas = alphas * (len(masks) // len(alphas))
    return [
        tuple(
            PlannedRegion(sources, shares, alpha, mask)
            for (sources, shares), alpha, mask in zip(mixes, alphas, masks, strict=True)
        )
    ]


def _shares(weights: Sequence[float], styles: int, rows: int) -> list[tuple[float, ...]]:
    """`--style-interp-weights` as rows of one weight for each style, that sum to 1."""
    weights = weights or (1.0,) * styles
    if len(weights) == styles:
        weights = tuple(weights) * rows
    if len(weights) != styles * rows:
        each = f", or {styles * rows} for {rows} masks" if rows > 1 else ""
        raise UsageError(
            f"--style-interp-weights must be {styles} numbers, one for each style{each}. "
            f"Received: {len(weights)}"
        )
    table = [tuple(weights[i * styles : (i + 1) * styles]) for i in range(rows)]
    for row in table:
        if not 0 < sum(row) < math.inf:
            raise UsageError(
                f"--style-interp-weights must not be all 0. Received: {' '.join(map(str, row))}"
            )
    return [tuple(weight / sum(row) for weight in row) for row in table]
