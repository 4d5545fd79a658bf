"""What `adain stylize` is going to paint: every result, its styles, masks and strengths."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from adain import __version__
from adain.imaging import io as imaging
from adain.inference.style_code import StyleCode
from adain.options import UsageError, recorded
from adain.presets.preset import PARTS, Preset
from adain.sources import Source, check_outputs, find_sources, is_card, output_path, read_source
from adain.stylize import sheets
from adain.stylize.config import StylizeConfig
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


def plan_results(
    config: StylizeConfig,
) -> tuple[list[PlannedResult], list[PlannedResult], list[str]]:
    """All results to make, those that are there already, and a line for each path without pictures.

    Everything that can be known to go wrong is found here, before any work.

    Raises:
        UsageError: If the numbers of styles, weights, masks and strengths do not fit; if a style
            card is broken or of other weights, or a mask empty; if two results would have the same
            name, or one would replace an input or another picture.
        PresetError: If there are no such weights.
    """
    preset = Preset.load(config.checkpoint)
    contents, problems = find_sources(config.content_path)
    # Without a mix the same style twice would be the same result twice.
    mixed = config.mask or config.style_mix or config.style_interp_weights or config.sheet == "mix"
    styles, more = find_sources(
        config.style_path,
        cards=True,
        library=preset.styles,
        repeats=bool(mixed),
    )
    if more and (config.mask or config.style_mix or config.style_interp_weights):
        # Their numbers must fit.
        raise UsageError(more[0])
    problems += more
    _check_styles(config, preset, styles)
    rng = np.random.default_rng(config.seed)
    results: list[PlannedResult] = []
    checked: set[Source] = set()
    for content in contents if styles else ():
        chosen = styles
        if 0 < config.random < len(styles):
            picks = rng.choice(len(styles), config.random, replace=False)
            chosen = [styles[i] for i in sorted(picks)]
        masks = _find_masks(config, content)
        for mask in masks:
            if config.crop_size or mask not in checked:
                checked.add(mask)
                _check_cover(config, content, mask, read_mask(mask, config.max_pixels))
        results += _planned_results(config, content, chosen, masks)
    check_outputs(config.out_path, results, [*contents, *styles, *checked])
    ready, finished = [], []
    for result in results:
        done = not config.overwrite and _is_finished(config, preset, result)
        (finished if done else ready).append(result)
    return ready, finished, problems


def _check_styles(config: StylizeConfig, preset: Preset, styles: Sequence[Source]) -> None:
    kind = (preset.name, preset.fingerprint, preset.level_widths)
    for style in filter(is_card, styles):
        if config.refine:
            raise UsageError(f"--refine needs the style's picture. Received: {style}, a style card")
        if config.keep_colors in ("coral", "histogram"):
            raise UsageError(
                f"--keep-colors {config.keep_colors} needs the style's picture; luma does not. "
                f"Received: {style}, a style card"
            )
        try:
            StyleCode.load(style.path).check(*kind)
        except (ValueError, OSError) as error:
            text = str(error)
            raise UsageError(text if str(style) in text else f"{style}: {text}") from error


def _find_masks(config: StylizeConfig, content: Source) -> list[Source]:
    paths = []
    for text in config.mask:
        own = Path(text) / content.name
        paths.append(str(own) if own.is_dir() else text)
    masks, problems = find_sources(tuple(paths), repeats=True)
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
    if not config.crop_size or content.path is None:
        return
    cut = (config.content_size, config.crop_size, config.max_pixels, str(content))
    try:
        left = fit_mask(mask, imaging.read_size(content.path), *cut)
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


# === Settings: written into results, and what tells a finished one ===


def settings(config: StylizeConfig, preset: Preset, result: PlannedResult) -> dict:
    """Everything that makes a result what it is, for JSON; files by their names only."""
    record = {
        "program": f"adain {__version__}",
        "preset": preset.name,
        "weights": _checksum(preset),
        "content": _file_name(result.content),
    }
    if result.sheet:
        record["cells"] = [
            [[cell.label, [_describe(region) for region in cell.regions]] for cell in row]
            for row in result.sheet
        ]
    else:
        record["regions"] = [_describe(region) for region in result.regions]
    # The default is the preset's, which may change.
    record["palette"] = preset.palette if config.palette is None else config.palette
    return record | recorded(config)


def _describe(region: PlannedRegion) -> dict:
    mixed = zip(region.styles, region.weights, strict=True)
    about: dict = {
        "styles": [[_file_name(style), round(weight, 6)] for style, weight in mixed],
        "alpha": region.alpha,
    }
    if region.mask is not None:
        about["mask"] = _file_name(region.mask)
    return about


def _file_name(source: Source) -> str:
    return str(source) if source.path is None else source.path.name


def _checksum(preset: Preset) -> str:
    return "-".join(preset.sums.get(f"{part}.npz", "")[:8] for part in PARTS)


def _is_finished(config: StylizeConfig, preset: Preset, result: PlannedResult) -> bool:
    """Whether a result is there, made with these settings and no older than its inputs.

    Raises:
        UsageError: If another picture is there.
    """
    output = result.output
    if output is None or not output.exists():
        return False
    try:
        found = json.loads(imaging.read_history(output))
    except ValueError:
        found = None
    if found != settings(config, preset, result):
        made = "it was made with other settings" if found else "it does not tell how it was made"
        raise UsageError(f"{output} is there already, and {made}. Use --overwrite to replace it.")
    inputs = [result.content, *result.styles, *result.masks]
    newest = max((_changed(source.path) for source in inputs if source.path), default=0.0)
    return output.stat().st_mtime >= newest


@lru_cache(maxsize=4096)
def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0
