"""`adain live`: what is shown and what keys do, without a window; and with one, where there is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")

from adain import cli  # noqa: E402
from adain.extras import MissingExtra  # noqa: E402
from adain.imaging import io as imaging  # noqa: E402
from adain.options import UsageError  # noqa: E402
from adain.stylize.pipeline import StylizePipeline  # noqa: E402
from adain.video import live_command  # noqa: E402
from adain.video.clip import VideoError  # noqa: E402
from adain.video.live import LiveSession, NamedStyle, Newest, camera_frames, timed_frames  # noqa: E402
from adain.video.live_config import LiveConfig  # noqa: E402
from adain.video.reader import VideoClip  # noqa: E402


@pytest.fixture
def pipeline(tiny_preset, tiny_model):
    return StylizePipeline(checkpoint=str(tiny_preset), stylizer=tiny_model)


@pytest.fixture
def session(pipeline, picture, tmp_path):
    styles = [NamedStyle(name, picture(32, 32, seed=n)) for n, name in enumerate("abc")]
    return LiveSession(pipeline, styles, stability=0.0, folder=tmp_path / "out")


def test_keys_change_what_is_shown(session, pipeline, picture):
    photo = picture(48, 64, seed=9)

    def shown(style=0, alpha=1.0, palette=None):
        options = {} if palette is None else {"palette": palette}
        other = StylizePipeline(pipeline.options, stylizer=pipeline.stylizer, **options)
        return other.run(photo, picture(32, 32, seed=style), alpha=alpha)

    np.testing.assert_array_equal(session.frame(photo), shown())
    for key, expected in (
        ("n", shown(1)), ("n", shown(2)), ("n", shown(0)), ("p", shown(2)), ("2", shown(1)),
        ("9", shown(1)), ("-", shown(1, 0.9)), ("x", shown(1, 0.9)), ("+", shown(1)),
    ):  # fmt: skip
        session.key(key)
        np.testing.assert_array_equal(session.frame(photo), expected, err_msg=key)
    before = float(session.lines[0].split("palette ")[1].split()[0])
    session.key("]" if before < 0.5 else "[")
    after = before + (0.1 if before < 0.5 else -0.1)
    np.testing.assert_array_equal(session.frame(photo), shown(1, palette=round(after, 2)))
    session.key("c")
    np.testing.assert_array_equal(session.frame(photo)[:, :64], photo)
    session.key(" ")
    held = session.frame(photo)
    np.testing.assert_array_equal(session.frame(255 - photo), held)
    session.key("h")
    assert any("next and previous style" in line for line in session.lines)
    for key in ("q", "\x1b"):
        session.running = True
        session.key(key)
        assert not session.running


def test_strength_stays_in_its_range(session):
    for _ in range(30):
        session.key("-")
    assert "alpha 0.0" in session.lines[0]
    for _ in range(40):
        session.key("+")
    assert "alpha 2.0" in session.lines[0]


def test_sizes_are_even(pipeline, picture, tmp_path):
    styles = [NamedStyle("a", picture(32, 32))]
    session = LiveSession(pipeline, styles, size=40, stability=0.5, folder=tmp_path)
    assert session.frame(picture(91, 123)).shape == (40, 54, 3)


def test_frames_have_no_more_pixels_than_pictures(pipeline, picture, tmp_path):
    styles = [NamedStyle("a", picture(32, 32))]
    session = LiveSession(pipeline, styles, size=10**7, stability=0.5, folder=tmp_path)
    with pytest.raises(VideoError, match="--content-size 10000000: frames of .* more than"):
        session.frame(picture(91, 123))


def test_snapshots_and_recordings(session, picture):
    session.key("s")  # Nothing was shown yet.
    shown = session.frame(picture(48, 64))
    session.key("s")
    session.key("s")
    folder = session._folder
    pictures = sorted(folder.glob("*.png"))
    assert len(pictures) == 2
    np.testing.assert_array_equal(imaging.load_image(pictures[0]), shown)
    session.key("r")
    assert "REC" in session.lines[0]
    for number in range(5):
        session.frame(picture(48, 64, seed=number))
        time.sleep(0.02)
    session.key("r")
    assert "REC" not in session.lines[0]
    (clip,) = folder.glob("*.mp4")
    frames = list(VideoClip(clip, max_pixels=10**6).frames())
    assert len(frames) == 5 and frames[4].time >= Fraction(6, 100)
    session.key("r")
    session.frame(picture(48, 64))
    session.close()
    assert len(list(folder.glob("*.mp4"))) == 2
    assert not list(folder.glob(".*.adain-video"))


def test_late_frames_are_dropped():
    def source():
        for number in range(40):
            yield np.full((2, 2, 3), number, "uint8")
            time.sleep(0.01)

    newest = Newest(source())
    seen = []
    while (frame := newest.take()) is not None:
        seen.append(int(frame[0, 0, 0]))
        time.sleep(0.05)
    newest.close()
    assert seen == sorted(seen) and seen[-1] == 39
    assert len(seen) + newest.dropped == 40 and newest.dropped > 10


def test_errors_of_a_source_come_out():
    def source():
        yield np.zeros((2, 2, 3), "uint8")
        raise VideoError("camera 0: gives no more frames.")

    newest = Newest(source())
    assert newest.take() is not None
    with pytest.raises(VideoError, match="no more frames"):
        newest.take()


def test_a_clip_plays_at_its_times(make_clip, tmp_path):
    clip = VideoClip(make_clip(tmp_path / "clip.mp4", 6, rate="25"), max_pixels=10**6)
    begin = time.monotonic()
    assert len(list(timed_frames(clip))) == 6
    assert time.monotonic() - begin >= 0.2


def test_a_missing_camera():
    with pytest.raises(VideoError, match="camera 97: cannot be opened"):
        next(camera_frames(97))


def test_what_is_missing_is_said(monkeypatch, capsys):
    import cv2

    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:    NONE\n")
    assert cli.main(["live"]) == 2
    assert "pip install opencv-python" in capsys.readouterr().err
    with pytest.raises(MissingExtra):
        live_command.check_window()
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:    QT5\n")
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="no display"):
        live_command.check_window()
    monkeypatch.setenv("DISPLAY", ":0")
    live_command.check_window()


def test_styles_to_choose_from(gallery):
    found = live_command.find_styles(LiveConfig())
    assert len(found) > 10 and all(each.name for each in found)
    found = live_command.find_styles(LiveConfig(style_path=(str(gallery[1]), "mosaic")))
    assert [each.name for each in found] == ["x", "y", "mosaic"]
    with pytest.raises(UsageError, match="no such file"):
        live_command.find_styles(LiveConfig(style_path="none.png"))


def test_the_loop(monkeypatch, make_clip, tmp_path, capsys, gallery):
    """The command with a window that only remembers what it was shown."""
    import cv2

    shown: list[np.ndarray] = []
    keys = iter("n?s?q")
    for name in ("namedWindow", "resizeWindow", "destroyAllWindows"):
        monkeypatch.setattr(cv2, name, lambda *parts: None)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *parts: 1.0)
    monkeypatch.setattr(cv2, "imshow", lambda title, picture: shown.append(picture))
    monkeypatch.setattr(live_command, "check_window", lambda: None)

    def wait(milliseconds):
        time.sleep(milliseconds / 1000)
        return ord(next(keys, "q")) if shown else -1

    monkeypatch.setattr(cv2, "waitKey", wait)
    clip = make_clip(tmp_path / "clip.mp4", 60)
    words = ["live", str(clip), "--style", str(gallery[1]), "--content-size", "48"]
    assert cli.main([*words, "-o", str(tmp_path / "out")]) == 0
    assert shown and shown[0].shape == (48, 64, 3)
    assert len(list((tmp_path / "out").glob("*.png"))) == 1
    assert "frames shown" in capsys.readouterr().err


def test_the_window_has_the_shape_of_what_it_shows(monkeypatch, make_clip, tmp_path, gallery):
    """Side by side would be squeezed into the window of the result alone."""
    import cv2

    sizes, keys, left = [], [], list("ccq")
    for name in ("namedWindow", "destroyAllWindows"):
        monkeypatch.setattr(cv2, name, lambda *parts: None)
    monkeypatch.setattr(cv2, "resizeWindow", lambda title, *size: sizes.append(size))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *parts: 1.0)
    monkeypatch.setattr(live_command, "check_window", lambda: None)

    def show(title, picture):
        shown = picture.shape[1], picture.shape[0]
        assert shown == sizes[-1]
        # Each key once what the one before does is seen.
        if len(left) + len(sizes) > 3:
            keys.append(left.pop(0))

    def wait(milliseconds):
        time.sleep(milliseconds / 1000)
        return ord(keys.pop()) if keys else -1

    monkeypatch.setattr(cv2, "imshow", show)
    monkeypatch.setattr(cv2, "waitKey", wait)
    clip = make_clip(tmp_path / "clip.mp4", 100)
    words = ["live", str(clip), "--style", str(gallery[1]), "--content-size", "48", "--quiet"]
    assert cli.main(words) == 0
    assert sizes == [(64, 48), (128, 48), (64, 48)]


def test_text_lies_on_its_outline():
    """Whatever the font of the installed OpenCV."""
    import cv2

    grey = live_command._with_text(np.full((60, 600, 3), 128, "uint8"), ["palette " * 8])[..., 0]
    near = cv2.dilate((grey < 70).astype("uint8"), np.ones((5, 5))) > 0
    assert (grey > 200).sum() > 500
    assert near[grey > 200].all()


@pytest.mark.parametrize(("frames", "told"), [(3, "the file is truncated"), (0, "no frame was")])
def test_what_could_not_be_shown_is_told(
    monkeypatch, tmp_path, capsys, gallery, picture, frames, told
):
    import cv2

    for name in ("namedWindow", "resizeWindow", "destroyAllWindows", "imshow"):
        monkeypatch.setattr(cv2, name, lambda *parts: None)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *parts: 1.0)
    monkeypatch.setattr(cv2, "waitKey", lambda milliseconds: time.sleep(0.005) or -1)
    monkeypatch.setattr(live_command, "check_window", lambda: None)
    clip = tmp_path / "cut.gif"
    shown = [(picture(32, 48, seed=number), imaging.ImageMeta(duration=40)) for number in range(4)]
    imaging.save_frames(clip, shown)
    if frames:
        clip.write_bytes(clip.read_bytes()[:-40])
    else:
        monkeypatch.setattr(LiveSession, "frame", lambda self, colors: time.sleep(1))
    words = ["live", str(clip), "--style", str(gallery[1]), "--content-size", "48"]
    assert cli.main([*words, "--quiet", "--duration", "9" if frames else "0.1"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and told in line


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("Xvfb"), reason="no virtual display")
def test_a_window(make_clip, tmp_path, root):
    """On a virtual display: colours of a painting are on the screen."""
    environment = dict(os.environ)
    # Where .ci/run has installed the OpenCV with windows.
    if folder := os.environ.get("OPENCV_WITH_WINDOWS"):
        environment["PYTHONPATH"] = os.pathsep.join([folder, environment["PYTHONPATH"]])
    else:
        try:
            live_command.check_window()
        except MissingExtra:
            pytest.skip("OpenCV without windows")
        except UsageError:
            pass
    clip = make_clip(tmp_path / "clip.mp4", 100)
    screen = tmp_path / "Xvfb_screen0"
    display = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "640x480x24", "-fbdir", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        environment["DISPLAY"] = f":{display.stdout.readline().strip()}"
        empty = count_colors(screen)
        words = [sys.executable, "-m", "adain", "live", str(clip), "--duration", "10"]
        process = subprocess.Popen(
            words, cwd=root, env=environment, stderr=subprocess.PIPE, text=True
        )
        shown = 0
        while process.poll() is None and shown < 1000:
            time.sleep(0.1)
            shown = max(shown, count_colors(screen))
        told = process.communicate(timeout=120)[1]
        assert process.returncode == 0 and "frames shown" in told, told
        assert empty < 10 and shown >= 1000
    finally:
        display.terminate()
        display.communicate()


def count_colors(screen: Path) -> int:
    """How many colours there are on a virtual display, from its file in the format of `xwd`."""
    data = screen.read_bytes()
    header = np.frombuffer(data, ">u4", 25)
    start = int(header[0] + 12 * header[19])
    return len(np.unique(np.frombuffer(data, "<u4", offset=start, count=640 * 480)))
