"""`adain optimize --sheet`: optimised pictures on one contact sheet, with their originals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adain.constants import LAYERS
from adain.imaging import contact_sheet
from adain.imaging import io as imaging
from adain.imaging.formats import check_size, written_format
from adain.imaging.resize import resize_image, shorter_side_size
from adain.optimization.config import OptimizeConfig
from adain.optimization.worker import Losses, Worker
from adain.options import UsageError
from adain.outcomes import reason_of
from adain.sources import Source


class CellError(ValueError):
    """A picture of a sheet cannot be made; one line that names it."""


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet: an optimised one or, without layers, an original."""

    label: str
    content: Source | None = None
    style: Source | None = None
    content_layers: tuple[str, ...] = ()
    style_layers: tuple[str, ...] = ()

    @property
    def is_original(self) -> bool:
        return not (self.content_layers or self.style_layers)

    def __str__(self) -> str:
        return " with ".join(str(source) for source in (self.content, self.style) if source)


Rows = tuple[tuple[Cell | None, ...], ...]


@dataclass(frozen=True)
class Sheet:
    """One result: rows of cells, and where it goes (None: stdout)."""

    rows: Rows
    size: tuple[int, int]
    """`(height, width)` of a cell, pixels."""
    output: Path | None

    @property
    def cells(self) -> list[Cell]:
        return [cell for row in self.rows for cell in row if cell is not None]

    @property
    def count(self) -> int:
        """How many pictures are optimised."""
        return sum(not cell.is_original for cell in self.cells)

    @property
    def contents(self) -> list[Source]:
        """Each photo once."""
        return list(dict.fromkeys(cell.content for cell in self.cells if cell.content))

    @property
    def styles(self) -> list[Source]:
        """Each style once."""
        return list(dict.fromkeys(cell.style for cell in self.cells if cell.style))

    def __str__(self) -> str:
        return " + ".join(map(str, self.contents + self.styles))


# === Planning ===


def plan_rows(config: OptimizeConfig, contents: Sequence[Source], styles: Sequence[Source]) -> Rows:
    """What stands on the sheet.

    `grid`: styles along the top, photos down the left, results where they meet. `layers`: a row for
    each photo, the original and its reconstructions from one layer each, and a row for each style,
    the original and its textures from all style layers down to one; a column for each layer.
    """
    if config.sheet == "grid":
        top = (None, *(Cell(style.flat, style=style) for style in styles))
        layers = config.content_layers, config.style_layers
        return top, *(
            (Cell(photo.flat, photo), *(Cell("", photo, style, *layers) for style in styles))
            for photo in contents
        )
    columns = _sorted((*config.content_layers, *config.style_layers))
    rows: list[tuple[Cell | None, ...]] = []
    for photo in contents:
        known = (
            Cell(layer, photo, content_layers=(layer,)) if layer in config.content_layers else None
            for layer in columns
        )
        rows.append((Cell(photo.flat, photo), *known))
    for style in styles:
        seen = _sorted(config.style_layers)
        known = (
            Cell(
                layer if layer == seen[0] else f"{seen[0]} to {layer}",
                style=style,
                style_layers=seen[: seen.index(layer) + 1],
            )
            if layer in seen
            else None
            for layer in columns
        )
        rows.append((Cell(style.flat, style=style), *known))
    return tuple(rows)


def _sorted(layers: Sequence[str]) -> tuple[str, ...]:
    return tuple(layer for layer in LAYERS if layer in layers)


def plan_sheet(
    config: OptimizeConfig,
    contents: Sequence[Source],
    styles: Sequence[Source],
    output: Path | None,
) -> tuple[Sheet | None, list[str]]:
    """The sheet, or a line for each picture that it cannot be made with.

    Raises:
        UsageError: If the sheet has more pixels than `max_pixels`, or than its format holds.
    """
    sizes, problems = [], []
    for source in (*contents, *styles):
        try:
            size = imaging.read_size(source.open(config.max_pixels))
            if source in contents and config.content_size:
                limits = {"max_pixels": config.max_pixels, "name": str(source)}
                size = shorter_side_size(size, config.content_size, **limits)
        except (imaging.ImageError, OSError) as error:
            problems.append(str(error))
            continue
        if source in contents:
            sizes.append(size)
    if problems:
        return None, list(dict.fromkeys(problems))
    if config.sheet == "layers" and styles:
        sizes.append(config.texture_size)
    cell = max(height for height, _ in sizes), max(width for _, width in sizes)
    sheet = Sheet(plan_rows(config, contents, styles), cell, output)
    height, width = contact_sheet.sheet_size([len(row) for row in sheet.rows], cell)
    if height * width > config.max_pixels:
        raise UsageError(
            f"--sheet {config.sheet}: its {height} x {width} are more than {config.max_pixels} "
            "pixels. Use fewer pictures, a smaller --content-size and --size, or --max-pixels "
            f"{height * width}."
        )
    try:
        check_size((height, width), "PNG" if output is None else written_format(output))
    except imaging.ImageError as error:
        raise UsageError(f"--sheet {config.sheet}: {error}") from error
    return sheet, []


# === Drawing ===


def draw(sheet: Sheet, worker: Worker, on_picture: Callable[[Cell, Losses], None]) -> np.ndarray:
    """Optimise every picture of a sheet, after all originals have been read.

    Args:
        sheet: What stands on it.
        worker: Reads and optimises.
        on_picture: Called with each cell that is done, and its losses.

    Returns:
        HWC uint8 sRGB.

    Raises:
        ImageError: If an original cannot be read.
        CellError: If a picture cannot be made.
    """
    contents = {source: worker.read_content(source)[0] for source in sheet.contents}
    styles = {source: worker.read_style(source) for source in sheet.styles}

    def picture(cell: Cell | None) -> np.ndarray | None:
        if cell is None:
            return None
        content = contents[cell.content] if cell.content else None
        style = styles[cell.style] if cell.style else None
        if cell.is_original:
            return content if style is None else _fit(style, sheet.size)
        layers = {"content_layers": cell.content_layers, "style_layers": cell.style_layers}
        found = []
        error = reason_of(lambda: found.append(worker.optimize(content, style, **layers)))
        if error:
            raise CellError(f"{cell}: {error}")
        result, losses = found[0]
        on_picture(cell, losses)
        return result

    pictures = [[picture(cell) for cell in row] for row in sheet.rows]
    labels = [["" if cell is None else cell.label for cell in row] for row in sheet.rows]
    return contact_sheet.draw(pictures, labels, sheet.size)


def _fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture as large as it fits into a cell."""
    scale = min(room / side for room, side in zip(size, picture.shape, strict=False))
    return resize_image(picture, tuple(round(scale * side) for side in picture.shape[:2]))
