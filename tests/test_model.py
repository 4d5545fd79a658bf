"""`StyleTransfer`: pictures in, pictures out."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from adain.inference.style_code import StyleCode, mix
from adain.networks.model import StyleTransfer
from adain.networks.vgg19 import get_arrays, set_arrays
from adain.presets.architecture import ARCHITECTURES
from adain.presets.preset import PresetError


@pytest.fixture(scope="module")
def content(picture):
    return picture(65, 97, seed=1)


@pytest.fixture(scope="module")
def style(picture):
    return picture(50, 41, seed=2)


def levels(a, b) -> int:
    """Largest difference in grey levels."""
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def unit(*images):
    return np.stack(images).astype("float32") / 255


# === Sizes ===


@pytest.mark.parametrize("size", [(65, 97), (1, 1), (1, 70), (8, 8), (15, 17), (64, 64), (33, 16)])
def test_size_is_kept(any_model, picture, style, size):
    result = any_model.stylize(picture(*size), style)
    assert result.shape == (*size, 3)
    assert result.dtype == np.uint8


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (16, 16)])
def test_styles_of_any_size(any_model, content, picture, size):
    assert any_model.stylize(content, picture(*size)).shape == content.shape


def test_very_long_picture(any_model, picture, style):
    result = any_model.stylize(picture(5000, 20), style)
    assert result.shape == (5000, 20, 3)
    assert result.std() > 0


def test_arguments_are_not_changed(any_model, content, style):
    before = content.copy(), style.copy()
    any_model.stylize(content, style)
    np.testing.assert_array_equal(content, before[0])
    np.testing.assert_array_equal(style, before[1])
    content.flags.writeable = False
    try:
        any_model.stylize(content[::-1, ::2], style)
    finally:
        content.flags.writeable = True


# === Flat pictures ===


@pytest.mark.parametrize("flat", ["content", "style", "both"])
def test_flat_pictures_stay_finite(any_model, content, style, flat):
    white = np.full((40, 40, 3), 255, "uint8")
    result = any_model.stylize(
        white if flat != "style" else content, white if flat != "content" else style
    )
    code = any_model.encode_style(white)
    for mean, std in zip(code.means, code.stds, strict=True):
        assert np.isfinite(mean).all()
        assert np.isfinite(std).all()
        assert (std > 0).all()
    assert result.shape[-1] == 3


# === What is computed ===


def oracle(model, content, style, alpha):
    """The paper's equations with the bare networks; sides are multiples of the stride."""
    facts = ARCHITECTURES[model.architecture]
    levels, style_levels = (
        [
            tap.astype("float64")
            for tap in model.encoder.predict_on_batch(unit(image))[-facts.levels :]
        ]
        for image in (content, style)
    )

    def statistics(x):
        return x.mean(axis=(1, 2), keepdims=True), np.sqrt(
            x.var(axis=(1, 2), keepdims=True) + facts.epsilon
        )

    wanted, targets = [], []
    for f, fs in zip(levels, style_levels, strict=True):
        (mean, std), (style_mean, style_std) = statistics(f), statistics(fs)
        targets.append(alpha * (style_std * (f - mean) / std + style_mean) + (1 - alpha) * f)
        wanted.append(
            (alpha * style_mean + (1 - alpha) * mean, alpha * style_std + (1 - alpha) * std)
        )
    if model.architecture != "vgg19":
        parts = [part for parts in zip(*wanted, strict=True) for part in parts]
        targets.append(np.concatenate(parts, -1))
    image = model.decoder.predict_on_batch([target.astype("float32") for target in targets])[0]
    return np.rint(np.clip(image, 0, 1) * 255).astype("uint8")


@pytest.mark.parametrize("alpha", [0, 0.4, 1, 1.5])
def test_stylize_is_the_papers_equation(any_model, picture, alpha):
    content, style = picture(64, 96, 3), picture(48, 64, 4)
    result = any_model.stylize(content, style, alpha=alpha)
    assert levels(result, oracle(any_model, content, style, alpha)) <= 1
    assert result.std() > 10


def test_alpha_zero_is_the_autoencoder(tiny_model, picture, style):
    content = picture(64, 48)
    features = tiny_model.encoder.predict_on_batch(unit(content))[1:]
    image = tiny_model.decoder.predict_on_batch(features)[0]
    expected = np.rint(np.clip(image, 0, 1) * 255).astype("uint8")
    assert levels(tiny_model.stylize(content, style, alpha=0), expected) == 0


def test_alpha_zero_is_the_contents_own_style(any_model, content, style):
    """Nothing of the style is left, also not in what steers a compact decoder."""
    expected = any_model.stylize(content, any_model.encode_style(content))
    assert levels(any_model.stylize(content, style, alpha=0), expected) <= 1


def test_every_level_counts(make_compact, content, style, picture):
    """A style's statistics at each of the four levels change the picture."""
    model = make_compact()
    ours, other = model.encode_style(style), model.encode_style(255 - style)
    before = model.stylize(content, ours)
    for i in range(4):
        means, stds = (
            [b if i == j else a for j, (a, b) in enumerate(zip(one, two, strict=True))]
            for one, two in ((ours.means, other.means), (ours.stds, other.stds))
        )
        code = StyleCode(means, stds, preset=model.preset)
        assert levels(model.stylize(content, code), before) > 5


def test_alpha_has_an_effect(any_model, content, style):
    results = [any_model.stylize(content, style, alpha=alpha) for alpha in (0, 0.5, 1, 2)]
    for a, b in zip(results, results[1:], strict=False):
        assert levels(a, b) > 5


