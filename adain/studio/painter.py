"""What is painted: previews, thumbnails, and pictures in full size."""

from __future__ import annotations

import io
import os
import shutil
import time
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adain.imaging import io as imaging
from adain.options import UsageError
from adain.presets.preset import Preset
from adain.sources import find_sources, is_card
from adain.studio.clips import glimpse, is_clip, paint_clip
from adain.studio.config import StudioConfig
from adain.studio.queue import Cancelled, Job
from adain.studio.sessions import Result, Session
from adain.studio.wish import OWN, Files, Wish, to_command, to_config
from adain.stylize.config import StylizeConfig
from adain.stylize.inputs import Planes
from adain.stylize.pipeline import StylizePipeline
from adain.stylize.plan import fitting_styles, plan_results, read_mask
from adain.stylize.planned import PlannedResult
from adain.stylize.run import planned_to_regions, stylize_files

SAMPLE = Path(__file__).with_name("page") / "sample.jpg"
"""The photo of the thumbnails."""

_THUMBNAIL = 192
"""Shorter side of thumbnails, pixels."""
_QUALITY = 92
# What is larger is painted in tiles, so that it can be stopped and reports its progress.
_WHOLE, _TILE = 1280**2, 768


class Style(NamedTuple):
    """A style of the gallery."""

    name: str
    file: str
    """What the command line takes."""
    card: bool


class Painted(NamedTuple):
    """A picture for the page."""

    data: bytes
    kind: str
    """Its media type."""
    seconds: float


class Painter:
    """The networks, and what is kept for the next preview.

    Args:
        config: Of the studio.

    Raises:
        UsageError: If there is no style to choose from.
        PresetError, EngineError: If there are no such weights, or nothing that runs them.
    """

    def __init__(self, config: StudioConfig):
        self._config = config
        self._pipeline = StylizePipeline(
            checkpoint=config.checkpoint,
            engine=config.engine,
            precision=config.precision,
            max_pixels=config.max_pixels,
        )
        self._pipelines = {"": self._pipeline}
        self._mask = lru_cache(64)(partial(read_mask, max_pixels=config.max_pixels))
        self.gallery = {style.name: style for style in _find_styles(config)}
        self._sample = imaging.resize_shorter_side(imaging.load_image(SAMPLE), _THUMBNAIL)

    @property
    def palette(self) -> float:
        """The palette's share where none is given."""
        return self._pipeline.stylizer.palette

    def thumbnail(self, name: str, job: Job) -> Painted:
        """The sample photo in a style of the gallery."""
        begin = time.perf_counter()
        file = self.gallery[name].file
        picture = self._pipeline.run(self._sample, file, progress=job.report)
        return _encode(Planes(picture), begin)

    # === Settings ===

    def preview_config(self, session: Session, wish: Wish) -> StylizeConfig:
        """The settings that make a preview.

        Raises:
            UsageError: If something does not fit.
        """
        photo = self._photo(session)
        files = Files(
            photo=str(photo.path),
            style=lambda key: self._style(session, key, lambda path: str(path)),
            mask=lambda key, name: str(session.masks.file(key, name)),
            rest=session.masks.rest,
        )
        return self._to_config(wish, files, out_path=f"{session.folder}{os.sep}preview{os.sep}")

    def command(self, session: Session, wish: Wish) -> str:
        """The command line that makes the picture in full size.

        Raises:
            UsageError: If something does not fit.
        """
        files = Files(
            photo=self._photo(session).name,
            style=lambda key: self._style(session, key, lambda path: path.name),
            mask=lambda key, name: session.masks.file(key, name).name,
            rest=session.masks.rest,
        )
        return to_command(self._to_config(wish, files))

    def full_config(self, session: Session, wish: Wish) -> tuple[StylizeConfig, Path]:
        """The settings of the picture in full size, with copies of all files, and their folder.

        Raises:
            UsageError: If something does not fit.
        """
        photo = self._photo(session)
        folder = session.new_path("result").parent
        files = Files(
            photo=str(_copy(photo.path, folder)),
            style=lambda key: self._style(session, key, lambda path: str(_copy(path, folder))),
            mask=lambda key, name: str(_copy(session.masks.file(key, name), folder)),
            rest=session.masks.rest,
        )
        height, width = photo.size
        large = height * width > _WHOLE and photo.seconds is None
        more = {"tile": _TILE} if large else {}
        out_path = f"{folder / 'out'}{os.sep}"
        try:
            return self._to_config(wish, files, out_path=out_path, quiet=True, **more), folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _to_config(self, wish: Wish, files: Files, **more) -> StylizeConfig:
        config = self._config
        return to_config(
            wish,
            files,
            checkpoint=config.checkpoint,
            precision=config.precision,
            max_pixels=config.max_pixels,
            **more,
        )

    def _photo(self, session: Session):
        if session.photo is None:
            raise UsageError("There is no photo yet. Drop one on the page.")
        return session.photo

    def _style(self, session: Session, key: str, of_path) -> str:
        if key.startswith(OWN):
            upload = session.styles.get(key.removeprefix(OWN))
            if upload is not None:
                return of_path(upload.path)
        elif key in self.gallery:
            return self.gallery[key].file
        raise UsageError("A style is gone. Choose another, or drop it again.")

    # === Pictures ===

    @staticmethod
    def shown(session: Session) -> Painted:
        """The photo, as large as a preview."""
        return _encode(session.preview, time.perf_counter())

    def preview(self, session: Session, wish: Wish, job: Job) -> Painted:
        """What `adain stylize --content-size` makes of the photo, as large as a preview."""
        begin = time.perf_counter()
        photo = session.preview
        config = self.preview_config(session, wish)
        regions = planned_to_regions(
            _planned(config, session.folder).regions, self._mask, config.max_pixels
        )
        pipeline = self._pipeline_for(config)
        result = pipeline.run_planes(photo, regions, progress=job.report)
        return _encode(result, begin)

    def full(self, config: StylizeConfig, folder: Path, job: Job) -> Result:
        """What `adain stylize` writes.

        Raises:
            UsageError, Cancelled: If something does not fit, or it is no longer wanted.
        """
        stylizer = self._pipeline.stylizer
        if is_clip(config.content_path[0]):
            return self._full_clip(config, folder, job)
        planned = _planned(config, folder)
        (outcome,) = stylize_files(config, [planned], job.report, stylizer)
        if job.cancelled:
            raise Cancelled
        if outcome.error:
            raise UsageError(_shown(outcome.error, folder))
        path = Path(outcome.output)
        return Result(path, outcome.seconds, imaging.read_size(path))

    def _full_clip(self, config: StylizeConfig, folder: Path, job: Job) -> Result:
        try:
            path, seconds, problems = paint_clip(config, self._pipeline.stylizer, job.report)
        except ValueError as error:
            if job.cancelled:
                raise Cancelled from error
            raise UsageError(_shown(str(error), folder)) from error
        size = glimpse(path, config.max_pixels).frame.colors.shape[:2]
        return Result(path, seconds, size, tuple(_shown(line, folder) for line in problems))

    def _pipeline_for(self, config: StylizeConfig) -> StylizePipeline:
        """One for each way to keep colours: styles differ with it, and are encoded once."""
        colors = config.keep_colors
        if colors not in self._pipelines:
            self._pipelines[colors] = self._pipeline.with_options(keep_colors=colors)
        # As `full` has it: frames of clips are painted as they are.
        clip = is_clip(config.content_path[0])
        return self._pipelines[colors].with_options(
            palette=config.palette,
            stroke=config.stroke,
            supersample=0 if clip else config.supersample,
        )


