"""Tabs of the browser: the files of each, in a folder of its own that goes with it."""

from __future__ import annotations

import itertools
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adain.imaging import io as imaging
from adain.options import UsageError
from adain.studio.clips import glimpse, is_clip
from adain.studio.masks import Masks
from adain.studio.queue import Job
from adain.studio.scratch import Scratch
from adain.studio.uploads import Upload, UploadError, check_picture, renamed, safe_name
from adain.stylize.inputs import Planes

_STYLES, _RESULTS, _JOBS = 32, 20, 100
"""Styles of its own that a tab may have, and results and paintings that are known of it."""
_LONGER = 2.5
"""A preview's longer side, over the size of previews: a panorama is not painted at its height."""


class Result(NamedTuple):
    """A picture in full size."""

    path: Path
    seconds: float
    size: tuple[int, int]
    """`(height, width)`, pixels."""
    problems: tuple[str, ...] = ()
    """One line for each thing that a clip's result lacks."""


class Session:
    """One tab: its photo, its styles, its masks, its results.

    Args:
        folder: Where its files are.
        preview_size: Shorter side of previews, pixels.
        max_pixels: Limit of pictures.
    """

    def __init__(self, folder: Path, preview_size: int, max_pixels: int):
        self.folder, self._preview_size, self._max_pixels = folder, preview_size, max_pixels
        self.photo: Upload | None = None
        self.styles: dict[str, Upload] = {}
        self.masks = Masks(folder)
        self.jobs: OrderedDict[str, Job] = OrderedDict()
        self.results: OrderedDict[str, Result] = OrderedDict()
        self.seen = time.monotonic()
        self._planes: Planes | None = None
        self._numbers = itertools.count(1)

    def new_path(self, kind: str) -> Path:
        """A path in a new folder."""
        folder = self.folder / f"{kind}-{next(self._numbers)}"
        folder.mkdir()
        return folder / "received"

    # === Pictures ===

    def take_photo(self, received: Path, name: str) -> Upload:
        """Take a file, also a clip, as the photo; the one before is removed.

        Raises:
            ImageError, VideoError: If it is none, or broken.
            MissingExtra: If it is a clip, and clips cannot be read here.
        """
        taken = [style.name for style in self.styles.values()]
        take = self._take_clip if is_clip(name) else self._take
        upload, planes = take(received, name, taken)
        size = imaging.shorter_side_size(
            upload.size, self._shorter(upload.size), max_pixels=self._max_pixels, name=name
        )
        before, self.photo, self._planes = self.photo, upload, _shrink(planes, size)
        if before is not None:
            shutil.rmtree(before.path.parent, ignore_errors=True)
        return upload

    def take_style(self, received: Path, name: str) -> str:
        """Take a file as a style; returns its key.

        Raises:
            ImageError: If it is no picture, or broken.
            UploadError: If there are too many.
        """
        if len(self.styles) >= _STYLES:
            raise UploadError(f"{_STYLES} styles of your own are the most. Remove one.")
        taken = [style.name for style in self.styles.values()]
        taken += [self.photo.name] if self.photo else []
        upload, _ = self._take(received, name, taken)
        key = upload.path.parent.name
        self.styles[key] = upload
        return key

    def drop_style(self, key: str) -> None:
        """Remove a style."""
        upload = self.styles.pop(key, None)
        if upload is not None:
            shutil.rmtree(upload.path.parent, ignore_errors=True)

    def _take(self, received: Path, name: str, taken: list[str]) -> tuple[Upload, Planes]:
        try:
            image = check_picture(received, safe_name(name, taken=taken), self._max_pixels)
            name = safe_name(name, image.format, taken)
            with renamed(received, name):
                colors, meta = image.read(keep_depth=True)
            path = received.rename(received.with_name(name))
        except BaseException:
            shutil.rmtree(received.parent, ignore_errors=True)
            raise
        return Upload(path, name, colors.shape[:2]), Planes(colors, meta.alpha)

    def _take_clip(self, received: Path, name: str, taken: list[str]) -> tuple[Upload, Planes]:
        try:
            name = safe_name(name, taken=taken, keep_suffix=True)
            # A clip's suffix tells its format.
            path = received.rename(received.with_name(name))
            with renamed(path, name):
                found = glimpse(path, self._max_pixels)
        except BaseException:
            shutil.rmtree(received.parent, ignore_errors=True)
            raise
        size = found.frame.colors.shape[:2]
        return Upload(path, name, size, found.frames, found.seconds), found.frame

    @property
    def preview(self) -> Planes:
        """The photo, as large as a preview.

        Raises:
            UsageError: If there is none.
        """
        if self._planes is None:
            raise UsageError("There is no photo yet. Drop one on the page.")
        return self._planes

    def _shorter(self, size: tuple[int, int]) -> int:
        shorter, longer = sorted(size)
        most = self._preview_size * min(1, _LONGER * shorter / longer)
        return max(1, min(shorter, round(most)))

    # === Results ===

    def watch(self, folder: Path, job: Job) -> None:
        """Know a job by the name of its folder, which is removed if it fails."""
        while len(self.jobs) >= _JOBS:
            self.jobs.popitem(last=False)
        self.jobs[folder.name] = job

        def clear(future) -> None:
            if future.exception() is not None:
                shutil.rmtree(folder, ignore_errors=True)

        job.future.add_done_callback(clear)

    def keep(self, key: str, result: Result) -> None:
        """Keep the result of a job; of many the oldest is removed."""
        self.results[key] = result
        while len(self.results) > _RESULTS:
            _, old = self.results.popitem(last=False)
            shutil.rmtree(old.path.parent.parent, ignore_errors=True)


