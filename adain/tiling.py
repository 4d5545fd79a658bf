"""Exact tiles: large pictures in flat memory, with the result of the whole picture.

AdaIN couples all positions only through the mean and deviation of each channel. So those are
pooled over the tiles first; then each tile is painted with the statistics of the whole, and with a
halo as wide as the networks see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from adain.codes import EPSILON

MULTIPLE = 16
"""Sides of tiles are multiples of this: the deepest stride of all networks."""


def tiles(height: int, width: int, tile: int, halo: int) -> Iterator[tuple[slice, ...]]:
    """Cut a picture into tiles with a halo.

    Args:
        height, width: Sides of the picture, pixels.
        tile: Side of a tile without its halo.
        halo: Pixels to add on each side, as far as the picture reaches.

    Yields:
        `(rows, columns, outer_rows, outer_columns)`: the tile, and the tile with its halo.
    """
    for top in range(0, height, tile):
        rows = slice(top, min(top + tile, height))
        outer_rows = slice(max(rows.start - halo, 0), min(rows.stop + halo, height))
        for left in range(0, width, tile):
            columns = slice(left, min(left + tile, width))
            outer_columns = slice(max(left - halo, 0), min(columns.stop + halo, width))
            yield rows, columns, outer_rows, outer_columns


def _inside(part: slice, outer: slice, stride: int = 1) -> slice:
    return slice((part.start - outer.start) // stride, (part.stop - outer.start) // stride)


def map_tiles(
    function: Callable[[np.ndarray], np.ndarray], image: np.ndarray, tile: int, halo: int
) -> np.ndarray:
    """Apply a function that sees no further than `halo` pixels, tile by tile.

    Args:
        function: `(h, w, channels)` to `(h, w, channels)`.
        image: `(height, width, channels)`, sides multiples of the stride.
        tile: Side of a tile, a multiple of the stride.
        halo: Pixels beyond a tile that its result depends on, a multiple of the stride.

    Returns:
        What `function` would return for the whole picture.
    """
    result = None
    for rows, columns, outer_rows, outer_columns in tiles(*image.shape[:2], tile, halo):
        part = function(image[outer_rows, outer_columns])
        if result is None:
            result = np.empty((*image.shape[:2], part.shape[-1]), part.dtype)
        result[rows, columns] = part[_inside(rows, outer_rows), _inside(columns, outer_columns)]
    return result


def pooled_statistics(
    encode: Callable[[np.ndarray], Sequence[np.ndarray]],
    image: np.ndarray,
    tile: int,
    *,
    halo: int,
    epsilon: float = EPSILON,
) -> tuple[np.ndarray, np.ndarray]:
    """Channel means and deviations of a whole picture's features, from tiles.

    Args:
        encode: `(h, w, 3)` picture to features `(h / stride, w / stride, channels)`, one array for
            each level, of any stride that divides the tile's side.
        image: `(height, width, 3)`, sides multiples of the largest stride.
        tile: Side of a tile in pixels, a multiple of the largest stride.
        halo: Pixels beyond a tile that its features depend on, a multiple of the largest stride.
        epsilon: Added to the variance.

    Returns:
        `(mean, std)`, each `(channels of all levels,)` float32, level after level.
    """
    moments: list[tuple] = []
    for rows, columns, outer_rows, outer_columns in tiles(*image.shape[:2], tile, halo):
        levels = encode(image[outer_rows, outer_columns])
        moments = moments or [(0, 0.0, 0.0)] * len(levels)
        for i, features in enumerate(levels):
            stride = (outer_rows.stop - outer_rows.start) // features.shape[0]
            part = features[
                _inside(rows, outer_rows, stride), _inside(columns, outer_columns, stride)
            ].astype("float64")
            moments[i] = _merge(moments[i], part.reshape(-1, part.shape[-1]))
    mean = np.concatenate([mean for _, mean, _ in moments])
    std = np.sqrt(np.concatenate([squares / count for count, _, squares in moments]) + epsilon)
    return np.float32(mean), np.float32(std)


def _merge(moments: tuple, part: np.ndarray) -> tuple:
    """Count, mean and sum of squared deviations, with those of `(positions, channels)` added.

    Parts combine without the cancellation of E[x^2] - E[x]^2 (Chan, Golub & LeVeque 1979).
    """
    count, mean, squares = moments
    total = count + len(part)
    shift = part.mean(axis=0) - mean
    squares = squares + part.var(axis=0) * len(part) + shift**2 * (count * len(part) / total)
    return total, mean + shift * (len(part) / total), squares
