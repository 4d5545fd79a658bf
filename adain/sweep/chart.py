"""Charts of a sweep as SVG files, which any browser shows, without a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

_COLORS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Viridis: also told apart in grey and by the colour-blind."""
_STYLE = """
text { font: 12px sans-serif; fill: #222; paint-order: stroke; stroke: #fff; stroke-width: 3px }
.small { font-size: 10px; fill: #666 }
.axis { stroke: #999; stroke-width: 1 } .trial { fill: none; stroke-width: 1.5; opacity: 0.75 }
.front { stroke-width: 3; opacity: 1 } .trial:hover { stroke: #d00; stroke-width: 5; opacity: 1 }
"""


class Axis(NamedTuple):
    """One setting or figure."""

    title: str
    values: Sequence[Any]
    """Of each trial."""
    log: bool = False
    choices: Sequence[Any] = ()
    """What the values are, from bottom to top; none: numbers."""
    better: str = ""
    """↓ or ↑."""

    def place(self, value: Any) -> float:
        """Where a value stands, from 0 at the bottom to 1."""
        if self.choices:
            return (list(self.choices).index(value) + 0.5) / len(self.choices)
        low, high, value = (
            math.log(v) if self.log else v for v in (min(self.values), max(self.values), value)
        )
        return (value - low) / (high - low) if high > low else 0.5

    @property
    def marks(self) -> list[tuple[Any, float]]:
        """What is written beside the axis."""
        ends = self.choices or sorted({min(self.values), max(self.values)})
        return [(value, self.place(value)) for value in ends]


class Line(NamedTuple):
    """One trial."""

    title: str
    shade: float
    """0 to 1: its colour."""
    front: bool
    """Whether no other trial is better in everything."""


def draw_parallel(axes: Sequence[Axis], lines: Sequence[Line]) -> str:
    """Parallel coordinates: an axis for each setting and figure, a line for each trial.

    Args:
        axes: In order; each has one value for each of `lines`.
        lines: The trials. The best are drawn last.

    Returns:
        The text of an SVG file.
    """
    left, top, step, height = 80, 60, 150, 320
    xs = [left + step * i for i in range(len(axes))]
    width = xs[-1] + 130
    body = []
    for i in sorted(range(len(lines)), key=lambda i: lines[i].front):
        points = " ".join(
            f"{x},{top + height * (1 - axis.place(axis.values[i])):.1f}"
            for x, axis in zip(xs, axes, strict=True)
        )
        body.append(_trial(f'<polyline points="{points}"', lines[i]))
    for x, axis in zip(xs, axes, strict=True):
        body.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{top}" y2="{top + height}"/>')
        title = f"{axis.title} {axis.better}".strip()
        body.append(f'<text x="{x}" y="{top - 24}" text-anchor="middle">{escape(title)}</text>')
        for value, place in axis.marks:
            y = top + height * (1 - place) + (14 if place == 0 else -6 if place == 1 else 4)
            body.append(f'<text class="small" x="{x + 4}" y="{y:.1f}">{escape(show(value))}</text>')
    return _svg(width, top + height + 40, body)


def draw_front(one: Axis, other: Axis, lines: Sequence[Line]) -> str:
    """The trials by two figures; those that no other beats in both are joined.

    Returns:
        The text of an SVG file.
    """
    left, top, side = 90, 40, 360
    places = [
        (left + side * one.place(x), top + side * (1 - other.place(y)))
        for x, y in zip(one.values, other.values, strict=True)
    ]
    best = sorted(place for place, line in zip(places, lines, strict=True) if line.front)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in best)
    body = [
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" class="axis"/>',
        f'<polyline points="{points}" fill="none" stroke="#d00" stroke-dasharray="4"/>',
    ]
    for (x, y), line in zip(places, lines, strict=True):
        body.append(_trial(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if line.front else 4}"', line))
    for value, place in one.marks:
        x = left + side * place
        body.append(
            f'<text class="small" x="{x:.1f}" y="{top + side + 16}" text-anchor="middle">'
            f"{escape(show(value))}</text>"
        )
    for value, place in other.marks:
        y = top + side * (1 - place) + 4
        body.append(
            f'<text class="small" x="{left - 6}" y="{y:.1f}" text-anchor="end">'
            f"{escape(show(value))}</text>"
        )
    middle = left + side / 2
    across, up = (escape(f"{axis.title} {axis.better}") for axis in (one, other))
    body.append(f'<text x="{middle}" y="{top + side + 36}" text-anchor="middle">{across}</text>')
    body.append(f'<text x="{left}" y="{top - 16}" text-anchor="middle">{up}</text>')
    return _svg(left + side + 60, top + side + 56, body)


def show(value: Any) -> str:
    """A value in few characters."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _trial(start: str, line: Line) -> str:
    color = "rgb({},{},{})".format(*_color(line.shade))
    name = "trial front" if line.front else "trial"
    fill = f' style="fill:{color}"' if start.startswith("<circle") else ""
    return (
        f'{start} class="{name}" stroke="{color}"{fill}><title>{escape(line.title)}</title>'
        f"</{start[1:].split()[0]}>"
    )


def _color(shade: float) -> tuple[int, ...]:
    place = shade * (len(_COLORS) - 1)
    i = min(int(place), len(_COLORS) - 2)
    pairs = zip(_COLORS[i], _COLORS[i + 1], strict=True)
    return tuple(round(a + (b - a) * (place - i)) for a, b in pairs)


def _svg(width: float, height: float, body: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}"><style>{_STYLE}</style>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>' + "\n".join(body) + "</svg>\n"
    )
