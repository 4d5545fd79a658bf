"""Stylising files: reading, stylising and writing at once, each in its own thread."""

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

from adain.imaging import color, contact_sheet
from adain.imaging import io as imaging
from adain.inference.memory import choose_tile
from adain.inference.multiscale import octaves, paint_octaves
from adain.inference.regions import Region, Shares
from adain.inference.style_code import StyleCode, mix
from adain.inference.stylizer import Stylizer
from adain.optimization.config import OptimizeConfig
from adain.presets import preset as presets
from adain.sources import (
    STDOUT,
    Outcome,
    Source,
    is_card,
    read_source,
    read_style,
    reason_of,
    shrink,
)
from adain.stylize.config import StylizeConfig
from adain.stylize.plan import PlannedRegion, PlannedResult, fit_mask, read_mask, settings
from adain.stylize.sheets import SHEET_SIZE

Picture = tuple[np.ndarray, imaging.ImageMeta]

WAITING = 2
"""Photos read ahead, and results still to be written: memory does not grow with the folder."""
LARGE = 2**26
"""Bytes of a photo, beyond which none is read ahead and none waits to be written."""

_BAND = 256

logger = logging.getLogger(__name__)


def stylize_files(
    config: StylizeConfig,
    results: list[PlannedResult],
    on_step: Callable[[float], None] = lambda done: None,
) -> Iterator[Outcome]:
    """Carry out a plan; a failure of one leaves the others alone.

    A folder takes as long as its slowest stage: while a photo is painted, the next ones are read
    and the last ones written. Outcomes come in the order of the plan; their seconds are those from
    the start of job to the file.

    Args:
        config: The settings.
        results: What `plan_results` gave.
        on_step: Called with how much of the job under way is done, in [0, 1].
    """
    # Here, because importing an engine takes time that a usage error should not cost.
    from adain.engines.registry import load_stylizer

    worker = _Worker(config, load_stylizer(config.checkpoint, config.engine, len(results)), on_step)
    groups = [list(group) for _, group in groupby(results, key=lambda each: each.content)]
    reading: deque[Future] = deque()
    writing: deque[tuple[PlannedResult, float, Future]] = deque()
    ahead = WAITING

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(WAITING) as writers:
        for number, group in enumerate(groups):
            for following in groups[number + len(reading) : number + 1 + ahead]:
                reading.append(reader.submit(worker.read, following[0]))
            photo = reading.popleft()
            ahead = 0 if _is_large(photo) else WAITING
            for job in group:
                started = time.perf_counter()
                writing.append((job, started, _paint(worker, job, photo, writers)))
                while len(writing) > ahead or (writing and writing[0][2].done()):
                    yield _outcome(worker, *writing.popleft())
        while writing:
            yield _outcome(worker, *writing.popleft())


def _is_large(photo: Future) -> bool:
    return not photo.exception() and photo.result() and photo.result()[0].nbytes > LARGE


def _paint(
    worker: _Worker, job: PlannedResult, photo: Future, writers: ThreadPoolExecutor
) -> Future:
    """Paint here, and let a thread write; an error of any stage is in the future."""
    try:
        results = list(worker.paint(job, photo.result()))
    except Exception as error:
        failed: Future = Future()
        failed.set_exception(error)
        return failed
    return writers.submit(_save, worker, job, results)


def _save(worker: _Worker, job: PlannedResult, results: Iterable[Picture]) -> float:
    worker.save(job, results)
    return time.perf_counter()


def _outcome(worker: _Worker, job: PlannedResult, started: float, saving: Future) -> Outcome:
    ended = [time.perf_counter()]
    error = reason_of(lambda: ended.append(saving.result()))
    return Outcome(
        str(job.content),
        " + ".join(map(str, job.styles)),
        STDOUT if job.output is None else str(job.output),
        error,
        ended[-1] - started,
        settings=worker.settings(job),
    )


class _Progress:
    """How much of a job is done, from the steps of each call that paints."""

    def __init__(self, report: Callable[[float], None], calls: int):
        self._report = report
        self._calls = calls
        self._done = 0

    def step(self, done: int, total: int) -> None:
        self._report((self._done + done / total) / self._calls)

    def finish_call(self) -> None:
        self._done += 1


