"""What the page asks for, as settings of `adain stylize`: those of a preview, and the command."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from adain.options import UsageError
from adain.stylize.config import StylizeConfig

MOST_STYLES, MOST_AREAS = 4, 4
"""Styles in one mix, and areas of a photo, besides the rest of it."""

OWN = "own:"
"""Begins the keys of styles that are files of the tab; others are of the gallery."""


@dataclass(frozen=True)
class Area:
    """The whole photo or a part of it, and the styles that it is painted in."""

    styles: tuple[str, ...]
    """Keys; none: it stays as it is."""
    weights: tuple[float, ...]
    alpha: float
    mask: str = ""
    """Key of a mask; "": all that no other area has."""


@dataclass(frozen=True)
class Wish:
    """One picture that is asked for."""

    areas: tuple[Area, ...]
    """The first is the whole photo, or what the others leave of it."""
    palette: float | None
    stroke: int
    keep_colors: str


@dataclass(frozen=True)
class Files:
    """What the files of a wish are called, in a folder or on a command line.

    Args:
        photo: The photo.
        style: From the key of a style to a file or a name.
        mask: From the key of a mask, and the name it is to have, to a file.
        rest: From keys of masks to the key of the mask of what they leave, "" if that is nothing.
    """

    photo: str
    style: Callable[[str], str]
    mask: Callable[[str, str], str]
    rest: Callable[[list[str]], str]


def parse(found: Any) -> Wish:
    """Check the form of what the page sends; `StylizeConfig` checks the values.

    Raises:
        UsageError: If it has another form.
    """
    try:
        areas = tuple(map(_parse_area, _listed(found["areas"], 1, MOST_AREAS + 1)))
        palette, stroke, keep_colors = found["palette"], found["stroke"], found["keep_colors"]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"The page must send settings. Received something else ({error}). Reload it."
        ) from error
    if areas[0].mask or not all(area.mask and area.styles for area in areas[1:]):
        raise UsageError("Each area but the first needs a mask and a style.")
    if not any(area.styles for area in areas):
        raise UsageError("There is no style yet. Choose one in the gallery.")
    return Wish(areas, palette, stroke, keep_colors)


def _parse_area(found: Any) -> Area:
    styles = tuple(_listed(found["styles"], 0, MOST_STYLES))
    weights = tuple(_listed(found["weights"], len(styles), len(styles)))
    mask = found.get("mask", "")
    if not all(isinstance(text, str) and text for text in styles) or not isinstance(mask, str):
        raise ValueError("styles and masks must be texts")
    if not all(type(weight) in (int, float) for weight in weights):
        raise ValueError("weights must be numbers")
    return Area(styles, weights, found["alpha"], mask)


def _listed(found: Any, least: int, most: int) -> list:
    if not isinstance(found, list) or not least <= len(found) <= most:
        raise ValueError(f"expected a list of {least} to {most}")
    return found


def to_config(wish: Wish, files: Files, **more: Any) -> StylizeConfig:
    """The settings of `adain stylize` that make a picture.

    Args:
        wish: What is asked for.
        files: What its files are called.
        **more: Other settings.

    Raises:
        UsageError: If one is not what it should be.
    """
    first, *others = wish.areas
    areas, masks = [first], []
    if others:
        areas = list(others)
        masks = [files.mask(area.mask, f"mask-{number}") for number, area in enumerate(others, 1)]
        rest = files.rest([area.mask for area in others]) if first.styles else ""
        if rest:
            areas.append(first)
            masks.append(files.mask(rest, "mask-rest"))
    styles, weights = _mixes(areas)
    alphas = tuple(area.alpha for area in areas)
    return StylizeConfig(
        content_path=(files.photo,),
        style_path=tuple(map(files.style, styles)),
        style_interp_weights=weights,
        mask=tuple(masks),
        alpha=alphas[:1] if len(set(alphas)) == 1 else alphas,
        palette=wish.palette,
        stroke=wish.stroke,
        keep_colors=wish.keep_colors,
        **more,
    )


def _mixes(areas: list[Area]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Styles and weights of all areas, as the command line takes them."""
    if all(len(area.styles) == 1 for area in areas):
        return tuple(area.styles[0] for area in areas), ()
    styles = tuple(dict.fromkeys(style for area in areas for style in area.styles))
    weights = []
    for area in areas:
        found = dict.fromkeys(styles, 0.0)
        for style, weight in zip(area.styles, area.weights, strict=True):
            found[style] += weight
        weights += found.values()
    return styles, tuple(weights)


def to_command(config: StylizeConfig) -> str:
    """The command line of `stylize.py` that has these settings."""
    words = ["python", "stylize.py"]
    for item in fields(config):
        value = getattr(config, item.name)
        if value == item.default:
            continue
        words.append("--" + item.name.replace("_", "-"))
        words += map(_word, value if isinstance(value, tuple) else [value])
    return shlex.join(words)


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
