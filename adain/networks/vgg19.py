"""The two networks: the VGG-19 encoder up to relu4_1 and the decoder that mirrors it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import layers, ops

from adain.networks.layers import NearestUpsampling2D, ReflectionPadding2D

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""The layers whose statistics make the style loss; the last is where AdaIN acts."""

# Convolutions (output channels) of each block; a 2 x 2 max pooling stands between blocks.
_BLOCKS = ((64, 64), (128, 128), (256, 256, 256, 256), (512,))


def _conv(x, filters: int, name: str, activation: str | None = "relu", dtype=None):
    x = ReflectionPadding2D(1, name=f"{name}_pad", dtype=dtype)(x)
    return layers.Conv2D(
        filters,
        3,
        activation=activation,
        # Keeps the size of activations from layer to layer; Glorot lets them fade by half a layer.
        kernel_initializer="he_normal",
        name=name,
        dtype=dtype,
    )(x)


def build_encoder(widths: tuple[int, ...] = (64, 128, 256, 512), name: str = "encoder"):
    """VGG-19 up to relu4_1 with reflection padding.

    Args:
        widths: Channels of the four blocks; VGG-19's by default, smaller ones for tests.
        name: Name of the model.

    Returns:
        A `keras.Model` from pictures `(batch, h, w, 3)`, RGB float in [0, 1], h and w multiples
        of 8 and at least 16, to the list of the four taps, `(batch, h, w, 64)` at full size
        to `(batch, h/8, w/8, 512)`. The input normalisation is part of the weights of conv1_1.

    Reference:
        Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
        Recognition", ICLR 2015, configuration E.
    """
    image = x = layers.Input((None, None, 3), name="image")
    taps = []
    for block, (filters, width) in enumerate(zip(_BLOCKS, widths, strict=True), start=1):
        if block > 1:
            x = layers.MaxPooling2D(2, strides=2, name=f"pool{block - 1}")(x)
        for i in range(1, len(filters) + 1):
            x = _conv(x, width, f"conv{block}_{i}")
            if i == 1:
                taps.append(x)
    return keras.Model(image, taps, name=name)


def build_decoder(widths: tuple[int, ...] = (64, 128, 256, 512), name: str = "decoder"):
    """The encoder's mirror, with a way past its depth: features of relu2_1..relu4_1 to a picture.

    Nearest-neighbour upsampling in place of pooling, reflection padding, no normalisation (it
    would undo the statistics AdaIN set), a linear last layer. Features of relu3_1 and relu2_1,
    after AdaIN like those of relu4_1, join the mirror where it has their size: what relu4_1 alone
    has lost of a photo (faces, letters, branches) comes back through them.

    Args:
        widths: The widths of the encoder it mirrors.
        name: Name of the model.

    Returns:
        A `keras.Model` from `(batch, h/2, w/2, 128)`, `(batch, h/4, w/4, 256)` and
        `(batch, h/8, w/8, 512)` float to `(batch, h, w, 3)` float32 RGB, meant for [0, 1] and not
        clipped.

    Reference:
        Huang & Belongie, ICCV 2017, section 6, for the mirror.
    """
    one, two, three, four = widths
    levels = [
        layers.Input((None, None, width), name=f"level{number}")
        for number, width in enumerate((two, three, four), start=1)
    ]

    def join(x, level, block):
        # What begins with zeros leaves the mirror alone at first.
        skip = layers.Conv2D(x.shape[-1], 1, kernel_initializer="zeros", name=f"skip{block}")(level)
        return layers.Add(name=f"join{block}")([x, skip])

    x = _conv(levels[2], three, "conv4_1")
    x = NearestUpsampling2D(name="up3")(x)
    for i in (4, 3, 2):
        x = _conv(x, three, f"conv3_{i}")
    x = _conv(join(x, levels[1], 3), two, "conv3_1")
    x = NearestUpsampling2D(name="up2")(x)
    x = _conv(x, two, "conv2_2")
    x = _conv(join(x, levels[0], 2), one, "conv2_1")
    x = NearestUpsampling2D(name="up1")(x)
    x = _conv(x, one, "conv1_2")
    # Half precision has too few steps for a picture's 256 levels.
    image = _conv(x, 3, "conv1_1", activation=None, dtype="float32")
    return keras.Model(levels, image, name=name)