class _Worker:
    """What each stage does; it keeps what the next job may need again."""

    def __init__(self, config: StylizeConfig, stylizer: Stylizer, on_step: Callable[[float], None]):
        self.config = config
        self.stylizer = stylizer
        self.on_step = on_step
        self.max_pixels = config.max_pixels
        self.style = lru_cache(maxsize=64)(self._style)
        self.code = lru_cache(maxsize=4096)(self._code)
        self.mask = lru_cache(maxsize=16)(lambda source: read_mask(source, config.max_pixels))
        self.is_animated = lru_cache(maxsize=2 * WAITING)(imaging.is_animated)
        self.preset = presets.read_config(presets.find_preset(config.checkpoint))

    def settings(self, job: PlannedResult) -> dict:
        return settings(self.config, self.preset, job)

    def _style(self, source: Source) -> tuple[np.ndarray, np.ndarray | None]:
        config = self.config
        return read_style(source, self.max_pixels, config.style_size, config.crop_size)

    def _code(self, source: Source) -> StyleCode:
        return StyleCode.load(source.path) if is_card(source) else self._encode(*self.style(source))

    def _encode(self, picture: np.ndarray, visible: np.ndarray | None) -> StyleCode:
        return self.stylizer.encode_style(picture, visible=visible, tile=self._tile(picture))

    def _tile(self, picture: np.ndarray, regions: int = 0) -> int:
        if self.config.tile is not None:
            return self.config.tile
        limit = self.config.memory_limit
        # Not worth the question.
        if limit is None and picture.size <= 3 * 512 * 512:
            return 0
        return choose_tile(self.stylizer, picture, limit=limit, regions=regions)

    def read(self, job: PlannedResult) -> Picture | None:
        """The photo; None for an animation, whose frames are read as they are painted."""
        if self._stays_animated(job):
            return None
        return read_source(job.content, self.max_pixels, keep_depth=True)

    def paint(self, job: PlannedResult, picture: Picture | None) -> Iterable[Picture]:
        """The result, or those of all frames, one after another."""
        if picture is None:
            frames = imaging.read_frames(job.content.path, max_pixels=self.max_pixels)
            still = _Progress(lambda done: None, 1)
            return ((self._paint_one(frame, job.regions, still), meta) for frame, meta in frames)
        photo, meta = picture
        if job.sheet:
            return [(self._paint_sheet(job, photo), imaging.ImageMeta(format=meta.format))]
        result = self._paint_one(photo, job.regions, self._progress(photo, 1))
        if self.config.concat:
            photo = shrink(photo, self.config.content_size, self.config.crop_size)
            height = result.shape[0]
            parts = [photo]
            for style in job.styles:
                # A card has no picture to show.
                if not is_card(style):
                    shown = imaging.to_depth(self.style(style)[0], photo.dtype.type)
                    width = max(1, round(shown.shape[1] * height / shown.shape[0]))
                    parts.append(imaging.resize_image(shown, (height, width)))
            result = np.hstack([*parts, imaging.to_depth(result, photo.dtype.type)])
        return [(result, meta)]

    def save(self, job: PlannedResult, results: Iterable[Picture]) -> None:
        """Write the result, with the settings that made it."""
        quality = self.config.quality
        if job.output is not None:
            job.output.parent.mkdir(parents=True, exist_ok=True)
        history = json.dumps(self.settings(job))
        results = [(result, replace(meta, history=history)) for result, meta in results]
        if self._stays_animated(job):
            imaging.save_frames(job.output, results, quality=quality)
            return
        ((result, meta),) = results
        if job.output is None:
            imaging.save_image(sys.stdout.buffer, result, format="PNG", meta=meta)
        else:
            imaging.save_image(job.output, result, meta=meta, quality=quality)

    def _stays_animated(self, job: PlannedResult) -> bool:
        movable = job.output is not None and job.output.suffix.lower() in (
            ".gif", ".webp", ".png", ".apng", ".avif",
        )  # fmt: skip
        path = job.content.path
        still = self.config.concat or job.sheet
        return movable and path is not None and not still and self.is_animated(path)

    # === PlannedResult ===

    def _progress(self, photo: np.ndarray, pictures: int, shorter: int | None = None) -> _Progress:
        calls = pictures * self.config.passes
        if self.config.stroke:
            size = shrink(photo, self._shorter(shorter), self.config.crop_size).shape[:2]
            calls *= len(octaves(*size, self.config.stroke))
        return _Progress(self.on_step, calls)

    def _shorter(self, shorter: int | None) -> int:
        return self.config.content_size if shorter is None else shorter

    def _paint_sheet(self, job: PlannedResult, photo: np.ndarray) -> np.ndarray:
        photo = imaging.to_depth(photo, np.uint8)
        shorter = self.config.content_size or min(SHEET_SIZE, *photo.shape[:2])
        progress = self._progress(photo, len(job.cells), shorter)
        rows = [
            [
                self._paint_one(photo, cell.regions, progress, shorter)
                if cell.regions
                else shrink(photo, shorter, self.config.crop_size)
                for cell in row
            ]
            for row in job.sheet
        ]
        labels = [[cell.label for cell in row] for row in job.sheet]
        return contact_sheet.draw(rows, labels, rows[0][0].shape[:2])

    def _paint_one(
        self,
        photo: np.ndarray,
        regions: tuple[PlannedRegion, ...],
        progress: _Progress,
        shorter: int | None = None,
    ) -> np.ndarray:
        """All passes on one picture, resized to a shorter side other than `--content-size`."""
        config = self.config
        original = photo.shape[:2]
        photo = shrink(photo, self._shorter(shorter), config.crop_size)
        masks = self._masks(regions, original, shorter)
        codes = [
            self._mixed(region, photo, mask) for region, mask in zip(regions, masks, strict=True)
        ]
        result = photo
        for _ in range(config.passes):
            result = self._paint_pass(result, regions, masks, codes, progress)
        if config.refine:
            result = self._refine(photo, result, regions[0])
        return color.restore_colors(result, photo, config.keep_colors or None)

    def _paint_pass(
        self,
        photo: np.ndarray,
        regions: tuple[PlannedRegion, ...],
        masks: list[np.ndarray | None],
        codes: list[StyleCode],
        progress: _Progress,
    ) -> np.ndarray:
        masked = masks[0] is not None

        def paint(picture):
            how = {
                "palette": self.config.palette,
                "tile": self._tile(picture, len(masks) * masked),
                "progress": progress.step,
            }
            if masked:
                parts = [
                    Region(imaging.resize_mask(mask, picture.shape[:2]), code, region.alpha)
                    for mask, code, region in zip(masks, codes, regions, strict=True)
                ]
                image = self.stylizer.stylize_regions(picture, parts, **how)
            else:
                image = self.stylizer.stylize(picture, codes[0], regions[0].alpha, **how)
            progress.finish_call()
            return image

        if not self.config.stroke:
            return paint(photo)
        alphas = np.float32([min(region.alpha, 1) for region in regions])
        if not masked:
            return paint_octaves(paint, photo, self.config.stroke, float(1 - alphas[0]))
        shares = Shares(masks)
        keep = np.empty(photo.shape[:2], "uint8")
        untouched = np.empty(photo.shape[:2], bool)
        for top in range(0, len(keep), _BAND):
            rows = slice(top, top + _BAND)
            parts = shares(rows, slice(None))
            keep[rows] = np.rint(255 * (1 - np.tensordot(alphas, parts, 1)))
            untouched[rows] = ~parts.any(axis=0)
        result = paint_octaves(paint, photo, self.config.stroke, keep)
        # Enlarging leaves its traces where nothing is painted, too.
        result[untouched] = photo[untouched]
        return result

    def _masks(
        self, regions: tuple[PlannedRegion, ...], original: tuple[int, int], shorter: int | None
    ) -> list[np.ndarray | None]:
        """Each region's mask, as large as the photo is now."""
        masks: list[np.ndarray | None] = []
        for region in regions:
            if region.mask is None:
                masks.append(None)
                continue
            mask = self.mask(region.mask)
            if mask.shape != original:
                text = "%s is %d x %d, resized to the photo's %d x %d"
                logger.warning(text, region.mask, *mask.shape, *original)
            mask = fit_mask(self.config, mask, original, shorter)
            if not mask.any():
                raise ValueError(f"{region.mask}: this mask has nothing inside this photo.")
            if self.config.feather:
                import cv2

                mask = cv2.GaussianBlur(mask, (0, 0), self.config.feather)
            masks.append(mask)
        return masks

    def _mixed(
        self, region: PlannedRegion, photo: np.ndarray, mask: np.ndarray | None
    ) -> StyleCode:
        """The code of all a region's styles; each has taken the photo's colours if asked to."""
        method = self.config.keep_colors
        if method in ("coral", "histogram"):
            # Inside the mask, as a picture one pixel wide.
            seen = photo if mask is None else photo[mask >= min(128, mask.max())][:, None]
            codes = []
            for style in region.styles:
                picture, visible = self.style(style)
                codes.append(self._encode(color.prepare_style(picture, seen, method), visible))
        else:
            codes = [self.code(style) for style in region.styles]
        return mix(codes, region.weights)

    def _refine(self, photo: np.ndarray, start: np.ndarray, region: PlannedRegion) -> np.ndarray:
        from adain.networks.model import load_loss_network
        from adain.optimization.gatys import optimize_image

        (style,) = region.styles
        return optimize_image(
            load_loss_network(),
            photo,
            color.prepare_style(self.style(style)[0], photo, self.config.keep_colors or None),
            start=start,
            # Full weight would undo a weaker alpha.
            style_weight=region.alpha * OptimizeConfig.style_weight,
            steps=self.config.refine,
        )
