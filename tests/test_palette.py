"""Palettes: the map from one to another, and what `palette` does to results."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from adain import cli
from adain.imaging.io import load_image, read_history, resize_image, save_image
from adain.imaging.palette import FLOOR, MAX_GAIN, Palette, mix_palettes, recolor, transport
from adain.imaging.transport import transport_rows
from adain.inference import passes
from adain.inference.regions import Region
from adain.inference.style_code import StyleCode, mix


def two_colors(one, other) -> np.ndarray:
    """As many pixels of one colour as of the other, float32 in [0, 1]."""
    image = np.empty((8, 8, 3), "float32")
    image[:4], image[4:] = one, other
    return image


def move(image, style, share=1.0):
    return recolor(image, transport(Palette.of(image), Palette.of(style), share))


def spread(image) -> np.ndarray:
    return image.reshape(-1, 3).std(axis=0)


def levels(a, b) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


# === Moments ===


def test_palette_of_two_colours():
    found = Palette.of(two_colors((0.2, 0.5, 0.4), (0.8, 0.5, 0.0)))
    np.testing.assert_allclose(found.mean, [0.5, 0.5, 0.2], atol=1e-6)
    # Half the distance is the deviation: (0.3, 0, -0.2).
    expected = np.outer([0.3, 0, -0.2], [0.3, 0, -0.2])
    np.testing.assert_allclose(found.covariance, expected, atol=1e-6)
    assert found.hex == "#808033"


def test_depth_and_weights(picture):
    image = picture(700, 40)  # More than a band.
    palette = Palette.of(image)
    pixels = image.reshape(-1, 3) / 255
    np.testing.assert_allclose(palette.mean, pixels.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(palette.covariance, np.cov(pixels.T, bias=True), atol=1e-9)
    for same in (image.astype("uint16") * 257, image / np.float32(255)):
        np.testing.assert_allclose(Palette.of(same).covariance, palette.covariance, atol=1e-5)
    weights = np.zeros((700, 40), "uint8")
    weights[600:, :20] = 200
    part, inside = Palette.of(image, weights), Palette.of(image[600:, :20])
    np.testing.assert_allclose(part.mean, inside.mean, atol=1e-9)
    np.testing.assert_allclose(part.covariance, inside.covariance, atol=1e-9)
    with pytest.raises(ValueError, match="nothing is visible"):
        Palette.of(image, np.zeros((700, 40)))


GOOD = np.diag([0.04, 0.02, 0.01])


@pytest.mark.parametrize(
    ("mean", "covariance", "message"),
    [
        ([0.5, np.nan, 0.5], GOOD, "NaN or infinite numbers"),
        ([0.5, 0.5, 0.5], GOOD + np.inf, "NaN or infinite numbers"),
        ([0.5, 0.5, 1.2], GOOD, r"a mean of \[0.5, 0.5, 1.2\]"),
        ([0.5, 0.5, 0.5], GOOD - np.diag([0.1, 0, 0]), "negative eigenvalue -0.06"),
        ([0.5, 0.5, 0.5], GOOD + np.triu(np.ones((3, 3)) / 100, 1), "not symmetric"),
        ([0.5, 0.5, 0.5], 10 * GOOD, "a variance of 0.4; the largest is 0.25"),
        ([0.5, 0.5], GOOD, r"shapes \(2,\) and \(3, 3\)"),
        ([0.5, 0.5, 0.5], GOOD[:2], r"shapes \(3,\) and \(2, 3\)"),
    ],
)
def test_impossible_palettes_are_refused(mean, covariance, message):
    with pytest.raises(ValueError, match=message) as caught:
        Palette(np.array(mean), covariance)
    assert "\n" not in str(caught.value)


# === The map ===


def test_two_greys_become_two_other_greys():
    """Worked by hand: from 1/4 and 3/4 to 0 and 1, twice the contrast, and half of it half way."""
    image = two_colors([0.25] * 3, [0.75] * 3)
    style = two_colors([0.0] * 3, [1.0] * 3)
    np.testing.assert_allclose(move(image, style), style, atol=1e-3)
    np.testing.assert_allclose(
        move(image, style, 0.5), two_colors([0.125] * 3, [0.875] * 3), atol=1e-3
    )
    np.testing.assert_array_equal(move(image, style, 0.0), image)


def test_two_colours_become_two_other_colours():
    """Along one line of colours; at right angles to it nothing is stretched."""
    image = two_colors((0.4, 0.5, 0.6), (0.6, 0.5, 0.4))
    style = two_colors((0.3, 0.2, 0.5), (0.7, 0.2, 0.1))
    np.testing.assert_allclose(move(image, style), style, atol=1e-3)


def test_what_is_not_there_is_not_invented():
    """Red varies, green should: noise of green is stretched no more than the limit."""
    matrix = transport(
        Palette([0.5] * 3, np.diag([0.09, 0, 0])), Palette([0.5] * 3, np.diag([0, 0.09, 0]))
    )
    kept = np.sqrt(FLOOR / (0.09 + FLOOR))
    np.testing.assert_allclose(matrix[:, :3], np.diag([kept, MAX_GAIN, 1]), atol=1e-5)


def test_covariances_are_met_exactly():
    """T C_s T = C_t, with T symmetric and positive: the optimal map and no rotation."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        roots = rng.normal(0, 0.12, (2, 3, 3)) + 0.15 * np.eye(3)
        source, target = (Palette(rng.uniform(0.3, 0.7, 3), r @ r.T / 2) for r in roots)
        matrix = transport(source, target)[:, :3].astype("float64")
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
        gains = np.linalg.eigvalsh(matrix)
        assert 0 < gains[0] and gains[-1] <= MAX_GAIN + 1e-5
        if gains[-1] < MAX_GAIN - 1e-3:
            moved = matrix @ (source.covariance + FLOOR * np.eye(3)) @ matrix
            np.testing.assert_allclose(moved, target.covariance + FLOOR * np.eye(3), atol=1e-5)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_flat_photo_keeps_its_noise_small(share):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1 / 255, (64, 64, 3)).astype("float32")
    style = rng.uniform(0, 1, (64, 64, 3)).astype("float32")
    moved = move(0.25 + noise, style, share)
    assert np.isfinite(moved).all()
    assert spread(moved).max() <= (1 + share * (MAX_GAIN - 1)) * 1.05 / 255
    expected = 0.25 + share * (style.mean(axis=(0, 1)) - 0.25)
    np.testing.assert_allclose(moved.mean(axis=(0, 1)), expected, atol=0.01)


