"""What is read of a run while it is under way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

LOOK_EVERY = 10
"""Steps between looks at the loss: each waits until the device has done all steps before it."""


class LossWatch:
    """Finds the first loss that is not a number, without waiting for the device at every step.

    Example:
        >>> watch = LossWatch()
        >>> watch.add(1, 0.5)
        >>> watch.add(2, float("nan"))
        >>> watch.look()
        (2, nan)
    """

    def __init__(self):
        self._waiting: list[tuple[int, Any]] = []

    def add(self, step: int, loss: Any) -> None:
        """Note a step's loss, a number or a tensor of one."""
        self._waiting.append((step, loss))

    def look(self) -> tuple[int, float] | None:
        """The first of the losses noted since the last look that is NaN or infinite, if any."""
        waiting, self._waiting = self._waiting, []
        for step, loss in waiting:
            value = float(loss)
            if not math.isfinite(value):
                return step, value
        return None


def read(variable: Any) -> np.ndarray:
    """A copy of a variable's value.

    Keras' own arrays share PyTorch's memory, and change with the variable.
    """
    return np.array(ops.convert_to_numpy(variable))
