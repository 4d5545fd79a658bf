"""Colours kept: exact where the definition is exact, tame where a picture holds none."""

from __future__ import annotations

import numpy as np
import pytest

from adain.imaging import color

LUMA = np.array([0.299, 0.587, 0.114])


def noise(seed: int, mean=(128, 128, 128), spread=25, size=(40, 50)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(mean, spread, (*size, 3))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def flat(*rgb: int, size=(20, 30)) -> np.ndarray:
    return np.full((*size, 3), rgb, np.uint8)


def test_luma_makes_one_colour_of_one():
    """Wherever a pixel is, and in all depths; a grey of a grey is itself."""
    rng = np.random.default_rng(0)
    # One on the border between two levels.
    cases = [(np.uint16, 65079, np.uint8, (46, 7, 233))]
    for _ in range(300):
        depths = rng.choice([np.uint8, np.uint16], 2)
        white = [np.iinfo(depth).max for depth in depths]
        cases.append(
            (depths[0], rng.integers(white[0] + 1), depths[1], rng.integers(white[1], size=3))
        )
    for depth, grey, other, rgb in cases:
        size = (20, 30, 3)
        image, content = np.full(size, grey, depth), np.full(size, rgb, other)
        assert len(np.unique(color.keep_luma(image, content).reshape(-1, 3), axis=0)) == 1
        assert (color.keep_luma(image, np.full(size, rgb[0], other)) == grey).all()


def test_luma_keeps_luma_and_chroma():
    image, content = noise(0), noise(1, (150, 110, 90), 12)
    result = color.keep_luma(image, content).astype(float)
    assert np.abs(result @ LUMA - image @ LUMA).max() <= 1
    # Equal chroma means equal differences between the channels.
    wanted = content.astype(float)
    for one, two in ((0, 1), (1, 2)):
        difference = (result[..., one] - result[..., two]) - (wanted[..., one] - wanted[..., two])
        assert np.abs(difference).max() <= 1


def test_luma_out_of_range_loses_saturation_only():
    for grey in (0, 3, 128, 250, 255):
        result = color.keep_luma(flat(grey, grey, grey), flat(255, 0, 0)).astype(float)
        assert np.abs(result @ LUMA - grey).max() <= 1
        assert (result[..., 0] >= result[..., 1]).all()
        assert np.abs(result[..., 1] - result[..., 2]).max() <= 1


def test_luma_of_grey_content_is_grey_and_sizes_may_differ():
    result = color.keep_luma(noise(0), flat(90, 90, 90, size=(7, 9)))
    assert result.shape == (40, 50, 3) and np.ptp(result.astype(int), axis=-1).max() <= 1


def test_luma_bands_leave_no_seam():
    image, content = noise(0, size=(1100, 3)), noise(1, size=(1100, 3))
    whole = color.keep_luma(image, content)
    assert np.array_equal(whole[500:530], color.keep_luma(image[500:530], content[500:530]))


def test_coral_matches_moments():
    source, target = noise(0, (120, 130, 110), 15), noise(1, (140, 100, 90), 20)
    result = color.match_color_coral(source, target).reshape(-1, 3).astype(float)
    target = target.reshape(-1, 3).astype(float)
    assert np.abs(result.mean(0) - target.mean(0)).max() < 0.5
    assert np.allclose(np.cov(result.T), np.cov(target.T), rtol=0.05, atol=8)


def test_histogram_matches_ranks():
    source, target = noise(0, (90, 90, 90), 10), noise(1, (150, 100, 60), 30)
    result = color.match_color_histogram(source, target)
    for channel in range(3):
        for percent in (10, 50, 90):
            got = np.percentile(result[..., channel], percent)
            assert abs(got - np.percentile(target[..., channel], percent)) <= 3


@pytest.mark.parametrize("match", [color.match_color_coral, color.match_color_histogram])
def test_a_picture_matched_to_itself_is_unchanged(match):
    for picture in (noise(0), flat(0, 128, 255), noise(3, size=(1, 1))):
        assert np.array_equal(match(picture, picture), picture)


@pytest.mark.parametrize("match", [color.match_color_coral, color.match_color_histogram])
def test_flat_pictures(match):
    red = flat(200, 10, 10)
    to_flat = match(noise(0), red)
    assert np.abs(to_flat.astype(int) - red[0, 0]).max() <= 30
    assert np.abs(to_flat.reshape(-1, 3).mean(0) - red[0, 0]).max() <= 3
    from_flat = match(red, noise(1, (140, 100, 90)))
    assert np.ptp(from_flat.reshape(-1, 3), axis=0).max() == 0
    assert np.abs(from_flat[0, 0].astype(int) - (140, 100, 90)).max() <= 4


def test_coral_does_not_blow_up_noise_of_flat_pictures():
    almost = flat(100, 100, 100, size=(40, 50))
    almost[::2, ::2] += 1
    assert np.ptp(color.match_color_coral(almost, noise(0, spread=60)).astype(int)) < 60


@pytest.mark.parametrize("method", [*color.COLOR_METHODS, None])
@pytest.mark.parametrize("size", [(1, 1), (1, 17), (33, 2)])
def test_before_and_after(method, size):
    style, content, image = noise(0), noise(1, size=size), noise(2, size=size)
    changed = color.prepare_style(style, content, method)
    assert changed.shape == style.shape and changed.dtype == np.uint8
    assert (changed is style) == (method in ("luma", None))
    restored = color.restore_colors(image, content, method)
    assert restored.shape == image.shape and restored.dtype == np.uint8
    assert (restored is image) == (method != "luma")


def deep(picture: np.ndarray) -> np.ndarray:
    """The same picture in 16 bits, with low bytes of their own: half a grey level up or down."""
    fine = np.random.default_rng(9).integers(-127, 128, picture.shape)
    return np.clip(picture.astype(int) * 257 + fine, 0, 65535).astype(np.uint16)


@pytest.mark.parametrize("size", [(40, 50), (17, 90)])
def test_luma_in_sixteen_bits(size):
    image, content = noise(0), noise(1, (150, 110, 90), 40, size)
    plain = color.keep_luma(image, content)
    result = color.keep_luma(deep(image), deep(content))
    assert result.dtype == np.uint16
    assert np.abs(result / 257 - plain).max() <= 2
    assert np.abs(result @ LUMA - deep(image) @ LUMA).max() <= 1
    # Depths may differ; the picture's own is kept.
    for one, two in ((image, deep(content)), (image.astype(np.uint16) * 257, content)):
        mixed = color.keep_luma(one, two)
        assert mixed.dtype == one.dtype
        assert np.abs(mixed / (np.iinfo(one.dtype).max // 255) - plain).max() <= 2


@pytest.mark.parametrize("match", [color.match_color_coral, color.match_color_histogram])
def test_matching_in_sixteen_bits(match):
    source, target = noise(0, (120, 130, 110), 15), noise(1, (140, 100, 90), 20)
    plain = match(source, target)
    mixed = match(source, deep(target))
    assert mixed.dtype == np.uint8 and np.abs(mixed.astype(int) - plain).mean() < 0.6
    result = match(deep(source), deep(target))
    assert result.dtype == np.uint16 and np.abs(result / 257 - plain).mean() < 1
    assert (result % 257 != 0).mean() > 0.9
    for percent in (10, 50, 90):
        wanted = np.percentile(deep(target), percent, axis=(0, 1))
        assert np.abs(np.percentile(result, percent, axis=(0, 1)) - wanted).max() < 700
    assert np.array_equal(match(deep(source), deep(source)), deep(source))
    assert match(deep(source), target).dtype == np.uint16


def test_inputs_are_not_touched():
    style, content = noise(0), noise(1)
    for method in color.COLOR_METHODS:
        color.prepare_style(style, content, method)
        color.restore_colors(style, content, method)
    assert np.array_equal(style, noise(0)) and np.array_equal(content, noise(1))


def test_errors():
    with pytest.raises(ValueError, match="Received: method='hue'"):
        color.prepare_style(noise(0), noise(1), "hue")
    with pytest.raises(ValueError, match="Received: method='hue'"):
        color.restore_colors(noise(0), noise(1), "hue")
    with pytest.raises(ValueError, match=r"`content` must be .* Received: shape=\(40, 50\)"):
        color.keep_luma(noise(0), noise(1)[..., 0])
    with pytest.raises(ValueError, match="dtype=float64"):
        color.match_color_coral(noise(0).astype(float), noise(1))
