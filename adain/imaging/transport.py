"""`imaging.palette.transport` in nothing but sums and products, for graphs of other runtimes.

Matrices are `(3, 3)`, colours rows `(1, 3)`, and numbers `(1, 1)`: arrays of NumPy, tensors of
Keras, or those of a graph (`export.tensors`), whose operators are all that is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adain.imaging.palette import FLOOR, MAX_GAIN

_UNIT = np.eye(3, dtype="float32")
_ROW, _COLUMN = np.ones((1, 3), "float32"), np.ones((3, 1), "float32")
_STEPS = 14
_LEAST = 1e-4
"""Singular values down to this share of the largest become 1 within `_STEPS` steps."""
_SAFE = 1.65
"""Larger scales take the largest singular value so close to 0 that constants in half precision,
as some formats store them, change its sign."""


def transport_rows(source: Any, target: Any, share: Any, transpose: Callable) -> tuple[Any, Any]:
    """What moves the colours of one palette to another, for `row @ matrix + offset`.

    With Cholesky factors `C_s = L L'` and `C_t = K K'`, the Monge-Kantorovich map is
    `T = K U inverse(L)`, where U is the orthogonal polar factor of `K' L`. Unlike the product of
    square roots in `transport`, it needs no double precision.

    Args:
        source, target: Mean colour, and covariance, of each.
        share: How far colours are moved, in [0, 1].
        transpose: A function that transposes matrices.

    Returns:
        The matrix, and the offset.

    Reference:
        Higham, "Computing the Polar Decomposition - with Applications", SIAM Journal on Scientific
        and Statistical Computing 1986.
    """
    (source_mean, source_covariance), (target_mean, target_covariance) = source, target
    lower, inverse = _factor(source_covariance + np.float32(FLOOR) * _UNIT)
    other, _ = _factor(target_covariance + np.float32(FLOOR) * _UNIT)
    matrix = other @ _orthogonal(transpose(other) @ lower, transpose) @ inverse
    matrix = (matrix + transpose(matrix)) * 0.5
    # min(T, gain) = (T + gain - |T - gain|) / 2, and |A| = A U of the polar factor U of A.
    above = matrix - np.float32(MAX_GAIN) * _UNIT
    matrix = (matrix + np.float32(MAX_GAIN) * _UNIT - above @ _orthogonal(above, transpose)) * 0.5
    matrix = _UNIT + (matrix - _UNIT) * share
    offset = source_mean + (target_mean - source_mean) * share - source_mean @ matrix
    return matrix, offset


def _factor(matrix: Any) -> tuple[Any, Any]:
    """The Cholesky factor of a symmetric matrix, and its inverse."""

    def entry(row: int, column: int) -> Any:
        return _UNIT[row : row + 1] @ matrix @ _UNIT[:, column : column + 1]

    def build(entries: dict[tuple[int, int], Any]) -> Any:
        (first, value), *rest = entries.items()
        built = value * _single(*first)
        for place, value in rest:
            built = built + value * _single(*place)
        return built

    a = entry(0, 0) ** 0.5
    b, d = entry(1, 0) / a, entry(2, 0) / a
    c = (entry(1, 1) - b * b) ** 0.5
    e = (entry(2, 1) - d * b) / c
    f = (entry(2, 2) - d * d - e * e) ** 0.5
    lower = build({(0, 0): a, (1, 0): b, (1, 1): c, (2, 0): d, (2, 1): e, (2, 2): f})
    one = a / a
    inverse = build({
        (0, 0): one / a,
        (1, 0): b / (a * c) * -1.0,
        (1, 1): one / c,
        (2, 0): (b * e - c * d) / (a * c * f),
        (2, 1): e / (c * f) * -1.0,
        (2, 2): one / f,
    })  # fmt: skip
    return lower, inverse


def _single(row: int, column: int) -> np.ndarray:
    return _UNIT[:, row : row + 1] @ _UNIT[column : column + 1]


def _orthogonal(matrix: Any, transpose: Callable) -> Any:
    """The orthogonal polar factor, by scaled Newton-Schulz steps.

    Reference:
        Chen & Chow, "A Stable Scaling of Newton-Schulz for Improving the Sign Function
        Computation of a Hermitian Matrix", 2014, for the scales.
    """
    # No singular value is larger than this.
    size = (_ROW @ (matrix * matrix) @ _COLUMN) ** 0.5
    matrix, least = matrix / size, _LEAST
    for _ in range(_STEPS):
        scale = min((3 / (1 + least + least**2)) ** 0.5, _SAFE)
        linear, cubic = 1.5 * scale, 0.5 * scale**3
        matrix = matrix @ (linear * _UNIT - transpose(matrix) @ matrix * cubic)
        least = min(linear * least - cubic * least**3, linear - cubic)
    return matrix
