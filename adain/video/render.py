"""One result: reading, motion, networks, following and writing, all at the same time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, pairwise
from typing import Any

import numpy as np

from adain.imaging import io as imaging
from adain.inference.regions import Region
from adain.inference.steady import Steady, SteadyFrame
from adain.stylize.inputs import Planes
from adain.stylize.pipeline import StylizePipeline
from adain.video.changes import PaintChanges, Painted
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
_MOST = 0.9995
"""Share of what was there before at stability 1; wrong colours of areas fade four times faster."""
_SOFT = (5, 13)
"""Pixels over which what is new begins, without masks and with: their regions differ more."""
_LEAVING_OUT = 0.9
"""Share of what was there before from which every other frame may be left out."""
_KNOWN = 0.95
"""Mean trust in a frame and the next one from which it may be left out."""
_SPOT, _LOST = 5, 0.35
"""Side of a square of a small frame, and the share of it that may be in neither of the frames
beside; less than that far from the border, motion is made up."""
_LEAST_PIXELS = 24 * 16 * 16
"""Pixels of frames in which the deepest features are too few for statistics of other frames."""


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
    present: list[bool] = field(default_factory=list)
    """Which of all regions these are."""
    restyled: bool = False
    """Whether a style is another one than in the frame before."""
    inside: np.ndarray | None = None
    """`(h, w)` float32 in [0, 1]: how much of each pixel is painted; None: all."""
    left_out: bool = False
    """Whether it is made of its neighbours, and not painted."""
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
        # 0.9993 at stability 0.5: much, because a mean of fewer frames is a mean of other strokes.
        share = min(1 - (1 - stability) ** 10.5, _MOST)
        masked = any(region.mask_at is not None for region in regions)
        self._follower = Follower(share, _SOFT[masked]) if stability > 0 else None
        self._leaves_out = share >= _LEAVING_OUT
        self._changes = PaintChanges()
        self._present: list[bool] = []
        self._later = 1
        self._start = Fraction(0)

    def frame(self, frame: Frame) -> Frame:
        """The result of the next frame, all in this thread."""
        work = self._plan(self._look(_Work(0, self._fit(frame))))
        return self._finish(self._run(self._begin(work))).frame

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
        self._start = part.start
        self._begin_clip(self._size or clip.facts.size)

        def counted(items: Iterator[Finished]) -> Iterator[Finished]:
            for item in items:
                yield item
                on_frame(1)

        with closing(self._rendered(part.of(clip), reached.frames, reached.state)) as finished:
            return output.write(counted(finished))

    def frames(self, frames: Iterator[Frame], size: tuple[int, int]) -> Iterator[Frame]:
        """The results of all frames, as `run` makes them, which leaves out some.

        Args:
            frames: In order.
            size: `(height, width)` of the first one.
        """
        self._begin_clip(self._size or size)
        for finished in self._rendered(frames, 0, {}):
            yield finished.frame

    # === Stages ===

    def _begin_clip(self, size: tuple[int, int]) -> None:
        self._pipeline.prepare(*size)
        self._segment = self._segment_for(math.prod(size))
        crop = self._pipeline.options.crop_size or max(size)
        if math.prod(min(side, crop) for side in size) < _LEAST_PIXELS:
            self._steady.window = 0

    def _rendered(
        self, frames: Iterator[Frame], done: int, state: dict[str, np.ndarray]
    ) -> Iterator[Finished]:
        """All stages at the same time; `done` frames are finished, `state` is that after them."""
        stages: list[Ahead] = []

        def ahead(items: Iterator) -> Ahead:
            stages.append(Ahead(items))
            return stages[-1]

        try:
            read = ahead(self._read(frames, done))
            looked = ahead(self._looked(read, done, state))
            stylized = ahead(self._stylized(looked))
            yield from ahead(self._finished(stylized))
        finally:
            for stage in reversed(stages):
                stage.close()

    def _read(self, frames: Iterator[Frame], done: int) -> Iterator[_Work]:
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
        self, items: Iterator[_Work], done: int, state: dict[str, np.ndarray]
    ) -> Iterator[_Work]:
        for work in items:
            found = self._look(work)
            if work.number < done:
                self._motions.restore(_named(state, "motion"))
                self._plan(found)
                self._changes.restore(_named(state, "changes"))
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
        left_out = False
        try:
            # Each with the one that follows; None after the last one.
            for work, after in pairwise(chain(map(self._plan, items), [None])):
                left_out = work.left_out = not left_out and self._is_known(work, after)
                if left_out:
                    self._later += 1
                    after.restyled |= work.restyled
                    waiting.append(Future())
                    waiting[-1].set_result(work)
                else:
                    waiting.append(pool.submit(self._run, self._begin(work)))
                ends = self._ends_segment(work.number)
                # One more, so that no lane waits.
                while waiting and (ends or len(waiting) > self._lanes * (1 + self._leaves_out)):
                    done = waiting.popleft().result()
                    if ends and not waiting:
                        done.state = (done.state or {}) | self._state()
                    yield done
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _plan(self, work: _Work) -> _Work:
        """What is to be painted in a frame, which goes on from the one before."""
        frame = work.frame
        # Styles and masks belong to the clip's own time.
        work.regions, work.present = self._regions_at(self._start + frame.time)
        if self._follower is None:
            return work
        size = frame.colors.shape[:2]
        masks = self._pipeline.masks(work.regions, *size) if work.regions else []
        found = zip((region.style for region in work.regions), masks, strict=True)
        nothing = Painted(None, np.zeros(self._cropped(frame.colors).shape[:2], "uint8"))
        painted = [Painted(*next(found)) if present else nothing for present in work.present]
        work.motion, work.restyled = self._changes.next(painted, work.motion)
        if work.state is not None:
            work.state |= _prefixed("changes", self._changes.state())
        covers = [region.mask for region in painted if region.mask is not None]
        if len(covers) == len(painted):
            work.inside = np.minimum(np.sum(covers, axis=0, dtype="float32") / 255, 1)
        return work

    def _is_known(self, work: _Work, after: _Work | None) -> bool:
        """Whether a frame can be made of the one before and the one after it."""
        import cv2

        if not self._leaves_out or after is None or self._ends_segment(work.number):
            return False
        if any(
            each.inside is not None
            or each.motion.trust is None
            or each.motion.trust.mean() < _KNOWN
            for each in (work, after)
        ):
            return False
        # However small: it may be what everybody looks at.
        lost = (1 - work.motion.trust) * (1 - after.motion.brought_back(after.motion.trust))
        return cv2.blur(lost, (_SPOT, _SPOT))[_SPOT:-_SPOT, _SPOT:-_SPOT].max() <= _LOST

    def _begin(self, work: _Work) -> _Work:
        """What must happen frame after frame that is painted."""
        # What is smoothed belongs to certain regions.
        cut = work.motion.cut or work.present != self._present
        self._present = work.present
        work.shared = self._steady.next_frame(cut=cut, restyled=work.restyled, later=self._later)
        self._later = 1
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

    def _finished(self, items: Iterator[_Work]) -> Iterator[Finished]:
        for work in items:
            if work.left_out:
                # A painted one, always.
                after = next(items)
                self._stand_in(work, after)
                yield self._finish(work)
                work = after
            yield self._finish(work)

    def _stand_in(self, work: _Work, after: _Work) -> None:
        """For what has come into view there is the next result, brought back."""
        with self.clock("following"):
            colors = after.motion.brought_back(after.result.colors)
        alpha = work.frame.alpha
        work.result = Planes(colors, None if alpha is None else self._cropped(alpha))

    def _finish(self, work: _Work) -> Finished:
        colors, alpha = work.result
        if self._follower is not None:
            with self.clock("following"):
                colors = self._follower.next(colors, work.motion, painted=not work.left_out)
                if work.inside is not None:
                    colors = _laid_over(work.result.colors, colors, work.inside)
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


def _laid_over(below: np.ndarray, above: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """A picture inside a mask, another one outside, its very pixels."""
    share = inside[..., None]
    return np.rint(share * above + (1 - share) * below).astype(below.dtype)


def _prefixed(part: str, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{part}/{name}": value for name, value in state.items()}


def _named(state: dict[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    """What `_prefixed` was given."""
    start = f"{part}/"
    return {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
