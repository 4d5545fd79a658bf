"""Style cards: saved, listed and shown from the command line; those that come with the weights."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from adain import cli
from adain.engines.registry import load_stylizer
from adain.imaging.io import load_image, resize_shorter_side, save_image
from adain.inference.style_code import StyleCode
from adain.presets.preset import Preset, available_presets
from adain.stylize.config import StylizeConfig

pytestmark = pytest.mark.usefixtures("exact")


@pytest.fixture
def save(tiny_preset):
    """`save(picture, card, *flags)`: the exit status of `adain styles save`."""

    def run(*words):
        words = ["styles", "save", *words, "--checkpoint", tiny_preset]
        return cli.main([str(word) for word in words])

    return run


def test_one_picture_to_one_card(save, gallery, tmp_path, tiny_preset, capsys):
    _, styles = gallery
    card = tmp_path / "deep" / "starry.npz"
    about = ["--name", "Starry Night", "--credit", "V. van Gogh", "--license", "public domain"]
    assert save(styles / "x.png", card, *about) == 0
    code = StyleCode.load(card)
    assert (code.name, code.credit, code.license) == (about[1], about[3], about[5])
    expected = load_stylizer(tiny_preset).encode_style(
        resize_shorter_side(load_image(styles / "x.png"), StylizeConfig.style_size)
    )
    np.testing.assert_array_equal(code.means[0], expected.means[0])
    assert "1 style card in" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["list", "show"])
def test_what_is_no_card_is_told(gallery, tiny_preset, capsys, action):
    _, styles = gallery
    words = ["styles", action, "--checkpoint", str(tiny_preset)]
    for path, reason in ((styles / "x.png", "is not a style card"), (styles, "no style cards")):
        assert cli.main([*words, str(path)]) == 1
        told = capsys.readouterr()
        assert not told.out and told.err.startswith(f"error: {path}: {reason}")


def test_titles_do_not_steer_the_terminal(gallery, save, tmp_path, capsys, tiny_preset):
    _, styles = gallery
    assert save(styles / "x.png", tmp_path / "a.npz", "--name", "a\n\x1b[31mb") == 0
    for action in ("list", "show"):
        words = ["styles", action, str(tmp_path / "a.npz"), "--checkpoint", str(tiny_preset)]
        assert cli.main(words) == 0
        assert "a \\x1b[31mb" in capsys.readouterr().out


def test_cards_are_not_written_over(save, gallery, tmp_path, capsys):
    _, styles = gallery
    card = tmp_path / "card.npz"
    assert save(styles / "x.png", card) == 0
    before = card.read_bytes()
    assert save(styles / "y.png", card) == 2
    assert "is there already. Use --overwrite" in capsys.readouterr().err
    assert card.read_bytes() == before
    assert save(styles / "y.png", card, "--overwrite") == 0
    assert card.read_bytes() != before


def test_many_pictures_need_a_folder(save, gallery, tmp_path, capsys):
    _, styles = gallery
    assert save(styles, tmp_path / "card.npz") == 2
    assert "is one style card, but there are 2 pictures" in capsys.readouterr().err
    assert save(styles, tmp_path / "cards", "--name", "Both") == 2
    assert "--name is for one style card" in capsys.readouterr().err
    assert save(styles, tmp_path / "cards") == 0
    assert sorted(path.name for path in (tmp_path / "cards").iterdir()) == ["x.npz", "y.npz"]


def test_a_broken_picture_leaves_the_others(save, gallery, tmp_path, capsys):
    _, styles = gallery
    (styles / "broken.png").write_text("no")
    assert save(styles, tmp_path / "cards") == 1
    assert len(list((tmp_path / "cards").iterdir())) == 2
    assert "broken.png" in capsys.readouterr().err


def test_cards_are_listed_and_shown(save, gallery, tmp_path, capsys, tiny_preset):
    _, styles = gallery
    cards = tmp_path / "cards"
    save(styles / "x.png", cards / "x.npz", "--name", "An X", "--credit", "me", "--license", "MIT")
    (cards / "bad.npz").write_text("no")
    capsys.readouterr()
    flags = ["--checkpoint", str(tiny_preset)]
    assert cli.main(["styles", "list", str(cards), *flags]) == 1
    said = capsys.readouterr()
    assert said.out == "x\tAn X\tme\tMIT\n"
    assert "bad.npz is not a readable .npz file" in said.err
    assert cli.main(["styles", "show", str(cards / "x.npz"), *flags]) == 0
    shown = capsys.readouterr().out
    assert "An X" in shown and "tiny0" in shown and "[8, 8, 16]" in shown
    assert cli.main(["styles", "show", str(cards / "x.npz"), "--json", *flags]) == 0
    assert json.loads(capsys.readouterr().out)["channels"] == [8, 8, 16]
    assert cli.main(["styles", "show", "nowhere", *flags]) == 1


# === Those that come with the weights ===


@pytest.fixture(params=available_presets())
def preset(request):
    return request.param


def test_every_preset_has_the_same_styles(preset):
    measured = {name for name in Preset.load(preset).styles if not name.endswith("-tuned")}
    assert measured == Preset.load().styles.keys()
    assert {"starry-night", "blue-river", "mosaic"} <= measured


def test_tuned_cards_are_of_the_shipped_weights(root):
    """Fails where weights were trained on and `tools/tune_cards.py` was not run."""
    preset = Preset.load("adain_fast")
    stylizer = load_stylizer(preset)
    tuned = {name: path for name, path in preset.styles.items() if name.endswith("-tuned")}
    paintings = {path.stem for path in (root / "images" / "paintings").glob("*.jpg")}
    assert {name.removesuffix("-tuned") for name in tuned} == paintings
    assert sum(path.stat().st_size for path in tuned.values()) < 6e6
    for name, path in tuned.items():
        code, measured = StyleCode.load(path), preset.styles[name.removesuffix("-tuned")]
        stylizer.check_code(code)
        assert code.tuned and code.credit and code.license
        # The palette is the painting's, as it was.
        palette = StyleCode.load(measured).palette
        np.testing.assert_allclose(code.palette.mean, palette.mean, atol=0.02)


def test_cards_are_of_the_shipped_weights_and_pictures(preset, root):
    """Fails where weights were trained on and `tools/make_cards.py` was not run."""
    stylizer = load_stylizer(preset)
    for name, folder in (("starry-night", "paintings"), ("mosaic", "styles")):
        code = StyleCode.load(Preset.load(preset).styles[name])
        picture = resize_shorter_side(
            load_image(root / "images" / folder / f"{name}.jpg"), StylizeConfig.style_size
        )
        found = stylizer.encode_style(picture)
        for ours, theirs in zip(code.means + code.stds, found.means + found.stds, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
        assert code.preset == preset and code.credit and code.license


def test_paintings_are_credited(root):
    folder = root / "images" / "paintings"
    with open(folder / "credits.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["name"] for row in rows} == {path.stem for path in folder.glob("*.jpg")}
    text = (root / "images" / "CREDITS.md").read_text(encoding="utf-8")
    for row in rows:
        assert all(row.values())
        assert f"| paintings/{row['name']}.jpg | {row['title']} | {row['artist']} |" in text


def test_a_shipped_style_by_name(root, tmp_path, picture):
    save_image(tmp_path / "photo.png", picture(64, 80))
    flags = ["--content-path", str(tmp_path / "photo.png"), "--style", "starry-night"]
    out = ["--out-path", str(tmp_path / "out.png"), "--checkpoint", "adain_fast", "--quiet"]
    assert cli.main(["stylize", *flags, *out]) == 0
    assert load_image(tmp_path / "out.png").shape == (64, 80, 3)
