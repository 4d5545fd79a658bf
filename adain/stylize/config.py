"""Settings of `adain stylize` and `adain styles`, field for field their flags."""

from __future__ import annotations

import math
from dataclasses import dataclass

from adain.imaging.color_methods import COLOR_METHODS
from adain.options import (
    NOT_NEGATIVE,
    Given,
    Range,
    UsageError,
    check,
    flag,
    require,
    shared,
)

STYLES = "pictures, style cards (.npz), folders, globs, or names that `adain styles list` gives"
"""What `--style` takes, in every command that stylises."""

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class StylizeOptions:
    """How `StylizePipeline` makes pictures: every control that is not about files.

    Field for field flags of `stylize.py`, with the same defaults and checks.
    """

    checkpoint: str = shared("checkpoint")
    engine: str = shared("engine")
    precision: str = shared("precision")
    # 0 keeps every pixel; people are surprised by results smaller than their photo.
    content_size: int = flag(
        0, "resize the photo's shorter side to this (0: keep its size)", limits=NOT_NEGATIVE
    )
    # The decoder was trained on styles of about this size: larger ones give coarser strokes.
    style_size: int = shared("style_size")
    crop_size: int = flag(
        0,
        "cut a square of this side from the middle of both, as far as they reach (0: no)",
        limits=NOT_NEGATIVE,
    )
    keep_colors: str = flag(
        "",
        "keep the photo's colours: recolour the style first (coral, histogram), or take only the "
        "result's lightness (luma)",
        choices=COLOR_METHODS,
        const="coral",
    )
    palette: float | None = shared("palette")
    stroke: int = flag(
        0,
        "draw strokes as on a photo of this shorter side, also on larger ones: a preview of that "
        "size and the final picture look alike (0: strokes of the same pixels at any size)",
        limits=Range(least=64, zero=True),
    )
    supersample: int = shared("supersample")
    passes: int = flag(
        1, "stylise the result again, this many times in all", limits=Range(least=1, most=100)
    )
    refine: int = flag(
        0,
        "polish the result of the last pass with this many steps of `adain optimize`; in one piece "
        "whatever --tile says, and not from style cards",
        limits=Range(least=0, most=10_000),
    )
    feather: float = flag(
        0.0,
        "soften the masks' edges, by a blur of this deviation in pixels",
        limits=Range(least=0, most=1000),
    )
    concat: bool = flag(False, "write photo, style and result side by side")
    tile: int | None = flag(
        None,
        "work in tiles of this side, with the same result; 0: whole pictures (default: what "
        "--max-memory allows)",
        type=int,
        affects_result=False,
        limits=Range(least=64, multiple=16, zero=True),
    )
    max_memory: str = flag(
        "",
        "memory to use in all, such as 3GiB or 800MiB (default: half of what is free)",
        affects_result=False,
    )
    max_pixels: int = shared("max_pixels")

    def __post_init__(self) -> None:
        size = "a size such as 3GiB or 800MiB"
        require(self, "max_memory", isinstance(self.max_memory, str), size)
        check(self)
        limit = self.memory_limit
        require(self, "max_memory", limit is None or 0 < limit < math.inf, size)

    @property
    def memory_limit(self) -> float | None:
        """`max_memory` in bytes; None where it is left out."""
        if not self.max_memory:
            return None
        number = self.max_memory.strip().upper().removesuffix("B").removesuffix("I")
        unit = number[-1:] if number[-1:] in _UNITS else ""
        try:
            return float(number.removesuffix(unit)) * _UNITS[unit]
        except ValueError:
            return math.nan