def test_a_style_of_one_colour(picture):
    image = picture(64, 64) / np.float32(255)
    style = np.full((16, 16, 3), (0.2, 0.6, 0.4), "float32")
    moved = move(image, style)
    assert np.isfinite(moved).all() and spread(moved).max() < 0.02
    np.testing.assert_allclose(moved.mean(axis=(0, 1)), (0.2, 0.6, 0.4), atol=0.01)
    half = spread(move(image, style, 0.5)) / spread(image)
    np.testing.assert_allclose(half, 0.5, atol=0.05)


def test_a_grey_style_takes_the_colours_away(picture):
    image = picture(64, 64) / np.float32(255)
    style = image.mean(axis=2, keepdims=True).repeat(3, 2)
    moved = move(image, style)
    assert np.abs(moved - moved.mean(axis=2, keepdims=True)).mean() < 0.02
    assert spread(moved) == pytest.approx(spread(style), rel=0.1)


# === Mixing ===


def test_deviations_are_averaged():
    one = Palette([0.2, 0.2, 0.2], np.diag([0.04, 0.01, 0]))
    other = Palette([0.6, 0.2, 0.4], np.diag([0.16, 0.01, 0.0064]))
    found = mix_palettes([one, other], [0.25, 0.75])
    np.testing.assert_allclose(found.mean, [0.5, 0.2, 0.35])
    # 0.25 * 0.2 + 0.75 * 0.4, and so on.
    np.testing.assert_allclose(np.sqrt(found.covariance.diagonal()), [0.35, 0.1, 0.06], atol=1e-6)


