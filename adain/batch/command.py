"""The command `adain batch`."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adain import console, extras
from adain.batch.config import BatchConfig
from adain.batch.estimate import describe, describe_size, measure, spans
from adain.batch.job import Job, by_file, take_part
from adain.batch.manifest import manifest_path, write_manifest
from adain.batch.pool import SHARE, Pool, Task, passed, peak_memory
from adain.batch.progress import BatchBar
from adain.batch.sets import BROKEN, DONE, FAILED, File, Index, Unit, find_set, make_form
from adain.batch.sizes import some_sizes
from adain.console import complain, one_line, shorten, tell
from adain.engines import registry as engines
from adain.engines.engine import count_cores
from adain.files import WriteError, remove_leftovers
from adain.imaging import io as imaging
from adain.inference.memory import free_memory
from adain.options import UsageError
from adain.presets.preset import Preset
from adain.sources import Source, disambiguate, find_sources, is_card
from adain.stylize.plan import fitting_styles
from adain.stylize.sizes import common_sizes

if TYPE_CHECKING:
    from adain.batch.cluster import RayPool


def batch(config: BatchConfig) -> int:
    """Stylise a data set, or estimate how long that takes."""
    if config.cluster:
        extras.require("ray", "--cluster")
    found = find_set(config.content_path, config.out_path)
    tell(*found.notes)
    complain(*found.problems)
    preset = Preset.load(config.checkpoint)
    styles = find_styles(config, preset)
    config.check_draws(len(styles))
    form = make_form(found.form, config)
    index = form.index(found.files)
    tell(*shorten(index.notes))
    complain(*shorten([reason for _, reason in index.problems]))
    pictures = sum(unit.count for unit in index.units)
    if not pictures and not index.problems:
        chosen = f" by --picture {config.picture}" if config.picture else ""
        raise UsageError(f"--content-path {' '.join(config.content_path)}: no pictures{chosen}")
    if 0 < pictures * config.draws * config.mix < len(styles):
        tell(f"{len(styles)} styles for {pictures} pictures: not all of them are used")
    many = max(pictures, engines.MANY)
    engine = engines.resolve(config.engine, preset.architecture, many, config.precision)
    seen = some_sizes(form, index.units, config.max_pixels)
    stride = preset.architecture.stride
    sizes = common_sizes(seen, pictures * config.draws, config.options(), stride)
    job = Job(config, found.form, engine, tuple(styles), tuple(sizes))
    if config.plan:
        return _tell_plan(job, index)
    names = sorted(Path(path).resolve().name for path in config.content_path)
    job = job.claim(job.settings(names))
    with job.locked():
        made = _run(job, index, form.whole)
    good = made and not found.problems and not index.problems
    return console.DONE if good else console.FAILED


def find_styles(config: BatchConfig, preset: Preset) -> list[Source]:
    """The styles to draw from, in order.

    Raises:
        UsageError: If one cannot be used.
    """
    styles, problems, notes = find_sources(config.style_path, cards=True, library=preset.styles)
    if problems:
        raise UsageError(problems[0])
    styles, unfit = fitting_styles(config.options(), preset, styles)
    tell(*notes, *unfit)
    for style in styles:
        if style.path is None or not style.path.is_file():
            raise UsageError(f"{style}: a style must be a file, since every process reads it.")
        if not is_card(style):
            try:
                imaging.open_image(style.path, max_pixels=config.max_pixels)
            except imaging.ImageError as error:
                raise UsageError(str(error)) from error
    return disambiguate(styles, lambda source: source.flat)


def _run(job: Job, index: Index, whole: bool) -> bool:
    """Make what is not finished; returns whether all of it was made."""
    config = job.config
    units = take_part(index.units, config.part)
    shards = by_file(units)
    todo, ready = job.remaining(units, whole)
    _clean(job, units)
    left = Counter(unit.file for unit in todo if unit.file is not None)
    failures: dict[str, str] = {}
    pool = _pool(job)
    pool.tasks += [Task(tuple(shards[file]), file) for file in ready]
    pool.tasks += [Task((unit,)) for unit in todo]
    count = sum(unit.count for unit in units)
    before = count - sum(unit.count for unit in todo)
    if before and not config.quiet:
        tell(f"{before} of {count} pictures finished before")
    stopped = None
    with BatchBar(count, before, config.quiet) as bar:
        for event in pool.run():
            task = event.task
            if event.rows is not None and task.file is None:
                (unit,) = task.units
                bar.finish(unit.digest, unit.count)
                left[unit.file] -= 1
                if unit.file is not None and not left[unit.file]:
                    pool.tasks.appendleft(Task(tuple(shards[unit.file]), unit.file))
            elif isinstance(event.error, WriteError):
                stopped = event.error
                break
            elif event.error is not None:
                for unit in task.units:
                    failures[unit.digest] = one_line(str(event.error))
                complain(f"{_name(task.units[0])}: {event.error}")
            elif event.picture >= 0:
                bar.move(task.units[0].digest, event.picture)
    if stopped is not None:
        complain(str(stopped))
        return False
    # Of processes that were killed meanwhile.
    _clean(job, units)
    problems = _of_part(index, list(shards), config.part)
    counts = write_manifest(job, units, problems, failures)
    return _report(job, counts, bar, index.units)


def _pool(job: Job) -> Pool | RayPool:
    """What runs the tasks."""
    config = job.config
    if not config.cluster:
        return Pool(job, config.workers, _cores(job), config.options().memory_limit)
    from adain.batch.cluster import RayPool

    return RayPool(job, config.cluster, config.workers)


def _of_part(index: Index, files: Sequence[File], part: tuple[int, int]) -> list[tuple[str, str]]:
    """Broken files of a part; those of which nothing is left belong to the first."""
    ours = {file.name for file in files}
    known = {unit.file.name for unit in index.units if unit.file is not None}
    return [
        problem
        for problem in index.problems
        if problem[0] in ours or (problem[0] not in known and part[0] == 0)
    ]


def _clean(job: Job, units: Sequence[Unit]) -> None:
    """Remove half-written files of processes that were killed."""
    inner = [path for name in ("units", "parts") for path in (job.room / name).glob("*")]
    # A folder of a million files is listed once, and not for each unit.
    files = (file for unit in units for file in unit.files or (unit.file,))
    names = {posixpath.dirname(file.name) for file in files}
    outer = [folder / name for folder in job.folders() for name in names]
    remove_leftovers([job.room, *inner, *outer])


def _cores(job: Job) -> int:
    """Processes that keep this machine busy."""
    # With Keras the GPU does the work, and each process would take its memory.
    return count_cores() if engines.ENGINES[job.engine].runs_graphs else 1


def _name(unit: Unit) -> str:
    return unit.file.name if unit.file is not None else unit.files[0].name


def _report(job: Job, counts: dict[str, int], bar: BatchBar, units: Sequence[Unit]) -> bool:
    """Report what was made; returns whether that was all."""
    bad = counts.get(BROKEN, 0) + counts.get(FAILED, 0)
    where = manifest_path(job)
    if bad:
        complain(
            f"{counts.get(BROKEN, 0)} broken, {counts.get(FAILED, 0)} failed: named in {where}"
        )
    if not job.config.quiet:
        made = counts.get(DONE, 0)
        tell(f"{made} picture{'' if made == 1 else 's'} in {job.out}, listed in {where}")
        if bar.rate:
            tell(f"{bar.rate:.1f} pictures a second; {tell_spans(units, bar.rate, 0.0)}")
    return not bad


def _tell_plan(job: Job, index: Index) -> int:
    """What `--plan` says."""
    pictures = sum(unit.count for unit in index.units)
    found = measure(job, index.units)
    limit = job.config.options().memory_limit
    memory = limit or SHARE * free_memory()
    workers = job.config.workers or _cores(job)
    if limit or not job.config.workers:
        workers = max(1, min(workers, int(memory / peak_memory())))
    if limit is not None and peak_memory() > limit:
        complain(passed(job, peak_memory()))
    rate = workers / found.seconds
    results = "" if job.config.draws == 1 else f", {job.config.draws} results each"
    tell(
        f"{pictures} pictures{results}, {len(job.styles)} styles, engine {job.engine}",
        f"{1000 * found.seconds:.0f} ms a picture on one core ({found.pictures} measured), "
        f"{workers} worker{'' if workers == 1 else 's'} of "
        f"{peak_memory() / 2**20:.0f} MiB: {rate:.1f} pictures a second",
        f"about {describe_size(found.size * pictures)} of results",
        tell_spans(index.units, rate, found.start),
    )
    return console.FAILED if index.problems else console.DONE


def tell_spans(units: Sequence[Unit], rate: float, start: float) -> str:
    """How long the whole data set takes on 1, 8 and 64 machines."""
    times = spans(units, rate, start).items()
    return "the whole set takes " + ", ".join(
        f"{describe(seconds)} on {number} machine{'' if number == 1 else 's'}"
        for number, seconds in times
    )
