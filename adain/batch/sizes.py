"""The sizes of some of a data set's photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from adain.batch.sets import Form, Unit
from adain.imaging.io import open_image
from adain.stylize.sizes import SEEN

_UNITS = 16


def some_sizes(form: Form, units: Sequence[Unit], max_pixels: int) -> Iterator[tuple[int, int]]:
    """`(height, width)` of photos from all over a data set; the same ones on any machine."""
    filled = [unit for unit in units if unit.count]
    chosen = filled[:: max(1, len(filled) // _UNITS)]
    for unit in chosen:
        samples = (sample for sample in form.read(unit) if sample.data)
        try:
            for sample in islice(samples, -(-SEEN // len(chosen))):
                yield open_image(sample.data, max_pixels=max_pixels).size
        except Exception:  # Told when its turn comes.
            continue
