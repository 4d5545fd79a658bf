"""The compact networks: an encoder of six convolutions, and a decoder that a style modulates.

Every convolution of the decoder is followed by a conditional instance normalisation: a style
decides the mean and deviation of every channel, at every size. The strokes that it asks for are
then as strong in a dim photo as in a bright one, and nothing of the photo's own contrast leaks into
flat areas. What the decoder normalises with can be measured on a copy of the photo
(`build_measuring`) and then be given (`build_fixed`), so that tiles, regions and frames of one
photo share it.

At alpha 0 the code is the content's own, and the photo comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
from keras import layers

from adain.networks.layers import (
    Channels,
    ConditionalInstanceNormalization,
    ReflectionPadding2D,
    UpsampledConv2D,
    WeightedStatistics,
)

WIDTHS = (16, 32, 64, 96, 128)
"""Channels at 1/2, 1/4, 1/8 and 1/16 of the picture's size, and of the deepest level at 1/16."""

EPSILON = 1.0
"""Added to the variances that the decoder divides by, which are between 0.3 and 100 in photos.

With 1e-5, and after some training with 0.1, nine normalisations in a row make the rounding errors
of a flat photo as strong as a picture.
"""

_STEERING = 256
"""Hidden units between a style code and the scales and shifts."""


class Place(NamedTuple):
    """One of the normalisations: its channels among all scales and shifts, or statistics."""

    start: int
    stop: int
    stride: int
    """Pixels that one feature covers."""


def _new(kind: type, name: str, **how):
    return kind(name=name, **how)


def _conv(x, filters: int, name: str, layer: Callable = _new, **how):
    x = layer(ReflectionPadding2D, f"{name}_pad", padding=1)(x)
    return layer(
        layers.Conv2D, name, filters=filters, kernel_size=3, kernel_initializer="he_normal", **how
    )(x)


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
        `(batch, h/16, w/16, 96)` and `(batch, h/16, w/16, 128)`; AdaIN acts at all of them.

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
    """From the deepest levels back to a picture, past the others, normalised as the code says.

    Dense layers turn the style code into the scales and shifts of all normalisations. Every
    convolution up to full size works on bilinearly enlarged features, which leaves no pattern.

    Args:
        widths: The widths of the encoder.
        name: Name of the model.

    Returns:
        A `keras.Model` from the five levels after AdaIN, and the code
        `(batch, 1, 1, 2 * sum of widths)` float32 (means, then deviations, at all levels) to
        `(batch, h, w, 3)` float32 RGB, meant for [0, 1] and not clipped.

    Reference:
        Dumoulin, Shlens & Kudlur, "A Learned Representation For Artistic Style", ICLR 2017, for
        the normalisation; Ghiasi et al., "Exploring the Structure of a Real-Time, Arbitrary Neural
        Artistic Stylization Network", BMVC 2017, for predicting it from a style; Odena, Dumoulin
        & Olah, "Deconvolution and Checkerboard Artifacts", Distill 2016, for the enlarging.
    """
    inputs = _inputs(widths)
    image = _connect(inputs, widths, _new, lambda x, place: [])
    return keras.Model(inputs, image, name=name)


def build_measuring(decoder: keras.Model):
    """What a decoder normalises with, measured in a part of a photo.

    Args:
        decoder: What `build_decoder` made; its layers are shared.

    Returns:
        A `keras.Model` from the decoder's inputs, and how much each pixel counts,
        `(batch, h, w, 1)` float32, to `(batch, 1, 1, channels)` float32: mean and deviation, each
        of all channels, of one normalisation after the other.
    """
    widths = _widths_of(decoder)
    inputs = _inputs(widths)
    weight = layers.Input((None, None, 1), name="weight")
    found = []

    def measure(x, place):
        found.append(WeightedStatistics(place.stride, EPSILON)([x, weight]))
        return [found[-1]]

    _connect(inputs, widths, _layers_of(decoder), measure)
    statistics = layers.Concatenate(name="statistics")(found)
    return keras.Model([*inputs, weight], statistics, name="measuring")


def build_fixed(decoder: keras.Model):
    """A decoder that normalises with given statistics.

    Args:
        decoder: What `build_decoder` made; its layers are shared.

    Returns:
        A `keras.Model` from the decoder's inputs, and what `build_measuring` gives, to a picture.
        Each pixel then depends on its surroundings alone.
    """
    widths = _widths_of(decoder)
    inputs = _inputs(widths)
    width = decoder.get_layer("modulation").units
    statistics = layers.Input((1, 1, width), name="statistics")

    def given(x, place):
        return [Channels(place.start, place.stop)(statistics)]

    image = _connect(inputs, widths, _layers_of(decoder), given)
    return keras.Model([*inputs, statistics], image, name="fixed")


