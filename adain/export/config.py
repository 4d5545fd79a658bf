"""Settings of `adain export`, field for field its flags."""

from __future__ import annotations

from dataclasses import dataclass

from adain.export.formats import EXPORT_FORMATS, TILE_GRAPHS, WEIGHTS, WHOLE_GRAPHS
from adain.options import UsageError, check, flag, shared


@dataclass(frozen=True)
class ExportConfig:
    """Settings of `adain export`: weights to files for other programs."""

    checkpoint: str = shared("checkpoint")
    format: str = flag(
        "onnx",
        "; ".join(f"{name}: {format.help}" for name, format in EXPORT_FORMATS.items()),
        choices=EXPORT_FORMATS,
    )
    weights: str = flag(
        "auto",
        "how weights are stored; auto: without loss, in the smallest files",
        choices=WEIGHTS,
    )
    graphs: tuple[str, ...] = flag(
        WHOLE_GRAPHS,
        "style: a picture to what describes it as a style; stylize: a photo and that to a picture; "
        "for tiles: encode, decode, measure, decode_fixed",
        choices=(*WHOLE_GRAPHS, *TILE_GRAPHS),
        nargs="+",
    )
    out_path: str = flag(
        "", "folder for the files (default: named after the format)", writes="folder"
    )

    def __post_init__(self) -> None:
        check(self)
        chosen = EXPORT_FORMATS[self.format]
        if self.weights not in ("auto", *chosen.weights):
            raise UsageError(
                f"`weights` must be {' or '.join(chosen.weights)} for {self.format}: "
                f"{chosen.refused[self.weights]}. Received: weights={self.weights!r}"
            )
        tiles = [name for name in self.graphs if name in TILE_GRAPHS]
        if tiles and not chosen.tiles:
            raise UsageError(
                f"`graphs` must be {' or '.join(WHOLE_GRAPHS)} for {self.format}, which is written "
                f"from other networks than tiles are. Received: graphs={' '.join(self.graphs)}"
            )

    @property
    def stored(self) -> str:
        """How weights are stored: `weights`, resolved."""
        return EXPORT_FORMATS[self.format].weights[0] if self.weights == "auto" else self.weights
