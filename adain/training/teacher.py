"""Weights whose pictures a run learns from."""

from __future__ import annotations

from keras import ops

from adain.networks.model import StyleTransfer
from adain.networks.vgg19 import set_arrays
from adain.options import require
from adain.presets.preset import PARTS, Preset
from adain.training.build import arithmetic
from adain.training.config import TrainConfig
from adain.training.palette import recolor


def find_teacher(config: TrainConfig) -> Preset | None:
    """The teacher that settings name, if any, before it is read.

    Raises:
        PresetError: If there is no such preset.
        UsageError: If its networks cannot look at crops of such sizes.
    """
    if not config.teacher:
        return None
    preset = Preset.load(config.teacher)
    stride = preset.architecture.stride
    for name in ("crop_size", "style_crop_size"):
        size = getattr(config, name)
        fits = size % stride == 0 and (size == 0 or size >= 2 * stride)
        require(
            config, name, fits,
            f"a multiple of {stride}, and {2 * stride} or more, with --teacher {config.teacher}",
        )  # fmt: skip
    return preset


def load_teacher(config: TrainConfig) -> StyleTransfer | None:
    """The teacher that settings name, if any, which does not learn.

    Raises:
        PresetError, ValueError: If its weights cannot be read, or do not fit its networks.
        UsageError: As `find_teacher` raises it.
    """
    preset = find_teacher(config)
    if preset is None:
        return None
    builder = preset.architecture.builder
    with arithmetic(config.precision):
        networks = builder.build_encoder(preset.widths), builder.build_decoder(preset.widths)
    for network, part in zip(networks, PARTS, strict=True):
        set_arrays(network, preset.read_weights(part))
    teacher = StyleTransfer(*networks, architecture=preset.architecture.name)
    teacher.trainable = False
    return teacher


def paint_target(teacher: StyleTransfer, photos, paintings, alpha: float, palette: float):
    """What the student is to come near to.

    Args:
        teacher: Other weights, of any architecture.
        photos, paintings: `(batch, h, w, 3)` float32 RGB in [0, 1].
        alpha: Strength of AdaIN.
        palette: By what share the colours are moved to the paintings', in [0, 1].

    Returns:
        `(batch, h, w, 3)` float32 RGB, meant for [0, 1]. No gradient goes through it.
    """
    *_, mean, std = teacher.encode_graph(paintings)
    strength = ops.full((1, 1, 1, 1), alpha)
    pictures = teacher.paint(teacher.encode_graph(photos), mean, std, strength)
    if palette:
        pictures = recolor(pictures, paintings, palette)
    return ops.stop_gradient(pictures)
