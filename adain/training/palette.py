"""Moving an output's colours to its style's within the graph of a training step."""

from __future__ import annotations

from keras import ops

from adain.imaging.palette import FLOOR, MAX_GAIN

_ITERATIONS = 24
"""The smallest eigenvalues grow by 2.25 each time: enough for ratios of 1e-7."""


def recolor(pictures, styles, share: float):
    """What `imaging.palette` does to one picture, as a step of training sees it: not clipped.

    Args:
        pictures: `(batch, h, w, 3)` float32 RGB, meant for [0, 1].
        styles: `(batch, any h, any w, 3)` float32 RGB in [0, 1].
        share: How far colours are moved: 0 not at all, 1 all the way.

    Returns:
        `(batch, h, w, 3)` float32. Gradients take the map for a constant: the output has no reason
        to change its own palette for the sake of another map.
    """
    pictures, styles = (ops.convert_to_tensor(x, "float32") for x in (pictures, styles))
    mean, covariance = _statistics(ops.clip(ops.stop_gradient(pictures), 0.0, 1.0))
    style_mean, style_covariance = _statistics(ops.stop_gradient(styles))
    root, inverse = _roots(covariance)
    middle, _ = _roots(_product(_product(root, style_covariance), root))
    matrix = _limit(_product(_product(inverse, middle), inverse))
    matrix, mean = map(ops.stop_gradient, (matrix, mean))
    moved = ops.sum((pictures - mean)[..., None, :] * matrix[:, None, None], axis=-1) + style_mean
    return pictures + share * (moved - pictures)


# Products by elements: a graphics card's matrix products round to 10 bits unless told otherwise.


def _statistics(pictures):
    """Mean colours, `(batch, 1, 1, 3)`, and covariances raised by `FLOOR`, `(batch, 3, 3)`."""
    mean = ops.mean(pictures, axis=(1, 2), keepdims=True)
    away = pictures - mean
    covariance = ops.mean(away[..., :, None] * away[..., None, :], axis=(1, 2))
    return mean, covariance + FLOOR * _unit()


def _unit():
    return ops.eye(3, dtype="float32")


def _product(one, other):
    return ops.sum(one[..., :, :, None] * other[..., None, :, :], axis=-2)


def _norm(matrix):
    return ops.sqrt(ops.sum(ops.square(matrix), axis=(1, 2), keepdims=True))


def _roots(matrix):
    """Square root of symmetric positive matrices, and its inverse, by Newton and Schulz.

    Reference:
        Higham, "Functions of Matrices", SIAM 2008, equation 6.35.
    """
    norm, unit = _norm(matrix) + 1e-12, _unit()
    root, inverse = matrix / norm, ops.zeros_like(matrix) + unit
    for _ in range(_ITERATIONS):
        step = 1.5 * unit - 0.5 * _product(inverse, root)
        root, inverse = _product(root, step), _product(step, inverse)
    norm = ops.sqrt(norm)
    return root * norm, inverse / norm


def _limit(matrix):
    """The same with no eigenvalue above `MAX_GAIN`: `min(a, b) = (a + b - |a - b|) / 2`."""
    most = MAX_GAIN * _unit()
    over = matrix - most
    size, _ = _roots(_product(over, over))
    return 0.5 * (matrix + most - size)
