"""Settings of `adain live`, field for field its flags."""

from __future__ import annotations

from dataclasses import dataclass

from adain.options import NOT_NEGATIVE, Range, check, flag, require, shared
from adain.stylize.config import StylizeOptions

_OPTIONS = StylizeOptions.__dataclass_fields__


def _same(name: str, **changes):
    """A flag of `adain stylize`."""
    item = _OPTIONS[name]
    metadata = dict(item.metadata)
    default = changes.pop("default", item.default)
    return flag(default, changes.pop("help", metadata["help"]), limits=metadata["limits"],
                **metadata["how"])  # fmt: skip


@dataclass(frozen=True)
class LiveConfig:
    """Settings of one live session."""

    source: str = flag("0", "number of a camera, or a clip", nargs="?", place=True)
    style_path: tuple[str, ...] = flag(
        (),
        "styles to choose from, as in `adain stylize` (default: those that come with the weights)",
        nargs="+",
        short="--style",
    )
    # The full-width network takes a second for a frame.
    checkpoint: str = _same("checkpoint", default="adain_fast")
    engine: str = shared("engine")
    precision: str = shared("precision")
    content_size: int = _same("content_size", default=360)
    style_size: int = shared("style_size")
    keep_colors: str = _same("keep_colors")
    palette: float | None = shared("palette")
    alpha: float = flag(1.0, "strength at first", limits=NOT_NEGATIVE)
    stability: float = flag(
        0.5,
        "how much frames follow the ones before: 0 each on its own, 1 most",
        limits=Range(least=0, most=1),
    )
    out_path: str = flag(
        "output", "folder for snapshots and recordings", short="-o", writes="folder"
    )
    duration: float = flag(0.0, "end after so many seconds (0: when q is hit)", limits=NOT_NEGATIVE)
    max_pixels: int = shared("max_pixels")
    quiet: bool = shared("quiet")

    def __post_init__(self) -> None:
        check(self)
        require(self, "source", self.source != "", "a camera's number or a clip")

    def options(self) -> StylizeOptions:
        """Those of the pipeline; frames are resized before."""
        names = (
            "checkpoint", "engine", "precision", "style_size", "keep_colors", "palette",
            "max_pixels",
        )  # fmt: skip
        # Frames come faster painted at their own size.
        return StylizeOptions(supersample=0, **{name: getattr(self, name) for name in names})
