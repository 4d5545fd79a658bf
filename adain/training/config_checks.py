"""Which settings of `adain train` go together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from adain.networks.style_losses import STYLE_LOSSES
from adain.options import require
from adain.presets.architecture import ARCHITECTURES

if TYPE_CHECKING:
    from adain.training.config import TrainConfig

SHIFT = 8
"""By how many pixels up, down, left or right the stability loss moves a photo at most."""


def check_together(config: TrainConfig) -> None:
    """Check settings, each of which may be given, against each other.

    Raises:
        UsageError: If one cannot be as it is beside the others.
    """
    require(
        config, "val_style_path", bool(config.val_content_path) == bool(config.val_style_path),
        "given together with val_content_path",
    )  # fmt: skip
    require(
        config, "val_content_path", not config.val_content_path or config.val_pairs > 0,
        "left out without --val-pairs",
    )  # fmt: skip
    require(config, "init_share", not config.init_share or bool(config.init), "0 without --init")
    same = Path(config.init).absolute() == Path(config.checkpoint).absolute()
    require(
        config, "init_share", not (config.init_share and config.init and same),
        "0 where --checkpoint writes over --init",
    )  # fmt: skip
    for name in ("batch_size", "val_pairs"):
        size = min(getattr(config, name), config.batch_size)
        multiple = f"a multiple of --devices {config.devices}"
        require(config, name, size % config.devices == 0, multiple)
    require(
        config, "redraw_epochs", not config.redraw_epochs or config.cache_styles > 0,
        "0 without --cache-styles",
    )  # fmt: skip
    require(
        config, "redraw_block", not config.redraw_block or config.redraw_epochs > 0,
        "0 without --redraw-epochs",
    )  # fmt: skip
    # Halved for the coarse loss, and by the encoder three times.
    multiple = 8 * 2 ** (config.coarse_levels if config.coarse_weight else 0)
    multiple = max(multiple, ARCHITECTURES[config.network].stride)
    for name in ("crop_size", "style_crop_size"):
        size = getattr(config, name)
        require(config, name, size % multiple == 0, f"a multiple of {multiple}")
        require(config, name, size == 0 or size >= 2 * multiple, f"{2 * multiple} or more")
    least = min(config.crop_size, config.style_crop_size or config.crop_size)
    detail = config.detail_size
    require(
        config, "detail_size", detail % 8 == 0 and 16 <= detail <= least or not detail,
        f"0, or a multiple of 8 between 16 and the crops' {least}",
    )  # fmt: skip
    for name in ("detail_size", "cache_contents"):
        require(
            config, name, not getattr(config, name) or ARCHITECTURES[config.network].trains_encoder,
            "0 with --network vgg19",
        )  # fmt: skip
    require(
        config, "detail_size", not detail or config.coarse_weight > 0, "0 without --coarse-weight"
    )
    require(
        config, "cache_contents", not config.cache_contents or config.cache_styles > 0,
        "0 without --cache-styles",
    )  # fmt: skip
    require(
        config, "content_levels", config.content_levels == 1 or not config.cache_contents,
        "1 with --cache-contents",
    )  # fmt: skip
    require(
        config, "gram_weight", not config.gram_weight or not config.cache_styles,
        "0 with --cache-styles",
    )  # fmt: skip
    require(
        config, "teacher", bool(config.teacher) == (config.teacher_weight > 0),
        "given together with teacher_weight",
    )  # fmt: skip
    require(
        config, "cache_styles", not config.cache_styles or not config.teacher, "0 with --teacher"
    )
    stride, margin = ARCHITECTURES[config.network].stride, 2 * SHIFT
    seen = config.crop_size - margin
    require(
        config, "crop_size",
        not config.stability_weight or (seen >= 2 * stride and seen % stride == 0),
        f"a multiple of {stride} and {margin} more, {2 * stride + margin} at least, with "
        "--stability-weight",
    )  # fmt: skip
    require(
        config, "cache_styles",
        not config.cache_styles or STYLE_LOSSES[config.style_loss].uses_statistics,
        f"0 with --style-loss {config.style_loss}",
    )  # fmt: skip
