"""What a training run starts from: networks, with their weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np

from adain.networks import vgg19
from adain.networks.model import StyleTransfer
from adain.networks.vgg19 import set_arrays, without_identities
from adain.presets import vgg_files as vgg
from adain.presets.architecture import ARCHITECTURES
from adain.presets.preset import DEFAULT_PALETTE, FULL_WIDTH_PRESET, Preset, PresetError
from adain.training import devices
from adain.training.config import TrainConfig


def build_model(config: TrainConfig) -> tuple[StyleTransfer, keras.Model]:
    """What a run starts from.

    Returns:
        The model: new, or with the weights of `init`; and the loss network, of `vgg_path`, which
        is the encoder of a full-width model.
    """
    about = {
        "preset": Path(config.checkpoint).resolve().name,
        # As it is read back from config.json: lists, not tuples.
        "training": json.loads(json.dumps(asdict(config))),
        "step": 0,
    }
    arrays = read_vgg19(config.vgg_path)
    widths = tuple(arrays[f"conv{block}_1/bias"].size for block in range(1, 5))
    architecture = ARCHITECTURES[config.network]
    builder, full = architecture.builder, not architecture.trains_encoder
    with devices.variables(), arithmetic(config.precision):
        loss_network = vgg19.build_encoder(widths)
        encoder = loss_network if full else builder.build_encoder()
        decoder = builder.build_decoder(widths) if full else builder.build_decoder()
    set_arrays(loss_network, arrays)
    if not full:
        loss_network = without_identities(loss_network)
    if config.init:
        start = Preset.load(config.init)
        if start.architecture.name != config.network:
            raise PresetError(
                f"{config.init}: --init must be weights of --network {config.network}. Received: "
                f"weights of the {start.architecture.name} network"
            )
        set_arrays(decoder, start.read_weights("decoder"))
        if not full:
            set_arrays(encoder, start.read_weights("encoder"))
    how = {"architecture": config.network, "about": about, "palette": DEFAULT_PALETTE}
    model = StyleTransfer(encoder, decoder, **how)
    return model, loss_network


def read_vgg19(path: str) -> dict[str, np.ndarray]:
    """Weights of a loss network, as `--vgg-path` names them.

    Raises:
        PresetError, WeightsError: If they cannot be read.
    """
    if path == "imagenet":
        return vgg.from_keras_applications()
    if Path(path).is_file():
        return vgg.read_vgg(path)
    preset = Preset.load(path)
    if preset.architecture.trains_encoder:
        raise PresetError(
            f"{path}: --vgg-path must be a VGG-19, such as that of {FULL_WIDTH_PRESET}. Received: "
            f"weights of the {preset.architecture.name} network"
        )
    return preset.read_weights("encoder")


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Build networks with a precision, as `--precision` names it."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
