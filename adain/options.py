"""Flags as fields of dataclasses: defaults, help and checks, once for commands and API."""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any

from adain.constants import ENGINES, MAX_PIXELS


class UsageError(ValueError):
    """Settings that cannot be carried out as given; nothing has been done."""


def flag(
    default: Any, help: str, *, affects_result: bool = True, in_plan: bool = False, **how: Any
) -> Any:
    """A field of a dataclass that is also a flag.

    Args:
        default: Value when the flag is not given.
        help: Text for `--help`.
        affects_result: Whether a picture depends on it. If so, results record its value, and an
            existing result made with another value is not up to date.
        in_plan: The plan of a run resolves it (files, styles, masks, strengths), and results
            record what it was resolved to instead of its value.
        **how: For `argparse`, and `place` and `short` of `adain.cli`.
    """
    metadata = {"help": help, "affects_result": affects_result, "in_plan": in_plan, "how": how}
    return field(default=default, metadata=metadata)


def recorded(config: Any) -> dict[str, Any]:
    """The settings on which a result depends and which differ from their defaults.

    Flags that the plan resolves are left out; see `flag`.
    """
    return {
        item.name: value
        for item in fields(config)
        if item.metadata["affects_result"] and not item.metadata["in_plan"]
        if (value := getattr(config, item.name)) != item.default
    }


SHARED = {
    "out_path": flag(
        "output",
        "folder for the results, or a file for a single one; - writes standard output",
        affects_result=False,
    ),
    "checkpoint": flag(
        "adain_vgg19", "weights: a preset's name, its folder, or a training folder", in_plan=True
    ),
    "engine": flag(
        "auto",
        "what runs the networks; auto: Keras where there is a GPU, else MNN, or for many pictures "
        "with adain_fast OpenVINO if it is installed",
        choices=ENGINES,
        affects_result=False,
    ),
    "palette": flag(
        None,
        "how far the result's colours are moved to the style's palette, its mean colour and "
        "covariance: 0 not at all, 1 all the way (default: what suits the weights)",
        in_plan=True,
        type=float,
    ),
    "style_size": flag(512, "resize the style's shorter side to this (0: keep its size)"),
    "quality": flag(95, "quality of JPEG and WebP results, 1 to 100"),
    "max_pixels": flag(
        MAX_PIXELS, "refuse pictures with more pixels than this", affects_result=False
    ),
    "json": flag(
        False, "write one line of JSON for each result to standard output", affects_result=False
    ),
    "quiet": flag(False, "show no progress", affects_result=False),
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
        choices = item.metadata["how"].get("choices")
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
    paths = getattr(config, name)
    require(config, name, len(paths) > 0, "at least one path")
    require(config, name, all(paths), "paths that are not empty")