def test_mixtures_of_mixtures(picture, tiny_model):
    a, b, c = (tiny_model.encode_style(picture(48, 48, seed)) for seed in range(3))
    at_once = mix([a, b, c], [0.25, 0.25, 0.5]).palette
    in_turn = mix([mix([a, b]), c]).palette
    np.testing.assert_allclose(at_once.mean, in_turn.mean, atol=1e-6)
    np.testing.assert_allclose(at_once.covariance, in_turn.covariance, atol=1e-6)
    np.testing.assert_allclose(mix([a]).palette.covariance, a.palette.covariance, atol=1e-6)
    old = StyleCode(b.means, b.stds, preset=b.preset)
    assert mix([a, old]).palette is None


# === Results ===


@pytest.fixture(scope="module")
def code(any_model, picture):
    """A dark, reddish style."""
    style = (picture(48, 64, seed=5) * [0.6, 0.3, 0.2]).astype("uint8")
    return any_model.encode_style(style)


def test_nothing_changes_without_share_or_strength(any_model, code, picture):
    content = picture(50, 70)
    old = StyleCode(code.means, code.stds, preset=code.preset)
    np.testing.assert_array_equal(
        any_model.stylize(content, code, palette=0), any_model.stylize(content, old)
    )
    assert any_model.palette == 0
    np.testing.assert_array_equal(
        any_model.stylize(content, code, 0.0, palette=1), any_model.stylize(content, code, 0.0)
    )


@pytest.mark.parametrize(("alpha", "palette"), [(1, 1), (1, 0.5), (0.5, 0.6), (1.5, 0.4)])
def test_result_is_the_moved_one(any_model, code, picture, alpha, palette):
    content = picture(64, 80).astype("uint16") * 257
    plain = any_model.stylize(content, code, alpha, palette=0) / np.float32(65535)
    matrix = transport(Palette.of(plain), code.palette, palette * min(alpha, 1))
    found = any_model.stylize(content, code, alpha, palette=palette)
    np.testing.assert_allclose(found / np.float32(65535), recolor(plain, matrix), atol=2e-4)
    eight = any_model.stylize(picture(64, 80), code, alpha, palette=palette)
    assert levels(eight, np.rint(found / 257)) <= 1


def test_palette_1_has_the_colours_of_the_style(any_model, code, picture):
    content = picture(64, 80)
    distances = []
    for share in (0, 0.5, 1):
        found = Palette.of(any_model.stylize(content, code, palette=share))
        distances.append(np.abs(found.mean - code.palette.mean).max())
    assert distances[0] > 0.1 and distances[2] < 0.05
    assert distances[1] == pytest.approx(distances[0] / 2, abs=0.05)


@pytest.mark.parametrize("palette", [-0.1, 1.1, float("nan")])
def test_shares_out_of_range_are_refused(any_model, code, picture, palette):
    with pytest.raises(ValueError, match=r"`palette` must be in \[0, 1\]. Received: palette="):
        any_model.stylize(picture(32, 32), code, palette=palette)


def uneven(picture, height, width):
    """Dark on the left, bright on the right: each tile has a palette of its own."""
    ramp = np.linspace(0.15, 1, width)[:, None]
    return (picture(height, width) * ramp).astype("uint8")


