"""The losses against plain NumPy, and their reductions."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from adain.constants import EPSILON
from adain.networks import losses
from adain.networks.adain import mean_std


def number(x):
    return float(ops.convert_to_numpy(x))


@pytest.fixture
def taps():
    """Features of two pictures at two taps: the output's and the style's."""
    rng = np.random.default_rng(0)
    shapes = ((2, 8, 6, 3), (2, 4, 3, 5))
    return tuple(
        [rng.normal(shift, 2, shape).astype("float32") for shape in shapes] for shift in (0, 1)
    )


def statistics(taps):
    return tuple(zip(*(mean_std(tap) for tap in taps), strict=True))


def doubled(taps):
    return [np.concatenate([tap, tap]) for tap in taps]


# === Content ===


def test_content_loss_by_hand():
    features = np.array([1, 2, 3, 4], "float32").reshape(1, 2, 2, 1)
    target = np.array([1, 2, 3, 8], "float32").reshape(1, 2, 2, 1)
    assert number(losses.content_loss(features, target)) == 4  # 16 / 4


def test_content_loss(taps):
    (a, _), (b, _) = taps
    assert number(losses.content_loss(a, b)) == pytest.approx(np.mean((a - b) ** 2), rel=1e-5)
    assert number(losses.content_loss(a, a)) == 0
    assert number(losses.content_loss(*map(np.concatenate, ([a, a], [b, b])))) == pytest.approx(
        number(losses.content_loss(a, b)), rel=1e-5
    )


def test_content_loss_of_float16_does_not_overflow():
    a, b = np.full((1, 2, 2, 1), 30000, "float16"), np.full((1, 2, 2, 1), -30000, "float16")
    assert number(losses.content_loss(a, b)) == pytest.approx(3.6e9, rel=1e-3)


# === Style ===


def oracle_style(taps, others):
    total = 0
    for a, b in zip(taps, others, strict=True):
        a, b = a.astype("float64"), b.astype("float64")
        for mean in (
            lambda x: x.mean(axis=(1, 2)),
            lambda x: np.sqrt(x.var(axis=(1, 2)) + EPSILON),
        ):
            total += ((mean(a) - mean(b)) ** 2).sum(axis=1).mean()
    return total


def test_style_loss(taps):
    output, style = taps
    loss = number(losses.style_loss(output, *statistics(style)))
    assert loss == pytest.approx(oracle_style(output, style), rel=1e-4)
    assert loss > 1
    assert number(losses.style_loss(style, *statistics(style))) == 0


def test_style_loss_is_averaged_over_the_batch(taps):
    output, style = taps
    loss = number(losses.style_loss(output, *statistics(style)))
    again = number(losses.style_loss(doubled(output), *statistics(doubled(style))))
    assert again == pytest.approx(loss, rel=1e-5)


def test_style_loss_is_summed_over_channels_and_taps(taps):
    output, style = taps
    loss = number(losses.style_loss(output, *statistics(style)))
    wide = [[np.concatenate([tap, tap], axis=-1) for tap in group] for group in taps]
    assert number(losses.style_loss(wide[0], *statistics(wide[1]))) == pytest.approx(
        2 * loss, rel=1e-5
    )
    assert number(losses.style_loss(2 * output, *statistics(2 * style))) == pytest.approx(
        2 * loss, rel=1e-5
    )


def test_style_loss_ignores_places(taps):
    output, style = taps
    moved = [tap[:, ::-1, ::-1] for tap in output]
    assert number(losses.style_loss(moved, *statistics(style))) == pytest.approx(
        number(losses.style_loss(output, *statistics(style))), rel=1e-4
    )


def test_style_loss_wants_as_many_statistics_as_taps(taps):
    output, style = taps
    with pytest.raises(ValueError):
        losses.style_loss(output[:1], *statistics(style))


# === Gram ===


def test_gram_matrix_by_hand():
    x = np.array([[1, 10], [2, 20]], "float32").reshape(1, 1, 2, 2)
    gram = ops.convert_to_numpy(losses.gram_matrix(x))[0]
    assert gram.tolist() == [[2.5, 25], [25, 250]]


def test_gram_loss(taps):
    output, style = taps

    def gram(x):
        return np.einsum("bhwi,bhwj->bij", x, x, dtype="float64") / (x.shape[1] * x.shape[2])

    expected = sum(
        ((gram(a) - gram(b)) ** 2).sum(axis=(1, 2)).mean() / a.shape[-1]
        for a, b in zip(output, style, strict=True)
    )
    grams = [losses.gram_matrix(tap) for tap in style]
    loss = number(losses.gram_loss(output, grams))
    assert loss == pytest.approx(expected, rel=1e-4)
    assert number(losses.gram_loss(style, grams)) == 0
    grams = [losses.gram_matrix(tap) for tap in doubled(style)]
    assert number(losses.gram_loss(doubled(output), grams)) == pytest.approx(loss, rel=1e-5)


def test_relative_gram_loss(taps):
    output, style = taps
    expected = 0
    for a, b in zip(output, style, strict=True):
        for x, y in zip(a.astype("float64"), b.astype("float64"), strict=True):
            x, y = (np.einsum("hwi,hwj->ij", z, z) / (z.shape[0] * z.shape[1]) for z in (x, y))
            expected += ((x - y) ** 2).sum() / (y**2).sum() / 2
    grams = [losses.gram_matrix(tap) for tap in style]
    assert number(losses.relative_gram_loss(output, grams)) == pytest.approx(expected, rel=1e-4)
    assert number(losses.relative_gram_loss(style, grams)) == 0
    # Twice as strong features, both: the same; an output of nothing: 1 for each tap.
    louder = [losses.gram_matrix(2 * tap) for tap in style]
    loss = number(losses.relative_gram_loss([2 * tap for tap in output], louder))
    assert loss == pytest.approx(expected, rel=1e-4)
    nothing = [np.zeros_like(tap) for tap in output]
    assert number(losses.relative_gram_loss(nothing, grams)) == pytest.approx(2, rel=1e-4)


# === Range ===


def test_range_loss():
    image = np.array([-0.5, 0, 0.3, 1, 3, 1], "float32").reshape(1, 1, 2, 3)
    assert number(losses.range_loss(image)) == pytest.approx((0.25 + 4) / 6)
    assert number(losses.range_loss(np.clip(image, 0, 1))) == 0


# === Total variation ===


def test_total_variation_by_hand():
    image = np.zeros((1, 2, 3, 1), "float32")
    image[0, 0, 1] = 2  # Two horizontal neighbours and one vertical: 3 * 4.
    assert number(losses.total_variation_loss(image)) == 12


def test_total_variation():
    image = np.random.default_rng(0).uniform(size=(2, 5, 4, 3)).astype("float32")
    expected = sum((np.diff(image, axis=axis) ** 2).sum() for axis in (1, 2)) / 2
    loss = number(losses.total_variation_loss(image))
    assert loss == pytest.approx(expected, rel=1e-5)
    assert number(losses.total_variation_loss(np.concatenate([image, image]))) == pytest.approx(
        loss, rel=1e-5
    )
    assert number(losses.total_variation_loss(np.ones((1, 4, 4, 3), "float32"))) == 0
