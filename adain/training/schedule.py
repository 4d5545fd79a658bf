"""Learning rate over time."""

from __future__ import annotations

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("adain")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate: a linear rise over `warmup`, then inverse time or a half cosine to 0."""

    def __init__(self, kind: str, base: float, decay: float, warmup: int, total: int):
        self.kind = kind
        self.base = base
        self.decay = decay
        self.warmup = warmup
        self.total = total

    def __call__(self, step):
        step = ops.cast(step, "float32")
        if self.kind == "cosine":
            shape = 0.5 * (1 + ops.cos(math.pi * ops.minimum(step / self.total, 1.0)))
        else:
            shape = 1 / (1 + self.decay * step)
        return self.base * shape * ops.minimum((step + 1) / max(self.warmup, 1), 1.0)

    def get_config(self):
        names = ("kind", "base", "decay", "warmup", "total")
        return {name: getattr(self, name) for name in names}
