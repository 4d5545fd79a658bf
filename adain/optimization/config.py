"""Settings of `adain optimize`, field for field its flags."""

from __future__ import annotations

import math
from dataclasses import dataclass

from adain.constants import LAYERS
from adain.networks.style_losses import STYLE_LOSSES, proportional_losses
from adain.options import (
    COUNT,
    NOT_NEGATIVE,
    Given,
    Range,
    UsageError,
    check,
    flag,
    require,
    shared,
)


@dataclass(frozen=True)
class OptimizeConfig(Given):
    """Settings of `adain optimize`: the picture itself is optimised, step by step."""

    content_path: tuple[str, ...] = flag(
        (), "pictures, folders or globs to repaint; none: textures of the styles", nargs="+"
    )
    style_path: tuple[str, ...] = flag(
        (), "pictures, folders or globs; none: what CONTENT_LAYERS know of the photos", nargs="+"
    )
    out_path: str = shared("out_path")
    checkpoint: str = shared("checkpoint")
    start: str = flag(
        "",
        "picture to start from: the photo, noise, or the result of `adain stylize` "
        "(default: the photo where there is a style too, else noise)",
        choices=("content", "noise", "adain"),
    )
    size: str = flag("512", "size of textures in pixels: HEIGHTxWIDTH, or one number for both")
    # Not the photo's own size: a step at 12 megapixels takes minutes, and too much memory.
    content_size: int = flag(
        512, "resize the photo's shorter side to this (0: keep its size)", limits=NOT_NEGATIVE
    )
    style_size: int = shared("style_size")
    content_layers: tuple[str, ...] = flag(
        ("relu4_1",),
        "layers that see the photo (default: relu4_1; with --sheet layers all four)",
        nargs="+",
        choices=LAYERS,
    )
    style_layers: tuple[str, ...] = flag(
        LAYERS, "layers that see the style (default: all four)", nargs="+", choices=LAYERS
    )
    style_loss: str = flag(
        "gram",
        "what is matched: "
        + "; ".join(f"{name}: {STYLE_LOSSES[name].help}" for name in proportional_losses()),
        choices=proportional_losses,
    )
    content_weight: float = flag(
        1.0,
        "weight of the content loss (squared error over the photo's variance)",
        limits=NOT_NEGATIVE,
    )
    # 10 leaves photos much of their own colours; at 100 they are still easy to make out.
    style_weight: float = flag(
        100.0,
        "weight of the style loss (squared error over the style's square)",
        limits=NOT_NEGATIVE,
    )
    tv_weight: float = flag(
        0.0,
        "weight of the total variation (summed over channels, averaged over positions)",
        limits=NOT_NEGATIVE,
    )
    optimizer: str = flag("lbfgs", "how the picture is changed", choices=("lbfgs", "adam"))
    learning_rate: float = flag(
        0.02, "Adam's, for pixels in [0, 1]; L-BFGS finds its own", limits=Range(above=0)
    )
    steps: int = flag(300, "most evaluations of loss and gradient for one picture", limits=COUNT)
    sheet: str = flag(
        "",
        "one contact sheet instead of pictures, with the originals; grid: every photo in every "
        "style; layers: each photo from each of CONTENT_LAYERS alone, and textures of each style "
        "from STYLE_LAYERS down to each",
        choices=("grid", "layers"),
    )
    save_iter: int = flag(
        0,
        "also write the best picture so far every so many steps, NAME_0050.png (0: no)",
        limits=NOT_NEGATIVE,
    )
    overwrite: bool = flag(False, "replace files that are there already", affects_result=False)
    quality: int = shared("quality")
    max_pixels: int = shared("max_pixels")
    seed: int = flag(0, "seed of the noise", limits=NOT_NEGATIVE)
    json: bool = shared("json")
    quiet: bool = shared("quiet")

    def __post_init__(self) -> None:
        check(self)
        if not self.content_path and not self.style_path:
            raise UsageError("Give --content-path, --style-path, or both. Received: neither")
        if self.start in ("content", "adain") and not self.content_path:
            raise UsageError(f"--start {self.start} needs --content-path.")
        if self.start == "adain" and not self.style_path:
            raise UsageError("--start adain needs --style-path.")
        if self.sheet == "grid" and not (self.content_path and self.style_path):
            raise UsageError("--sheet grid needs --content-path and --style-path.")
        if self.sheet == "layers":
            if self.start not in ("", "noise"):
                raise UsageError(f"--sheet layers starts from noise. Received: {self.start}")
            if "content_layers" not in self.given:
                object.__setattr__(self, "content_layers", LAYERS)
        if self.sheet and self.save_iter:
            raise UsageError("--save-iter writes single pictures: not with --sheet.")
        for name in ("content_layers", "style_layers"):
            require(self, name, len(getattr(self, name)) > 0, "at least one layer")
        sides = self.size.lower().split("x")
        good = len(sides) <= 2 and all(side.isdecimal() and int(side) > 0 for side in sides)
        require(self, "size", good, "HEIGHTxWIDTH or one number of pixels")
        if self.style_path and (self.sheet == "layers" or not self.content_path):
            limit = f"--max-pixels {self.max_pixels} pixels at most"
            require(self, "size", math.prod(self.texture_size) <= self.max_pixels, limit)
        if self.out_path == "-" and (self.json or self.save_iter):
            raise UsageError("Standard output takes one picture: no --json, no --save-iter.")

    @property
    def texture_size(self) -> tuple[int, int]:
        """`size` as `(height, width)`."""
        sides = [int(side) for side in self.size.lower().split("x")]
        return sides[0], sides[-1]
