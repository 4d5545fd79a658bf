"""The training losses, as pure functions of features; they run on any Keras backend.

Loss weights only mean something beside their reduction, so each function states its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from adain.constants import EPSILON
from adain.networks.adain import mean_std


def content_loss(features, target):
    """Mean squared error between the output's features and AdaIN's target (paper, equation 12).

    Args:
        features, target: `(batch, h, w, channels)` float; relu4_1 of the output, and `t`.

    Returns:
        Scalar float32: the mean over batch, positions and channels.
    """
    difference = ops.cast(features, "float32") - ops.cast(target, "float32")
    return ops.mean(ops.square(difference))


def style_loss(taps: Sequence, means: Sequence, stds: Sequence):
    """Squared error of channel means and deviations, over all taps (paper, equation 13).

    Args:
        taps: Features of the output, `(batch, h, w, channels)` float each.
        means, stds: Statistics of the style at the same taps, `(batch, 1, 1, channels)` float32.

    Returns:
        Scalar float32: summed over taps and channels, averaged over the batch.
    """
    total = 0.0
    for features, style_mean, style_std in zip(taps, means, stds, strict=True):
        mean, std = mean_std(features)
        error = ops.square(mean - style_mean) + ops.square(std - style_std)
        total = total + ops.mean(ops.sum(error, axis=(1, 2, 3)))
    return total


def normalized_content_loss(features, content):
    """Mean squared error between instance-normalised features: where things are, not how strong.

    Args:
        features, content: `(batch, h, w, channels)` float; relu4_1 of output and content.

    Returns:
        Scalar float32: the mean over batch, positions and channels; 2 for unrelated pictures.

    Reference:
        Park & Lee, "Arbitrary Style Transfer with Style-Attentional Networks", CVPR 2019.
    """
    parts = []
    for x in (features, content):
        mean, std = mean_std(x)
        parts.append((ops.cast(x, "float32") - mean) / std)
    return ops.mean(ops.square(parts[0] - parts[1]))


def balanced_style_loss(taps: Sequence, means: Sequence, stds: Sequence):
    """`style_loss` with each tap and each picture in proportion to the style's own variance.

    Plain sums are ruled by relu4_1 and by a few loud pictures, so colours, which live in
    relu1_1, are learnt last.

    Args:
        taps: Features of the output, `(batch, h, w, channels)` float each.
        means, stds: Statistics of the style at the same taps, `(batch, 1, 1, channels)` float32.

    Returns:
        Scalar float32: per tap the squared error over the style's variance, both averaged over
        channels; summed over taps, averaged over the batch.

    Reference:
        In the spirit of Cheng et al., "Style-Aware Normalized Loss for Improving Arbitrary Style
        Transfer", CVPR 2021, which divides by an upper bound.
    """
    total = 0.0
    for features, style_mean, style_std in zip(taps, means, stds, strict=True):
        mean, std = mean_std(features)
        error = ops.square(mean - style_mean) + ops.square(std - style_std)
        scale = ops.mean(ops.square(style_std), axis=(1, 2, 3))
        total = total + ops.mean(ops.mean(error, axis=(1, 2, 3)) / (scale + EPSILON))
    return total


def relative_style_loss(taps: Sequence, means: Sequence, stds: Sequence):
    """Squared relative distance of means and deviations: each tap and each picture counts alike.

    Unlike the variance, the length of the statistics is not small where a style is flat: a few
    crops of plain canvas do not outweigh the others.

    Args:
        taps: Features of the output, `(batch, h, w, channels)` float each.
        means, stds: Statistics of the style at the same taps, `(batch, 1, 1, channels)` float32.

    Returns:
        Scalar float32: per tap `|(mu, sigma) - (mu, sigma)_style|^2 / |(mu, sigma)_style|^2`,
        Euclidean over channels; summed over taps, averaged over the batch.
    """
    total = 0.0
    for features, style_mean, style_std in zip(taps, means, stds, strict=True):
        mean, std = mean_std(features)
        error = ops.square(mean - style_mean) + ops.square(std - style_std)
        length = ops.square(style_mean) + ops.square(style_std)
        error, length = (ops.sum(x, axis=(1, 2, 3)) for x in (error, length))
        total = total + ops.mean(error / (length + EPSILON))
    return total


def identity_loss(image, content):
    """Mean squared error of pixels between a photo in its own style and the photo.

    Args:
        image, content: `(batch, h, w, 3)` float RGB in [0, 1].

    Returns:
        Scalar float32: the mean over batch, positions and channels.

    Reference:
        Park & Lee, "Arbitrary Style Transfer with Style-Attentional Networks", CVPR 2019,
        the first part of equation 7, for the content alone.
    """
    return content_loss(image, content)


def stability_loss(image, again):
    """Mean squared error of pixels between two pictures of a photo that was seen twice.

    Args:
        image, again: `(batch, h, w, 3)` float RGB in [0, 1], of the same part of the photo.

    Returns:
        Scalar float32: the mean over batch, positions and channels.

    Reference:
        Zheng et al., "Improving the Robustness of Deep Neural Networks via Stability Training",
        CVPR 2016, with noise; here with a shift too, as between two frames of a video.
    """
    return content_loss(image, again)


def smoothness_loss(image, content):
    """How much the output varies from area to area where the photo does not.

    Args:
        image, content: `(batch, h, w, 3)` float RGB in [0, 1], sides of 16 or more.

    Returns:
        Scalar float32: mean absolute difference of neighbouring areas of 8 x 8, so that strokes
        within them are free, each weighted by `exp(-2 d / mean(d))` of the photo's differences d;
        mean over batch, positions, channels and the two directions. Areas begin at every pixel:
        were they tiles, strokes would come to lie along the edges of those.

    Reference:
        Godard, Mac Aodha & Brostow, "Unsupervised Monocular Depth Estimation with Left-Right
        Consistency", CVPR 2017, equation 3, of a small copy.
    """
    total = 0.0
    small, photo = (_areas(ops.cast(x, "float32")) for x in (image, content))
    for rows, columns in ((8, 0), (0, 8)):
        steps, edges = (
            ops.abs(x[:, rows:, columns:] - x[:, : x.shape[1] - rows, : x.shape[2] - columns])
            for x in (small, photo)
        )
        edges = ops.mean(edges, axis=-1, keepdims=True)
        edges = edges / (ops.mean(edges, axis=(1, 2), keepdims=True) + EPSILON)
        total = total + ops.mean(steps * ops.exp(-2.0 * edges)) / 2.0
    return total


def _areas(pictures):
    """Means over 8 x 8 pixels that begin at each pixel."""
    # One direction after the other: 16 products a pixel, not 64.
    return ops.average_pool(ops.average_pool(pictures, (8, 1), 1), (1, 8), 1)


def teacher_loss(image, target, features, target_features):
    """Distance from another network's picture: colours of areas, and where things are.

    Args:
        image, target: `(batch, h, w, 3)` float RGB in [0, 1], sides of 4 or more.
        features, target_features: `(batch, h, w, channels)` float; relu4_1 of the two.

    Returns:
        Scalar float32: the mean squared error of pixels, areas of 4 x 4 averaged so that strokes
        within them are free, plus `normalized_content_loss`.
    """
    small, small_target = (ops.average_pool(ops.cast(x, "float32"), 4, 4) for x in (image, target))
    near = content_loss(small, small_target)
    return near + normalized_content_loss(features, target_features)


def gram_matrix(features):
    """Correlations of channels, `G = F^T F / (h * w)`.

    Args:
        features: `(batch, h, w, channels)` float.

    Returns:
        `(batch, channels, channels)` float32.

    Reference:
        Gatys, Ecker & Bethge, "Image Style Transfer Using Convolutional Neural Networks",
        CVPR 2016, equation 3, per position so that it does not grow with the picture.
    """
    _, height, width, channels = ops.shape(features)
    flat = ops.reshape(ops.cast(features, "float32"), (-1, height * width, channels))
    return ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) / ops.cast(height * width, "float32")


def gram_loss(taps: Sequence, grams: Sequence):
    """Squared error of Gram matrices, over all taps.

    Args:
        taps: Features of the output, `(batch, h, w, channels)` float each.
        grams: Gram matrices of the style, `(batch, channels, channels)` float32 each.

    Returns:
        Scalar float32: per tap the sum over entries divided by the number of channels, so that
        it is of the size of `style_loss`; summed over taps, averaged over the batch.
    """
    total = 0.0
    for features, gram in zip(taps, grams, strict=True):
        error = ops.square(gram_matrix(features) - gram)
        total = total + ops.mean(ops.sum(error, axis=(1, 2))) / gram.shape[-1]
    return total


def relative_gram_loss(taps: Sequence, grams: Sequence):
    """Squared relative distance of Gram matrices: each tap and each picture counts alike.

    Args:
        taps: Features of the output, `(batch, h, w, channels)` float each.
        grams: Gram matrices of the style, `(batch, channels, channels)` float32 each.

    Returns:
        Scalar float32: per tap `|G - G_style|^2 / |G_style|^2`, Frobenius; summed over taps,
        averaged over the batch.
    """
    total = 0.0
    for features, gram in zip(taps, grams, strict=True):
        error = ops.sum(ops.square(gram_matrix(features) - gram), axis=(1, 2))
        total = total + ops.mean(error / (ops.sum(ops.square(gram), axis=(1, 2)) + EPSILON))
    return total


def gram_scale(gram):
    """The `gram_loss` of an output without any features, averaged over the batch.

    Args:
        gram: Gram matrices of the style, `(batch, channels, channels)` float32.

    Returns:
        Scalar float32.
    """
    return ops.mean(ops.sum(ops.square(gram), axis=(1, 2))) / gram.shape[-1]


def total_variation_loss(image):
    """Squared differences of neighbouring pixels: how restless the picture is.

    Args:
        image: `(batch, h, w, 3)` float, RGB.

    Returns:
        Scalar float32: summed over positions and channels, averaged over the batch.
    """
    image = ops.cast(image, "float32")
    down = ops.square(image[:, 1:] - image[:, :-1])
    right = ops.square(image[:, :, 1:] - image[:, :, :-1])
    return ops.mean(ops.sum(down, axis=(1, 2, 3)) + ops.sum(right, axis=(1, 2, 3)))


def range_loss(image):
    """How far values are outside of what a picture can show, squared.

    Args:
        image: `(batch, h, w, 3)` float, RGB meant for [0, 1].

    Returns:
        Scalar float32: the mean over batch, positions and channels; 0 within [0, 1].
    """
    image = ops.cast(image, "float32")
    return ops.mean(ops.square(image - ops.clip(image, 0.0, 1.0)))