def smooth(picture, height, width):
    """Without the noise of `picture`, of which a smaller copy would keep nothing."""
    return resize_image(picture(height // 16, width // 16), (height, width))


@pytest.mark.parametrize("one_pass", [True, False])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.usefixtures("cut")
def test_tiles_have_one_map(any_model, code, picture, monkeypatch, one_pass, dtype):
    if not one_pass:
        monkeypatch.setattr(passes, "ONE_PASS", 1000)
        monkeypatch.setattr(passes, "COPY", 64 * 64)
    content = uneven(picture, 150, 333).astype(dtype) * (257 if dtype == "uint16" else 1)
    steps: list = []
    whole = any_model.stylize(content, code, palette=0.8, progress=lambda *step: steps.append(step))
    tiled = any_model.stylize(content, code, palette=0.8, tile=64)
    assert levels(whole, tiled) <= (257 if dtype == "uint16" else 1)
    assert whole.dtype == tiled.dtype == content.dtype and whole.shape == content.shape
    # Nothing twice where one pass is enough.
    total = 2 if one_pass else 4
    assert steps == [(step, total) for step in range(1, total + 1)]
    assert levels(whole, any_model.stylize(content, code, palette=0)) > 3


def test_a_copy_has_nearly_the_palette_of_the_whole(any_model, code, picture, monkeypatch):
    content = smooth(picture, 240, 320)
    exact = any_model.stylize(content, code, palette=1)
    monkeypatch.setattr(passes, "ONE_PASS", 1000)
    monkeypatch.setattr(passes, "COPY", 160 * 120)
    near = any_model.stylize(content, code, palette=1)
    assert np.abs(exact.astype(int) - near).mean() < 6


@pytest.mark.parametrize("one_pass", [True, False])
@pytest.mark.usefixtures("cut")
def test_each_region_has_its_own_palette(any_model, code, picture, monkeypatch, one_pass):
    content = smooth(picture, 96, 160)
    if not one_pass:
        monkeypatch.setattr(passes, "ONE_PASS", 1000)
        monkeypatch.setattr(passes, "COPY", 64 * 64)
    green = any_model.encode_style((picture(48, 48, seed=6) * [0.2, 0.9, 0.3]).astype("uint8"))
    left = np.zeros((96, 160), "uint8")
    left[:, :60] = 255
    right = np.zeros((96, 160), "uint8")
    right[:, 100:] = 255
    regions = [Region(left, code), Region(right, green)]
    found = any_model.stylize_regions(content, regions, palette=1)
    np.testing.assert_array_equal(found[:, 60:100], content[:, 60:100])
    for part, wanted in ((found[:, :60], code), (found[:, 100:], green)):
        np.testing.assert_allclose(Palette.of(part).mean, wanted.palette.mean, atol=0.1)
    tiled = any_model.stylize_regions(content, regions, palette=1, tile=64)
    assert levels(found, tiled) <= 1
    # A region without strength is the photo as the network gives it back.
    weak = any_model.stylize_regions(content, [Region(left, code, 0.0)], palette=1)
    plain = any_model.stylize_regions(content, [Region(left, code, 0.0)], palette=0)
    np.testing.assert_array_equal(weak, plain)


def test_a_region_of_one_pixel_of_a_large_photo(any_model, code, picture, monkeypatch):
    monkeypatch.setattr(passes, "ONE_PASS", 1000)
    monkeypatch.setattr(passes, "COPY", 32 * 32)
    content, mask = picture(160, 320), np.zeros((160, 320), "uint8")
    mask[70, 80] = 3
    found = any_model.stylize_regions(content, [Region(mask, code)], palette=1)
    np.testing.assert_array_equal(found[mask == 0], content[mask == 0])


def test_16_bits_are_not_rounded_to_8(any_model, code):
    ramp = np.linspace(0, 65535, 256 * 256).reshape(256, 256, 1).repeat(3, 2).astype("uint16")
    found = any_model.stylize(ramp, code, palette=0.5)
    assert found.dtype == np.uint16
    # So many steps of a ramp, between one grey level and the next, that no band can be seen.
    assert len(np.unique(found[..., 0])) > 20 * len(np.unique(found[..., 0] // 257))


def test_flat_photos_and_flat_styles(any_model, picture):
    grey = np.full((40, 40, 3), 128, "uint8")
    for content, style in ((grey, picture(48, 48)), (picture(40, 40), grey), (grey, grey)):
        found = any_model.stylize(content, style, palette=1)
        assert found.shape == content.shape
        # Of one colour everywhere, as far as one can see.
        if style is grey:
            assert spread(found).max() < 8


# === Transparency ===


def test_only_what_is_visible_counts(any_model, picture):
    style = picture(64, 96)
    visible = np.zeros((64, 96), "uint8")
    visible[:, :48] = 255
    found = any_model.encode_style(style, visible=visible)
    expected = Palette.of(style[:, :48])
    np.testing.assert_allclose(found.palette.mean, expected.mean, atol=1e-6)
    np.testing.assert_allclose(found.palette.covariance, expected.covariance, atol=1e-6)
    # Nor does the network see the rest, beyond the edge.
    other = style.copy()
    other[:, 48:] = 255 - other[:, 48:]
    pair = (any_model.encode_style(image, visible=visible) for image in (style, other))
    plain = (any_model.encode_style(image) for image in (style, other))
    near, far = (
        np.abs(np.concatenate(a.stds) - np.concatenate(b.stds)).mean() for a, b in (pair, plain)
    )
    assert near < far
    full = any_model.encode_style(style, visible=np.ones((64, 96), bool))
    for ours, theirs in zip(full.means, any_model.encode_style(style).means, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="`visible` must have something inside"):
        any_model.encode_style(style, visible=np.zeros((64, 96)))


# === Cards ===


def test_cards_keep_palettes(any_model, code, tmp_path):
    code.save(tmp_path / "card.npz")
    found = StyleCode.load(tmp_path / "card.npz").palette
    np.testing.assert_allclose(found.mean, code.palette.mean, atol=1e-6)
    np.testing.assert_allclose(found.covariance, code.palette.covariance, atol=1e-6)


def test_old_cards_still_work_and_say_so_once(make_model, picture, tmp_path, caplog):
    model, content = make_model(), picture(40, 56)
    full = model.encode_style(picture(48, 48, seed=5), name="Old")
    StyleCode(full.means, full.stds, preset=full.preset, name="Old").save(tmp_path / "old.npz")
    old = StyleCode.load(tmp_path / "old.npz")
    assert old.palette is None
    with caplog.at_level(logging.WARNING):
        found = [model.stylize(content, old, palette=0.5) for _ in range(3)]
    np.testing.assert_array_equal(found[2], model.stylize(content, full, palette=0))
    # Keras may have something to say, too.
    (record,) = (record for record in caplog.records if record.name.startswith("adain"))
    message = record.getMessage()
    assert "'Old'" in message and "has no palette" in message and "\n" not in message
    caplog.clear()
    make_model().stylize(content, old, palette=0)
    assert "palette" not in caplog.text


@pytest.mark.parametrize(
    ("mean", "covariance", "message"),
    [
        ([np.nan] * 3, GOOD, "NaN or infinite"),
        ([0.5] * 3, -GOOD, "negative eigenvalue"),
        ([0.5] * 3, GOOD + np.triu(np.ones((3, 3)), 1), "not symmetric"),
        ([0.5] * 3, GOOD * 1e30, "a variance of"),
        ([0.5] * 4, GOOD, "shapes"),
        ([0.5] * 3, None, "palette_covariance"),
        (["a"] * 3, GOOD, "palette_mean.npy is no array of numbers"),
    ],
)
def test_bad_palettes_in_cards_are_one_line(tmp_path, capsys, mean, covariance, message):
    from adain.presets import npz

    arrays = {"mean_0": np.zeros(4), "std_0": np.ones(4), "palette_mean": np.array(mean)}
    if covariance is not None:
        arrays["palette_covariance"] = covariance
    path = tmp_path / "bad.npz"
    npz.save(path, arrays, {"format": "adain style card 1", "preset": "adain_fast"})
    assert cli.main(["styles", "show", str(path)]) == 1
    error = capsys.readouterr().err
    assert message in error and "bad.npz is " in error
    assert len(error.strip().splitlines()) == 1


# === The command ===


@pytest.fixture
def place(tmp_path, tiny_preset, picture):
    """`run(*flags, style=...)`: the exit status, and the result if there is one."""
    save_image(tmp_path / "photo.png", picture(64, 80))
    save_image(tmp_path / "style.png", (picture(48, 48, seed=5) * [0.6, 0.3, 0.2]).astype("uint8"))

    class Place:
        folder, preset, out = tmp_path, tiny_preset, tmp_path / "out.png"

        def run(self, *flags, style="style.png"):
            paths = ["--content-path", tmp_path / "photo.png", "--style-path", tmp_path / style]
            words = [*paths, "--checkpoint", tiny_preset, "--out-path", self.out, "--overwrite"]
            return cli.main(["stylize", *map(str, [*words, "--style-size", 0, "--quiet", *flags])])

        def palette(self):
            return Palette.of(load_image(self.out))

        def set_default(self, share):
            path = tiny_preset / "config.json"
            config = json.loads(path.read_text(encoding="utf-8"))
            path.write_text(json.dumps(config | {"palette": share}), encoding="utf-8")

    return Place()


@pytest.mark.usefixtures("exact")
def test_the_flag_and_the_presets_default(place):
    wanted = Palette.of(load_image(place.folder / "style.png")).mean
    distances, told = [], []
    for flags in ([], ["--palette", 0], ["--palette", 0.5], ["--palette", 1]):
        assert place.run(*flags) == 0
        distances.append(np.abs(place.palette().mean - wanted).max())
        told.append(json.loads(read_history(place.out))["palette"])
    assert told == [0, 0, 0.5, 1]
    assert distances[0] == distances[1] > distances[2] > distances[3]
    place.set_default(1.0)
    assert place.run() == 0
    assert np.abs(place.palette().mean - wanted).max() == pytest.approx(distances[3])
    assert json.loads(read_history(place.out))["palette"] == 1


@pytest.mark.parametrize("share", ["2", "-0.1", "nan"])
def test_shares_out_of_range_are_a_usage_error(place, capsys, share):
    assert place.run("--palette", share) == 2
    error = capsys.readouterr().err
    assert "`palette` must be in [0, 1]. Received: palette=" in error
    assert len(error.strip().splitlines()) == 1 and not place.out.exists()


@pytest.mark.parametrize("share", [1.5, "much", None, True])
def test_a_bad_default_is_one_line(place, capsys, share):
    place.set_default(share)
    assert place.run() == 1
    error = capsys.readouterr().err
    assert "the palette must be a number in [0, 1]" in error and "config.json" in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("method", ["coral", "histogram"])
def test_keep_colors_moves_to_the_recoloured_style(place, method):
    """So the photo's colours stay, however far the result is moved."""
    photo = Palette.of(load_image(place.folder / "photo.png"))
    assert place.run("--palette", 1, "--keep-colors", method) == 0
    np.testing.assert_allclose(place.palette().mean, photo.mean, atol=0.05)


@pytest.mark.usefixtures("exact")
def test_styles_with_transparency(place, picture):
    """White that nobody sees does not make the result brighter."""
    import cv2

    style = cv2.imread(str(place.folder / "style.png"))
    opaque = np.dstack([style, np.full(style.shape[:2], 255, "uint8")])
    hidden = np.full_like(opaque, 255)
    hidden[..., 3] = 0
    cv2.imwrite(str(place.folder / "half.png"), np.hstack([opaque, hidden]))
    cv2.imwrite(str(place.folder / "hidden.png"), hidden)
    assert place.run("--palette", 1) == 0
    expected = place.palette()
    assert place.run("--palette", 1, style="half.png") == 0
    np.testing.assert_allclose(place.palette().mean, expected.mean, atol=0.02)
    assert place.run("--palette", 1, style="hidden.png") == 1


def test_cards_show_their_palette(place, capsys):
    card = place.folder / "card.npz"
    words = ["--checkpoint", str(place.preset)]
    style = str(place.folder / "style.png")
    assert cli.main(["styles", "save", style, str(card), "--style-size", "0", *words]) == 0
    capsys.readouterr()
    assert cli.main(["styles", "show", str(card), *words]) == 0
    expected = Palette.of(load_image(style)).hex
    assert f"palette   {expected}" in capsys.readouterr().out
    assert cli.main(["styles", "show", str(card), "--json", *words]) == 0
    shown = json.loads(capsys.readouterr().out)["palette"]
    assert shown["mean"] == expected and len(shown["deviations"]) == 3


@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_transport_in_products_alone(share):
    """What graphs of other runtimes compute is the map that `transport` finds."""
    rng = np.random.default_rng(0)
    # Of one colour, of one direction, weak and strong.
    spreads = [np.zeros((3, 3)), np.outer([0.3, 0.2, 0.1], [1, 0, 0])]
    spreads += [rng.normal(0, scale, (3, 3)) for scale in (0.003, 0.03, 0.2, 0.2, 0.2)]
    palettes = [
        Palette(rng.random(3).astype("float32"), (spread @ spread.T).astype("float32"))
        for spread in spreads
    ]
    colors = rng.random((50, 3)).astype("float32")
    for source in palettes:
        for target in palettes:
            expected = transport(source, target, share)
            parts = [
                (palette.mean[None].astype("float32"), palette.covariance.astype("float32"))
                for palette in (source, target)
            ]
            matrix, offset = transport_rows(*parts, np.full((1, 1), share, "float32"), np.transpose)
            wanted = colors @ expected[:, :3].T + expected[:, 3]
            np.testing.assert_allclose(colors @ matrix + offset, wanted, atol=0.4 / 255)
