"""The motion of a camera that turns, zooms or looks at a plane: a homography.

Reference:
    Lucas & Kanade, "An Iterative Image Registration Technique with an Application to Stereo
    Vision", IJCAI 1981; Fischler & Bolles, "Random Sample Consensus", Comm. ACM 1981.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_GRID = 6
"""Pixels of the small frame between the points to which the camera's motion is fitted."""
_STEP = 4
"""Pixels of the frame between those on which it is refined."""


@lru_cache(maxsize=4)
def points_of(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of all points of a plane, float32; the same for every frame."""
    rows, columns = np.indices((height, width), "float32")
    return columns, rows


def find_camera(places, trust: np.ndarray) -> np.ndarray | None:
    """The camera's motion, if there is one.

    Args:
        places: Columns and rows where points were, by the flow.
        trust: `(h, w)` float32, how sure that is.

    Returns:
        `(3, 3)` float32, from points to where they were; None if no motion fits.
    """
    import cv2

    grid = slice(_GRID // 2, None, _GRID), slice(_GRID // 2, None, _GRID)
    columns, rows = points_of(*trust.shape)
    sure = trust[grid].ravel() > 0.5
    now, before = (
        np.stack([x[grid].ravel()[sure], y[grid].ravel()[sure]], axis=-1)
        for x, y in ((columns, rows), places)
    )
    if len(now) < 16:
        return None
    matrix, fits = cv2.findHomography(now, before, cv2.RANSAC, 0.25, maxIters=200)
    return None if matrix is None or fits.mean() < 0.3 else matrix.astype("float32")


def transformed(points, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows by a homography."""
    columns, rows = points
    x, y, depth = (row[0] * columns + row[1] * rows + row[2] for row in matrix)
    return x / depth, y / depth


def refined(grey: np.ndarray, last: np.ndarray, camera, fits: np.ndarray):
    """The camera's motion as the two frames themselves have it.

    Flow of less than a pixel is a tenth of one too short, the same way in every frame. Two steps of
    Lucas & Kanade for all eight numbers of the homography, over the points that move with it.

    Args:
        grey, last: The frame and the one before, uint8.
        camera: The homography between the small ones, and the places that it gives.
        fits: `(h, w)` bool, of the small one: which points move by it.

    Returns:
        Columns and rows where points of the small frame were.
    """
    import cv2

    matrix, places = camera
    grid = slice(1, None, _STEP), slice(1, None, _STEP)
    columns, rows = (each[grid] for each in points_of(*grey.shape))
    # The same points in both sizes, whose first pixels' middles are half a pixel from the border.
    height, width = fits.shape
    scale_x, scale_y = grey.shape[1] / width, grey.shape[0] / height
    small = (columns + 0.5) / scale_x - 0.5, (rows + 0.5) / scale_y - 0.5
    x, y = transformed(small, matrix)
    near = [(x + 0.5) * scale_x - 0.5, (y + 0.5) * scale_y - 0.5]
    fits = cv2.remap(fits.astype("uint8"), *small, cv2.INTER_NEAREST)
    slopes = [cv2.Sobel(grey, cv2.CV_32F, *order, scale=1 / 8)[grid] for order in ((1, 0), (0, 1))]
    x, y = _centered(columns, rows, grey.shape)
    along = slopes[0] * x + slopes[1] * y
    design = [slope * basis for slope in slopes for basis in (1, x, y)] + [along * x, along * y]
    design = np.stack([each.ravel() for each in design])
    now = grey[grid].astype("float32")
    total = np.zeros(8, "float32")
    for _ in range(2):
        moved = cv2.remap(last, *near, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        gap = (now - moved).ravel()
        parts = design * ((np.abs(gap) < 12) & (fits.ravel() > 0))
        # Not by BLAS, whose threads would wait for a core beside the networks.
        squares, products = np.einsum("ip,jp->ij", parts, parts), np.einsum("ip,p->i", parts, gap)
        step = np.linalg.lstsq(squares, products, rcond=None)[0]
        total += step
        near = [*map(np.add, near, _change(step, x, y))]
    columns, rows = points_of(height, width)
    points = (columns + 0.5) * scale_x - 0.5, (rows + 0.5) * scale_y - 0.5
    x, y = _change(total, *_centered(*points, grey.shape))
    return places[0] + x / scale_x, places[1] + y / scale_y


def _centered(columns, rows, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Points from a frame's middle, in widths of the frame."""
    height, width = size
    return (columns - (width - 1) / 2) / width, (rows - (height - 1) / 2) / width


def _change(step: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How a small homography moves points: its eight derivatives' sum."""
    far = step[6] * x + step[7] * y
    return (
        step[0] + step[1] * x + step[2] * y + x * far,
        step[3] + step[4] * x + step[5] * y + y * far,
    )
