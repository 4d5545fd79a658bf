"""A photo on its way through the networks: whole or in tiles, in one region or in several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from adain.imaging.palette import Palette, recolor
from adain.imaging.pixels import pad, to_input, to_picture, to_unit
from adain.inference import tiling
from adain.inference.regions import Shares, bounding_box
from adain.presets.architecture import Architecture

_BAND = 256
SAMPLES = 2**16
"""Pixels of a result that its palette is taken from: more do not change a grey level of it."""
_ALL = (slice(None), slice(None))


class Statistics(NamedTuple):
    """Channel means and deviations, `(channels of all levels,)` float32, level after level."""

    mean: np.ndarray
    std: np.ndarray


class Look(NamedTuple):
    """How a region is stylised."""

    own: Statistics
    style: Statistics
    alpha: float
    matrix: np.ndarray | None = None
    """`(3, 4)`, where the result's colours are moved to (`imaging.palette`); None: they stay."""
    fixed: np.ndarray | None = None
    """What the decoder normalises with, of `Photo.measure`; None: with its features' own."""


class Networks(NamedTuple):
    """What an engine gives: `_encode`, `_measure` and `_decode` of `Stylizer`."""

    encode: Callable
    measure: Callable
    decode: Callable
    architecture: Architecture


class Photo:
    """A picture, its regions, and the tiles that it is processed in.

    Args:
        networks: What to process it with.
        content: HWC uint8 or uint16 sRGB, any size.
        masks: `(height, width)` each, uint8 or float32 in [0, 1]; None: one region, all of it.
        tile: Side of the tiles, pixels, a multiple of the stride; 0: the whole picture at once.
        tick: Called after each of `2 * cuts` steps: of `statistics`, then of `stylize` or of
            `pictures`.
    """

    def __init__(
        self,
        networks: Networks,
        content: np.ndarray,
        masks: Sequence[np.ndarray] | None = None,
        tile: int = 0,
        tick: Callable[[], None] = lambda: None,
    ):
        stride = networks.architecture.stride
        self._networks = networks
        self._image = to_input(content, "content", stride)
        self._box = tuple(slice(side) for side in np.shape(content)[:2])
        self._shares = None if masks is None else Shares([pad(mask, stride) for mask in masks])
        self._size = self._image.shape[:2]
        halo = networks.architecture.halo
        self._tile = tiling.tile_sides(self._size, tile, halo) if tile else self._size
        self._whole = self._tile == self._size
        self._levels: list[np.ndarray] | None = None
        self._tick = tick
        self.cuts = len(list(tiling.tiles(*self._size, self._tile, 0)))

    def statistics(self) -> list[Statistics]:
        """Those of each region; of a whole picture the levels are kept for what comes next."""
        if self._whole:
            self._levels, own = self._networks.encode(self._image)
            if self._shares is None:
                self._tick()
                return [own]

        def encode(part):
            features = self._levels or self._networks.encode(part)[0]
            self._tick()
            return features

        facts = self._networks.architecture
        pooled = tiling.pooled_statistics(
            encode,
            self._image,
            self._tile,
            halo=facts.encoder_halo,
            shares=self._shares,
            epsilon=facts.epsilon,
        )
        return [Statistics(*region) for region in pooled]

    def measure(self, looks: Sequence[Look]) -> list[Look]:
        """With what the decoder normalises with in each region; of a whole picture only."""
        if self._shares is None:
            shares = np.ones((1, *self._size), "float32")
        else:
            shares = self._share(slice(None), slice(None))
        levels = self._levels or self._networks.encode(self._image)[0]
        return [
            look._replace(fixed=self._networks.measure(levels, *look[:3], share))
            for look, share in zip(looks, shares, strict=True)
        ]

    def stylize(self, looks: Sequence[Look]) -> np.ndarray:
        """The result, HWC, the content's size and type."""

        def part_of(rows, columns):
            part, share = self._image[rows, columns], self._share(rows, columns)
            if share is None or share.any():
                features = self._levels or self._networks.encode(part)[0]
                plain = share is None and looks[0].matrix is None
                if plain and part.dtype == np.uint8:
                    part = self._networks.decode(features, *looks[0][:3], fixed=looks[0].fixed)
                else:
                    pictures = self._decode(features, looks, share, part.shape[0])
                    part = _compose(part, pictures, looks, share)
            self._tick()
            return part

        halo = self._networks.architecture.halo
        return tiling.map_tiles(part_of, self._size, self._tile, halo)[self._box]

    # === With all of the result at hand ===

    def pictures(self, looks: Sequence[Look]) -> list[np.ndarray]:
        """What the decoder makes of each region, `(h, w, 3)` float32 in [0, 1], 0 elsewhere."""

        def part_of(rows, columns):
            height, width = self._image[rows, columns].shape[:2]
            share = self._share(rows, columns)
            features = self._levels or self._networks.encode(self._image[rows, columns])[0]
            decoded = self._decode(features, looks, share, height)
            if share is None:
                found = [picture for _, _, picture in decoded]
            else:
                found = [np.zeros((height, width, 3), "float32") for _ in looks]
                for number, box, picture in decoded:
                    found[number][box] = picture
            self._tick()
            return found

        if self._whole:
            return part_of(*_ALL)
        halo = self._networks.architecture.halo
        joined = tiling.map_tiles(
            lambda *place: np.concatenate(part_of(*place), -1), self._size, self._tile, halo
        )
        return [np.ascontiguousarray(part) for part in np.split(joined, len(looks), -1)]

    def palettes(self, pictures: Sequence[np.ndarray]) -> list[Palette]:
        """Those of each region, of what `pictures` gave."""
        if self._shares is None:
            # Of every n-th pixel of every n-th row; in a region there may be few.
            (picture,) = (picture[self._box] for picture in pictures)
            step = max(1, math.isqrt(picture.shape[0] * picture.shape[1] // SAMPLES))
            return [Palette.of(picture[::step, ::step])]
        shares = self._share(*_ALL)
        return [
            Palette.of(picture[self._box], share[self._box])
            for picture, share in zip(pictures, shares, strict=True)
        ]

    def compose(self, pictures: Sequence[np.ndarray], looks: Sequence[Look]) -> np.ndarray:
        """What `stylize` would give, from what `pictures` gave."""
        result = np.empty_like(self._image)
        # In bands: float copies of all of it would take too much memory.
        for top in range(0, self._size[0], _BAND):
            rows = slice(top, top + _BAND)
            placed = ((number, _ALL, picture[rows]) for number, picture in enumerate(pictures))
            share = self._share(rows, slice(None))
            result[rows] = _compose(self._image[rows], placed, looks, share)
        return result[self._box]

    # === Parts ===

    def _share(self, rows: slice, columns: slice) -> np.ndarray | None:
        return None if self._shares is None else self._shares(rows, columns)

    def _decode(
        self,
        levels: Sequence[np.ndarray],
        looks: Sequence[Look],
        shares: np.ndarray | None,
        height: int,
    ) -> Iterator[tuple[int, tuple, np.ndarray]]:
        """Number, place and picture of each region that is in a part of so many rows."""
        if shares is None:
            yield 0, _ALL, self._picture(levels, looks[0])
            return
        for number, (look, share) in enumerate(zip(looks, shares, strict=True)):
            box = bounding_box(share, self._networks.architecture)
            if box is None:
                continue
            parts = []
            for level in levels:
                stride = height // level.shape[0]
                parts.append(level[tuple(slice(s.start // stride, s.stop // stride) for s in box)])
            yield number, box, self._picture(parts, look)

    def _picture(self, levels: Sequence[np.ndarray], look: Look) -> np.ndarray:
        return self._networks.decode(levels, *look[:3], fixed=look.fixed, exact=True)


def shrink(
    content: np.ndarray, masks: Sequence[np.ndarray] | None, pixels: int
) -> tuple[np.ndarray, list[np.ndarray] | None]:
    """A copy of a photo and its masks of about so many pixels."""
    import cv2

    height, width = content.shape[:2]
    scale = (pixels / (height * width)) ** 0.5
    size = (max(round(width * scale), 1), max(round(height * scale), 1))

    def resize(picture):
        return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)

    def resize_mask(mask):
        small = resize(mask)
        # A region of few pixels would be rounded away.
        return small if small.any() else resize(to_unit(mask))

    return resize(content), None if masks is None else list(map(resize_mask, masks))


def _compose(
    image: np.ndarray,
    pictures: Iterable[tuple[int, tuple, np.ndarray]],
    looks: Sequence[Look],
    shares: np.ndarray | None,
) -> np.ndarray:
    """Move the colours of the regions' pictures and lay them over the photo, of whose type it is.

    Args:
        image: HWC uint8 or uint16.
        pictures: Number, place and picture, float32 in [0, 1], of each region.
        looks: Of all regions.
        shares: `(regions, h, w)` float32: how much of each pixel is each region's; None: there is
            one, everywhere.
    """

    def moved(number, picture, dtype):
        matrix = looks[number].matrix
        return picture if matrix is None else recolor(picture, matrix, dtype)

    if shares is None:
        ((number, _, picture),) = pictures
        picture = moved(number, picture, image.dtype)
        return picture if picture.dtype == image.dtype else to_picture(picture, image.dtype)
    result = to_unit(image) * (1 - shares.sum(axis=0))[..., None]
    for number, box, picture in pictures:
        result[box] += shares[number][box][..., None] * moved(number, picture, np.float32)
    return to_picture(result, image.dtype)
