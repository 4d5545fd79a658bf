"""Files to files: which pictures meet which styles, where results go, and doing it."""

from __future__ import annotations

import glob
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from adain import color
from adain import image as imaging
from adain.config import OptimizeConfig, StylesConfig, StylizeConfig, UsageError

STDIN = STDOUT = "-"
STYLE_CARD = ".npz"


@dataclass(frozen=True)
class Source:
    """A picture to read, and what to call it in the names of results."""

    path: Path | None
    """None: standard input."""
    name: str
    """Path below the folder it was found in, without suffix."""

    @property
    def flat(self) -> str:
        """The name without folders, for the end of another name."""
        return self.name.replace("/", "_").replace("\\", "_")

    def __str__(self) -> str:
        return STDIN if self.path is None else str(self.path)


@dataclass(frozen=True)
class Job:
    """One result: a content, a style, and where it goes (None: standard output)."""

    content: Source | None
    """None, as the style, only in `adain optimize`, which does without either."""
    style: Source | None
    output: Path | None

    def __str__(self) -> str:
        return " with ".join(str(source) for source in (self.content, self.style) if source)


@dataclass(frozen=True)
class Outcome:
    """What became of a job or a style card."""

    content: str
    style: str
    output: str
    error: str
    seconds: float
    losses: dict[str, float] = field(default_factory=dict)
    """Of optimised pictures."""


# === Planning ===


def find_sources(paths: tuple[str, ...], *, cards: bool = False) -> tuple[list[Source], list[str]]:
    """Files, folders, globs and `-` to pictures.

    Args:
        paths: What the user named.
        cards: Whether style cards count as pictures.

    Returns:
        The sources in order, each once, and one line for each path that led to none.
    """
    sources: dict[Path | None, Source] = {}
    problems = []
    for text in paths:
        path = Path(text)
        if text == STDIN:
            sources[None] = Source(None, "stdin")
        elif path.is_dir():
            found = imaging.list_images(path)
            if cards:
                found += sorted(path.rglob(f"*{STYLE_CARD}"))
            if not found:
                problems.append(f"{path}: no pictures in this folder")
            for file in found:
                sources[file] = Source(file, str(file.relative_to(path).with_suffix("")))
        elif path.exists():
            sources[path] = Source(path, path.stem)
        else:
            found = [Path(match) for match in sorted(glob.glob(text, recursive=True))]
            found = [match for match in found if match.is_file()]
            if not found:
                problems.append(f"{path}: no such file or folder")
            for file in found:
                sources[file] = Source(file, file.stem)
    return list(sources.values()), problems


def plan(config: StylizeConfig) -> tuple[list[Job], list[str]]:
    """All results to make, in order, and one line for each path that led to none.

    Raises:
        UsageError: If two results would have the same name, or a result would replace an input.
    """
    contents, problems = find_sources(config.content_path)
    styles, style_problems = find_sources(config.style_path, cards=True)
    problems += style_problems
    rng = np.random.default_rng(config.seed)
    pairs = []
    for content in contents:
        chosen = styles
        if 0 < config.random < len(styles):
            picks = rng.choice(len(styles), config.random, replace=False)
            chosen = [styles[i] for i in sorted(picks)]
        pairs += [(content, style) for style in chosen]
    jobs = [Job(c, s, output_path(config.out_path, c, f"_stylized_{s.flat}")) for c, s in pairs]
    if config.refine:
        for style in filter(is_card, styles):
            raise UsageError(
                f"--refine needs the style's picture. Received: {style}, a style card, which holds "
                "the statistics of one layer."
            )
    check_outputs(config.out_path, jobs, contents + styles)
    return jobs, problems


def check_outputs(
    out_path: str,
    jobs: list[Job],
    inputs: list[Source],
    written: Callable[[Job], list[Path | None]] = lambda job: [job.output],
) -> None:
    """Find what would go wrong with names, before any work.

    Args:
        out_path: `--out-path`.
        jobs: All results to make.
        inputs: All pictures that were named.
        written: The files that one job writes.

    Raises:
        UsageError: If two results would have the same name, or a result would replace an input.
    """
    if is_file(out_path) and len(jobs) > 1:
        raise UsageError(
            f"--out-path {out_path} is one file, but there are {len(jobs)} results. Give a folder."
        )
    owners: dict[Path | None, Job] = {}
    paths = {source.path.resolve() for source in inputs if source.path}
    for job in jobs:
        for output in written(job):
            if output in owners:
                raise UsageError(
                    f"{output} would be written twice: from {owners[output]}, and from {job}. "
                    "Rename one of them."
                )
            if output is not None and output.resolve() in paths:
                raise UsageError(f"{output} is an input; choose another --out-path.")
            owners[output] = job


def is_file(out_path: str) -> bool:
    """Whether `--out-path` names one picture and not a folder."""
    path = Path(out_path)
    return out_path == STDOUT or (
        not path.is_dir() and path.suffix.lower() in imaging.IMAGE_SUFFIXES
    )


def output_path(out_path: str, source: Source, tail: str) -> Path | None:
    """`OUT/{source}{tail}`, in the source's format and its sub-folder."""
    if out_path == STDOUT:
        return None
    if is_file(out_path):
        return Path(out_path)
    suffix = source.path.suffix.lower() if source.path else ".png"
    if suffix not in imaging.WRITABLE_SUFFIXES:
        suffix = ".png"
    return Path(out_path) / f"{source.name}{tail}{suffix}"


