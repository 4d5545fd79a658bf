"""Stylising files: reading, painting and writing at once, each in its own thread."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from itertools import groupby

import numpy as np

from adain import color, presets, sheets
from adain import image as imaging
from adain.codes import StyleCode, mix
from adain.config import OptimizeConfig, StylizeConfig
from adain.jobs import STDOUT, Outcome, Source, is_card, read_source, reason_of, shrink
from adain.memory import choose_tile
from adain.painter import Painter
from adain.regions import Region, Shares
from adain.stylize_plan import SHEET_SIZE, Layer, Painting, fit_mask, read_mask, settings

Picture = tuple[np.ndarray, imaging.ImageMeta]

WAITING = 2
"""Photos read ahead, and results still to be written: memory does not grow with the folder."""
LARGE = 2**26
"""Bytes of a photo, beyond which none is read ahead and none waits to be written."""

logger = logging.getLogger(__name__)


def stylize_files(
    config: StylizeConfig,
    paintings: list[Painting],
    on_step: Callable[[float], None] = lambda done: None,
) -> Iterator[Outcome]:
    """Carry out a plan; a failure of one leaves the others alone.

    A folder takes as long as its slowest stage: while a photo is painted, the next ones are read
    and the last ones written. Outcomes come in the order of the plan; their seconds are those from
    the start of painting to the file.

    Args:
        config: The settings.
        paintings: What `stylize_plan.plan` gave.
        on_step: Called with how much of the painting under way is done, in [0, 1].
    """
    # Here, because importing an engine takes time that a usage error should not cost.
    from adain.engines import load_painter

    worker = _Worker(
        config, load_painter(config.checkpoint, config.engine, len(paintings)), on_step
    )
    groups = [list(group) for _, group in groupby(paintings, key=lambda each: each.content)]
    reading: deque[Future] = deque()
    writing: deque[tuple[Painting, float, Future]] = deque()
    ahead = WAITING

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(WAITING) as writers:
        for number, group in enumerate(groups):
            for following in groups[number + len(reading) : number + 1 + ahead]:
                reading.append(reader.submit(worker.read, following[0]))
            photo = reading.popleft()
            ahead = 0 if _is_large(photo) else WAITING
            for painting in group:
                started = time.perf_counter()
                writing.append((painting, started, _paint(worker, painting, photo, writers)))
                while len(writing) > ahead or (writing and writing[0][2].done()):
                    yield _outcome(worker, *writing.popleft())
        while writing:
            yield _outcome(worker, *writing.popleft())


def _is_large(photo: Future) -> bool:
    return not photo.exception() and photo.result() and photo.result()[0].nbytes > LARGE


def _paint(
    worker: _Worker, painting: Painting, photo: Future, writers: ThreadPoolExecutor
) -> Future:
    """Paint here, and let a thread write; an error of any stage is in the future."""
    try:
        results = list(worker.paint(painting, photo.result()))
    except Exception as error:
        failed: Future = Future()
        failed.set_exception(error)
        return failed
    return writers.submit(_save, worker, painting, results)


def _save(worker: _Worker, painting: Painting, results: Iterable[Picture]) -> float:
    worker.save(painting, results)
    return time.perf_counter()


def _outcome(worker: _Worker, painting: Painting, started: float, saving: Future) -> Outcome:
    ended = [time.perf_counter()]
    error = reason_of(lambda: ended.append(saving.result()))
    return Outcome(
        str(painting.content),
        " + ".join(map(str, painting.styles)),
        STDOUT if painting.output is None else str(painting.output),
        error,
        ended[-1] - started,
        settings=worker.settings(painting),
    )


class _Worker:
    """What each stage does; it keeps what the next painting may need again."""

    def __init__(self, config: StylizeConfig, painter: Painter, on_step: Callable[[float], None]):
        self.config = config
        self.painter = painter
        self.on_step = on_step
        self.max_pixels = config.max_pixels
        self.style = lru_cache(maxsize=64)(self._style)
        self.code = lru_cache(maxsize=4096)(self._code)
        self.mask = lru_cache(maxsize=16)(lambda source: read_mask(source, config.max_pixels))
        self.is_animated = lru_cache(maxsize=2 * WAITING)(imaging.is_animated)
        self.preset = presets.read_config(presets.find_preset(config.checkpoint))

    def settings(self, painting: Painting) -> dict:
        return settings(self.config, self.preset, painting)

    def _style(self, source: Source) -> np.ndarray:
        picture, _ = read_source(source, self.max_pixels, keep_depth=True)
        return shrink(picture, self.config.style_size, self.config.crop_size)

    def _code(self, source: Source) -> StyleCode:
        return StyleCode.load(source.path) if is_card(source) else self._encode(self.style(source))

    def _encode(self, picture: np.ndarray) -> StyleCode:
        return self.painter.encode_style(picture, tile=self._tile(picture))

    def _tile(self, picture: np.ndarray, regions: int = 0) -> int:
        if self.config.tile is not None:
            return self.config.tile
        limit = self.config.memory_limit
        # Not worth the question.
        if limit is None and picture.size <= 3 * 512 * 512:
            return 0
        return choose_tile(self.painter, picture, limit=limit, regions=regions)

    def read(self, painting: Painting) -> Picture | None:
        """The photo; None for an animation, whose frames are read as they are painted."""
        if self._stays_animated(painting):
            return None
        return read_source(painting.content, self.max_pixels, keep_depth=True)

    def paint(self, painting: Painting, picture: Picture | None) -> Iterable[Picture]:
        """The result, or those of all frames, one after another."""
        if picture is None:
            frames = imaging.read_frames(painting.content.path, max_pixels=self.max_pixels)
            return ((self._paint_one(frame, painting.layers), meta) for frame, meta in frames)
        photo, meta = picture
        if painting.sheet:
            return [(self._paint_sheet(painting, photo), imaging.ImageMeta(format=meta.format))]
        result = self._paint_one(photo, painting.layers)
        if self.config.concat:
            photo = shrink(photo, self.config.content_size, self.config.crop_size)
            height = result.shape[0]
            parts = [photo]
            for style in painting.styles:
                # A card has no picture to show.
                if not is_card(style):
                    shown = imaging.to_depth(self.style(style), photo.dtype.type)
                    width = max(1, round(shown.shape[1] * height / shown.shape[0]))
                    parts.append(imaging.resize_image(shown, (height, width)))
            result = np.hstack([*parts, imaging.to_depth(result, photo.dtype.type)])
        return [(result, meta)]

    def save(self, painting: Painting, results: Iterable[Picture]) -> None:
        """Write the result, with the settings that made it."""
        quality = self.config.quality
        if painting.output is not None:
            painting.output.parent.mkdir(parents=True, exist_ok=True)
        history = json.dumps(self.settings(painting))
        results = [(result, replace(meta, history=history)) for result, meta in results]
        if self._stays_animated(painting):
            imaging.save_frames(painting.output, results, quality=quality)
            return
        ((result, meta),) = results
        if painting.output is None:
            imaging.save_image(sys.stdout.buffer, result, format="PNG", meta=meta)
        else:
            imaging.save_image(painting.output, result, meta=meta, quality=quality)

    def _stays_animated(self, painting: Painting) -> bool:
        movable = painting.output is not None and painting.output.suffix.lower() in (
            ".gif", ".webp", ".png", ".apng", ".avif",
        )  # fmt: skip
        path = painting.content.path
        still = self.config.concat or painting.sheet
        return movable and path is not None and not still and self.is_animated(path)

    # === Painting ===

    def _paint_sheet(self, painting: Painting, photo: np.ndarray) -> np.ndarray:
        photo = imaging.to_depth(photo, np.uint8)
        size = self.config.content_size or min(SHEET_SIZE, *photo.shape[:2])
        done, cells = 0, len(painting.cells)
        rows = []
        for row in painting.sheet:
            rows.append([])
            for _, layers in row:
                if layers:
                    rows[-1].append(self._paint_one(photo, layers, size, (done, cells)))
                    done += 1
                else:
                    rows[-1].append(shrink(photo, size, self.config.crop_size))
        labels = [[label for label, _ in row] for row in painting.sheet]
        return sheets.draw(rows, labels, rows[0][0].shape[:2])

    def _paint_one(
        self,
        photo: np.ndarray,
        layers: tuple[Layer, ...],
        size: int | None = None,
        part: tuple[int, int] = (0, 1),
    ) -> np.ndarray:
        """All passes on one picture; `part` of how many pictures, for the progress."""
        config = self.config
        original = photo.shape[:2]
        photo = shrink(photo, config.content_size if size is None else size, config.crop_size)
        masks = self._masks(layers, original, photo.shape[:2], size)
        codes = [self._mixed(layer, photo, mask) for layer, mask in zip(layers, masks, strict=True)]

        def progress(done, total):
            self.on_step((part[0] + min((steps[0] + done / total) / steps[1], 1)) / part[1])

        def paint(picture):
            if layers[0].mask is None:
                image = self.painter.stylize(
                    picture, codes[0], layers[0].alpha, tile=self._tile(picture), progress=progress
                )
            else:
                regions = [
                    Region(imaging.resize_mask(mask, picture.shape[:2]), code, layer.alpha)
                    for mask, code, layer in zip(masks, codes, layers, strict=True)
                ]
                tile = self._tile(picture, len(regions))
                image = self.painter.stylize_regions(picture, regions, tile=tile, progress=progress)
            steps[0] += 1
            return image

        steps = [0, config.passes]
        result = photo
        for _ in range(config.passes):
            result = self._paint_pass(result, layers, masks, paint, steps)
        if config.refine:
            result = self._refine(photo, result, layers[0])
        return color.restore_colors(result, photo, config.keep_colors or None)

    def _paint_pass(self, photo, layers, masks, paint, steps) -> np.ndarray:
        if not self.config.stroke:
            return paint(photo)
        from adain.strokes import octaves, paint_octaves

        steps[1] = self.config.passes * len(octaves(*photo.shape[:2], self.config.stroke))
        if masks[0] is None:
            return paint_octaves(paint, photo, self.config.stroke, max(1 - layers[0].alpha, 0.0))
        everywhere = (slice(None), slice(None))
        shares = Shares(masks)(*everywhere)
        alphas = np.float32([min(layer.alpha, 1) for layer in layers])
        keep = 1 - np.tensordot(alphas, shares, 1)
        result = paint_octaves(paint, photo, self.config.stroke, keep)
        # Enlarging leaves its traces where nothing is painted, too.
        rest = ~shares.any(axis=0)
        result[rest] = photo[rest]
        return result

    def _masks(
        self, layers: tuple[Layer, ...], original: tuple[int, int], size: tuple[int, int], shorter
    ) -> list[np.ndarray | None]:
        """Each layer's mask, as large as the photo is now."""
        masks: list[np.ndarray | None] = []
        for layer in layers:
            if layer.mask is None:
                masks.append(None)
                continue
            mask = self.mask(layer.mask)
            if mask.shape != original:
                self._tell_size(layer.mask, mask.shape, original)
            mask = fit_mask(self.config, mask, original, shorter)
            if not mask.any():
                raise ValueError(f"{layer.mask}: this mask has nothing inside this photo.")
            if self.config.feather:
                import cv2

                mask = cv2.GaussianBlur(mask, (0, 0), self.config.feather)
            masks.append(mask)
        return masks

    def _tell_size(self, source: Source, have: tuple[int, int], want: tuple[int, int]) -> None:
        logger.warning("%s is %d x %d, resized to the photo's %d x %d", source, *have, *want)

    def _mixed(self, layer: Layer, photo: np.ndarray, mask: np.ndarray | None) -> StyleCode:
        """The code of all a layer's styles; each has taken the photo's colours if asked to."""
        method = self.config.keep_colors
        if method in ("coral", "histogram"):
            # Inside the mask, as a picture one pixel wide.
            seen = photo if mask is None else photo[mask >= min(128, mask.max())][:, None]
            codes = [
                self._encode(color.prepare_style(self.style(style), seen, method))
                for style in layer.styles
            ]
        else:
            codes = [self.code(style) for style in layer.styles]
        return mix(codes, layer.weights)

    def _refine(self, photo: np.ndarray, start: np.ndarray, layer: Layer) -> np.ndarray:
        from adain.gatys import optimize_image
        from adain.model import load_loss_network

        (style,) = layer.styles
        return optimize_image(
            load_loss_network(),
            photo,
            color.prepare_style(self.style(style), photo, self.config.keep_colors or None),
            start=start,
            # Full weight would undo a weaker alpha.
            style_weight=layer.alpha * OptimizeConfig.style_weight,
            steps=self.config.refine,
        )
