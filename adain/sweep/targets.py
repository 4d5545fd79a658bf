"""What a sweep can be over: the commands whose settings it tries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adain.options import load


@dataclass(frozen=True)
class Target:
    """A command that a sweep runs with different settings."""

    name: str
    config: str
    """`module:class` of its settings."""
    run: str
    """`module:function`: carries out one trial, see `adain.sweep.trials`."""
    extra: str
    """What must be installed for it."""
    losses: tuple[str, ...]
    """What a trial reports while it runs: the sum first, then content and style without weights."""
    own: frozenset[str]
    """Settings that the sweep makes itself."""
    measured_by: frozenset[str]
    """Settings that change what losses mean."""
    check: Callable[[Any], None]
    """Finds the pictures of a run, before any starts."""
    not_swept: frozenset[str] = frozenset(
        ("content_path", "style_path", "workers", "devices", "seed")
    )
    not_evaluated: frozenset[str] = frozenset()
    """Flags of `adain evaluate` that mean nothing for it."""
    needs: str = ""
    """What must be given for losses to be reported."""

    def load_config(self) -> type:
        """The class of its settings."""
        return load(self.config)

    def validates(self, settings: Mapping[str, Any]) -> bool:
        """Whether runs report losses that can be compared."""
        return not self.needs or bool(settings.get("val_pairs"))


def _check_training(config: Any) -> None:
    from adain.training import recipes

    recipes.stages(config)


def _check_optimization(config: Any) -> None:
    from adain.options import require

    for name in ("content_path", "style_path"):
        require(config, name, len(getattr(config, name)) > 0, "at least one path")


TARGETS = {
    "train": Target(
        "train",
        "adain.training.config:TrainConfig",
        "adain.sweep.trials:train_trial",
        "train",
        ("val_loss", "val_content_loss", "val_style_loss"),
        frozenset(("checkpoint", "log_path")),
        frozenset(
            ("style_loss", "normalized_content", "content_levels", "coarse_levels", "detail_size",
             "palette", "alpha", "crop_size", "style_crop_size", "image_size", "random_scale",
             "vgg_path", "recipe", "val_pairs", "val_iter", "val_content_path", "val_style_path")
        ),
        _check_training,
        needs="val-pairs in settings",
    ),
    "optimize": Target(
        "optimize",
        "adain.optimization.config:OptimizeConfig",
        "adain.sweep.trials:optimize_trial",
        "optimize",
        ("loss", "content_loss", "style_loss"),
        frozenset(("out_path", "overwrite", "json", "quiet", "save_iter", "quality", "sheet",
                   "size")),
        frozenset(
            ("content_layers", "style_layers", "style_loss", "content_size", "style_size",
             "checkpoint")
        ),
        _check_optimization,
        not_evaluated=frozenset(
            ("content_path", "style_path", "pairs", "count", "seed", "alpha", "palette", "engine",
             "precision")
        ),
    ),
}  # fmt: skip
"""By the name in the file."""
