"""What the code around the networks needs to know of each architecture; imports no Keras."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

from adain.constants import EPSILON


@dataclass(frozen=True)
class Architecture:
    """A pair of networks around AdaIN.

    A new one is a module with `build_encoder(widths, name)` and `build_decoder(widths, name)`, and
    an entry in `ARCHITECTURES`. Layers of its own bring their ONNX counterparts along: see
    `adain.networks.onnx_graph`.
    """

    name: str
    module: str
    """Module of `build_encoder` and `build_decoder`; imported when networks are built."""
    taps: int
    """How many taps the encoder has."""
    levels: int
    """The decoder is given this many of the encoder's taps, the last ones, after AdaIN; their
    statistics are the style code."""
    stride: int
    """Pixels of the picture that one feature of the deepest level covers."""
    encoder_halo: int
    """Pixels beyond a tile's edge that its features depend on, rounded up to the stride."""
    decoder_halo: int
    """Pixels beyond a tile's edge that the decoder's features reach, rounded up."""
    memory: Mapping[str, int]
    """Bytes for each pixel of a tile, halo included, by engine and precision: measured, and a fifth
    more, with the float pictures whose colours are moved; of Keras, whose backends differ, as much
    as the largest."""
    trains_encoder: bool = True
    """Whether training changes the encoder; if not, it is VGG-19's, and also the loss network."""
    small: bool = False
    """Whether the networks take so little time that an engine's overhead for each picture counts.
    """

    epsilon: float = EPSILON
    """Added to the variances of the style code."""
    normalized: bool = False
    """Whether the decoder normalises its features, with statistics of all of a picture."""
    quantizes: bool = False
    """Whether pictures stay within 2 grey levels on average with 8-bit weights, as measured."""

    def bytes_for(self, engine: str, precision: str = "float32") -> int:
        """Bytes that an engine takes for each pixel of a tile; of an unmeasured one, the most."""
        name = engine if precision == "float32" else f"{engine} {precision}"
        return self.memory.get(name, max(self.memory.values()))

    @property
    def halo(self) -> int:
        """Pixels beyond a tile's edge that its result depends on."""
        return self.encoder_halo + self.decoder_halo

    @property
    def builder(self) -> ModuleType:
        """The module with `build_encoder` and `build_decoder`; imports Keras."""
        return importlib.import_module(self.module)


ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        # Convolutions of the encoder see 1 feature each: 2 + 2*2 + 4*4 + 8 = 30 pixels; the three
        # poolings 1 + 2 + 4. The decoder: 8 + 4*4 + 2*2 + 2 = 30.
        Architecture(
            "vgg19",
            "adain.networks.vgg19",
            taps=4,
            levels=3,
            stride=8,
            encoder_halo=40,
            decoder_halo=32,
            memory={
                "mnn": 1540,
                "openvino": 2370,
                "onnxruntime": 2630,
                "keras": 2630,
                "openvino bfloat16": 4480,
            },
            trains_encoder=False,
        ),
        # Encoder: 1 + 2 + 4 + 8 + 2 * 16 = 47. Decoder: 5 convolutions at 1/16, 3 at 1/8, 1 at 1/4,
        # and 1 feature at 1/2: 80 + 24 + 4 + 2; a feature counts once more where it is enlarged.
        Architecture(
            "compact",
            "adain.networks.compact",
            taps=5,
            levels=5,
            stride=16,
            encoder_halo=48,
            decoder_halo=112,
            memory={
                "mnn": 440,
                "openvino": 540,
                "onnxruntime": 430,
                "keras": 540,
                "openvino bfloat16": 750,
            },
            small=True,
            # Features' deviations are 0.5 to 1.5; those of rounding errors must not become as
            # large.
            epsilon=1e-2,
            normalized=True,
            quantizes=True,
        ),
    )
}
"""Every architecture, by its name in `config.json` and of `adain train --network`."""
