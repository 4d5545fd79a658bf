"""Laws of style codes, masks, sizes and plans, for inputs that nobody thought of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adain.imaging.io import resize_image, resize_mask
from adain.imaging.pixels import to_input, to_picture, to_unit
from adain.inference import tiling
from adain.inference.multiscale import octaves, stylize_octaves
from adain.inference.regions import Shares, to_mask
from adain.inference.style_code import StyleCode, mix
from adain.options import UsageError
from adain.sources import Source
from adain.stylize.config import StylizeConfig
from adain.stylize.planned import planned_regions

# The same examples on every machine, and no database of them.
quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
slow = settings(quick, max_examples=15)

numbers = st.floats(-100, 100, width=32)
positive = st.floats(2**-6, 100, width=32)
weights = st.floats(0, 1e6).filter(lambda weight: weight == 0 or weight > 1e-6)


@st.composite
def code_lists(draw, least=1, most=4):
    count = draw(st.integers(least, most))
    return [
        StyleCode([draw(arrays("float32", 5, elements=numbers))],
                  [draw(arrays("float32", 5, elements=positive))])
        for _ in range(count)
    ]  # fmt: skip


def close(a: StyleCode, b: StyleCode):
    for ours, theirs in zip(a.means + a.stds, b.means + b.stds, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


# === Codes ===


@quick
@given(code_lists(), st.data())
def test_weight_one_is_exactly_that_code(codes, data):
    chosen = data.draw(st.integers(0, len(codes) - 1))
    scale = data.draw(st.floats(1e-3, 1e3))
    mixed = mix(codes, [scale * (i == chosen) for i in range(len(codes))])
    for ours, theirs in zip(
        mixed.means + mixed.stds, codes[chosen].means + codes[chosen].stds, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@quick
@given(code_lists(2), st.data())
def test_mixes_do_not_depend_on_scale_or_order(codes, data):
    shares = data.draw(st.lists(weights, min_size=len(codes), max_size=len(codes)))
    assume(sum(shares) > 0)
    mixed = mix(codes, shares)
    close(mixed, mix(codes, [3.7 * share for share in shares]))
    order = data.draw(st.permutations(range(len(codes))))
    close(mixed, mix([codes[i] for i in order], [shares[i] for i in order]))


@quick
@given(code_lists(3, 3), positive, positive, positive)
def test_mixes_of_mixes_are_mixes(codes, a, b, c):
    inner = mix(codes[:2], [a, b])
    close(mix([inner, codes[2]], [a + b, c]), mix(codes, [a, b, c]))


@quick
@given(code_lists(), st.data())
def test_mixes_lie_between_their_parts(codes, data):
    shares = data.draw(st.lists(weights, min_size=len(codes), max_size=len(codes)))
    assume(sum(shares) > 0)
    mixed = mix(codes, shares)
    for name in ("means", "stds"):
        parts = np.stack([getattr(code, name)[0] for code in codes])
        found = getattr(mixed, name)[0]
        slack = 1e-5 * np.abs(parts).max() + 1e-6
        assert (found >= parts.min(0) - slack).all() and (found <= parts.max(0) + slack).all()


@quick
@given(code_lists(1, 1), st.text(max_size=20), st.text(max_size=20))
def test_cards_keep_everything(tmp_path, codes, name, credit):
    code = StyleCode(codes[0].means, codes[0].stds, preset="p", name=name, credit=credit)
    code.save(tmp_path / "card.npz")
    read = StyleCode.load(tmp_path / "card.npz")
    np.testing.assert_array_equal(read.means[0], code.means[0])
    np.testing.assert_array_equal(read.stds[0], code.stds[0])
    assert (read.preset, read.name, read.credit) == ("p", name, credit)


@quick
@given(st.sampled_from([math.nan, math.inf, -math.inf]), st.integers(0, 4), st.booleans())
def test_codes_are_finite(bad, place, in_means):
    vectors = [np.ones(5, "float32"), np.ones(5, "float32")]
    vectors[0 if in_means else 1][place] = bad
    with pytest.raises(ValueError, match="must be finite"):
        StyleCode([vectors[0]], [vectors[1]])


# === Masks ===


@quick
@given(st.integers(1, 4), st.integers(1, 30), st.integers(1, 30), st.data())
def test_shares_are_fair(count, height, width, data):
    """Never above 1 in all, in proportion to the masks, and the masks themselves where they fit."""
    grey = arrays("uint8", (height, width))
    unit = arrays("float32", (height, width), elements=st.floats(0, 1, width=32))
    masks = [data.draw(st.one_of(grey, unit)) for _ in range(count)]
    shares = Shares(masks)(slice(0, height), slice(0, width))
    plain = np.stack([to_unit(m) if m.dtype == np.uint8 else m for m in masks])
    total = plain.sum(0)
    assert shares.min() >= 0 and shares.sum(0).max() <= 1 + 1e-5
    np.testing.assert_allclose(shares * np.maximum(total, 1), plain, atol=1e-5)


@quick
@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 60), st.integers(1, 60), st.data())
def test_resized_masks_reach_no_further(height, width, new_height, new_width, data):
    mask = data.draw(arrays("uint8", (height, width)))
    resized = resize_mask(mask, (new_height, new_width))
    assert resized.shape == (new_height, new_width)
    assert mask.min() <= resized.min() and resized.max() <= mask.max()


@quick
@given(arrays("float64", (4, 6), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_masks_are_checked(mask):
    good = np.isfinite(mask).all() and mask.min() >= -1e-4 and mask.max() <= 1.0001
    try:
        checked = to_mask(mask, (4, 6))
    except (ValueError, RuntimeWarning):
        assert not good or not mask.astype("float32").clip(0, 1).any()
    else:
        assert good and checked.dtype == np.float32 and 0 <= checked.min() <= checked.max() <= 1


# === Sizes ===


@quick
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([8, 16]), st.booleans())
def test_padding_goes_to_the_right_and_bottom(height, width, stride, deep):
    dtype = np.uint16 if deep else np.uint8
    picture = np.arange(height * width * 3, dtype=dtype).reshape(height, width, 3)
    padded = to_input(picture, "picture", stride)
    assert padded.shape[0] % stride == padded.shape[1] % stride == 0
    assert min(padded.shape[:2]) >= 2 * stride
    assert padded.shape[0] - height < 2 * stride and padded.shape[1] - width < 2 * stride
    np.testing.assert_array_equal(padded[:height, :width], picture)
    np.testing.assert_array_equal(to_picture(to_unit(picture), dtype), picture)


@quick
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 9), st.integers(0, 5))
def test_tiles_cover_everything_once(height, width, tile, halo):
    tile, halo = 16 * tile, 8 * halo
    count = np.zeros((height, width), int)
    for rows, columns, outer_rows, outer_columns in tiling.tiles(height, width, (tile, 32), halo):
        count[rows, columns] += 1
        assert outer_rows.start == max(rows.start - halo, 0)
        assert outer_columns.stop == min(columns.stop + halo, width)
    assert (count == 1).all()


@slow
@given(st.integers(1, 90), st.integers(1, 90), st.floats(0, 1.2), st.data())
def test_any_size_and_strength(tiny_model, height, width, alpha, data):
    seed = data.draw(st.integers(0, 99))
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), "uint8")
    code = tiny_model.encode_style(picture[::-1])
    whole = tiny_model.stylize(picture, code, alpha)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "tile_sides", lambda size, tile, halo: (tile, tile))
        tiled = tiny_model.stylize(picture, code, alpha, tile=64)
    assert whole.shape == picture.shape and whole.dtype == np.uint8
    assert np.abs(whole.astype(int) - tiled).max() <= 1


@quick
@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(64, 3000))
def test_octaves_double_up_to_the_photo(height, width, shorter):
    sizes = octaves(height, width, shorter)
    assert sizes[-1] == (height, width)
    sides = [min(size) for size in sizes]
    assert sides[0] <= max(shorter, 1) or len(sizes) == 1
    assert sides == sorted(set(sides))
    for small, large in zip(sides[:-1], sides[1:], strict=True):
        assert large <= 2 * small + 1
    if min(height, width) > shorter:
        assert sides[0] == shorter


@quick
@given(st.integers(20, 90), st.integers(20, 90), st.integers(8, 40), st.booleans())
def test_painting_nothing_keeps_the_photo(height, width, shorter, deep):
    """Where stylising changes nothing and all detail is kept, enlarging loses next to nothing."""
    rng = np.random.default_rng(height * width)
    dtype, top = (np.uint16, 65535) if deep else (np.uint8, 255)
    # Far from black and white, where details are cut off.
    photo = rng.integers(top // 4, 3 * top // 4, (height // 4 + 1, width // 4 + 1, 3), dtype)
    photo = resize_image(photo, (height, width))
    result = stylize_octaves(lambda picture: picture, photo, shorter, keep=1.0)
    assert result.shape == photo.shape and result.dtype == dtype
    assert np.abs(result.astype(int) - photo).mean() <= 0.012 * top


# === Plans ===


@quick
@given(st.integers(1, 4), st.integers(0, 4), st.data())
def test_planned_regions_fit_or_are_refused(styles, masks, data):
    """Each mask gets shares of the styles that sum to 1, or a line says what was expected."""
    config = StylizeConfig(
        "photo.jpg",
        [f"{i}.jpg" for i in range(styles)],
        mask=[f"{i}.png" for i in range(masks)],
        style_mix=data.draw(st.booleans()),
        style_interp_weights=data.draw(st.lists(weights, max_size=8)),
        alpha=data.draw(st.lists(st.floats(0, 2), min_size=1, max_size=4)),
    )
    sources = [Source(None, str(i)) for i in range(styles)]
    spots = [Source(None, f"mask{i}") for i in range(masks)]
    rows = len(config.style_interp_weights) / styles
    fits = len(config.alpha) in (1, masks) or not masks
    if config.style_interp_weights:
        fits &= rows in (1, max(masks, 1))
        table = np.reshape(config.style_interp_weights, (-1, styles)) if fits else np.ones((1, 1))
        fits &= bool((table.sum(1) > 0).all())
    elif masks and not config.style_mix:
        fits &= styles in (1, masks)
    try:
        options = planned_regions(config, sources, spots)
    except UsageError as error:
        assert not fits and "Received: " in str(error) and "\n" not in str(error)
        return
    assert fits
    for layers in options:
        assert [layer.mask for layer in layers] == (spots or [None])
        for layer in layers:
            assert len(layer.styles) == len(layer.weights)
            assert math.isclose(sum(layer.weights), 1, rel_tol=1e-9)
