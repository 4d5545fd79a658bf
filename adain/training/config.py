"""Settings of `adain train`, field for field its flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adain.networks.style_losses import STYLE_LOSSES
from adain.options import COUNT, NOT_NEGATIVE, Given, Range, check, flag, require
from adain.presets.architecture import ARCHITECTURES
from adain.presets.preset import CONFIG, Preset, PresetError
from adain.training.config_checks import check_together

STATE = "state.npz"
"""What a run resumes from, in its checkpoint folder."""

RECIPE_NAMES = ("paper", "adain_vgg19", "adain_fast")
"""The recipes that come with the package; `recipes.RECIPES` has their settings."""


LOGGERS = {
    "tensorboard": "adain.training.tensorboard:EventWriter",
    "mlflow": "adain.training.mlflow:MlflowWriter",
}
"""What records runs: by name a function of the folder of records that gives a `RunLogger`."""


@dataclass(frozen=True)
class TrainConfig(Given):
    """Settings of one training run, field for field the flags of `train.py`.

    With a `recipe`, what is given here as an argument replaces the recipe's settings, in every
    stage, also where it is the default: `TrainConfig(..., recipe="adain_fast", ema=0.0)`.
    """

    content_path: tuple[str, ...] = flag((), "folders of photographs", nargs="+", required=True)
    style_path: tuple[str, ...] = flag((), "folders of paintings", nargs="+", required=True)
    recipe: str = flag(
        "",
        "train as weights were trained before, in all stages: "
        + ", ".join(RECIPE_NAMES)
        + " or a file of settings, NAME.toml; flags take precedence",
    )
    network: str = flag(
        "vgg19",
        "what to train: the decoder of the full-width network, or the compact network",
        choices=ARCHITECTURES,
    )
    checkpoint: str = flag(
        "ckpt", "folder for checkpoints; an unfinished run there is resumed", writes="folder"
    )
    log_path: str = flag(
        "", "folder for the run's records (default: CHECKPOINT/logs)", writes="folder"
    )
    logger: tuple[str, ...] = flag(
        ("tensorboard",), "what records the run", nargs="*", choices=LOGGERS
    )
    init: str = flag("", "preset or folder whose weights a new run starts from (default: none)")
    init_share: float = flag(
        0.0,
        "save weights this share of the way back from the learnt ones to those of INIT, in [0, 1): "
        "their mean, at 0.5, keeps more of what INIT did well (0: the learnt ones)",
        limits=Range(least=0, below=1),
    )
    vgg_path: str = flag(
        "adain_vgg19",
        "the loss network, which is also the full-width encoder: a preset, `imagenet` (Keras "
        "Applications, downloads), or a VGG-19 file (.t7 .pth .h5 .npz)",
    )
    # Without it, thousands of iterations go by before shapes appear.
    pretrain_iter: int = flag(
        300,
        "iterations in which a new decoder first learns, part by part, to undo the encoder, or a "
        "compact network to reconstruct its input (0: none)",
        limits=NOT_NEGATIVE,
    )
    batch_size: int = flag(8, "pictures a step", limits=COUNT)
    image_size: int = flag(
        512, "shorter side pictures are shrunk to before cropping", limits=Range(least=16)
    )
    crop_size: int = flag(256, "side of the random crops", limits=Range(least=16))
    style_crop_size: int = flag(0, "side of the style's crops (0: like CROP_SIZE)")
    # Strokes of one size only are learnt otherwise.
    random_scale: float = flag(
        1.0,
        "crop from pictures at IMAGE_SIZE times a factor between 1 / RANDOM_SCALE and this, drawn "
        "for each picture, photo and style apart",
        limits=Range(least=1, most=4),
    )
    cache_styles: int = flag(
        0,
        "keep this many crops of each style, encoded once and held in memory, "
        "instead of cropping again (0: off); for machines where the encoder is the bottleneck",
        limits=NOT_NEGATIVE,
    )
    cache_contents: int = flag(
        0,
        "keep this many crops of each photo in the same way, not with --network vgg19 (0: off)",
        limits=NOT_NEGATIVE,
    )
    # Kept crops are learnt by heart after some rounds: losses fall, pictures get worse.
    redraw_epochs: int = flag(
        0,
        "draw the kept crops again after this many rounds through their folder (0: never)",
        limits=NOT_NEGATIVE,
    )
    redraw_block: int = flag(
        0,
        "go so often through this many pictures of a folder, then through the next ones: kept "
        "crops are used again soon, not a round later (0: the whole folder)",
        limits=NOT_NEGATIVE,
    )
    val_pairs: int = flag(
        0,
        "measure the losses also on this many pairs that are not learnt from, held out of both "
        "folders, or from --val-content-path and --val-style-path (0: no)",
        limits=NOT_NEGATIVE,
    )
    val_content_path: tuple[str, ...] = flag((), "folders of photographs for VAL_PAIRS", nargs="+")
    val_style_path: tuple[str, ...] = flag((), "folders of paintings for VAL_PAIRS", nargs="+")
    val_iter: int = flag(200, "iterations between measurements on VAL_PAIRS", limits=COUNT)
    content_weight: float = flag(
        1.0, "weight of the content loss (mean squared error)", limits=NOT_NEGATIVE
    )
    style_weight: float = flag(
        1e-2,
        "weight of the style loss (summed over channels, averaged over the batch)",
        limits=NOT_NEGATIVE,
    )
    tv_weight: float = flag(0.0, "weight of the total variation loss", limits=NOT_NEGATIVE)
    # At full size the loss network sees grain rather than strokes.
    coarse_weight: float = flag(
        0.0,
        "share of a second style loss, of pictures at half size, beside the first",
        limits=NOT_NEGATIVE,
    )
    coarse_levels: int = flag(
        1, "how often pictures are halved for that: 2 adds a quarter", limits=Range(least=1, most=3)
    )
    detail_size: int = flag(
        0,
        "look at the output at full size only in a square of this side in its middle, and compare "
        "the content at half size, not with --network vgg19 (0: all of them)",
    )
    identity_weight: float = flag(
        0.0,
        "weight of the identity loss: a photo in its own style must come back (mean squared "
        "error of pixels in [0, 1], of every third photo; use with a weight of about 100)",
        limits=NOT_NEGATIVE,
    )
    style_loss: str = flag(
        "sum",
        "what is matched: "
        + "; ".join(f"{name}: {loss.help}" for name, loss in STYLE_LOSSES.items())
        + ". Use a --style-weight of about 1 with balanced and 10 with relative, and with both "
        "--normalized-content",
        choices=STYLE_LOSSES,
    )
    normalized_content: bool = flag(
        False,
        "compare instance-normalised features of photo and output: where things are, not how "
        "strong",
    )
    content_levels: int = flag(
        1,
        "compare contents in this many of the loss network's deepest layers, each counting half "
        "as much as the one below it: 2 is relu4_1 and half of relu3_1",
        limits=Range(least=1, most=4),
    )
    gram_weight: float = flag(
        0.0,
        "weight of the squared relative error of Gram matrices of relu3_1 and relu4_1, at full "
        "size and, with --coarse-weight, at half",
        limits=NOT_NEGATIVE,
    )
    range_weight: float = flag(
        0.0,
        "weight of the mean squared distance of the output's values from [0, 1] (about 50)",
        limits=NOT_NEGATIVE,
    )
    stability_weight: float = flag(
        0.0,
        "weight of the stability loss: a photo seen again, moved by up to 8 pixels and with a "
        "little noise, must give the same picture (mean squared error of pixels in [0, 1], of "
        "every third photo; about 150); for video",
        limits=NOT_NEGATIVE,
    )
    smoothness_weight: float = flag(
        0.0,
        "weight of the smoothness loss: where the photo is even the picture must be, but for "
        "strokes within 8 x 8 pixels (about 100)",
        limits=NOT_NEGATIVE,
    )
    teacher: str = flag(
        "", "preset or folder whose pictures of the same pairs TEACHER_WEIGHT compares with"
    )
    teacher_weight: float = flag(
        0.0,
        "weight of the distance from TEACHER's pictures, in pixels at a quarter of the size and "
        "in relu4_1 (about 2)",
        limits=NOT_NEGATIVE,
    )
    palette: float = flag(
        0.0,
        "share by which the output's colours are moved to the style's before they are compared, "
        "in [0, 1]; for weights that are used with --palette",
        limits=Range(least=0, most=1),
    )
    alpha: float = flag(
        1.0, "strength of AdaIN in training, in [0, 1]", limits=Range(least=0, most=1)
    )
    # The authors' settings: Adam 1e-4, decay 5e-5, 160,000 iterations.
    learning_rate: float = flag(1e-4, "Adam's learning rate", limits=Range(above=0))
    lr_schedule: str = flag(
        "inverse_time",
        "learning rate over time: LR / (1 + LR_DECAY * i), or a half cosine to 0 at MAX_ITER",
        choices=("inverse_time", "cosine"),
    )
    lr_decay: float = flag(5e-5, "decay of the inverse_time schedule", limits=NOT_NEGATIVE)
    schedule_iter: int = flag(
        0,
        "iteration at which a cosine reaches 0, for a run that stops before (0: MAX_ITER)",
        limits=NOT_NEGATIVE,
    )
    warmup_iter: int = flag(
        0, "iterations over which the learning rate rises from 0", limits=NOT_NEGATIVE
    )
    beta_2: float = flag(
        0.999,
        "Adam's decay of squared gradients; 0.99 suits short runs",
        limits=Range(above=0, below=1),
    )
    clip_norm: float = flag(0.0, "longest gradient allowed (0: any)", limits=NOT_NEGATIVE)
    ema: float = flag(
        0.0,
        "save the decoder's exponential moving average of this decay, such as 0.99 (0: off)",
        limits=Range(least=0, below=1),
    )
    max_iter: int = flag(160_000, "iterations in all", limits=COUNT)
    save_iter: int = flag(1000, "iterations between checkpoints", limits=COUNT)
    summary_iter: int = flag(20, "iterations between TensorBoard scalars", limits=COUNT)
    image_iter: int = flag(500, "iterations between TensorBoard pictures", limits=COUNT)
    seed: int = flag(
        0, "the same seed gives the same pairs, crops and initial weights", limits=NOT_NEGATIVE
    )
    workers: int = flag(0, "threads that load pictures (0: one for each core)", limits=NOT_NEGATIVE)
    devices: int = flag(
        1, "share each batch between this many devices, with JAX or TensorFlow", limits=COUNT
    )
    precision: str = flag(
        "float32",
        "arithmetic; statistics, losses and the last layer stay float32",
        choices=("float32", "mixed_bfloat16"),
    )

    def __post_init__(self) -> None:
        check(self)
        if self.recipe:
            known = self.recipe in RECIPE_NAMES or self.recipe.endswith(".toml")
            require(self, "recipe", known, f"{', '.join(RECIPE_NAMES)} or a .toml file")
            return  # `recipes.stages` checks each stage, with the recipe's settings in it.
        check_together(self)


def check_checkpoint(folder: str | Path) -> None:
    """Check that the preset beside a run's state is one, before a run overwrites it.

    Raises:
        PresetError: If there is a `config.json` that is damaged.
    """
    folder = Path(folder).absolute()
    if not ((folder / STATE).exists() and (folder / CONFIG).exists()):
        return
    try:
        Preset.load(folder)
    except PresetError as error:
        raise PresetError(
            f"{error} Delete that file to resume from {STATE} beside it, or choose another "
            "--checkpoint folder."
        ) from error
