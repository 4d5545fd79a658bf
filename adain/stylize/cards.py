"""Style cards as files: making them, and telling what there is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adain.imaging.palette import Palette
from adain.inference.style_code import StyleCode
from adain.options import UsageError
from adain.outcomes import Obstacles, Outcome
from adain.outputs import (
    check_out_path,
    check_outputs,
    fit_name,
    refuse_existing,
)
from adain.presets.preset import Preset
from adain.sources import (
    STYLE_CARD,
    Source,
    disambiguate,
    find_sources,
    is_card,
)
from adain.stylize.config import ListStylesConfig, SaveStylesConfig, ShowStylesConfig
from adain.stylize.inputs import source_style
from adain.stylize.pipeline import StylizePipeline


@dataclass(frozen=True)
class Card:
    """A style card to make, from which picture, and where it goes."""

    source: Source
    output: Path

    def __str__(self) -> str:
        return str(self.source)


class CardPlan(NamedTuple):
    """What `adain styles save` is going to do."""

    ready: list[Card]
    refused: list[str]
    """One line for each card that would replace something."""
    problems: list[str]
    """One line for each path that led to no picture."""
    notes: list[str]
    """One line for each folder in which files were left out."""


def plan_cards(config: SaveStylesConfig) -> CardPlan:
    """Which style cards to make.

    Raises:
        UsageError: If two cards would have the same name, or `out_path` cannot be written.
    """
    check_out_path(config.out_path, (STYLE_CARD,))
    sources, problems, notes = find_sources(config.style_path, out_path=config.out_path)
    one = config.out_path.lower().endswith(STYLE_CARD) and not Path(config.out_path).is_dir()
    if len(sources) > 1 and (one or config.name):
        what = f"{config.out_path} is one style card" if one else "--name is for one style card"
        raise UsageError(f"{what}, but there are {len(sources)} pictures. Give a folder.")
    cards = []
    for source in disambiguate(sources, lambda source: source.title):
        folder = Path(config.out_path, source.title).parent
        name = fit_name(folder, Path(source.title).name, "", STYLE_CARD)
        cards.append(Card(source, Path(config.out_path) if one else folder / name))
    check_outputs("", cards, sources)
    ready, refused = (cards, []) if config.overwrite else refuse_existing(cards)
    return CardPlan(ready, refused, problems, notes)


def save_cards(config: SaveStylesConfig, cards: list[Card]) -> Iterator[Outcome]:
    """Write one style card for each picture; a failure of one leaves the others alone."""
    pipeline = StylizePipeline(
        checkpoint=config.checkpoint,
        engine=config.engine,
        style_size=config.style_size,
        max_pixels=config.max_pixels,
    )
    obstacles = Obstacles()
    for card in cards:
        started = time.perf_counter()

        def make(source=card.source, output=card.output):
            obstacles.check(output)
            code = pipeline.encode(
                source_style(source, config.max_pixels),
                name=config.name or Path(source.name).name,
                credit=config.credit,
                license=config.license,
            )
            code.save(output)

        error, reported = obstacles.run(make, card.output)
        yield Outcome(
            "", str(card), str(card.output), error, time.perf_counter() - started, reported=reported
        )


class FoundCards(NamedTuple):
    """What `adain styles list` and `show` print."""

    cards: list[dict]
    problems: list[str]
    """One line for each path that led to none, and each card that is broken."""
    notes: list[str]
    """One line for each folder in which files were left out."""


def find_cards(config: ListStylesConfig | ShowStylesConfig) -> FoundCards:
    """What style cards say about themselves.

    Raises:
        PresetError: If there are no such weights.
    """
    library = Preset.load(config.checkpoint).styles
    sources, problems, notes = find_sources(
        config.style_path or tuple(library), cards=True, library=library
    )
    found = []
    cards = [source for source in sources if is_card(source)]
    problems += [
        f"{source}: is not a style card. Make one of it with `adain styles save`"
        for source in sources
        if not source.found and not is_card(source)
    ]
    if config.style_path and not (cards or problems):
        problems.append(f"{' '.join(config.style_path)}: no style cards there")
    if not config.style_path and not cards:
        notes.append(f"{config.checkpoint} has no style cards")
    for source in cards:
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
                "tuned": code.tuned,
                "preset": code.preset,
                "encoder": code.encoder,
                "channels": list(code.widths),
                "palette": _describe(code.palette),
                "file": str(source.path),
            }
        )
    return FoundCards(found, problems, notes)


def _describe(palette: Palette | None) -> dict | None:
    """A palette for people and JSON: the mean colour, and how far colours are from it."""
    if palette is None:
        return None
    deviations = np.sqrt(palette.covariance.diagonal().clip(0))
    return {"mean": palette.hex, "deviations": [round(float(x), 3) for x in deviations]}
