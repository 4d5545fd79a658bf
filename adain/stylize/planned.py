"""Results of `adain stylize` as data: regions, styles, strengths, sheets, and where each goes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adain.options import UsageError
from adain.outputs import output_path
from adain.sources import Source
from adain.stylize import sheets
from adain.stylize.config import Inputs, StylizeConfig

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
    """One result: a photo, how it is stylised, and where it goes."""

    content: Source
    regions: tuple[PlannedRegion, ...]
    """Of a contact sheet none."""
    output: Path | None
    """None: standard output."""
    sheet: sheets.Rows = ()
    """Of a contact sheet, its pictures."""

    @property
    def cells(self) -> list[tuple[PlannedRegion, ...]]:
        """The regions of all pictures that have to be stylised."""
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


def planned_results(
    config: StylizeConfig, content: Source, styles: list[Source], masks: list[Source]
) -> list[PlannedResult]:
    """The results of one photo."""
    options = planned_regions(config, styles, masks)
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


def planned_regions(
    config: Inputs, styles: list[Source], masks: list[Source]
) -> list[tuple[PlannedRegion, ...]]:
    """The regions of each result of a photo."""
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
