"""Settings of `adain sweep`, field for field its flags."""

from __future__ import annotations

from dataclasses import dataclass

from adain.options import check, flag, shared


@dataclass(frozen=True)
class SweepConfig:
    """Settings of `adain sweep`; what is tried is told by the file."""

    space: str = flag("", "the file of what to try, SPACE.toml", place=True)
    out_path: str = flag(
        "sweep",
        "folder for the trials and their records; an unfinished sweep there is resumed",
        writes="folder",
    )
    storage: str = flag(
        "",
        "URL of the database of trials, such as postgresql://USER@HOST/NAME, which several "
        "machines may share (default: sqlite:///OUT_PATH/study.db)",
    )
    study: str = flag("", "name of the sweep in the database (default: the file's name)")
    quiet: bool = shared("quiet")

    def __post_init__(self) -> None:
        check(self)