@dataclass(frozen=True)
class Inputs:
    """What is stylised with what, and where it goes: first in `--help`."""

    content_path: tuple[str, ...] = flag(
        (),
        "pictures, folders or globs to repaint; - reads standard input",
        nargs="+",
        required=True,
        in_plan=True,
    )
    style_path: tuple[str, ...] = flag(
        (),
        STYLES,
        nargs="+",
        required=True,
        short="--style",
        in_plan=True,
    )
    out_path: str = shared("out_path")
    alpha: tuple[float, ...] = flag(
        (1.0,),
        "strength of the style: 0 none, 1 full, above 1 exaggerated; one for all masks or one for "
        "each (default: 1)",
        nargs="+",
        type=float,
        in_plan=True,
        limits=NOT_NEGATIVE,
    )
    style_mix: bool = flag(False, "blend all styles into one", in_plan=True)
    style_interp_weights: tuple[float, ...] = flag(
        (),
        "blend all styles by these weights, one for each; with masks, one for each style, mask "
        "after mask",
        nargs="+",
        type=float,
        in_plan=True,
        limits=NOT_NEGATIVE,
    )
    mask: tuple[str, ...] = flag(
        (),
        "grey pictures or folders of them, white inside: each mask takes the next style, or all "
        "the only one; what no mask covers stays as it is; of a folder that has a folder named as "
        "the photo, that one counts",
        nargs="+",
        in_plan=True,
    )


@dataclass(frozen=True)
class StylizeConfig(StylizeOptions, Inputs, Given):
    """Settings of one stylising run: `StylizeOptions` and files, the flags of `stylize.py`."""

    random: int = flag(
        0,
        "use this many styles, drawn at random for each photo (0: all)",
        in_plan=True,
        limits=NOT_NEGATIVE,
    )
    sheet: str = flag(
        "",
        "one contact sheet for each photo instead of results: steps of alpha, steps between two "
        "styles or among four, or all styles",
        choices=("alpha", "mix", "styles"),
    )
    sheet_steps: int = flag(
        5, "how many steps --sheet alpha and --sheet mix take", in_plan=True, limits=Range(least=2)
    )
    overwrite: bool = flag(
        False,
        "replace results that are there already; without, finished ones are skipped",
        affects_result=False,
    )
    dry_run: bool = flag(False, "only list what would be done", affects_result=False)
    quality: int = shared("quality")
    seed: int = flag(0, "seed of --random", in_plan=True, limits=NOT_NEGATIVE)
    json: bool = shared("json")
    quiet: bool = shared("quiet")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "alpha", len(self.alpha) > 0, "at least one number")
        require(self, "feather", self.feather == 0 or len(self.mask) > 0, "0 without --mask")
        if self.out_path == "-" and self.json:
            raise UsageError("`json` and a picture cannot both go to standard output.")


@dataclass(frozen=True)
class SaveStylesConfig:
    """Settings of `adain styles save`: pictures to style cards."""

    style_path: tuple[str, ...] = flag((), "pictures, folders or globs", nargs="+", place=True)
    out_path: str = flag(
        "", "the style card, .npz, or a folder for several", place=True, writes="either"
    )
    name: str = flag("", "title, kept in the card (default: the file's name)")
    credit: str = flag("", "author and source, kept in the card")
    license: str = flag("", "license, kept in the card")
    checkpoint: str = shared("checkpoint")
    engine: str = shared("engine")
    style_size: int = shared("style_size")
    overwrite: bool = flag(False, "replace cards that are there already")
    max_pixels: int = shared("max_pixels")

    def __post_init__(self) -> None:
        check(self)
        require(self, "out_path", self.out_path != "", "a style card or a folder")


@dataclass(frozen=True)
class ListStylesConfig:
    """Settings of `adain styles list`: what style cards there are."""

    style_path: tuple[str, ...] = flag(
        (), "style cards or folders of them (default: those that come with the weights)",
        nargs="*", place=True,
    )  # fmt: skip
    checkpoint: str = shared("checkpoint")
    json: bool = flag(False, "write one line of JSON for each card")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ShowStylesConfig:
    """Settings of `adain styles show`: all that single style cards tell."""

    style_path: tuple[str, ...] = flag((), "style cards, or names", nargs="+", place=True)
    checkpoint: str = shared("checkpoint")
    json: bool = flag(False, "write one line of JSON for each card")

    def __post_init__(self) -> None:
        check(self)
