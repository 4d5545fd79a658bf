"""Files to files: which pictures meet which styles, where results go, and doing it."""

from __future__ import annotations

import glob
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from adain.imaging import io as imaging
from adain.options import UsageError

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
class Outcome:
    """What became of a job or a style card."""

    content: str
    style: str
    output: str
    error: str
    seconds: float
    losses: dict[str, float] = field(default_factory=dict)
    """Of optimised pictures."""
    settings: dict = field(default_factory=dict)
    """Of stylised pictures: what made them."""


class HasOutput(Protocol):
    """A job of any kind; its text says what is made of what."""

    output: Path | None


# === Planning ===


def find_sources(
    paths: tuple[str, ...],
    *,
    cards: bool = False,
    library: Mapping[str, Path] | None = None,
    repeats: bool = False,
) -> tuple[list[Source], list[str]]:
    """Files, folders, globs and `-` to pictures.

    Args:
        paths: What the user named.
        cards: Whether style cards count as pictures.
        library: Style cards that are known by name; a file or folder of that name goes first.
        repeats: Whether a file that is named several times counts as often: masks, and the styles
            of a mix. What a folder or a pattern finds besides counts once.

    Returns:
        The sources in order, and one line for each path that led to none.
    """
    sources: list[Source] = []
    known: set[Path | None] = set()
    problems = []

    def add(source: Source, *, named: bool = True) -> None:
        if source.path not in known or (named and repeats):
            known.add(source.path)
            sources.append(source)

    for text in paths:
        path = Path(text)
        if text == STDIN:
            add(Source(None, "stdin"))
        elif path.is_dir():
            found = imaging.list_images(path)
            if cards:
                found += sorted(path.rglob(f"*{STYLE_CARD}"))
            if not found:
                problems.append(f"{path}: no pictures in this folder")
            for file in found:
                name = str(file.relative_to(path).with_suffix(""))
                add(Source(file, name), named=False)
        elif path.exists():
            add(Source(path, path.stem))
        elif text in (library or {}):
            add(Source(library[text], text))
        else:
            found = [Path(match) for match in sorted(glob.glob(text, recursive=True))]
            found = [match for match in found if match.is_file()]
            if not found:
                hint = ", nor a style of that name: see `adain styles list`" if library else ""
                problems.append(f"{path}: no such file or folder{hint}")
            for file in found:
                add(Source(file, file.stem), named=False)
    return sources, problems


def check_outputs(
    out_path: str,
    jobs: Sequence[HasOutput],
    inputs: list[Source],
    written: Callable[[HasOutput], list[Path | None]] = lambda job: [job.output],
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
    owners: dict[Path | None, HasOutput] = {}
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


def read_source(source: Source, max_pixels: int, *, keep_depth: bool = False):
    file = sys.stdin.buffer if source.path is None else source.path
    return imaging.read_image(file, max_pixels=max_pixels, keep_depth=keep_depth)


def read_style(
    source: Source, max_pixels: int, size: int, crop: int = 0
) -> tuple[np.ndarray, np.ndarray | None]:
    """A style picture, resized and cut, and how much of each pixel is visible.

    Returns:
        HWC uint8 or uint16 sRGB, and `(height, width)` uint8; None: all of it.

    Raises:
        ImageError: If it cannot be read, or all of it is transparent.
    """
    picture, meta = read_source(source, max_pixels, keep_depth=True)
    picture = shrink(picture, size, 0, max_pixels, str(source))
    visible = None
    if meta.alpha is not None and meta.alpha.min() < np.iinfo(meta.alpha.dtype).max:
        visible = imaging.resize_mask(imaging.to_depth(meta.alpha, np.uint8), picture.shape[:2])
        visible = center(visible, crop)
        if not visible.any():
            raise imaging.ImageError(f"{source}: nothing of this style can be seen")
    return center(picture, crop), visible


def shrink(picture: np.ndarray, size: int, crop: int, max_pixels: int, name: str) -> np.ndarray:
    """A picture resized to a shorter side of `size` pixels and cut to `crop`; 0: not at all.

    Raises:
        ImageError: If it would have more than `max_pixels` pixels; the message calls it `name`.
    """
    if size:
        picture = imaging.resize_shorter_side(picture, size, max_pixels=max_pixels, name=name)
    return center(picture, crop)


def center(picture: np.ndarray, crop: int) -> np.ndarray:
    """The middle square of `crop` pixels; 0: all of it."""
    return imaging.center_crop(picture, (crop, crop)) if crop else picture
