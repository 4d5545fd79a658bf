"""Settings that a sweep tries: intervals and choices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from adain.options import is_finite


class Wrong(ValueError):
    """A key of the file that is not right."""


class Interval(NamedTuple):
    """Numbers from `low` to `high`."""

    low: float
    """A whole number, as `high` and `step` are, if the setting is one."""
    high: float
    log: bool
    step: float | None


Choices = tuple
"""Values of a setting, in the order of the file."""


def read_parameter(name: str, value: Any, default: Any) -> Interval | Choices:
    """What the file says of a setting.

    Args:
        name: Of its field.
        value: A list, or a table with `low` and `high`, perhaps `log` or `step`.
        default: Of its field; says whether numbers are whole.

    Raises:
        Wrong: If it is neither.
    """
    key = f"space.{dashed(name)}"
    if isinstance(value, list):
        # NaN equals nothing, and 1 equals 1.0.
        same = len({repr(item) for item in value}) < len(value) or any(
            item in value[:place] for place, item in enumerate(value)
        )
        if not value or same:
            raise Wrong(f"{key} must be a list of different values. Received: {value!r}")
        return Choices(value)
    if not isinstance(value, dict):
        raise Wrong(f"{key} must be a list of values, or {{low, high}}. Received: {value!r}")
    whole = isinstance(default, int)
    if isinstance(default, bool) or not isinstance(default, int | float):
        raise Wrong(f"{key} must be a list of values: it is not a number")
    for part in value.keys() - set(Interval._fields):
        raise Wrong(f"{key}.{part} is none of low, high, log, step")
    for part in ("low", "high", *({"step"} & value.keys())):
        number = value.get(part)
        kind = int if whole else (int, float)
        if isinstance(number, bool) or not isinstance(number, kind) or not is_finite(number):
            expected = "a whole number" if whole else "a number"
            raise Wrong(f"{key}.{part} must be {expected}. Received: {number!r}")
    # The settings say whether numbers are whole, not how the file writes them.
    to_kind = int if whole else float
    low, high = to_kind(value["low"]), to_kind(value["high"])
    step = to_kind(value["step"]) if "step" in value else None
    found = Interval(low, high, value.get("log", False), step)
    if type(found.log) is not bool:
        raise Wrong(f"{key}.log must be true or false. Received: {found.log!r}")
    if found.low >= found.high:
        raise Wrong(f"{key}.low must be less than high. Received: {found.low}, {found.high}")
    if found.log and (found.low <= 0 or found.step is not None):
        raise Wrong(f"{key}.log goes with a low above 0, and without step")
    if found.step is not None and not 0 < found.step <= found.high - found.low:
        raise Wrong(f"{key}.step must lie between 0 and high - low. Received: {found.step}")
    if found.step is not None and (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step)):
        raise Wrong(f"{key}.step must divide high - low. Received: {found.step}")
    return found


def ends(found: Interval | Choices) -> tuple:
    """All choices, or the smallest and the largest number."""
    return (found.low, found.high) if isinstance(found, Interval) else found


def dashed(name: str) -> str:
    """A setting as its flag is written."""
    return name.replace("_", "-")
