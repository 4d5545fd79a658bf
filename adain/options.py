"""Flags as fields of dataclasses: defaults, help, ranges and checks, once for commands and API."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from types import SimpleNamespace
from typing import Any

from adain.constants import MAX_PIXELS


class UsageError(ValueError):
    """Settings that cannot be carried out as given; nothing has been done."""


def load(place: str) -> Any:
    """What `module:name` or `module:name.attribute` stands for; the module is imported for it."""
    module, _, names = place.partition(":")
    found = importlib.import_module(module)
    for name in names.split("."):
        found = getattr(found, name)
    return found


@dataclass(frozen=True)
class Range:
    """Which numbers a flag takes.

    Args:
        least, most: The smallest and the largest, themselves included.
        above, below: The same without themselves.
        multiple: What they are multiples of; 0: anything.
        zero: Whether 0 is taken too, which switches something off.
    """

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    multiple: int = 0
    zero: bool = False

    def __str__(self) -> str:
        if self.most < math.inf:
            text = f"in [{self.least}, {self.most}]"
        elif self.above > -math.inf:
            ends = f"between {self.above} and {self.below}"
            text = ends if self.below < math.inf else f"greater than {self.above}"
        else:
            text = f"{self.least}" + (
                f" or more, and less than {self.below}" if self.below < math.inf else " or more"
            )
        return f"0, or {text}" if self.zero else text

    def holds(self, value: float) -> bool:
        """Whether a number is in the range; NaN and infinite numbers never are."""
        inside = self.least <= value <= self.most and self.above < value < self.below
        return is_finite(value) and (inside or (self.zero and value == 0))


def is_finite(value: float) -> bool:
    """Whether a number is one, and not beyond what floats can hold."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def flag(
    default: Any,
    help: str,
    *,
    limits: Range | None = None,
    affects_result: bool = True,
    in_plan: bool = False,
    writes: str = "",
    **how: Any,
) -> Any:
    """A field of a dataclass that is also a flag.

    Args:
        default: Value when the flag is not given.
        help: Text for `--help`.
        limits: Of a number, or of each of several.
        affects_result: Whether a picture depends on it. If so, results record its value, and an
            existing result made with another value is not up to date.
        in_plan: The plan of a run resolves it (files, styles, masks, strengths), and results
            record what it was resolved to instead of its value.
        writes: Of a path where results go: "folder", "file", or "either", which its suffix tells;
            `outputs.check_written` tries it before any work.
        **how: For `argparse`, and `place` and `short` of `adain.cli`. `choices` may be names, a
            registry, a function that returns names, or the place of one of these for `load`; what
            is added to a registry is taken too.
    """
    metadata = {
        "help": help,
        "limits": limits,
        "affects_result": affects_result,
        "in_plan": in_plan,
        "writes": writes,
        "how": how,
    }
    return field(default=default, metadata=metadata)


def choices_of(item: Any) -> list[str]:
    """What a flag may be, a default that stands for none of them included; [] where anything."""
    choices = item.metadata["how"].get("choices", ())
    choices = load(choices) if isinstance(choices, str) else choices
    names = list(choices() if callable(choices) else choices)
    missing = names and item.default and item.default not in names
    return [item.default, *names] if missing and isinstance(item.default, str) else names


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


COUNT = Range(least=1)
NOT_NEGATIVE = Range(least=0)

