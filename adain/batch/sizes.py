"""Sizes that many pictures of a data set have: engines may make networks for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from adain.batch.config import BatchConfig
from adain.batch.sets import Unit, make_form
from adain.imaging.formats import ImageError
from adain.imaging.io import open_image
from adain.inference.supersample import painted_size
from adain.presets.preset import Preset
from adain.stylize.inputs import fitted_size

MOST = 4
"""Sizes; an engine keeps as many."""
LEAST = 200
"""Results of a size: networks for it take each process half a second, and then save a third."""
_PICTURES, _UNITS = 64, 16


def common_sizes(config: BatchConfig, form: str, units: Sequence[Unit]) -> list[tuple[int, int]]:
    """Sizes of photos that are worth networks of their own, judged by some from all over a set.

    The same set has the same, on any machine.

    Args:
        config: The settings.
        form: A key of `sets.FORMS`.
        units: All of the data set.

    Returns:
        `(height, width)` of photos as they are in the set, at most `MOST`, the most frequent first.
    """
    results = sum(unit.count for unit in units) * config.draws
    if results < LEAST:
        return []
    stride = Preset.load(config.checkpoint).architecture.stride
    # Networks see multiples of their stride: of photos that need the same, one stands for all.
    photos: dict[tuple[int, int], tuple[int, int]] = {}
    seen: Counter[tuple[int, int]] = Counter()
    for size in _sizes(config, form, units):
        how = (config.content_size, config.crop_size, config.max_pixels, "photo")
        try:
            painted = painted_size(*fitted_size(size, *how)[1], config.supersample)
        except ImageError:  # Told when its turn comes.
            continue
        cells = tuple(-(-side // stride) for side in painted)
        if max(painted) <= config.tile:
            photos.setdefault(cells, size)
            seen[cells] += 1
    total = sum(seen.values())
    common = [cells for cells, count in seen.most_common(MOST) if count * results >= LEAST * total]
    return [photos[cells] for cells in common]


def _sizes(config: BatchConfig, form: str, units: Sequence[Unit]) -> Iterator[tuple[int, int]]:
    """Those of some photos."""
    filled = [unit for unit in units if unit.count]
    chosen = filled[:: max(1, len(filled) // _UNITS)]
    each = -(-_PICTURES // len(chosen))
    for unit in chosen:
        samples = (sample for sample in make_form(form, config).read(unit) if sample.data)
        try:
            for sample in islice(samples, each):
                yield open_image(sample.data, max_pixels=config.max_pixels).size
        except Exception:  # Told when its turn comes.
            continue
