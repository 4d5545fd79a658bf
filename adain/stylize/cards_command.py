"""The commands `adain styles save | list | show`."""

from __future__ import annotations

import json
import sys

from adain.console import (
    DONE,
    FAILED,
    USAGE,
    NoProgress,
    complain,
    load_backend,
    one_line,
    report,
    shorten,
    tell,
)
from adain.files import remove_leftovers
from adain.stylize.config import ListStylesConfig, SaveStylesConfig, ShowStylesConfig


def save_styles(config: SaveStylesConfig) -> int:
    from adain.engines import registry as engines
    from adain.stylize import cards

    planned, refused, problems, notes = cards.plan_cards(config)
    tell(*notes)
    complain(*problems, *shorten(refused))
    if refused and not (planned or problems):
        return USAGE
    failed, done = len(problems) + len(refused), 0
    remove_leftovers(card.output.parent for card in planned)
    if planned:
        if engines.resolve(config.engine) == "keras":
            load_backend()
        for outcome in cards.save_cards(config, planned):
            failed += report(outcome, NoProgress.write, as_json=False)
            done += not outcome.error
    sys.stderr.write(f"{done} style card{'' if done == 1 else 's'} in {config.out_path}\n")
    return FAILED if failed else DONE


def list_styles(config: ListStylesConfig) -> int:
    return _tell_styles(
        config, lambda card: "\t".join(one_line(card[key]) for key in _CARD_COLUMNS)
    )


def show_styles(config: ShowStylesConfig) -> int:
    def form(card):
        palette = card["palette"]
        shown = "none, made by an older version"
        if palette:
            shown = f"{palette['mean']}, deviations {palette['deviations']}"
        lines = (card | {"palette": shown}).items()
        return "\n".join(f"{key:10}{one_line(str(value))}" for key, value in lines) + "\n"

    return _tell_styles(config, form)


_CARD_COLUMNS = ("style", "title", "credit", "license")


def _tell_styles(config: ListStylesConfig | ShowStylesConfig, form) -> int:
    from adain.stylize import cards

    found, problems, notes = cards.find_cards(config)
    tell(*notes)
    for card in found:
        sys.stdout.write((json.dumps(card) if config.json else form(card)) + "\n")
    complain(*problems)
    return FAILED if problems else DONE
