"""`StyleTransfer`: pictures in, pictures out."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from adain.functional import StyleCode, mix
from adain.model import StyleTransfer
from adain.networks import get_arrays, set_arrays
from adain.presets import PresetError


@pytest.fixture(scope="module")
def content(picture):
    return picture(65, 97, seed=1)


@pytest.fixture(scope="module")
def style(picture):
    return picture(50, 41, seed=2)


def levels(a, b) -> int:
    """Largest difference in grey levels."""
    return int(np.abs(a.astype(int) - b.astype(int)).max())


# === Sizes ===


@pytest.mark.parametrize("size", [(65, 97), (1, 1), (1, 70), (8, 8), (15, 17), (64, 64), (33, 16)])
def test_size_is_kept(tiny_model, picture, style, size):
    result = tiny_model.stylize(picture(*size), style)
    assert result.shape == (*size, 3)
    assert result.dtype == np.uint8


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (16, 16)])
def test_styles_of_any_size(tiny_model, content, picture, size):
    assert tiny_model.stylize(content, picture(*size)).shape == content.shape


def test_very_long_picture(make_model, picture, style):
    model = make_model(widths=(1, 1, 1, 2))
    result = model.stylize(picture(5000, 20), style)
    assert result.shape == (5000, 20, 3)
    assert result.std() > 0


def test_arguments_are_not_changed(tiny_model, content, style):
    before = content.copy(), style.copy()
    tiny_model.stylize(content, style)
    np.testing.assert_array_equal(content, before[0])
    np.testing.assert_array_equal(style, before[1])
    content.flags.writeable = False
    try:
        tiny_model.stylize(content[::-1, ::2], style)
    finally:
        content.flags.writeable = True


# === Flat pictures ===


@pytest.mark.parametrize("flat", ["content", "style", "both"])
def test_flat_pictures_stay_finite(tiny_model, content, style, flat):
    white = np.full((40, 40, 3), 255, "uint8")
    result = tiny_model.stylize(
        white if flat != "style" else content, white if flat != "content" else style
    )
    code = tiny_model.encode_style(white)
    assert np.isfinite(code.means[0]).all()
    assert np.isfinite(code.stds[0]).all()
    assert (code.stds[0] > 0).all()
    assert result.shape[-1] == 3


# === What is computed ===


def oracle(model, content, style, alpha):
    """The paper's equations with the bare networks; sides are multiples of 8."""
    f, fs = (
        model.encoder.predict_on_batch(image[None].astype("float32") / 255)[-1].astype("float64")
        for image in (content, style)
    )

    def statistics(x):
        return x.mean(axis=(1, 2), keepdims=True), np.sqrt(x.var(axis=(1, 2), keepdims=True) + 1e-5)

    (mean, std), (style_mean, style_std) = statistics(f), statistics(fs)
    t = alpha * (style_std * (f - mean) / std + style_mean) + (1 - alpha) * f
    image = model.decoder.predict_on_batch(t.astype("float32"))[0]
    return np.rint(np.clip(image, 0, 1) * 255).astype("uint8")


@pytest.mark.parametrize("alpha", [0, 0.4, 1, 1.5])
def test_stylize_is_the_papers_equation(tiny_model, picture, alpha):
    content, style = picture(64, 96, 3), picture(40, 48, 4)
    result = tiny_model.stylize(content, style, alpha=alpha)
    assert levels(result, oracle(tiny_model, content, style, alpha)) <= 1
    assert result.std() > 10


def test_alpha_zero_is_the_autoencoder(tiny_model, picture, style):
    content = picture(64, 48)
    features = tiny_model.encoder.predict_on_batch(content[None].astype("float32") / 255)[-1]
    image = tiny_model.decoder.predict_on_batch(features)[0]
    expected = np.rint(np.clip(image, 0, 1) * 255).astype("uint8")
    assert levels(tiny_model.stylize(content, style, alpha=0), expected) == 0


def test_alpha_has_an_effect(tiny_model, content, style):
    results = [tiny_model.stylize(content, style, alpha=alpha) for alpha in (0, 0.5, 1, 2)]
    for a, b in zip(results, results[1:], strict=False):
        assert levels(a, b) > 5


def test_code_in_place_of_the_style(tiny_model, content, style, tmp_path):
    code = tiny_model.encode_style(style, name="Wave", credit="Hokusai", licence="PD")
    assert repr(code) == "StyleCode(name='Wave', preset='tiny0', widths=(16,))"
    code.save(tmp_path / "card.npz")
    expected = tiny_model.stylize(content, style)
    for one in (code, StyleCode.load(tmp_path / "card.npz"), mix([code, code])):
        assert levels(tiny_model.stylize(content, one), expected) == 0


def test_alpha_is_mixing_with_the_content(tiny_model, picture, style):
    content = picture(64, 96)  # Without padding: a code knows nothing of it.
    mixed = mix([tiny_model.encode_style(style), tiny_model.encode_style(content)], [0.3, 0.7])
    expected = tiny_model.stylize(content, style, alpha=0.3)
    assert levels(tiny_model.stylize(content, mixed), expected) <= 1


def test_style_is_seen(tiny_model, content, style, picture):
    other = picture(50, 41, seed=3)
    assert levels(tiny_model.stylize(content, style), tiny_model.stylize(content, other)) > 5


# === Errors ===


