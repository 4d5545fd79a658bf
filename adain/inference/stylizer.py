"""Pictures in, pictures out, around any pair of networks: padding, style codes, exact tiles."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np

from adain.imaging.palette import Palette
from adain.imaging.pixels import check_picture
from adain.inference import tiling
from adain.inference.passes import Part, Pass, Progress
from adain.inference.photo import Networks, Photo, Statistics
from adain.inference.regions import Region, check_alpha, to_mask
from adain.inference.steady import Steady, SteadyFrame
from adain.inference.style_code import StyleCode
from adain.once import Once
from adain.presets.architecture import Architecture

logger = logging.getLogger(__name__)


class Stylizer(ABC):
    """What the model and every engine share: `encode_style`, `stylize` and `stylize_regions`.

    Args:
        architecture: What kind of networks they are.
        widths: Channels of each level at which AdaIN acts.
        preset: Name of the weights; style codes carry it.
        fingerprint: The beginning of the encoder's SHA-256, "" if unknown; likewise.
        palette: The `palette` of `stylize` where none is given, in [0, 1].
    """

    lanes = 1
    """Pictures that it processes at the same time, called from so many threads."""

    _engine = "keras"
    _precision = "float32"

    def __init__(
        self,
        architecture: Architecture,
        widths: tuple[int, ...],
        preset: str,
        fingerprint: str = "",
        palette: float = 0.0,
    ):
        self._architecture = architecture
        self._widths = widths
        self._preset = preset
        self._fingerprint = fingerprint
        self._palette = palette
        self._told = Once()

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
        fixed: np.ndarray | None = None,
        exact: bool = False,
    ) -> np.ndarray:
        """Levels with their own statistics and a style's to a picture, `(h, w, 3)`.

        uint8, or if `exact` float32 in [0, 1]. A decoder that normalises does so with what it finds
        in these levels, or with `fixed`.
        """

    def _measure(
        self,
        levels: Sequence[np.ndarray],
        own: Statistics,
        style: Statistics,
        alpha: float,
        weight: np.ndarray,
    ) -> np.ndarray:
        """What `_decode` takes as `fixed`, 1-D float32, of a decoder that normalises.

        `weight`, `(h, w)` float32, is how much each pixel counts.
        """
        raise NotImplementedError

    @property
    def _networks(self) -> Networks:
        return Networks(self._encode, self._measure, self._decode, self._architecture)

    @property
    def small(self) -> bool:
        """Whether the networks are of the small kind."""
        return self._architecture.small

    @property
    def preset(self) -> str:
        """Name of the weights; style codes carry it."""
        return self._preset

    @property
    def palette(self) -> float:
        """The `palette` of `stylize` where none is given."""
        return self._palette

    def encode_style(
        self,
        style: np.ndarray,
        *,
        visible: np.ndarray | None = None,
        tile: int = 0,
        **about: str,
    ) -> StyleCode:
        """Everything that is needed of a style picture.

        Args:
            style: HWC uint8 or uint16 sRGB, any size.
            visible: `(height, width)` bool, uint8, or float in [0, 1]: how much of each pixel is
                seen, and counts; None: all of all.
            tile: Side of the tiles to work in, pixels, a multiple of 16; 0: the whole picture at
                once.
            **about: `name`, `credit`, `license`, kept in the code.

        Returns:
            A `StyleCode`.

        Raises:
            ValueError: If `style` is not a picture, nothing of it is visible, or `tile` is no
                multiple of 16.
        """
        _check_tile(tile)
        style = check_picture(style, "style")
        masks = None if visible is None else [to_mask(visible, style.shape[:2], "`visible`")]
        (statistics,) = Photo(self._networks, style, masks, tile).statistics()
        palette = Palette.of(style, masks and masks[0])
        ends = np.cumsum(self._widths)[:-1]
        means, stds = (np.split(vector, ends) for vector in statistics)
        return StyleCode(
            means, stds, palette=palette, preset=self.preset, encoder=self._fingerprint, **about
        )

    def stylize(
        self,
        content: np.ndarray,
        style: np.ndarray | StyleCode,
        alpha: float = 1.0,
        *,
        palette: float | None = None,
        tile: int = 0,
        steady: SteadyFrame | None = None,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Stylise a photo.

        Args:
            content: HWC uint8 or uint16 sRGB, any size.
            style: HWC uint8 or uint16 sRGB, any size, or a `StyleCode` of these weights.
            alpha: Strength: 0 reconstructs the photo as well as the decoder can, 1 is the style;
                above 1 the style is exaggerated.
            palette: How far the result's colours are then moved to the style's mean colour and
                covariance: 0 not at all, 1 all the way; an alpha below 1 makes it as much less.
                None: what suits the weights.
            tile: Side of the tiles to work in, pixels, a multiple of 16; memory then does not grow
                with the picture, and the result is the same within one grey level. 0: all at once.
                See `tile_for`.
            steady: What this frame of a clip shares with the ones before; None: a single photo.
            progress: Called after each step.

        Returns:
            HWC sRGB, size and dtype of `content`.

        Raises:
            ValueError: If `content` is no picture, `alpha` is negative, `palette` is not in
                [0, 1], `tile` is no multiple of 16, or the code is not ours.
        """
        return self._stylize(content, [(style, alpha)], None, palette, tile, steady, progress)

    def stylize_regions(
        self,
        content: np.ndarray,
        regions: Sequence[Region],
        *,
        palette: float | None = None,
        tile: int = 0,
        steady: SteadyFrame | None = None,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Stylise parts of a photo, each in its own style; the rest stays as it is.

        Each part is stylised with the statistics of the photo inside its mask, and laid on by the
        mask: `sum_i m_i * image_i + (1 - sum_i m_i) * content`; where the masks' sum passes 1, they
        are divided by it.

        Args:
            content: HWC uint8 or uint16 sRGB, any size.
            regions: One or more.
            palette: As in `stylize`; the colours of each region are moved on their own.
            tile: As in `stylize`.
            steady: As in `stylize`.
            progress: As in `stylize`.

        Returns:
            HWC sRGB, size and dtype of `content`; its very pixels where no mask reaches.

        Raises:
            ValueError: As in `stylize`; if there is no region, or a mask is of another size than
                `content`, holds anything but numbers in [0, 1], or has nothing inside.
        """
        content = check_picture(content, "content")
        parts, masks = [], []
        for region in regions:
            parts.append((region.style, region.alpha))
            masks.append(to_mask(region.mask, content.shape[:2]))
        if not parts:
            raise ValueError("`regions` must hold at least one region. Received: none")
        return self._stylize(content, parts, masks, palette, tile, steady, progress)

    def tile_for(self, height: int, width: int, memory: float, *, regions: int = 0) -> int:
        """The `tile` for a picture, so that the networks need no more than some memory.

        Args:
            height, width: Sides of the picture, pixels.
            memory: Bytes, without those of the picture and the result.
            regions: Number of masks.

        Returns:
            0 where the whole picture fits, else the largest side that does; twice the
            halo at least, since smaller ones take little less memory and many times the time.
        """
        # Of each region a share, and of all together float pictures.
        each = self._architecture.bytes_for(self._engine, self._precision) + 40 * regions
        pixels, halo = max(memory, 0) / each, self._architecture.halo
        if height * width <= pixels:
            return 0
        # Across a strip a tile has no halo.
        shorter = min(height, width)
        side = int(max(pixels**0.5, pixels / shorter)) - 2 * halo
        step = tiling.MULTIPLE
        return max(side // step * step, -(-2 * halo // step) * step)

    def prepare(self, height: int, width: int) -> None:  # noqa: B027
        """Say that many photos of one size are coming: engines may make networks for it.

        OpenVINO does, for the four sizes told last, which takes it about half a second when the
        first photo comes; the next are processed faster, and may differ by a grey level from those
        of networks for any size, in bfloat16 by a fraction of one on average.

        Args:
            height, width: Sides of the photos, pixels.
        """

    def check_code(self, code: StyleCode) -> None:
        """Whether a style code is of these weights.

        Raises:
            ValueError: If it is not.
        """
        code.check(self.preset, self._fingerprint, self._widths)

    # === Stylising ===

    def _stylize(
        self,
        content: np.ndarray,
        parts: Sequence[tuple[np.ndarray | StyleCode, float]],
        masks: Sequence[np.ndarray] | None,
        palette: float | None,
        tile: int,
        steady: SteadyFrame | None,
        progress: Progress | None,
    ) -> np.ndarray:
        for _, alpha in parts:
            check_alpha(alpha)
        palette = self.palette if palette is None else palette
        if not (isinstance(palette, Real) and 0 <= palette <= 1):
            raise ValueError(f"`palette` must be in [0, 1]. Received: palette={palette}")
        _check_tile(tile)
        content = check_picture(content, "content")
        codes = [(self._to_code(style, tile), alpha) for style, alpha in parts]
        styled = [Part(code, alpha, self._move(code, alpha, palette)) for code, alpha in codes]
        once = Pass(
            self._networks, content, masks, tile, steady or Steady(0).next_frame(), progress
        )
        return once.run(styled)

    def _move(self, code: StyleCode, alpha: float, palette: float) -> float:
        """How far a result's colours are moved to a style's."""
        move = palette * min(alpha, 1)
        if move and code.palette is None:
            if self._told.first(code.name):
                logger.warning(
                    "the style card %sis of an older version and has no palette: colours stay as "
                    "the network gives them. Make it again with `adain styles save`.",
                    f"{code.name!r} " if code.name else "",
                )
            return 0.0
        return move

    def _to_code(self, style: np.ndarray | StyleCode, tile: int) -> StyleCode:
        code = style if isinstance(style, StyleCode) else self.encode_style(style, tile=tile)
        self.check_code(code)
        return code


def _check_tile(tile: int) -> None:
    if not isinstance(tile, Integral) or tile < 0 or tile % tiling.MULTIPLE:
        raise ValueError(
            f"`tile` must be 0 or a multiple of {tiling.MULTIPLE}. Received: tile={tile!r}"
        )
