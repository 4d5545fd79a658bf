"""The model that learns a style code: the networks stay as they are."""

# What Keras' own annotations say of its operations is wider than what they return.
# pyright: reportOptionalSubscript=false, reportOptionalOperand=false, reportOperatorIssue=false

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from adain.imaging.pixels import pad, to_unit
from adain.inference.style_code import StyleCode
from adain.networks.adain import mean_std
from adain.networks.model import StyleTransfer
from adain.training.callbacks import TrainingError
from adain.training.model import AdaINTrainer
from adain.training.optimizer import state_of
from adain.training.watch import read

_PIECE = 1024
"""Styles with longer sides, pixels, go through the loss network in pieces."""


@keras.saving.register_keras_serializable("adain")
class StyleTuner(AdaINTrainer):
    """Fits a style code to its style, by the losses of training, through networks that stay.

    A code is measured in the encoder's features, where a style is not quite what the decoder needs
    to paint it. The code learnt is a point in the same space: cards, mixes, strengths, regions
    and engines take it as any other.

    Args:
        model: The `StyleTransfer` that the code is for.
        loss_network: As for `AdaINTrainer`.
        code: The code to start from, of these weights.
        styles: Pictures of the style, HWC uint8 sRGB; each counts alike. All crops of photos
            together are compared with them, not each: a crop of the sky need not hold the moon.
        **losses: As for `AdaINTrainer`.

    Call arguments:
        inputs: `{"content"}`: `(batch, h, w, 3)` uint8 or float in [0, 255], sRGB.
    """

    def __init__(
        self,
        model: StyleTransfer,
        loss_network: keras.Model | None,
        code: StyleCode,
        styles: Sequence[np.ndarray],
        **losses: Any,
    ):
        super().__init__(model, loss_network, **losses)
        model.trainable = False
        # A variable, because what it should be shows once the losses are known.
        self.content_weight = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.content_weight),
            trainable=False,
            name="content_weight",
        )
        self._start = code
        self._mean, self._std = (
            np.concatenate(vectors).reshape(1, 1, 1, -1) for vectors in (code.means, code.stds)
        )
        # Steps in proportion to the deviations, which differ by orders of magnitude.
        self._changes = [
            self.add_weight(shape=self._mean.shape, initializer="zeros", name=name)
            for name in ("mean_change", "std_change")
        ]
        self._targets = self._measure(styles)
        self.best = Best(self._mean.shape)
        self._origin = _hold(np.concatenate([self._mean, self._std], axis=-1))

    @property
    def parts(self) -> dict[str, list]:
        return {
            "code": [self._origin, self.content_weight, *self._changes, *self.best.variables],
            "optimizer": state_of(self.optimizer),
        }

    @property
    def start(self) -> np.ndarray:
        """The code to start from, or with a run that was loaded that of its start."""
        return read(self._origin)

    @property
    def changes(self) -> list[np.ndarray]:
        """What has been learnt."""
        return [read(change) for change in self._changes]

    def code(self, changes: Sequence[np.ndarray] | None = None) -> StyleCode:
        """The code as it is now, or with some `changes`.

        Raises:
            TrainingError: If it has numbers that no picture has, because steps were too large.
        """
        mean, std = self._apply(*(self.changes if changes is None else changes))
        ends = np.cumsum(self._start.widths)[:-1]
        means, stds = (
            np.split(ops.convert_to_numpy(vector).reshape(-1), ends) for vector in (mean, std)
        )
        about = vars(self._start) | {"means": means, "stds": stds}
        try:
            return StyleCode(**about)
        except ValueError as error:
            raise TrainingError(
                "The style's means and deviations became too large. Start again with a smaller "
                "--learning-rate."
            ) from error

    def balance(self, losses: dict[str, float], share: float) -> dict[str, float]:
        """Weigh the content in proportion to the style.

        Args:
            losses: Of validation, with the code as it was measured.
            share: How much the content then counts, beside the style's 1.

        Returns:
            The losses with the new weight.
        """
        style = losses["val_style_loss"] + self.coarse_weight * losses["val_coarse_loss"]
        content = max(losses["val_content_loss"], 1e-6)
        weight = share * self.style_weight * style / content
        total = losses["val_loss"] + (weight - float(self.content_weight)) * content
        self.content_weight.assign(weight)
        return losses | {"val_loss": total}

    def _apply(self, mean_change, std_change):
        # Not by operators: NumPy's come first, and cannot take variables.
        mean = ops.add(self._mean, ops.multiply(self._std, mean_change))
        return mean, ops.multiply(self._std, ops.exp(std_change))

    def _measure(self, styles: Sequence[np.ndarray]) -> list[list[tuple[np.ndarray, ...]]]:
        """Means and deviations of the style in the loss network, a list of taps for each size."""
        pieces = []
        for picture in styles:
            rows, columns = (math.ceil(side / _PIECE) for side in picture.shape[:2])
            for band in np.array_split(picture, rows):
                pieces += np.array_split(band, columns, axis=1)
        stride = 8 * 2 ** (self.views.count - 1)
        found: list = []
        for piece in pieces:
            views = self.views.style(to_unit(pad(piece, stride))[None])
            statistics = [
                [tuple(map(ops.convert_to_numpy, mean_std(tap))) for tap in self.encoder(view)]
                for view in views
            ]
            found.append(statistics)
        return [
            [
                tuple(np.mean(parts, axis=0) for parts in zip(*taps, strict=True))
                for taps in zip(*views, strict=True)
            ]
            for views in zip(*found, strict=True)
        ]

    def _style_statistics(self, inputs):
        means, stds = (
            [[ops.convert_to_tensor(pair[i]) for pair in view] for view in self._targets]
            for i in (0, 1)
        )
        return means, stds, None

    def _style_code(self, inputs, means, stds):
        return self._apply(*self._changes)

    def _compared(self, taps):
        # As one picture: its statistics are those of all crops.
        return [ops.reshape(tap, (1, -1, *tap.shape[2:])) for tap in taps]


