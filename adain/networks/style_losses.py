"""The style losses by name; Keras is imported only when one is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adain.options import load


@dataclass(frozen=True)
class StyleLoss:
    """How far an output is from a style, in features of the loss network.

    A new one is a function in any module, and an entry in `STYLE_LOSSES`.
    """

    help: str
    loss: str
    """`module:function`; it takes the output's taps and, for each part of the target, a list with
    one tensor for each tap, and returns a scalar that is summed over the taps."""
    target: str = "adain.networks.adain:mean_std"
    """`module:function`; what the loss needs to know of the style: features of one tap,
    `(batch, h, w, channels)`, to a tensor or a tuple of tensors, the parts."""
    scale: str = ""
    """`module:function`; the parts of one tap to what its loss is divided by in `adain optimize`,
    so that one weight suits all styles. Empty: it is in proportion already."""
    proportional: bool = True
    """Whether `adain optimize` offers it."""

    @property
    def uses_statistics(self) -> bool:
        """Whether means and deviations are all it needs, which is what training can keep."""
        return self.target == StyleLoss.target

    def summarize(self, features) -> tuple:
        """What the loss needs to know of a style's features at one tap."""
        found = load(self.target)(features)
        return tuple(found) if isinstance(found, tuple | list) else (found,)

    def __call__(self, taps: Sequence, targets: Sequence[Sequence]) -> Any:
        """The loss of the output's taps, given `summarize` of each of the style's."""
        return load(self.loss)(taps, *map(list, zip(*targets, strict=True)))

    def relative(self, tap, target: Sequence) -> Any:
        """The loss of one tap, in proportion to the style."""
        value = self([tap], [target])
        return value / load(self.scale)(*target) if self.scale else value


_LOSSES = "adain.networks.losses"

STYLE_LOSSES = {
    "sum": StyleLoss(
        "squared error of means and deviations, summed over channels (the paper's)",
        f"{_LOSSES}:style_loss",
        proportional=False,
    ),
    "balanced": StyleLoss(
        "squared error of means and deviations in proportion to the style's variance, so that "
        "colours count as much as shapes",
        f"{_LOSSES}:balanced_style_loss",
    ),
    "relative": StyleLoss(
        "the same error in proportion to the length of the style's statistics, so that flat "
        "styles do not outweigh the others",
        f"{_LOSSES}:relative_style_loss",
    ),
    "gram": StyleLoss(
        "squared error of Gram matrices",
        f"{_LOSSES}:gram_loss",
        target=f"{_LOSSES}:gram_matrix",
        scale=f"{_LOSSES}:gram_scale",
    ),
}
"""Every style loss, by its name of `--style-loss`."""


def proportional_losses() -> list[str]:
    """Names of those that `adain optimize` offers."""
    return [name for name, loss in STYLE_LOSSES.items() if loss.proportional]
