"""Sizes that many photos have: engines may make networks for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from adain.imaging.formats import ImageError
from adain.inference.supersample import painted_size
from adain.stylize.config import StylizeOptions
from adain.stylize.inputs import fitted_size

MOST = 4
"""Sizes; an engine keeps as many."""
LEAST = 200
"""Results of a size: networks for it take each process half a second, and then save a third."""
SEEN = 64
"""Photos from all over a set that are enough to tell."""


def common_sizes(
    photos: Iterable[tuple[int, int]], results: int, options: StylizeOptions, stride: int
) -> list[tuple[int, int]]:
    """Sizes that are worth networks of their own.

    Args:
        photos: `(height, width)` of some photos, pixels, about `SEEN`; not used for few results.
        results: How many there are going to be, of all photos.
        options: How photos are resized.
        stride: The networks', pixels.

    Returns:
        At most `MOST` of `photos`, the most frequent first. Networks see multiples of their stride:
        of photos that need the same, the first stands for all.
    """
    if results < LEAST:
        return []
    first: dict[tuple[int, ...], tuple[int, int]] = {}
    counts: Counter[tuple[int, ...]] = Counter()
    for size in photos:
        how = (options.content_size, options.crop_size, options.max_pixels, "photo")
        try:
            painted = painted_size(*fitted_size(size, *how)[1], options.supersample)
        except ImageError:  # Told when its turn comes.
            continue
        cells = tuple(-(-side // stride) for side in painted)
        first.setdefault(cells, size)
        counts[cells] += 1
    enough = LEAST * counts.total() / results
    return [first[cells] for cells, count in counts.most_common(MOST) if count >= enough]