_NUMBERS = ("step", "stale", "seconds")
_LOSSES = ("val_loss", "val_content_loss", "val_style_loss", "val_coarse_loss")


class Best:
    """The best code of a run so far, in variables, so that it is saved with the others.

    Args:
        shape: Of each of the code's two vectors.
    """

    def __init__(self, shape: tuple[int, ...]):
        self._changes = [_hold(np.zeros(shape)) for _ in range(2)]
        self._numbers = _hold(np.zeros(len(_NUMBERS)))
        self._losses = [_hold(np.zeros(len(_LOSSES))) for _ in range(2)]

    @property
    def variables(self) -> list:
        """All of it."""
        return [*self._changes, self._numbers, *self._losses]

    @property
    def changes(self) -> list[np.ndarray]:
        """What `StyleTuner.code` takes."""
        return [read(change) for change in self._changes]

    @changes.setter
    def changes(self, values: Sequence[np.ndarray]) -> None:
        for change, value in zip(self._changes, values, strict=True):
            change.assign(value)

    @property
    def before(self) -> dict[str, float]:
        """Losses of validation with the code that the run started from."""
        return self._read(0)

    @before.setter
    def before(self, losses: dict[str, float]) -> None:
        self._losses[0].assign([losses[name] for name in _LOSSES])

    @property
    def after(self) -> dict[str, float]:
        """Losses of validation with the best code."""
        return self._read(1)

    @after.setter
    def after(self, losses: dict[str, float]) -> None:
        self._losses[1].assign([losses[name] for name in _LOSSES])

    def _read(self, index: int) -> dict[str, float]:
        values = ops.convert_to_numpy(self._losses[index]).tolist()
        return dict(zip(_LOSSES, values, strict=True))

    def __getitem__(self, name: str) -> float:
        """`step` of the best code, validations since then (`stale`), and `seconds` of all steps."""
        return float(ops.convert_to_numpy(self._numbers)[_NUMBERS.index(name)])

    def __setitem__(self, name: str, value: float) -> None:
        numbers = read(self._numbers)
        numbers[_NUMBERS.index(name)] = value
        self._numbers.assign(numbers)


def _hold(values: np.ndarray) -> keras.Variable:
    return keras.Variable(values.astype("float32"), trainable=False)
