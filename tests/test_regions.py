"""Masks: each region has its own style and strength, and the rest stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from adain.inference.regions import Region, Shares, bounding_box
from adain.presets.architecture import ARCHITECTURES


@pytest.fixture
def codes(any_model, picture):
    return [any_model.encode_style(picture(48, 48, seed=2)),
            any_model.encode_style(255 - picture(32, 64, seed=3))]  # fmt: skip


def difference(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max()


def test_a_mask_of_everything_is_no_mask(any_model, codes, picture):
    content = picture(70, 101)
    plain = any_model.stylize(content, codes[0], 0.8)
    for mask in (np.ones((70, 101)), np.full((70, 101), 255, "uint8"), np.ones((70, 101), bool)):
        masked = any_model.stylize_regions(content, [Region(mask, codes[0], 0.8)])
        assert difference(masked, plain) <= 1


def test_the_rest_keeps_its_pixels(any_model, codes, picture):
    content = picture(64, 400)
    mask = np.zeros((64, 400), "uint8")
    mask[10:40, 30:90] = 255
    result = any_model.stylize_regions(content, [Region(mask, codes[0])])
    np.testing.assert_array_equal(result[mask == 0], content[mask == 0])
    assert np.abs(result[mask > 0].astype(int) - content[mask > 0]).mean() > 5


def test_statistics_are_those_inside_the_mask(any_model, codes, picture):
    """What lies far outside a region does not change it."""
    content = picture(64, 512)
    mask = np.zeros((64, 512))
    mask[:, :128] = 1
    other = content.copy()
    other[:, 300:] = 255 - other[:, 300:]
    first, second = (
        any_model.stylize_regions(image, [Region(mask, codes[0])]) for image in (content, other)
    )
    assert difference(first[:, :128], second[:, :128]) <= 1
    whole = [any_model.stylize(image, codes[0]) for image in (content, other)]
    assert difference(whole[0][:, :128], whole[1][:, :128]) > 1


def test_each_region_has_its_style_and_strength(any_model, codes, picture):
    content = picture(64, 96)
    mask = np.zeros((64, 96))
    mask[:, :48] = 1
    both = any_model.stylize_regions(
        content, [Region(mask, codes[0], 0.5), Region(1 - mask, codes[1])]
    )
    left = any_model.stylize_regions(content, [Region(mask, codes[0], 0.5)])
    right = any_model.stylize_regions(content, [Region(1 - mask, codes[1])])
    np.testing.assert_array_equal(both[:, :48], left[:, :48])
    np.testing.assert_array_equal(both[:, 48:], right[:, 48:])
    strong = any_model.stylize_regions(content, [Region(mask, codes[0], 1.0)])
    assert difference(strong[:, :48], left[:, :48]) > 3


def test_overlaps_share_and_order_does_not_matter(any_model, codes, picture):
    content = picture(64, 96)
    ones = np.ones((64, 96))
    regions = [Region(ones, codes[0]), Region(ones, codes[1])]
    both = any_model.stylize_regions(content, regions).astype(float)
    alone = [any_model.stylize(content, code).astype(float) for code in codes]
    assert np.abs(both - (alone[0] + alone[1]) / 2).max() <= 1
    np.testing.assert_array_equal(any_model.stylize_regions(content, regions[::-1]), both)


def test_soft_masks_cross_fade(any_model, codes, picture):
    content = picture(48, 64)
    half = any_model.stylize_regions(content, [Region(np.full((48, 64), 0.5), codes[0])])
    full = any_model.stylize(content, codes[0])
    assert np.abs(half - (full.astype(float) + content) / 2).max() <= 1


@pytest.mark.parametrize(("height", "width", "tile"), [(211, 257, 64), (97, 530, 128)])
@pytest.mark.usefixtures("cut")
def test_tiled_equals_whole(any_model, codes, picture, height, width, tile):
    content = picture(height, width) * np.linspace(0.2, 1, width)[:, None]
    content = content.astype("uint8")
    y, x = np.mgrid[:height, :width]
    blob = np.exp(-((x - width / 3) ** 2 + (y - height / 2) ** 2) / (2 * (height / 4) ** 2))
    blob[blob < 0.05] = 0
    stripe = (x > width - 40).astype("uint8") * 255
    regions = [Region(blob, codes[0], 0.9), Region(stripe, codes[1])]
    whole = any_model.stylize_regions(content, regions)
    tiled = any_model.stylize_regions(content, regions, tile=tile)
    assert difference(whole, tiled) <= 1


def test_16_bits(any_model, codes, picture):
    content = picture(48, 64)
    deep = content.astype("uint16") * 257
    mask = np.zeros((48, 64))
    mask[:, 20:] = 1
    result = any_model.stylize(deep, codes[0])
    assert result.dtype == np.uint16
    assert np.abs(result / 257 - any_model.stylize(content, codes[0])).max() <= 0.51
    # Not 8 bits in a wider box.
    assert np.unique(result % 257).size > 100
    result = any_model.stylize_regions(deep, [Region(mask, codes[0])])
    np.testing.assert_array_equal(result[:, :20], deep[:, :20])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((32, 32)), "something inside. Received: all zeros"),
        (np.zeros((32, 32), "uint8"), "something inside"),
        (np.full((32, 32), np.nan), r"numbers in \[0, 1\]. Received: nan"),
        (np.full((32, 32), 1.5), r"numbers in \[0, 1\]. Received: 1.5"),
        (np.full((32, 32), -1.0), r"numbers in \[0, 1\]. Received: -1.0"),
        (np.ones((32, 31)), r"as large as the picture. Received: shape=\(32, 31\)"),
        (np.ones((32, 32, 3)), "as large as the picture"),
        (np.full((32, 32), 2), "bool, float in .* or integers 0 and 1. Received: .* dtype=int64"),
    ],
)
def test_wrong_masks(any_model, codes, picture, mask, message):
    with pytest.raises(ValueError, match=message):
        any_model.stylize_regions(picture(32, 32), [Region(mask, codes[0])])


def test_wrong_regions(any_model, codes, picture):
    ones = np.ones((32, 32))
    with pytest.raises(ValueError, match="at least one region. Received: none"):
        any_model.stylize_regions(picture(32, 32), [])
    with pytest.raises(ValueError, match="`alpha` must be 0 or more. Received: alpha=-1"):
        any_model.stylize_regions(picture(32, 32), [Region(ones, codes[0], -1)])


def test_shares_add_up_to_one_at_most():
    rng = np.random.default_rng(0)
    masks = [rng.uniform(0, 1, (20, 30)).astype("float32") for _ in range(2)]
    masks.append((rng.uniform(0, 1, (20, 30)) > 0.7).astype("uint8") * 255)
    shares = Shares(masks)(slice(0, 20), slice(4, 30))
    assert shares.shape == (3, 20, 26)
    total = masks[0] + masks[1] + masks[2] / 255
    np.testing.assert_allclose(shares.sum(0), np.minimum(total, 1)[:, 4:], rtol=1e-5)


def test_boxes_hold_what_the_decoder_sees():
    architecture = ARCHITECTURES["vgg19"]
    share = np.zeros((640, 320))
    assert bounding_box(share, architecture) is None
    share[300:310, 100] = 0.1
    rows, columns = bounding_box(share, architecture)
    assert rows.start <= 300 - architecture.decoder_halo < rows.start + 64
    assert rows.stop >= 310 + architecture.decoder_halo > rows.stop - 64
    assert columns.start <= 68 and columns.stop >= 133
    assert rows.start % 8 == rows.stop % 8 == columns.start % 8 == columns.stop % 8 == 0
