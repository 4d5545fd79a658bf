"""Adaptive instance normalisation as pure functions.

Everything here runs on any Keras backend; tensors are `(batch, height, width, channels)`.
"""

# What Keras' own annotations say of its operations is wider than what they return.
# pyright: reportOptionalOperand=false

from __future__ import annotations

from keras import ops

from adain.constants import EPSILON


def mean_std(features, epsilon: float = EPSILON):
    """Mean and standard deviation of every channel of every picture, over height and width.

    `std = sqrt(mean((x - mean(x))^2) + epsilon)`: the biased estimate. It is computed in float32
    whatever the input's dtype, because VGG features squared overflow float16.

    Args:
        features: `(batch, h, w, channels)` float.
        epsilon: Added to the variance.

    Returns:
        `(mean, std)`, both `(batch, 1, 1, channels)` float32.

    Example:
        >>> mean, std = mean_std(np.ones((1, 4, 4, 3), "float32"))
        >>> tuple(mean.shape)
        (1, 1, 1, 3)
    """
    if len(features.shape) != 4:
        raise ValueError(
            "`features` must be (batch, height, width, channels). "
            f"Received: shape={tuple(features.shape)}"
        )
    features = ops.cast(features, "float32")
    mean = ops.mean(features, axis=(1, 2), keepdims=True)
    # Two passes: E[x^2] - E[x]^2 loses all digits where the deviation is small beside the mean.
    variance = ops.mean(ops.square(features - mean), axis=(1, 2), keepdims=True)
    return mean, ops.sqrt(variance + epsilon)


def transfer_statistics(features, mean, std, style_mean, style_std, alpha=1.0):
    """Give `features`, whose statistics are known, the statistics of a style.

    `alpha * (style_std * (x - mean) / std + style_mean) + (1 - alpha) * x`. Taking the statistics
    as arguments is what lets tiles of one picture share the statistics of the whole.

    Args:
        features: `(batch, h, w, channels)` float.
        mean, std: `(batch, 1, 1, channels)` float32, of the content.
        style_mean, style_std: `(batch, 1, 1, channels)` float32.
        alpha: Strength, a number or a tensor that broadcasts; 0 returns `features`, and above 1
            the style is exaggerated.

    Returns:
        `(batch, h, w, channels)`, the dtype of `features`.
    """
    x = ops.cast(features, "float32")
    target = style_std * ((x - mean) / std) + style_mean
    return ops.cast(x + alpha * (target - x), features.dtype)


def adaptive_instance_normalization(content, style, alpha=1.0, epsilon: float = EPSILON):
    """Give the content's features the channel means and deviations of the style's.

    `AdaIN(x, y) = sigma(y) * (x - mu(x)) / sigma(x) + mu(y)`, per picture and channel.

    Args:
        content: Content features, `(batch, h, w, channels)` float.
        style: Style features, `(batch, any h, any w, channels)` float.
        alpha: Strength: 1 is the equation above, 0 returns `content`.
        epsilon: Added to both variances.

    Returns:
        `(batch, h, w, channels)`, the dtype of `content`.

    Raises:
        ValueError: If the channel counts differ.

    Reference:
        Huang & Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance
        Normalization", ICCV 2017, equation 8.
    """
    if content.shape[-1] != style.shape[-1]:
        raise ValueError(
            "`content` and `style` must have the same number of channels. "
            f"Received: content.shape={tuple(content.shape)}, style.shape={tuple(style.shape)}"
        )
    return transfer_statistics(
        content, *mean_std(content, epsilon), *mean_std(style, epsilon), alpha=alpha
    )
