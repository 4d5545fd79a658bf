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
    BilinearUpsampling2D,
    DepthToSpace,
    Modulation,
    NearestUpsampling2D,
    ReflectionPadding2D,
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


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 1, 4, 3), (1, 1, 1, 3)])
def test_bilinear_upsampling_agrees_with_opencv(shape):
    layer = round_trip(BilinearUpsampling2D())
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    size = (2 * shape[2], 2 * shape[1])
    expected = np.stack([cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in x])
    np.testing.assert_allclose(numpy(layer(x)), expected, rtol=1e-5, atol=1e-6)
    assert layer.compute_output_shape(shape) == expected.shape


@pytest.mark.parametrize("factor", [2, 3])
def test_depth_to_space_agrees_with_numpy(factor):
    layer = round_trip(DepthToSpace(factor))
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 3 * factor**2)).astype("float32")
    blocks = x.reshape(2, 5, 7, factor, factor, 3).transpose(0, 1, 3, 2, 4, 5)
    expected = blocks.reshape(2, 5 * factor, 7 * factor, 3)
    np.testing.assert_array_equal(numpy(layer(x)), expected)
    assert layer.compute_output_shape(x.shape) == expected.shape
    assert layer.compute_output_shape((None, None, 7, x.shape[-1])) == (None, None, 7 * factor, 3)


def test_modulation_agrees_with_numpy(features):
    layer = round_trip(Modulation())
    change = np.random.default_rng(1).normal(size=(2, 1, 1, 6)).astype("float32")
    expected = features * (1 + change[..., :3]) + change[..., 3:]
    np.testing.assert_allclose(numpy(layer([features, change])), expected, rtol=1e-6, atol=1e-6)
    assert layer.compute_output_shape([features.shape, change.shape]) == features.shape
    # No change changes nothing: that is where training starts.
    np.testing.assert_array_equal(numpy(layer([features, 0 * change])), features)


@pytest.mark.parametrize(
    "layer", [ReflectionPadding2D(2), NearestUpsampling2D(), BilinearUpsampling2D()]
)
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
