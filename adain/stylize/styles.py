"""Styles of a pipeline: checked, read, encoded, and kept for the next photo."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np

from adain.imaging import color
from adain.imaging import io as imaging
from adain.imaging.color_methods import changes_style
from adain.imaging.palette import Palette
from adain.imaging.transparency import cover_hidden
from adain.inference.memory import choose_tile
from adain.inference.regions import Region, check_alpha
from adain.inference.steady import SteadyFrame
from adain.inference.style_code import StyleCode, mix
from adain.inference.stylizer import Stylizer
from adain.presets.preset import Preset, available_presets
from adain.stylize.config import StylizeOptions
from adain.stylize.inputs import Lazy, Part, fit, fit_mask, to_mask, to_parts

# Pictures up to this fit into any memory; asking how much there is takes longer than they do.
_SMALL = 512 * 512


OF_STYLES = (
    "checkpoint", "engine", "precision", "style_size", "crop_size", "keep_colors", "refine",
    "tile", "max_memory", "max_pixels",
)  # fmt: skip
"""Options on which depends what is known of styles."""


class PreparedRegion(NamedTuple):
    """A region, checked and in one form."""

    parts: list[Part]
    alpha: float
    mask: np.ndarray | None
    """`(height, width)` uint8; None: the whole photo."""
    mask_name: str
    """What messages call the mask."""


class StylePicture(NamedTuple):
    """A style, resized and cut."""

    colors: np.ndarray
    """HWC uint8 or uint16 sRGB."""
    visible: np.ndarray | None
    """`(height, width)` uint8: how much of each pixel counts; None: all of all."""


class Styles:
    """What a pipeline knows of styles.

    Args:
        options: Those of the pipeline.
        stylizer: Encodes them.
        networks: Held while it does.
    """

    def __init__(
        self, options: StylizeOptions, stylizer: Stylizer, networks: AbstractContextManager
    ):
        self._options = options
        self._stylizer = stylizer
        self._networks = networks
        preset = Preset.load(options.checkpoint)
        # Networks that were loaded elsewhere may be others.
        if stylizer.preset != preset.name and stylizer.preset in available_presets():
            preset = Preset.load(stylizer.preset)
        self._library = preset.styles
        self._pictures = _Cache(64)
        self._codes = _Cache(4096)
        self._needs_pictures = changes_style(options.keep_colors) or bool(options.refine)

    def prepare(self, regions: Sequence[Region]) -> list[PreparedRegion]:
        """Check regions; pictures of styles are not read yet.

        Raises:
            ValueError: If a style, mask or strength is not what it should be.
        """
        if not isinstance(regions, Iterable):
            raise ValueError(
                f"`regions` must be a list of Region. Received: {type(regions).__name__}"
            )
        prepared = []
        for number, region in enumerate(regions):
            if not isinstance(region, Region):
                raise ValueError(
                    f"`regions[{number}]` must be a Region. Received: {type(region).__name__}"
                )
            where = "" if region.mask is None else f"regions[{number}]."
            check_alpha(region.alpha)
            parts = self._parts(region.style, f"{where}style")
            mask, name = region.mask, f"{where}mask"
            if isinstance(mask, Lazy):
                # Checked by whoever reads it.
                mask, name = mask.load(), mask.name
            elif mask is not None:
                mask = to_mask(mask, f"`{name}`", self._options.max_pixels)
            prepared.append(PreparedRegion(parts, region.alpha, mask, name))
        masked = [region.mask is not None for region in prepared]
        if not prepared:
            raise ValueError("`regions` must hold at least one region. Received: none")
        if len(prepared) > 1 and not all(masked):
            raise ValueError("Each of several `regions` must have a mask. Received: one without")
        if self._options.refine and (any(masked) or len(prepared[0].parts) > 1):
            raise ValueError("`refine` takes one style on the whole photo: no masks, no mixing.")
        return prepared

    def encode(self, style: Any, about: Mapping[str, str]) -> StyleCode:
        """The code of a style or a mix; `about` goes into that of a single picture."""
        parts = self._parts(style, "style")
        if (
            about
            and len(parts) == 1
            and isinstance(parts[0].style, Lazy)
            and not parts[0].style.card
        ):
            return self._encode(self.picture(parts[0].style), **about)
        return mix([self._code(part.style) for part in parts], [part.weight for part in parts])

    def picture(self, style: Lazy) -> StylePicture:
        """A style's picture, resized and cut as the options say.

        Raises:
            ImageError: If it cannot be read, is too large, or all of it is transparent.
        """

        def read() -> StylePicture:
            options, planes = self._options, style.load()
            how = (options.style_size, options.crop_size, options.max_pixels, style.name)
            colors, visible = fit(cover_hidden(*planes), *how), None
            if planes.alpha is not None and planes.alpha.min() < np.iinfo(planes.alpha.dtype).max:
                alpha = imaging.to_depth(planes.alpha, np.uint8)
                visible = fit_mask(alpha, planes.colors.shape[:2], *how)
                if not visible.any():
                    raise imaging.ImageError(f"{style.name}: nothing of this style can be seen")
            return StylePicture(colors, visible)

        return self._pictures.get(style.key, read)

    def mixed_all(
        self,
        regions: Sequence[PreparedRegion],
        photo: np.ndarray,
        masks: Sequence[np.ndarray | None],
        steady: SteadyFrame | None = None,
        visible: np.ndarray | None = None,
    ) -> list[StyleCode]:
        """`mixed` for each region; of a clip's frames, those that follow the photo are smoothed."""
        follow = steady is not None and changes_style(self._options.keep_colors)
        if follow and not steady.due("style"):
            held = [steady.held("style", number) for number in range(len(regions))]
            return list(map(_from_arrays, held))
        ways = zip(regions, masks, strict=True)
        codes = [self.mixed(region, photo, mask, visible) for region, mask in ways]
        if not follow:
            return codes
        arrays = [
            steady.hold("style", number, _to_arrays(code)) for number, code in enumerate(codes)
        ]
        return list(map(_from_arrays, arrays))

    def mixed(
        self,
        region: PreparedRegion,
        photo: np.ndarray,
        mask: np.ndarray | None,
        visible: np.ndarray | None = None,
    ) -> StyleCode:
        """The code of all a region's styles; each has taken the photo's colours if asked to.

        Args:
            region: What `prepare` gave.
            photo: HWC, resized and cut.
            mask: `(height, width)` of the photo, uint8; None: all of it.
            visible: How much of each of the photo's pixels can be seen, of the same shape and type;
                None: all of all.
        """
        method = self._options.keep_colors
        if changes_style(method):
            pixels = seen(photo, mask, visible)
            codes = [self._encode(self.recolored(style, pixels)) for style, _ in region.parts]
        else:
            codes = [self._code(style) for style, _ in region.parts]
        return mix(codes, [part.weight for part in region.parts])

    def recolored(self, style: Lazy, photo: np.ndarray) -> StylePicture:
        """A style with a photo's colours, if they are kept by changing the style.

        Args:
            style: A picture.
            photo: HWC, of any size: the pixels that count.
        """
        picture, method = self.picture(style), self._options.keep_colors
        if not changes_style(method):
            return picture
        if picture.visible is None:
            return picture._replace(colors=color.prepare_style(picture.colors, photo, method))
        # What cannot be seen is not measured, and may stay as it is: it does not count later.
        inside, colors = _inside(picture.visible), picture.colors.copy()
        colors[inside] = color.prepare_style(colors[inside][:, None], photo, method)[:, 0]
        return picture._replace(colors=colors)

    def tile(self, picture: np.ndarray, regions: int = 0, written: int | None = None) -> int:
        """The side of the tiles that a picture is processed in, pixels; 0: whole.

        `written` is as for `choose_tile`.
        """
        if self._options.tile is not None:
            return self._options.tile
        limit = self._options.memory_limit
        if limit is None and picture.shape[0] * picture.shape[1] <= _SMALL:
            return 0
        how = {"limit": limit, "regions": regions, "written": written}
        return choose_tile(self._stylizer, picture, **how)

    def _parts(self, style: Any, name: str) -> list[Part]:
        parts = to_parts(style, name, self._options.max_pixels, self._library)
        for style, _ in parts:
            card = isinstance(style, StyleCode) or style.card
            if card and self._needs_pictures:
                raise ValueError(
                    f"`{name}` must be a picture for refine, and for colours that are kept by "
                    f"changing the style. Received: {style.name!r}, a style card"
                )
            if card:
                self._stylizer.check_code(self._code(style))
        return parts

    def _code(self, style: Lazy | StyleCode) -> StyleCode:
        if isinstance(style, StyleCode):
            return style

        def make() -> StyleCode:
            return style.load() if style.card else self._encode(self.picture(style))

        return self._codes.get(style.key, make)

    def _encode(self, picture: StylePicture, **about: str) -> StyleCode:
        tile = self.tile(picture.colors)
        with self._networks:
            return self._stylizer.encode_style(
                picture.colors, visible=picture.visible, tile=tile, **about
            )


