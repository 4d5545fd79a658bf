"""The two networks against a plain NumPy VGG, and how far they see."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from keras import ops

from adain.networks.vgg19 import (
    TAPS,
    build_decoder,
    build_encoder,
    get_arrays,
    set_arrays,
    without_identities,
)
from adain.presets.architecture import ARCHITECTURES

WIDTHS = (4, 8, 8, 16)
VGG19 = [
    "conv1_1", "conv1_2", "conv2_1", "conv2_2",
    "conv3_1", "conv3_2", "conv3_3", "conv3_4", "conv4_1",
]  # fmt: skip


# === The oracle ===


def convolve(x, arrays, name, relu=True):
    """3 x 3 with reflection padding; `x` is `(h, w, channels)`."""
    height, width = x.shape[:2]
    x = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="reflect")
    kernel = arrays[f"{name}/kernel"].astype("float64")
    y = arrays[f"{name}/bias"] + sum(
        x[i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
    )
    return np.maximum(y, 0) if relu else y


def pool(x):
    height, width, channels = x.shape
    return x.reshape(height // 2, 2, width // 2, 2, channels).max(axis=(1, 3))


def oracle_encoder(image, arrays):
    x, taps = image, []
    for name in VGG19:
        if name in ("conv2_1", "conv3_1", "conv4_1"):
            x = pool(x)
        x = convolve(x, arrays, name)
        if name.endswith("_1"):
            taps.append(x)
    return taps


def random_levels(batch, height, width):
    """What the decoder takes, for the size of relu4_1."""
    rng = np.random.default_rng(0)
    shapes = [(batch, side * height, side * width) for side in (4, 2, 1)]
    return [
        rng.uniform(0, 2, (*shape, channels)).astype("float32")
        for shape, channels in zip(shapes, WIDTHS[1:], strict=True)
    ]


def oracle_decoder(levels, arrays):
    *skips, x = levels
    for name in reversed(VGG19):
        if name == "conv1_1":
            return convolve(x, arrays, name, relu=False)
        x = convolve(x, arrays, name)
        if name in ("conv4_1", "conv3_1", "conv2_1"):
            x = x.repeat(2, axis=0).repeat(2, axis=1)
        if name in ("conv3_2", "conv2_2"):
            skip = f"skip{name[4]}"
            x = x + skips.pop() @ arrays[f"{skip}/kernel"][0, 0] + arrays[f"{skip}/bias"]
    return None


@pytest.fixture(scope="module")
def networks(make_model):
    model = make_model(seed=5)
    return model.encoder, model.decoder


# === What they compute ===


def test_encoder_agrees_with_numpy(networks, picture):
    encoder, _ = networks
    images = np.stack([picture(40, 24, seed) for seed in range(2)]).astype("float32") / 255
    taps = encoder.predict_on_batch(images)
    assert len(taps) == len(TAPS) == 4
    for i, image in enumerate(images):
        for tap, expected in zip(taps, oracle_encoder(image, get_arrays(encoder)), strict=True):
            assert tap[i].shape == expected.shape
            np.testing.assert_allclose(tap[i], expected, rtol=1e-3, atol=1e-4)


def test_decoder_agrees_with_numpy(networks):
    _, decoder = networks
    levels = random_levels(2, 3, 5)
    images = decoder.predict_on_batch(levels)
    assert images.shape == (2, 24, 40, 3)
    for image, *parts in zip(images, *levels, strict=True):
        expected = oracle_decoder(parts, get_arrays(decoder))
        np.testing.assert_allclose(image, expected, rtol=1e-3, atol=1e-4)


def test_decoder_is_linear_at_the_end(networks):
    _, decoder = networks
    assert decoder.get_layer("conv1_1").activation is keras.activations.linear
    image = decoder.predict_on_batch([15 * level for level in random_levels(1, 4, 4)])
    assert image.min() < 0
    assert image.max() > 1


def test_names_and_shapes():
    encoder, decoder = build_encoder(), build_decoder()
    convolutions = [
        layer.name for layer in encoder.layers if isinstance(layer, keras.layers.Conv2D)
    ]
    assert convolutions == VGG19
    for tap, output in zip(TAPS, encoder.outputs, strict=True):
        assert output is encoder.get_layer(tap.replace("relu", "conv")).output
    assert [output.shape for output in encoder.outputs] == [
        (None, None, None, width) for width in (64, 128, 256, 512)
    ]
    shapes = encoder.compute_output_shape((2, 48, 80, 3))
    assert [tuple(shape) for shape in shapes] == [
        (2, 48, 80, 64), (2, 24, 40, 128), (2, 12, 20, 256), (2, 6, 10, 512),
    ]  # fmt: skip
    assert tuple(decoder.compute_output_shape(shapes[1:])) == (2, 48, 80, 3)
    # The numbers of VGG-19 up to conv4_1, and of the paper's decoder with two 1 x 1 convolutions.
    assert encoder.count_params() == 3_505_728
    assert decoder.count_params() == 3_505_219 + 256 * 257 + 128 * 129


def test_decoder_mirrors_the_encoder():
    encoder, decoder = (get_arrays(build(WIDTHS)) for build in (build_encoder, build_decoder))
    skips = {f"{name}/{part}" for name in ("skip2", "skip3") for part in ("kernel", "bias")}
    assert decoder.keys() - encoder.keys() == skips
    for name in VGG19:
        into, out = encoder[f"{name}/kernel"].shape[2:]
        assert decoder[f"{name}/kernel"].shape[2:] == (out, into)


def test_half_precision_ends_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        decoder = build_decoder(WIDTHS)
    finally:
        keras.config.set_dtype_policy("float32")
    assert decoder.get_layer("conv1_2").compute_dtype == "bfloat16"
    assert keras.backend.standardize_dtype(decoder.outputs[0].dtype) == "float32"


def test_round_trip_through_config(networks, picture):
    image = picture(16, 24)[None].astype("float32") / 255
    for network in networks:
        text = json.dumps(keras.saving.serialize_keras_object(network))
        again = keras.saving.deserialize_keras_object(json.loads(text))
        set_arrays(again, get_arrays(network))
        x = image if network.name == "encoder" else random_levels(1, 2, 3)
        for ours, theirs in zip(
            keras.tree.flatten(again.predict_on_batch(x)),
            keras.tree.flatten(network.predict_on_batch(x)),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_set_arrays_refuses_what_does_not_fit():
    encoder = build_encoder(WIDTHS)
    arrays = get_arrays(encoder)
    fewer = {name: array for name, array in arrays.items() if name != "conv2_1/bias"}
    with pytest.raises(ValueError, match=r"missing \['conv2_1/bias'\]"):
        set_arrays(encoder, fewer)
    with pytest.raises(ValueError, match=r"unknown \['conv9_9/bias'\]"):
        set_arrays(encoder, arrays | {"conv9_9/bias": np.zeros(1)})
    with pytest.raises(ValueError, match=r"conv2_1/bias .*\(8,\).*Received: shape=\(9,\)"):
        set_arrays(encoder, arrays | {"conv2_1/bias": np.zeros(9)})


def test_identities_are_left_out(make_model, picture):
    encoder = make_model(seed=6).encoder
    assert without_identities(encoder) is encoder
    arrays = get_arrays(encoder)
    arrays["conv3_4/kernel"] = np.zeros_like(arrays["conv3_4/kernel"])
    arrays["conv3_4/kernel"][1, 1] = np.eye(8)
    arrays["conv3_4/bias"][:] = 0
    set_arrays(encoder, arrays)
    shorter = without_identities(encoder)
    names = [layer.name for layer in shorter.layers]
    assert "conv3_3" in names
    assert "conv3_4" not in names
    images = picture(40, 24)[None].astype("float32") / 255
    for ours, theirs in zip(
        shorter.predict_on_batch(images), encoder.predict_on_batch(images), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    # What only looks like one stays.
    arrays["conv3_4/bias"][3] = 0.1
    set_arrays(encoder, arrays)
    assert without_identities(encoder) is encoder


# === How far they see ===


def transparent(build, taps):
    """Narrow, with positive weights and no bias: whatever a pixel can reach, it does reach."""
    network = build((1,) * taps)
    set_arrays(
        network,
        {
            name: np.full(array.shape, 0.3 if name.endswith("kernel") else 0, "float32")
            for name, array in get_arrays(network).items()
        },
    )
    return network


def reached(before, after):
    """First and last column that differ."""
    columns = np.flatnonzero(np.any(before != after, axis=(0, 1, 3)))
    return columns[0], columns[-1]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_encoder_halo_covers_what_the_encoder_sees(name):
    facts = ARCHITECTURES[name]
    encoder = transparent(facts.builder.build_encoder, facts.taps)
    image = np.ones((1, 2 * facts.stride, 320, 3), "float32")
    before = encoder.predict_on_batch(image)[-facts.levels :]
    furthest = 0
    for pixel in range(160, 160 + facts.stride):
        changed = image.copy()
        changed[:, :, pixel] += 100
        after = encoder.predict_on_batch(changed)[-facts.levels :]
        for one, other in zip(before, after, strict=True):
            first, last = reached(one, other)
            # A feature covers so many pixels; how far beyond them is the pixel it felt?
            cell = image.shape[2] // one.shape[2]
            furthest = max(furthest, cell * last - pixel, pixel - (cell * first + cell - 1))
    assert before[-1].shape[1:3] == (2, image.shape[2] // facts.stride)
    assert facts.encoder_halo % facts.stride == 0
    assert 0.7 * facts.encoder_halo < furthest <= facts.encoder_halo


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_decoder_halo_covers_what_the_decoder_sees(name):
    facts = ARCHITECTURES[name]
    encoder, decoder = (
        transparent(build, facts.taps)
        for build in (facts.builder.build_encoder, facts.builder.build_decoder)
    )
    conditioning = [
        np.zeros((1, 1, 1, x.shape[-1]), "float32") for x in decoder.inputs[facts.levels :]
    ]
    if facts.normalized:
        decoder = facts.builder.build_fixed(decoder)
        conditioning.append(np.ones((1, *decoder.inputs[-1].shape[1:]), "float32"))
    width = 40 * facts.stride
    image = np.ones((1, 2 * facts.stride, width, 3), "float32")
    levels = encoder.predict_on_batch(image)[-facts.levels :]
    # The conditioning, if there is one, is left at 0.
    sides = [width // level.shape[2] for level in levels]
    inputs = [np.ones((1, 2 * facts.stride // side, width // side, 1), "float32") for side in sides]

    def paint(levels):
        tensors = [*levels, *conditioning]
        return decoder.predict_on_batch(tensors if len(tensors) > 1 else tensors[0])

    before = paint(inputs)
    assert before.shape == (1, 2 * facts.stride, width, 3)
    furthest = []
    for i, side in enumerate(sides):
        changed = [x.copy() for x in inputs]
        middle = width // 2 // side
        changed[i][:, :, middle] += 100
        first, last = reached(before, paint(changed))
        furthest.append(max(side * middle - first, last - (side * middle + side - 1)))
    assert facts.decoder_halo % facts.stride == 0
    assert max(furthest) == furthest[-1]
    assert 0.7 * facts.decoder_halo < furthest[-1] <= facts.decoder_halo


# === The shipped encoder ===


@pytest.fixture(scope="module")
def shipped(root):
    path = root / "weights" / "adain_vgg19" / "encoder.npz"
    if not path.is_file():
        pytest.skip("weights/adain_vgg19/encoder.npz is not here")
    with np.load(path) as file:
        return {name: file[name].astype("float32") for name in file.files if name != "about.json"}


def test_shipped_encoder_was_deepened_by_the_identity(shipped):
    kernel = np.zeros((3, 3, 256, 256), "float32")
    kernel[1, 1] = np.eye(256)
    np.testing.assert_array_equal(shipped["conv3_4/kernel"], kernel)
    np.testing.assert_array_equal(shipped["conv3_4/bias"], np.zeros(256))


def test_shipped_encoder_is_normalised(shipped, root):
    """Every channel's mean activation over photographs is near 1."""
    folder = root / "images" / "inputs"
    if not folder.is_dir():
        pytest.skip("images/inputs is not here")
    from adain.imaging.io import list_images, load_image

    encoder = build_encoder()
    set_arrays(encoder, shipped)
    convolutions = [layer for layer in encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    probe = keras.Model(encoder.inputs, [layer.output for layer in convolutions])
    means = []
    for path in list_images(folder)[:8]:
        photo = load_image(path)[:256, :256]
        height, width = (side // 8 * 8 for side in photo.shape[:2])
        outputs = probe.predict_on_batch(photo[None, :height, :width].astype("float32") / 255)
        means.append([output.mean(axis=(0, 1, 2)) for output in outputs])
    for layer, values in zip(convolutions, zip(*means, strict=True), strict=True):
        channels = np.mean(values, axis=0)
        assert 0.6 < channels.mean() < 1.6, layer.name
        # A few photographs are not the whole set, yet most channels stay near 1.
        assert 0.4 < np.median(channels) < 1.6, layer.name


def test_features_of_a_black_and_a_white_picture_differ(shipped):
    encoder = build_encoder()
    set_arrays(encoder, shipped)
    black, white = (
        ops.convert_to_numpy(encoder(np.full((1, 16, 16, 3), value, "float32"))[0])
        for value in (0, 1)
    )
    assert np.abs(black - white).max() > 0.5
