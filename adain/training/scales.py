"""The sizes at which pictures are compared in training."""

from __future__ import annotations

from keras import ops


class LossScales:
    """The sizes at which the loss network looks at a picture: full, half, a quarter, ...

    Args:
        halvings: How many sizes there are beside the full one.
        detail_size: At full size, only a square of this side in the middle of the output; 0: all
            of it. The content is then compared at half size.
    """

    def __init__(self, halvings: int = 0, detail_size: int = 0):
        self.count = 1 + halvings
        self.detail_size = detail_size
        self.content_index = 1 if detail_size else 0

    def __call__(self, pictures) -> list:
        """`(batch, h, w, 3)` to one such tensor for each size."""
        return [self._view(pictures, index) for index in range(self.count)]

    def style(self, pictures) -> list:
        """The same of styles, all of each: a part would not have the statistics of the whole."""
        return [pictures, *(self._view(pictures, index) for index in range(1, self.count))]

    def content(self, pictures):
        """The one of them at which contents are compared."""
        return self._view(pictures, self.content_index)

    def _view(self, pictures, index: int):
        if index:
            return ops.average_pool(pictures, 2**index, 2**index)
        if not self.detail_size:
            return pictures
        top, left = ((side - self.detail_size) // 2 for side in pictures.shape[1:3])
        rows, columns = (slice(start, start + self.detail_size) for start in (top, left))
        return pictures[:, rows, columns]
