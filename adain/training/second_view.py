"""Photos as another frame of a video would show them, for the stability loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adain.training.config_checks import SHIFT

NOISE = 5.0
"""Standard deviation of the noise, grey levels."""


def see_again(photos: np.ndarray, key: Sequence[int]) -> dict[str, np.ndarray]:
    """A second view of every third photo: of a part that is not on the network's grid, with noise.

    Args:
        photos: `(batch, h, w, 3)` uint8 sRGB.
        key: Whole numbers; the same ones give the same view.

    Returns:
        `{"second", "offset"}`: `(batch / 3 rounded up, h - 2 SHIFT, w - 2 SHIFT, 3)` uint8, and
        the row and the column where that part begins, in [0, 2 SHIFT], `(2,)` int32.
    """
    rng = np.random.default_rng(key)
    height, width = (side - 2 * SHIFT for side in photos.shape[1:3])
    top, left = rng.integers(2 * SHIFT, size=2, endpoint=True)
    part = photos[::3, top : top + height, left : left + width]
    noisy = part + NOISE * rng.standard_normal(part.shape, "float32")
    return {
        "second": np.clip(np.rint(noisy), 0, 255).astype("uint8"),
        "offset": np.array([top, left], "int32"),
    }
