"""Photos as another frame of a video would show them, for the stability loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adain.training.config_checks import SHIFT

NOISE = 5.0
"""Standard deviation of the noise, grey levels."""


def see_again(photos: np.ndarray, key: Sequence[int], first: int = 0) -> dict[str, np.ndarray]:
    """A second view of every third photo: of a part that is not on the network's grid, with noise.

    Args:
        photos: `(batch, h, w, 3)` uint8 sRGB.
        key: Whole numbers; the same ones give the same view.
        first: The place of the first of these photos, where they are a part of a batch. Its parts
            together have the views of the whole batch.

    Returns:
        `{"second", "offset"}`: `(batch / 3 rounded up, h - 2 SHIFT, w - 2 SHIFT, 3)` uint8, and
        the row and the column where that part begins, in [0, 2 SHIFT], `(2,)` int32, for all.
    """
    rng = np.random.default_rng(key)
    height, width = (side - 2 * SHIFT for side in photos.shape[1:3])
    top, left = rng.integers(2 * SHIFT, size=2, endpoint=True)
    places = range(-first % 3, len(photos), 3)
    part = photos[places.start :: 3, top : top + height, left : left + width]
    noise = np.zeros(part.shape, "float32")
    for picture, place in zip(noise, places, strict=True):
        own = np.random.default_rng((*key, first + place))
        own.standard_normal(out=picture, dtype="float32")
    noisy = part + NOISE * noise
    return {
        "second": np.clip(np.rint(noisy), 0, 255).astype("uint8"),
        "offset": np.array([top, left], "int32"),
    }