# === Doing ===


def stylize_files(config: StylizeConfig, jobs: list[Job]) -> Iterator[Outcome]:
    """Carry out jobs, one after another; a failure of one leaves the others alone."""
    # Here, because importing the backend takes seconds that a usage error should not cost.
    from adain.model import StyleTransfer

    model = StyleTransfer.from_preset(config.checkpoint)
    painter = _Painter(config, model)
    for job in jobs:
        started = time.perf_counter()
        error = reason_of(lambda job=job: painter.paint(job))
        yield Outcome(
            str(job.content),
            str(job.style),
            STDOUT if job.output is None else str(job.output),
            error,
            time.perf_counter() - started,
        )


def plan_cards(config: StylesConfig) -> tuple[dict[Path, Source], list[str]]:
    """Which picture each style card is made of, and one line for each path that led to none.

    Raises:
        UsageError: If two cards would have the same name.
    """
    sources, problems = find_sources(config.style_path)
    outputs: dict[Path, Source] = {}
    for source in sources:
        output = Path(config.out_path) / f"{source.name}{STYLE_CARD}"
        if output in outputs:
            raise UsageError(f"{output} would be written twice: {outputs[output]}, {source}.")
        outputs[output] = source
    return outputs, problems


def make_cards(config: StylesConfig, outputs: dict[Path, Source]) -> Iterator[Outcome]:
    """Write one style card for each picture; a failure of one leaves the others alone."""
    from adain.model import StyleTransfer

    model = StyleTransfer.from_preset(config.checkpoint)
    for output, source in outputs.items():
        started = time.perf_counter()

        def make(source=source, output=output):
            picture, _ = read_source(source, config.max_pixels)
            picture = shrink(picture, config.style_size, 0)
            code = model.encode_style(
                picture,
                tile=StylizeConfig.tile,
                name=Path(source.name).name,
                credit=config.credit,
                licence=config.licence,
            )
            code.save(output)

        error = reason_of(make)
        yield Outcome("", str(source), str(output), error, time.perf_counter() - started)


def reason_of(action: Callable[[], None]) -> str:
    """Run something for one file; why it failed, in one line, or an empty string."""
    try:
        action()
    except MemoryError:
        return "not enough memory; use a smaller --content-size (or --tile)"
    except OSError as error:
        return f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    except Exception as error:
        # Backends raise types of their own when memory runs out.
        return " ".join(str(error).split()) or type(error).__name__
    return ""


class _Painter:
    """Keeps the photo and the styles in hand that the next job may need again."""

    def __init__(self, config: StylizeConfig, model):
        self.config = config
        self.model = model
        self.content = lru_cache(maxsize=1)(self._content)
        self.style = lru_cache(maxsize=64)(self._style)
        self.code = lru_cache(maxsize=4096)(self._code)

    def _content(self, source: Source):
        return read_source(source, self.config.max_pixels)

    def _style(self, source: Source) -> np.ndarray:
        picture, _ = read_source(source, self.config.max_pixels)
        return shrink(picture, self.config.style_size, self.config.crop_size)

    def _code(self, source: Source):
        if is_card(source):
            from adain.functional import StyleCode

            return StyleCode.load(source.path)
        return self.model.encode_style(self.style(source), tile=self.config.tile)

    def paint(self, job: Job) -> None:
        """Make one result."""
        config = self.config
        if job.output is not None:
            job.output.parent.mkdir(parents=True, exist_ok=True)
        if self._stays_animated(job):
            frames = imaging.read_frames(job.content.path, max_pixels=config.max_pixels)
            painted = ((self._paint_one(frame, job.style), meta) for frame, meta in frames)
            imaging.save_frames(job.output, painted, quality=config.quality)
            return
        picture, meta = self.content(job.content)
        result = self._paint_one(picture, job.style)
        if config.concat:
            style = self.style(job.style)
            photo = shrink(picture, config.content_size, config.crop_size)
            height = result.shape[0]
            width = max(1, round(style.shape[1] * height / style.shape[0]))
            result = np.hstack([photo, imaging.resize_image(style, (height, width)), result])
        if job.output is None:
            imaging.save_image(sys.stdout.buffer, result, format="PNG", meta=meta)
        else:
            imaging.save_image(job.output, result, meta=meta, quality=config.quality)

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
            code = self.model.encode_style(painting, tile=config.tile)
        else:
            painting = None
            code = self.code(style)
        result = photo
        for _ in range(config.passes):
            result = self.model.stylize(result, code, config.alpha, tile=config.tile)
        if config.refine:
            from adain.gatys import optimize_image

            result = optimize_image(
                self.model.encoder,
                photo,
                self.style(style) if painting is None else painting,
                start=result,
                # Full weight would undo a weaker alpha.
                style_weight=config.alpha * OptimizeConfig.style_weight,
                steps=config.refine,
            )
        return color.restore_colors(result, photo, method)


def is_card(source: Source) -> bool:
    return source.path is not None and source.path.suffix.lower() == STYLE_CARD


def read_source(source: Source, max_pixels: int):
    file = sys.stdin.buffer if source.path is None else source.path
    return imaging.read_image(file, max_pixels=max_pixels)


def shrink(picture: np.ndarray, size: int, crop: int) -> np.ndarray:
    if size:
        picture = imaging.resize_shorter_side(picture, size)
    if crop:
        picture = imaging.center_crop(picture, (crop, crop))
    return picture
