"""What stands on a contact sheet: rows of labels, each with the regions that make its picture.

A region is anything with `alpha` that `dataclasses.replace` can change: `adain.Region` in Python,
`plan.PlannedRegion` on the command line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

SHEET_SIZE = 384
"""Shorter side of the pictures of a contact sheet, pixels, unless another is asked for."""


@dataclass(frozen=True)
class Cell:
    """One picture of a contact sheet."""

    label: str
    regions: tuple[Any, ...] = ()
    """What `StylizePipeline.run` takes as `regions`; none: the photo itself."""


Rows = tuple[tuple[Cell, ...], ...]


def check_rows(rows: Any) -> None:
    """Check that these are rows of cells.

    Raises:
        ValueError: If not.
    """
    good = isinstance(rows, Sequence) and all(isinstance(row, Sequence) for row in rows)
    if not good or not any(rows) or not all(isinstance(cell, Cell) for row in rows for cell in row):
        raise ValueError(f"`rows` must be rows of Cell. Received: {rows!r}")


def alpha_steps(
    options: Iterable[tuple[str, Sequence[Any]]], steps: int = 5, alphas: Sequence[float] = ()
) -> Rows:
    """One row for each style, with rising strength.

    Args:
        options: `(label, regions)` of each style.
        steps: How many pictures a row has; strengths go from none to that of each region.
        alphas: Strengths to show in place of those, the same for all regions.

    Returns:
        Rows of as many cells as there are strengths.
    """
    shares = alphas or np.linspace(0, 1, steps)
    rows = []
    for name, regions in options:
        row = []
        for share in map(float, shares):
            strong = (
                replace(region, alpha=share if alphas else share * region.alpha)
                for region in regions
            )
            row.append(Cell(f"{name} {share:.3g}", tuple(strong)))
        rows.append(tuple(row))
    return tuple(rows)


def mix_steps(
    names: Sequence[str], blend: Callable[[tuple[float, ...]], Any], steps: int = 5
) -> Rows:
    """Steps from one style to another in a row, or among four, which stand in the corners.

    Args:
        names: Two or four labels.
        blend: One weight for each style, which sum to 1, to a region with that mix.
        steps: How many pictures a row has, and with four styles a column.

    Returns:
        One row, or `steps` rows, of `steps` cells.

    Raises:
        ValueError: If there are neither two nor four styles.
    """
    if len(names) not in (2, 4):
        raise ValueError(f"A mix takes 2 styles, or 4 for its corners. Received: {len(names)}")
    shares = np.linspace(0, 1, steps)
    rows = []
    for down in shares if len(names) == 4 else (0.0,):
        row = []
        for right in shares:
            corners = ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right),
                       down * right)  # fmt: skip
            weights = tuple(float(weight) for weight in corners[: len(names)])
            parts = zip(names, weights, strict=True)
            label = ", ".join(f"{name} {share:.2g}" for name, share in parts if share)
            row.append(Cell(label, (blend(weights),)))
        rows.append(tuple(row))
    return tuple(rows)


def all_styles(options: Iterable[tuple[str, Sequence[Any]]]) -> Rows:
    """The photo, and then every style, in a grid about as wide as high.

    Args:
        options: `(label, regions)` of each style.
    """
    cells = [Cell("photo"), *(Cell(name, tuple(regions)) for name, regions in options)]
    columns = math.ceil(math.sqrt(len(cells)))
    return tuple(tuple(cells[i : i + columns]) for i in range(0, len(cells), columns))
