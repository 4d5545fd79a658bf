"""Style cards as files: making them, and telling what there is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adain.imaging.palette import Palette
from adain.inference.memory import choose_tile
from adain.inference.style_code import StyleCode
from adain.options import UsageError
from adain.presets.preset import Preset
from adain.sources import (
    STYLE_CARD,
    Outcome,
    Source,
    find_sources,
    is_card,
    read_style,
    reason_of,
)
from adain.stylize.config import ListStylesConfig, SaveStylesConfig, ShowStylesConfig


def plan_cards(config: SaveStylesConfig) -> tuple[dict[Path, Source], list[str]]:
    """Which picture each style card is made of, and one line for each path that led to none.

    Raises:
        UsageError: If two cards would have the same name, or one is there already.
    """
    sources, problems = find_sources(config.style_path)
    one = config.out_path.lower().endswith(STYLE_CARD)
    if len(sources) > 1 and (one or config.name):
        what = f"{config.out_path} is one style card" if one else "--name is for one style card"
        raise UsageError(f"{what}, but there are {len(sources)} pictures. Give a folder.")
    outputs: dict[Path, Source] = {}
    for source in sources:
        output = Path(config.out_path)
        output = output if one else output / f"{source.name}{STYLE_CARD}"
        if output in outputs:
            raise UsageError(f"{output} would be written twice: {outputs[output]}, {source}.")
        if output.exists() and not config.overwrite:
            raise UsageError(f"{output} is there already. Use --overwrite to replace it.")
        outputs[output] = source
    return outputs, problems


def save_cards(config: SaveStylesConfig, outputs: dict[Path, Source]) -> Iterator[Outcome]:
    """Write one style card for each picture; a failure of one leaves the others alone."""
    from adain.engines.registry import load_stylizer

    stylizer = load_stylizer(config.checkpoint, config.engine)
    for output, source in outputs.items():
        started = time.perf_counter()

        def make(source=source, output=output):
            picture, visible = read_style(source, config.max_pixels, config.style_size)
            code = stylizer.encode_style(
                picture,
                visible=visible,
                tile=choose_tile(stylizer, picture),
                name=config.name or Path(source.name).name,
                credit=config.credit,
                license=config.license,
            )
            code.save(output)

        error = reason_of(make)
        yield Outcome("", str(source), str(output), error, time.perf_counter() - started)


def find_cards(config: ListStylesConfig | ShowStylesConfig) -> tuple[list[dict], list[str]]:
    """What style cards tell about themselves, and one line for each path that led to none.

    Raises:
        PresetError: If there are no such weights.
    """
    library = Preset.load(config.checkpoint).styles
    sources, problems = find_sources(
        config.style_path or tuple(library), cards=True, library=library
    )
    found = []
    for source in filter(is_card, sources):
        try:
            code = StyleCode.load(source.path)
        except (ValueError, OSError) as error:
            problems.append(str(error))
            continue
        found.append(
            {
                "style": source.name,
                "title": code.name,
                "credit": code.credit,
                "license": code.license,
                "preset": code.preset,
                "encoder": code.encoder,
                "channels": list(code.widths),
                "palette": _describe(code.palette),
                "file": str(source.path),
            }
        )
    return found, problems


def _describe(palette: Palette | None) -> dict | None:
    """A palette for people and JSON: the mean colour, and how far colours are from it."""
    if palette is None:
        return None
    deviations = np.sqrt(palette.covariance.diagonal().clip(0))
    return {"mean": palette.hex, "deviations": [round(float(x), 3) for x in deviations]}
