"""The model people use: `StyleTransfer` takes pictures and gives pictures."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from adain import presets, tiling
from adain.functional import StyleCode, mean_std, transfer_statistics
from adain.networks import (
    DECODER_HALO,
    ENCODER_HALO,
    STRIDE,
    build_decoder,
    build_encoder,
    get_arrays,
    set_arrays,
)

SMALLEST_SIDE = 2 * STRIDE
"""Reflection needs two features in each direction at relu4_1."""


@keras.saving.register_keras_serializable("adain")
class StyleTransfer(keras.Model):
    """A photo and any picture as its style, to the photo painted in that style.

    `image = g(t)`, `t = AdaIN(f(content), f(style))`, with `f` the encoder and `g` the decoder.

    Args:
        encoder: Pictures `(batch, h, w, 3)` float in [0, 1] to a list of taps, the deepest last.
        decoder: Features of the deepest tap to pictures.
        about: What is known of the weights: licence, training, source; goes into `config.json`.

    Call arguments:
        inputs: `{"content": (B, h, w, 3), "style": (B, h', w', 3)}` float RGB in [0, 1], all
            sides multiples of 8 and at least 16; optionally `"alpha": (B, 1)` float.

    Example:
        >>> model = adain.StyleTransfer.from_preset("adain_vgg19")
        >>> image = model.stylize(adain.load_image("photo.jpg"), adain.load_image("art.jpg"))

    Reference:
        Huang & Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance
        Normalization", ICCV 2017, https://arxiv.org/abs/1703.06868
    """

    def __init__(self, encoder, decoder, *, about: dict | None = None, **kwargs):
        super().__init__(**kwargs)
        # === Networks ===
        self.encoder = encoder
        self.decoder = decoder
        self.about = dict(about or {})
        # === Graphs: what one call of `stylize` runs ===
        image = layers.Input((None, None, 3), name="image")
        width = encoder.outputs[-1].shape[-1]
        mean, std, style_mean, style_std = (
            layers.Input((1, 1, width), name=name)
            for name in ("mean", "std", "style_mean", "style_std")
        )
        alpha = layers.Input((1, 1, 1), name="alpha")
        deepest = keras.Model(encoder.inputs, encoder.outputs[-1], name="deepest")
        features = deepest(image)
        self._features = keras.Model(image, features, name="features")
        self._statistics = keras.Model(image, _Statistics(name="s")(features), name="statistics")
        own = _Statistics(name="own")(features)
        target = _Transfer(name="whole")([features, *own, style_mean, style_std, alpha])
        self._paint = keras.Model(
            [image, style_mean, style_std, alpha], decoder(target), name="paint"
        )
        target = _Transfer(name="part")([features, mean, std, style_mean, style_std, alpha])
        self._paint_tile = keras.Model(
            [image, mean, std, style_mean, style_std, alpha], decoder(target), name="paint_tile"
        )
        self.built = True

    # === Keras ===

    def call(self, inputs):
        batch = ops.shape(inputs["content"])[0]
        alpha = inputs.get("alpha")
        alpha = ops.ones((batch, 1)) if alpha is None else alpha
        style_mean, style_std = self._statistics(inputs["style"])
        alpha = ops.reshape(alpha, (-1, 1, 1, 1))
        return self._paint([inputs["content"], style_mean, style_std, alpha])

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "about": self.about,
        }

    @classmethod
    def from_config(cls, config):
        for part in ("encoder", "decoder"):
            config[part] = keras.saving.deserialize_keras_object(config[part])
        return cls(**config)

    # === Pictures ===

    def encode_style(self, style: np.ndarray, *, tile: int = 0, **about: str) -> StyleCode:
        """Everything the model needs of a style picture.

        Args:
            style: HWC uint8 sRGB, any size.
            tile: Side of the tiles to work in, pixels, a multiple of 8; 0: the whole picture at
                once.
            **about: `name`, `credit`, `licence`, kept in the code.

        Returns:
            A `StyleCode`.

        Raises:
            ValueError: If `style` is not a picture, or `tile` no multiple of 8.
        """
        _check_tile(tile)
        mean, std = self._whole_statistics(to_input(style, "style"), tile)
        return StyleCode([mean], [std], preset=self.preset, **about)

    def stylize(
        self,
        content: np.ndarray,
        style: np.ndarray | StyleCode,
        alpha: float = 1.0,
        *,
        tile: int = 0,
    ) -> np.ndarray:
        """Paint a photo in a style.

        Args:
            content: HWC uint8 sRGB, any size.
            style: HWC uint8 sRGB, any size, or a `StyleCode` of this model.
            alpha: Strength: 0 gives the photo back as well as the decoder can, 1 the style;
                above 1 the style is exaggerated.
            tile: Side of the tiles to work in, pixels, a multiple of 8; memory then does not grow
                with the picture, and the result is the same within one grey level. 0: all at once.

        Returns:
            HWC uint8 sRGB, the size of `content`.

        Raises:
            ValueError: If `content` is no picture, `alpha` is negative, `tile` is no multiple
                of 8, or the code is not ours.
        """
        if not 0 <= alpha < float("inf"):
            raise ValueError(f"`alpha` must be 0 or more. Received: alpha={alpha}")
        _check_tile(tile)
        code = style if isinstance(style, StyleCode) else self.encode_style(style, tile=tile)
        self._check_code(code)
        image = to_input(content, "content")
        height, width = content.shape[:2]
        paint = [_as_statistic(code.means[0]), _as_statistic(code.stds[0]), _as_statistic(alpha)]
        if not tile or max(image.shape[:2]) <= tile:
            result = self._paint.predict_on_batch([image[None], *paint])[0]
            return to_picture(result[:height, :width])
        own = [_as_statistic(value) for value in self._whole_statistics(image, tile)]

        def paint_tile(part):
            return to_picture(self._paint_tile.predict_on_batch([part[None], *own, *paint])[0])

        result = tiling.map_tiles(paint_tile, image, tile, halo=ENCODER_HALO + DECODER_HALO)
        return result[:height, :width]

    @property
    def preset(self) -> str:
        """Name of the weights; style codes carry it."""
        return self.about.get("preset", "")

    def _whole_statistics(self, image: np.ndarray, tile: int) -> tuple[np.ndarray, np.ndarray]:
        if not tile or max(image.shape[:2]) <= tile:
            mean, std = self._statistics.predict_on_batch(image[None])
            return mean.reshape(-1), std.reshape(-1)
        return tiling.pooled_statistics(
            lambda part: self._features.predict_on_batch(part[None])[0],
            image,
            tile,
            halo=ENCODER_HALO,
            stride=STRIDE,
        )

    def _check_code(self, code: StyleCode) -> None:
        expected = (self.encoder.outputs[-1].shape[-1],)
        if code.widths != expected or (code.preset and code.preset != self.preset):
            raise ValueError(
                f"The style code must be made with preset {self.preset!r} (widths {expected}). "
                f"Received: {code!r}"
            )

    # === Weights ===

    @classmethod
    def from_preset(cls, preset: str | Path = presets.DEFAULT_PRESET) -> StyleTransfer:
        """Load a model with its weights.

        Args:
            preset: A name from `available_presets()`, a preset's folder, or the folder a
                training run writes to.

        Returns:
            A `StyleTransfer`, ready to use.

        Raises:
            adain.presets.PresetError: If there is no such preset, or its files are damaged.
        """
        folder = presets.find_preset(preset)
        config = presets.read_config(folder)
        networks = {}
        for part, build in (("encoder", build_encoder), ("decoder", build_decoder)):
            file = f"{part}.npz"
            arrays = presets.read_weights(folder, file, config["sha256"].get(file))
            networks[part] = build(tuple(config["widths"]), name=part)
            try:
                set_arrays(networks[part], arrays)
            except ValueError as error:
                raise presets.PresetError(f"{folder / file}: {error}") from error
        return cls(**networks, about=config["about"])

    def save_to_preset(self, folder: str | Path) -> None:
        """Write the weights, in half precision, and `config.json` into a folder.

        Raises:
            OSError: If the folder cannot be written.
        """
        folder = Path(folder)
        sums = {}
        for part in ("encoder", "decoder"):
            arrays = get_arrays(getattr(self, part))
            sums[f"{part}.npz"] = presets.write_weights(folder / f"{part}.npz", arrays)
        widths = [output.shape[-1] for output in self.encoder.outputs]
        # Last, so that a folder that has it is complete.
        presets.write_config(folder, {"widths": widths, "sha256": sums, "about": self.about})


@keras.saving.register_keras_serializable("adain")
class _Statistics(layers.Layer):
    """`mean_std` inside a graph."""

    def call(self, inputs):
        return mean_std(inputs)


@keras.saving.register_keras_serializable("adain")
class _Transfer(layers.Layer):
    """`transfer_statistics` inside a graph."""

    def call(self, inputs):
        return transfer_statistics(*inputs)


def _check_tile(tile: int) -> None:
    if tile < 0 or tile % STRIDE:
        raise ValueError(f"`tile` must be 0 or a multiple of {STRIDE}. Received: tile={tile}")


def _as_statistic(value) -> np.ndarray:
    return np.asarray(value, "float32").reshape(1, 1, 1, -1)


def to_input(picture: np.ndarray, name: str) -> np.ndarray:
    """Check a picture and pad it, by reflection, to sides the networks take.

    Args:
        picture: HWC uint8 sRGB, any size.
        name: What errors call it.

    Returns:
        `(h, w, 3)` float32 RGB in [0, 1], the picture in the upper left corner.

    Raises:
        ValueError: If it is not a picture.
    """
    picture = np.asarray(picture)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3 or not picture.size:
        raise ValueError(
            f"`{name}` must be (height, width, 3) uint8 sRGB. "
            f"Received: shape={picture.shape}, dtype={picture.dtype}"
        )
    image = picture.astype("float32") / 255
    sides = [max(-(-side // STRIDE) * STRIDE, SMALLEST_SIDE) for side in picture.shape[:2]]
    padding = [(0, side - was) for side, was in zip(sides, picture.shape[:2], strict=True)]
    return np.pad(image, (*padding, (0, 0)), mode="reflect")


def to_picture(image: np.ndarray) -> np.ndarray:
    """`(h, w, 3)` float RGB, clipped to [0, 1], to HWC uint8."""
    return np.rint(np.clip(image, 0, 1) * 255).astype("uint8")