def _shrink(planes: Planes, size: tuple[int, int]) -> Planes:
    """A picture of `(height, width)`, of 8 bits as screens show it."""
    found = [
        plane if plane is None else imaging.to_depth(imaging.resize_image(plane, size), np.uint8)
        for plane in planes
    ]
    return Planes(*found)


class Sessions:
    """All tabs, and the temporary folder with their files.

    Args:
        most: Tabs that are served at the same time.
        idle: Hours after which an idle one is forgotten; 0: never.
        new: Makes a session of a folder.
        forget: Called with the key of one that is forgotten.

    Raises:
        UsageError: If there is no place for temporary files.
    """

    def __init__(
        self,
        most: int,
        idle: float,
        new: Callable[[Path], Session],
        forget: Callable[[str], None],
    ):
        self._most, self._idle, self._new, self._forget = most, idle, new, forget
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()
        self._scratch = Scratch()

    @property
    def folder(self) -> Path:
        """Where the files of all tabs are."""
        return self._scratch.path

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._sessions)

    def open(self) -> str:
        """Begin one; returns its key, which nobody can guess."""
        key = secrets.token_urlsafe(24)
        folder = self.folder / secrets.token_hex(8)
        folder.mkdir()
        with self._lock:
            self._sessions[key] = self._new(folder)
        self.sweep()
        return key

    def get(self, key: str) -> Session:
        """The session of a key.

        Raises:
            KeyError: If there is none, or no more.
        """
        session = self._sessions[key]
        session.seen = time.monotonic()
        return session

    def close(self, key: str) -> None:
        """Forget one, with its files."""
        with self._lock:
            session = self._sessions.pop(key, None)
        if session is not None:
            self._forget(key)
            shutil.rmtree(session.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Forget those that are idle, or too many."""
        now = time.monotonic()
        oldest = sorted(self._sessions, key=lambda key: self._sessions[key].seen)
        spare = len(oldest) - self._most
        for number, key in enumerate(oldest):
            idle = self._idle and now - self._sessions[key].seen > 3600 * self._idle
            if number < spare or idle:
                self.close(key)

    def close_all(self) -> None:
        """Remove all temporary files."""
        for key in list(self._sessions):
            self.close(key)
        self._scratch.close()