def initialize_decoder(decoder: keras.Model, encoder: keras.Model, features: Sequence) -> None:
    """Give a new decoder's mirror weights from which training gets somewhere in minutes.

    Each convolution starts as the transpose of the encoder's convolution it mirrors, so that
    features already stand for the colours and edges they were found by. Then, layer by layer,
    activations are scaled to a mean square of 1, and the picture to a mean of 0.45 and a deviation
    of 0.15 (the encoder's transpose alone would overshoot [0, 1] a thousandfold).

    Args:
        decoder, encoder: Networks of the same widths.
        features: `(batch, h, w, channels)` float each, what the decoder will be fed with.

    Reference:
        Mishkin & Matas, "All You Need is a Good Init", ICLR 2016, for the scaling.
    """
    mirrored = {layer.name for layer in encoder.layers}
    convolutions = [
        layer
        for layer in decoder.layers
        if isinstance(layer, layers.Conv2D) and layer.name in mirrored
    ]
    for layer in convolutions:
        kernel = ops.convert_to_numpy(encoder.get_layer(layer.name).kernel)
        layer.kernel.assign(kernel[::-1, ::-1].transpose(0, 1, 3, 2))
        probe = keras.Model(decoder.inputs, layer.output)
        output = ops.convert_to_numpy(ops.cast(probe(features), "float32"))
        if layer is convolutions[-1]:
            scale = 0.15 / (output.std() + 1e-6)
            layer.bias.assign(0.45 - scale * output.mean(axis=(0, 1, 2)))
        else:
            scale = 1 / np.sqrt(np.square(output).mean() + 1e-6)
        layer.kernel.assign(layer.kernel * scale)


def without_identities(encoder: keras.Model) -> keras.Model:
    """The same encoder without convolutions that change nothing.

    The shipped encoder has one, conv3_4, which takes a seventh of all operations.

    Args:
        encoder: What `build_encoder` made, with its weights; its layers are shared.

    Returns:
        A `keras.Model` with the same outputs; `encoder` itself where there is nothing to leave out.
    """
    taps = {tap.replace("relu", "conv") for tap in TAPS}
    image = x = layers.Input(encoder.input.shape[1:], name="image")
    outputs, padding, left_out = [], None, 0
    for layer in encoder.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        if isinstance(layer, ReflectionPadding2D):
            padding = layer
            continue
        if not isinstance(layer, layers.Conv2D):
            x = layer(x)
        elif _is_identity(layer):
            # Its input comes from a ReLU, so that its own changes nothing either.
            left_out += 1
        else:
            x = layer(padding(x))
        if layer.name in taps:
            outputs.append(x)
    return keras.Model(image, outputs, name=encoder.name) if left_out else encoder


def _is_identity(layer: layers.Conv2D) -> bool:
    kernel, bias = map(ops.convert_to_numpy, layer.weights)
    if kernel.shape[2] != kernel.shape[3] or bias.any():
        return False
    unit = np.zeros_like(kernel)
    unit[kernel.shape[0] // 2, kernel.shape[1] // 2] = np.eye(kernel.shape[2])
    return np.array_equal(kernel, unit)


def get_arrays(network: keras.Model) -> dict[str, np.ndarray]:
    """Every weight of a network as `{"conv1_1/kernel": array, ...}` float32."""
    return {
        f"{layer.name}/{weight.name}": np.asarray(ops.convert_to_numpy(weight), "float32")
        for layer in network.layers
        for weight in layer.weights
    }


def set_arrays(network: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Set every weight of a network from `{"conv1_1/kernel": array, ...}`.

    Raises:
        ValueError: If a name is missing or left over, or a shape differs.
    """
    weights = {
        f"{lay.name}/{weight.name}": weight for lay in network.layers for weight in lay.weights
    }
    if weights.keys() != arrays.keys():
        raise ValueError(
            f"The weights do not belong to this {network.name}: "
            f"missing {sorted(weights.keys() - arrays.keys())}, "
            f"unknown {sorted(arrays.keys() - weights.keys())}."
        )
    for name, weight in weights.items():
        if tuple(weight.shape) != arrays[name].shape:
            raise ValueError(
                f"{name} of the {network.name} must have shape {tuple(weight.shape)}. "
                f"Received: shape={arrays[name].shape}"
            )
        weight.assign(arrays[name].astype("float32"))


def jit_compile() -> str | bool:
    """What `compile` should be told: XLA's CPU convolutions are slower than TensorFlow's own."""
    backend = keras.backend.backend()
    if backend == "tensorflow" and "GPU" in str(keras.distribution.list_devices()).upper():
        return "auto"
    return "auto" if backend == "jax" else False