def _planned(config: StylizeConfig, folder: Path) -> PlannedResult:
    """The plan of one picture.

    Raises:
        UsageError: If there is something wrong; the message has names, and no paths.
    """
    try:
        plan = plan_results(config)
    except ValueError as error:
        raise UsageError(_shown(str(error), folder)) from error
    if not plan.ready:
        reasons = [*plan.problems, *plan.refused, "it cannot be painted"]
        raise UsageError(_shown(reasons[0], folder))
    return plan.ready[0]


def _shown(text: str, folder: Path) -> str:
    """A message with the names of files in place of their paths."""
    words = text.split(f"{folder}{os.sep}")
    return words[0] + "".join(
        # The folder of each file has a name that the user does not know.
        word.partition(os.sep)[2] if os.sep in word.partition(" ")[0] else word
        for word in words[1:]
    )


def _find_styles(config: StudioConfig) -> list[Style]:
    preset = Preset.load(config.checkpoint)
    names = config.style_path or tuple(preset.styles)
    sources, problems, _ = find_sources(names, cards=True, library=preset.styles)
    options = StylizeConfig(
        content_path=".", style_path=".", checkpoint=config.checkpoint, max_pixels=config.max_pixels
    )
    sources, unfit = fitting_styles(options, preset, sources)
    problems += unfit
    if config.style_path and problems:
        raise UsageError(problems[0])
    known = {path.resolve(): name for name, path in preset.styles.items()}
    styles = []
    for source in sources:
        file = known.get(source.path.resolve(), str(source))
        styles.append(Style(source.flat, file, is_card(source)))
    return styles


def _copy(path: Path, folder: Path) -> Path:
    """The same file in another folder, without a copy of its bytes where that is possible."""
    target = folder / path.name
    if not target.exists():
        try:
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)
    return target


def _encode(planes: Planes, begin: float) -> Painted:
    """A picture as the page shows it: JPEG, or PNG where it has transparency."""
    file = io.BytesIO()
    if planes.alpha is None:
        imaging.save_image(file, planes.colors, format="JPEG", quality=_QUALITY)
        return Painted(file.getvalue(), "image/jpeg", time.perf_counter() - begin)
    picture = np.dstack([planes.colors, planes.alpha])
    imaging.save_image(file, picture, format="PNG")
    return Painted(file.getvalue(), "image/png", time.perf_counter() - begin)
