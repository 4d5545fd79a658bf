"""The model people use: `StyleTransfer` takes pictures and gives pictures."""

# What Keras' own annotations say of its operations is wider than what they return.
# pyright: reportOptionalSubscript=false

from __future__ import annotations

import logging
import os
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from adain.imaging.pixels import to_picture, to_unit
from adain.inference.stylizer import Statistics, Stylizer
from adain.networks import onnx_graph
from adain.networks.adain import mean_std, transfer_statistics
from adain.networks.vgg19 import get_arrays, set_arrays
from adain.presets import graphs
from adain.presets.architecture import ARCHITECTURES
from adain.presets.preset import (
    DEFAULT_PRESET,
    FULL_WIDTH_PRESET,
    PARTS,
    Preset,
    PresetError,
)

logger = logging.getLogger(__name__)


@keras.saving.register_keras_serializable("adain")
class StyleTransfer(keras.Model, Stylizer):
    """A photo and any picture as its style, to the photo painted in that style.

    `image = g(t)`, `t = AdaIN(f(content), f(style))`, with `f` the encoder and `g` the decoder.

    Args:
        encoder: Pictures `(batch, h, w, 3)` float in [0, 1] to a list of taps, the deepest last.
        decoder: The levels after AdaIN, and the style code if it takes one, to pictures.
        architecture: Which kind of networks they are: a key of `ARCHITECTURES`.
        about: What is known of the weights: license, training, source; goes into `config.json`.
        palette: The `palette` of `stylize` where none is given, in [0, 1]; likewise.

    Call arguments:
        inputs: `{"content": (B, h, w, 3), "style": (B, h', w', 3)}` float RGB in [0, 1], all
            sides multiples of the architecture's stride, at least two; optionally
            `"alpha": (B, 1)` float.

    Example:
        >>> model = adain.StyleTransfer.from_preset("adain_vgg19")
        >>> image = model.stylize(adain.load_image("photo.jpg"), adain.load_image("art.jpg"))

    Reference:
        Huang & Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance
        Normalization", ICCV 2017, https://arxiv.org/abs/1703.06868
    """

    def __init__(
        self,
        encoder,
        decoder,
        *,
        architecture: str = "vgg19",
        about: dict | None = None,
        palette: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.architecture = architecture
        facts = ARCHITECTURES[architecture]
        count = facts.levels
        widths = tuple(output.shape[-1] for output in encoder.outputs[-count:])
        self.about = dict(about or {})
        name = self.about.get("preset", "")
        Stylizer.__init__(self, facts, widths, name, palette=palette)
        # === Networks ===
        self.encoder = encoder
        self.decoder = decoder
        # === Graphs: the two halves of `stylize`, with the features handed over between them ===
        image = layers.Input((None, None, 3), name="image")
        levels = keras.Model(encoder.inputs, encoder.outputs[-count:], name="levels")(image)
        levels = levels if isinstance(levels, list) else [levels]
        own = _LevelStatistics(facts.epsilon, name="statistics")(levels)
        self.encode_graph = keras.Model(image, [*levels, *own], name="encode")
        self.decode_graph = _decode_graph(decoder, widths, facts, "decode")
        if facts.normalized:
            builder = facts.builder
            measuring, fixed = builder.build_measuring(decoder), builder.build_fixed(decoder)
            self.measure_graph = _decode_graph(measuring, widths, facts, "measure")
            self.decode_fixed_graph = _decode_graph(fixed, widths, facts, "decode_fixed")
        self._process = os.getpid()
        self.built = True

    # === Keras ===

    def call(self, inputs):
        batch = ops.shape(inputs["content"])[0]
        alpha = inputs.get("alpha")
        alpha = ops.ones((batch, 1)) if alpha is None else alpha
        *_, style_mean, style_std = self.encode_graph(inputs["style"])
        encoded = self.encode_graph(inputs["content"])
        return self.paint(encoded, style_mean, style_std, ops.reshape(alpha, (-1, 1, 1, 1)))

    def paint(self, encoded, style_mean, style_std, alpha):
        """What `encode_graph` gives of photos to pictures in a style.

        Args:
            encoded: The levels, and their means and deviations.
            style_mean, style_std: `(batch, 1, 1, channels of all levels)` float32.
            alpha: Strength, `(batch, 1, 1, 1)` float32.

        Returns:
            `(batch, h, w, 3)` float32 RGB, meant for [0, 1] and not clipped.
        """
        return self.decode_graph([*encoded, style_mean, style_std, alpha])

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "architecture": self.architecture,
            "about": self.about,
            "palette": self.palette,
            "fingerprint": self._fingerprint,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        fingerprint = config.pop("fingerprint", "")
        for part in ("encoder", "decoder"):
            config[part] = keras.saving.deserialize_keras_object(config[part])
        model = cls(**config)
        model._fingerprint = fingerprint
        return model

    # === Pictures: `encode_style` and `stylize` are the stylizer's ===

    @property
    def preset(self) -> str:
        """Name of the weights; style codes carry it."""
        return self.about.get("preset", "")

    def _encode(self, image):
        if os.getpid() != self._process:
            raise RuntimeError(
                "Keras does not work in a forked process. Use another engine, or "
                "multiprocessing.get_context('spawn')."
            )
        *levels, mean, std = self.encode_graph.predict_on_batch(to_unit(image[None]))
        return [level[0] for level in levels], Statistics(mean.reshape(-1), std.reshape(-1))

    def _measure(self, levels, own, style, alpha, weight):
        inputs = [*self._decoder_inputs(levels, own, style, alpha), weight[None, ..., None]]
        return self.measure_graph.predict_on_batch(inputs).reshape(-1)

    def _decode(self, levels, own, style, alpha, *, fixed=None, exact=False):
        inputs = self._decoder_inputs(levels, own, style, alpha)
        if fixed is None:
            graph = self.decode_graph
        else:
            graph = self.decode_fixed_graph
            inputs.append(fixed.reshape(1, 1, 1, -1))
        image = graph.predict_on_batch(inputs)[0]
        return np.clip(image, 0, 1) if exact else to_picture(image)

    def _decoder_inputs(self, levels, own, style, alpha):
        vectors = [np.reshape(vector, (1, 1, 1, -1)) for vector in (*own, *style)]
        strength = np.full((1, 1, 1, 1), alpha, "float32")
        return [*(level[None] for level in levels), *vectors, strength]

    # === Weights ===

    @classmethod
    def from_preset(cls, preset: str | Path | Preset = DEFAULT_PRESET) -> StyleTransfer:
        """Load a model with its weights.

        Args:
            preset: A name from `available_presets()`, a preset's folder, the folder a training
                run writes to, or what `Preset.load` returned.

        Returns:
            A `StyleTransfer`, ready to use.

        Raises:
            PresetError: If there is no such preset, or its files are damaged.
        """
        if not isinstance(preset, Preset):
            preset = Preset.load(preset)
        builder, networks = preset.architecture.builder, {}
        for part, build in zip(PARTS, (builder.build_encoder, builder.build_decoder), strict=True):
            arrays = preset.read_weights(part)
            networks[part] = build(preset.widths, name=part)
            try:
                set_arrays(networks[part], arrays)
            except ValueError as error:
                raise PresetError(f"{preset.folder / f'{part}.npz'}: {error}") from error
        model = cls(
            **networks,
            architecture=preset.architecture.name,
            about=dict(preset.about),
            palette=preset.palette,
        )
        model._fingerprint = preset.fingerprint
        return model

    def save_to_preset(self, folder: str | Path) -> None:
        """Write the weights, in half precision, their graphs and `config.json` into a folder.

        Networks with layers of which no graph can be made are saved without graphs, with a
        warning; only Keras runs such a preset.

        Raises:
            OSError: If the folder cannot be written.
        """
        folder = Path(folder)
        files = {}
        try:
            files[graphs.GRAPHS] = graphs.to_json(onnx_graph.describe(self))
        except ValueError as error:
            (folder / graphs.GRAPHS).unlink(missing_ok=True)
            logger.warning("%s Only --engine keras runs the weights in %s.", error, folder)
        Preset.save(
            folder,
            architecture=self.architecture,
            widths=tuple(output.shape[-1] for output in self.encoder.outputs),
            weights={part: get_arrays(getattr(self, part)) for part in PARTS},
            files=files,
            palette=self.palette,
            about=self.about,
        )


@lru_cache(maxsize=1)
def load_loss_network() -> keras.Model:
    """The encoder of the full-width preset, which losses and measures are taken in.

    Returns:
        Pictures `(batch, h, w, 3)` float in [0, 1], sides multiples of 8, to relu1_1..relu4_1.
    """
    return StyleTransfer.from_preset(FULL_WIDTH_PRESET).encoder


@keras.saving.register_keras_serializable("adain")
class _LevelStatistics(layers.Layer):
    """Levels to the means and the deviations of all their channels, `(B, 1, 1, sum)` each.

    Args:
        epsilon: Added to the variances.
    """

    def __init__(self, epsilon: float, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, inputs):
        means, stds = zip(*(mean_std(level, self.epsilon) for level in inputs), strict=True)
        return ops.concatenate(means, -1), ops.concatenate(stds, -1)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


def _decode_graph(decoder, widths, facts, name: str) -> keras.Model:
    """A decoder behind AdaIN.

    Args:
        decoder: The levels after AdaIN; what it takes of the style code, if anything; and whatever
            else.
        widths: Channels of each level.
        facts: The architecture.
        name: Name of the model.

    Returns:
        A `keras.Model` from the levels, `mean`, `std`, `style_mean`, `style_std`,
        `(batch, 1, 1, channels of all levels)` each, `alpha`, and whatever else the decoder takes.
    """
    vectors = ("mean", "std", "style_mean", "style_std")
    inputs = [
        layers.Input((None, None, width), name=f"level{number}")
        for number, width in enumerate(widths, start=1)
    ] + [layers.Input((1, 1, sum(widths)), name=vector) for vector in vectors]
    inputs.append(layers.Input((1, 1, 1), name="alpha"))
    others = decoder.inputs[facts.levels :]
    takes_code = len(others) > 0
    targets = _Transfer(facts.levels, takes_code=takes_code, name="transfer")(inputs)
    others = others[takes_code:]
    others = [layers.Input(other.shape[1:], name=other.name) for other in others]
    targets = [*targets, *others]
    output = decoder(targets if len(targets) > 1 else targets[0])
    return keras.Model([*inputs, *others], output, name=name)


@keras.saving.register_keras_serializable("adain")
class _Transfer(layers.Layer):
    """`[*levels, mean, std, style_mean, style_std, alpha]` to what the decoder takes.

    Args:
        count: How many levels there are.
        takes_code: Whether the decoder also takes the means and deviations wanted.
    """

    def __init__(self, count: int, takes_code: bool, **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.takes_code = takes_code

    def call(self, inputs):
        levels, (*statistics, alpha) = inputs[: self.count], inputs[self.count :]
        targets, start = [], 0
        for level in levels:
            channels = slice(start, start + level.shape[-1])
            parts = (vector[..., channels] for vector in statistics)
            targets.append(transfer_statistics(level, *parts, alpha=alpha))
            start = channels.stop
        if self.takes_code:
            mean, std, style_mean, style_std = statistics
            wanted = [mean + alpha * (style_mean - mean), std + alpha * (style_std - std)]
            targets.append(ops.concatenate(wanted, -1))
        return targets

    def compute_output_shape(self, input_shape):
        shapes = [tuple(shape) for shape in input_shape]
        targets = shapes[: self.count]
        if self.takes_code:
            targets.append((shapes[0][0], 1, 1, 2 * shapes[self.count][-1]))
        return targets

    def get_config(self):
        return {**super().get_config(), "count": self.count, "takes_code": self.takes_code}
