"""Styles that change with the time: `--style-at`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from adain.options import UsageError
from adain.stylize.inputs import StyleMix
from adain.video.config import parse_time


def split_at(texts: Sequence[str]) -> list[tuple[Fraction, str]]:
    """`5s:mosaic` as time and style, in the order of time.

    Raises:
        UsageError: If one has no time or no style, or two have the same time.
    """
    found = []
    for text in texts:
        time, colon, style = text.partition(":")
        # `1:30:mosaic` is at 90 s, and `C:\\a.jpg` a path.
        while colon and style[:1].isdigit() and ":" in style:
            more, _, rest = style.partition(":")
            if not more.replace(".", "").isdigit():
                break
            time, style = f"{time}:{more}", rest
        if not colon or not style:
            raise UsageError(
                f"--style-at takes times and styles, as 0:venice 5s:mosaic. Received: {text!r}"
            )
        found.append((parse_time(time, "--style-at"), style))
    found.sort(key=lambda pair: pair[0])
    times = [time for time, _ in found]
    if len(set(times)) < len(times):
        raise UsageError(f"--style-at: two styles at the same time. Received: {' '.join(texts)}")
    return found


class Schedule:
    """Which style there is at which time.

    From its time on, a style takes over from the one before, within `transition` seconds, or by
    the time of the next one if that is earlier. The first style is there from the beginning.

    Args:
        times: Seconds, growing.
        styles: One for each time: anything that a pipeline takes.
        transition: Seconds.
    """

    def __init__(self, times: Sequence[Fraction], styles: Sequence[Any], transition: float):
        self._times, self._styles, self._transition = list(times), list(styles), transition

    def at(self, time: Fraction) -> Any:
        """The style at a time, a `StyleMix` of two within a transition."""
        place = max(sum(begin <= time for begin in self._times) - 1, 0)
        if place == 0:
            return self._styles[0]
        room = self._transition
        if place + 1 < len(self._times):
            room = min(room, float(self._times[place + 1] - self._times[place]))
        gone = float(time - self._times[place])
        share = gone / room if room > 0 else 1.0
        if share >= 1:
            return self._styles[place]
        # Without a jolt at its ends.
        share = share * share * (3 - 2 * share)
        return StyleMix([self._styles[place - 1], self._styles[place]], [1 - share, share])
