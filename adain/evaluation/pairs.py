"""Which pictures `adain evaluate` measures, and the squares that it measures them on."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adain import files
from adain.console import shorten
from adain.constants import MAX_PIXELS
from adain.evaluation.config import EvaluateConfig
from adain.imaging import io as imaging
from adain.options import UsageError
from adain.outputs import check_folder, check_out_folder
from adain.presets import lpips_file, npz
from adain.presets.preset import find_preset
from adain.sources import Source, check_streams, find_sources, read_source

PHOTO, STYLE = "unchanged photo", "plain style picture"


@dataclass(frozen=True)
class Pair:
    """A photo and a style, and what results made from them are called, without suffix."""

    content: Source
    style: Source

    @property
    def name(self) -> str:
        """`{content}_stylized_{style}`, sub-folders made part of the name."""
        return f"{self.content.flat}_stylized_{self.style.flat}"


@dataclass(frozen=True)
class EvaluationPlan:
    """Pairs to measure, and what could not be found."""

    pairs: list[Pair]
    outputs: dict[str, dict[str, Path]]
    """Method to name of the pair to file."""
    problems: list[str]
    notes: list[str]
    """One line for each folder in which files were left out."""


# === Planning ===


def plan_pairs(config: EvaluateConfig) -> EvaluationPlan:
    """Find all pictures, before any work starts.

    Raises:
        UsageError: If two methods or pictures have one name, the list of pairs is not
            understood, a folder of outputs has no picture of any pair, or nothing can be written
            into `out_path`.
        ImageError, ArchiveError, PresetError: If a folder of outputs,
            the weights of LPIPS or a preset are not there.
        ValueError: If there are no pairs.
    """
    check_out_folder("--out-path", config.out_path, "report.md, report.json and sheet.png")
    if config.write_pairs:
        check_out_folder("--write-pairs", config.write_pairs, "the squares")
    if reason := check_folder(Path(config.write_pairs or config.out_path)):
        raise UsageError(reason)
    if config.pairs:
        pairs, problems, notes = _read_pairs(Path(config.pairs)), [], []
    else:
        contents, problems, notes = find_sources(config.content_path, out_path=config.out_path)
        styles, more, more_notes = find_sources(config.style_path, out_path=config.out_path)
        check_streams([*contents, *styles])
        problems += more
        notes += more_notes
        pairs = [Pair(content, style) for content in contents for style in styles]
        # In this order, so that the first few of them are a fair sample too.
        order = np.random.default_rng(config.seed).permutation(len(pairs))
        pairs = [pairs[i] for i in order[: config.count or None]]
    if not pairs:
        raise ValueError("; ".join([*problems, "there is no pair to measure"]))
    _require_names(pairs)
    if config.write_pairs:
        return EvaluationPlan(pairs, {}, problems, notes)
    lpips_file.read_archive(config.lpips_weights, "alexnet")
    for name in config.preset:
        find_preset(name)
    outputs = {}
    for item in config.outputs:
        name, _, folder = item.partition("=")
        if name in (*config.preset, *outputs, PHOTO, STYLE, optimize_name(config)):
            raise UsageError(f"Two methods are called {name}. Give --outputs another NAME.")
        outputs[name], missing = _match(Path(folder), pairs)
        problems += missing
    return EvaluationPlan(pairs, outputs, problems, notes)


def _read_pairs(path: Path) -> list[Pair]:
    try:
        text = io.StringIO(files.read_text(path), newline="")
        lines = [(number, row) for number, row in enumerate(csv.reader(text), start=1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: not a readable list of pairs ({error}).") from error
    if not lines:
        raise UsageError(f"{path}: expected lines of `content,style`. Received: none")
    pairs = {}
    for number, row in lines:
        texts = [text.strip() for text in row]
        if len(texts) != 2 or not all(texts):
            raise UsageError(
                f"{path}, line {number}: expected `content,style`. Received: {','.join(row)}"
            )
        # Beside the list, or from where the command was given.
        beside = [path.parent / text for text in texts]
        paths = [p if p.exists() else Path(text) for p, text in zip(beside, texts, strict=True)]
        pairs[tuple(paths)] = Pair(*(Source(file, file.stem) for file in paths))
    return list(pairs.values())


def _require_names(pairs: list[Pair]) -> None:
    """Results are told apart by name, so no two pictures may share one."""
    wrong = []
    for kind in ("content", "style"):
        paths: dict[str, Path] = {}
        for source in dict.fromkeys(getattr(pair, kind) for pair in pairs):
            if source.path is None:
                raise UsageError("Standard input cannot be measured. Give a file.")
            other = paths.setdefault(source.flat, source.path)
            if other != source.path:
                wrong.append(f"{other} and {source.path} would have the same name.")
    if wrong:
        raise UsageError(f"{' '.join(shorten(wrong))} Rename one of them.")


def _match(folder: Path, pairs: list[Pair]) -> tuple[dict[str, Path], list[str]]:
    """The picture of each pair in a folder, and a line if some are missing."""
    found = {
        Source(path, str(path.relative_to(folder).with_suffix(""))).flat: path
        for path in imaging.list_images(folder)
    }
    missing = [pair.name for pair in pairs if pair.name not in found]
    if len(missing) == len(pairs):
        raise UsageError(f"{folder}: expected pictures called like {missing[0]}.png, found none.")
    about = f"{folder}: no picture for {len(missing)} of {len(pairs)} pairs"
    problems = [f"{about}; the first is {missing[0]}.png"] if missing else []
    return {pair.name: found[pair.name] for pair in pairs if pair.name in found}, problems


def optimize_name(config: EvaluateConfig) -> str:
    """What the slow baseline is called."""
    return f"optimize, {config.optimize_steps} steps"


# === Pictures ===


class Squares:
    """Pictures as the squares that are measured, and what had to be done to them."""

    def __init__(self, size: int):
        self._size = size
        self._odd: dict[str, dict[Path, tuple[int, int]]] = {}
        self.errors: dict[Path, str] = {}

    def read(self, source: Source, kind: str, *, exact: bool = False) -> np.ndarray | None:
        """The middle square, HWC uint8; None, with the reason kept, if the file is broken.

        Args:
            source: The file.
            kind: What the picture is, for `notes`.
            exact: Whether any other size is worth a note, or only too small a one.
        """
        path = source.path
        try:
            picture, _ = read_source(source, MAX_PIXELS)
        except imaging.ImageError as error:
            self.errors[path] = str(error)
            return None
        size, shape = self._size, picture.shape[:2]
        if min(shape) < size or (exact and shape != (size, size)):
            verb = "enlarged" if min(shape) < size else "resized"
            self._odd.setdefault(f"{kind}: {verb}", {})[path] = shape
        middle = imaging.center_crop(picture, (min(shape), min(shape)))
        return imaging.resize_image(middle, (size, size))

    @property
    def notes(self) -> list[str]:
        """One line for each kind of picture of which some had another size."""
        lines = []
        for what, found in self._odd.items():
            path, (height, width) = next(iter(found.items()))
            lines.append(
                f"{what} to {self._size} x {self._size}: {len(found)} of the pictures, the first "
                f"{path} ({height} x {width})"
            )
        return lines


def write_pairs(config: EvaluateConfig, planned: EvaluationPlan) -> tuple[int, list[str]]:
    """Write the squares and `pairs.csv`, for another program to work on.

    Returns:
        How many pairs were written, and one line for each picture that could not be read.

    Raises:
        ImageError: If the folder cannot be written.
        ValueError: If no pair could be read.
    """
    squares, folder = Squares(config.size), Path(config.write_pairs)
    names: dict[tuple[str, Source], str] = {}
    for kind in ("content", "style"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for source in dict.fromkeys(getattr(pair, kind) for pair in planned.pairs):
            square = squares.read(source, kind)
            if square is not None:
                names[kind, source] = f"{kind}/{source.flat}.png"
                imaging.save_image(folder / names[kind, source], square)
    text, count = io.StringIO(newline=""), 0
    for pair in planned.pairs:
        row = [names.get((kind, getattr(pair, kind))) for kind in ("content", "style")]
        if all(row):
            csv.writer(text).writerow(row)
            count += 1
    problems = list(squares.errors.values())
    if not count:
        raise ValueError("; ".join([*problems, "no pair could be read, and no list is written"]))
    npz.write_atomically(folder / "pairs.csv", lambda file: file.write(text.getvalue().encode()))
    return count, problems
