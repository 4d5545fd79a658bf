"""Live stylising: the newest frame is shown, older ones are dropped; keys change how."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adain.files import replacing
from adain.imaging import io as imaging
from adain.stylize.pipeline import StylizePipeline
from adain.video.checkpoint import Checkpoint
from adain.video.clip import Clip, Frame, VideoError
from adain.video.encoder import Encoding, on_black
from adain.video.outputs import Finished, VideoOutput
from adain.video.render import Renderer, StyledRegion
from adain.video.stages import Clock

KEYS = """\
n, p: next and previous style; 1 to 9 choose one
+, -: stronger and weaker
], [: more and less of the style's palette
c: clip and result side by side
s: snapshot
r: begin and end a recording
space: hold
h: show these keys
q, Esc: quit"""

_STEP = 0.1
_MOST_ALPHA = 2.0
_TICKS = Fraction(1, 1000)


class NamedStyle(NamedTuple):
    """A style to choose."""

    name: str
    style: Any
    """What a pipeline takes."""


# === Sources ===


class Newest:
    """The newest frame of a source that does not wait; a thread takes the others and drops them.

    Args:
        frames: The source; each item is there when it is asked for, or later.
    """

    def __init__(self, frames: Iterator[np.ndarray]):
        self._frames = frames
        self._ready = threading.Condition()
        self._frame: np.ndarray | None = None
        self._ended = False
        self._error: BaseException | None = None
        self.dropped = 0
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for frame in self._frames:
                with self._ready:
                    self.dropped += self._frame is not None
                    self._frame = frame
                    self._ready.notify()
                if self._stop:
                    break
        except BaseException as error:
            self._error = error
        finally:
            with self._ready:
                self._ended = True
                self._ready.notify()
            close = getattr(self._frames, "close", None)
            if close is not None:
                close()

    def take(self) -> np.ndarray | None:
        """The newest frame that was not taken yet, once there is one; None: the source ended.

        Raises:
            Exception: What the source raised.
        """
        with self._ready:
            self._ready.wait_for(lambda: self._frame is not None or self._ended)
            frame, self._frame = self._frame, None
        if frame is None and self._error is not None:
            raise self._error
        return frame

    def close(self) -> None:
        self._stop = True
        self._thread.join(timeout=2)


def camera_frames(number: int) -> Iterator[np.ndarray]:
    """The frames of a camera, HWC uint8, mirrored as people expect to see themselves.

    Raises:
        VideoError: If there is no such camera, or it stops.
    """
    import cv2

    # What it says otherwise of a missing camera are ten lines about its parts.
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    camera = cv2.VideoCapture(number)
    cv2.utils.logging.setLogLevel(level)
    try:
        if not camera.isOpened():
            raise VideoError(f"camera {number}: cannot be opened. Is it connected, and not in use?")
        while True:
            good, frame = camera.read()
            if not good:
                raise VideoError(f"camera {number}: gives no more frames.")
            yield np.ascontiguousarray(frame[:, ::-1, ::-1])
    finally:
        camera.release()


def timed_frames(clip: Clip, clock: Callable[[], float] = time.monotonic) -> Iterator[np.ndarray]:
    """The frames of a clip at their times, as a camera would give them."""
    begin = clock()
    for frame in clip.frames():
        wait = float(frame.time) - (clock() - begin)
        if wait > 0:
            time.sleep(wait)
        yield frame.colors if frame.alpha is None else on_black(frame.colors, frame.alpha)


# === Session ===


class LiveSession:
    """What is shown, and what keys change; it has no window of its own.

    Args:
        pipeline: For frames that are resized already.
        styles: One or more to choose from.
        alpha: Strength at first.
        size: Shorter side that frames are resized to, pixels; 0: their own.
        stability: How much frames follow the ones before.
        folder: Where snapshots and recordings go.
        tell: Called with notices.
    """

    def __init__(
        self,
        pipeline: StylizePipeline,
        styles: Sequence[NamedStyle],
        *,
        alpha: float = 1.0,
        size: int = 0,
        stability: float = 0.5,
        folder: Path,
        tell: Callable[[str], None] = lambda text: None,
    ):
        self._pipeline, self._styles = pipeline, list(styles)
        self._alpha, self._size, self._stability = alpha, size, stability
        self._folder, self._tell = folder, tell
        self._palette = pipeline.options.palette
        if self._palette is None:
            self._palette = pipeline.stylizer.palette
        self._place = 0
        self._concat = self._hold = False
        self._helps = False
        self._recorder: Recorder | None = None
        self._times: deque[float] = deque(maxlen=20)
        self._last: np.ndarray | None = None
        self._told = ("", 0.0)
        self.running = True
        self._renew()

    # === Frames ===

    def frame(self, colors: np.ndarray) -> np.ndarray:
        """What is shown of a frame, HWC uint8; recorded, if that is on."""
        if self._hold and self._last is not None:
            return self._last
        colors = self._fit(colors)
        self._pipeline.prepare(*colors.shape[:2])
        found = self._renderer.frame(Frame(colors, None, Fraction(0), Fraction(1, 25))).colors
        self._last = np.hstack([colors, found]) if self._concat else found
        self._times.append(time.monotonic())
        if self._recorder is not None:
            self._recorder.add(self._last)
        return self._last

    @property
    def rate(self) -> float:
        """Frames a second that were shown lately."""
        gone = self._times[-1] - self._times[0] if len(self._times) > 1 else 0.0
        return (len(self._times) - 1) / gone if gone else 0.0

    @property
    def lines(self) -> list[str]:
        """What is written over the picture."""
        style = self._styles[self._place].name
        state = f"{style}  alpha {self._alpha:.1f}  palette {self._palette:.2f}  {self.rate:.0f}/s"
        text, until = self._told
        lines = [state + ("  REC" if self._recorder is not None else "")]
        if text and time.monotonic() < until:
            lines.append(text)
        return lines + (KEYS.splitlines() if self._helps else [])

    def _fit(self, colors: np.ndarray) -> np.ndarray:
        shorter = min(colors.shape[:2])
        if not self._size or shorter == self._size:
            return colors
        # Even, for the encoder.
        scale = self._size / shorter
        size = tuple(max(2, 2 * round(side * scale / 2)) for side in colors.shape[:2])
        most = self._pipeline.options.max_pixels
        if math.prod(size) > most:
            raise VideoError(
                f"--content-size {self._size}: frames of {size[0]} x {size[1]} have more than "
                f"{most} pixels. Use a smaller one."
            )
        return imaging.resize_image(colors, size)

    def _renew(self) -> None:
        """Begin again with what is chosen now."""
        style, alpha = self._styles[self._place].style, self._alpha
        self._renderer = Renderer(
            self._pipeline,
            [StyledRegion(lambda time: style, alpha)],
            stability=self._stability,
            rate=Fraction(25),
        )

    # === Keys ===

    def key(self, key: str) -> None:
        """Do what a key stands for; others do nothing."""
        if key in ("q", "\x1b"):
            self.running = False
        elif key in ("n", "p"):
            self._choose((self._place + (1 if key == "n" else -1)) % len(self._styles))
        elif key.isdigit() and 0 < int(key) <= len(self._styles):
            self._choose(int(key) - 1)
        elif key in ("+", "=", "-"):
            change = -_STEP if key == "-" else _STEP
            self._alpha = min(max(round(self._alpha + change, 2), 0.0), _MOST_ALPHA)
            self._renew()
        elif key in ("[", "]"):
            change = -_STEP if key == "[" else _STEP
            self._palette = min(max(round(self._palette + change, 2), 0.0), 1.0)
            options = replace(self._pipeline.options, palette=self._palette)
            self._pipeline = StylizePipeline(options, stylizer=self._pipeline.stylizer)
            self._renew()
        elif key == "c":
            self._stop_recording()
            self._concat = not self._concat
        elif key == " ":
            self._hold = not self._hold
            self._times.clear()
        elif key == "h":
            self._helps = not self._helps
        elif key == "s" and self._last is not None:
            path = self._new_path(".png")
            with replacing(path, make_folder=True) as file:
                imaging.save_image(file, self._last, format="PNG")
            self._say(f"{path}: written")
        elif key == "r":
            if self._recorder is not None:
                self._stop_recording()
            elif self._last is not None:
                self._recorder = Recorder(self._new_path(".mp4"), self._last.shape[:2])
                self._say(f"{self._recorder.path}: recording")

    def close(self) -> None:
        """End a recording that is still on."""
        self._stop_recording()

    def _choose(self, place: int) -> None:
        self._place = place
        self._renew()

    def _stop_recording(self) -> None:
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            count = recorder.close()
            self._say(f"{recorder.path}: {count} frames written")

    def _say(self, text: str) -> None:
        self._told = text, time.monotonic() + 3
        self._tell(text)

    def _new_path(self, suffix: str) -> Path:
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        name, number = f"live-{stamp}", 1
        while (path := self._folder / f"{name}{suffix}").exists():
            number += 1
            name = f"live-{stamp}-{number}"
        return path


class Recorder:
    """Frames as they are shown, in a file of variable rate; a thread encodes.

    Args:
        path: The file, .mp4.
        size: `(height, width)` of the frames.
    """

    def __init__(self, path: Path, size: tuple[int, int]):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._checkpoint = Checkpoint(path, "live")
        encoding = Encoding("h264", size, Fraction(25), _TICKS)
        self._output = VideoOutput(
            path, encoding, None, self._checkpoint, lambda path, file: None, Clock()
        )
        self._frames: deque[Frame | None] = deque()
        self._ready = threading.Condition()
        self._begin = time.monotonic()
        self._count = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def add(self, colors: np.ndarray) -> None:
        """Record a frame that is shown now."""
        now = Fraction(round(1000 * (time.monotonic() - self._begin)), 1000)
        self._push(Frame(colors, None, now, Fraction(1, 25)))

    def _push(self, frame: Frame | None) -> None:
        with self._ready:
            self._frames.append(frame)
            self._ready.notify()

    def _run(self) -> None:
        try:
            self._count = self._output.write(self._finished())
        except BaseException as error:
            self._error = error

    def _finished(self) -> Iterator[Finished]:
        last = Fraction(-1)
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._frames)
                frame = self._frames.popleft()
            if frame is None:
                return
            last = max(frame.time, last + _TICKS)
            yield Finished(frame._replace(time=last))

    def close(self) -> int:
        """End it; returns how many frames were written.

        Raises:
            Exception: What kept it from being written.
        """
        self._push(None)
        self._thread.join()
        self._checkpoint.close(finished=self._error is None)
        if self._error is not None and not isinstance(self._error, VideoError):
            raise self._error
        return self._count
