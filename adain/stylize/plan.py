"""What `adain stylize` is going to make: every result, its styles, masks and strengths."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from adain import extras
from adain.engines import registry as engines
from adain.imaging import io as imaging
from adain.imaging.color_methods import changes_style
from adain.inference.style_code import StyleCode
from adain.options import UsageError
from adain.outputs import (
    check_folder,
    check_out_path,
    check_outputs,
    result_suffix,
)
from adain.presets.preset import Preset
from adain.sources import (
    Source,
    check_streams,
    disambiguate,
    find_sources,
    is_card,
    read_source,
)
from adain.stylize.config import StylizeConfig, StylizeOptions
from adain.stylize.history import History, State
from adain.stylize.inputs import Planes, fit_mask, to_mask
from adain.stylize.planned import PlannedResult, planned_results

# === Planning ===


@dataclass(frozen=True)
class StylizePlan:
    """All results of a run, by what there is where they go."""

    ready: list[PlannedResult]
    """To be made, those of `changed` among them."""
    finished: list[PlannedResult]
    """There already."""
    changed: list[PlannedResult]
    """There already, but made from other files of the same names."""
    refused: list[str]
    """One line for each that would replace something else."""
    problems: list[str]
    """One line for each path without pictures, and each folder that cannot be written."""
    failed: int
    """How many problems there are: each path, and each result that a folder does not take."""
    notes: list[str]
    """One line for each folder in which files were left out, and each style card passed over."""


def plan_results(config: StylizeConfig) -> StylizePlan:
    """All results to make, and what is wrong with some of them.

    Everything that can be known to go wrong is found here, before any work.

    Raises:
        UsageError: If the numbers of styles, weights, masks and strengths do not fit; if a style
            card that was named is broken or of other weights, or a mask empty; if results would
            have the same name, or replace an input; if `--out-path` cannot be written.
        PresetError: If there are no such weights.
    """
    check_out_path(config.out_path)
    preset = Preset.load(config.checkpoint)
    history = History(config, preset)
    where = {"out_path": config.out_path, "is_result": history.is_result}
    contents, problems, notes = find_sources(config.content_path, **where)
    # Without a mix the same style twice would be the same result twice.
    mixed = config.mask or config.style_mix or config.style_interp_weights or config.sheet == "mix"
    styles, more, more_notes = find_sources(
        config.style_path,
        cards=True,
        library=preset.styles,
        repeats=bool(mixed),
        **where,
    )
    if more and (config.mask or config.style_mix or config.style_interp_weights):
        # Their numbers must fit.
        raise UsageError(more[0])
    problems += more
    check_streams([*contents, *styles])
    styles, unfit = fitting_styles(config, preset, styles)
    if unfit and not styles and not more:
        problems.append(f"{' '.join(config.style_path)}: no style that can be used")
    contents = disambiguate(
        contents,
        lambda source: (source.title, result_suffix(source)),
        lambda source: source.path.suffix == result_suffix(source),
    )
    styles = disambiguate(styles, lambda source: source.flat)
    # Only then: loading NumPy's generators takes some 10 ms.
    rng = np.random.default_rng(config.seed) if 0 < config.random < len(styles) else None
    results: list[PlannedResult] = []
    checked: set[Source] = set()
    found: dict[tuple[str, ...], list[Source]] = {}
    for content in contents if styles else ():
        chosen = styles
        if rng is not None:
            picks = rng.choice(len(styles), config.random, replace=False)
            chosen = [styles[i] for i in sorted(picks)]
        masks = _find_masks(config, content, where, found, [*contents, *styles])
        for mask in masks:
            if config.crop_size or mask not in checked:
                checked.add(mask)
                _check_cover(config, content, mask, read_mask(mask, config.max_pixels))
        results += planned_results(config, content, chosen, masks)
    check_outputs(config.out_path, results, [*contents, *styles, *checked])
    notes = list(dict.fromkeys([*notes, *more_notes, *unfit]))
    return _sort_out(results, history, problems, notes)


def needs_keras(options: StylizeOptions) -> bool:
    """Whether a run needs Keras.

    Raises:
        MissingExtra: If what it needs is not installed.
        EngineError: If there is no such engine or precision on this machine.
    """
    if options.refine:
        extras.require("optimize", "--refine")
    return engines.resolve(options.engine, precision=options.precision) == "keras" or bool(
        options.refine
    )


def _sort_out(
    results: list[PlannedResult], history: History, problems: list[str], notes: list[str]
) -> StylizePlan:
    """What to do, from what there is."""
    ready, finished, changed, refused = [], [], [], []
    unwritable: dict[Path, str] = {}
    blocked: Counter[str] = Counter()
    for result in results:
        state, reason = history.look(result)
        if state is State.OTHER:
            refused.append(reason)
        elif state is State.FINISHED:
            finished.append(result)
        elif reason := _obstacle(result, unwritable):
            blocked[reason] += 1
        else:
            ready.append(result)
            if state is State.CHANGED:
                changed.append(result)
            elif state is State.TRUNCATED:
                notes.append(f"{result.output} is truncated, and made again")
    failed = len(problems) + blocked.total()
    for reason, count in blocked.items():
        problems.append(f"{reason} {count} result{'' if count == 1 else 's'} not made.")
    return StylizePlan(ready, finished, changed, refused, problems, failed, notes)


def _obstacle(result: PlannedResult, known: dict[Path, str]) -> str:
    """Why nothing can be written where a result goes; "" if it can."""
    if result.output is None:
        return ""
    folder = result.output.parent
    if folder not in known:
        known[folder] = check_folder(folder)
    return known[folder]


def fitting_styles(
    config: StylizeOptions, preset: Preset, styles: Sequence[Source]
) -> tuple[list[Source], list[str]]:
    """Styles without the cards that cannot be used, and a line for each of these.

    Raises:
        UsageError: If such a card was named, and not found in a folder.
    """
    kind = (preset.name, preset.fingerprint, preset.level_widths)
    fitting, unfit = [], []
    for style in styles:
        reason = _unfit(config, style, kind) if is_card(style) else ""
        if reason and not style.found:
            raise UsageError(reason)
        if reason:
            unfit.append(f"skipped: {reason}")
        else:
            fitting.append(style)
    return fitting, unfit


def _unfit(config: StylizeOptions, style: Source, kind: tuple[str, str, tuple[int, ...]]) -> str:
    """Why a style card cannot be used, or an empty string."""
    if config.refine:
        return f"--refine needs the style's picture. Received: {style}, a style card"
    if changes_style(config.keep_colors):
        return (
            f"--keep-colors {config.keep_colors} needs the style's picture; luma does not. "
            f"Received: {style}, a style card"
        )
    if style.path.exists() and not style.path.is_file():
        return f"{style}: a style card must be a file. Received: a pipe or a device"
    try:
        StyleCode.load(style.path).check(*kind)
    except (ValueError, OSError) as error:
        text = str(error)
        return text if str(style) in text else f"{style}: {text}"
    return ""


def _find_masks(
    config: StylizeConfig,
    content: Source,
    where: dict,
    found: dict[tuple[str, ...], list[Source]],
    inputs: Sequence[Source],
) -> list[Source]:
    """The masks of a photo.

    Args:
        config, content, where: What `plan_results` has of them.
        found: The masks of earlier photos, since pipes are read once.
        inputs: All photos and styles.
    """
    owns = [os.path.join(text, content.name) for text in config.mask]
    paths = tuple(
        own if text and os.path.isdir(own) else text
        for text, own in zip(config.mask, owns, strict=True)
    )
    if paths not in found:
        masks, problems, _ = find_sources(paths, repeats=True, **where)
        if problems:
            raise UsageError(f"--mask: {problems[0]}")
        found[paths] = masks
        check_streams([*inputs, *chain.from_iterable(found.values())])
    return found[paths]


def read_mask(source: Source, max_pixels: int) -> np.ndarray:
    """A mask's lightness times its opacity, `(height, width)` uint8.

    Raises:
        UsageError: If it cannot be read, or all of it is black.
    """
    try:
        picture, meta = read_source(source, max_pixels, keep_depth=True)
    except ValueError as error:
        raise UsageError(f"--mask: {error}") from error
    try:
        return to_mask(Planes(picture, meta.alpha), f"--mask {source}", max_pixels)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_cover(config: StylizeConfig, content: Source, source: Source, mask: np.ndarray) -> None:
    """Whether a mask still has something inside where the photo is cut out."""
    if not config.crop_size:
        return
    cut = (config.content_size, config.crop_size, config.max_pixels, str(content))
    try:
        left = fit_mask(mask, imaging.read_size(content.open(config.max_pixels)), *cut)
    except ValueError:
        return  # Told when it is the photo's turn, and the others are done.
    if not left.any():
        raise UsageError(
            f"--mask {source} must reach into the middle of {content} that --crop-size "
            f"{config.crop_size} leaves. Received: nothing inside there"
        )
