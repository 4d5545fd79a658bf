"""Tiles give the picture that the whole gives."""

from __future__ import annotations

import numpy as np
import pytest

from adain.inference import tiling
from adain.presets.architecture import ARCHITECTURES


def levels(a, b) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.fixture(scope="module")
def style(picture):
    return picture(90, 120, seed=7)


def uneven(picture, height, width):
    """Dark on the left, busy on the right: tiles have statistics of their own."""
    image = picture(height, width).astype("float32")
    ramp = np.linspace(0.15, 1, width)[:, None]
    return (image * ramp).astype("uint8")


# === The cutting ===


@pytest.mark.parametrize(("height", "width", "tile", "halo"), [(64, 64, 32, 8), (40, 104, 24, 16)])
def test_tiles_cover_every_pixel_once(height, width, tile, halo):
    count = np.zeros((height, width), int)
    places = tiling.tiles(height, width, (tile, tile), halo)
    for rows, columns, outer_rows, outer_columns in places:
        count[rows, columns] += 1
        for part, outer, side in ((rows, outer_rows, height), (columns, outer_columns, width)):
            assert outer.start == max(part.start - halo, 0)
            assert outer.stop == min(part.stop + halo, side)
    assert (count == 1).all()


def test_a_side_that_fits_into_a_tile_and_its_halo_is_whole():
    assert tiling.tile_sides((512, 20_000), 64, 160) == (64, 64)
    assert tiling.tile_sides((384, 20_000), 64, 160) == (384, 64)
    assert tiling.tile_sides((385, 20_000), 64, 160) == (64, 64)
    assert tiling.tile_sides((384, 300), 64, 160) == (384, 300)


def test_map_tiles_with_a_function_that_sees_its_halo():
    image = np.random.default_rng(0).normal(size=(40, 56, 2))

    def blur(x):  # Sees 8 pixels to every side.
        padded = np.pad(x, ((8, 8), (8, 8), (0, 0)), mode="reflect")
        return sum(
            padded[i : i + x.shape[0], j : j + x.shape[1]] for i in (0, 8, 16) for j in (0, 8, 16)
        )

    def mapped(halo):
        return tiling.map_tiles(lambda *part: blur(image[part]), image.shape[:2], (16, 24), halo)

    np.testing.assert_allclose(mapped(8), blur(image))
    # And with too small a halo it would differ.
    assert np.abs(mapped(0) - blur(image)).max() > 0.1


@pytest.mark.parametrize(
    ("height", "width", "tile"), [(64, 96, (16, 16)), (48, 208, (48, 64)), (80, 32, (16, 32))]
)
def test_pooled_statistics_equal_the_whole(height, width, tile):
    # A large mean beside a small deviation, another in each part.
    image = np.random.default_rng(0).normal(1000, 0.1, (height, width, 3))
    image += np.arange(width)[:, None] * [0.01, 1, 0]

    def encode(part):
        return [part[::4, ::4].astype("float32"), 2 * part[::16, ::16, :2].astype("float32")]

    ((mean, std),) = tiling.pooled_statistics(encode, image, tile, halo=16, epsilon=1e-5)
    levels = [level.astype("float64") for level in encode(image)]
    expected = np.concatenate([level.mean(axis=(0, 1)) for level in levels])
    np.testing.assert_allclose(mean, expected, rtol=1e-6)
    expected = np.concatenate([np.sqrt(level.var(axis=(0, 1)) + 1e-5) for level in levels])
    np.testing.assert_allclose(std, expected, rtol=1e-4)
    assert mean.shape == std.shape == (5,)
    assert mean.dtype == std.dtype == np.float32


def test_pooled_statistics_of_regions():
    """Each equals the weighted mean and deviation, also of a region that few tiles reach."""
    rng = np.random.default_rng(5)
    image = rng.normal(size=(64, 96, 3)) + np.arange(96)[:, None] / 20
    masks = rng.uniform(size=(2, 64, 96)) * (np.arange(96) > 60)
    masks[1] = 0
    masks[1, :16, 32:40] = 0.5

    def encode(part):
        return [part[::2, ::2], part[::8, ::8]]

    pooled = tiling.pooled_statistics(
        encode, image, (32, 32), halo=8, shares=lambda *part: masks[:, *part]
    )
    for mask, (mean, std) in zip(masks, pooled, strict=True):
        means, stds = [], []
        for level, stride in zip(encode(image), (2, 8), strict=True):
            weights = mask.reshape(64 // stride, stride, -1, stride).mean((1, 3))[..., None]
            means.append((weights * level).sum((0, 1)) / weights.sum())
            squares = (weights * (level - means[-1]) ** 2).sum((0, 1)) / weights.sum()
            stds.append(np.sqrt(squares + 1e-5))
        np.testing.assert_allclose(mean, np.concatenate(means), rtol=1e-5)
        np.testing.assert_allclose(std, np.concatenate(stds), rtol=1e-4)


# === The model ===


@pytest.mark.parametrize(
    ("height", "width", "tile"),
    [(457, 417, 64), (130, 597, 128), (465, 65, 48), (17, 533, 112), (256, 556, 160), (97, 65, 48)],
)
def test_tiled_equals_whole(any_model, picture, style, height, width, tile):
    content = uneven(picture, height, width)
    code = any_model.encode_style(style)
    whole = any_model.stylize(content, code, alpha=0.9)
    tiled = any_model.stylize(content, code, alpha=0.9, tile=tile)
    assert tiled.shape == content.shape
    assert levels(tiled, whole) <= 1
    assert whole.std() > 10


@pytest.mark.usefixtures("cut")
def test_the_style_is_tiled_too(any_model, style, picture):
    whole, tiled = any_model.encode_style(style), any_model.encode_style(style, tile=32)
    for ours, theirs in zip(tiled.means + tiled.stds, whole.means + whole.stds, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    content = picture(40, 48)
    assert (
        levels(any_model.stylize(content, style, tile=32), any_model.stylize(content, style)) <= 1
    )


def test_tiles_larger_than_the_picture(any_model, style, picture):
    content = picture(50, 60)
    whole = any_model.stylize(content, style)
    np.testing.assert_array_equal(any_model.stylize(content, style, tile=512), whole)


def test_statistics_of_each_tile_would_show(any_model, picture, style):
    """The known wrong way differs clearly, so the tests above can fail."""
    content = uneven(picture, 128, 512)
    code = any_model.encode_style(style)
    whole = any_model.stylize(content, code)
    halo = ARCHITECTURES[any_model.architecture].halo

    def each(rows, columns):
        return any_model.stylize(content[rows, columns], code)

    wrong = tiling.map_tiles(each, content.shape[:2], (64, 64), halo)
    assert levels(wrong, whole) > 10
    # And so does a halo that is too small.
    seams = tiling.map_tiles(each, content.shape[:2], (128, 128), 0)
    assert levels(seams, whole) > 10
