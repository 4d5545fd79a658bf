"""One unit of work: read, draw, stylise, write, and report what became of each picture."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from adain.batch.draws import Draw, draw
from adain.batch.job import Job
from adain.batch.sets import (
    BROKEN,
    DONE,
    FAILED,
    File,
    Part,
    Sample,
    Unit,
    make_form,
    result_suffix,
)
from adain.files import NO_ENTRY, NO_SPACE, WriteError, replacing
from adain.imaging import io as imaging
from adain.imaging.formats import WRITERS
from adain.inference.regions import Region
from adain.outcomes import reason_of
from adain.stylize.inputs import Planes, StyleMix, fitted_size, source_style
from adain.stylize.pipeline import StylizePipeline

KILLED = (
    "its process was killed, and again when it was tried once more; out of memory? Use fewer "
    "--workers or a smaller --tile"
)
_WARM, _TILE = 256, 64


class BatchWorker:
    """Does units, one after another, with one thread for the networks, one that reads and one that
    writes.

    The same units give the same bytes in any order, in any process.

    Args:
        job: What is done.

    Raises:
        PresetError, EngineError: If the networks cannot be loaded.
    """

    def __init__(self, job: Job):
        import cv2

        from adain.engines.registry import load_stylizer

        cv2.setNumThreads(1)
        self._job = job
        self._form = make_form(job.form, job.config)
        options = job.config.options()
        stylizer = load_stylizer(
            options.checkpoint, job.engine, threads=1, precision=options.precision
        )
        self._pipeline = StylizePipeline(options, stylizer=stylizer)
        for size in job.sizes:
            self._pipeline.prepare(*size)
        self._styles = [source_style(style, options.max_pixels) for style in job.styles]
        self._warmed: set[tuple[type, bool]] = set()
        for dtype in (np.uint8, np.uint16):
            self._warm(dtype, False)

    def _warm(self, dtype: type, tiled: bool) -> None:
        """Run the networks on a picture that is always the same, once for each kind of pictures.

        MNN chooses how it multiplies when it meets the first picture: without this, results
        would depend, by a grey level, on which one that was.
        """
        if (dtype, tiled) not in self._warmed:
            self._warmed.add((dtype, tiled))
            ramp = np.linspace(0, np.iinfo(dtype).max, _WARM * _WARM * 3)
            # In tiles a strip: what fits into a tile and its halo would be whole.
            sides = (_TILE, _WARM**2 // _TILE) if tiled else (_WARM, _WARM)
            picture = ramp.reshape(*sides, 3).astype(dtype)
            stylizer = self._pipeline.stylizer
            stylizer.stylize(picture, stylizer.encode_style(picture), tile=_TILE * tiled)

    # === Units ===

    def run(
        self,
        unit: Unit,
        skip: Collection[int] = (),
        on_picture: Callable[[int], None] = lambda number: None,
        *,
        ahead: bool = True,
    ) -> list[dict]:
        """Do a unit, and record it.

        Args:
            unit: What to do.
            skip: Numbers of pictures that are left out, because processes died of them.
            on_picture: Called with the number of each picture before it is begun.
            ahead: Whether a picture is read while the one before is worked on. Not where a process
                was killed: of the two, one could not tell which it was.

        Returns:
            What became of each result.

        Raises:
            WriteError: If the disk is full, or the folder cannot be written.
        """
        job, rows = self._job, []
        number = 0
        with contextlib.ExitStack() as stack:
            parts = [
                stack.enter_context(self._form.part(unit, folder, job.part_path(unit, index)))
                for index, folder in enumerate(job.folders())
            ]
            writer = _Writer(stack.enter_context(ThreadPoolExecutor(1)), job.config.format)
            samples = self._form.read(unit)
            if ahead:
                samples = _ahead(samples, stack.enter_context(ThreadPoolExecutor(1)))
            else:
                samples = _told(samples, lambda: on_picture(number))
            for sample in samples:
                if sample.data is None:
                    for part in parts:
                        writer.write(None, part, sample, None)
                    continue
                if ahead:
                    on_picture(number)
                made = self._run_picture(unit, sample, number in skip)
                for part, (row, data) in zip(parts, made, strict=True):
                    rows.append(row)
                    if data is not None:
                        writer.write(row, part, sample, data)
                number += 1
            writer.settle()
        job.write_record(unit, rows)
        return rows

    def join(self, file: File, units: Collection[Unit]) -> None:
        """Write a shard's results from their parts, and remove these.

        Raises:
            WriteError: If it cannot be written.
        """
        job = self._job
        paths = [
            [job.part_path(unit, index) for unit in units] for index in range(job.config.draws)
        ]
        for folder, parts in zip(job.folders(), paths, strict=True):
            with replacing(folder / file.name, make_folder=True) as out:
                self._form.join(file, parts, out)
        for path in [path for parts in paths for path in parts]:
            path.unlink(missing_ok=True)

    # === Pictures ===

    def try_out(self, unit: Unit, sample: Sample) -> list[bytes]:
        """The results of a picture, which are not written."""
        made = self._run_picture(unit, sample, False)
        return [data for _, data in made if data is not None]

    def _run_picture(
        self, unit: Unit, sample: Sample, killed: bool
    ) -> Iterator[tuple[dict, bytes | None]]:
        """Row and file of each of a picture's results."""
        config = self._job.config
        draws = draw(
            config.seed, sample.name, sample.label, len(self._styles),
            draws=config.draws, mix=config.mix, by=config.by, alpha=config.alpha,
        )  # fmt: skip
        photo: Photo | None = None
        status, message = DONE, ""
        if killed:
            status, message = FAILED, KILLED
        elif sample.problem:
            status, message = sample.status, sample.problem
        else:
            photo, status, message = attempt(lambda: self._decode(sample), BROKEN)
        for index, drawn in enumerate(draws):
            row = {
                "picture": sample.name,
                "shard": unit.file.name if unit.file else "",
                "label": sample.label,
                "draw": index,
                "output": "",
                "styles": [self._job.styles[number].flat for number in drawn.styles],
                "weights": list(drawn.weights),
                "alpha": drawn.alpha,
                "height": 0,
                "width": 0,
                "bytes": 0,
                "digest": "",
                "status": status,
                "message": message,
            }
            data = None
            if photo is not None:
                made, status, message = attempt(
                    lambda drawn=drawn: self._make(sample, photo, drawn), FAILED
                )
                row |= {"status": status, "message": message or photo.notice}
                if made is not None:
                    data, (height, width) = made
                    row |= {"height": height, "width": width, "bytes": len(data)}
                    row["digest"] = hashlib.sha256(data).hexdigest()
            yield row, data

    def _decode(self, sample: Sample) -> Photo:
        image = imaging.open_image(
            _Named(sample.data, sample.name), max_pixels=self._job.config.max_pixels
        )
        colors, meta = image.read(keep_depth=True)
        notice = f"the first of {image.n_frames} frames" if image.is_animated else ""
        return Photo(Planes(colors, meta.alpha), meta, notice)

    def _make(self, sample: Sample, photo: Photo, drawn: Draw) -> tuple[bytes, tuple[int, int]]:
        """One result: the bytes of its file, and its `(height, width)`."""
        config, colors = self._job.config, photo.planes.colors
        how = (config.content_size, config.crop_size, config.max_pixels, sample.name)
        _, size = fitted_size(colors.shape[:2], *how)
        self._warm(colors.dtype.type, max(size) > config.tile)
        styles = [self._styles[number] for number in drawn.styles]
        regions = [Region(None, StyleMix(styles, drawn.weights), drawn.alpha)]
        made = self._pipeline.run_planes(photo.planes, regions, name=sample.name)
        image = self._resize(made.colors, sample.name)
        alpha = None if made.alpha is None else self._resize(made.alpha, sample.name)
        meta = replace(photo.meta, alpha=alpha)
        format = WRITERS[result_suffix(sample.suffix, config.format)]
        data = imaging.encode_image(image, format, meta=meta, quality=config.quality)
        return data, image.shape[:2]

    def _resize(self, image: np.ndarray, name: str) -> np.ndarray:
        """A result in `--output-size`."""
        size = self._job.config.result_size
        if not size:
            return image
        if len(size) == 1:
            return imaging.resize_shorter_side(
                image, size[0], max_pixels=self._job.config.max_pixels, name=name
            )
        scale = max(side / old for side, old in zip(size, image.shape[:2], strict=True))
        covering = [
            max(round(old * scale), side) for side, old in zip(size, image.shape[:2], strict=True)
        ]
        return imaging.center_crop(imaging.resize_image(image, tuple(covering)), size)


