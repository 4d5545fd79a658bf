"""Contact sheets: pictures side by side, with a word above them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

_GAP, _LABEL = 4, 22


def sheet_size(columns: Sequence[int], cell: tuple[int, int]) -> tuple[int, int]:
    """`(height, width)` of a sheet whose rows, each of this many pictures, all have labels."""
    height, width = cell
    rows = len(columns)
    return rows * (_LABEL + height + _GAP) - _GAP, max(columns) * (width + _GAP) - _GAP


def draw(
    rows: Sequence[Sequence[np.ndarray | None]],
    labels: Sequence[Sequence[str]],
    cell: tuple[int, int],
) -> np.ndarray:
    """Lay pictures out in a grid, on white.

    Args:
        rows: HWC uint8 sRGB each, no larger than a cell; None leaves a cell white.
        labels: What stands above the pictures of a row, for the first rows or for all, in any
            script that the fonts of this machine have.
        cell: `(height, width)`, pixels.

    Returns:
        HWC uint8 sRGB.
    """
    # Loading fonts takes some 10 ms, and most runs draw no sheet.
    from PIL import ImageDraw

    from adain.imaging.labels import draw_label

    height, width = cell
    columns = max(len(row) for row in rows)
    tops, bottom = [], 0
    for number in range(len(rows)):
        tops.append(bottom + (_LABEL if number < len(labels) else 0))
        bottom = tops[-1] + height + _GAP
    sheet = Image.new("RGB", (columns * (width + _GAP) - _GAP, bottom - _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for top, words in zip(tops, labels, strict=False):
        for column, word in enumerate(words):
            draw_label(pen, column * (width + _GAP) + 2, top - _LABEL + 4, width, word)
    for top, row in zip(tops, rows, strict=True):
        for column, picture in enumerate(row):
            if picture is not None:
                sheet.paste(Image.fromarray(picture), (column * (width + _GAP), top))
    return np.array(sheet)
