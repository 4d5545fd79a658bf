"""Settings of `adain tune`, field for field its flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from adain.options import COUNT, NOT_NEGATIVE, Given, Range, check, flag, require, shared
from adain.presets.architecture import ARCHITECTURES
from adain.sources import STYLE_CARD
from adain.training.config import TrainConfig


class Strength(NamedTuple):
    """How far tuning goes."""

    content_share: float
    """What the content loss of the style as it was counts, beside 1 of its style losses: how large
    those are differs between weights by orders of magnitude."""
    content_limit: float
    """The content loss of validation may be this many times that of the style as it was."""


STRENGTHS = {
    "gentle": Strength(1.0, 1.08),
    "normal": Strength(0.5, 1.15),
    "bold": Strength(0.25, 1.3),
}
"""What `--strength` stands for."""


@dataclass(frozen=True)
class TuneConfig(Given):
    """Settings of `adain tune`: a style card that suits one style better than its pictures do."""

    style_path: tuple[str, ...] = flag(
        (),
        "pictures of one style: a painting, or several details of it",
        nargs="+",
        required=True,
        short="--style",
    )
    content_path: tuple[str, ...] = flag(
        (),
        "folders of photographs to tune on, a few dozen at least; such as are going to be stylised",
        nargs="+",
        required=True,
    )
    out_path: str = flag(
        "", "the style card to write, .npz", required=True, short="-o", writes="file"
    )
    checkpoint: str = flag(
        "adain_fast",
        "weights that the card is for: a preset's name, its folder, or a training folder",
    )
    strength: str = flag(
        "normal", "how much of the photo may go in favour of the style", choices=STRENGTHS
    )
    max_minutes: float = flag(10.0, "stop after so many minutes of tuning", limits=Range(above=0))
    max_iter: int = flag(400, "most iterations", limits=COUNT)
    patience: int = flag(
        3,
        "stop when so many validations in a row have brought nothing; the best one counts",
        limits=COUNT,
    )
    val_iter: int = flag(20, "iterations between validations", limits=COUNT)
    val_photos: int = flag(
        12, "photographs that are held out for validation, half of all at most", limits=COUNT
    )
    run_path: str = flag(
        "",
        "folder of the unfinished run, its previews and TensorBoard files (default: OUT_PATH "
        "without .npz, and -run); the same command resumes a run that was interrupted",
        writes="folder",
    )
    name: str = flag("", "title, kept in the card (default: the file's name)")
    credit: str = flag("", "author and source, kept in the card")
    license: str = flag("", "license, kept in the card")
    style_size: int = shared("style_size")
    batch_size: int = flag(3, "photographs an iteration", limits=COUNT)
    image_size: int = flag(
        384,
        "shorter side of the photographs before cropping, times a factor between 2/3 and 3/2",
        limits=Range(least=64),
    )
    crop_size: int = flag(160, "side of the crops", limits=Range(least=64, multiple=32))
    learning_rate: float = flag(0.03, "Adam's learning rate", limits=Range(above=0))
    vgg_path: str = flag("adain_vgg19", "the loss network, as in `adain train`")
    seed: int = flag(0, "the same seed gives the same crops", limits=NOT_NEGATIVE)
    workers: int = flag(0, "threads that load pictures (0: one for each core)", limits=NOT_NEGATIVE)
    overwrite: bool = flag(False, "replace a card that is there already")
    max_pixels: int = shared("max_pixels")
    quiet: bool = shared("quiet")

    def __post_init__(self) -> None:
        check(self)
        good = self.out_path.lower().endswith(STYLE_CARD)
        require(self, "out_path", good, "a style card to write, .npz")

    @property
    def run_folder(self) -> Path:
        """Where the unfinished run, previews and TensorBoard files go."""
        return Path(self.run_path or f"{self.out_path[: -len(STYLE_CARD)]}-run")

    def training(self, network: str) -> TrainConfig:
        """The same as settings of a training run.

        Args:
            network: The architecture, a key of `ARCHITECTURES`.
        """
        looks: dict[str, Any] = {}
        if ARCHITECTURES[network].trains_encoder:
            looks["detail_size"] = self.crop_size // 16 * 8
        return TrainConfig(
            content_path=self.content_path,
            style_path=self.style_path,
            network=network,
            checkpoint=str(self.run_folder),
            vgg_path=self.vgg_path,
            batch_size=self.batch_size,
            image_size=self.image_size,
            crop_size=self.crop_size,
            random_scale=1.5,
            content_weight=STRENGTHS[self.strength].content_share,
            style_weight=4.0,
            coarse_weight=2.5,
            coarse_levels=2,
            style_loss="relative",
            normalized_content=True,
            learning_rate=self.learning_rate,
            lr_decay=0.0,
            warmup_iter=10,
            beta_2=0.99,
            clip_norm=1.0,
            # The rate does not fall, so that a run may end at any time.
            ema=0.95,
            max_iter=self.max_iter,
            val_iter=self.val_iter,
            save_iter=self.val_iter,
            summary_iter=min(self.val_iter, 10),
            image_iter=self.val_iter,
            seed=self.seed,
            workers=self.workers,
            **looks,
        )
