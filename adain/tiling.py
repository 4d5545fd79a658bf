"""Exact tiles: large pictures in flat memory, with the result of the whole picture.

AdaIN couples all positions only through the mean and deviation of each channel. So those are
pooled over the tiles first; then each tile is painted with the statistics of the whole, and with a
halo as wide as the networks see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from adain.functional import EPSILON


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
        image: `(height, width, channels)`, sides multiples of 8.
        tile: Side of a tile, a multiple of 8.
        halo: Pixels beyond a tile that its result depends on, a multiple of 8.

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
    encode: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    tile: int,
    *,
    halo: int,
    stride: int,
    epsilon: float = EPSILON,
) -> tuple[np.ndarray, np.ndarray]:
    """Channel means and deviations of a whole picture's features, from tiles.

    Args:
        encode: `(h, w, 3)` picture to `(h / stride, w / stride, channels)` features.
        image: `(height, width, 3)`, sides multiples of `stride`.
        tile: Side of a tile in pixels, a multiple of `stride`.
        halo: Pixels beyond a tile that its features depend on, a multiple of `stride`.
        stride: Pixels of the picture for one feature.
        epsilon: Added to the variance.

    Returns:
        `(mean, std)`, each `(channels,)` float32.
    """
    count, mean, squares = 0, 0.0, 0.0
    for rows, columns, outer_rows, outer_columns in tiles(*image.shape[:2], tile, halo):
        features = encode(image[outer_rows, outer_columns])
        part = features[
            _inside(rows, outer_rows, stride), _inside(columns, outer_columns, stride)
        ].astype("float64")
        part = part.reshape(-1, part.shape[-1])
        # Means and squares of parts combine without the cancellation of E[x^2] - E[x]^2
        # (Chan, Golub & LeVeque 1979).
        total = count + len(part)
        shift = part.mean(axis=0) - mean
        squares = squares + part.var(axis=0) * len(part) + shift**2 * (count * len(part) / total)
        mean = mean + shift * (len(part) / total)
        count = total
    return np.float32(mean), np.float32(np.sqrt(squares / count + epsilon))
