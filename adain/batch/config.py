"""Settings of `adain batch`, field for field its flags."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any

from adain.imaging.formats import WRITERS
from adain.options import COUNT, NOT_NEGATIVE, Range, UsageError, check, flag, require, shared
from adain.stylize.config import STYLES, StylizeOptions

TILE = 1024
"""Side of the tiles unless another is given. It is the same everywhere, whatever memory there is:
results in tiles may differ from whole ones by a grey level."""


def _same(name: str) -> Any:
    """A flag of `adain stylize`."""
    item = StylizeOptions.__dataclass_fields__[name]
    return field(default=item.default, metadata=item.metadata)


@dataclass(frozen=True)
class BatchConfig:
    """Settings of one run over a data set."""

    content_path: tuple[str, ...] = flag(
        (),
        "the data set: a folder tree of pictures, tar shards in WebDataset form (.tar) or Parquet "
        "files (.parquet), or folders or globs of these",
        nargs="+",
        required=True,
        affects_result=False,
    )
    style_path: tuple[str, ...] = flag(
        (),
        STYLES,
        nargs="+",
        required=True,
        short="--style",
        affects_result=False,
    )
    out_path: str = flag(
        "",
        "a new folder for the results, or one of this job",
        short="-o",
        affects_result=False,
        writes="folder",
    )
    alpha: tuple[float, ...] = flag(
        (1.0,),
        "strength of the style, or two numbers between which it is drawn for each picture "
        "(default: 1)",
        nargs="+",
        type=float,
        limits=NOT_NEGATIVE,
    )
    draws: int = flag(
        1,
        "results for each picture, each with other styles: several data sets, draw-0, draw-1, ...",
        limits=COUNT,
    )
    mix: int = flag(
        1, "blend so many styles for each result, by weights that are drawn too", limits=COUNT
    )
    by: str = flag(
        "picture",
        "what styles are drawn for: each picture, or each class, whose pictures then share them",
        choices=("picture", "class"),
    )
    seed: int = flag(0, "seed of all draws", limits=NOT_NEGATIVE)
    picture: str = flag(
        "",
        "which member of a shard's samples, such as jpg, or which Parquet column is the picture "
        "(default: the only one)",
    )
    label: str = flag(
        "",
        "which member, such as cls, or column tells the class (default: cls, or label); of a tree "
        "it is the first folder",
    )
    output_size: str = flag(
        "",
        "size of the results, pixels: the shorter side, such as 256, or height x width, such as "
        "224x224, to which they are cut (default: as stylised)",
    )
    format: str = flag(
        "",
        "format of the results (default: each picture's own, or PNG where that is only read)",
        choices=tuple(sorted({suffix[1:] for suffix in WRITERS})),
    )
    quality: int = shared("quality")
    checkpoint: str = _same("checkpoint")
    engine: str = _same("engine")
    precision: str = _same("precision")
    content_size: int = _same("content_size")
    style_size: int = _same("style_size")
    crop_size: int = _same("crop_size")
    keep_colors: str = _same("keep_colors")
    palette: float | None = _same("palette")
    stroke: int = _same("stroke")
    supersample: int = _same("supersample")
    passes: int = _same("passes")
    tile: int = flag(
        TILE,
        "process larger pictures in tiles of this side",
        limits=Range(least=64, multiple=16),
    )
    workers: int = flag(
        0,
        "processes, each with one thread (0: as many as there are cores, and memory for)",
        limits=NOT_NEGATIVE,
        affects_result=False,
    )
    max_memory: str = flag(
        "",
        "memory to use in all, such as 3GiB or 800MiB (default: 0.8 of what is free)",
        affects_result=False,
    )
    shard: str = flag(
        "0/1",
        "make part I of N only, such as 3/8, the first is 0: the parts that N machines make into "
        "one folder, or each into its own, are together what one makes",
        affects_result=False,
    )
    cluster: str = flag(
        "",
        "run on a Ray cluster, at this address or, auto, the one this machine belongs to; all of "
        "its machines must see the same files",
        affects_result=False,
    )
    plan: bool = flag(
        False,
        "make nothing; tell how long 1, 8 and 64 such machines take, from a few measured pictures",
        affects_result=False,
    )
    max_pixels: int = shared("max_pixels")
    quiet: bool = shared("quiet")

    def __post_init__(self) -> None:
        check(self)
        self.options()
        require(self, "alpha", len(self.alpha) in (1, 2), "one number, or two")
        require(self, "alpha", self.alpha[0] <= self.alpha[-1], "the smaller number first")
        require(self, "out_path", self.out_path not in ("", "-"), "a folder")
        require(self, "output_size", self.result_size is not None, "such as 256 or 224x224")
        found = re.fullmatch(r"(\d+)/(\d+)", self.shard)
        good = found is not None and int(found[1]) < int(found[2])
        alone = not (self.cluster and self.max_memory)
        require(self, "max_memory", alone, "left out with --cluster; use --workers")
        require(self, "shard", good, "I/N, with I from 0 to N - 1")

    def options(self) -> StylizeOptions:
        """What a pipeline takes.

        Raises:
            UsageError: If an option is not what it should be.
        """
        names = {item.name for item in fields(StylizeOptions)} & {
            item.name for item in fields(self)
        }
        return StylizeOptions(**{name: getattr(self, name) for name in names})

    @property
    def result_size(self) -> tuple[int, ...] | None:
        """`(shorter side,)`, `(height, width)`, or () for results as they are stylised."""
        if not self.output_size:
            return ()
        found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", self.output_size)
        size = tuple(int(side) for side in found.groups() if side) if found else (0,)
        return size if min(size) else None

    @property
    def part(self) -> tuple[int, int]:
        """Which part of how many."""
        number, count = self.shard.split("/")
        return int(number), int(count)

    def check_draws(self, styles: int) -> None:
        """Whether there are styles enough.

        Raises:
            UsageError: If there are not.
        """
        if self.draws * self.mix > styles:
            raise UsageError(
                f"--draws {self.draws} and --mix {self.mix} need {self.draws * self.mix} styles. "
                f"Received: {styles}"
            )
