"""Mixing, masks, sheets, strokes and colours of `adain stylize`, alone and together."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from adain import cli
from adain.imaging.io import load_image, read_history, read_image, save_image
from adain.inference.style_code import StyleCode, mix

pytestmark = pytest.mark.usefixtures("exact")


@pytest.fixture
def place(tmp_path, tiny_preset, picture):
    """One photo, four styles, three masks and a preset with a card of its own."""
    folder = tmp_path / "place"

    class Place:
        photo = folder / "photo.png"
        styles = [folder / f"{name}.png" for name in "pqrs"]
        masks = [folder / "masks" / f"{i}.png" for i in range(3)]
        out = folder / "out"
        preset = tiny_preset

        def run(self, *flags, styles=None, content=None, out=None):
            words = ["stylize", "--content-path", content or self.photo, "--style-path"]
            words += self.styles[:2] if styles is None else styles
            words += ["--out-path", out or self.out, "--checkpoint", tiny_preset, "--quiet"]
            return cli.main([str(word) for word in [*words, *flags]])

        def result(self, *flags, **how):
            """The only result, which is moved out of the way."""
            assert self.run(*flags, **how) == 0
            (path,) = [path for path in self.out.rglob("*") if path.is_file()]
            image = load_image(path)
            path.unlink()
            return image

    (folder / "masks").mkdir(parents=True)
    save_image(Place.photo, picture(48, 80))
    for i, path in enumerate(Place.styles):
        save_image(path, picture(40 + 8 * i, 64 - 8 * i, seed=i + 2) ^ np.uint8(60 * i))
    columns = np.arange(80) * np.ones((48, 1))
    for mask, path in zip((columns < 30, columns >= 30, columns > 50), Place.masks, strict=True):
        save_image(path, (mask * 255).astype("uint8"))
    card = tiny_preset / "styles" / "red-wave.npz"
    code = load_code(tiny_preset, picture(50, 50, seed=9))
    StyleCode(code.means, code.stds, preset=code.preset, name="Red Wave", credit="A. Stylizer",
              license="CC0").save(card)  # fmt: skip
    return Place()


def load_code(preset, style):
    from adain.engines.registry import load_stylizer

    return load_stylizer(preset).encode_style(style)


# === Style cards and mixing ===


def test_styles_by_name(place, capsys):
    by_name = place.result("--overwrite", styles=["red-wave"])
    by_card = place.result(styles=[place.preset / "styles" / "red-wave.npz"])
    np.testing.assert_array_equal(by_name, by_card)
    assert place.run(styles=["blue-wave"]) == 1
    assert "blue-wave: no such file or folder, nor a style of that name" in capsys.readouterr().err


def test_a_file_goes_before_a_name(place, monkeypatch, picture):
    monkeypatch.chdir(place.photo.parent)
    save_image("red-wave.png", picture(40, 40, seed=1))
    (place.photo.parent / "red-wave.png").rename("red-wave")
    ours = place.result(styles=["red-wave"])
    (place.photo.parent / "red-wave").unlink()
    assert not np.array_equal(ours, place.result(styles=["red-wave"]))


def test_weight_one_is_that_style_alone(place):
    alone = place.result(styles=place.styles[1:2])
    mixed = place.result("--style-interp-weights", 0, 2.5, 0, styles=place.styles[:3])
    np.testing.assert_array_equal(alone, mixed)


def test_weights_are_normalised_and_sizes_may_differ(place):
    first = place.result("--style-interp-weights", 1, 3)
    np.testing.assert_array_equal(first, place.result("--style-interp-weights", 0.25, 0.75))
    np.testing.assert_array_equal(
        place.result("--style-mix"), place.result("--style-interp-weights", 7, 7)
    )
    assert not np.array_equal(first, place.result("--style-mix"))


def test_the_mix_is_that_of_the_codes(place):
    from adain.engines.registry import load_stylizer

    stylizer = load_stylizer(place.preset)
    codes = [stylizer.encode_style(load_image(path)) for path in place.styles[:2]]
    expected = stylizer.stylize(load_image(place.photo), mix(codes, [1, 3]), 0.7)
    mixed = ("--style-interp-weights", 1, 3, "--alpha", 0.7)
    found = place.result(*mixed, "--style-size", 0, "--supersample", 0)
    np.testing.assert_array_equal(found, expected)


def test_colours_are_kept_for_each_style_of_a_mix(place):
    from adain.engines.registry import load_stylizer
    from adain.imaging.color import match_color_coral

    stylizer, photo = load_stylizer(place.preset), load_image(place.photo)
    styles = [match_color_coral(load_image(path), photo) for path in place.styles[:2]]
    expected = stylizer.stylize(photo, mix(map(stylizer.encode_style, styles)))
    flags = ("--style-mix", "--keep-colors", "--style-size", 0, "--supersample", 0)
    found = place.result(*flags)
    np.testing.assert_array_equal(found, expected)


# === Masks ===


def test_each_mask_takes_its_style(place):
    photo = load_image(place.photo)
    plain = ("--supersample", 0)
    both = place.result(*plain, "--mask", *place.masks[:2], "--alpha", 1, 0.4)
    left = place.result(*plain, "--mask", place.masks[0], styles=place.styles[:1])
    right = place.result(*plain, "--mask", place.masks[1], "--alpha", 0.4, styles=place.styles[1:2])
    np.testing.assert_array_equal(both[:, :30], left[:, :30])
    np.testing.assert_array_equal(both[:, 30:], right[:, 30:])
    np.testing.assert_array_equal(left[:, 30:], photo[:, 30:])


def test_a_folder_of_masks_and_one_style(place):
    listed = place.result("--mask", *place.masks, styles=place.styles[:1])
    folder = place.result("--mask", place.masks[0].parent, styles=place.styles[:1])
    np.testing.assert_array_equal(listed, folder)


def test_a_photo_may_have_masks_of_its_own(place):
    own = place.masks[0].parent / "photo"
    own.mkdir()
    place.masks[2].rename(own / "sky.png")
    found = place.result("--mask", place.masks[0].parent, styles=place.styles[:1])
    np.testing.assert_array_equal(
        found, place.result("--mask", own / "sky.png", styles=place.styles[:1])
    )


def test_a_mix_for_each_mask(place):
    plain = ["--supersample", 0, "--mask"]
    flags = [*plain, *place.masks[:2], "--style-interp-weights"]
    rows = place.result(*flags, 1, 0, 0.5, 0.5)
    left = place.result(*plain, place.masks[0], styles=place.styles[:1])
    right = place.result(*plain, place.masks[1], "--style-mix")
    np.testing.assert_array_equal(rows[:, :30], left[:, :30])
    np.testing.assert_array_equal(rows[:, 30:], right[:, 30:])
    # One row is for all masks.
    same = place.result(*flags, 1, 0)
    assert not np.array_equal(same, rows)


def test_feathering_cross_fades(place):
    flags = ("--mask", *place.masks[:2], "--supersample", 0)
    hard, soft = place.result(*flags), place.result(*flags, "--feather", 4)
    seam = np.abs(hard.astype(int) - soft).max(axis=(0, 2))
    assert seam[:10].max() <= 4 and seam[60:].max() <= 4
    assert seam[26:34].max() > 4


def test_masks_of_another_size_are_resized_with_a_notice(place, caplog, capsys):
    save_image(place.masks[0], np.array(Image.open(place.masks[0]).resize((160, 96))))
    with caplog.at_level("WARNING"):
        found = place.result("--mask", place.masks[0], styles=place.styles[:1])
    assert "0.png is 160 x 96, resized to the photo's 80 x 48" in caplog.text
    photo = load_image(place.photo)
    np.testing.assert_array_equal(found[:, 33:], photo[:, 33:])
    assert np.abs(found[:, :28].astype(int) - photo[:, :28]).mean() > 5


def test_transparent_masks(place):
    grey = np.array(Image.open(place.masks[0]).convert("L"))
    rgba = np.dstack([np.full((48, 80, 3), 255, "uint8"), grey])
    Image.fromarray(rgba).save(place.masks[2])
    np.testing.assert_array_equal(
        place.result("--mask", place.masks[0], styles=place.styles[:1]),
        place.result("--mask", place.masks[2], styles=place.styles[:1]),
    )


MIXED = ("--style-interp-weights", 1, 2, 3, 1, 0, 0, "--alpha", 0.6, 0.9, "--feather", 2)
"""Flags for two masks and three styles."""


@pytest.mark.parametrize(
    ("flags", "size"),
    [
        (["--keep-colors", "luma"], (48, 80)), (["--keep-colors", "coral"], (48, 80)),
        (["--keep-colors", "histogram"], (48, 80)), (["--passes", "2"], (48, 80)),
        (["--content-size", "64"], (64, 107)), (["--crop-size", "40"], (40, 40)),
        (["--stroke", "64", "--content-size", "150"], (150, 250)), (["--tile", "64"], (48, 80)),
        (["--concat"], (48, 334)),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)  # fmt: skip
@pytest.mark.usefixtures("cut")
def test_everything_goes_with_masks_mixes_and_strengths(place, flags, size):
    def paint(*flags, masks=place.masks[:2]):
        return place.result("--mask", *masks, *MIXED, *flags, styles=place.styles[:3]).astype(int)

    found, without = paint(*flags), paint()
    assert found.shape == (*size, 3)
    if flags[0] == "--concat":
        found = found[:, -80:]
        np.testing.assert_array_equal(found, without)
    elif flags[0] == "--tile":
        assert np.abs(found - without).max() <= 2  # MNN rounds by the sizes it works on.
    elif found.shape == without.shape:
        assert np.abs(found - without).mean() > 1
    # Each mask still has its own mix and strength.
    swapped = paint(*flags, masks=place.masks[1::-1])
    difference = np.abs(found - swapped[:, -found.shape[1] :]).mean(axis=(0, 2))
    assert difference[:10].mean() > 1 and difference[-10:].mean() > 1


# === Strokes ===


def test_strokes_of_a_preview(place, picture):
    """Made smaller, the large picture is the preview, and not so without --stroke."""
    import cv2

    big = cv2.resize(picture(40, 60), (480, 320), interpolation=cv2.INTER_CUBIC)
    save_image(place.photo, big)
    preview = place.result("--content-size", 80, styles=place.styles[:1])
    errors = []
    for flags in (["--stroke", 80], []):
        image = cv2.resize(place.result(*flags, styles=place.styles[:1]), (120, 80),
                           interpolation=cv2.INTER_AREA)  # fmt: skip
        errors.append(np.abs(image.astype(int) - preview).mean())
    assert errors[0] < 0.5 * errors[1]


def test_small_photos_have_their_own_strokes(place):
    np.testing.assert_array_equal(
        place.result("--stroke", 64, styles=place.styles[:1]), place.result(styles=place.styles[:1])
    )


def test_strokes_leave_the_rest_alone(place, picture):
    save_image(place.photo, picture(160, 240))
    found = place.result("--stroke", 64, "--mask", place.masks[0], styles=place.styles[:1])
    np.testing.assert_array_equal(found[:, 100:], load_image(place.photo)[:, 100:])


# === Sheets ===


@pytest.mark.parametrize(
    ("kind", "styles", "flags", "shape"),
    [
        ("alpha", 2, [], (2, 5)),
        ("alpha", 1, ["--alpha", 0, 0.3, 1, 1.5], (1, 4)),
        ("alpha", 2, ["--style-mix", "--sheet-steps", 3], (1, 3)),
        ("mix", 2, [], (1, 5)),
        ("mix", 4, ["--sheet-steps", 3], (3, 3)),
        ("styles", 3, [], (2, 2)),
        ("styles", 4, [], (2, 3)),
    ],
)
def test_sheets(place, kind, styles, flags, shape):
    assert place.run("--sheet", kind, *flags, styles=place.styles[:styles]) == 0
    (path,) = place.out.iterdir()
    assert path.name == f"photo_sheet_{kind}.png"
    rows, columns = shape
    height, width = 22 + 48 + 4, 80 + 4
    assert load_image(path).shape == (rows * height - 4, columns * width - 4, 3)


def test_cells_of_a_sheet_are_the_results(place):
    place.run("--sheet", "mix", "--sheet-steps", 3)
    sheet = load_image(place.out / "photo_sheet_mix.png")
    (place.out / "photo_sheet_mix.png").unlink()
    half = place.result("--style-mix")
    np.testing.assert_array_equal(sheet[22:70, 84:164], half)
    place.run("--sheet", "styles")
    sheet = load_image(place.out / "photo_sheet_styles.png")
    np.testing.assert_array_equal(sheet[22:70, :80], load_image(place.photo))


# === Files in = files out ===


def test_16_bits_colour_profile_exif_and_alpha_together(place, picture):
    from test_image import wide_gamut_profile

    from adain.imaging.io import ImageMeta

    profile = wide_gamut_profile()
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    alpha = np.linspace(0, 65535, 80).astype("uint16") * np.ones((48, 1), "uint16")
    meta = ImageMeta(exif=exif.tobytes(), icc_profile=profile, alpha=alpha)
    deep = picture(48, 80).astype("uint16") * 256 + np.arange(80, dtype="uint16")[:, None]
    save_image(place.photo, deep, meta=meta)
    assert place.run("--mask", place.masks[0], styles=place.styles[:1]) == 0
    (path,) = place.out.iterdir()
    found, kept = read_image(path, keep_depth=True)
    before, _ = read_image(place.photo, keep_depth=True)
    assert found.dtype == np.uint16 and kept.bits == 16
    np.testing.assert_array_equal(kept.alpha, alpha)
    assert kept.icc_profile == profile
    with Image.open(path) as picture:
        assert picture.getexif()[0x010F] == "Camera"
    # Where nothing is painted, no more than the profile's rounding is lost.
    assert np.abs(found[:, 30:].astype(int) - before[:, 30:]).max() < 40
    assert np.unique(found[:, :30] % 257).size > 50


# === Running again ===


def test_finished_results_are_skipped(place, capsys):
    assert place.run() == 0
    first = {path: path.stat().st_mtime_ns for path in place.out.iterdir()}
    (place.out / "photo_stylized_q.png").unlink()
    assert place.run("--json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [(record["output"][-5:], record.get("skipped", False)) for record in records]
    assert told == [("p.png", True), ("q.png", False)]
    assert (place.out / "photo_stylized_p.png").stat().st_mtime_ns == first[
        place.out / "photo_stylized_p.png"
    ]


def test_a_changed_photo_is_painted_again(place, picture):
    import os

    assert place.run(styles=place.styles[:1]) == 0
    path = place.out / "photo_stylized_p.png"
    before = load_image(path)
    save_image(place.photo, picture(48, 80, seed=77))
    later = path.stat().st_mtime + 10
    os.utime(place.photo, (later, later))
    assert place.run(styles=place.styles[:1]) == 0
    assert not np.array_equal(load_image(path), before)


def test_other_settings_are_not_written_over(place, capsys):
    assert place.run(styles=place.styles[:1]) == 0
    assert place.run("--alpha", 0.5, styles=place.styles[:1]) == 2
    assert "is there already, and it was made with other settings" in capsys.readouterr().err
    assert place.run("--alpha", 0.5, "--overwrite", styles=place.styles[:1]) == 0
    save_image(place.out / "photo_stylized_q.png", load_image(place.photo))
    # A problem of one file; the other one is finished.
    assert place.run("--alpha", 0.5) == 1
    assert "it does not tell how it was made" in capsys.readouterr().err


def test_settings_are_in_the_result(place):
    assert place.run("--mask", *place.masks[:2], "--alpha", 0.5, "--keep-colors", "luma") == 0
    (path,) = place.out.iterdir()
    found = json.loads(read_history(path))
    assert found["preset"] == "tiny0" and found["content"] == "photo.png"
    assert found["keep_colors"] == "luma"
    assert found["regions"] == [
        {"styles": [["p.png", 1.0]], "alpha": 0.5, "mask": "0.png"},
        {"styles": [["q.png", 1.0]], "alpha": 0.5, "mask": "1.png"},
    ]


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif", ".png"])
def test_settings_are_in_files_of_many_kinds(place, suffix, picture):
    photo = place.photo.with_suffix(suffix)
    save_image(photo, picture(48, 80))
    assert place.run(content=photo, styles=place.styles[:1]) == 0
    (path,) = place.out.iterdir()
    assert json.loads(read_history(path))["content"] == photo.name


def test_dry_runs_write_nothing(place, capsys):
    assert place.run("--dry-run") == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(" -> ")[1] for line in said] == [
        str(place.out / f"photo_stylized_{name}.png") for name in "pq"
    ]
    assert not place.out.exists()
    assert place.run("--dry-run", "--json") == 0
    record = json.loads(capsys.readouterr().out.splitlines()[0])
    assert record["style"] == str(place.styles[0])


def test_flags_from_a_file(place, tmp_path, capsys):
    file = tmp_path / "run.toml"
    file.write_text(
        f'content-path = "{place.photo}"\nstyle_path = ["{place.styles[0]}", "red-wave"]\n'
        f'checkpoint = "{place.preset}"\nout-path = "{place.out}"\n'
        "alpha = 0.25\nstyle-mix = true\nconcat = false\nquiet = true\n"
    )
    assert cli.main(["stylize", "--config", str(file), "--alpha", "0.5"]) == 0
    (path,) = place.out.iterdir()
    assert json.loads(read_history(path))["regions"][0]["alpha"] == 0.5
    # As editors of other systems save it.
    for encoding in ("utf-8-sig", "utf-16"):
        file.write_text(file.read_text("utf-8"), encoding)
        assert place.run("--dry-run", "--config", file) == 0
        file.write_text(file.read_text(encoding), "utf-8")
    file.write_text("style = 1\n[table]\n")
    assert cli.main(["stylize", "--config", str(file)]) == 2
    assert "table is not a flag of adain stylize" in capsys.readouterr().err
    file.write_text("colour = 1\n")
    assert place.run("--config", file) == 2
    assert f"--config {file}: colour is not a flag of adain stylize" in capsys.readouterr().err
    file.write_text("= 1")
    assert place.run("--config", file) == 2
    assert "run.toml: Invalid statement" in capsys.readouterr().err
    file.write_text("alpha = " + 5000 * "[")
    assert place.run("--config", file) == 2
    assert "run.toml: maximum recursion depth exceeded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alpha = 'x'", "`alpha` must be a number. Received: alpha='x'"),
        ("alpha = [0.5, true]", "`alpha` must be a number. Received: alpha=[0.5, True]"),
        ("alpha = {a = 1}", "alpha must be a flag's value"),
        ("alpha = -1", "`alpha` must be 0 or more. Received: alpha=-1"),
        ("content-size = 1.5", "`content_size` must be a whole number"),
        ("content-size = [1, 2]", "`content_size` must be a whole number"),
        ("quiet = 'yes'", "`quiet` must be True or False"),
        ("sheet = 'rows'", "`sheet` must be one of alpha, mix, styles"),
        ("checkpoint = true", "`checkpoint` must be text or a path"),
        ("content-path = []", "`content_path` must be at least one path"),
        ("config = 'a.toml'", "config is not a flag of adain stylize"),
    ],
)
def test_what_is_wrong_in_a_file_of_flags_is_told_with_its_name(tmp_path, capsys, text, message):
    file = tmp_path / "run.toml"
    file.write_text(text)
    assert cli.main(["stylize", "--config", str(file)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --config {file}: {message}") and error.count("\n") == 1


def test_numbers_may_stand_for_text_in_a_file_of_flags(place, tmp_path):
    (tmp_path / "run.toml").write_text("keep-colors = true\nmask = []\nengine = 'auto'\n")
    assert place.run("--dry-run", "--config", tmp_path / "run.toml") == 0
    (tmp_path / "size.toml").write_text("size = 32\nsteps = 1\nstyle-path = 'none.png'")
    assert cli.main(["optimize", "--config", str(tmp_path / "size.toml")]) == 1


# === Bad input: one line each, before any work ===


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--style-interp-weights", 1], "must be 2 numbers, one for each style. Received: 1"),
        (["--style-interp-weights", 0, 0], "must not be all 0. Received: 0.0 0.0"),
        (["--style-interp-weights", "nan", 1], "must be 0 or more. Received: "),
        (["--style-interp-weights", -1, 1], "must be 0 or more. Received: "),
        (["--alpha", 0.5, 1], "--alpha takes one number without --mask or --sheet. Received: 2"),
        (["--mask", "M0", "M1", "M2"], "one for each of the 3 masks, or --style-mix. Received: 2"),
        (["--mask", "M0", "M1", "--alpha", 1, 1, 1], "one for each of the 2 masks. Received: 3"),
        (
            ["--mask", "M0", "M1", "--style-interp-weights", 1, 2, 3],
            "must be 2 numbers, one for each style, or 4 for 2 masks. Received: 3",
        ),
        (["--mask", "BLACK", "M0"], "must have something white inside. Received: all black"),
        (["--mask", "BROKEN", "M0"], "not a picture"),
        (["--mask", "nowhere.png"], "--mask: nowhere.png: no such file"),
        (["--style-mix", "--style", "red-wave", "red"], "red: no such file or folder, nor a style"),
        (["--mask", "EDGE", "M0", "--crop-size", 16], "must reach into the middle of"),
        (["--feather", 3], "`feather` must be 0 without --mask"),
        (["--feather", 1e9], "`feather` must be in [0, 1000]. Received: feather=1000000000.0"),
        (["--sheet", "mix", "--mask", "M0", "M1"], "--sheet mix takes 2 styles"),
        (["--refine", 2, "--style-mix"], "no masks, no mixing"),
        (["--max-memory", "lots"], "`max_memory` must be a size such as 3GiB"),
        (["--max-memory", "0"], "`max_memory` must be a size such as 3GiB"),
        (["--stroke", 10], "`stroke` must be 0, or 64 or more"),
        (["--supersample", -1], "`supersample` must be 0 or more"),
    ],
)
def test_what_does_not_fit_is_told_before_any_work(place, capsys, flags, message):
    folder = place.masks[0].parent
    save_image(folder / "black.png", np.zeros((48, 80), "uint8"))
    edge = np.zeros((48, 80), "uint8")
    edge[:4, :4] = 255
    save_image(folder / "edge.png", edge)
    (folder / "broken.png").write_text("no")
    names = {"BLACK": folder / "black.png", "BROKEN": folder / "broken.png",
             "EDGE": folder / "edge.png"}  # fmt: skip
    names |= {f"M{i}": path for i, path in enumerate(place.masks)}
    assert place.run(*(names.get(flag, flag) for flag in flags)) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert not place.out.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("preset", "must be of preset 'tiny0' (channels (8, 8, 16)). Received: StyleCode(name=''"),
        ("widths", "must be of preset 'tiny0' (channels (8, 8, 16)). Received: StyleCode(name=''"),
        ("encoder", "made with other weights of 'tiny0'; make it again with `adain styles save`"),
        ("broken", "is not a readable .npz file"),
        ("other", "is not a style card"),
        ("nan", "finite"),
    ],
)
def test_wrong_cards_are_told_before_any_work(place, capsys, tmp_path, change, message):
    path = tmp_path / "card.npz"
    code = StyleCode.load(place.preset / "styles" / "red-wave.npz")
    if change == "preset":
        StyleCode(code.means, code.stds, preset="other").save(path)
    elif change == "widths":
        StyleCode([np.zeros(4)], [np.ones(4)], preset=code.preset).save(path)
    elif change == "encoder":
        StyleCode(code.means, code.stds, preset=code.preset, encoder="0123").save(path)
    elif change == "broken":
        path.write_bytes(b"PK no")
    elif change == "other":
        np.savez(path, a=1)
    else:
        from adain.presets import npz

        arrays, about = npz.load(place.preset / "styles" / "red-wave.npz")
        arrays["mean_0"][3] = np.nan
        npz.save(path, arrays, about)
    assert place.run(styles=[path]) == 2
    error = capsys.readouterr().err
    assert message in error and str(path) in error and len(error.splitlines()) == 1
    assert not place.out.exists()


# === Memory ===


def test_tiles_come_from_the_memory_allowed(place, monkeypatch):
    from adain.engines.registry import load_stylizer
    from adain.inference import memory

    stylizer = load_stylizer(place.preset)
    each = stylizer._architecture.memory[stylizer._engine]
    assert stylizer.tile_for(1000, 1000, 1e6 * each) == 0
    small = stylizer.tile_for(1000, 1000, 4e5 * each)
    assert small and small % 16 == 0
    assert (small + 2 * stylizer._architecture.halo) ** 2 * each <= 4e5 * each
    assert stylizer.tile_for(1000, 1000, 4e5 * each, regions=3) <= small
    # Still smaller ones take hardly less memory, and many times the time.
    halo = stylizer._architecture.halo
    assert stylizer.tile_for(10**5, 10**5, -5.0) == -(-2 * halo // 16) * 16
    # Across a strip a tile has no halo.
    strip = stylizer.tile_for(48, 10**5, 48 * 1000 * each)
    assert 1000 - 16 < strip + 2 * halo <= 1000
    assert stylizer.tile_for(10**5, 48, 48 * 1000 * each) == strip
    photo = np.zeros((2000, 3000, 3), "uint8")
    monkeypatch.setattr(memory, "free_memory", lambda: 2.0 * (6e6 * each + 5 * photo.nbytes))
    assert memory.choose_tile(stylizer, photo) == 0
    monkeypatch.setattr(memory, "free_memory", lambda: 1.0 * (6e6 * each))
    assert memory.choose_tile(stylizer, photo) > 0
    assert memory.choose_tile(stylizer, photo, limit=1.0) == stylizer.tile_for(2000, 3000, 0)
    # Of strokes in 16 bits what is written has 8.
    deep, free = photo.astype("uint16"), 6e6 * each + 7 * photo.nbytes
    monkeypatch.setattr(memory, "free_memory", lambda: 2.0 * free)
    assert memory.choose_tile(stylizer, deep, written=photo.nbytes) == 0
    assert memory.choose_tile(stylizer, deep) > 0


@pytest.mark.usefixtures("cut")
def test_little_memory_changes_nothing_else(place, picture, caplog):
    save_image(place.photo, picture(200, 300))
    whole = place.result("--tile", 0, styles=place.styles[:1])
    tiled = place.result("--max-memory", "1MiB", styles=place.styles[:1])
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    assert "max_memory 1MiB is less than the" in caplog.text


# === What is spelled twice counts twice ===


def test_a_style_may_stand_for_several_masks(place):
    p, q = place.styles[:2]
    plain = ["--supersample", 0, "--mask"]
    masks = [*plain, *place.masks]
    found = place.result(*masks, styles=[p, q, p])
    ends = place.result(*plain, place.masks[0], styles=[p])
    np.testing.assert_array_equal(found[:, :30], ends[:, :30])
    swapped = place.result(*masks, styles=[q, p, q])
    assert not np.array_equal(found[:, :30], swapped[:, :30])


def test_the_same_style_twice_adds_its_weights(place):
    p, q = place.styles[:2]

    def away(first, second):
        # Sums of shares round in another order.
        return np.abs(first.astype(int) - second).max()

    twice = place.result("--style-interp-weights", 1, 1, 2, styles=[p, q, p])
    assert away(twice, place.result("--style-interp-weights", 3, 1, styles=[p, q])) <= 1
    third = place.result("--style-mix", styles=[p, q, p])
    assert away(third, place.result("--style-interp-weights", 2, 1, styles=[p, q])) <= 1
    assert away(twice, third) > 1


def test_the_same_mask_twice_blends_two_styles(place):
    mask, plain = place.masks[0], ("--supersample", 0)
    both = place.result(*plain, "--mask", mask, mask)
    alone = [place.result(*plain, "--mask", mask, styles=[style]) for style in place.styles[:2]]
    assert np.abs(both - np.mean(alone, axis=0)).max() <= 1


def test_what_a_folder_finds_besides_counts_once(place):
    folder, first = place.photo.parent, place.styles[0]
    (folder / "s").mkdir()
    (folder / "s" / "a.png").write_bytes(first.read_bytes())
    named = folder / "s" / "a.png"
    alone = place.result("--style-mix", styles=[named, place.styles[1]])
    again = place.result("--style-mix", styles=[named, place.styles[1], folder / "s"])
    np.testing.assert_array_equal(alone, again)
    # Without a mix the same result would be written twice.
    assert place.run(styles=[first, first]) == 0
    assert len(list(place.out.iterdir())) == 1
