"""Exact tiles: large pictures in flat memory, with the result of the whole picture.

AdaIN couples all positions only through the mean and deviation of each channel. So those are
pooled over the tiles first; then each tile is stylised with the statistics of the whole, and with
a halo as wide as the networks see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from adain.constants import EPSILON

MULTIPLE = 16
"""Sides of tiles are multiples of this: the deepest stride of all networks."""


def tile_sides(size: tuple[int, int], tile: int, halo: int) -> tuple[int, int]:
    """`(height, width)` of tiles; a side that fits into a tile with its halo stays whole.

    Cut, its tiles would take as much memory each, and overlap nearly all over: strips would take
    many times as long.

    Args:
        size: `(height, width)` of the picture, pixels.
        tile: Side of a tile without its halo.
        halo: Pixels that are added on each side.
    """
    height, width = (side if side <= tile + 2 * halo else tile for side in size)
    return height, width


def tiles(height: int, width: int, tile: tuple[int, int], halo: int) -> Iterator[tuple[slice, ...]]:
    """Cut a picture into tiles with a halo.

    Args:
        height, width: Sides of the picture, pixels.
        tile: `(height, width)` of a tile without its halo.
        halo: Pixels to add on each side, as far as the picture reaches.

    Yields:
        `(rows, columns, outer_rows, outer_columns)`: the tile, and the tile with its halo.
    """
    for top in range(0, height, tile[0]):
        rows = slice(top, min(top + tile[0], height))
        outer_rows = slice(max(rows.start - halo, 0), min(rows.stop + halo, height))
        for left in range(0, width, tile[1]):
            columns = slice(left, min(left + tile[1], width))
            outer_columns = slice(max(left - halo, 0), min(columns.stop + halo, width))
            yield rows, columns, outer_rows, outer_columns


def map_tiles(
    function: Callable[[slice, slice], np.ndarray],
    size: tuple[int, int],
    tile: tuple[int, int],
    halo: int,
) -> np.ndarray:
    """Compute a picture, each of whose pixels depends on no more than `halo` others around it.

    Args:
        function: Rows and columns, with a halo, to what is there, `(h, w, channels)`.
        size: `(height, width)` of the picture, multiples of the stride.
        tile: `(height, width)` of a tile, multiples of the stride.
        halo: Pixels beyond a tile that its result depends on, a multiple of the stride.

    Returns:
        `(height, width, channels)`: what `function` would return for all rows and columns.
    """
    result = None
    for rows, columns, outer_rows, outer_columns in tiles(*size, tile, halo):
        part = function(outer_rows, outer_columns)
        if result is None:
            result = np.empty((*size, part.shape[-1]), part.dtype)
        result[rows, columns] = part[_inside(rows, outer_rows), _inside(columns, outer_columns)]
    return result


def pooled_statistics(
    encode: Callable[[np.ndarray], Sequence[np.ndarray]],
    image: np.ndarray,
    tile: tuple[int, int],
    *,
    halo: int,
    shares: Callable[[slice, slice], np.ndarray] | None = None,
    epsilon: float = EPSILON,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Channel means and deviations of a picture's features, or of its regions, from tiles.

    Args:
        encode: `(h, w, 3)` picture to features `(h / stride, w / stride, channels)`, one array for
            each level, of any stride that divides the tile's side.
        image: `(height, width, 3)`, sides multiples of the largest stride.
        tile: `(height, width)` of a tile in pixels, multiples of the largest stride.
        halo: Pixels beyond a tile that its features depend on, a multiple of the largest stride.
        shares: Rows and columns to how much each pixel there counts for each region,
            `(regions, h, w)` float; None: one region, the whole picture. A feature counts as much
            as the pixels that it covers do on average.
        epsilon: Added to the variance.

    Returns:
        `(mean, std)` of each region, both `(channels of all levels,)` float32, level after level.
    """
    regions: list[list[tuple]] = []
    for rows, columns, outer_rows, outer_columns in tiles(*image.shape[:2], tile, halo):
        levels = encode(image[outer_rows, outer_columns])
        weights = np.ones((1, 1, 1)) if shares is None else shares(rows, columns)
        regions = regions or [[(0.0, 0.0, 0.0)] * len(levels) for _ in weights]
        for level, features in enumerate(levels):
            stride = (outer_rows.stop - outer_rows.start) // features.shape[0]
            part = features[
                _inside(rows, outer_rows, stride), _inside(columns, outer_columns, stride)
            ].astype("float64")
            for moments, weight in zip(regions, weights, strict=True):
                weight = weight if shares is None else _pool(weight, stride)
                weight = np.broadcast_to(weight, part.shape[:2]).reshape(-1)
                moments[level] = _merge(moments[level], part.reshape(-1, part.shape[-1]), weight)
    results = []
    for moments in regions:
        mean = np.concatenate([mean for _, mean, _ in moments])
        variance = np.concatenate([squares / total for total, _, squares in moments])
        results.append((np.float32(mean), np.float32(np.sqrt(variance + epsilon))))
    return results


def _inside(part: slice, outer: slice, stride: int = 1) -> slice:
    return slice((part.start - outer.start) // stride, (part.stop - outer.start) // stride)


def _pool(weight: np.ndarray, stride: int) -> np.ndarray:
    """`(h, w)` to the means of its squares of `stride` pixels, `(h / stride, w / stride)`."""
    height, width = weight.shape
    return weight.reshape(height // stride, stride, width // stride, stride).mean((1, 3))


def _merge(moments: tuple, part: np.ndarray, weight: np.ndarray) -> tuple:
    """Sum of weights, mean and weighted squares, with those of `(positions, channels)` added.

    Parts combine without the cancellation of E[x^2] - E[x]^2 (Chan, Golub & LeVeque 1979).
    """
    total, mean, squares = moments
    added = float(weight.sum(dtype="float64"))
    if not added:
        return moments
    center = weight @ part / added
    shift = center - mean
    squares = squares + weight @ np.square(part - center)
    squares = squares + shift**2 * (total * added / (total + added))
    return total + added, mean + shift * (added / (total + added)), squares
