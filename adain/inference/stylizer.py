"""Pictures in, pictures out, around any pair of networks: padding, style codes, exact tiles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

from adain.imaging.pixels import pad, to_input, to_picture, to_unit
from adain.inference import tiling
from adain.inference.regions import Region, Shares, bounding_box, to_mask
from adain.inference.style_code import StyleCode
from adain.presets.architecture import Architecture


class Statistics(NamedTuple):
    """Channel means and deviations, `(channels of all levels,)` float32, level after level."""

    mean: np.ndarray
    std: np.ndarray


Progress = Callable[[int, int], None]
"""Called with the number of steps done, and of all steps."""


class Stylizer(ABC):
    """What the model and every engine share: `encode_style`, `stylize` and `stylize_regions`.

    Args:
        architecture: What kind of networks they are.
        widths: Channels of each level at which AdaIN acts.
        preset: Name of the weights; style codes carry it.
        fingerprint: The beginning of the encoder's SHA-256, "" if unknown; likewise.
    """

    _engine = "keras"

    def __init__(
        self,
        architecture: Architecture,
        widths: tuple[int, ...],
        preset: str,
        fingerprint: str = "",
    ):
        self._architecture = architecture
        self._widths = widths
        self._preset = preset
        self._fingerprint = fingerprint

    @abstractmethod
    def _encode(self, image: np.ndarray) -> tuple[list[np.ndarray], Statistics]:
        """`(h, w, 3)` uint8 or uint16 to levels, `(h, w, channels)` each, and their statistics."""

    @abstractmethod
    def _decode(
        self,
        levels: Sequence[np.ndarray],
        own: Statistics,
        style: Statistics,
        alpha: float,
        *,
        exact: bool = False,
    ) -> np.ndarray:
        """Levels with their own statistics and a style's to a picture, `(h, w, 3)`.

        uint8, or if `exact` float32 in [0, 1].
        """

    @property
    def preset(self) -> str:
        """Name of the weights; style codes carry it."""
        return self._preset

    def encode_style(self, style: np.ndarray, *, tile: int = 0, **about: str) -> StyleCode:
        """Everything the networks need of a style picture.

        Args:
            style: HWC uint8 sRGB, any size.
            tile: Side of the tiles to work in, pixels, a multiple of 16; 0: the whole picture at
                once.
            **about: `name`, `credit`, `license`, kept in the code.

        Returns:
            A `StyleCode`.

        Raises:
            ValueError: If `style` is not a picture, or `tile` no multiple of 16.
        """
        _check_tile(tile)
        image = to_input(style, "style", self._architecture.stride)
        if _is_whole(image, tile):
            statistics = self._encode(image)[1]
        else:
            (statistics,) = self._pooled(image, tile)
        ends = np.cumsum(self._widths)[:-1]
        means, stds = (np.split(vector, ends) for vector in statistics)
        return StyleCode(means, stds, preset=self.preset, encoder=self._fingerprint, **about)

    def stylize(
        self,
        content: np.ndarray,
        style: np.ndarray | StyleCode,
        alpha: float = 1.0,
        *,
        tile: int = 0,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Paint a photo in a style.

        Args:
            content: HWC uint8 or uint16 sRGB, any size.
            style: HWC uint8 or uint16 sRGB, any size, or a `StyleCode` of these weights.
            alpha: Strength: 0 gives the photo back as well as the decoder can, 1 the style;
                above 1 the style is exaggerated.
            tile: Side of the tiles to work in, pixels, a multiple of 16; memory then does not grow
                with the picture, and the result is the same within one grey level. 0: all at once.
                See `tile_for`.
            progress: Called after each step.

        Returns:
            HWC sRGB, size and dtype of `content`.

        Raises:
            ValueError: If `content` is no picture, `alpha` is negative, `tile` is no multiple
                of 16, or the code is not ours.
        """
        return self._paint(content, [(style, alpha)], None, tile, progress)

    def stylize_regions(
        self,
        content: np.ndarray,
        regions: Sequence[Region],
        *,
        tile: int = 0,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Paint parts of a photo, each in its own style; the rest stays as it is.

        Each part is painted with the statistics of the photo inside its mask, and laid on by the
        mask: `sum_i m_i * image_i + (1 - sum_i m_i) * content`; where the masks' sum passes 1, they
        are divided by it.

        Args:
            content: HWC uint8 or uint16 sRGB, any size.
            regions: One or more.
            tile: As in `stylize`.
            progress: As in `stylize`.

        Returns:
            HWC sRGB, size and dtype of `content`; its very pixels where no mask reaches.

        Raises:
            ValueError: As in `stylize`; if there is no region, or a mask is of another size than
                `content`, holds anything but numbers in [0, 1], or has nothing inside.
        """
        parts, masks = [], []
        for region in regions:
            parts.append((region.style, region.alpha))
            masks.append(to_mask(region.mask, np.shape(content)[:2]))
        if not parts:
            raise ValueError("`regions` must hold at least one region. Received: none")
        return self._paint(content, parts, masks, tile, progress)

    def tile_for(self, height: int, width: int, memory: float, *, regions: int = 0) -> int:
        """The `tile` for a picture, so that the networks need no more than some memory.

        Args:
            height, width: Sides of the picture, pixels.
            memory: Bytes, without those of the picture and the result.
            regions: Number of masks.

        Returns:
            0 where the whole picture fits, else the largest side that does, 64 at least.
        """
        # Of each region a share, and of all together float pictures.
        each = self._architecture.memory[self._engine] + 40 * regions
        if height * width * each <= memory:
            return 0
        side = int((max(memory, 0) / each) ** 0.5) - 2 * self._architecture.halo
        return max(side // tiling.MULTIPLE * tiling.MULTIPLE, 64)

    # === Painting ===

    def _paint(
        self,
        content: np.ndarray,
        parts: Sequence[tuple[np.ndarray | StyleCode, float]],
        masks: Sequence[np.ndarray] | None,
        tile: int,
        progress: Progress | None,
    ) -> np.ndarray:
        for _, alpha in parts:
            if not 0 <= alpha < float("inf"):
                raise ValueError(f"`alpha` must be 0 or more. Received: alpha={alpha}")
        _check_tile(tile)
        image = to_input(content, "content", self._architecture.stride)
        size = image.shape[:2]
        shares = None
        if masks is not None:
            shares = Shares([pad(mask, self._architecture.stride) for mask in masks])
        styles = [self._to_statistics(style, tile) for style, _ in parts]
        whole = _is_whole(image, tile)
        tile = max(size) if whole else tile
        cuts = len(list(tiling.tiles(*size, tile, 0)))
        steps = count(1)

        def tick():
            if progress is not None:
                progress(next(steps), 2 * cuts)

        if whole:
            levels, own = self._encode(image)
            owns = [own] if shares is None else self._pooled(image, tile, shares, levels)
            tick()
        else:
            levels, owns = None, self._pooled(image, tile, shares, tick=tick)
        looks = [
            (own, style, alpha) for own, style, (_, alpha) in zip(owns, styles, parts, strict=True)
        ]

        def paint(rows, columns):
            part = image[rows, columns]
            share = None if shares is None else shares(rows, columns)
            if share is None or share.any():
                features = levels or self._encode(part)[0]
                if share is None and part.dtype == np.uint8:
                    part = self._decode(features, *looks[0])
                else:
                    part = to_picture(self._compose(part, features, looks, share), part.dtype)
            tick()
            return part

        result = tiling.map_tiles(paint, size, tile, halo=self._architecture.halo)
        return result[: content.shape[0], : content.shape[1]]

    def _compose(
        self,
        image: np.ndarray,
        levels: list[np.ndarray],
        looks: Sequence[tuple[Statistics, Statistics, float]],
        shares: np.ndarray | None,
    ) -> np.ndarray:
        """Decode, and lay the regions over the photo; `(h, w, 3)` float32."""
        if shares is None:
            return self._decode(levels, *looks[0], exact=True)
        result = to_unit(image) * (1 - shares.sum(axis=0))[..., None]
        for look, share in zip(looks, shares, strict=True):
            box = bounding_box(share, self._architecture)
            if box is None:
                continue
            parts = []
            for level in levels:
                stride = image.shape[0] // level.shape[0]
                parts.append(level[tuple(slice(s.start // stride, s.stop // stride) for s in box)])
            result[box] += share[box][..., None] * self._decode(parts, *look, exact=True)
        return result

    def _pooled(
        self,
        image: np.ndarray,
        tile: int,
        shares: Shares | None = None,
        levels: list[np.ndarray] | None = None,
        tick: Callable[[], None] = lambda: None,
    ) -> list[Statistics]:
        """Statistics of the regions, from tiles, or from the levels of the whole picture."""

        def encode(part):
            features = levels or self._encode(part)[0]
            tick()
            return features

        halo = self._architecture.encoder_halo
        pooled = tiling.pooled_statistics(encode, image, tile, halo=halo, shares=shares)
        return [Statistics(*region) for region in pooled]

    def _to_statistics(self, style: np.ndarray | StyleCode, tile: int) -> Statistics:
        code = style if isinstance(style, StyleCode) else self.encode_style(style, tile=tile)
        code.check(self.preset, self._fingerprint, self._widths)
        return Statistics(np.concatenate(code.means), np.concatenate(code.stds))


def _is_whole(image: np.ndarray, tile: int) -> bool:
    return not tile or max(image.shape[:2]) <= tile


def _check_tile(tile: int) -> None:
    if tile < 0 or tile % tiling.MULTIPLE:
        raise ValueError(
            f"`tile` must be 0 or a multiple of {tiling.MULTIPLE}. Received: tile={tile}"
        )
