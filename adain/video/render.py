"""One result: reading, motion, networks, following and writing, all at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from adain.imaging import io as imaging
from adain.inference.regions import Region
from adain.inference.steady import Steady, SteadyFrame
from adain.stylize.inputs import Planes
from adain.stylize.pipeline import StylizePipeline
from adain.video.clip import Clip, Frame, Part
from adain.video.follower import Follower
from adain.video.masks import MaskAt
from adain.video.motion import Motion, MotionEstimator
from adain.video.outputs import Finished, Output
from adain.video.stages import Ahead, Clock

SEGMENT = 2**25
"""Pixels of the frames of one segment, what a run that is killed loses at most: some seconds of
the small networks' work."""
_LARGE = 8
"""How many times the work of the small networks that of large ones is."""
_REFINING = 20
"""How many times that work a step of `--refine` is."""
_LEAST_FRAMES, _MOST_FRAMES = 4, 120
"""Of one segment, each of which begins with a keyframe."""
_SECONDS = 1.0
"""Window of the statistics at stability 1."""
_MOST = 0.995
"""Share of what was there before at stability 1; errors fade within some seconds."""


@dataclass(frozen=True)
class StyledRegion:
    """A region of a clip: all of it, or a mask, with a style that may change."""

    style_at: Callable[[Fraction], Any]
    alpha: float = 1.0
    mask_at: MaskAt | None = None


@dataclass
class _Work:
    """A frame on its way."""

    number: int
    frame: Frame
    motion: Motion = Motion(True)
    regions: list[Region] = field(default_factory=list)
    shared: SteadyFrame | None = None
    result: Planes | None = None
    state: dict[str, np.ndarray] | None = field(default=None)


