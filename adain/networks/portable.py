"""Whole stylisers as Keras models, for what Keras exports itself: `export.portable` in Keras.

Inputs and outputs have the names, shapes and ranges of those graphs.
"""

from __future__ import annotations

import keras
from keras import ops

from adain.imaging.transport import transport_rows
from adain.inference.photo import SAMPLES
from adain.networks.model import StyleTransfer


class Portable(keras.Model):
    """What both have.

    Args:
        model: The model whose networks it runs.
    """

    def __init__(self, model: StyleTransfer, **kwargs):
        super().__init__(**kwargs)
        self.model = model
        self.stride = model._networks.architecture.stride
        self.width = sum(model._widths)
        self.built = True

    def encode(self, image):
        """`(1, h, w, 3)` float grey levels, padded as `pixels.pad` does, to levels and vectors."""
        for axis, side in enumerate(ops.shape(image)[1:3], start=1):
            padded = ops.maximum(side + -side % self.stride, 2 * self.stride)
            period = ops.maximum(2 * (side - 1), 1)
            place = ops.arange(padded, dtype="int32") % period
            image = ops.take(image, ops.minimum(place, period - place), axis=axis)
        return self.model.encode_graph(image * (1 / 255))


class PortableStyle(Portable):
    """A picture to `style_mean`, `style_std`, `palette_mean` and `palette_covariance`."""

    def call(self, style):
        image = ops.cast(style, "float32")
        *_, mean, std = self.encode(image)
        palette_mean, covariance = _palette(image * (1 / 255))
        return {
            "style_mean": ops.reshape(mean, (self.width,)),
            "style_std": ops.reshape(std, (self.width,)),
            "palette_mean": ops.reshape(palette_mean, (3,)),
            "palette_covariance": covariance,
        }

    @property
    def signature(self) -> list:
        return [keras.InputSpec(shape=(1, None, None, 3), dtype="uint8", name="style")]


class PortableStylize(Portable):
    """`content`, what `PortableStyle` gives, `alpha` and `palette` to `picture`."""

    def call(self, inputs):
        alpha = ops.reshape(inputs["alpha"], (1, 1, 1, 1))
        _, height, width, _ = ops.shape(inputs["content"])
        encoded = self.encode(ops.cast(inputs["content"], "float32"))
        vectors = (
            ops.reshape(inputs[name], (1, 1, 1, self.width)) for name in ("style_mean", "style_std")
        )
        picture = self.model.paint(encoded, *vectors, alpha)
        picture = ops.clip(picture, 0, 1)[:, :height, :width]
        step = ops.sqrt(ops.cast(height * width, "float32") * (1 / SAMPLES))
        step = ops.cast(ops.maximum(step, 1), "int32")
        source = _palette(picture[:, ::step, ::step])
        target = ops.reshape(inputs["palette_mean"], (1, 3)), inputs["palette_covariance"]
        share = ops.reshape(inputs["palette"] * ops.clip(inputs["alpha"], 0, 1), (1, 1))
        matrix, offset = transport_rows(source, target, share, ops.transpose)
        rows = ops.reshape(picture, (-1, 3)) @ (matrix * 255.0) + (offset * 255.0 + 0.5)
        picture = ops.reshape(ops.clip(rows, 0, 255), (1, height, width, 3))
        return {"picture": ops.cast(picture, "uint8")}

    @property
    def signature(self) -> list:
        shapes = {
            "style_mean": (self.width,),
            "style_std": (self.width,),
            "palette_mean": (3,),
            "palette_covariance": (3, 3),
            "alpha": (1,),
            "palette": (1,),
        }
        content = keras.InputSpec(shape=(1, None, None, 3), dtype="uint8", name="content")
        vectors = {
            name: keras.InputSpec(shape=shape, dtype="float32", name=name)
            for name, shape in shapes.items()
        }
        return [{"content": content} | vectors]


PORTABLE = {"style": PortableStyle, "stylize": PortableStylize}
"""The models by the names of `export.portable`'s graphs."""


def _palette(picture):
    """Mean colour `(1, 3)` and covariance of `(1, h, w, 3)` in [0, 1]."""
    rows = ops.reshape(picture, (-1, 3))
    mean = ops.mean(rows, axis=0, keepdims=True)
    away = rows - mean
    return mean, ops.transpose(away) @ away / ops.cast(ops.shape(rows)[0], "float32")