@pytest.mark.parametrize("alpha", [-0.5, float("nan"), float("inf")])
def test_alpha_is_refused(tiny_model, content, style, alpha):
    with pytest.raises(ValueError, match=rf"Received: alpha={alpha}"):
        tiny_model.stylize(content, style, alpha=alpha)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((8, 8, 3), "float32"),
        np.zeros((8, 8), "uint8"),
        np.zeros((8, 8, 4), "uint8"),
        np.zeros((1, 8, 8, 3), "uint8"),
        np.zeros((0, 8, 3), "uint8"),
        None,
    ],
)
def test_other_arrays_are_refused(tiny_model, content, wrong):
    with pytest.raises(ValueError, match=r"`content` must be .* uint8 sRGB.*Received: shape="):
        tiny_model.stylize(wrong, content)
    with pytest.raises(ValueError, match=r"`style` must be .* uint8 sRGB.*Received: shape="):
        tiny_model.stylize(content, wrong)


def test_codes_of_other_models_are_refused(tiny_model, content, style, make_model):
    with pytest.raises(ValueError, match=r"made with preset 'tiny0'.*preset='tiny1'"):
        tiny_model.stylize(content, make_model(1).encode_style(style))
    with pytest.raises(ValueError, match=r"widths \(16,\)"):
        tiny_model.stylize(content, StyleCode([[1]], [[1]]))


@pytest.mark.parametrize("tile", [-8, 100])
def test_tile_is_refused(tiny_model, content, style, tile):
    for function in (
        lambda: tiny_model.stylize(content, style, tile=tile),
        lambda: tiny_model.encode_style(style, tile=tile),
    ):
        with pytest.raises(ValueError, match=rf"multiple of 8\. Received: tile={tile}"):
            function()


# === As a Keras model ===


def unit(*images):
    return np.stack(images).astype("float32") / 255


def test_call_agrees_with_stylize(tiny_model, picture):
    contents = [picture(32, 48, seed) for seed in (1, 2)]
    styles = [picture(40, 32, seed) for seed in (3, 4)]
    alpha = np.array([[1], [0.5]], "float32")
    inputs = {"content": unit(*contents), "style": unit(*styles), "alpha": alpha}
    images = tiny_model.predict_on_batch(inputs)
    assert images.shape == (2, 32, 48, 3)
    for i, image in enumerate(images):
        expected = tiny_model.stylize(contents[i], styles[i], alpha=float(alpha[i, 0]))
        assert levels(np.rint(np.clip(image, 0, 1) * 255), expected) <= 1
    del inputs["alpha"]
    np.testing.assert_allclose(tiny_model.predict_on_batch(inputs)[0], images[0], atol=1e-5)


def test_keras_file_round_trip(tiny_model, picture, tmp_path):
    path = tmp_path / "model.keras"
    tiny_model.save(path)
    again = keras.saving.load_model(path)
    assert isinstance(again, StyleTransfer)
    assert again.about == tiny_model.about
    content, style = picture(33, 40), picture(32, 32, 1)
    assert levels(again.stylize(content, style), tiny_model.stylize(content, style)) == 0


# === Presets ===


def test_preset_round_trip(make_model, content, style, tmp_path):
    model = make_model(3)
    model.about |= {"licence": "CC BY 4.0", "numbers": [1, 2.5], "training": {"step": 7}}
    model.save_to_preset(tmp_path / "one")
    first = StyleTransfer.from_preset(tmp_path / "one")
    # Once the weights have been rounded to half precision, nothing changes any more.
    first.save_to_preset(tmp_path / "two")
    second = StyleTransfer.from_preset(str(tmp_path / "two"))
    assert first.about == second.about == model.about
    for part in ("encoder", "decoder"):
        arrays = [get_arrays(getattr(one, part)) for one in (model, first, second)]
        for name, array in arrays[0].items():
            np.testing.assert_array_equal(arrays[1][name], array.astype("float16"))
            np.testing.assert_array_equal(arrays[2][name], arrays[1][name])
        assert (tmp_path / "one" / f"{part}.npz").read_bytes() == (
            tmp_path / "two" / f"{part}.npz"
        ).read_bytes()
    assert levels(first.stylize(content, style), second.stylize(content, style)) == 0
    assert levels(first.stylize(content, style), model.stylize(content, style)) <= 3


def test_half_precision_that_overflows_is_refused(make_model, tmp_path):
    model = make_model(4)
    arrays = get_arrays(model.decoder)
    arrays["conv1_1/bias"][0] = 1e6
    set_arrays(model.decoder, arrays)
    with pytest.raises(PresetError, match="conv1_1/bias does not fit half precision"):
        model.save_to_preset(tmp_path / "big")
    assert not (tmp_path / "big" / "config.json").exists()


@pytest.mark.parametrize("file", ["encoder.npz", "decoder.npz"])
def test_damaged_weights_are_refused(tiny_preset, file):
    path = tiny_preset / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(PresetError, match=rf"{file}: SHA-256 must be .*, received"):
        StyleTransfer.from_preset(tiny_preset)
    path.write_bytes(content[:100])
    with pytest.raises(PresetError, match="SHA-256"):
        StyleTransfer.from_preset(tiny_preset)
    path.unlink()
    with pytest.raises(PresetError, match=rf"{file}: cannot be read"):
        StyleTransfer.from_preset(tiny_preset)
