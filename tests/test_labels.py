"""Labels on contact sheets, in any script."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from adain.imaging import labels
from adain.imaging.contact_sheet import draw

ALIEN = "\U000e0fff"
"""A character that no font has."""


@pytest.fixture(autouse=True)
def forget():
    """Whatever another test has looked for."""
    for cached in (labels._font_for, labels._files, labels._tell):
        cached.cache_clear()
    yield
    for cached in (labels._font_for, labels._files, labels._tell):
        cached.cache_clear()


def written(text: str, width: int = 200) -> np.ndarray:
    picture = Image.new("L", (width, 22), 255)
    labels.draw_label(ImageDraw.Draw(picture), 0, 4, width, text)
    return np.array(picture)


@pytest.mark.parametrize("text", ["Пейзаж", "Καλημέρα", "שלום", "مرحبا", "富士山"])
def test_letters_of_any_script_that_a_font_has(text, caplog):
    shown = written(text)
    fonts = filter(None, map(labels._open, labels._files()))
    if not any(not labels._missing(font, frozenset(text)) for font in fonts):
        assert "no font on this machine has" in caplog.text
        return
    assert not caplog.records
    # Not a row of boxes.
    assert not np.array_equal(shown, written(ALIEN * len(text)))
    assert (shown < 128).any() and (shown[:, 195:] == 255).all()


def test_what_no_font_has_is_boxes_and_told_once(caplog, monkeypatch):
    monkeypatch.setattr(labels, "_files", lambda: ())
    assert (written(f"a{ALIEN}") < 128).any()
    written(ALIEN)
    written(f"b{ALIEN}")
    assert caplog.text.count("no font on this machine has") == 1


@pytest.mark.parametrize(
    "text", ["two\nlines", "no\udc80text", "tab\tand\x00nul", "", "👩\u200d🎨.png"]
)
def test_names_of_any_file(text, monkeypatch):
    monkeypatch.setattr(labels, "_files", lambda: ())
    assert written(text).shape == (22, 200)


def test_long_names_show_their_end():
    sheet = draw([[np.zeros((20, 90, 3), "uint8")]], [["a_very_long_name_of_a_picture"]], (20, 90))
    assert sheet.shape == (42, 90, 3)
    assert (sheet[:22] < 128).any()
    np.testing.assert_array_equal(
        written("a_very_long_name_of_a_picture", 90)[:, :60],
        written("another_long_name_of_a_picture", 90)[:, :60],
    )
