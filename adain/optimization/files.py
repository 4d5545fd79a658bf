"""Files to files for `adain optimize`: what is made of which pictures, and doing it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adain.files import replacing
from adain.imaging import io as imaging
from adain.imaging.formats import written_format
from adain.inference.memory import choose_tile
from adain.optimization.config import OptimizeConfig
from adain.options import UsageError
from adain.outcomes import Obstacles, Outcome
from adain.outputs import (
    check_out_path,
    check_outputs,
    fit_name,
    output_path,
    refuse_existing,
    result_suffix,
)
from adain.presets.architecture import ARCHITECTURES
from adain.sources import (
    STDOUT,
    Source,
    check_streams,
    disambiguate,
    find_sources,
    is_card,
    read_source,
    shrink,
)


@dataclass(frozen=True)
class Job:
    """One result: a photo and a style, or one of them, and where it goes (None: stdout)."""

    content: Source | None
    style: Source | None
    output: Path | None

    def __str__(self) -> str:
        return " with ".join(str(source) for source in (self.content, self.style) if source)


class JobPlan(NamedTuple):
    """What `adain optimize` is going to do."""

    ready: list[Job]
    refused: list[str]
    """One line for each result that would replace a file."""
    problems: list[str]
    """One line for each path that led to no picture."""
    notes: list[str]
    """One line for each folder in which files were left out."""


def plan_jobs(config: OptimizeConfig) -> JobPlan:
    """All results to make, in order.

    Raises:
        UsageError: If two files would have the same name, one would replace an input, a style
            is a style card, or `--out-path` cannot be written.
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
    contents, styles = _name(config, contents, styles)
    jobs = []
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
    saved = range(config.save_iter, config.steps + 1, config.save_iter) if config.save_iter else ()

    def written(job: Job) -> list[Path | None]:
        return [job.output, *(step_path(job.output, step) for step in saved)]

    check_outputs(config.out_path, jobs, contents + styles, written)
    refused: list[str] = []
    if not config.overwrite:
        jobs, refused = refuse_existing(jobs, written)
    return JobPlan(jobs, refused, problems + more, list(dict.fromkeys(notes + more_notes)))


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
    config: OptimizeConfig, jobs: list[Job], on_step: Callable[[dict[str, float]], None]
) -> Iterator[Outcome]:
    """Carry out jobs, one after another; a failure of one leaves the others alone.

    Args:
        config: The settings.
        jobs: Those of `plan_jobs` that are ready.
        on_step: Called with the losses of each step.
    """
    # Here, because importing the backend takes seconds that a usage error should not cost.
    from adain.networks.model import StyleTransfer, load_loss_network

    model = StyleTransfer.from_preset(config.checkpoint)
    trained = ARCHITECTURES[model.architecture].trains_encoder
    encoder = load_loss_network() if trained else model.encoder
    obstacles = Obstacles()
    for job in jobs:
        started = time.perf_counter()
        best = {"loss": math.inf}

        def watch(found, best=best):
            if found["loss"] < best["loss"]:
                best.update(found)
            on_step(found)

        def make(job=job, watch=watch):
            obstacles.check(job.output)
            _optimize(config, model, encoder, job, watch)

        error, reported = obstacles.run(make, job.output)
        yield Outcome(
            str(job.content or ""),
            str(job.style or ""),
            STDOUT if job.output is None else str(job.output),
            error,
            time.perf_counter() - started,
            {} if error else best,
            reported=reported,
        )


def _optimize(config: OptimizeConfig, model, encoder, job: Job, watch) -> None:
    """Make one result."""
    from adain.optimization.gatys import optimize_image

    content = style = meta = None
    if job.content is not None:
        content, meta = read_source(job.content, config.max_pixels)
        content = shrink(content, config.content_size, config.max_pixels, str(job.content))
    if job.style is not None:
        style, _ = read_source(job.style, config.max_pixels)
        style = shrink(style, config.style_size, config.max_pixels, str(job.style))
    start: str | np.ndarray = config.start
    if start == "adain":
        start = model.stylize(content, style, tile=choose_tile(model, content))

    def save(output: Path, image: np.ndarray) -> None:
        with replacing(output, make_folder=True) as file:
            how = {"quality": config.quality, "format": written_format(output)}
            imaging.save_image(file, image, meta=meta, **how)

    def on_step(step, found, picture):
        if config.save_iter and step % config.save_iter == 0:
            save(step_path(job.output, step), picture())
        watch(found)

    result = optimize_image(
        encoder,
        content,
        style,
        start=start,
        size=config.texture_size,
        content_weight=config.content_weight,
        style_weight=config.style_weight,
        tv_weight=config.tv_weight,
        content_layers=config.content_layers,
        style_layers=config.style_layers,
        style_loss=config.style_loss,
        method=config.optimizer,
        steps=config.steps,
        learning_rate=config.learning_rate,
        seed=config.seed,
        on_step=on_step,
    )
    if job.output is None:
        imaging.save_image(sys.stdout.buffer, result, format="PNG", meta=meta)
    else:
        save(job.output, result)
