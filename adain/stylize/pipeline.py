"""Every control of `adain stylize`, on arrays: photo and styles in, picture out."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from threading import RLock, Semaphore
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from adain.imaging import color, contact_sheet
from adain.imaging import io as imaging
from adain.imaging.transparency import cover_hidden, has_hidden
from adain.inference.multiscale import octaves, stylize_octaves, stylize_region_octaves
from adain.inference.regions import Region
from adain.inference.steady import SteadyFrame
from adain.inference.style_code import StyleCode
from adain.inference.stylizer import Stylizer
from adain.inference.supersample import enlarge_mask, painted_size, stylize_enlarged
from adain.once import Once
from adain.stylize.config import StylizeOptions
from adain.stylize.inputs import Lazy, Planes, fit, fit_mask, fitted_size, to_planes
from adain.stylize.sheets import SHEET_SIZE, Cell, check_rows
from adain.stylize.styles import OF_STYLES, PreparedRegion, Styles, seen

Progress = Callable[[float], None]
"""Called with how much is done, in (0, 1]. What it raises ends the run."""

logger = logging.getLogger(__name__)


class StylizePipeline:
    """Stylises pictures with every control of `adain stylize`, which is itself built on it.

    Networks are loaded once. A style is read and encoded once, whatever it comes as, and again only
    where `keep_colors` gives it each photo's colours: photos after photos, or frames after frames,
    cost no more than the networks' passes.

    Threads may share one pipeline, and pipelines one `stylizer`: the networks work on one picture
    at a time (or on as many as `stylizer.lanes` tells), all else (reading, resizing, colours) runs
    side by side. It can be pickled; networks are loaded again then.

    Args:
        options: The controls; their defaults are those of the command line.
        stylizer: Loaded networks, such as another pipeline's `stylizer`, which are then shared;
            default: those of `options.checkpoint`, `options.engine` and `options.precision`.
        pictures: How many are going to be stylised, for the choice of an engine.
        **changes: Fields of `StylizeOptions`, which take precedence over `options`.

    Raises:
        UsageError: If an option is not what it should be.
        PresetError: If there are no such weights, or they are damaged.
        EngineError: If the engine is not installed, or has no such precision.

    Example:
        >>> pipeline = adain.StylizePipeline(checkpoint="adain_fast", keep_colors="luma")
        >>> image = pipeline.run("photo.jpg", "starry-night", alpha=0.8)
        >>> adain.save_image("result.png", image)
    """

    def __init__(
        self,
        options: StylizeOptions | None = None,
        *,
        stylizer: Stylizer | None = None,
        pictures: int = 1,
        **changes: Any,
    ):
        self.options = replace(options or StylizeOptions(), **changes)
        if stylizer is None:
            # Here, because importing an engine takes time that a usage error should not cost.
            from adain.engines.registry import load_stylizer

            stylizer = load_stylizer(
                self.options.checkpoint,
                self.options.engine,
                pictures,
                precision=self.options.precision,
            )
            self._check_memory()
        self.stylizer = stylizer
        self._networks = _lock_of(stylizer)
        self._styles = Styles(self.options, stylizer, self._networks)
        self._told = Once()

    def _check_memory(self) -> None:
        """Tell of a limit that is passed before there is any picture."""
        import psutil

        taken = psutil.Process().memory_info().rss
        if (self.options.memory_limit or taken) < taken:
            logger.warning(
                "max_memory %s is less than the %d MiB of the program alone; tiles are the "
                "smallest, and the limit is passed",
                self.options.max_memory, taken / 2**20,
            )  # fmt: skip

    def __reduce__(self):
        return _rebuild, (self.options, self.stylizer)

    # === Public ===

    def prepare(self, height: int, width: int) -> None:
        """Say that many photos of one size are coming; see `Stylizer.prepare`.

        Args:
            height, width: Sides of the photos, pixels, as `run` gets them.

        Raises:
            ImageError: If resizing gives more than `max_pixels`.
        """
        options = self.options
        sizes = (options.content_size, options.crop_size, options.max_pixels, "photo")
        _, size = fitted_size((height, width), *sizes)
        self.stylizer.prepare(*painted_size(*size, options.supersample))

    def run(
        self,
        photo: Any,
        style: Any = None,
        *,
        alpha: float = 1.0,
        regions: Sequence[Region] | None = None,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Stylise a photo.

        Pictures are arrays, `(height, width)` or `(height, width, channels)` uint8 or uint16 sRGB
        with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels; Pillow pictures; or paths or
        bytes of files. Styles may also be style cards, the names that `adain styles list` gives,
        `StyleCode`, or `StyleMix` of any of these.

        Args:
            photo: A picture.
            style: For the whole photo. Either this or `regions`.
            alpha: Strength of `style`: 0 none, 1 full, above 1 exaggerated.
            regions: Parts of the photo, each a mask, a style and a strength; the rest of the photo
                stays as it is. Masks are white inside and may have any size: `(height, width)`
                bool, float in [0, 1], uint8, uint16, or 0 and 1, or a picture.
            progress: Called with how much is done, in (0, 1]. What it raises ends the run and
                comes out here; the pipeline can go on being used.

        Returns:
            `(height, width, 3)` sRGB of the photo's type, grey photos too; `(height, width, 4)`
            where the photo has transparency, which is kept. The photo's size, unless
            `content_size`, `crop_size` or `concat` change it.

        Raises:
            ValueError: If a picture, style, mask or strength is not what it should be; before any
                work.
            ImageError: If a file cannot be read, or resizing gives more than `max_pixels`.
        """
        if (style is None) == (regions is None):
            raise ValueError("Give either `style` or `regions`. Received: both or neither")
        if regions is None:
            regions = [Region(None, style, alpha)]
        name = str(photo) if isinstance(photo, str | os.PathLike) else "photo"
        planes = to_planes(photo, "photo", self.options.max_pixels)
        result = self.run_planes(planes, regions, progress=progress, name=name)
        if result.alpha is None:
            return result.colors
        return np.dstack([result.colors, imaging.to_depth(result.alpha, result.colors.dtype.type)])

    def run_planes(
        self,
        photo: Planes,
        regions: Sequence[Region],
        *,
        steady: SteadyFrame | None = None,
        progress: Progress | None = None,
        name: str = "photo",
    ) -> Planes:
        """`run` for a picture that is taken apart already; a region without a mask is all of it.

        Args:
            photo: Colours and transparency, which may be of different types.
            regions, progress: As in `run`.
            steady: What this frame of a clip shares with the ones before; None: a single photo.
            name: What errors call the photo.
        """
        _check_progress(progress)
        prepared = self._styles.prepare(regions)
        colors = self._fit(cover_hidden(photo.colors, photo.alpha), name)
        calls = _Progress(progress, self._count_calls(colors.shape[:2]))
        alpha = None if photo.alpha is None else self._fit(photo.alpha, name)
        planes = Planes(colors, alpha)
        result = self._stylize(planes, photo.colors.shape[:2], prepared, calls, steady)
        if self.options.concat:
            return Planes(self._concat(colors, result, prepared))
        return Planes(result, alpha)

    def masks(self, regions: Sequence[Region], height: int, width: int) -> list[np.ndarray | None]:
        """The masks of regions as they are laid over photos of a size.

        Args:
            regions: As in `run_planes`.
            height, width: Sides of the photos as they are given, pixels.

        Returns:
            For each region `(h, w)` uint8, 255 inside, as large as the result; None: all of it.

        Raises:
            ValueError, ImageError: As in `run`.
        """
        return [self._mask(region, (height, width)) for region in self._styles.prepare(regions)]

    def run_sheet(
        self,
        photo: Any,
        rows: Sequence[Sequence[Cell]],
        *,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Draw a contact sheet: one photo, stylised in many ways.

        Args:
            photo: As in `run`.
            rows: What `alpha_steps`, `mix_steps` or `all_styles` of `adain.stylize.sheets` gave, or
                rows of `Cell` of your own, with regions as in `run`, or one without a mask.
            progress: As in `run`.

        Returns:
            `(height, width, 3)` uint8 sRGB. The pictures have a shorter side of `content_size`
            pixels, 384 by default.

        Raises:
            ValueError, ImageError: As in `run`.
        """
        check_rows(rows)
        _check_progress(progress)
        photo, alpha = to_planes(photo, "photo", self.options.max_pixels)
        shorter = self.options.content_size or min(SHEET_SIZE, *photo.shape[:2])
        pipeline = self.with_options(content_size=shorter)
        original = imaging.to_depth(cover_hidden(photo, alpha), np.uint8)
        small = pipeline._fit(original, "photo")
        planes = Planes(small, None if alpha is None else pipeline._fit(alpha, "photo"))
        prepared = [
            [cell.regions and self._styles.prepare(cell.regions) for cell in row] for row in rows
        ]
        count = sum(bool(regions) for row in prepared for regions in row)
        calls = _Progress(progress, count * self._count_calls(small.shape[:2]))
        pictures = [
            [
                pipeline._stylize(planes, original.shape[:2], regions, calls) if regions else small
                for regions in row
            ]
            for row in prepared
        ]
        labels = [[cell.label for cell in row] for row in rows]
        return contact_sheet.draw(pictures, labels, small.shape[:2])

    def encode(self, style: Any, **about: str) -> StyleCode:
        """The code of a style, which `run` takes in place of it.

        Args:
            style: As in `run`.
            **about: `name`, `credit`, `license`, kept in the code of a picture.

        Raises:
            ValueError, ImageError: As in `run`.
        """
        return self._styles.encode(style, about)

    def with_options(self, **changes: Any) -> StylizePipeline:
        """This pipeline with other options; networks are shared, and what is known of styles too
        unless it depends on them.

        Args:
            **changes: Fields of `StylizeOptions`; not `checkpoint`, `engine` and `precision`.

        Raises:
            UsageError: If an option is not what it should be.
        """
        options = replace(self.options, **changes)
        if any(getattr(options, name) != getattr(self.options, name) for name in OF_STYLES):
            return StylizePipeline(options, stylizer=self.stylizer)
        other = object.__new__(StylizePipeline)
        other.__dict__.update(self.__dict__, options=options)
        return other

    # === Photos ===

    def _fit(self, picture: np.ndarray, name: str) -> np.ndarray:
        options = self.options
        return fit(picture, options.content_size, options.crop_size, options.max_pixels, name)

    def _stylize(
        self,
        planes: Planes,
        original: tuple[int, int],
        regions: Sequence[PreparedRegion],
        calls: _Progress,
        steady: SteadyFrame | None = None,
    ) -> np.ndarray:
        """All passes on a photo that was resized and cut; it had the size `original` before."""
        photo, alpha = planes
        visible = None if alpha is None else imaging.to_depth(alpha, np.uint8)
        masks = [self._mask(region, original) for region in regions]
        codes = self._styles.mixed_all(regions, photo, masks, steady, visible)
        inside = _without_hidden(masks, alpha)
        result = photo
        for _ in range(self.options.passes):
            result = self._run_pass(result, regions, inside, codes, calls, steady)
        if self.options.refine:
            result = self._refine(photo, result, regions[0], seen(photo, None, visible), calls)
        return color.restore_colors(result, photo, self.options.keep_colors or None)

    def _run_pass(
        self,
        photo: np.ndarray,
        regions: Sequence[PreparedRegion],
        masks: Sequence[np.ndarray | None],
        codes: Sequence[StyleCode],
        calls: _Progress,
        steady: SteadyFrame | None,
    ) -> np.ndarray:
        # All regions have one, or there is one region without.
        inside = [mask for mask in masks if mask is not None]
        masked = bool(inside)
        alphas = [region.alpha for region in regions]

        def stylize(picture: np.ndarray) -> np.ndarray:
            how = {
                "palette": self.options.palette,
                "tile": self._styles.tile(picture, len(masks) * masked, photo.nbytes),
                "steady": steady,
                "progress": calls.step,
            }
            with self._networks:
                if masked:
                    larger = picture.shape[0] > photo.shape[0]
                    resize = enlarge_mask if larger else imaging.resize_mask
                    sized = [resize(mask, picture.shape[:2]) for mask in inside]
                    parts = list(map(Region, sized, codes, alphas))
                    image = self.stylizer.stylize_regions(picture, parts, **how)
                else:
                    image = self.stylizer.stylize(picture, codes[0], alphas[0], **how)
            calls.finish_call()
            if steady is not None:
                steady.next_call()
            return image

        def paint(picture: np.ndarray, masks: Sequence[np.ndarray] = ()) -> np.ndarray:
            return stylize_enlarged(stylize, picture, self.options.supersample, masks)

        stroke = self.options.stroke
        if not stroke:
            return paint(photo, inside)
        if masked:
            return stylize_region_octaves(paint, photo, stroke, inside, alphas)
        return stylize_octaves(paint, photo, stroke, 1 - min(alphas[0], 1))

    def _mask(self, region: PreparedRegion, original: tuple[int, int]) -> np.ndarray | None:
        """A region's mask, as large as the photo is now."""
        mask, options = region.mask, self.options
        if mask is None:
            return None
        about = (region.mask_name, *mask.shape[::-1], *original[::-1])
        # Once, and not for every frame.
        if mask.shape != original and self._told.first(about):
            logger.warning("%s is %d x %d, resized to the photo's %d x %d", *about)
        sizes = (options.content_size, options.crop_size, options.max_pixels, "photo")
        mask = fit_mask(mask, original, *sizes)
        if not mask.any():
            raise ValueError(f"{region.mask_name}: this mask has nothing inside this photo.")
        if options.feather:
            import cv2

            mask = cv2.GaussianBlur(mask, (0, 0), options.feather)
        return mask

    def _refine(
        self,
        photo: np.ndarray,
        start: np.ndarray,
        region: PreparedRegion,
        visible: np.ndarray,
        calls: _Progress,
    ) -> np.ndarray:
        """Optimise a result; `visible` has the photo's pixels whose colours count."""
        from adain.networks.model import load_loss_network
        from adain.optimization.config import OptimizeConfig
        from adain.optimization.gatys import optimize_image

        style = self._styles.recolored(region.parts[0].style, visible).colors  # pyright: ignore[reportArgumentType]
        steps = self.options.refine
        with self._networks:
            result = optimize_image(
                load_loss_network(),
                photo,
                style,
                start=start,
                # Full weight would undo a weaker alpha.
                style_weight=region.alpha * OptimizeConfig.style_weight,
                steps=steps,
                on_step=lambda step, *_: calls.step(step, steps),
            )
        calls.finish_call()
        return result

    def _concat(
        self, photo: np.ndarray, result: np.ndarray, regions: Sequence[PreparedRegion]
    ) -> np.ndarray:
        """Photo, styles and result side by side; a card has no picture to show."""
        height, dtype, shown = result.shape[0], photo.dtype.type, [photo]
        styles = [part.style for region in regions for part in region.parts]
        pictures = [style for style in styles if isinstance(style, Lazy) and not style.card]
        for style in dict.fromkeys(pictures):
            picture = imaging.to_depth(self._styles.picture(style).colors, dtype)
            width = max(1, round(picture.shape[1] * height / picture.shape[0]))
            shown.append(imaging.resize_image(picture, (height, width)))
        return np.hstack([*shown, imaging.to_depth(result, dtype)])

    # === Means ===

    def _count_calls(self, size: tuple[int, int]) -> int:
        """How many times the networks run, and refining, for a photo of `(height, width)`."""
        stroke = self.options.stroke
        sizes = len(octaves(*size, stroke)) if stroke else 1
        return self.options.passes * sizes + bool(self.options.refine)


def _without_hidden(
    masks: Sequence[np.ndarray | None], alpha: np.ndarray | None
) -> list[np.ndarray | None]:
    """Masks without invisible pixels, which then do not count in any statistics.

    A mask that has nothing else inside stays as it is: nobody sees what comes of it.
    """
    if alpha is None or not has_hidden(alpha):
        return list(masks)
    shown = (alpha > 0).view(np.uint8) * np.uint8(255)
    seen = [shown if mask is None else np.minimum(mask, shown) for mask in masks]
    return [part if part.any() else mask for part, mask in zip(seen, masks, strict=True)]


def _check_progress(progress: Any) -> None:
    if progress is not None and not callable(progress):
        raise ValueError(f"`progress` must be callable. Received: progress={progress!r}")


class _Progress:
    """How much is done, from the steps of each call of the networks."""

    def __init__(self, report: Progress | None, calls: int):
        self._report = report or (lambda done: None)
        self._calls = calls
        self._done = 0

    def step(self, done: int, total: int) -> None:
        self._report((self._done + done / total) / self._calls)

    def finish_call(self) -> None:
        self._done += 1


_LOCKS: WeakKeyDictionary[Stylizer, AbstractContextManager] = WeakKeyDictionary()


def _lock_of(stylizer: Stylizer) -> AbstractContextManager:
    """One for all pipelines that share networks, which work on so many pictures at a time."""
    lanes = stylizer.lanes
    return _LOCKS.setdefault(stylizer, RLock() if lanes == 1 else Semaphore(lanes))


def _rebuild(options: StylizeOptions, stylizer: Stylizer) -> StylizePipeline:
    return StylizePipeline(options, stylizer=stylizer)
