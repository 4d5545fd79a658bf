"""The command `adain live`: a window, and what it needs."""

from __future__ import annotations

import os
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

from adain.console import DONE, FAILED, complain, tell
from adain.extras import MissingExtra
from adain.options import UsageError
from adain.video.live_config import LiveConfig

_TITLE = "adain live"
_HEADLESS = (
    "adain live needs OpenCV with windows, and this one has none: "
    "pip uninstall -y opencv-python-headless && pip install opencv-python"
)


def live(config: LiveConfig) -> int:
    """Show a camera or a clip, stylised."""
    check_window()
    from adain.stylize.pipeline import StylizePipeline
    from adain.video.live import KEYS, LiveSession, Newest, camera_frames, timed_frames
    from adain.video.sources import ClipSource, open_clip

    pipeline = StylizePipeline(config.options())
    session = LiveSession(
        pipeline,
        find_styles(config),
        alpha=config.alpha,
        size=config.content_size,
        stability=config.stability,
        folder=Path(config.out_path),
        tell=tell,
    )
    if config.source.isdigit():
        frames = camera_frames(int(config.source))
        clip = None
    else:
        path = Path(config.source)
        clip = open_clip(
            ClipSource(path, path.stem), rate=Fraction(25), max_pixels=config.max_pixels
        )
        frames = timed_frames(clip)
        tell(*clip.notes)
    if not config.quiet:
        tell(*KEYS.splitlines())
    newest = Newest(frames)
    window = _Window(session, newest)
    try:
        window.run(config.duration)
    finally:
        newest.close()
        session.close()
        window.close()
    if not config.quiet:
        tell(f"{window.shown} frames shown, {session.rate:.1f} a second at the end, "
             f"{newest.dropped} dropped")  # fmt: skip
    # Of a clip that is cut off; notes are of what reading changes.
    problems = [*clip.problems] if clip is not None else []
    if not window.shown:
        problems = problems or [f"{config.source}: no frame was shown in the time that it had."]
    complain(*problems)
    return FAILED if problems else DONE


def check_window() -> None:
    """Whether OpenCV can open a window here.

    Raises:
        MissingExtra: If the one without windows is installed.
        UsageError: If there is no display.
    """
    import cv2

    lines = cv2.getBuildInformation().splitlines()
    interface = [line.split(":")[1].strip() for line in lines if line.strip().startswith("GUI:")]
    if interface in ([], ["NONE"]):
        raise MissingExtra(_HEADLESS)
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not shown:
        raise UsageError("adain live opens a window, and there is no display here (DISPLAY).")


def find_styles(config: LiveConfig) -> list:
    """The styles to choose from.

    Raises:
        UsageError: If there are none.
    """
    from adain.presets.preset import Preset
    from adain.sources import find_sources
    from adain.stylize.inputs import source_style
    from adain.video.live import NamedStyle

    library = Preset.load(config.checkpoint).styles
    names = config.style_path or tuple(library)
    sources, problems, _ = find_sources(names, cards=True, library=library)
    if problems or not sources:
        raise UsageError(problems[0] if problems else "--style: no styles to choose from")
    return [NamedStyle(each.flat, source_style(each, config.max_pixels)) for each in sources]


class _Window:
    """Shows results as they come; a thread stylises, this one has the keys."""

    def __init__(self, session, newest):
        self._session, self._newest = session, newest
        self._result = None
        self._ended = False
        self._error: BaseException | None = None
        self.shown = 0
        self._thread = threading.Thread(target=self._stylize, daemon=True)

    def _stylize(self) -> None:
        try:
            while self._session.running:
                frame = self._newest.take()
                if frame is None:
                    break
                self._result = self._session.frame(frame)
        except BaseException as error:
            self._error = error
        self._ended = True

    def run(self, duration: float) -> None:
        """Until q is hit, the window closed, the source at its end, or the time over."""
        import cv2

        how = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
        cv2.namedWindow(_TITLE, how)
        self._thread.start()
        begin, sized = time.monotonic(), (0, 0)
        while self._session.running:
            result, self._result = self._result, None
            if result is not None:
                if sized != result.shape[:2]:
                    # Also for side by side and back, whatever size it was dragged to.
                    cv2.resizeWindow(_TITLE, result.shape[1], result.shape[0])
                    sized = result.shape[:2]
                cv2.imshow(_TITLE, _with_text(result, self._session.lines)[..., ::-1])
                self.shown += 1
            elif self._ended:
                break
            key = cv2.waitKey(5)
            if key >= 0:
                self._session.key(chr(key & 0xFF))
            if self.shown and cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
                break
            if duration and time.monotonic() - begin > duration:
                break
        self._session.running = False
        self._thread.join(timeout=10)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        import cv2

        cv2.destroyAllWindows()


def _with_text(picture, lines):
    """A copy with lines of text in its corner, readable on any ground."""
    import cv2

    picture = picture.copy()
    font = cv2.FONT_HERSHEY_SIMPLEX, 0.45
    # Thicker letters are wider in OpenCV 5, and would not lie below these.
    outline = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)]
    for number, line in enumerate(lines):
        for (x, y), grey in (*((each, 0) for each in outline), ((0, 0), 255)):
            place = (8 + x, 20 + 18 * number + y)
            cv2.putText(picture, line, place, *font, (grey,) * 3, 1, cv2.LINE_AA)
    return picture
