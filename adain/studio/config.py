"""Settings of `adain studio`, field for field its flags."""

from __future__ import annotations

from dataclasses import dataclass

from adain.options import NOT_NEGATIVE, Range, check, flag, shared
from adain.stylize.config import STYLES


@dataclass(frozen=True)
class StudioConfig:
    """Settings of one studio."""

    style_path: tuple[str, ...] = flag(
        (),
        f"styles in the gallery: {STYLES} (default: those that come with the weights)",
        nargs="+",
        short="--style",
    )
    # The full-width network takes a second for a preview.
    checkpoint: str = flag(
        "adain_fast", "weights: a preset's name, its folder, or a training folder"
    )
    engine: str = shared("engine")
    precision: str = shared("precision")
    static: str = flag(
        "",
        "serve the page that stylises in the browser alone, from this folder (without a folder: "
        "web/dist, which `make web` builds); flags about styles, weights and tabs are of no use",
        const="web/dist",
    )
    port: int = flag(
        8765, "port of 127.0.0.1 to listen on (0: any free one)", limits=Range(least=0, most=65535)
    )
    open: bool = flag(True, "open the page in the browser, where there is a display")
    preview_size: int = flag(
        512, "shorter side of previews, pixels", limits=Range(least=64, most=2048)
    )
    max_upload: int = flag(256, "refuse files of more MB than this", limits=Range(least=1))
    max_pixels: int = shared("max_pixels")
    sessions: int = flag(
        32, "tabs to serve at the same time; the one idle longest makes room", limits=Range(least=1)
    )
    idle: float = flag(
        6.0, "hours after which the files of an idle tab are removed (0: never)",
        limits=NOT_NEGATIVE,
    )  # fmt: skip
    quiet: bool = shared("quiet")

    def __post_init__(self) -> None:
        check(self)
