"""Pictures in, pictures out, around any pair of networks: padding, style codes, exact tiles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from adain import tiling
from adain.architectures import Architecture
from adain.codes import StyleCode


class Statistics(NamedTuple):
    """Channel means and deviations, `(channels of all levels,)` float32, level after level."""

    mean: np.ndarray
    std: np.ndarray


class Painter(ABC):
    """What the model and every engine share: `encode_style` and `stylize`.

    Args:
        architecture: What kind of networks they are.
        widths: Channels of each level at which AdaIN acts.
        preset: Name of the weights; style codes carry it.
    """

    def __init__(self, architecture: Architecture, widths: tuple[int, ...], preset: str):
        self._architecture = architecture
        self._widths = widths
        self._preset = preset

    @abstractmethod
    def _encode(self, image: np.ndarray) -> tuple[list[np.ndarray], Statistics]:
        """`(h, w, 3)` uint8 to its levels, `(h, w, channels)` each, and their statistics."""

    @abstractmethod
    def _decode(
        self, levels: Sequence[np.ndarray], own: Statistics, style: Statistics, alpha: float
    ) -> np.ndarray:
        """Levels with their own statistics and a style's to a picture, `(h, w, 3)` uint8."""

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
            **about: `name`, `credit`, `licence`, kept in the code.

        Returns:
            A `StyleCode`.

        Raises:
            ValueError: If `style` is not a picture, or `tile` no multiple of 16.
        """
        _check_tile(tile)
        image = to_input(style, "style", self._architecture.stride)
        if not tile or max(image.shape[:2]) <= tile:
            statistics = self._encode(image)[1]
        else:
            statistics = self._pooled(image, tile)
        ends = np.cumsum(self._widths)[:-1]
        means, stds = (np.split(vector, ends) for vector in statistics)
        return StyleCode(means, stds, preset=self.preset, **about)

    def stylize(
        self,
        content: np.ndarray,
        style: np.ndarray | StyleCode,
        alpha: float = 1.0,
        *,
        tile: int = 0,
    ) -> np.ndarray:
        """Paint a photo in a style.

        Args:
            content: HWC uint8 sRGB, any size.
            style: HWC uint8 sRGB, any size, or a `StyleCode` of these weights.
            alpha: Strength: 0 gives the photo back as well as the decoder can, 1 the style;
                above 1 the style is exaggerated.
            tile: Side of the tiles to work in, pixels, a multiple of 16; memory then does not grow
                with the picture, and the result is the same within one grey level. 0: all at once.

        Returns:
            HWC uint8 sRGB, the size of `content`.

        Raises:
            ValueError: If `content` is no picture, `alpha` is negative, `tile` is no multiple
                of 16, or the code is not ours.
        """
        if not 0 <= alpha < float("inf"):
            raise ValueError(f"`alpha` must be 0 or more. Received: alpha={alpha}")
        _check_tile(tile)
        code = style if isinstance(style, StyleCode) else self.encode_style(style, tile=tile)
        self._check_code(code)
        wanted = Statistics(np.concatenate(code.means), np.concatenate(code.stds))
        image = to_input(content, "content", self._architecture.stride)
        height, width = content.shape[:2]
        if not tile or max(image.shape[:2]) <= tile:
            levels, own = self._encode(image)
            return self._decode(levels, own, wanted, alpha)[:height, :width]
        own = self._pooled(image, tile)

        def paint(part):
            return self._decode(self._encode(part)[0], own, wanted, alpha)

        result = tiling.map_tiles(paint, image, tile, halo=self._architecture.halo)
        return result[:height, :width]

    def _pooled(self, image: np.ndarray, tile: int) -> Statistics:
        return Statistics(
            *tiling.pooled_statistics(
                lambda part: self._encode(part)[0],
                image,
                tile,
                halo=self._architecture.encoder_halo,
            )
        )

    def _check_code(self, code: StyleCode) -> None:
        if code.widths != self._widths or (code.preset and code.preset != self.preset):
            raise ValueError(
                f"The style code must be made with preset {self.preset!r} (widths {self._widths}). "
                f"Received: {code!r}"
            )


def _check_tile(tile: int) -> None:
    if tile < 0 or tile % tiling.MULTIPLE:
        raise ValueError(
            f"`tile` must be 0 or a multiple of {tiling.MULTIPLE}. Received: tile={tile}"
        )


def to_input(picture: np.ndarray, name: str, stride: int) -> np.ndarray:
    """Check a picture and pad it, by reflection, to sides the networks take.

    Args:
        picture: HWC uint8 sRGB, any size.
        name: What errors call it.
        stride: Sides become multiples of this, at least two.

    Returns:
        `(h, w, 3)` uint8, the picture in the upper left corner.

    Raises:
        ValueError: If it is not a picture.
    """
    picture = np.asarray(picture)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3 or not picture.size:
        raise ValueError(
            f"`{name}` must be (height, width, 3) uint8 sRGB. "
            f"Received: shape={picture.shape}, dtype={picture.dtype}"
        )
    # Reflection inside the networks needs two features in each direction.
    sides = [max(-(-side // stride), 2) * stride for side in picture.shape[:2]]
    padding = [(0, side - was) for side, was in zip(sides, picture.shape[:2], strict=True)]
    if any(after for _, after in padding):
        picture = np.pad(picture, (*padding, (0, 0)), mode="reflect")
    return picture


def to_unit(picture: np.ndarray) -> np.ndarray:
    """uint8 to float32 in [0, 1], the same shape."""
    return picture.astype("float32") / 255


def to_picture(image: np.ndarray) -> np.ndarray:
    """`(h, w, 3)` float RGB, clipped to [0, 1], to HWC uint8."""
    return np.rint(np.clip(image, 0, 1) * 255).astype("uint8")