def test_code_in_place_of_the_style(any_model, content, style, tmp_path):
    code = any_model.encode_style(style, name="Wave", credit="Hokusai", license="PD")
    widths = {"vgg19": (8, 8, 16), "compact": (4, 6, 8, 12, 10)}
    widths = widths[any_model.architecture]
    assert repr(code) == f"StyleCode(name='Wave', preset={any_model.preset!r}, widths={widths})"
    code.save(tmp_path / "card.npz")
    expected = any_model.stylize(content, style)
    for one in (code, StyleCode.load(tmp_path / "card.npz"), mix([code, code])):
        assert levels(any_model.stylize(content, one), expected) == 0


def test_alpha_is_mixing_with_the_content(any_model, picture, style):
    content = picture(64, 96)  # Without padding: a code knows nothing of it.
    mixed = mix([any_model.encode_style(style), any_model.encode_style(content)], [0.3, 0.7])
    expected = any_model.stylize(content, style, alpha=0.3)
    assert levels(any_model.stylize(content, mixed), expected) <= 1


def test_style_is_seen(any_model, content, style, picture):
    other = picture(50, 41, seed=3)
    assert levels(any_model.stylize(content, style), any_model.stylize(content, other)) > 5


# === Errors ===


@pytest.mark.parametrize("alpha", [-0.5, float("nan"), float("inf")])
def test_alpha_is_refused(any_model, content, style, alpha):
    with pytest.raises(ValueError, match=rf"Received: alpha={alpha}"):
        any_model.stylize(content, style, alpha=alpha)


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
def test_other_arrays_are_refused(any_model, content, wrong):
    received = "NoneType" if wrong is None else "shape="
    with pytest.raises(ValueError, match=f"`content` must be .* uint16 .*Received: {received}"):
        any_model.stylize(wrong, content)
    with pytest.raises(ValueError, match=f"`style` must be .* uint16 .*Received: {received}"):
        any_model.stylize(content, wrong)


def test_codes_of_other_models_are_refused(make_any, any_model, content, style):
    other = make_any(1)
    message = rf"must be of preset '{any_model.preset}'.*preset='{other.preset}'"
    with pytest.raises(ValueError, match=message):
        any_model.stylize(content, other.encode_style(style))
    with pytest.raises(ValueError, match=r"channels \((8, 8, 16|4, 6, 8, 12, 10)\)"):
        any_model.stylize(content, StyleCode([[1]], [[1]]))


@pytest.mark.parametrize("tile", [-16, 8, 100])
def test_tile_is_refused(any_model, content, style, tile):
    for function in (
        lambda: any_model.stylize(content, style, tile=tile),
        lambda: any_model.encode_style(style, tile=tile),
    ):
        with pytest.raises(ValueError, match=rf"multiple of 16\. Received: tile={tile}"):
            function()


# === As a Keras model ===


def test_call_agrees_with_stylize(any_model, picture):
    contents = [picture(32, 48, seed) for seed in (1, 2)]
    styles = [picture(48, 32, seed) for seed in (3, 4)]
    alpha = np.array([[1], [0.5]], "float32")
    inputs = {"content": unit(*contents), "style": unit(*styles), "alpha": alpha}
    images = any_model.predict_on_batch(inputs)
    assert images.shape == (2, 32, 48, 3)
    for i, image in enumerate(images):
        expected = any_model.stylize(contents[i], styles[i], alpha=float(alpha[i, 0]))
        assert levels(np.rint(np.clip(image, 0, 1) * 255), expected) <= 1
    del inputs["alpha"]
    np.testing.assert_allclose(any_model.predict_on_batch(inputs)[0], images[0], atol=1e-5)


def test_keras_file_round_trip(any_model, picture, tmp_path):
    path = tmp_path / "model.keras"
    any_model.save(path)
    again = keras.saving.load_model(path)
    assert isinstance(again, StyleTransfer)
    assert again.about == any_model.about
    assert again.architecture == any_model.architecture
    content, style = picture(33, 40), picture(32, 32, 1)
    assert levels(again.stylize(content, style), any_model.stylize(content, style)) == 0


# === Presets ===


def test_preset_round_trip(make_any, content, style, tmp_path):
    model = make_any(3)
    model.about |= {"license": "CC BY 4.0", "numbers": [1, 2.5], "training": {"step": 7}}
    model.save_to_preset(tmp_path / "one")
    first = StyleTransfer.from_preset(tmp_path / "one")
    # Once the weights have been rounded to half precision, nothing changes any more.
    first.save_to_preset(tmp_path / "two")
    second = StyleTransfer.from_preset(str(tmp_path / "two"))
    assert first.about == second.about == model.about
    assert first.architecture == second.architecture == model.architecture
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


def test_a_config_without_architecture_is_vgg19(tiny_preset, edit_config):
    """Presets were written so before there was a second one."""
    edit_config(tiny_preset, lambda config: config.pop("architecture"))
    assert '"architecture"' not in (tiny_preset / "config.json").read_text()
    assert StyleTransfer.from_preset(tiny_preset).architecture == "vgg19"


def test_weights_of_another_architecture_are_refused(
    tiny_preset, make_compact, tmp_path, edit_config
):
    make_compact().save_to_preset(tmp_path / "compact")
    for folder, architecture in ((tiny_preset, "compact"), (tmp_path / "compact", "vgg19")):
        edit_config(folder, lambda config, kind=architecture: config.update(architecture=kind))
        with pytest.raises(PresetError, match=f"the widths of {architecture} must be . numbers"):
            StyleTransfer.from_preset(folder)
        widths = [4, 8, 8, 16, 16][: ARCHITECTURES[architecture].taps]
        edit_config(folder, lambda config, widths=widths: config.update(widths=widths))
        with pytest.raises(PresetError, match=r"encoder\.npz: The weights do not belong"):
            StyleTransfer.from_preset(folder)


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
