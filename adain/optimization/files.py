"""Files to files for `adain optimize`: what is made of which pictures, and doing it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adain.files import replacing
from adain.imaging import io as imaging
from adain.imaging.formats import written_format
from adain.optimization import sheets
from adain.optimization.config import OptimizeConfig
from adain.optimization.sheets import Sheet
from adain.optimization.worker import Losses, Worker
from adain.options import UsageError
from adain.outcomes import Obstacles, Outcome
from adain.outputs import (
    check_folder,
    check_out_path,
    check_outputs,
    fit_name,
    output_path,
    refuse_existing,
    result_suffix,
)
from adain.sources import (
    STDOUT,
    Source,
    check_streams,
    disambiguate,
    find_sources,
    is_card,
)


@dataclass(frozen=True)
class Job:
    """One result: a photo and a style, or one of them, and where it goes (None: stdout)."""

    content: Source | None
    style: Source | None
    output: Path | None
    count = 1

    @property
    def contents(self) -> list[Source]:
        return [self.content] if self.content else []

    @property
    def styles(self) -> list[Source]:
        return [self.style] if self.style else []

    def __str__(self) -> str:
        return " with ".join(str(source) for source in (self.content, self.style) if source)


class JobPlan(NamedTuple):
    """What `adain optimize` is going to do."""

    ready: Sequence[Job | Sheet]
    refused: list[str]
    """One line for each result that would replace a file."""
    problems: list[str]
    """One line for each path that led to no picture, each picture that keeps a sheet from being
    made, and each folder that takes no results."""
    notes: list[str]
    """One line for each folder in which files were left out."""


def plan_jobs(config: OptimizeConfig) -> JobPlan:
    """All results to make, in order.

    Raises:
        UsageError: If two files would have the same name, one would replace an input, a style
            is a style card, `--out-path` cannot be written, or a sheet would be too large.
    """
    check_out_path(config.out_path)
    contents, problems, notes = find_sources(config.content_path, out_path=config.out_path)
    styles, more, more_notes = find_sources(config.style_path, out_path=config.out_path)
    check_streams([*contents, *styles])
    for style in filter(is_card, styles):
        raise UsageError(
            f"--style-path must name pictures. Received: {style}, a style card, which holds the "
            "statistics of one layer."
        )
    problems += more
    notes = list(dict.fromkeys(notes + more_notes))
    if config.sheet:
        # One result of all pictures: none is made without one of them.
        jobs: list[Job | Sheet] = []
        if not problems:
            jobs, problems = _plan_sheet(config, contents, styles)
    else:
        jobs = _plan_pictures(config, contents, styles)
    saved = range(config.save_iter, config.steps + 1, config.save_iter) if config.save_iter else ()

    def written(job: Job | Sheet) -> list[Path | None]:
        return [job.output, *(step_path(job.output, step) for step in saved)]

    check_outputs(config.out_path, jobs, contents + styles, written)
    refused: list[str] = []
    if not config.overwrite:
        jobs, refused = refuse_existing(jobs, written)
    for folder in {job.output.parent: None for job in jobs if job.output is not None}:
        if reason := check_folder(folder):
            problems.append(reason)
            jobs = [job for job in jobs if job.output is None or job.output.parent != folder]
    return JobPlan(jobs, refused, problems, notes)


def _plan_sheet(
    config: OptimizeConfig, contents: list[Source], styles: list[Source]
) -> tuple[list[Job | Sheet], list[str]]:
    contents, styles = (disambiguate(found, lambda one: one.flat) for found in (contents, styles))
    output = output_path(config.out_path, Source(None, "sheet"), f"_{config.sheet}")
    sheet, problems = sheets.plan_sheet(config, contents, styles, output)
    return [sheet] if sheet else [], problems


def _plan_pictures(
    config: OptimizeConfig, contents: list[Source], styles: list[Source]
) -> list[Job | Sheet]:
    contents, styles = _name(config, contents, styles)
    jobs: list[Job | Sheet] = []
    # None: nothing was asked for, which is not the same as nothing found.
    for content in contents if config.content_path else [None]:
        for style in styles if config.style_path else [None]:
            if style is None:
                source, tail = content, f"_reconstructed_{'_'.join(config.content_layers)}"
            elif content is None:
                source, tail = style, "_texture"
            else:
                source, tail = content, f"_optimized_{style.flat}"
            jobs.append(Job(content, style, output_path(config.out_path, source, tail)))
    return jobs


def _name(
    config: OptimizeConfig, contents: list[Source], styles: list[Source]
) -> tuple[list[Source], list[Source]]:
    """Tell apart what would have results of one name, by their suffix and that of other files."""

    def key(source: Source):
        # Pictures of single steps are PNG, whatever the photo is.
        return source.title, "" if config.save_iter else result_suffix(source)

    def keeps(source: Source) -> bool:
        return not config.save_iter and source.path.suffix == result_suffix(source)

    if not config.content_path:
        return contents, disambiguate(styles, key, keeps)
    return disambiguate(contents, key, keeps), disambiguate(styles, lambda source: source.flat)


def step_path(output: Path, step: int) -> Path:
    """`NAME_0050.png`, beside the result."""
    return output.with_name(fit_name(output.parent, output.stem, f"_{step:04}", ".png"))


def optimize_files(
    config: OptimizeConfig,
    jobs: Sequence[Job | Sheet],
    on_step: Callable[[Losses], None],
    on_picture: Callable[[], None] = lambda: None,
) -> Iterator[Outcome]:
    """Carry out jobs, one after another; a failure of one leaves the others alone.

    Args:
        config: The settings.
        jobs: Those of `plan_jobs` that are ready.
        on_step: Called with the losses of each step.
        on_picture: Called when a picture is done, also one of a sheet, or has failed.
    """
    worker = Worker(config, on_step)
    obstacles = Obstacles()
    for job in jobs:
        started = time.perf_counter()
        losses: Losses = {}
        cells: list[dict] = []

        def make(job=job, losses=losses, cells=cells):
            obstacles.check(job.output)
            if isinstance(job, Sheet):
                _make_sheet(worker, job, cells, on_picture)
            else:
                losses.update(_make_picture(worker, job))

        error, reported = obstacles.run(make, job.output)
        if isinstance(job, Job):
            on_picture()
        yield Outcome(
            " + ".join(map(str, job.contents)),
            " + ".join(map(str, job.styles)),
            STDOUT if job.output is None else str(job.output),
            error,
            time.perf_counter() - started,
            losses,
            cells=[] if error else cells,
            reported=reported,
        )


def _make_picture(worker: Worker, job: Job) -> Losses:
    content = style = meta = None
    config = worker.config
    if job.content is not None:
        content, meta = worker.read_content(job.content)
    if job.style is not None:
        style = worker.read_style(job.style)

    def on_step(step, picture):
        if config.save_iter and step % config.save_iter == 0:
            _save(config, step_path(job.output, step), picture(), meta)

    layers = {"content_layers": config.content_layers, "style_layers": config.style_layers}
    result, losses = worker.optimize(content, style, on_step=on_step, **layers)
    _save(config, job.output, result, meta)
    return losses


def _make_sheet(
    worker: Worker, sheet: Sheet, cells: list[dict], on_picture: Callable[[], None]
) -> None:
    """Draw a sheet; what is known of each of its pictures goes to `cells`."""

    def finish(cell, losses):
        cells.append(
            {
                "content": str(cell.content or ""),
                "style": str(cell.style or ""),
                "content_layers": list(cell.content_layers),
                "style_layers": list(cell.style_layers),
                "losses": losses,
            }
        )
        on_picture()

    _save(worker.config, sheet.output, sheets.draw(sheet, worker, finish))


def _save(
    config: OptimizeConfig,
    output: Path | None,
    image: np.ndarray,
    meta: imaging.ImageMeta | None = None,
) -> None:
    """Write a picture to a file, all of it or nothing, or to standard output (None)."""
    if output is None:
        imaging.save_image(sys.stdout.buffer, image, format="PNG", meta=meta)
        return
    with replacing(output, make_folder=True) as file:
        how = {"quality": config.quality, "format": written_format(output)}
        imaging.save_image(file, image, meta=meta, **how)
