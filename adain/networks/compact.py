"""The compact network: AdaIN at four levels, few channels at full size, for speed.

Most of the work is done at 1/8 and 1/16 of the picture's size, where many channels cost little.
Every statistic of a whole picture comes from the one pass of the encoder; the decoder has no
normalisation, so that tiles, masks and video work as they do for the full-width network. What
conditions the decoder instead are scales and shifts computed from the style code, and from its
difference to the content's own: at alpha 0 there is none, and the photo comes back.
"""

from __future__ import annotations

import keras
from keras import layers

from adain.networks.layers import (
    BilinearUpsampling2D,
    DepthToSpace,
    Modulation,
    ReflectionPadding2D,
)

WIDTHS = (16, 24, 48, 96, 128)
"""Channels at 1/2, 1/4, 1/8 and 1/16 of the picture's size, and deeper at 1/16 once more; AdaIN
acts at the last four."""

_CONDITIONING = 256
"""Width of the layer between the style code and all scales and shifts."""

_GATED = 256
"""Features at 1/16 that a style turns up or off one by one."""

_LAST = 32
"""Features at 1/4 of which the picture is made."""


def _conv(x, filters: int, name: str, strides: int = 1):
    x = ReflectionPadding2D(1, name=f"{name}_pad")(x)
    return layers.Conv2D(filters, 3, strides, kernel_initializer="he_normal", name=name)(x)


def _separable_conv(x, filters: int, name: str):
    x = ReflectionPadding2D(1, name=f"{name}_pad")(x)
    return layers.SeparableConv2D(
        filters,
        3,
        # Each channel alone has nine inputs; the other initialisers count them for all channels.
        depthwise_initializer=keras.initializers.RandomNormal(stddev=1 / 3),
        pointwise_initializer="he_normal",
        name=name,
    )(x)


def build_encoder(widths: tuple[int, ...] = WIDTHS, name: str = "encoder"):
    """Four convolutions of stride 2; two separable ones look farther, which tells styles apart.

    Args:
        widths: Channels at 1/2, 1/4, 1/8 and 1/16 of the size, and of the deepest level.
        name: Name of the model.

    Returns:
        A `keras.Model` from pictures `(batch, h, w, 3)`, RGB float in [0, 1], h and w multiples
        of 16 and at least 32, to five taps before their activation, `(batch, h/2, w/2, 16)` to
        `(batch, h/16, w/16, 96)` and `(batch, h/16, w/16, 128)`; AdaIN acts at the last four.

    Reference:
        Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017.
    """
    *strided, deepest = widths
    image = layers.Input((None, None, 3), name="image")
    x = layers.Rescaling(4.0, -2.0, name="rescale")(image)
    taps = []
    for number, width in enumerate(strided, start=1):
        x = _conv(x, width, f"conv{number}", strides=2)
        taps.append(x)
        x = layers.ReLU(name=f"relu{number}")(x)
    x = layers.ReLU(name="relu5_1")(_separable_conv(x, 2 * strided[-1], "conv5_1"))
    taps.append(_separable_conv(x, deepest, "conv5_2"))
    return keras.Model(image, taps, name=name)


def build_decoder(widths: tuple[int, ...] = WIDTHS, name: str = "decoder"):
    """From the deepest levels back to a picture, past the two others, conditioned on the style.

    Args:
        widths: The widths of the encoder.
        name: Name of the model.

    Returns:
        A `keras.Model` from the four levels after AdaIN, and the conditioning
        `(batch, 1, 1, 4 * sum of channels)` float32 (means and deviations wanted, and their
        differences to the content's own), to `(batch, h, w, 3)` float32 RGB, meant for [0, 1] and
        not clipped.

    Reference:
        Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018, for
        the scales and shifts; Shi et al., "Real-Time Single Image and Video Super-Resolution
        Using an Efficient Sub-Pixel Convolutional Neural Network", CVPR 2016, for the last layer.
    """
    _, quarter, eighth, sixteenth, _ = widths
    levels = [
        layers.Input((None, None, width), name=f"level{number}")
        for number, width in enumerate(widths[1:], start=2)
    ]
    conditioning = layers.Input((1, 1, 4 * sum(widths[1:])), name="conditioning")
    steer = layers.Dense(_CONDITIONING, activation="relu", name="steer")(conditioning)

    def pointwise(x, filters, name, initializer="he_normal"):
        return layers.Conv2D(filters, 1, kernel_initializer=initializer, name=name)(x)

    def film(x, name, activate=True):
        change = layers.Dense(2 * x.shape[-1], kernel_initializer="zeros", name=name)(steer)
        x = Modulation(name=f"{name}_apply")([x, change])
        return layers.ReLU(name=f"{name}_relu")(x) if activate else x

    # What begins with zeros leaves the shorter way alone at first.
    y = pointwise(film(levels[3], "deep_film"), sixteenth, "deep_conv", initializer="zeros")
    x = layers.Add(name="deep")([levels[2], y])
    for i in (1, 2):
        y = layers.ReLU(name=f"block{i}_relu")(x)
        y = film(_conv(y, sixteenth, f"block{i}_conv1"), f"block{i}_film1")
        y = film(_conv(y, sixteenth, f"block{i}_conv2"), f"block{i}_film2", activate=False)
        x = layers.Add(name=f"block{i}")([x, y])
    y = pointwise(layers.ReLU(name="gated_relu")(x), _GATED, "gated_conv1")
    y = pointwise(film(y, "gated_film"), sixteenth, "gated_conv2", initializer="zeros")
    x = layers.Add(name="gated")([x, y])
    x = layers.ReLU(name="blocks_relu")(x)
    for number, level, width in ((3, levels[1], eighth), (2, levels[0], quarter)):
        # One convolution cannot hide the squares that nearest neighbours leave of 8 and 16 pixels.
        x = BilinearUpsampling2D(name=f"up{number}")(_conv(x, width, f"conv{number}_1"))
        skip = film(level, f"skip{number}", activate=False)
        x = layers.Add(name=f"join{number}")([x, skip])
        x = film(x, f"film{number}_1")
        x = film(_conv(x, width, f"conv{number}_2"), f"film{number}_2")
    x = film(_conv(x, _LAST, "conv1_1"), "film1_1")
    # Half precision has too few steps for a picture's 256 levels.
    x = ReflectionPadding2D(1, name="conv1_2_pad", dtype="float32")(x)
    x = layers.Conv2D(
        3 * 4**2,
        3,
        # Starts as a picture of middle grey with a deviation of about 0.25.
        kernel_initializer=keras.initializers.VarianceScaling(2 / 16),
        bias_initializer=keras.initializers.Constant(0.5),
        name="conv1_2",
        dtype="float32",
    )(x)
    image = DepthToSpace(4, name="image", dtype="float32")(x)
    return keras.Model([*levels, conditioning], image, name=name)
