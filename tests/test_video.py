"""`adain video`: clips in, clips out; times, sizes, colours, sound, and what is broken."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av")

from adain import cli  # noqa: E402
from adain.imaging import io as imaging  # noqa: E402
from adain.options import UsageError  # noqa: E402
from adain.video.clip import Part  # noqa: E402
from adain.video.config import VideoConfig, parse_time  # noqa: E402
from adain.video.reader import VideoClip  # noqa: E402
from adain.video.sequences import AnimationClip  # noqa: E402


@pytest.fixture
def video(tiny_preset, gallery, exact):
    """`video(clip, ..., *flags)`: runs the command; returns its status."""
    words = ["--style", str(gallery[1] / "x.png"), "--checkpoint", str(tiny_preset), "--quiet"]
    return lambda *flags: cli.main(["video", *map(str, flags), *words])


class Read:
    """All that a test wants to know of a video file."""

    def __init__(self, path):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            frames = list(container.decode(stream))
            self.codec, self.format = context.name, context.pix_fmt
            self.size = (context.height, context.width)
            self.rate = stream.average_rate
            self.times = [frame.pts * stream.time_base for frame in frames]
            self.pictures = [frame.to_ndarray(format="rgb24") for frame in frames]
            self.last = frames[-1].duration * stream.time_base if frames else 0
            self.aspect = stream.sample_aspect_ratio
            self.metadata = dict(container.metadata)
            self.turn = frames[0].rotation
        self.tracks = []
        with av.open(str(path)) as container:
            for stream in container.streams:
                if stream.type in ("audio", "subtitle"):
                    packets = [
                        (p.pts * p.time_base, bytes(p)) for p in _packets(path, stream.index)
                    ]
                    name = stream.codec_context.name
                    language = stream.language or "und"
                    self.tracks.append((stream.type, name, language, packets))


def _packets(path, index):
    with av.open(str(path)) as container:
        yield from (p for p in container.demux(container.streams[index]) if p.size)


# === Times ===


@pytest.mark.parametrize("rate", ["30000/1001", "24000/1001", "25", "60"])
def test_rates_are_exact(video, make_clip, tmp_path, rate):
    clip = make_clip(tmp_path / "clip.mp4", rate=rate)
    assert video(clip, "-o", tmp_path / "out.mp4") == 0
    before, after = Read(clip), Read(tmp_path / "out.mp4")
    assert after.rate == before.rate == Fraction(rate)
    assert after.times == before.times == [n / Fraction(rate) for n in range(12)]
    assert (after.size, after.codec, after.format) == ((48, 64), "h264", "yuv420p")
    # It shows the clip, stylised.
    assert not np.array_equal(after.pictures[0], before.pictures[0])


TIMES = [0, 33, 50, 120, 133, 200, 210, 300, 333, 400, 402, 500]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_variable_rates_are_kept(video, make_clip, tmp_path, suffix):
    clip = make_clip(tmp_path / "clip.mp4", times=TIMES)
    assert video(clip, "-o", tmp_path / f"out.{suffix}") == 0
    assert [round(1000 * t) for t in Read(tmp_path / f"out.{suffix}").times] == TIMES


def test_a_late_picture_stays_late(video, make_clip, tmp_path):
    """Sound that begins before the picture stays in step with it."""
    times = [500 + 40 * n for n in range(12)]
    clip = make_clip(tmp_path / "clip.mp4", times=times, sound=("stereo",))
    assert video(clip, "-o", tmp_path / "out.mp4") == 0
    before, after = Read(clip), Read(tmp_path / "out.mp4")
    assert after.times == before.times
    assert after.tracks == before.tracks


def test_segments_join_exactly(video, make_clip, tmp_path, monkeypatch):
    monkeypatch.setattr("adain.video.render.SEGMENT", 0)  # Four frames, the least.
    times = np.cumsum(np.random.default_rng(0).integers(5, 90, 40)).tolist()
    clip = make_clip(tmp_path / "clip.mp4", 40, times=times)
    assert video(clip, "-o", tmp_path / "out.mp4", "--encoder-preset", "medium") == 0
    before, after = Read(clip), Read(tmp_path / "out.mp4")
    assert after.times == [each - before.times[0] for each in before.times]
    assert video(clip, "-o", tmp_path / "lossless.mkv", "--codec", "ffv1", "--stability", 0) == 0
    assert len(Read(tmp_path / "lossless.mkv").times) == 40


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--start", "0.1"], [33, 133, 200, 210, 300, 333, 400, 402, 500]),
        (["--end", "0.2s"], [0, 33, 50, 120, 133]),
        (["--start", "0.13", "--end", "0.35"], None),
        (["--every", "3"], [0, 120, 210, 400]),
        (["--preview"], [0]),
        (["--preview", "4"], [0, 33, 50, 120]),
        (["--start", "0.12", "--every", "2", "--preview", "2"], None),
    ],
)
def test_parts(video, make_clip, tmp_path, flags, expected):
    clip = make_clip(tmp_path / "clip.mkv", times=TIMES, sound=("stereo",))
    assert video(clip, "-o", tmp_path / "out.mp4", *flags) == 0
    found = [round(1000 * t) for t in Read(tmp_path / "out.mp4").times]
    whole = [*TIMES, 567]
    if flags == ["--start", "0.1"]:
        # The frame that is shown at 0.1 s is that of 0.05 s.
        expected = [0, 20, 33, 100, 110, 200, 233, 300, 302, 400]
    elif flags[:2] == ["--start", "0.13"]:
        expected = [0, 3, 70, 80, 170, 203]
    elif flags[:2] == ["--start", "0.12"]:
        expected = [0, 80]
    assert found == expected
    # Sound of that part alone, and in step.
    (track,) = Read(tmp_path / "out.mp4").tracks
    assert whole and 0 < len(track[3]) <= 21
    if "--end" in flags and "--start" not in flags:
        assert max(moment for moment, _ in track[3]) < 0.2


@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp4", "mov"])
@pytest.mark.parametrize("bframes", ["0", "2"])
def test_what_stands_still_at_the_start_is_shown(video, make_clip, tmp_path, suffix, bframes):
    """Of a recording of a screen, the picture that was there long before."""
    codec, options = {"webm": ("libvpx-vp9", {})}.get(suffix, ("libx264", {"bf": bframes}))
    times = [0, 33, 66, 100, 3000, 3033, 3066, 6000]
    clip = make_clip(tmp_path / f"clip.{suffix}", 8, times=times, codec=codec, options=options)
    out, part = tmp_path / "out.mkv", tmp_path / "part.mkv"
    assert video(clip, "-o", out, "--start", 1) == 0
    assert [round(1000 * time) for time in Read(out).times] == [0, 2000, 2033, 2066, 5000]
    assert video(clip, "-o", part, "--start", 1, "--end", 2) == 0
    assert Read(part).times == [0]
    frames = list(VideoClip(clip, max_pixels=10**6).frames())
    first = next(VideoClip(clip, max_pixels=10**6).frames(Fraction(1)))
    assert (first.time, first.duration) == (frames[3].time, frames[3].duration)
    np.testing.assert_array_equal(first.colors, frames[3].colors)


@pytest.mark.parametrize("start", ["0.2", "0.3", "0.234"])
@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.gif"])
def test_times_grow_from_the_start_on(video, make_clip, tmp_path, caplog, start, output):
    """A frame that ends within a millisecond of --start is over."""
    clip = make_clip(tmp_path / "clip.mp4", 14)
    assert video(clip, "-o", tmp_path / output, "--start", start) == 0
    assert "left out" not in caplog.text
    if output != "out.gif":
        gaps = np.diff(Read(tmp_path / output).times)
        assert min(gaps[1:]) > 0.03 and gaps[0] > 0.0009


@pytest.mark.parametrize("preset", ["ultrafast", "veryfast", "medium"])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize(
    "times",
    [[0, 40, 80, 120, 160, 200, 240, 280, 320, 2320], [0, 2000, 2040, 2080, 4000], [0, 3000]],
)
def test_the_length_of_results(video, make_clip, tmp_path, preset, suffix, times):
    """Also where frames stand still at the end, for whatever asks the container."""
    clip = make_clip(tmp_path / "clip.mkv", len(times), times=times, codec="ffv1",
                     pixel_format="bgr0")  # fmt: skip
    out = tmp_path / f"out.{suffix}"
    assert video(clip, "-o", out, "--encoder-preset", preset) == 0
    with av.open(str(out)) as container:
        length = container.duration / av.time_base
    end = float(list(VideoClip(clip, max_pixels=10**6).frames())[-1].duration) + times[-1] / 1000
    assert length == pytest.approx(end, abs=0.05)
    assert [round(1000 * time) for time in Read(out).times] == times


def test_times_that_no_clip_has():
    with pytest.raises(UsageError, match="--start must be at most"):
        VideoConfig(content_path="a.mp4", style_path="b", start="9" * 20)
    with pytest.raises(UsageError, match="`every` must be in"):
        VideoConfig(content_path="a.mp4", style_path="b", every=10**20)


def test_times_as_people_write_them():
    known = {"12.5": 12.5, "12.5s": 12.5, "2m": 120, "1:30": 90, "0:01:30.5": 90.5, "250ms": 0.25}
    for text, seconds in known.items():
        assert parse_time(text, "--start") == Fraction(seconds)
    for text in ("", "soon", "1:2:3:4", "-3", "1:30m"):
        with pytest.raises(UsageError, match="--start must be a time"):
            parse_time(text, "--start")


# === Sound ===


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_sound_and_subtitles_are_copied(video, make_clip, tmp_path, suffix):
    name = f"clip.{'mp4' if suffix == 'mov' else suffix}"
    clip = make_clip(tmp_path / name, sound=("stereo", "5.1"), subtitles=True)
    assert video(clip, "-o", tmp_path / f"out.{suffix}") == 0
    before, after = Read(clip), Read(tmp_path / f"out.{suffix}")
    assert len(after.tracks) == 3
    for old, new in zip(before.tracks, after.tracks, strict=True):
        assert new[:3] == old[:3]
        assert [data for _, data in new[3]] == [data for _, data in old[3]]
    if suffix != "mkv":  # Its times are whole milliseconds, and none is negative.
        assert [t for t, _ in after.tracks[1][3]] == [t for t, _ in before.tracks[1][3]]
    assert video(clip, "-o", tmp_path / f"mute.{suffix}", "--no-sound") == 0
    assert Read(tmp_path / f"mute.{suffix}").tracks == []


def test_sound_that_a_file_cannot_hold(video, make_clip, tmp_path, capsys):
    clip = make_clip(tmp_path / "clip.mkv", sound=("stereo",))
    assert video(clip, "-o", tmp_path / "out.webm") == 1
    assert "cannot hold its sound (aac)" in capsys.readouterr().err
    assert not (tmp_path / "out.webm").exists()
    assert video(clip, "-o", tmp_path / "out.webm", "--no-sound") == 0


def test_texts_are_kept(video, make_clip, tmp_path):
    def edit(out, stream):
        out.metadata["title"] = "Gare de Lyon"
        stream.metadata["language"] = "fra"

    clip = make_clip(tmp_path / "clip.mkv", edit=edit)
    assert video(clip, "-o", tmp_path / "out.mp4") == 0
    assert Read(tmp_path / "out.mp4").metadata["title"] == "Gare de Lyon"
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].language == "fra"


def test_cover_art_is_not_the_clip(video, make_clip, tmp_path):
    clip = make_clip(tmp_path / "plain.mp4", sound=("stereo",))
    with av.open(str(clip)) as source, av.open(str(tmp_path / "clip.mp4"), "w") as out:
        cover = out.add_stream("mjpeg")
        cover.height, cover.width, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        copies = {s.index: out.add_stream_from_template(s) for s in source.streams}
        picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 200, "uint8"), format="rgb24")
        out.mux([*cover.encode(picture), *cover.encode(None)])
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                out.mux(packet)
    assert video(tmp_path / "clip.mp4", "-o", tmp_path / "out.mp4") == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        kinds = [
            bool(s.disposition & av.stream.Disposition.attached_pic)
            for s in container.streams.video
        ]
        stream = container.streams.video[kinds.index(False)]
        assert (stream.codec_context.height, stream.frames) == (48, 12)
        assert sorted(kinds) == [False, True]


# === Pictures ===


def smooth(height, width, number):
    """Colours that no subsampling blurs."""
    ramp = np.linspace(30, 220, width).astype("uint8")
    return np.stack(
        [np.tile(ramp, (height, 1)), np.full((height, width), 90, "uint8"),
         np.tile(ramp[::-1], (height, 1))], axis=-1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("codec", "pixel_format", "tags"),
    [
        ("libx264", "yuv420p", {}),
        ("libx264", "yuv420p", {"colorspace": 1, "color_range": 1}),
        ("libx264", "yuv420p", {"colorspace": 5, "color_range": 2}),
        ("libx264", "yuv444p10le", {"colorspace": 1}),
        ("mjpeg", "yuvj420p", {"color_range": 2}),
        ("libx264rgb", "rgb24", {}),
        ("ffv1", "bgra", {}),
        ("ffv1", "gbrp10le", {}),
        ("libx265", "yuv420p10le", {"colorspace": 9}),
    ],
)
def test_colours(make_clip, tmp_path, codec, pixel_format, tags):
    """Whatever the format, matrix and range: the same colours are read."""
    clip = make_clip(
        tmp_path / "clip.mkv", 3, codec=codec, pixel_format=pixel_format, picture=smooth, tags=tags,
        options={"qp": "1"} if codec.startswith("libx264") else {"x265-params": "log-level=0:crf=1"}
        if codec == "libx265" else {"qscale": "1"},
    )  # fmt: skip
    found = next(VideoClip(clip, max_pixels=10**6).frames()).colors
    assert np.abs(found.astype(int) - smooth(48, 64, 0)).mean() < 4


@pytest.mark.parametrize("matrix", [1, 5])
def test_the_matrix_of_results(video, make_clip, tmp_path, matrix, monkeypatch):
    """What is written is read the same, by the tags that it carries."""
    clip = make_clip(tmp_path / "clip.mkv", 3, picture=smooth, tags={"colorspace": matrix})
    flags = ["--crf", 1, "--pixel-format", "yuv444p", "--alpha", 0, "--stability", 0]
    assert video(clip, "-o", tmp_path / "out.mp4", *flags) == 0
    assert video(clip, "-o", tmp_path / "out_%03d.png", *flags[4:]) == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.colorspace == matrix
    coded = next(VideoClip(tmp_path / "out.mp4", max_pixels=10**6).frames()).colors
    plain = imaging.load_image(tmp_path / "out_001.png")
    assert np.abs(coded.astype(int) - plain).mean() < 2


@pytest.mark.parametrize("codec", ["mjpeg", "ffv1", "libx264rgb", "rawvideo"])
def test_the_range_of_results(video, make_clip, tmp_path, codec):
    """Encoders that take the full range of samples alone get it, and tell."""
    clip = make_clip(tmp_path / "clip.mkv", 3, picture=smooth)
    flags = ["--codec", codec, "--alpha", 0, "--stability", 0]
    assert video(clip, "-o", tmp_path / "out.mkv", *flags) == 0
    assert video(clip, "-o", tmp_path / "out_%03d.png", "--alpha", 0, "--stability", 0) == 0
    coded = next(VideoClip(tmp_path / "out.mkv", max_pixels=10**6).frames()).colors
    plain = imaging.load_image(tmp_path / "out_001.png")
    assert np.abs(coded.astype(int) - plain).mean() < 3


def test_grey(video, make_clip, tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 3, codec="ffv1", pixel_format="gray")
    assert video(clip, "-o", tmp_path / "out.mp4") == 0
    assert Read(tmp_path / "out.mp4").size == (48, 64)


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1", "mpeg4", "ffv1", "prores", "png"])
@pytest.mark.parametrize("size", [(47, 63), (34, 35)])
def test_odd_sizes(video, make_clip, tmp_path, codec, size):
    if codec in ("hevc", "av1", "vp9") and size == (34, 35):
        size = (65, 66)  # Some encoders have a least size.
    clip = make_clip(tmp_path / "clip.mkv", 3, size=size, pixel_format="yuv444p")
    suffix = {"prores": "mov", "png": "mov"}.get(codec, "mkv")
    assert video(clip, "-o", tmp_path / f"out.{suffix}", "--codec", codec) == 0
    found = Read(tmp_path / f"out.{suffix}")
    assert (found.size, len(found.times)) == (size, 3)


def test_content_size_and_concat(video, make_clip, tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 3, size=(90, 161), pixel_format="yuv444p")
    assert video(clip, "-o", tmp_path / "out.mp4", "--content-size", 46) == 0
    found = Read(tmp_path / "out.mp4")
    # Even, which most players ask for.
    assert (found.size, found.format) == ((46, 82), "yuv420p")
    flags = ["--content-size", 46, "--concat", "--crf", 5]
    assert video(clip, "-o", tmp_path / "both.mp4", *flags) == 0
    both = Read(tmp_path / "both.mp4")
    assert both.size[1] == 2 * found.size[1]
    left = both.pictures[0][:, : both.size[1] // 2]
    shown = imaging.resize_image(Read(clip).pictures[0], left.shape[:2])
    assert np.abs(left.astype(int) - shown).mean() < 6
    assert video(clip, "-o", tmp_path / "cut.mp4", "--crop-size", 48, "--concat") == 0
    assert Read(tmp_path / "cut.mp4").size == (48, 96)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize(
    ("degrees", "mirrored"),
    [(0, False), (90, False), (-90, False), (180, False), (0, True), (90, True)],
)
def test_turned_clips_are_upright(make_clip, tmp_path, degrees, mirrored, codec):
    """As players turn them; phones film like this."""
    clip = make_clip(tmp_path / "clip.mp4", 3, size=(48, 64), codec=codec)
    with av.open(str(clip)) as source, av.open(str(tmp_path / "turned.mp4"), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0])
        copy.set_display_rotation(
            degrees, hflip=mirrored
        ) if mirrored else copy.set_display_rotation(degrees)
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    plain = next(VideoClip(clip, max_pixels=10**6).frames()).colors
    turned = VideoClip(tmp_path / "turned.mp4", max_pixels=10**6)
    expected = np.rot90(plain, degrees // 90)
    expected = expected[:, ::-1] if mirrored else expected
    assert turned.facts.size == expected.shape[:2]
    np.testing.assert_array_equal(next(turned.frames()).colors, expected)


def test_turned_results_are_not_turned_again(video, make_clip, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", 3)
    with av.open(str(clip)) as source, av.open(str(tmp_path / "turned.mp4"), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0])
        copy.set_display_rotation(-90)
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    assert video(tmp_path / "turned.mp4", "-o", tmp_path / "out.mp4") == 0
    found = Read(tmp_path / "out.mp4")
    assert (found.size, found.turn) == ((64, 48), 0)


def test_wide_pixels_stay_wide(video, make_clip, tmp_path):
    def edit(out, stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    clip = make_clip(tmp_path / "clip.mkv", 3, edit=edit)
    assert video(clip, "-o", tmp_path / "out.mp4") == 0
    assert Read(tmp_path / "out.mp4").aspect == Fraction(4, 3)


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_becomes_standard_range(video, make_clip, tmp_path, capsys, transfer):
    clip = make_clip(
        tmp_path / "clip.mp4", 3, codec="libx265", pixel_format="yuv420p10le", size=(64, 96),
        options={"x265-params": "log-level=0"},
        tags={"colorspace": 9, "color_primaries": 9, "color_trc": transfer},
    )  # fmt: skip
    assert video(clip, "-o", tmp_path / "out.mp4") == 0
    name = {16: "PQ", 18: "HLG"}[transfer]
    assert f"HDR ({name}) is tone-mapped" in capsys.readouterr().err
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)


def test_tone_mapping():
    """Black, reference white and grey end where BT.2408 and sRGB have them; highlights roll off."""
    from adain.video.color import tone_map

    def coded(nits):
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = (nits / 10000) ** m1
        return round(65535 * ((c1 + c2 * power) / (1 + c3 * power)) ** m2)

    levels = np.array([0, 1, 20, 50, 100, 203, 500, 1000])
    picture = np.repeat([[coded(n) for n in levels]], 2, axis=0)[..., None].repeat(3, -1)
    found = tone_map(picture.astype("uint16"), "PQ")[0]
    # Grey stays grey.
    assert np.ptp(found.astype(int), axis=-1).max() <= 1
    row = found[:, 0].astype(int)
    assert row[0] == 0 and row[-1] == 255 and (np.diff(row) > 0).all()
    # Dark tones are not touched by the curve.
    exact = 255 * (1.055 * (20 / 203) ** (1 / 2.4) - 0.055)
    assert abs(row[2] - exact) <= 2
    # What is as bright as paper stays bright.
    assert 190 <= row[5] < 255
    # Beyond BT.709's colours nothing wraps around.
    red = np.zeros((2, 2, 3), "uint16")
    red[..., 0] = coded(203)
    assert tone_map(red, "PQ")[0, 0].tolist()[1:] == [0, 0]
    hlg = tone_map(np.full((2, 2, 3), round(0.75 * 65535), "uint16"), "HLG")
    # HLG's 75 % is reference white.
    assert abs(int(hlg[0, 0, 0]) - row[5]) <= 6


@pytest.mark.parametrize(
    ("codec", "suffix"), [("ffv1", "mkv"), ("prores", "mov"), ("png", "mov"), ("h264", "mp4")]
)
def test_transparency(video, tmp_path, capsys, codec, suffix, picture):
    frames = []
    for number in range(3):
        alpha = np.zeros((48, 64), "uint8")
        alpha[:, 20 + number :] = 255
        frames.append((picture(48, 64), imaging.ImageMeta(alpha=alpha, duration=100)))
    imaging.save_frames(tmp_path / "clip.png", frames)
    out = tmp_path / f"out.{suffix}"
    assert video(tmp_path / "clip.png", "-o", out, "--codec", codec) == 0
    if codec == "h264":
        assert "transparent parts become black" in capsys.readouterr().err
        assert Read(out).pictures[0][:, :12].max() < 24
    else:
        found = next(VideoClip(out, max_pixels=10**6).frames())
        assert found.alpha[:, :12].max() < 4 and found.alpha[:, 30:].min() > 250


def test_a_format_without_transparency_is_told_once(video, tmp_path, capsys, picture):
    meta = imaging.ImageMeta(alpha=np.full((48, 64), 90, "uint8"), duration=100)
    imaging.save_frames(tmp_path / "clip.png", [(picture(48, 64, seed), meta) for seed in range(3)])
    assert video(tmp_path / "clip.png", "-o", tmp_path / "%d.jpg") == 0
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path / '%d.jpg'}: JPEG has no transparency; the picture becomes opaque"
    ]
    assert video(tmp_path / "clip.png", "-o", tmp_path / "%d.png") == 0
    assert capsys.readouterr().err == ""
    assert imaging.read_image(tmp_path / "1.png")[1].alpha.max() == 90


def test_ten_bits(video, make_clip, tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 3, pixel_format="yuv444p10le")
    flags = ["--pixel-format", "yuv420p10le"]
    assert video(clip, "-o", tmp_path / "out.mkv", *flags) == 0
    assert Read(tmp_path / "out.mkv").format == "yuv420p10le"
    assert video(clip, "-o", tmp_path / "out_%02d.png", "--alpha", 0) == 0
    assert imaging.open_image(tmp_path / "out_01.png").bits == 16


# === Animations and numbered pictures ===


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animations(video, make_clip, tmp_path, picture, suffix):
    meta = [imaging.ImageMeta(duration=d, loop=3) for d in (20, 20, 50, 100)]
    frames = ((picture(48, 64, seed=n), each) for n, each in enumerate(meta))
    clip = tmp_path / f"clip.{suffix}"
    imaging.save_frames(clip, frames)
    assert video(clip, "-o", tmp_path / "out.mp4") == 0
    found = Read(tmp_path / "out.mp4")
    assert found.times == [0, Fraction(2, 100), Fraction(4, 100), Fraction(9, 100)]
    assert found.last == Fraction(1, 10)
    assert video(clip, "-o", tmp_path / f"out.{suffix}") == 0
    image = imaging.open_image(tmp_path / f"out.{suffix}")
    assert [m.duration for _, m in image.frames()] == [20, 20, 50, 100]
    assert image.loop == imaging.open_image(clip).loop
    # A video as animation plays for ever.
    assert video(tmp_path / "out.mp4", "-o", tmp_path / f"again.{suffix}") == 0
    assert imaging.open_image(tmp_path / f"again.{suffix}").loop == 0


def test_gifs_have_no_frames_that_players_slow_down(video, make_clip, tmp_path, caplog):
    clip = make_clip(tmp_path / "clip.mp4", 24, rate="60")
    assert video(clip, "-o", tmp_path / "out.gif") == 0
    durations = [m.duration for _, m in imaging.open_image(tmp_path / "out.gif").frames()]
    assert min(durations) >= 20 and sum(durations) == pytest.approx(400, abs=10)
    assert "frames left out" in caplog.text


def test_numbered_pictures(video, make_clip, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4")
    assert video(clip, "-o", tmp_path / "a" / "frame_%04d.png", "--stability", 0) == 0
    names = sorted(path.name for path in (tmp_path / "a").glob("*"))
    assert names == [f"frame_{n:04}.png" for n in range(1, 13)]
    (tmp_path / "a" / "frame_0005.png").unlink()
    (tmp_path / "a" / "frame_0001.png").unlink()
    assert video(tmp_path / "a" / "frame_%04d.png", "-o", tmp_path / "b.mp4", "--rate", 29.97) == 0
    found = Read(tmp_path / "b.mp4")
    assert (found.rate, len(found.times)) == (Fraction(30000, 1001), 10)
    # Numbers are those of the clip.
    assert video(tmp_path / "a" / "frame_%04d.png", "-o", tmp_path / "c" / "%d.jpg") == 0
    assert sorted(int(path.stem) for path in (tmp_path / "c").glob("*.jpg")) == list(range(2, 12))


def test_a_broken_one_of_numbered_pictures(video, make_clip, tmp_path, capsys):
    """Those after it are there."""
    clip = make_clip(tmp_path / "clip.mp4", 5)
    assert video(clip, "-o", tmp_path / "a_%d.png", "--stability", 0) == 0
    (tmp_path / "a_2.png").write_bytes(b"no")
    assert video(tmp_path / "a_%d.png", "-o", tmp_path / "b.mkv") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "a_2.png" in line and line.endswith("It is left out.")
    assert [round(25 * time) for time in Read(tmp_path / "b.mkv").times] == [0, 2, 3, 4]
    (tmp_path / "a_4.png").write_bytes(b"")
    assert video(tmp_path / "a_%d.png", "-o", tmp_path / "c.mkv") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "a_2.png" in line and line.endswith("It and 1 more are left out.")


@pytest.mark.parametrize("name", ["50% off.mp4", "%d.mkv", "100%.gif", "%s.mov"])
def test_names_with_a_percent_sign(video, make_clip, tmp_path, name):
    clip = make_clip(tmp_path / "clip.mp4", 3)
    assert video(clip, "-o", tmp_path / name) == 0
    assert (tmp_path / name).is_file()
    assert video(clip, "-o", tmp_path / "50% off.png", "--preview") == 0
    assert (tmp_path / "50% off.png").is_file()


def test_a_preview_is_a_picture(video, make_clip, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4")
    assert video(clip, "-o", tmp_path / "first.jpg", "--preview") == 0
    assert imaging.load_image(tmp_path / "first.jpg").shape == (48, 64, 3)
    assert video(clip, "-o", tmp_path / "first.bmp") == 2


# === Results ===


def test_it_is_the_pipeline(video, make_clip, tmp_path, tiny_preset, gallery):
    from adain.stylize.pipeline import StylizePipeline

    clip = make_clip(tmp_path / "clip.mp4", 4)
    flags = ["--keep-colors", "luma", "--alpha", 0.7, "--stability", 0]
    assert video(clip, "-o", tmp_path / "out_%d.png", *flags) == 0
    how = {"keep_colors": "luma", "supersample": 0}
    pipeline = StylizePipeline(checkpoint=str(tiny_preset), **how, pictures=1000)
    frames = list(VideoClip(clip, max_pixels=10**6).frames())
    for number, frame in enumerate(frames, start=1):
        expected = pipeline.run(frame.colors, gallery[1] / "x.png", alpha=0.7)
        np.testing.assert_array_equal(imaging.load_image(tmp_path / f"out_{number}.png"), expected)


def test_names_of_results(video, make_clip, tmp_path, gallery, tiny_preset):
    make_clip(
        tmp_path / "in" / "a.mp4" if (tmp_path / "in").mkdir() else tmp_path / "in" / "a.mp4", 2
    )
    make_clip(tmp_path / "in" / "b.avi", 2, codec="mpeg4")
    words = ["--checkpoint", str(tiny_preset), "--quiet", "-o", str(tmp_path / "out")]
    words += ["--style", str(gallery[1])]
    assert cli.main(["video", str(tmp_path / "in"), *words]) == 0
    names = sorted(path.name for path in (tmp_path / "out").glob("*.*") if path.name[0] != ".")
    assert names == [f"{clip}_stylized_{style}.mp4" for clip in "ab" for style in "xy"]


def test_finished_results_are_skipped(video, make_clip, tmp_path, capsys):
    clip = make_clip(tmp_path / "clip.mp4", 3)
    out = tmp_path / "out.mp4"
    assert video(clip, "-o", out) == 0
    made = out.read_bytes()
    os.utime(out, (1, 1))
    assert video(clip, "-o", out) == 0
    assert out.stat().st_mtime == 1
    assert video(clip, "-o", out, "--crf", 30) == 2
    assert "made with other settings" in capsys.readouterr().err
    assert out.read_bytes() == made
    assert video(clip, "-o", out, "--crf", 30, "--overwrite") == 0
    assert out.read_bytes() != made
    # Another clip of the same name is made again.
    make_clip(clip, 5)
    assert video(clip, "-o", out, "--crf", 30) == 0
    assert len(Read(out).times) == 5
    assert [p for p in os.listdir(tmp_path) if p.endswith(("adain-video", ".part"))] == []


# Not libx264: with AVX-512, on a busy virtual machine, it now and then makes other bits of the same
# frames.
LOSSLESS = ("--codec", "png")


def test_a_run_that_stops_goes_on(video, make_clip, tmp_path, monkeypatch):
    """The result is that of a run that was not stopped, to the bit."""
    from adain.video import render

    monkeypatch.setattr(render, "SEGMENT", 0)
    clip = make_clip(tmp_path / "clip.mp4", 30, sound=("stereo",))
    for output, flags in (("out.mov", LOSSLESS), ("out_%03d.png", ())):
        plain, painted, seen = render.Renderer._stylize, [], []

        def noting(numbers, plain=plain):
            def note(self, work):
                numbers.append(work.number)
                return plain(self, work)

            return note

        monkeypatch.setattr(render.Renderer, "_stylize", noting(painted))
        assert video(clip, "-o", tmp_path / "whole" / output, *flags) == 0

        def stop(self, work, plain=plain):
            if work.number >= 20:
                raise KeyboardInterrupt
            return plain(self, work)

        monkeypatch.setattr(render.Renderer, "_stylize", stop)
        status = video(clip, "-o", tmp_path / output, *flags)
        assert status == 130
        assert not (tmp_path / "out.mov").exists() or "%" in output

        monkeypatch.setattr(render.Renderer, "_stylize", noting(seen))
        assert video(clip, "-o", tmp_path / output, *flags) == 0
        assert seen == [number for number in painted if number >= 20]
        monkeypatch.setattr(render.Renderer, "_stylize", plain)
    assert (tmp_path / "out.mov").read_bytes() == (tmp_path / "whole/out.mov").read_bytes()
    for path in (tmp_path / "whole").glob("*.png"):
        np.testing.assert_array_equal(
            imaging.load_image(tmp_path / path.name), imaging.load_image(path)
        )


def test_changes_go_on_too(make_clip, make_compact, gallery, tmp_path, monkeypatch, exact):
    """Of a style that changes while a run stops, and of a mask that moves."""
    from adain.video import render

    monkeypatch.setattr(render, "SEGMENT", 0)
    make_compact().save_to_preset(tmp_path / "preset")
    clip = make_clip(tmp_path / "clip.mp4", 20, rate="10")
    x, y = (gallery[1] / f"{name}.png" for name in "xy")
    mask = make_clip(tmp_path / "mask.mkv", 20, codec="ffv1", rate="10")
    ways = {
        "styles": ["--style-at", f"0:{x}", f"0.4s:{y}", "--transition", "1"],
        "mask": ["--style", x, "--mask", mask],
    }
    for name, flags in ways.items():
        words = [clip, *flags, "--checkpoint", tmp_path / "preset", "--quiet", *LOSSLESS]

        def run(folder, words=words):
            out = tmp_path / folder / "out.mov"
            return cli.main(["video", *map(str, words), "-o", str(out)])

        assert run(f"{name}/whole") == 0
        plain = render.Renderer._stylize

        def stop(self, work, plain=plain):
            if work.number == 11:
                raise KeyboardInterrupt
            return plain(self, work)

        with monkeypatch.context() as patch:
            patch.setattr(render.Renderer, "_stylize", stop)
            assert run(f"{name}/again") == 130
        assert run(f"{name}/again") == 0
        files = [tmp_path / name / folder / "out.mov" for folder in ("whole", "again")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_frames_side_by_side_give_what_they_give_one_by_one(
    make_clip, make_compact, gallery, tmp_path, monkeypatch, exact
):
    """With all that one frame has of the ones before, and the state after each segment."""
    from adain.engines import engine
    from adain.video import render

    monkeypatch.setattr(render, "SEGMENT", 0)
    make_compact().save_to_preset(tmp_path / "preset")
    clip = make_clip(tmp_path / "clip.mp4", 20)
    found = []
    for cores in (1, 3):
        monkeypatch.setattr(engine, "count_cores", lambda cores=cores: cores)
        words = [clip, "--style", gallery[1] / "x.png", "--checkpoint", tmp_path / "preset"]
        words += ["-o", tmp_path / f"{cores}.mov", *LOSSLESS, "--quiet", "--palette", "1"]
        assert cli.main(["video", *map(str, words)]) == 0
        found.append((tmp_path / f"{cores}.mov").read_bytes())
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_broken(make_clip, tmp_path, tiny_preset, gallery, root):
    clip = make_clip(tmp_path / "clip.mp4", 400, size=(96, 128))
    out = tmp_path / "out.mp4"
    words = [sys.executable, "-m", "adain", "video", clip, "--style", gallery[1] / "x.png"]
    words += ["--checkpoint", tiny_preset, "-o", out, "--engine", "onnxruntime"]
    process = subprocess.Popen(list(map(str, words)), cwd=root)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(tmp_path.glob(".*.adain-video/state.npz")):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    done = subprocess.run(list(map(str, words)), cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.split(" frames in")[0].split()[-1]) < 400
    assert len(Read(out).times) == 400
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == [".adain.jsonl"]


@pytest.mark.parametrize("name", ["state.npz", "000000.packets"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped", "gone"])
def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path, name, damage):
    from adain.video.checkpoint import Checkpoint, Reached

    out = tmp_path / "out.mp4"
    checkpoint = Checkpoint(out, "x")
    for number in range(2):
        checkpoint.segment(number).write_bytes(bytes(range(200)))
    checkpoint.save(Reached(9, 1, "3/10", {"value": np.arange(50.0)}))
    checkpoint.save(Reached(18, 2, "6/10", {"value": np.arange(60.0)}))
    checkpoint.close(finished=False)
    checkpoint = Checkpoint(out, "x")
    found = checkpoint.reached()
    assert (found.frames, found.segments, found.end) == (18, 2, "6/10")
    np.testing.assert_array_equal(found.state["value"], np.arange(60.0))
    path = checkpoint.folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    changed = {"cut": data[: len(data) // 2], "emptied": b"", "flipped": data}
    path.unlink() if damage == "gone" else path.write_bytes(changed[damage])
    checkpoint.close(finished=False)
    again = Checkpoint(out, "x")
    assert again.reached() == Reached(0, 0, "0", {})
    # What is made then can be gone on from.
    again.segment(0).write_bytes(b"new")
    again.save(Reached(5, 1, "1/10", {}))
    assert again.reached() == Reached(5, 1, "1/10", {})
    again.close(finished=True)


def test_two_runs_of_the_same_result(video, make_clip, tmp_path, capsys):
    from adain.video.checkpoint import Checkpoint

    clip = make_clip(tmp_path / "clip.mp4", 3)
    other = Checkpoint(tmp_path / "out.mp4", "x")
    try:
        assert video(clip, "-o", tmp_path / "out.mp4") == 1
        assert "another run is making this result" in capsys.readouterr().err
    finally:
        other.close(finished=True)


def test_stylize_takes_clips(make_clip, tmp_path, tiny_preset, gallery, exact):
    clip = make_clip(tmp_path / "clip.mp4", 3, sound=("stereo",))
    words = ["--checkpoint", tiny_preset, "--style", gallery[1] / "x.png", "--quiet"]
    words = ["--content-path", clip, gallery[0] / "a.png", *words, "--out-path", tmp_path / "out"]
    assert cli.main(["stylize", *map(str, words)]) == 0
    names = sorted(path.name for path in (tmp_path / "out").glob("*.*") if path.name[0] != ".")
    assert names == ["a_stylized_x.png", "clip_stylized_x.mp4"]
    assert len(Read(tmp_path / "out" / "clip_stylized_x.mp4").tracks) == 1
    assert cli.main(["stylize", *map(str, words), "--sheet", "styles"]) == 2


def test_json(video, make_clip, tmp_path, capsys):
    clip = make_clip(tmp_path / "clip.mp4", 3)
    assert video(clip, tmp_path / "none.mp4", "-o", tmp_path / "out", "--json") == 1
    (line,) = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    assert record["ok"] and record["frames"] == 3 and record["seconds"] > 0
    assert video(clip, "-o", tmp_path / "out", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["ok"] and again["skipped"] and again["output"] == record["output"]


# === What is broken ===


def test_what_is_no_clip(video, make_clip, tmp_path, capsys, picture):
    (tmp_path / "text.mp4").write_text("hello\n" * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n")
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile 'clip.mp4'\n")
    make_clip(tmp_path / "clip.mp4", 3)
    with av.open(str(tmp_path / "sound.mp4"), "w") as out:
        track = out.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), "float32"), "fltp", "mono")
        frame.sample_rate = 48000
        out.mux([*track.encode(frame), *track.encode(None)])
    imaging.save_image(tmp_path / "still.png", picture(20, 20))
    expected = {
        "text.mp4": "is not a video that can be read",
        "empty.mp4": "is empty",
        "list.mp4": "is not a video that can be read",
        "concat.mp4": "is not a video that can be read",
        "sound.mp4": "has no video stream, only audio",
        "still.png": "is a single picture",
        "missing.mp4": "no such file",
        "none_%d.png": "no pictures are called like this",
    }
    for name, text in expected.items():
        assert video(tmp_path / name, "-o", tmp_path / "out.mp4") == 1, name
        error = capsys.readouterr().err
        assert text in error and name in error and error.count("\n") == 1, error
        assert not (tmp_path / "out.mp4").exists()
    # The others are made.
    assert video(tmp_path / "text.mp4", tmp_path / "clip.mp4", "-o", tmp_path / "out") == 1
    assert len(list((tmp_path / "out").glob("*.mp4"))) == 1


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_truncated_clips(video, make_clip, tmp_path, capsys, suffix):
    options = {"g": "10", "bf": "0"}
    clip = make_clip(tmp_path / f"clip.{suffix}", 100, options=options)
    if suffix == "mp4":
        with av.open(str(clip)) as source:
            fast = tmp_path / "fast.mp4"
            with av.open(str(fast), "w", options={"movflags": "faststart"}) as out:
                copy = out.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(source.streams.video[0]):
                    if packet.size:
                        packet.stream = copy
                        out.mux(packet)
        shutil.move(fast, clip)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    status = video(clip, "-o", tmp_path / "out.mp4")
    error = capsys.readouterr().err
    if suffix == "ts":  # Streams have no length; a last packet may be cut.
        assert status in (0, 1)
    else:
        assert status == 1 and str(clip) in error and error.count("\n") == 1
    assert 20 < len(Read(tmp_path / "out.mp4").times) < 80


def test_damaged_packets(video, make_clip, tmp_path, capsys):
    clip = make_clip(tmp_path / "clip.mkv", 60, options={"g": "5", "bf": "0"})
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    clip.write_bytes(data)
    assert video(clip, "-o", tmp_path / "out.mp4") == 1
    assert str(clip) in capsys.readouterr().err
    assert len(Read(tmp_path / "out.mp4").times) > 30


def test_frames_that_change_their_size(video, make_clip, tmp_path, capsys):
    for name, size in (("a.ts", (48, 64)), ("b.ts", (80, 60))):
        make_clip(tmp_path / name, 10, size=size, options={"bf": "0"})
    both = (tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes()
    (tmp_path / "clip.ts").write_bytes(both)
    assert video(tmp_path / "clip.ts", "-o", tmp_path / "out.mp4") == 0
    assert "frames change their size" in capsys.readouterr().err
    found = Read(tmp_path / "out.mp4")
    assert found.size == (48, 64) and len(found.times) > 15


def test_a_full_disk(video, make_clip, tmp_path, capsys, monkeypatch):
    import errno

    from adain.video import outputs

    def full(*parts):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outputs, "write_packets", full)
    clip = make_clip(tmp_path / "clip.mp4", 3)
    assert video(clip, "-o", tmp_path / "out.mp4") == 1
    error = capsys.readouterr().err
    assert "No space left" in error and "run the same command again" in error
    assert not (tmp_path / "out.mp4").exists()
    assert [p.name for p in tmp_path.rglob("*.part")] == []


@pytest.fixture
def refuse(video, make_clip, tmp_path, capsys, monkeypatch):
    """`refuse(flags, status, text)`: there is no result, and one line with the text."""

    def refuse(flags, status, text):
        monkeypatch.chdir(tmp_path)
        make_clip("clip.mp4", 3)
        assert video("clip.mp4", *flags) == status
        error = capsys.readouterr().err
        assert text in error and error.count("\n") == 1, error
        assert [path.name for path in tmp_path.glob("*.*")] == ["clip.mp4"]

    return refuse


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["-o", "out.avi"], ".avi cannot be written"),
        (["-o", "out.mp4", "--codec", "nonsense"], "--codec must be one of h264"),
        (["-o", "out.mp4", "--codec", "prores"], ".mp4 cannot hold prores"),
        (["-o", "out.mp4", "--crf", "99"], "--crf must be in [0, 51]"),
        (["-o", "out.mkv", "--codec", "ffv1", "--crf", "3"], "--crf must be left out for ffv1"),
        (["-o", "out.mp4", "--codec", "aac"], "--codec must be one of h264"),
        (["-o", "out.mp4", "--encoder-preset", "turbo"], "--encoder-preset must be ultrafast, "),
        (["-o", "out.webm", "--encoder-preset", "slow"], "--encoder-preset must be 0 to 8"),
        (["-o", "out.mkv", "--codec", "mpeg4", "--encoder-preset", "6"], "must be left out for"),
        (["-o", "out.mp4", "--pixel-format", "pink"], "--pixel-format must be one of yuv420p,"),
        (["-o", "out.mp4", "--pixel-format", "rgb24"], "--pixel-format must be one of yuv420p,"),
        (
            ["-o", "out.mkv", "--codec", "rawvideo", "--pixel-format", "x"],
            "a pixel format of FFmpeg",
        ),
        (["-o", "f_%d_%d.png"], "numbered pictures are called as"),
        (["-o", "out.gif", "--codec", "h264"], "--codec is for .mp4 .m4v .mov .mkv .webm"),
        (["-o", "f_%d.png", "--crf", "9"], "--crf is for .mp4 .m4v .mov .mkv .webm"),
        (
            ["-o", "out.mp4", "--rate", "30"],
            "--rate is for numbered pictures. clip.mp4 has its own",
        ),
        (["-o", "out.mkv", "--codec", "mpeg4", "--crf", "0"], "--crf must be in [1, 31]"),
        (["-o", "out.mp4", "--start", "5", "--end", "2"], "--end must be after"),
        (["-o", "out.mp4", "--start", "nan"], "--start must be a time such as"),
        (["-o", "out.mp4", "--end", "0"], "--end must be after --start. Received: 0 and 0"),
        (["-o", "out.mp4", "--rate", "0"], "frames a second"),
        (["-o", "clip.mp4"], "is an input"),
        (["-o", "out.mp4", "--alpha", "1", "0.5"], "--alpha takes one number"),
    ],
)
def test_flags_that_cannot_be(refuse, flags, text):
    refuse(flags, 2, text)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["-o", "out.mp4", "--start", "99"], "the chosen part of the clip is empty"),
        (["-o", "out.mkv", "--pixel-format", "yuv420p", "--crop-size", "47"], "does not take 47 x"),
        (["-o", "out.mkv", "--codec", "rawvideo", "--crop-size", "47"], "Try another --codec"),
    ],
)
def test_flags_that_do_not_fit_a_clip(refuse, flags, text):
    refuse(flags, 1, text)


def test_a_dry_run(video, make_clip, tmp_path, capsys):
    clip = make_clip(tmp_path / "clip.mp4", 3)
    out = tmp_path / "out.mp4"
    assert video(clip, "-o", out, "--dry-run") == 0
    assert capsys.readouterr().out.endswith(f" -> {out}\n")
    assert video(clip, "-o", out, "--dry-run", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["content"], record["output"], record["masks"]) == (str(clip), str(out), [])
    assert not out.exists()


def test_settings():
    with pytest.raises(UsageError, match="either --style or --style-at"):
        VideoConfig(content_path="a.mp4")
    with pytest.raises(UsageError, match="`stability` must be in"):
        VideoConfig(content_path="a.mp4", style_path="b", stability=2.0)


def test_parts_of_a_clip():
    class Clip:
        def frames(self, start=Fraction(0)):
            from adain.video.clip import Frame

            for n in range(5):
                yield Frame(np.zeros((1, 1, 3), "uint8"), None, Fraction(n), Fraction(1))

    found = list(Part(every=2).of(Clip()))
    assert [(f.time, f.duration) for f in found] == [(0, 2), (2, 2), (4, 1)]
    found = list(Part(Fraction(3, 2), Fraction(7, 2)).of(Clip()))
    assert [(f.time, f.duration) for f in found] == [
        (0, Fraction(1, 2)), (Fraction(1, 2), 1), (Fraction(3, 2), Fraction(1, 2)),
    ]  # fmt: skip


def test_animation_clip_times(tmp_path, picture):
    frames = ((picture(8, 8, seed=n), imaging.ImageMeta(duration=0)) for n in range(3))
    imaging.save_frames(tmp_path / "a.gif", frames)
    clip = AnimationClip(tmp_path / "a.gif", max_pixels=10**6)
    # As browsers show it.
    assert [f.duration for f in clip.frames()] == [Fraction(1, 10)] * 3
