"""Settings of `adain train`, field for field its flags."""

from __future__ import annotations

import math
from dataclasses import dataclass

from adain.options import as_paths, as_tuple, flag, require, require_choices


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run. Field for field the flags of `train.py`."""

    content_path: tuple[str, ...] = flag((), "folders of photographs", nargs="+", required=True)
    style_path: tuple[str, ...] = flag((), "folders of paintings", nargs="+", required=True)
    recipe: str = flag(
        "",
        "train as weights were trained before, in all stages; flags that are given count more",
        choices=("paper", "adain_vgg19", "adain_fast"),
    )
    network: str = flag(
        "vgg19",
        "what to train: the decoder of the full-width network, or the compact network",
        choices=("vgg19", "compact"),
    )
    checkpoint: str = flag("ckpt", "folder for checkpoints; an unfinished run there goes on")
    log_path: str = flag("", "folder for TensorBoard files (default: CHECKPOINT/logs)")
    init: str = flag("", "preset or folder whose weights a new run starts from (default: none)")
    vgg_path: str = flag(
        "adain_vgg19",
        "the loss network, which is also the full-width encoder: a preset, `imagenet` (Keras "
        "Applications, downloads), or a VGG-19 file (.t7 .pth .h5 .npz)",
    )
    # Without it, thousands of iterations go by before shapes appear.
    pretrain_iter: int = flag(
        300,
        "iterations in which a new decoder first learns, part by part, to undo the encoder, or a "
        "compact network to give pictures back (0: none)",
    )
    batch_size: int = flag(8, "pictures a step")
    image_size: int = flag(512, "shorter side pictures are shrunk to before cropping")
    crop_size: int = flag(256, "side of the random crops")
    style_crop_size: int = flag(0, "side of the style's crops (0: like CROP_SIZE)")
    # Strokes of one size only are learnt otherwise.
    random_scale: float = flag(
        1.0,
        "crop from pictures at IMAGE_SIZE times a factor between 1 / RANDOM_SCALE and this, drawn "
        "for each picture, photo and style apart",
    )
    cache_styles: int = flag(
        0,
        "keep this many crops of each style, encoded once and held in memory, "
        "instead of cropping anew (0: off); for machines where the encoder is the bottleneck",
    )
    cache_contents: int = flag(
        0, "keep this many crops of each photo in the same way, --network compact only (0: off)"
    )
    # Kept crops are learnt by heart after some rounds: losses fall, pictures get worse.
    redraw_epochs: int = flag(
        0,
        "draw the kept crops again after this many rounds through their folder (0: never)",
    )
    val_pairs: int = flag(
        0,
        "measure the losses also on this many pairs that are not learnt from, held out of both "
        "folders, or from --val-content-path and --val-style-path (0: no)",
    )
    val_content_path: tuple[str, ...] = flag((), "folders of photographs for VAL_PAIRS", nargs="+")
    val_style_path: tuple[str, ...] = flag((), "folders of paintings for VAL_PAIRS", nargs="+")
    val_iter: int = flag(200, "iterations between measurements on VAL_PAIRS")
    content_weight: float = flag(1.0, "weight of the content loss (mean squared error)")
    style_weight: float = flag(
        1e-2, "weight of the style loss (summed over channels, averaged over the batch)"
    )
    tv_weight: float = flag(0.0, "weight of the total variation loss")
    # At full size the loss network sees grain rather than strokes.
    coarse_weight: float = flag(
        0.0, "share of a second style loss, of pictures at half size, beside the first"
    )
    coarse_levels: int = flag(1, "how often pictures are halved for that: 2 adds a quarter")
    detail_size: int = flag(
        0,
        "look at the output at full size only in a square of this side in its middle, and compare "
        "the content at half size, --network compact only (0: all of them)",
    )
    identity_weight: float = flag(
        0.0,
        "weight of the identity loss: a photo in its own style must come back (mean squared "
        "error of pixels in [0, 1], of every third photo; use with a weight of about 100)",
    )
    gram: bool = flag(False, "match Gram matrices instead of means and deviations")
    normalized_content: bool = flag(
        False,
        "compare instance-normalised features of photo and output: where things are, not how "
        "strong",
    )
    balanced: bool = flag(
        False,
        "style loss in proportion to the style's variance, so that colours count as much as "
        "shapes; use with --style-weight of about 1, and --normalized-content",
    )
    relative: bool = flag(
        False,
        "style loss in proportion to the length of the style's statistics, so that flat styles do "
        "not outweigh the others; use with --style-weight of about 10, and --normalized-content",
    )
    alpha: float = flag(1.0, "strength of AdaIN in training, in [0, 1]")
    # The authors' settings: Adam 1e-4, decay 5e-5, 160,000 iterations.
    learning_rate: float = flag(1e-4, "Adam's learning rate")
    lr_schedule: str = flag(
        "inverse_time",
        "learning rate over time: LR / (1 + LR_DECAY * i), or a half cosine to 0 at MAX_ITER",
        choices=("inverse_time", "cosine"),
    )
    lr_decay: float = flag(5e-5, "decay of the inverse_time schedule")
    schedule_iter: int = flag(
        0, "iteration at which a cosine reaches 0, for a run that stops before (0: MAX_ITER)"
    )
    warmup_iter: int = flag(0, "iterations over which the learning rate rises from 0")
    beta_2: float = flag(0.999, "Adam's decay of squared gradients; 0.99 suits short runs")
    clip_norm: float = flag(0.0, "longest gradient allowed (0: any)")
    ema: float = flag(
        0.0, "save the decoder's exponential moving average of this decay, such as 0.99 (0: off)"
    )
    max_iter: int = flag(160_000, "iterations in all")
    save_iter: int = flag(1000, "iterations between checkpoints")
    summary_iter: int = flag(20, "iterations between TensorBoard scalars")
    image_iter: int = flag(500, "iterations between TensorBoard pictures")
    seed: int = flag(0, "the same seed gives the same pairs, crops and initial weights")
    workers: int = flag(0, "threads that load pictures (0: one for each core)")
    precision: str = flag(
        "float32",
        "arithmetic; statistics, losses and the last layer stay float32",
        choices=("float32", "mixed_bfloat16"),
    )

    def __post_init__(self) -> None:
        for name in ("content_path", "style_path"):
            as_paths(self, name)
        for name in ("val_content_path", "val_style_path"):
            as_tuple(self, name)
        require(
            self, "val_style_path", bool(self.val_content_path) == bool(self.val_style_path),
            "given together with val_content_path",
        )  # fmt: skip
        require(
            self, "val_content_path", not self.val_content_path or self.val_pairs > 0,
            "left out without --val-pairs",
        )  # fmt: skip
        require(
            self, "redraw_epochs", not self.redraw_epochs or self.cache_styles > 0,
            "0 without --cache-styles",
        )  # fmt: skip
        for name in (
            "batch_size", "max_iter", "save_iter", "summary_iter", "image_iter", "val_iter",
        ):  # fmt: skip
            require(self, name, getattr(self, name) >= 1, "1 or more")
        require(self, "image_size", self.image_size >= 16, "16 or more")
        require(self, "crop_size", self.crop_size >= 16, "16 or more")
        require(self, "coarse_levels", 1 <= self.coarse_levels <= 3, "in [1, 3]")
        # Halved for the coarse loss, and by the encoder three times.
        multiple = 8 * 2 ** (self.coarse_levels if self.coarse_weight else 0)
        if self.network == "compact":
            multiple = max(multiple, 16)
        for name in ("crop_size", "style_crop_size"):
            size = getattr(self, name)
            require(self, name, size % multiple == 0, f"a multiple of {multiple}")
            require(self, name, size == 0 or size >= 2 * multiple, f"{2 * multiple} or more")
        least = min(self.crop_size, self.style_crop_size or self.crop_size)
        detail = self.detail_size
        require(
            self, "detail_size", detail % 8 == 0 and 16 <= detail <= least or not detail,
            f"0, or a multiple of 8 between 16 and the crops' {least}",
        )  # fmt: skip
        for name in ("detail_size", "cache_contents"):
            require(
                self, name, not getattr(self, name) or self.network == "compact",
                "0 without --network compact",
            )  # fmt: skip
        require(
            self, "detail_size", not detail or self.coarse_weight > 0, "0 without --coarse-weight"
        )
        require(
            self, "cache_contents", not self.cache_contents or self.cache_styles > 0,
            "0 without --cache-styles",
        )  # fmt: skip
        for name in (
            "content_weight", "style_weight", "tv_weight", "coarse_weight", "identity_weight",
            "lr_decay", "schedule_iter", "clip_norm", "warmup_iter", "cache_styles",
            "cache_contents", "redraw_epochs", "val_pairs", "pretrain_iter", "workers", "seed",
        ):  # fmt: skip
            value = getattr(self, name)
            require(self, name, value >= 0 and math.isfinite(value), "0 or more")
        require(self, "learning_rate", 0 < self.learning_rate < math.inf, "greater than 0")
        require(self, "beta_2", 0 < self.beta_2 < 1, "between 0 and 1")
        require(self, "alpha", 0 <= self.alpha <= 1, "in [0, 1]")
        require(self, "ema", 0 <= self.ema < 1, "0, or less than 1")
        require(self, "random_scale", 1 <= self.random_scale <= 4, "in [1, 4]")
        require(self, "gram", not (self.gram and self.cache_styles), "off where cache_styles is on")
        require(
            self, "relative", self.relative + self.balanced + self.gram < 2,
            "off where balanced or gram is on",
        )  # fmt: skip
        require_choices(self)
