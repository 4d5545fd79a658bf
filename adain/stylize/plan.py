"""What `adain stylize` is going to paint: every result, its styles, masks and strengths."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from adain import __version__
from adain.imaging import io as imaging
from adain.inference.style_code import StyleCode
from adain.options import UsageError, recorded
from adain.presets import preset as presets
from adain.sources import Source, check_outputs, find_sources, is_card, output_path, read_source
from adain.stylize.config import StylizeConfig

SHEET_SIZE = 384
"""Shorter side of the pictures of a contact sheet, unless another is asked for."""

_NAMES = 3
"""Names of results tell so many styles; more would make too long a name."""


@dataclass(frozen=True)
class Layer:
    """Styles mixed into one, with a strength, on the whole photo or inside a mask."""

    styles: tuple[Source, ...]
    weights: tuple[float, ...]
    """One for each style; they sum to 1."""
    alpha: float
    mask: Source | None = None


@dataclass(frozen=True)
class Painting:
    """One result: a photo, what is painted on it, and where it goes."""

    content: Source
    layers: tuple[Layer, ...]
    """Of a contact sheet none."""
    output: Path | None
    """None: standard output."""
    sheet: tuple[tuple[tuple[str, tuple[Layer, ...]], ...], ...] = ()
    """Rows of labelled pictures; one without layers is the photo itself."""

    @property
    def cells(self) -> list[tuple[Layer, ...]]:
        """The layers of all pictures that have to be painted."""
        cells = [layers for row in self.sheet for _, layers in row] or [self.layers]
        return [layers for layers in cells if layers]

    @property
    def styles(self) -> list[Source]:
        """All styles, each once, in order."""
        return list(
            dict.fromkeys(
                style for layers in self.cells for layer in layers for style in layer.styles
            )
        )

    @property
    def masks(self) -> list[Source]:
        """All masks, each once, in order."""
        masks = (layer.mask for layers in self.cells for layer in layers)
        return list(dict.fromkeys(mask for mask in masks if mask is not None))

    def __str__(self) -> str:
        return f"{self.content} with {' + '.join(map(str, self.styles))}"


# === Planning ===


def plan(config: StylizeConfig) -> tuple[list[Painting], list[Painting], list[str]]:
    """All results to make, those that are there already, and a line for each path without pictures.

    Everything that can be known to go wrong is found here, before any work.

    Raises:
        UsageError: If the numbers of styles, weights, masks and strengths do not fit; if a style
            card is broken or of other weights, or a mask empty; if two results would have the same
            name, or one would replace an input or another picture.
        PresetError: If there are no such weights.
    """
    folder = presets.find_preset(config.checkpoint)
    preset = presets.read_config(folder)
    contents, problems = find_sources(config.content_path)
    styles, more = find_sources(config.style_path, cards=True, library=presets.find_styles(folder))
    if more and (config.mask or config.style_mix or config.style_interp_weights):
        # Their numbers must fit.
        raise UsageError(more[0])
    problems += more
    _check_styles(config, preset, styles)
    rng = np.random.default_rng(config.seed)
    paintings: list[Painting] = []
    checked: set[Source] = set()
    for content in contents if styles else ():
        chosen = styles
        if 0 < config.random < len(styles):
            picks = rng.choice(len(styles), config.random, replace=False)
            chosen = [styles[i] for i in sorted(picks)]
        masks = _find_masks(config, content)
        for mask in masks:
            if config.crop_size or mask not in checked:
                checked.add(mask)
                _check_cover(config, content, mask, read_mask(mask, config.max_pixels))
        paintings += _paintings(config, content, chosen, masks)
    check_outputs(config.out_path, paintings, [*contents, *styles, *checked])
    ready, finished = [], []
    for painting in paintings:
        done = not config.overwrite and _is_finished(config, preset, painting)
        (finished if done else ready).append(painting)
    return ready, finished, problems


def _check_styles(config: StylizeConfig, preset: dict, styles: Sequence[Source]) -> None:
    name = preset["about"].get("preset", "")
    kind = (name, presets.fingerprint(preset), presets.level_widths(preset))
    for style in filter(is_card, styles):
        if config.refine:
            raise UsageError(f"--refine needs the style's picture. Received: {style}, a style card")
        if config.keep_colors in ("coral", "histogram"):
            raise UsageError(
                f"--keep-colors {config.keep_colors} needs the style's picture; luma does not. "
                f"Received: {style}, a style card"
            )
        try:
            StyleCode.load(style.path).check(*kind)
        except (ValueError, OSError) as error:
            text = str(error)
            raise UsageError(text if str(style) in text else f"{style}: {text}") from error


def _find_masks(config: StylizeConfig, content: Source) -> list[Source]:
    paths = []
    for text in config.mask:
        own = Path(text) / content.name
        paths.append(str(own) if own.is_dir() else text)
    masks, problems = find_sources(tuple(paths))
    if problems:
        raise UsageError(f"--mask: {problems[0]}")
    return masks


def read_mask(source: Source, max_pixels: int) -> np.ndarray:
    """A mask's lightness times its opacity, `(height, width)` uint8.

    Raises:
        UsageError: If it cannot be read, or all of it is black.
    """
    try:
        picture, meta = read_source(source, max_pixels)
    except ValueError as error:
        raise UsageError(f"--mask: {error}") from error
    mask = np.rint(picture @ np.float32([0.299, 0.587, 0.114])).astype("uint8")
    if meta.alpha is not None:
        mask = np.rint(mask * (meta.alpha / np.float32(255))).astype("uint8")
    if not mask.any():
        raise UsageError(f"--mask {source} must have something white inside. Received: all black")
    return mask


def _check_cover(config: StylizeConfig, content: Source, source: Source, mask: np.ndarray) -> None:
    """Whether a mask still has something inside where the photo is cut out."""
    if not config.crop_size or content.path is None:
        return
    try:
        size = imaging.read_size(content.path)
    except ValueError:
        return  # Told when it is the photo's turn, and the others are done.
    if not fit_mask(config, mask, size).any():
        raise UsageError(
            f"--mask {source} must reach into the middle of {content} that --crop-size "
            f"{config.crop_size} leaves. Received: nothing inside there"
        )


def fit_mask(
    config: StylizeConfig, mask: np.ndarray, size: tuple[int, int], shorter: int | None = None
) -> np.ndarray:
    """A mask for a photo of `(height, width)`, resized and cut as the photo is.

    `shorter` is the side that the photo is resized to, by default `config.content_size`.
    """
    height, width = size
    shorter = config.content_size if shorter is None else shorter
    if shorter:
        scale = shorter / min(size)
        height, width = (max(1, round(side * scale)) for side in size)
    mask = imaging.resize_mask(mask, (height, width))
    if config.crop_size:
        mask = imaging.center_crop(mask, (config.crop_size, config.crop_size))
    return mask


def _paintings(
    config: StylizeConfig, content: Source, styles: list[Source], masks: list[Source]
) -> list[Painting]:
    """The results of one photo."""
    options = _layers(config, styles, masks)
    if config.refine and any(len(layers) > 1 or len(layers[0].styles) > 1 for layers in options):
        raise UsageError("--refine takes one style on the whole photo: no masks, no mixing.")
    if config.sheet:
        rows = _SHEETS[config.sheet](config, styles, options)
        output = output_path(config.out_path, content, f"_sheet_{config.sheet}")
        return [Painting(content, (), output, rows)]
    if not masks and len(config.alpha) > 1:
        raise UsageError(
            f"--alpha takes one number without --mask or --sheet. Received: {len(config.alpha)}"
        )
    return [
        Painting(
            content, layers, output_path(config.out_path, content, f"_stylized_{name(layers)}")
        )
        for layers in options
    ]


def name(layers: Sequence[Layer]) -> str:
    """What tells results of the same photo apart: the names of the styles."""
    names = list(dict.fromkeys(style.flat for layer in layers for style in layer.styles))
    more = len(names) - _NAMES
    return "+".join(names[:_NAMES]) + (f"+{more}_more" if more > 0 else "")


def _layers(
    config: StylizeConfig, styles: list[Source], masks: list[Source]
) -> list[tuple[Layer, ...]]:
    """Layers of each picture to paint on a photo."""
    weights, alphas = config.style_interp_weights, config.alpha
    mixed = config.style_mix or bool(weights)
    count = len(styles)
    if not masks:
        if not mixed:
            return [(Layer((style,), (1.0,), alphas[0]),) for style in styles]
        return [(Layer(tuple(styles), _shares(weights, count, 1)[0], alphas[0]),)]
    if len(alphas) not in (1, len(masks)):
        raise UsageError(
            f"--alpha must be one number, or one for each of the {len(masks)} masks. "
            f"Received: {len(alphas)}"
        )
    if mixed:
        mixes = [(tuple(styles), row) for row in _shares(weights, count, len(masks))]
    elif count in (1, len(masks)):
        mixes = [((style,), (1.0,)) for style in styles] * (len(masks) // count)
    else:
        raise UsageError(
            f"Give one style, or one for each of the {len(masks)} masks, or --style-mix. "
            f"Received: {count} styles"
        )
    alphas = alphas * (len(masks) // len(alphas))
    return [
        tuple(
            Layer(sources, shares, alpha, mask)
            for (sources, shares), alpha, mask in zip(mixes, alphas, masks, strict=True)
        )
    ]


def _shares(weights: Sequence[float], styles: int, rows: int) -> list[tuple[float, ...]]:
    """`--style-interp-weights` as rows of one weight for each style, that sum to 1."""
    weights = weights or (1.0,) * styles
    if len(weights) == styles:
        weights = tuple(weights) * rows
    if len(weights) != styles * rows:
        each = f", or {styles * rows} for {rows} masks" if rows > 1 else ""
        raise UsageError(
            f"--style-interp-weights must be {styles} numbers, one for each style{each}. "
            f"Received: {len(weights)}"
        )
    table = [tuple(weights[i * styles : (i + 1) * styles]) for i in range(rows)]
    for row in table:
        if not 0 < sum(row) < math.inf:
            raise UsageError(
                f"--style-interp-weights must not be all 0. Received: {' '.join(map(str, row))}"
            )
    return [tuple(weight / sum(row) for weight in row) for row in table]


# === Contact sheets: each gives rows of labels and layers ===


def _sheet_alpha(config: StylizeConfig, styles: list[Source], options: list[tuple[Layer, ...]]):
    steps = config.alpha if len(config.alpha) > 1 else np.linspace(0, 1, config.sheet_steps)
    rows = []
    for layers in options:
        row = []
        for step in map(float, steps):
            # One number for all of a mask's strengths scales them.
            alphas = [step if len(config.alpha) > 1 else step * layer.alpha for layer in layers]
            strong = (
                Layer(layer.styles, layer.weights, alpha, layer.mask)
                for layer, alpha in zip(layers, alphas, strict=True)
            )
            row.append((f"{name(layers)} {step:.3g}", tuple(strong)))
        rows.append(tuple(row))
    return tuple(rows)


def _sheet_mix(config: StylizeConfig, styles: list[Source], options: list[tuple[Layer, ...]]):
    if len(styles) not in (2, 4) or config.mask:
        raise UsageError(
            "--sheet mix takes 2 styles, or 4 for its corners, and no masks. "
            f"Received: {len(styles)} styles"
        )
    steps = np.linspace(0, 1, config.sheet_steps)
    rows = []
    for down in steps if len(styles) == 4 else (0.0,):
        row = []
        for right in steps:
            corners = ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right),
                       down * right)  # fmt: skip
            weights = tuple(float(weight) for weight in corners[: len(styles)])
            named = zip(styles, weights, strict=True)
            label = ", ".join(f"{style.flat} {share:.2g}" for style, share in named if share)
            row.append((label, (Layer(tuple(styles), weights, config.alpha[0]),)))
        rows.append(tuple(row))
    return tuple(rows)


def _sheet_styles(config: StylizeConfig, styles: list[Source], options: list[tuple[Layer, ...]]):
    cells = [("photo", ()), *((name(layers), layers) for layers in options)]
    columns = math.ceil(math.sqrt(len(cells)))
    return tuple(tuple(cells[i : i + columns]) for i in range(0, len(cells), columns))


_SHEETS = {"alpha": _sheet_alpha, "mix": _sheet_mix, "styles": _sheet_styles}


# === Settings: written into results, and what tells a finished one ===


def settings(config: StylizeConfig, preset: dict, painting: Painting) -> dict:
    """Everything that makes a result what it is, for JSON; files by their names only."""
    record = {
        "program": f"adain {__version__}",
        "preset": preset["about"].get("preset", ""),
        "weights": _checksum(preset),
        "content": _file_name(painting.content),
    }
    if painting.sheet:
        record["cells"] = [
            [[label, [_describe(layer) for layer in layers]] for label, layers in row]
            for row in painting.sheet
        ]
    else:
        record["layers"] = [_describe(layer) for layer in painting.layers]
    return record | recorded(config)


def _describe(layer: Layer) -> dict:
    mixed = zip(layer.styles, layer.weights, strict=True)
    about: dict = {
        "styles": [[_file_name(style), round(weight, 6)] for style, weight in mixed],
        "alpha": layer.alpha,
    }
    if layer.mask is not None:
        about["mask"] = _file_name(layer.mask)
    return about


def _file_name(source: Source) -> str:
    return str(source) if source.path is None else source.path.name


def _checksum(preset: dict) -> str:
    return "-".join(preset["sha256"].get(file, "")[:8] for file in presets.WEIGHT_FILES)


def _is_finished(config: StylizeConfig, preset: dict, painting: Painting) -> bool:
    """Whether a result is there, made with these settings and no older than its inputs.

    Raises:
        UsageError: If another picture is there.
    """
    output = painting.output
    if output is None or not output.exists():
        return False
    try:
        found = json.loads(imaging.read_history(output))
    except ValueError:
        found = None
    if found != settings(config, preset, painting):
        made = "it was made with other settings" if found else "it does not tell how it was made"
        raise UsageError(f"{output} is there already, and {made}. Use --overwrite to replace it.")
    inputs = [painting.content, *painting.styles, *painting.masks]
    newest = max((_changed(source.path) for source in inputs if source.path), default=0.0)
    return output.stat().st_mtime >= newest


@lru_cache(maxsize=4096)
def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0
