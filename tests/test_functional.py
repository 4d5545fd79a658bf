"""AdaIN and style codes against plain NumPy."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from keras import ops

from adain.constants import EPSILON
from adain.inference.style_code import StyleCode, mix
from adain.networks.adain import adaptive_instance_normalization, mean_std, transfer_statistics
from adain.presets import npz


def oracle_mean_std(x, epsilon=EPSILON):
    x = np.asarray(x, "float64")
    return (
        x.mean(axis=(1, 2), keepdims=True),
        np.sqrt(x.var(axis=(1, 2), keepdims=True) + epsilon),
    )


def oracle_adain(content, style, alpha=1.0):
    (mean, std), (style_mean, style_std) = oracle_mean_std(content), oracle_mean_std(style)
    target = style_std * (content - mean) / std + style_mean
    return alpha * target + (1 - alpha) * content


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    content = rng.normal(2, 3, (2, 6, 5, 7)).astype("float32")
    style = rng.normal(-1, 0.5, (2, 4, 9, 7)).astype("float32")
    return content, style


# === mean_std ===


def test_mean_std_by_hand():
    # One picture of 2 x 2, two channels: 1 2 3 4, and 5 5 5 5.
    x = np.array([[[[1, 5], [2, 5]], [[3, 5], [4, 5]]]], "float32")
    mean, std = map(numpy, mean_std(x, epsilon=0.0))
    assert mean.shape == std.shape == (1, 1, 1, 2)
    assert mean.ravel().tolist() == [2.5, 5]
    # Biased: (2.25 + 0.25 + 0.25 + 2.25) / 4 = 1.25, where the unbiased one is 5 / 3.
    np.testing.assert_allclose(std.ravel(), [1.25**0.5, 0], rtol=1e-6)


def test_mean_std_agrees_with_numpy(features):
    for x in features:
        for ours, theirs in zip(mean_std(x), oracle_mean_std(x), strict=True):
            np.testing.assert_allclose(numpy(ours), theirs, rtol=1e-5)


def test_epsilon_is_inside_the_root():
    std = numpy(mean_std(np.ones((1, 4, 4, 1), "float32"))[1])
    np.testing.assert_allclose(std.ravel(), [EPSILON**0.5], rtol=1e-5)


def test_small_deviation_beside_a_large_mean():
    # E[x^2] - E[x]^2 in float32 would find 0 here, or a negative variance.
    x = np.where(np.arange(64).reshape(1, 8, 8, 1) % 2, 4000.5, 3999.5).astype("float32")
    np.testing.assert_allclose(numpy(mean_std(x)[1]).ravel(), [0.5], rtol=1e-3)


def test_float16_does_not_overflow():
    x = np.random.default_rng(1).normal(100, 9000, (1, 16, 16, 3)).astype("float16")
    mean, std = map(numpy, mean_std(x))
    assert mean.dtype == std.dtype == np.float32
    for ours, theirs in zip((mean, std), oracle_mean_std(x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    result = numpy(adaptive_instance_normalization(x, x))
    assert result.dtype == np.float16
    np.testing.assert_allclose(result, x, rtol=2e-3, atol=1)


@pytest.mark.parametrize("shape", [(4, 4, 3), (1, 2, 4, 4, 3), (5,)])
def test_mean_std_wants_four_dimensions(shape):
    with pytest.raises(ValueError, match=r"`features` must be \(batch, .*Received: shape="):
        mean_std(np.zeros(shape, "float32"))


# === AdaIN ===


def test_adain_by_hand():
    content = np.array([0, 2, 0, 2], "float32").reshape(1, 2, 2, 1)  # mean 1, deviation 1
    style = np.array([10, 16], "float32").reshape(1, 1, 2, 1)  # mean 13, deviation 3
    result = numpy(adaptive_instance_normalization(content, style))
    np.testing.assert_allclose(result.ravel(), [10, 16, 10, 16], rtol=1e-4)
    half = numpy(adaptive_instance_normalization(content, style, alpha=0.5))
    np.testing.assert_allclose(half.ravel(), [5, 9, 5, 9], rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 1.5])
def test_adain_agrees_with_numpy(features, alpha):
    ours = numpy(adaptive_instance_normalization(*features, alpha=alpha))
    np.testing.assert_allclose(ours, oracle_adain(*features, alpha), rtol=1e-4, atol=1e-4)


def test_adain_gives_the_statistics_of_the_style(features):
    ours = mean_std(adaptive_instance_normalization(*features))
    for received, expected in zip(ours, oracle_mean_std(features[1]), strict=True):
        np.testing.assert_allclose(numpy(received), expected, rtol=1e-3, atol=1e-4)


def test_adain_of_itself_changes_nothing(features):
    x = features[0]
    np.testing.assert_allclose(numpy(adaptive_instance_normalization(x, x)), x, atol=1e-5)


def test_alpha_zero_returns_the_content_exactly(features):
    ours = numpy(adaptive_instance_normalization(*features, alpha=0.0))
    np.testing.assert_array_equal(ours, features[0])


def test_pictures_of_a_batch_do_not_mix(features):
    content, style = features
    both = numpy(adaptive_instance_normalization(content, style))
    one = numpy(adaptive_instance_normalization(content[1:], style[1:]))
    np.testing.assert_allclose(both[1:], one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("which", ["content", "style", "both"])
def test_flat_features_stay_finite(features, which):
    content, style = features
    content = np.full_like(content, 3) if which != "style" else content
    style = np.full_like(style, 7) if which != "content" else style
    ours = numpy(adaptive_instance_normalization(content, style))
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(ours, oracle_adain(content, style), rtol=1e-4, atol=1e-4)


def test_channel_counts_must_agree():
    content, style = np.zeros((1, 4, 4, 3), "float32"), np.zeros((1, 4, 4, 5), "float32")
    with pytest.raises(ValueError, match=r"same number of channels.*content\.shape=\(1, 4, 4, 3\)"):
        adaptive_instance_normalization(content, style)


# === Style codes ===


def code_of(features, **about):
    mean, std = mean_std(features)
    return StyleCode([numpy(mean)], [numpy(std)], **about)


def apply(content, code):
    mean, std = (vector.reshape(1, 1, 1, -1) for vector in (code.means[0], code.stds[0]))
    return numpy(transfer_statistics(content, *mean_std(content), mean, std))


def test_mix_is_the_weighted_mean():
    a = StyleCode([[0, 10], [1]], [[1, 1], [2]])
    b = StyleCode([[4, 20], [5]], [[3, 1], [6]])
    mixed = mix([a, b], [1, 3])
    assert [mean.tolist() for mean in mixed.means] == [[3, 17.5], [4]]
    assert [std.tolist() for std in mixed.stds] == [[2.5, 1], [5]]
    assert mix([a, b]).means[0].tolist() == [2, 15]
    assert mix([a]).stds[0].tolist() == [1, 1]
    assert mixed.widths == (2, 1)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_strength_is_mixing_with_the_content(features, alpha):
    content, style = (x[:1] for x in features)
    mixed = mix([code_of(style), code_of(content)], [alpha, 1 - alpha])
    expected = numpy(adaptive_instance_normalization(content, style, alpha=alpha))
    np.testing.assert_allclose(apply(content, mixed), expected, rtol=1e-4, atol=1e-5)


def test_mix_keeps_the_credit():
    a = StyleCode([[1]], [[1]], name="Wave", credit="Hokusai", license="PD", preset="p")
    b = StyleCode([[2]], [[1]], name="Night", credit="Van Gogh", license="PD", preset="p")
    mixed = mix([a, b])
    assert mixed.name == "Wave + Night"
    assert mixed.credit == "Hokusai; Van Gogh"
    assert (mixed.license, mixed.preset) == ("PD", "p")


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1], "one number for each code"), ([0, 0], "not all 0"), ([-1, 2], "0 or more"),
     ([float("nan"), 1], "not all 0"), ([float("inf"), 1], "Received: weights=")],
)  # fmt: skip
def test_mix_refuses_weights(weights, message):
    code = StyleCode([[1]], [[1]])
    with pytest.raises(ValueError, match=message):
        mix([code, code], weights)


def test_mix_refuses_none_at_all_and_other_presets():
    with pytest.raises(ValueError, match="0 codes"):
        mix([])
    with pytest.raises(ValueError, match="different presets"):
        mix([StyleCode([[1]], [[1]], preset="a"), StyleCode([[1]], [[1]], preset="b")])
    with pytest.raises(ValueError, match="different presets"):
        mix([StyleCode([[1]], [[1]]), StyleCode([[1, 2]], [[1, 2]])])


@pytest.mark.parametrize(("means", "stds"), [([[1, 2]], [[1]]), ([[1], [2]], [[1]]), ([], [])])
def test_code_refuses_shapes(means, stds):
    with pytest.raises(ValueError, match="equally long"):
        StyleCode(means, stds)


def test_card_round_trip_is_exact(tmp_path):
    rng = np.random.default_rng(3)
    about = {"preset": "p", "name": "Große Welle", "credit": "Hokusai", "license": "PD"}
    code = StyleCode(
        [rng.normal(size=512), rng.normal(size=8)], [rng.uniform(size=512), np.ones(8)], **about
    )
    path = tmp_path / "card.npz"
    code.save(path)
    back = StyleCode.load(path)
    for ours, theirs in zip(back.means + back.stds, code.means + code.stds, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == np.float32
    assert {key: getattr(back, key) for key in about} == about
    assert path.stat().st_size < 8192
    assert [file.name for file in tmp_path.iterdir()] == ["card.npz"]


def test_card_holds_no_pickle(tmp_path):
    path = tmp_path / "card.npz"
    StyleCode([[1, 2]], [[3, 4]], name="x").save(path)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            # A pickled array says `'descr': '|O'` in its header.
            assert content[:6] == b"\x93NUMPY"
            assert b"|O" not in content[:128]


def test_pickled_card_is_refused(tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, mean_0=np.array([{"a": 1}], dtype=object), std_0=np.ones(1))
    with pytest.raises(ValueError, match="not a readable"):
        StyleCode.load(path)


def test_wrong_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        StyleCode.load(tmp_path / "none.npz")
    path = tmp_path / "file"
    for content in (b"", b"hello", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a readable"):
            StyleCode.load(path)
    with open(path, "wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(ValueError, match="not a readable"):
        StyleCode.load(path)
    npz.save(path, {"mean_0": np.ones(2)})
    with pytest.raises(ValueError, match="not a style card"):
        StyleCode.load(path)


@pytest.mark.parametrize(
    ("arrays", "about"),
    [({}, {}), ({"mean_0": [1]}, {}), ({"mean_0": [1], "std_0": [1]}, {"colour": "red"}),
     ({"mean_0": ["a"], "std_0": ["b"]}, {})],
)  # fmt: skip
def test_incomplete_cards_are_refused(tmp_path, arrays, about):
    path = tmp_path / "card.npz"
    arrays = {name: np.array(value) for name, value in arrays.items()}
    npz.save(path, arrays, {"format": "adain style card 1", **about})
    with pytest.raises(ValueError):
        StyleCode.load(path)


def test_damaged_cards_raise_nothing_but_valueerror(tmp_path):
    path = tmp_path / "card.npz"
    StyleCode([np.arange(40)], [np.ones(40)], name="x").save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(1, len(damaged) + 1)])
        try:
            StyleCode.load(path)
        except ValueError:
            refused += 1
    assert refused > 250


def test_failed_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "card.npz"
    StyleCode([[1]], [[1]], name="old").save(path)

    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        npz.write_atomically(path, fail)
    assert StyleCode.load(path).name == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["card.npz"]
