"""The tool that makes the shipped encoder: exact steps, and a source that cannot run code."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from adain.imaging.io import center_crop, load_image, resize_shorter_side
from adain.networks.vgg19 import build_encoder, get_arrays, set_arrays
from adain.presets.preset import Preset


@pytest.fixture(scope="module")
def tool(load_script):
    return load_script("tools/make_encoder.py")


@pytest.fixture
def photos(picture):
    return [picture(32, 48, seed).astype("float32") / 255 for seed in range(3)]


@pytest.fixture
def encoder(make_model):
    """A tiny encoder with weights of its own, which a test may change."""
    encoder = build_encoder((4, 8, 8, 16))
    set_arrays(encoder, get_arrays(make_model().encoder))
    return encoder


# === Deepening ===


def test_the_identity_changes_no_feature(tool, encoder, photos):
    arrays = {k: v for k, v in get_arrays(encoder).items() if not k.startswith("conv3_4/")}
    set_arrays(encoder, tool.insert_identity(arrays, after="conv3_3", name="conv3_4"))
    # The same network, led around conv3_4.
    x = encoder.get_layer("conv3_3").output
    for name in ("pool3", "conv4_1_pad", "conv4_1"):
        x = encoder.get_layer(name)(x)
    shallow = keras.Model(encoder.inputs, x)
    for photo in photos:
        deep, expected = (network.predict_on_batch(photo[None]) for network in (encoder, shallow))
        assert expected.std() > 0.01
        np.testing.assert_array_equal(deep[-1], expected)


def test_the_identity_leaves_the_other_layers(tool, encoder):
    arrays = {k: v for k, v in get_arrays(encoder).items() if not k.startswith("conv3_4/")}
    deeper = tool.insert_identity(arrays, after="conv3_3", name="conv3_4")
    assert deeper.keys() == get_arrays(encoder).keys()
    assert all(deeper[name] is array for name, array in arrays.items())


# === Normalising ===


def test_mean_activations(tool, encoder, photos):
    means = tool.mean_activations(encoder, iter(photos))
    taps = [encoder.predict_on_batch(photo[None]) for photo in photos]
    for block in range(4):
        expected = np.mean([tap[block].mean(axis=(0, 1, 2)) for tap in taps], axis=0)
        np.testing.assert_allclose(means[f"conv{block + 1}_1"], expected, rtol=1e-5, atol=1e-7)
    assert len(means) == 9


def test_normalised_filters_fire_with_mean_1(tool, encoder, photos):
    arrays = get_arrays(encoder)
    arrays["conv2_1/bias"][3] = -1e3  # This one never fires.
    set_arrays(encoder, arrays)
    before = tool.mean_activations(encoder, photos)
    assert before["conv2_1"][3] == 0
    taps = encoder.predict_on_batch(photos[0][None])
    set_arrays(encoder, tool.normalise(arrays, before))
    for name, mean in tool.mean_activations(encoder, photos).items():
        fires = before[name] > 1e-6
        assert fires.sum() >= 3
        np.testing.assert_allclose(mean[fires], 1, atol=1e-3)
        assert np.abs(mean[~fires]).max(initial=0) < 1e-5
    # Every feature is what it was, in another unit.
    after = encoder.predict_on_batch(photos[0][None])
    for block, (old, new) in enumerate(zip(taps, after, strict=True), start=1):
        mean = before[f"conv{block}_1"]
        unit = np.where(mean > 1e-6, mean, 1)
        np.testing.assert_allclose(new * unit, old, rtol=1e-3, atol=1e-4 * old.max())


# === The source ===


def test_source_is_read_and_its_normalisation_folded(tool, write_archive, picture):
    rng = np.random.default_rng(0)
    widths = (3, 4, 4, 8, 8, 8, 8, 8, 16)
    layers = {
        f"Conv_{i}": {
            "kernel": rng.normal(0, 0.3, (3, 3, *widths[i : i + 2])).astype("float32"),
            "bias": rng.normal(0, 0.3, widths[i + 1]).astype("float32"),
        }
        for i in range(8)
    }
    arrays = tool.read_vgg16(write_archive({"vgg16": {"VGG16_0": layers}}))
    assert {array.dtype for array in arrays.values()} == {np.dtype("float32")}
    for i, name in enumerate(tool.SOURCE_LAYERS[1:], start=1):
        for kind in ("kernel", "bias"):
            np.testing.assert_array_equal(arrays[f"{name}/{kind}"], layers[f"Conv_{i}"][kind])
    # conv1_1 for RGB in [0, 1] is the source's conv1_1 behind its scaling layer (LPIPS).
    image = picture(9, 11) / 255
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    scaled = ((2 * image - 1) - shift) / scale

    def convolve(x, kernel, bias):
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))
        return np.einsum("yxchw,hwco->yxo", windows, kernel) + bias

    expected = convolve(scaled, **layers["Conv_0"])
    found = convolve(image, arrays["conv1_1/kernel"], arrays["conv1_1/bias"])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


# === What is shipped ===


def test_shipped_encoder_is_normalised(tool, root):
    """Not exactly 1: half precision, and above all other pictures than the 250 it was made with."""
    folder = root / "weights" / "adain_vgg19"
    encoder = build_encoder()
    set_arrays(encoder, Preset.load(folder).read_weights("encoder"))

    def crops():
        for path in sorted((root / "images" / "inputs").glob("*.jpg")):
            photo = resize_shorter_side(load_image(path), 256)
            yield center_crop(photo, (192, 192)).astype("float32") / 255

    means = tool.mean_activations(encoder, crops())
    assert list(means) == [f"conv{i}" for i in "1_1 1_2 2_1 2_2 3_1 3_2 3_3 3_4 4_1".split()]
    for name, mean in means.items():
        assert 0.5 < mean.mean() < 2, name
        # Few channels are far off; in the raw network, loud ones stand out a hundredfold.
        assert np.mean((mean > 0.2) & (mean < 5)) > 0.95, name


def test_shipped_conv3_4_is_the_identity(root):
    """What the model card says; an encoder trained further would need another card."""
    arrays = Preset.load(root / "weights" / "adain_vgg19").read_weights("encoder")
    expected = np.zeros((3, 3, 256, 256), "float32")
    expected[1, 1] = np.eye(256)
    np.testing.assert_array_equal(arrays["conv3_4/kernel"], expected)
    assert not arrays["conv3_4/bias"].any()