SHARED = {
    "out_path": flag(
        "output",
        "folder for the results, or a file for a single one; - writes standard output",
        affects_result=False,
        writes="either",
    ),
    "checkpoint": flag(
        "adain_vgg19", "weights: a preset's name, its folder, or a training folder", in_plan=True
    ),
    "engine": flag(
        "auto",
        "what runs the networks; auto: Keras where there is a GPU, else MNN, or for many pictures "
        "with adain_fast OpenVINO if it is installed",
        choices="adain.engines.engine:ENGINES",
        affects_result=False,
    ),
    "precision": flag(
        "float32",
        "what the networks compute in; bfloat16: products are rounded, on OpenVINO and processors "
        "that have it, faster, and a fraction of a grey level off on average",
        choices="adain.engines.engine:PRECISIONS",
    ),
    "palette": flag(
        None,
        "how far the result's colours are moved to the style's palette, its mean colour and "
        "covariance: 0 not at all, 1 all the way (default: what suits the weights)",
        limits=Range(least=0, most=1),
        in_plan=True,
        type=float,
    ),
    "style_size": flag(
        512, "resize the style's shorter side to this (0: keep its size)", limits=NOT_NEGATIVE
    ),
    "supersample": flag(
        512,
        "paint photos of a smaller shorter side enlarged to this, twice at most, and make the "
        "result small again: finer strokes, sharper outlines (0: paint them as they are, up to 4 "
        "times as fast)",
        limits=NOT_NEGATIVE,
    ),
    "quality": flag(
        95, "quality of JPEG and WebP results, 1 to 100", limits=Range(least=1, most=100)
    ),
    "max_pixels": flag(
        MAX_PIXELS, "refuse pictures with more pixels than this", limits=COUNT, affects_result=False
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


class Given:
    """Base of settings that know which of them were given, also where that is the default."""

    given: frozenset[str]

    def __new__(cls, *values: Any, **named: Any):
        settings = super().__new__(cls)
        names = [item.name for item in fields(cls)][: len(values)]
        # Settings are frozen.
        object.__setattr__(settings, "given", frozenset([*names, *named]))
        return settings


# === Checks ===


def check(config: Any) -> None:
    """Bring every setting to its type, and compare it with its limits and choices.

    One value given where several are taken becomes a tuple of one; paths become text.

    Raises:
        UsageError: If one has another type, lies outside its limits, or is none of its choices.
    """
    for item in fields(config):
        _check_field(config, item)


def check_value(item: Any, value: Any) -> None:
    """`check` of one flag alone.

    Args:
        item: Its field.
        value: What is given for it.

    Raises:
        UsageError: As in `check`.
    """
    _check_field(SimpleNamespace(**{item.name: value}), item)


def _check_field(config: Any, item: Any) -> None:
    how = item.metadata["how"]
    value = getattr(config, item.name)
    if isinstance(item.default, tuple):
        value = _to_tuple(value)
        if how.get("required") or (how.get("place") and how.get("nargs") == "+"):
            require(config, item.name, len(value) > 0, "at least one path")
        parts = tuple(_to_type(config, item, how.get("type", str), part) for part in value)
        object.__setattr__(config, item.name, parts)
        require(config, item.name, "" not in parts, "paths that are not empty")
    elif value is not None or item.default is not None:
        kind = how.get("type") or type(item.default)
        parts = (_to_type(config, item, kind, value),)
        object.__setattr__(config, item.name, parts[0])
        # An empty default stands for something else; such a flag may be given so too.
        empty = kind is str and parts == ("",) and item.default != ""
        require(config, item.name, not empty, "text or a path that is not empty")
    else:
        return
    _check_limits(config, item, parts)
    choices = choices_of(item)
    # A flag that may be left out has an empty default.
    if choices and not all(part in choices or part == item.default for part in parts):
        require(config, item.name, False, "one of " + ", ".join(choices))


def _check_limits(config: Any, item: Any, parts: Iterable) -> None:
    limits: Range | None = item.metadata["limits"]
    if limits is not None:
        require(config, item.name, all(map(limits.holds, parts)), str(limits))
        if limits.multiple:
            good = all(part % limits.multiple == 0 for part in parts)
            require(config, item.name, good, f"a multiple of {limits.multiple}")


def _to_tuple(value: Any) -> tuple:
    # Of a table, such as TOML has, the keys would be taken.
    if isinstance(value, str | os.PathLike | Mapping) or not isinstance(value, Iterable):
        return (value,)
    return tuple(value)


_TYPES = {bool: "True or False", int: "a whole number", float: "a number", str: "text or a path"}


def _to_type(config: Any, item: Any, kind: type, value: Any) -> Any:
    if kind is str:
        good = isinstance(value, str | os.PathLike)
    elif kind is bool:
        good = isinstance(value, bool)
    else:
        good = isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    lost = isinstance(value, int | float) and not is_finite(value)
    if not good or (lost and isinstance(value, int)):
        limits = item.metadata["limits"]
        # Numbers of another kind, such as NaN, are out of any limits.
        expected = str(limits) if limits and lost else _TYPES[kind]
        require(config, item.name, False, expected)
    return os.fspath(value) if kind is str else kind(value)


def require(config: Any, name: str, holds: bool, expected: str) -> None:
    """Raise a UsageError that says what a setting must be, unless it is."""
    if not holds:
        value = getattr(config, name)
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else repr(value)
        raise UsageError(f"`{name}` must be {expected}. Received: {name}={shown}")