def _to_arrays(code: StyleCode) -> list[np.ndarray]:
    """A code's numbers; `_from_arrays` makes one of them that fits any weights."""
    palette = [] if code.palette is None else [code.palette.mean, code.palette.covariance]
    return [*code.means, *code.stds, *palette]


def _from_arrays(arrays: Sequence[np.ndarray]) -> StyleCode:
    palette = Palette(*arrays[-2:]) if arrays[-1].ndim == 2 else None
    vectors = arrays[:-2] if palette else arrays
    levels = len(vectors) // 2
    return StyleCode(vectors[:levels], vectors[levels:], palette=palette)


def _inside(plane: np.ndarray) -> np.ndarray:
    """Where a mask or transparency, uint8, lets through at least half; bool."""
    return plane >= min(128, plane.max())


def seen(photo: np.ndarray, mask: np.ndarray | None, visible: np.ndarray | None) -> np.ndarray:
    """The pixels of a photo that can be seen inside a mask, as a picture one pixel wide.

    Where there are none, those inside the mask.
    """
    if visible is not None:
        both = visible if mask is None else np.minimum(mask, visible)
        mask = both if both.any() else mask
    return photo if mask is None else photo[_inside(mask)][:, None]


class _Cache:
    """The results that were used last; each is made once, also with several threads."""

    def __init__(self, size: int):
        self._size = size
        self._lock = threading.RLock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
                if len(self._kept) > self._size:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]