def places_of(decoder: keras.Model) -> dict[str, Place]:
    """The normalisations of a decoder, by the names of their layers."""
    return {f"{name}_norm": place for name, place in _places(_widths_of(decoder)).items()}


def _places(widths: Sequence[int]) -> dict[str, Place]:
    one, two, three, four, _ = widths
    places, total = {}, 0
    for names, width, stride in (
        (("block1_1", "block1_2", "block2_1", "block2_2"), four, 16),
        (("conv3", "block3_1", "block3_2"), three, 8),
        (("conv2",), two, 4),
        (("conv1",), one, 2),
    ):
        for name in names:
            places[name] = Place(total, total + 2 * width, stride)
            total += 2 * width
    return places


def _inputs(widths: Sequence[int]) -> list:
    return [
        *(
            layers.Input((None, None, width), name=f"level{number}")
            for number, width in enumerate(widths, start=1)
        ),
        layers.Input((1, 1, 2 * sum(widths)), name="code"),
    ]


def _widths_of(decoder: keras.Model) -> tuple[int, ...]:
    *levels, _ = decoder.inputs
    return tuple(level.shape[-1] for level in levels)


def _layers_of(decoder: keras.Model) -> Callable:
    return lambda kind, name, **how: decoder.get_layer(name)


def _connect(inputs: Sequence, widths: Sequence[int], layer: Callable, given: Callable):
    """Wire a decoder's layers.

    Args:
        inputs: What `_inputs` makes.
        widths: The widths of the encoder.
        layer: Class, name and settings to the layer of that name.
        given: Features that are about to be normalised, and their place among all, to `[]`, or
            `[statistics]` to normalise them with.
    """
    *levels, code = inputs
    places = _places(widths)
    changes = _modulate(code, max(place.stop for place in places.values()), layer)

    def normalized(x, conv, name, activate=True, enlarge=False):
        start, stop, _ = place = places[name]
        width = (stop - start) // 2
        # A bias would be taken off again.
        if enlarge:
            x = layer(UpsampledConv2D, conv, filters=width, use_bias=False)(x)
        else:
            x = _conv(x, width, conv, layer, use_bias=False)
        change = layer(Channels, f"{name}_change", start=start, stop=stop)(changes)
        norm = layer(ConditionalInstanceNormalization, f"{name}_norm", epsilon=EPSILON)
        x = norm([x, change, *given(x, place)])
        return layer(layers.ReLU, f"{name}_relu")(x) if activate else x

    def block(x, name):
        y = normalized(x, f"{name}_conv1", f"{name}_1")
        y = normalized(y, f"{name}_conv2", f"{name}_2", activate=False)
        return layer(layers.Add, name)([x, y])

    def join(x, number):
        """Enlarge to a level's size, and add it."""
        x = normalized(x, f"conv{number}", f"conv{number}", enlarge=True)
        skip = layer(layers.ReLU, f"level{number}_relu")(levels[number - 1])
        return layer(layers.Add, f"join{number}")([x, skip])

    deep = layer(layers.ReLU, "level5_relu")(levels[4])
    deep = layer(
        # What begins with zeros leaves the shorter way alone at first.
        layers.Conv2D, "deep", filters=widths[3], kernel_size=1, kernel_initializer="zeros",
    )(deep)  # fmt: skip
    x = layer(layers.ReLU, "level4_relu")(layer(layers.Add, "join4")([levels[3], deep]))
    x = block(block(x, "block1"), "block2")
    x = block(join(x, 3), "block3")
    x = join(join(x, 2), 1)
    return layer(
        UpsampledConv2D, "image", filters=3,
        # Starts near middle grey.
        kernel_initializer=keras.initializers.VarianceScaling(0.1),
        bias_initializer=keras.initializers.Constant(0.5),
        # Half precision has too few steps for a picture's 256 levels.
        dtype="float32",
    )(x)  # fmt: skip


def _modulate(code, units: int, layer: Callable):
    """All scales and shifts that a style code asks for: a linear part, and one that is not."""
    straight = layer(
        layers.Dense, "modulation", units=units,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
    )(code)  # fmt: skip
    steer = layer(
        layers.Dense, "steer", units=_STEERING, activation="relu",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.03),
    )(code)  # fmt: skip
    bent = layer(layers.Dense, "steered", units=units, kernel_initializer="zeros")(steer)
    return layer(layers.Add, "changes")([straight, bent])
