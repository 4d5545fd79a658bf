"""Keras layers the networks are made of."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from adain.constants import EPSILON, NOISE
from adain.networks.adain import adaptive_instance_normalization, mean_std

QUIETED = 1000.0
"""Added to the deviation of a channel that does not vary at all."""


@keras.saving.register_keras_serializable("adain")
class ReflectionPadding2D(keras.layers.Layer):
    """Pads height and width by mirroring, without repeating the edge pixel.

    Zero padding would print a bright or dark frame into the picture.

    Args:
        padding: Pixels added on each side.

    Call arguments:
        inputs: `(batch, h, w, channels)`, `h` and `w` greater than `padding`.
    """

    def __init__(self, padding: int = 1, **kwargs):
        super().__init__(**kwargs)
        if padding < 0:
            raise ValueError(f"`padding` must be 0 or more. Received: padding={padding}")
        self.padding = padding

    def call(self, inputs):
        height, width = inputs.shape[1:3]
        # JAX pads a side that is too small without a word.
        if any(side is not None and side <= self.padding for side in (height, width)):
            raise ValueError(
                f"Height and width must be greater than padding={self.padding}. "
                f"Received: shape={tuple(inputs.shape)}"
            )
        sides = (self.padding, self.padding)
        return ops.pad(inputs, ((0, 0), sides, sides, (0, 0)), mode="reflect")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        extra = 2 * self.padding
        return (
            batch,
            None if height is None else height + extra,
            None if width is None else width + extra,
            channels,
        )

    def get_config(self):
        return {**super().get_config(), "padding": self.padding}


@keras.saving.register_keras_serializable("adain")
class NearestUpsampling2D(keras.layers.Layer):
    """Doubles height and width by repeating every pixel.

    Written as reshape and broadcast, not as `UpSampling2D`, because that exports to every runtime
    with free height and width. Transposed convolution would leave a chequered pattern.
    """

    def call(self, inputs):
        _, height, width, channels = ops.shape(inputs)
        x = ops.reshape(inputs, (-1, height, 1, width, 1, channels))
        x = ops.tile(x, (1, 1, 2, 1, 2, 1))
        return ops.reshape(x, (-1, 2 * height, 2 * width, channels))

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (
            batch,
            None if height is None else 2 * height,
            None if width is None else 2 * width,
            channels,
        )


@keras.saving.register_keras_serializable("adain")
class AdaIN(keras.layers.Layer):
    """Adaptive instance normalisation of `[content, style]` features.

    Args:
        alpha: Strength in [0, 1].
        epsilon: Added to the variances.

    Call arguments:
        inputs: `[content, style]`, each `(batch, h, w, channels)`; heights and widths may differ.
    """

    def __init__(self, alpha: float = 1.0, epsilon: float = EPSILON, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= alpha <= 1:
            raise ValueError(f"`alpha` must be in [0, 1]. Received: alpha={alpha}")
        self.alpha = alpha
        self.epsilon = epsilon

    def call(self, inputs):
        content, style = inputs
        return adaptive_instance_normalization(content, style, self.alpha, self.epsilon)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("adain")
class ConditionalInstanceNormalization(keras.layers.Layer):
    """`(x - mean) / std * (1 + scale) + shift`, one scale and shift a channel and picture.

    Args:
        epsilon: Added to the variance.

    Call arguments:
        inputs: `[x, change]` or `[x, change, statistics]`: `(batch, h, w, channels)`; and
            `(batch, 1, 1, 2 * channels)` with the scales before the shifts; and
            `(batch, 1, 1, 2 * channels)` with the means before the deviations, without which they
            are those of `x` over height and width.

    Reference:
        Dumoulin, Shlens & Kudlur, "A Learned Representation For Artistic Style", ICLR 2017.
    """

    def __init__(self, epsilon: float = EPSILON, **kwargs):
        # Statistics stay float32 whatever the dtype of the features.
        super().__init__(autocast=False, **kwargs)
        self.epsilon = epsilon

    def call(self, inputs):
        x, change, *given = inputs
        scale, shift = ops.split(ops.cast(change, "float32"), 2, axis=-1)
        mean, std = ops.split(given[0], 2, axis=-1) if given else mean_std(x, self.epsilon)
        scale = (1 + scale) / std
        x = (ops.cast(x, "float32") - mean) * scale + shift
        return ops.cast(x, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("adain")
class WeightedStatistics(keras.layers.Layer):
    """Means and deviations over height and width, where not every pixel counts alike.

    Args:
        stride: Pixels that a feature covers.
        epsilon: Added to the variance.

    Call arguments:
        inputs: `[x, weight]`: `(batch, h, w, channels)`; and `(batch, h * stride, w * stride, 1)`
            float in [0, 1], not all 0. A feature counts as much as the pixels that it covers do on
            average.

    Returns:
        `(batch, 1, 1, 2 * channels)` float32: the means before the deviations. Those of channels
        that do not vary are made large: rounding errors must not become a picture.
    """

    def __init__(self, stride: int, epsilon: float = EPSILON, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.stride = stride
        self.epsilon = epsilon

    def call(self, inputs):
        x, weight = (ops.cast(tensor, "float32") for tensor in inputs)
        weight = ops.average_pool(weight, self.stride, self.stride)
        weight = weight / ops.sum(weight, axis=(1, 2), keepdims=True)
        mean = ops.sum(x * weight, axis=(1, 2), keepdims=True)
        variance = ops.sum(ops.square(x - mean) * weight, axis=(1, 2), keepdims=True)
        still = QUIETED * ops.relu(1 - variance / NOISE)
        return ops.concatenate([mean, ops.sqrt(variance + self.epsilon) + still], -1)

    def compute_output_shape(self, input_shape):
        batch, _, _, channels = input_shape[0]
        return (batch, 1, 1, 2 * channels)

    def get_config(self):
        return {**super().get_config(), "stride": self.stride, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("adain")
class Channels(keras.layers.Layer):
    """Channels `start` to `stop` of a tensor.

    Call arguments:
        inputs: `(..., channels)`.
    """

    def __init__(self, start: int, stop: int, **kwargs):
        super().__init__(**kwargs)
        self.start = start
        self.stop = stop

    def call(self, inputs):
        return inputs[..., self.start : self.stop]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.stop - self.start)

    def get_config(self):
        return {**super().get_config(), "start": self.start, "stop": self.stop}


@keras.saving.register_keras_serializable("adain")
class UpsampledConv2D(keras.layers.Layer):
    """Bilinear enlarging to twice the size and a convolution, computed at the smaller size.

    Both together are one sub-pixel convolution whose kernel is a linear function of this one's, so
    that nothing of the larger size is kept but the result. The input is padded by mirroring.

    Args:
        filters: Channels of the result.
        kernel_size: Side of the kernel at the larger size, odd.
        use_bias: Whether there is a bias.
        kernel_initializer, bias_initializer: As in `Conv2D`.

    Call arguments:
        inputs: `(batch, h, w, channels)`.

    Returns:
        `(batch, 2 * h, 2 * w, filters)`.

    Reference:
        Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
        Convolutional Neural Network", CVPR 2016.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        use_bias: bool = True,
        kernel_initializer="he_normal",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.enlarging = bilinear_kernels(kernel_size)
        """`(2, 2, side, side, kernel_size, kernel_size)` float32: for each of the four pixels that
        one becomes, its kernel at the smaller size, as weights of the larger one's."""

    @property
    def padding(self) -> int:
        """Pixels by which the input is padded on each side."""
        return self.enlarging.shape[2] // 2

    def build(self, input_shape):
        sides = (self.kernel_size, self.kernel_size)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*sides, input_shape[-1], self.filters),
            initializer=self.kernel_initializer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.filters,), initializer=self.bias_initializer
            )

    def call(self, inputs):
        side, channels = self.enlarging.shape[2], inputs.shape[-1]
        kernel = ops.cast(self.kernel, self.compute_dtype)
        enlarging = ops.cast(self.enlarging, self.compute_dtype)
        kernel = ops.einsum("abijkl,klcf->ijcabf", enlarging, kernel)
        kernel = ops.reshape(kernel, (side, side, channels, 4 * self.filters))
        sides = (self.padding, self.padding)
        x = ops.pad(inputs, ((0, 0), sides, sides, (0, 0)), mode="reflect")
        x = ops.depth_to_space(ops.conv(x, kernel, padding="valid"), 2)
        return x if self.bias is None else x + ops.cast(self.bias, x.dtype)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        sides = (None if side is None else 2 * side for side in (height, width))
        return (batch, *sides, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


def bilinear_kernels(size: int) -> np.ndarray:
    """What a convolution after bilinear enlarging to twice the size amounts to.

    Args:
        size: Side of its kernel, odd.

    Returns:
        `(2, 2, side, side, size, size)` float32: for each of the four pixels that one becomes
        (rows, then columns), the kernel at the smaller size, as weights of the larger one's.
    """
    radius = size // 2
    reach = radius // 2 + 1
    line = np.zeros((2, 2 * reach + 1, size), "float32")
    for phase in range(2):
        for tap in range(-radius, radius + 1):
            # The enlarged line has 3/4 of the nearest pixel and 1/4 of the next.
            nearest, part = divmod(phase + tap, 2)
            line[phase, reach + nearest, radius + tap] += 0.75
            line[phase, reach + nearest + (1 if part else -1), radius + tap] += 0.25
    return np.einsum("aik,bjl->abijkl", line, line)
