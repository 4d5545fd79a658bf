"""Labels in any script that the fonts of this machine have."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from unicodedata import category

from PIL import ImageDraw, ImageFont

SIZE = 13
"""Of the letters, pixels."""

# No character, so that what is drawn for it is the box of missing ones.
_NOTHING = "\U0010ffff"
# Categories of what is no text, and of what changes the letters beside it.
_NO_TEXT, _UNSEEN = ("Cc", "Cs", "Zl", "Zp"), ("Cf", "Mn")
# Files looked into for a character; there are thousands on some machines.
_MOST = 400
_PLAIN = ("bold", "italic", "oblique", "light", "thin", "black", "mono", "condensed", "serif")

logger = logging.getLogger(__name__)


def draw_label(pen: ImageDraw.ImageDraw, left: int, top: int, width: int, text: str) -> None:
    """Write one line, and of one that is too long the end.

    Args:
        pen: Where to.
        left, top: Upper left corner, pixels.
        width: The most it may take, pixels.
        text: Any; what no font has is drawn as boxes, and reported once.
    """
    # Names of files may hold line breaks, and bytes that are no text.
    text = "".join(" " if category(sign) in _NO_TEXT else sign for sign in text)
    font = _font_for(frozenset(text))
    # The end of a path tells more than its beginning.
    while pen.textlength(text, font) > width and text not in ("", "..."):
        text = f"...{text.removeprefix('...')[1:]}"
    baseline = top + _default().getmetrics()[0]
    pen.text((left, baseline), text, "black", font, anchor="ls")


@lru_cache(maxsize=1)
def _default() -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(SIZE)


@lru_cache(maxsize=256)
def _font_for(signs: frozenset[str]) -> ImageFont.FreeTypeFont:
    """Pillow's own font, or else the first of this machine that has most of some characters."""
    best, missing = _default(), _missing(_default(), signs)
    for path in _files() if missing else ():
        font = _open(path)
        lacking = missing if font is None else _missing(font, signs)
        if len(lacking) < len(missing):
            best, missing = font, lacking
        if not missing:
            break
    if missing:
        _tell("".join(sorted(missing)))
    return best


def _missing(font: ImageFont.FreeTypeFont, signs: frozenset[str]) -> set[str]:
    box = _drawn(font, _NOTHING)
    seen = (sign for sign in signs if not sign.isspace() and category(sign) not in _UNSEEN)
    return {sign for sign in seen if _drawn(font, sign) == box}


def _drawn(font: ImageFont.FreeTypeFont, sign: str) -> tuple:
    mask = font.getmask(sign)
    return mask.size, bytes(mask)


@lru_cache(maxsize=_MOST)
def _open(path: Path) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(str(path), SIZE)
    except OSError:  # Broken, or of bitmaps in other sizes.
        return None


@lru_cache(maxsize=1)
def _files() -> tuple[Path, ...]:
    """Font files of this machine, upright sans-serif ones first."""
    found = [
        path
        for folder in _folders()
        for path in folder.rglob("*")
        if path.suffix.lower() in (".ttf", ".otf", ".ttc")
    ]

    def rank(path: Path) -> tuple:
        name = path.stem.lower().replace("sansserif", "sans")
        return sum(word in name for word in _PLAIN), "sans" not in name, path.name

    return tuple(sorted(found, key=rank)[:_MOST])


def _folders() -> Iterator[Path]:
    if sys.platform == "win32":
        yield Path(os.environ.get("WINDIR", "C:/Windows"), "Fonts")
        yield Path(os.environ.get("LOCALAPPDATA", "C:/"), "Microsoft", "Windows", "Fonts")
    elif sys.platform == "darwin":
        for base in (Path("/System/Library"), Path("/Library"), Path.home() / "Library"):
            yield base / "Fonts"
    else:
        shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
        own = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        for base in (own, *shared.split(":")):
            yield Path(base, "fonts")
        yield Path.home() / ".fonts"


@lru_cache(maxsize=256)
def _tell(signs: str) -> None:
    logger.warning(
        "no font on this machine has %s; labels show boxes. Install one, such as Noto Sans.", signs
    )
