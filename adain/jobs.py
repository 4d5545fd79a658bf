"""Files to files: which pictures meet which styles, where results go, and doing it."""

from __future__ import annotations

import glob
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from adain import image as imaging
from adain.config import StylesConfig, StylizeConfig, UsageError

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
    from adain.engines import load_painter

    painter = load_painter(config.checkpoint, config.engine)
    for output, source in outputs.items():
        started = time.perf_counter()

        def make(source=source, output=output):
            picture, _ = read_source(source, config.max_pixels)
            picture = shrink(picture, config.style_size, 0)
            code = painter.encode_style(
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
