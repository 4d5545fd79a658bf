"""Contact sheets: pictures side by side, with a word above them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_GAP, _LABEL, _FONT = 4, 22, 13


def draw(
    rows: Sequence[Sequence[np.ndarray | None]],
    labels: Sequence[Sequence[str]],
    cell: tuple[int, int],
) -> np.ndarray:
    """Lay pictures out in a grid, on white.

    Args:
        rows: HWC uint8 sRGB each, no larger than a cell; None leaves a cell white.
        labels: What stands above the pictures of a row, for the first rows or for all.
        cell: `(height, width)`, pixels.

    Returns:
        HWC uint8 sRGB.
    """
    height, width = cell
    columns = max(len(row) for row in rows)
    font = ImageFont.load_default(_FONT)
    tops, bottom = [], 0
    for number in range(len(rows)):
        tops.append(bottom + (_LABEL if number < len(labels) else 0))
        bottom = tops[-1] + height + _GAP
    sheet = Image.new("RGB", (columns * (width + _GAP) - _GAP, bottom - _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for top, words in zip(tops, labels, strict=False):
        for column, word in enumerate(words):
            # The end of a path tells more than its beginning.
            while pen.textlength(word, font) > width and word not in ("", "..."):
                word = f"...{word.removeprefix('...')[1:]}"
            pen.text((column * (width + _GAP) + 2, top - _LABEL + 4), word, "black", font)
    for top, row in zip(tops, rows, strict=True):
        for column, picture in enumerate(row):
            if picture is not None:
                sheet.paste(Image.fromarray(picture), (column * (width + _GAP), top))
    return np.array(sheet)
