"""An opened picture or animation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adain.constants import MAX_PIXELS
from adain.imaging import exif as exif_blocks
from adain.imaging.decode import (
    Finisher,
    ImageMeta,
    check_pixels,
    named,
    open_reader,
    reduced,
    turned_size,
)
from adain.imaging.streams import Readable, read_bytes


class ImageFile:
    """A picture file, read once: its metadata, its picture and its frames.

    Args:
        source: A path, a file's bytes, or a binary file object such as `sys.stdin.buffer`.
        max_pixels: Refuse pictures of more pixels, before they are decoded; of an animation all
            frames count.

    Attributes:
        name: The name used in messages.
        format: A name of `formats.FORMATS`, such as "JPEG", by the content.
        size: `(height, width)`, upright.
        bits: Bits per channel in the file: 1, 8, 16 or 32.
        n_frames: Frames of the animation; 1 for a still, and for TIFF of many pages.
        loop: How often an animation plays; see `ImageMeta.loop`.
        history: What `save_image` wrote as `ImageMeta.history`; "" for none.

    Raises:
        ImageError: If the file is missing, empty, or not a picture that is read.
    """

    def __init__(self, source: Readable, *, max_pixels: int = MAX_PIXELS):
        data, self.name = read_bytes(source, max_pixels)
        self._data, self._max_pixels = data, max_pixels
        self._reader = open_reader(data, self.name, max_pixels)
        header = self._reader.header
        self.format, self.bits = header.format, header.bits
        self.n_frames, self.loop = header.frames, header.loop
        self.size = turned_size(header)
        self.history = exif_blocks.history(header.exif)

    @property
    def is_animated(self) -> bool:
        """Whether there is more than one frame."""
        return self.n_frames > 1

    def read(self, *, keep_depth: bool = False) -> tuple[np.ndarray, ImageMeta]:
        """The picture, or an animation's first; see `read_image`.

        Raises:
            ImageError: If it is too large, truncated or broken.
        """
        check_pixels(self._reader.header, 1, self.name, self._max_pixels)
        finish = Finisher(self._reader.header, self.name, keep_depth)
        with named(self.name, self._data):
            return finish(self._reader.first())

    def read_reduced(self, shorter_side: int) -> np.ndarray:
        """The colours, HWC uint8, for training; see `read_training_image`.

        Raises:
            ImageError: If it is too large, truncated or broken.
        """
        check_pixels(self._reader.header, 1, self.name, self._max_pixels)
        with named(self.name, self._data):
            colors = reduced(self._reader, shorter_side)
        return self.read()[0] if colors is None else colors

    def frames(self, *, keep_depth: bool = False) -> Iterator[tuple[np.ndarray, ImageMeta]]:
        """Each whole frame as `read` gives it, with its `duration`; one is held at a time.

        Raises:
            ImageError: If all frames together are too large; also partway through a file.
        """
        header = self._reader.header
        check_pixels(header, header.frames, self.name, self._max_pixels)
        finish = Finisher(header, self.name, keep_depth)
        # From the beginning, however often it is called.
        reader = open_reader(self._data, self.name, self._max_pixels)
        with named(self.name, self._data):
            for frame in reader.frames():
                yield finish(frame)


def open_image(source: Readable, *, max_pixels: int = MAX_PIXELS) -> ImageFile:
    """Open a picture or an animation; see `ImageFile`."""
    return ImageFile(source, max_pixels=max_pixels)