class Renderer:
    """Stylises the frames of a clip, one after another.

    Args:
        pipeline: Its `content_size` and `concat` must be 0 and False: `size` and `concat` here.
        regions: How frames are stylised.
        stability: How much frames follow the ones before, in [0, 1].
        rate: Frames a second.
        size: `(height, width)` that frames are resized to; None: as they are.
        concat: Whether frames are put beside their results.
        clock: Told how long each kind of work takes.
    """

    def __init__(
        self,
        pipeline: StylizePipeline,
        regions: Sequence[StyledRegion],
        *,
        stability: float,
        rate: Fraction,
        size: tuple[int, int] | None = None,
        concat: bool = False,
        clock: Clock | None = None,
    ):
        self._pipeline, self._regions = pipeline, regions
        self._size, self._concat = size, concat
        self._lanes = pipeline.stylizer.lanes
        self.clock = clock or Clock()
        self._steady = Steady(_SECONDS * stability * float(rate))
        self._motions = MotionEstimator(stability > 0)
        # 0.99 at stability 0.5: much, because a mean of fewer frames is a mean of other strokes.
        share = min(1 - (1 - stability) ** 6.6, _MOST)
        self._follower = Follower(share) if stability > 0 else None
        self._present: list[bool] = []
        self._start = Fraction(0)

    def frame(self, frame: Frame) -> Frame:
        """The result of the next frame, all in this thread."""
        work = self._begin(self._look(_Work(0, self._fit(frame))))
        return self._finish(self._run(work)).frame

    def run(
        self,
        clip: Clip,
        part: Part,
        output: Output,
        on_frame: Callable[[int], None] = lambda count: None,
    ) -> int:
        """Stylise a clip, or the rest of it, into an output.

        Args:
            clip: The clip.
            part: Which frames of it.
            output: Where results go; what an earlier run has written there is kept.
            on_frame: Called with how many frames were finished.

        Returns:
            How many frames were written.
        """
        reached = output.reached()
        if reached.frames:
            self._restore(reached.state)
        seen = _named(reached.state, "motion")
        height, width = self._size or clip.facts.size
        self._pipeline.prepare(height, width)
        self._start = part.start
        self._segment = self._segment_for(height * width)
        stages: list[Ahead] = []

        def ahead(items: Iterator) -> Ahead:
            stages.append(Ahead(items))
            return stages[-1]

        def counted(items: Iterator[Finished]) -> Iterator[Finished]:
            for item in items:
                yield item
                on_frame(1)

        try:
            read = ahead(self._read(clip, part, reached.frames))
            looked = ahead(self._looked(read, reached.frames, seen))
            stylized = ahead(self._stylized(looked))
            finished = ahead(map(self._finish, stylized))
            return output.write(counted(finished))
        finally:
            for stage in reversed(stages):
                stage.close()

    # === Stages ===

    def _read(self, clip: Clip, part: Part, done: int) -> Iterator[_Work]:
        frames = part.of(clip)
        number = 0
        while True:
            with self.clock("decoding"):
                frame = next(frames, None)
                if frame is None:
                    return
                # The last one that is finished is looked at again, for the motion from it.
                if number >= done - 1:
                    frame = self._fit(frame)
            if number >= done - 1:
                yield _Work(number, frame)
            number += 1

    def _looked(
        self, items: Iterator[_Work], done: int, seen: dict[str, np.ndarray]
    ) -> Iterator[_Work]:
        for work in items:
            found = self._look(work)
            if work.number < done:
                self._motions.restore(seen)
                continue
            if self._ends_segment(work.number):
                # Later frames are looked at before this one is finished.
                found.state = _prefixed("motion", self._motions.state())
            yield found

    def _look(self, work: _Work) -> _Work:
        with self.clock("motion"):
            work.motion = self._motions.next(self._cropped(work.frame.colors))
        return work

    def _stylized(self, items: Iterator[_Work]) -> Iterator[_Work]:
        """All of them in order, as many at the same time as the networks take."""
        waiting: deque[Future[_Work]] = deque()
        pool = ThreadPoolExecutor(self._lanes)
        try:
            for work in items:
                waiting.append(pool.submit(self._run, self._begin(work)))
                ends = self._ends_segment(work.number)
                # One more, so that no lane waits.
                while waiting and (ends or len(waiting) > self._lanes):
                    done = waiting.popleft().result()
                    if ends and not waiting:
                        done.state = (done.state or {}) | self._state()
                    yield done
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _begin(self, work: _Work) -> _Work:
        """What must happen frame after frame."""
        # Styles and masks belong to the clip's own time.
        work.regions, present = self._regions_at(self._start + work.frame.time)
        # What is smoothed belongs to certain regions.
        cut = work.motion.cut or present != self._present
        self._present = present
        work.shared = self._steady.next_frame(cut=cut)
        return work

    def _run(self, work: _Work) -> _Work:
        # Later frames wait until this one is closed, whatever becomes of it.
        with work.shared:
            return self._stylize(work)

    def _stylize(self, work: _Work) -> _Work:
        with self.clock("network", 1 / self._lanes):
            frame = work.frame
            planes = Planes(frame.colors, frame.alpha)
            if work.regions:
                work.result = self._pipeline.run_planes(planes, work.regions, steady=work.shared)
            else:
                alpha = None if frame.alpha is None else self._cropped(frame.alpha)
                work.result = Planes(self._cropped(frame.colors), alpha)
        return work

    def _state(self) -> dict[str, np.ndarray]:
        state = _prefixed("steady", self._steady.state())
        return state | {"present": np.array(self._present, bool)}

    def _finish(self, work: _Work) -> Finished:
        colors, alpha = work.result
        if self._follower is not None:
            with self.clock("following"):
                colors = self._follower.next(colors, work.motion)
            if work.state is not None:
                work.state |= _prefixed("follower", self._follower.state())
        if self._concat:
            before = work.frame._replace(
                colors=self._cropped(work.frame.colors),
                alpha=None if alpha is None else self._cropped(work.frame.alpha),
            )
            colors = np.hstack([before.colors, colors])
            alpha = None if alpha is None else np.hstack([before.alpha, alpha])
        return Finished(work.frame._replace(colors=colors, alpha=alpha), work.state)

    # === Means ===

    def _fit(self, frame: Frame) -> Frame:
        if self._size is None or frame.colors.shape[:2] == self._size:
            return frame
        alpha = None if frame.alpha is None else imaging.resize_image(frame.alpha, self._size)
        return frame._replace(colors=imaging.resize_image(frame.colors, self._size), alpha=alpha)

    def _cropped(self, picture: np.ndarray) -> np.ndarray:
        crop = self._pipeline.options.crop_size
        if not crop:
            return picture
        return imaging.center_crop(picture, tuple(min(side, crop) for side in picture.shape[:2]))

    def _regions_at(self, time: Fraction) -> tuple[list[Region], list[bool]]:
        """The regions that there are at a time, and which of all these are."""
        found, present = [], []
        for region in self._regions:
            mask = None if region.mask_at is None else region.mask_at(time)
            present.append(region.mask_at is None or mask is not None)
            if present[-1]:
                found.append(Region(mask, region.style_at(time), region.alpha))
        return found, present

    def _segment_for(self, pixels: int) -> int:
        """Frames of one segment; from the settings alone, so that files are always the same."""
        options = self._pipeline.options
        work = options.passes + _REFINING * options.refine
        if not self._pipeline.stylizer.small:
            work *= _LARGE
        return min(max(round(SEGMENT / (pixels * work)), _LEAST_FRAMES), _MOST_FRAMES)

    def _ends_segment(self, number: int) -> bool:
        return (number + 1) % getattr(self, "_segment", 1) == 0

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        self._steady.restore(_named(state, "steady"))
        self._present = [bool(each) for each in state["present"]]
        if self._follower is not None:
            self._follower.restore(_named(state, "follower"))


def _prefixed(part: str, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{part}/{name}": value for name, value in state.items()}


def _named(state: dict[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    """What `_prefixed` was given."""
    start = f"{part}/"
    return {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
