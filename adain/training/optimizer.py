"""Adam that measures how large the gradients are."""

# What Keras' own annotations say of its operations is wider than what they return.
# pyright: reportArgumentType=false

from __future__ import annotations

import keras
from keras import ops

from adain.training import devices
from adain.training.watch import read


@keras.saving.register_keras_serializable("adain")
class MeasuringAdam(keras.optimizers.Adam):
    """Keras' Adam, which also keeps the norm of each variable's last gradient, before clipping.

    Norms, and what is clipped, are of the whole batch's gradients, also where devices share it.
    """

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._measured = [variable.path for variable in variables]
        self.gradient_norms = self.add_variable(
            (len(self._measured),), "zeros", "float32", aggregation="mean", name="gradient_norms"
        )

    def apply(self, grads, trainable_variables=None):
        grads = devices.total(list(grads))
        squares = [
            ops.zeros(())
            if gradient is None
            else ops.sum(ops.square(ops.cast(gradient, "float32")))
            for gradient in grads
        ]
        self.gradient_norms.assign(ops.sqrt(ops.stack(squares)))
        super().apply(grads, trainable_variables)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        # With TensorFlow Keras would do it here, after clipping.
        return grads_and_vars

    def read_norms(self) -> dict[str, float]:
        """Euclidean norms: of the whole last gradient, and of each variable's part of it."""
        norms = read(self.gradient_norms)
        parts = zip(self._measured, norms, strict=True)
        return {"gradients/all": float((norms**2).sum() ** 0.5)} | {
            f"gradients/{name}": float(norm) for name, norm in parts
        }


def state_of(optimizer: keras.optimizers.Optimizer) -> list:
    """An optimizer's variables that a run resumes from: what it measured is not among them."""
    measured = getattr(optimizer, "gradient_norms", None)
    return [variable for variable in optimizer.variables if variable is not measured]
