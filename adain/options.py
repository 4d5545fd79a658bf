"""Flags as fields of dataclasses: defaults, help and checks, once for commands and API."""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any

from adain.constants import ENGINES, MAX_PIXELS


class UsageError(ValueError):
    """Settings that cannot be carried out as given; nothing has been done."""


def flag(default: Any, help: str, **how: Any) -> Any:
    return field(default=default, metadata={"help": help, **how})


SHARED = {
    "out_path": flag(
        "output", "folder for the results, or a file for a single one; - writes standard output"
    ),
    "checkpoint": flag("adain_vgg19", "weights: a preset's name, its folder, or a training folder"),
    "engine": flag(
        "auto",
        "what runs the networks; auto: Keras where there is a GPU, else MNN, or for many pictures "
        "with adain_fast OpenVINO if it is installed",
        choices=ENGINES,
    ),
    "style_size": flag(512, "resize the style's shorter side to this (0: keep its size)"),
    "quality": flag(95, "quality of JPEG and WebP results, 1 to 100"),
    "max_pixels": flag(MAX_PIXELS, "refuse pictures with more pixels than this"),
    "json": flag(False, "write one line of JSON for each result to standard output"),
    "quiet": flag(False, "show no progress"),
}
"""Flags that several commands have, word for word."""


def shared(name: str) -> Any:
    """A flag of `SHARED`, which several commands have."""
    item = SHARED[name]
    return field(default=item.default, metadata=item.metadata)


def require(config: Any, name: str, holds: bool, expected: str) -> None:
    if not holds:
        value = getattr(config, name)
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else repr(value)
        raise UsageError(f"`{name}` must be {expected}. Received: {name}={shown}")


def require_choices(config: Any) -> None:
    for item in fields(config):
        choices = item.metadata.get("choices")
        if not choices:
            continue
        value = getattr(config, item.name)
        for part in value if isinstance(value, tuple) else (value,):
            # A flag that may be left out has an empty default.
            if part not in (*choices, item.default):
                require(config, item.name, False, "one of " + ", ".join(choices))


def as_tuple(config: Any, name: str) -> None:
    value = getattr(config, name)
    words = (value,) if isinstance(value, str) else tuple(map(str, value))
    object.__setattr__(config, name, words)


def as_numbers(config: Any, name: str) -> None:
    value = getattr(config, name)
    numbers = (value,) if isinstance(value, int | float) else tuple(value)
    object.__setattr__(config, name, tuple(map(float, numbers)))


def as_paths(config: Any, name: str) -> None:
    as_tuple(config, name)
    require(config, name, len(getattr(config, name)) > 0, "at least one path")