class Photo(NamedTuple):
    """A decoded picture, what else its file holds, and a notice about it."""

    planes: Planes
    meta: imaging.ImageMeta
    notice: str


class _Named(io.BytesIO):
    def __init__(self, data: bytes, name: str):
        super().__init__(data)
        self.name = name


def _ahead(samples: Iterator[Sample], thread: ThreadPoolExecutor) -> Iterator[Sample]:
    """The same samples, each read while the one before is worked on."""
    following = thread.submit(next, samples, None)
    while (sample := following.result()) is not None:
        following = thread.submit(next, samples, None)
        yield sample


def _told(samples: Iterator[Sample], tell: Callable[[], None]) -> Iterator[Sample]:
    """The same samples; each is told before it is read."""
    while True:
        tell()
        sample = next(samples, None)
        if sample is None:
            return
        yield sample


class _Writer:
    """Writes one result while the next one is made."""

    def __init__(self, thread: ThreadPoolExecutor, format: str):
        self._thread = thread
        self._format = format
        self._waiting: tuple[dict | None, Future] | None = None

    def write(self, row: dict | None, part: Part, sample: Sample, data: bytes | None) -> None:
        self.settle()
        suffix = result_suffix(sample.suffix, self._format)
        self._waiting = (row, self._thread.submit(part.write, sample, data, suffix))

    def settle(self) -> None:
        """Wait for the last one, and fill in its row.

        Raises:
            WriteError: If no other could be written either.
        """
        if self._waiting is None:
            return
        (row, future), self._waiting = self._waiting, None
        output, status, message = attempt(future.result, FAILED)
        if row is not None and status == DONE:
            row["output"] = output
        elif row is not None:
            row |= {"status": status, "message": message, "bytes": 0, "digest": ""}


def attempt(action: Callable[[], Any], status: str) -> tuple[Any, str, str]:
    """Run something for one picture.

    Returns:
        What it gives, DONE and ""; or None, `status`, FAILED where it may pass, and the reason.

    Raises:
        WriteError: If no other picture could be written either.
    """
    found: list = []
    errors: list[Exception] = []

    def watched() -> None:
        try:
            found.append(action())
        except Exception as error:
            errors.append(error)
            raise

    reason = reason_of(watched)
    if not reason:
        return found[0], DONE, ""
    (error,) = errors
    if isinstance(error, WriteError) and error.errno in (*NO_SPACE, *NO_ENTRY):
        raise error
    return None, FAILED if isinstance(error, MemoryError | OSError) else status, reason
