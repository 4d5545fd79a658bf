"""The layers against plain NumPy."""

from __future__ import annotations

import cv2
import keras
import numpy as np
import pytest
from keras import ops

from adain.networks.adain import adaptive_instance_normalization
from adain.networks.layers import (
    AdaIN,
    Channels,
    ConditionalInstanceNormalization,
    NearestUpsampling2D,
    ReflectionPadding2D,
    UpsampledConv2D,
    WeightedStatistics,
)


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype("float32")


def round_trip(layer):
    """Through JSON, as a saved model goes."""
    config = keras.saving.serialize_keras_object(layer)
    assert config["registered_name"].startswith("adain>")
    return keras.saving.deserialize_keras_object(config)


@pytest.mark.parametrize("padding", [0, 1, 2, 4])
def test_reflection_agrees_with_numpy(features, padding):
    layer = round_trip(ReflectionPadding2D(padding))
    sides = (padding, padding)
    expected = np.pad(features, ((0, 0), sides, sides, (0, 0)), mode="reflect")
    np.testing.assert_array_equal(numpy(layer(features)), expected)
    assert layer.compute_output_shape(features.shape) == expected.shape
    assert layer.compute_output_shape((None, None, 7, 3)) == (None, None, 7 + 2 * padding, 3)


@pytest.mark.parametrize("shape", [(1, 1, 7, 3), (1, 7, 1, 3)])
def test_reflection_refuses_what_it_cannot_mirror(shape):
    with pytest.raises(ValueError, match="must be greater than padding=1"):
        ReflectionPadding2D(1)(np.zeros(shape, "float32"))


def test_reflection_refuses_negative_padding():
    with pytest.raises(ValueError, match=r"`padding` must be 0 or more\. Received: padding=-1"):
        ReflectionPadding2D(-1)


def test_upsampling_agrees_with_numpy(features):
    layer = round_trip(NearestUpsampling2D(name="up"))
    expected = features.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(numpy(layer(features)), expected)
    assert layer.compute_output_shape(features.shape) == expected.shape
    assert layer.compute_output_shape((None, None, None, 3)) == (None, None, None, 3)
    assert layer.name == "up"


@pytest.mark.parametrize("layer", [ReflectionPadding2D(2), NearestUpsampling2D()])
def test_graphs_have_free_height_and_width(features, layer):
    image = keras.Input((None, None, 3))
    graph = keras.Model(image, layer(image))
    for picture in (features, features[:, :4], features[:, :, :3]):
        np.testing.assert_array_equal(graph.predict_on_batch(picture), numpy(layer(picture)))


def test_adain_layer(features):
    style = features[:, :4, :3] * 2 + 1
    layer = round_trip(AdaIN(alpha=0.25, epsilon=1e-3))
    assert (layer.alpha, layer.epsilon) == (0.25, 1e-3)
    expected = adaptive_instance_normalization(features, style, 0.25, 1e-3)
    np.testing.assert_allclose(numpy(layer([features, style])), numpy(expected), rtol=1e-6)
    assert layer.compute_output_shape([(1, 5, 7, 3), (1, 4, 3, 3)]) == (1, 5, 7, 3)


@pytest.mark.parametrize("alpha", [-0.1, 1.7])
def test_adain_layer_refuses_alpha(alpha):
    with pytest.raises(ValueError, match=rf"`alpha` must be in \[0, 1\]\. Received: alpha={alpha}"):
        AdaIN(alpha=alpha)


def test_conditional_instance_normalization_agrees_with_numpy(features):
    layer = round_trip(ConditionalInstanceNormalization(epsilon=0.1, name="norm"))
    rng = np.random.default_rng(2)
    change = rng.normal(size=(2, 1, 1, 6)).astype("float32")
    scale, shift = change[..., :3], change[..., 3:]
    mean, variance = (part(axis=(1, 2), keepdims=True) for part in (features.mean, features.var))
    expected = (features - mean) / np.sqrt(variance + 0.1) * (1 + scale) + shift
    np.testing.assert_allclose(numpy(layer([features, change])), expected, atol=1e-5)
    given = rng.uniform(0.5, 2, (2, 1, 1, 6)).astype("float32")
    expected = (features - given[..., :3]) / given[..., 3:] * (1 + scale) + shift
    np.testing.assert_allclose(numpy(layer([features, change, given])), expected, atol=1e-5)


def test_conditional_instance_normalization_in_half_precision():
    """Statistics stay float32: bfloat16 has three digits."""
    layer = ConditionalInstanceNormalization(dtype="mixed_bfloat16")
    x = np.random.default_rng(0).normal(100, 1, (1, 32, 32, 3)).astype("float32")
    y = layer([x, np.zeros((1, 1, 1, 6), "float32")])
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    y = numpy(ops.cast(y, "float32"))
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=0.01)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), 1, atol=0.01)


def test_weighted_statistics_agree_with_numpy():
    layer = round_trip(WeightedStatistics(4, 0.1, name="statistics"))
    rng = np.random.default_rng(3)
    x = rng.normal(2, 3, (1, 3, 5, 2)).astype("float32")
    weight = rng.uniform(size=(1, 12, 20, 1)).astype("float32")
    weight[:, :, :8] = 0
    share = weight.reshape(3, 4, 5, 4).mean(axis=(1, 3)).reshape(-1)
    values = x.reshape(-1, 2)
    mean = np.average(values, axis=0, weights=share)
    std = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=share) + 0.1)
    found = numpy(layer([x, weight]))
    assert found.shape == layer.compute_output_shape([x.shape, weight.shape]) == (1, 1, 1, 4)
    np.testing.assert_allclose(found.reshape(-1), [*mean, *std], rtol=1e-5)


def test_channels(features):
    layer = round_trip(Channels(1, 3, name="channels"))
    np.testing.assert_array_equal(numpy(layer(features)), features[..., 1:3])
    assert layer.compute_output_shape((None, None, 7, 3)) == (None, None, 7, 2)


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_upsampled_convolution_is_enlarging_and_convolution(features, size):
    """Away from the edges, which are padded at the smaller size."""
    layer = round_trip(UpsampledConv2D(4, size, bias_initializer="ones", name="up"))
    x = np.tile(features, (1, 3, 3, 1))
    plain = keras.layers.Conv2D(4, size, padding="same")
    result = numpy(layer(x))
    plain.build(x.shape)
    plain.set_weights(layer.get_weights())
    sides = (2 * x.shape[2], 2 * x.shape[1])
    enlarged = np.stack([cv2.resize(each, sides, interpolation=cv2.INTER_LINEAR) for each in x])
    expected = numpy(plain(enlarged))
    assert result.shape == layer.compute_output_shape(x.shape) == expected.shape
    inside = slice(size + 1, -size - 1)
    np.testing.assert_allclose(result[:, inside, inside], expected[:, inside, inside], atol=1e-5)
    assert layer.compute_output_shape((None, None, 7, 3)) == (None, None, 14, 4)


def test_upsampled_convolution_keeps_flat_pictures_flat():
    layer = UpsampledConv2D(2, 5, kernel_initializer="ones")
    np.testing.assert_allclose(numpy(layer(np.ones((1, 4, 6, 1), "float32"))), 25, rtol=1e-5)
