"""Stylising files: a thread reads ahead, the pipeline runs in this one, and threads write."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np

from adain.files import replacing
from adain.imaging import contact_sheet
from adain.imaging import io as imaging
from adain.imaging.formats import check_size, written_format
from adain.inference.regions import Region
from adain.inference.stylizer import Stylizer
from adain.outcomes import Obstacles, Outcome
from adain.presets.preset import Preset
from adain.sources import STDOUT, Source, is_card
from adain.stylize.config import StylizeConfig
from adain.stylize.history import History
from adain.stylize.inputs import Lazy, Planes, StyleMix, fitted_size, source_style
from adain.stylize.pipeline import StylizePipeline
from adain.stylize.plan import read_mask
from adain.stylize.planned import PlannedRegion, PlannedResult
from adain.stylize.sheets import SHEET_SIZE, Cell
from adain.stylize.sizes import SEEN, common_sizes

logger = logging.getLogger(__name__)

Picture = tuple[np.ndarray, imaging.ImageMeta]

WAITING = 2
"""Photos read ahead, and results still to be written: memory does not grow with the folder."""
LARGE = 2**26
"""Bytes of a photo, beyond which none is read ahead and none waits to be written."""


def stylize_files(
    config: StylizeConfig,
    results: list[PlannedResult],
    on_step: Callable[[float], None] = lambda done: None,
    stylizer: Stylizer | None = None,
) -> Iterator[Outcome]:
    """Carry out a plan; a failure of one leaves the others alone.

    A folder takes as long as its slowest stage: while a photo is stylised, the next ones are read
    and the last ones written. Outcomes come in the order of the plan; their seconds are those from
    the start of stylising to the file.

    Args:
        config: The settings.
        results: What `plan_results` gave.
        on_step: Called with how much of the result under way is done, in [0, 1].
        stylizer: Networks that are loaded already.
    """
    pipeline = StylizePipeline(config, stylizer=stylizer, pictures=len(results))
    preset = Preset.load(config.checkpoint)
    seen = _some_sizes(results, config.max_pixels)
    for size in common_sizes(seen, len(results), config, preset.architecture.stride):
        pipeline.prepare(*size)
    worker = _Worker(config, pipeline, History(config, preset), on_step)
    groups = [list(group) for _, group in groupby(results, key=lambda each: each.content)]
    reading: deque[Future] = deque()
    writing: deque[tuple[PlannedResult, float, Future]] = deque()
    ahead = WAITING
    obstacles = Obstacles()

    def read(result: PlannedResult) -> Picture | imaging.ImageFile:
        obstacles.check(result.output)
        return worker.read(result)

    def stylize(result: PlannedResult, photo: Future) -> Future:
        """Stylise here, and let a thread write; an error of any stage is in the future."""
        done: Future = Future()
        try:
            obstacles.check(result.output)
            picture = photo.result()
            if not isinstance(picture, imaging.ImageFile):
                return writers.submit(_timed, worker.save, result, worker.stylize(result, picture))
            # Each frame is written before the next one is read.
            frames = worker.stylize_frames(result, picture)
            done.set_result(_timed(worker.save_frames, result, frames))
        except Exception as error:
            done.set_exception(error)
        return done

    def finish_one() -> Outcome:
        result, started, saving = writing.popleft()
        return _outcome(worker, result, started, saving, obstacles)

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(WAITING) as writers:
        for number, group in enumerate(groups):
            for following in groups[number + len(reading) : number + 1 + ahead]:
                reading.append(reader.submit(read, following[0]))
            photo = reading.popleft()
            ahead = 0 if _is_large(photo) else WAITING
            for result in group:
                started = time.perf_counter()
                writing.append((result, started, stylize(result, photo)))
                while len(writing) > ahead or (writing and writing[0][2].done()):
                    yield finish_one()
        while writing:
            yield finish_one()


def _some_sizes(results: list[PlannedResult], max_pixels: int) -> Iterator[tuple[int, int]]:
    """`(height, width)` of the photos of some results."""
    # Once for all styles of a photo.
    for content, group in groupby(
        results[:: max(1, len(results) // SEEN)], key=lambda each: each.content
    ):
        # Pipes are read in their turn.
        if content.path is not None and content.path.is_file():
            with contextlib.suppress(imaging.ImageError):
                size = imaging.open_image(content.path, max_pixels=max_pixels).size
                yield from (size for _ in group)


def _is_large(photo: Future) -> bool:
    if photo.exception() or isinstance(photo.result(), imaging.ImageFile):
        return False
    return photo.result()[0].nbytes > LARGE


def _timed(save: Callable, result: PlannedResult, pictures: Picture | Iterable[Picture]) -> float:
    save(result, pictures)
    return time.perf_counter()


def _outcome(
    worker: _Worker, result: PlannedResult, started: float, saving: Future, obstacles: Obstacles
) -> Outcome:
    ended = [time.perf_counter()]
    error, reported = obstacles.run(lambda: ended.append(saving.result()), result.output)
    return Outcome(
        str(result.content),
        " + ".join(map(str, result.styles)),
        STDOUT if result.output is None else str(result.output),
        error,
        ended[-1] - started,
        settings=worker.history.settings(result),
        reported=reported,
    )


def planned_to_regions(
    planned: Iterable[PlannedRegion], read: Callable[[Source], np.ndarray], max_pixels: int
) -> tuple[Region, ...]:
    """Regions as a pipeline takes them.

    Args:
        planned: Those of a result.
        read: Reads a mask, as `plan.read_mask` does.
        max_pixels: Refuse styles of more pixels.
    """

    def region(one: PlannedRegion) -> Region:
        mask = one.mask
        styles = [source_style(style, max_pixels) for style in one.styles]
        return Region(
            mask and Lazy(mask, lambda: read(mask), f"{mask}"),
            StyleMix(styles, one.weights),
            one.alpha,
        )

    return tuple(map(region, planned))


class _Worker:
    """What each stage does: files to what the pipeline takes, and what it gives to files."""

    def __init__(
        self,
        config: StylizeConfig,
        pipeline: StylizePipeline,
        history: History,
        on_step: Callable[[float], None],
    ):
        self.config = config
        self.pipeline = pipeline
        self.on_step = on_step
        self.mask = lru_cache(maxsize=16)(lambda source: read_mask(source, config.max_pixels))
        self.history = history

    # === Reading ===

    def read(self, result: PlannedResult) -> Picture | imaging.ImageFile:
        """The photo; an animation is only opened, and its frames are read as they are stylised."""
        limit = self.config.max_pixels
        image = imaging.open_image(result.content.open(limit), max_pixels=limit)
        still = self.config.concat or result.sheet or result.output is None
        if not image.is_animated:
            return image.read(keep_depth=True)
        if still or result.output.suffix.lower() not in imaging.ANIMATED_SUFFIXES:
            logger.warning(
                "%s: only the first of %d frames is stylised; animations need a result in %s, "
                "without --concat and --sheet",
                *(result.content, image.n_frames, " ".join(sorted(imaging.ANIMATED_SUFFIXES))),
            )
            return image.read(keep_depth=True)
        return image

    def _regions(self, planned: Iterable[PlannedRegion]) -> tuple[Region, ...]:
        return planned_to_regions(planned, self.mask, self.config.max_pixels)

    # === Stylising ===

    def stylize(self, result: PlannedResult, picture: Picture) -> Picture:
        """The result of a photo, and what to keep of the photo's file."""
        photo, meta = picture
        self._check_size(result, photo.shape[:2])
        if result.sheet:
            rows = [
                [Cell(cell.label, self._regions(cell.regions)) for cell in row]
                for row in result.sheet
            ]
            if meta.alpha is not None:
                photo = np.dstack([photo, imaging.to_depth(meta.alpha, photo.dtype.type)])
            sheet = self.pipeline.run_sheet(photo, rows, progress=self.on_step)
            return sheet, imaging.ImageMeta(format=meta.format)
        return self._run(result, photo, meta, self.on_step)

    def stylize_frames(
        self, result: PlannedResult, animation: imaging.ImageFile
    ) -> Iterator[Picture]:
        """The results of an animation's frames, one after another."""
        self._check_size(result, animation.size)
        count = animation.n_frames
        for number, (frame, meta) in enumerate(animation.frames(keep_depth=True)):
            yield self._run(
                result,
                frame,
                meta,
                lambda done, before=number: self.on_step((before + done) / count),
            )

    def _check_size(self, result: PlannedResult, photo: tuple[int, int]) -> None:
        """Refuse, before any work, a result that its format does not hold.

        Raises:
            ImageError: If a side of it is too long.
        """
        config = self.config
        format = "PNG" if result.output is None else written_format(result.output)
        limits = (config.crop_size, config.max_pixels)
        if result.sheet:
            shorter = config.content_size or min(SHEET_SIZE, *photo)
            _, cell = fitted_size(photo, shorter, *limits, str(result.content))
            size = contact_sheet.sheet_size([len(row) for row in result.sheet], cell)
        else:
            _, size = fitted_size(photo, config.content_size, *limits, str(result.content))
        if config.concat and not result.sheet:
            height, width = size
            for style in result.styles:
                if not is_card(style):
                    original = imaging.read_size(style.open(config.max_pixels))
                    _, (down, across) = fitted_size(
                        original, config.style_size, *limits, str(style)
                    )
                    width += max(1, round(across * height / down))
            size = height, width + size[1]
        try:
            check_size(size, format)
        except imaging.ImageError as error:
            raise imaging.ImageError(f"{result.output}: {error}") from error

    def _run(
        self,
        result: PlannedResult,
        photo: np.ndarray,
        meta: imaging.ImageMeta,
        on_step: Callable[[float], None],
    ) -> Picture:
        found = self.pipeline.run_planes(
            Planes(photo, meta.alpha),
            self._regions(result.regions),
            progress=on_step,
            name=str(result.content),
        )
        return found.colors, replace(meta, alpha=found.alpha)

    # === Writing ===

    def save(self, result: PlannedResult, picture: Picture) -> None:
        """Write a result, and how it was made into it or beside it."""
        image, meta = picture
        text = self.history.describe(result)
        meta = replace(meta, history=text)
        if result.output is None:
            imaging.save_image(sys.stdout.buffer, image, format="PNG", meta=meta)
            return
        with replacing(result.output, make_folder=True) as file:
            imaging.save_image(file, image, meta=meta, **self._how(result.output))
            self.history.keep(result.output, file, text, meta.exif)

    def save_frames(self, result: PlannedResult, pictures: Iterable[Picture]) -> None:
        """Write an animation, and how it was made into it or beside it."""
        with replacing(result.output, make_folder=True) as file:
            frames = self._frames(result, pictures)
            imaging.save_frames(file, frames, **self._how(result.output))
            self.history.keep(result.output, file, self.history.describe(result))

    def _frames(self, result: PlannedResult, pictures: Iterable[Picture]) -> Iterator[Picture]:
        for image, meta in pictures:
            # Styles and masks have been read by now.
            yield image, replace(meta, history=self.history.describe(result))

    def _how(self, output: Path) -> dict:
        return {"quality": self.config.quality, "format": written_format(output)}
