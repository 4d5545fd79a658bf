"""The ways of keeping the photo's colours, by name; their code is imported when it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from adain.options import load


@dataclass(frozen=True)
class ColorMethod:
    """One way of keeping the photo's colours.

    A new one is a function in any module, and an entry in `COLOR_METHODS`.
    """

    place: str
    """`module:function`; it takes the picture to change and the photo, HWC sRGB, uint8 or uint16,
    and returns a picture of the first one's size and type."""
    changes_style: bool
    """Whether the style is changed before stylising; if not, the result is afterwards."""

    @property
    def function(self) -> Callable:
        return load(self.place)


_COLOR = "adain.imaging.color"

COLOR_METHODS = {
    "coral": ColorMethod(f"{_COLOR}:match_color_coral", changes_style=True),
    "histogram": ColorMethod(f"{_COLOR}:match_color_histogram", changes_style=True),
    "luma": ColorMethod(f"{_COLOR}:keep_luma", changes_style=False),
}
"""Every method, by its name of `--keep-colors`."""


def changes_style(name: str | None) -> bool:
    """Whether a method, if it is one, needs the pictures of styles to change them."""
    return bool(name) and COLOR_METHODS[name].changes_style
