"""Stylising files: reading, painting and writing at once, each in its own thread."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import groupby

import numpy as np

from adain import color
from adain import image as imaging
from adain.codes import StyleCode
from adain.config import OptimizeConfig, StylizeConfig
from adain.jobs import STDOUT, Job, Outcome, Source, is_card, read_source, reason_of, shrink
from adain.painter import Painter

Picture = tuple[np.ndarray, imaging.ImageMeta]

WAITING = 2
"""Photos read ahead, and results still to be written: memory does not grow with the folder."""


def stylize_files(config: StylizeConfig, jobs: list[Job]) -> Iterator[Outcome]:
    """Carry out jobs; a failure of one leaves the others alone.

    A folder takes as long as its slowest stage: while a photo is painted, the next ones are read
    and the last ones written. Outcomes come in the order of the jobs; their seconds are those from
    the start of painting to the file.
    """
    # Here, because importing an engine takes time that a usage error should not cost.
    from adain.engines import load_painter

    worker = _Worker(config, load_painter(config.checkpoint, config.engine, len(jobs)))
    groups = [list(group) for _, group in groupby(jobs, key=lambda job: job.content)]
    reading: deque[Future] = deque()
    writing: deque[tuple[Job, float, Future]] = deque()

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(WAITING) as writers:
        for number, group in enumerate(groups):
            for following in groups[number + len(reading) : number + 1 + WAITING]:
                reading.append(reader.submit(worker.read, following[0]))
            photo = reading.popleft()
            for job in group:
                started = time.perf_counter()
                writing.append((job, started, _paint(worker, job, photo, writers)))
                while len(writing) > WAITING or (writing and writing[0][2].done()):
                    yield _outcome(*writing.popleft())
        while writing:
            yield _outcome(*writing.popleft())


def _paint(worker: _Worker, job: Job, photo: Future, writers: ThreadPoolExecutor) -> Future:
    """Paint here, and let a thread write; an error of any stage is in the future."""
    try:
        results = list(worker.paint(job, photo.result()))
    except Exception as error:
        failed: Future = Future()
        failed.set_exception(error)
        return failed
    return writers.submit(_save, worker, job, results)


def _save(worker: _Worker, job: Job, results: Iterable[Picture]) -> float:
    worker.save(job, results)
    return time.perf_counter()


def _outcome(job: Job, started: float, saving: Future) -> Outcome:
    ended = [time.perf_counter()]
    error = reason_of(lambda: ended.append(saving.result()))
    return Outcome(
        str(job.content),
        str(job.style),
        STDOUT if job.output is None else str(job.output),
        error,
        ended[-1] - started,
    )


class _Worker:
    """What each stage does; it keeps the styles in hand that the next job may need again."""

    def __init__(self, config: StylizeConfig, painter: Painter):
        self.config = config
        self.painter = painter
        self.max_pixels = config.max_pixels
        self.style = lru_cache(maxsize=64)(self._style)
        self.code = lru_cache(maxsize=4096)(self._code)

    def _style(self, source: Source) -> np.ndarray:
        picture, _ = read_source(source, self.max_pixels)
        return shrink(picture, self.config.style_size, self.config.crop_size)

    def _code(self, source: Source):
        if is_card(source):
            return StyleCode.load(source.path)
        return self.painter.encode_style(self.style(source), tile=self.config.tile)

    def read(self, job: Job) -> Picture | None:
        """The photo; of an animation nothing, because its frames do not fit into memory."""
        return None if self._stays_animated(job) else read_source(job.content, self.max_pixels)

    def paint(self, job: Job, picture: Picture | None) -> Iterable[Picture]:
        """The result, or those of all frames, one after another."""
        if picture is None:
            frames = imaging.read_frames(job.content.path, max_pixels=self.max_pixels)
            return ((self._paint_one(frame, job.style), meta) for frame, meta in frames)
        photo, meta = picture
        result = self._paint_one(photo, job.style)
        if self.config.concat:
            style = self.style(job.style)
            photo = shrink(photo, self.config.content_size, self.config.crop_size)
            height = result.shape[0]
            width = max(1, round(style.shape[1] * height / style.shape[0]))
            result = np.hstack([photo, imaging.resize_image(style, (height, width)), result])
        return [(result, meta)]

    def save(self, job: Job, results: Iterable[Picture]) -> None:
        """Write the result."""
        if job.output is not None:
            job.output.parent.mkdir(parents=True, exist_ok=True)
        if self._stays_animated(job):
            imaging.save_frames(job.output, results, quality=self.config.quality)
            return
        ((result, meta),) = results
        if job.output is None:
            imaging.save_image(sys.stdout.buffer, result, format="PNG", meta=meta)
        else:
            imaging.save_image(job.output, result, meta=meta, quality=self.config.quality)

    def _stays_animated(self, job: Job) -> bool:
        movable = job.output is not None and job.output.suffix.lower() in (
            ".gif", ".webp", ".png", ".apng", ".avif",
        )  # fmt: skip
        path = job.content.path
        return movable and path is not None and not self.config.concat and imaging.is_animated(path)

    def _paint_one(self, photo: np.ndarray, style: Source) -> np.ndarray:
        config = self.config
        photo = shrink(photo, config.content_size, config.crop_size)
        method = config.keep_colors or None
        if method in ("coral", "histogram"):
            if is_card(style):
                raise ValueError(
                    f"{style}: a style card has no colours to change. Use --keep-colors luma."
                )
            painting = color.prepare_style(self.style(style), photo, method)
            code = self.painter.encode_style(painting, tile=config.tile)
        else:
            painting = None
            code = self.code(style)
        result = photo
        for _ in range(config.passes):
            result = self.painter.stylize(result, code, config.alpha, tile=config.tile)
        if config.refine:
            from adain.gatys import optimize_image
            from adain.model import load_loss_network

            result = optimize_image(
                load_loss_network(),
                photo,
                self.style(style) if painting is None else painting,
                start=result,
                # Full weight would undo a weaker alpha.
                style_weight=config.alpha * OptimizeConfig.style_weight,
                steps=config.refine,
            )
        return color.restore_colors(result, photo, method)
