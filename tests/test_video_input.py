"""`adain video`: pixel formats, colour tags, containers that are damaged, joined or mislabelled."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av")

from av.stream import Disposition  # noqa: E402

from adain import cli  # noqa: E402
from adain.imaging import io as imaging  # noqa: E402
from adain.video.clip import Frame  # noqa: E402
from adain.video.color import to_rgb  # noqa: E402
from adain.video.containers import find_damage, is_cut_off  # noqa: E402
from adain.video.encoder import Encoding  # noqa: E402
from adain.video.frames import fit_into  # noqa: E402
from adain.video.reader import VideoClip  # noqa: E402

SIZE = HEIGHT, WIDTH = 48, 64


@pytest.fixture
def video(tiny_preset, gallery, exact):
    """`video(clip, ..., *flags)`: runs the command without stabilisation; returns its status."""
    words = ["--style", gallery[1] / "x.png", "--checkpoint", tiny_preset, "--quiet"]
    words += ["--stability", 0]
    return lambda *flags: cli.main(["video", *map(str, [*flags, *words])])


@pytest.fixture
def one_line(capsys):
    """`one_line(*texts)`: standard error is a single line with all of them."""

    def check(*texts):
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and all(text in error for text in texts), error

    return check


def smooth() -> np.ndarray:
    """`(48, 64, 4)`: colours that no subsampling blurs, half of it transparent to three fifths."""
    ramp = np.linspace(30, 220, WIDTH).astype("uint8")
    wide = np.tile(ramp, (HEIGHT, 1))
    colors = [wide, np.full(SIZE, 90, "uint8"), wide[:, ::-1]]
    alpha = np.full(SIZE, 255, "uint8")
    alpha[: HEIGHT // 2] = 102
    return np.dstack([*colors, alpha])


def grey_of(colors: np.ndarray) -> np.ndarray:
    grey = np.rint(colors[..., :3] @ np.array([0.299, 0.587, 0.114]))
    return grey[..., None].repeat(3, -1)


def as_format(name: str) -> av.VideoFrame:
    """`smooth` in a pixel format; what is YUV by BT.601 in the limited range."""
    form = av.VideoFormat(name)
    plain = form.is_rgb or name.startswith(("gray", "ya8", "mono"))
    if name == "pal8":
        place = (smooth()[..., 0] // 8).astype("uint8")
        table = np.zeros((256, 4), "uint8")
        table[:, 0], table[:32, 1:] = 255, 8 * np.arange(32)[:, None] + 4
        return av.VideoFrame.from_ndarray((place, table), format="pal8")
    frame = av.VideoFrame.from_ndarray(smooth(), format="rgba")
    frame.color_range = 2
    matrix, extent = (None, 2) if plain else (5, 1)
    return frame.reformat(format=name, dst_colorspace=matrix, dst_color_range=extent)


def write(path, codec, frames, *, options=None, tags=None, sound=None):
    """A clip of such frames, 25 a second, and with so many packets of silence."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = frames[0].height, frames[0].width
        stream.pix_fmt = frames[0].format.name
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        track = out.add_stream("aac", rate=48000, layout="mono") if sound else None
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for number in range(sound or 0):
            part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), "float32"), "fltp", "mono")
            part.sample_rate, part.pts = 48000, 1024 * number
            out.mux(track.encode(part))
        if sound:
            out.mux(track.encode(None))
    return path


def remux(source, target, change=lambda packet: None, options=None):
    """A copy of all packets, each after `change`, which may give another one in its place."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options or {}) as out:
        copies = {s.index: out.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                out.mux(change(packet) or packet)
    return target


def open_clip(path, **how):
    return VideoClip(path, max_pixels=10**6, **how)


def read(path):
    """Times, pictures and `(type, codec)` of the streams of a result."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams.video if not s.disposition & 1024)
        kinds = [(s.type, s.codec_context and s.codec_context.name) for s in container.streams]
        frames = list(container.decode(stream))
        times = [frame.pts * stream.time_base for frame in frames]
        return times, [frame.to_ndarray(format="rgb24") for frame in frames], kinds


# === Pixel formats ===


@pytest.mark.parametrize(
    ("codec", "suffix", "name"),
    [
        ("ffv1", "mkv", "gray"), ("png", "mov", "gray"), ("ffv1", "mkv", "gray10le"),
        ("ffv1", "mkv", "gray16le"), ("ffv1", "mkv", "ya8"), ("png", "mov", "rgba"),
        ("ffv1", "mkv", "rgba64le"), ("png", "mov", "rgb48be"), ("qtrle", "mov", "rgb24"),
        ("qtrle", "mov", "argb"), ("rawvideo", "mov", "rgb555be"), ("rawvideo", "avi", "rgb555le"),
        ("rawvideo", "avi", "bgra"), ("rawvideo", "nut", "uyva"), ("rawvideo", "avi", "nv12"),
        ("utvideo", "avi", "gbrap"), ("ffv1", "mkv", "gbrp10le"), ("ffv1", "mkv", "yuv444p10le"),
        ("ffv1", "mkv", "yuv440p"), ("ffv1", "mkv", "yuv411p"), ("ffv1", "mkv", "yuva420p"),
        ("ffv1", "mkv", "yuva444p10le"), ("prores_ks", "mov", "yuva444p10le"),
        ("v210", "mov", "yuv422p10le"), ("libvpx-vp9", "webm", "yuva420p"),
    ],
)  # fmt: skip
def test_pixel_formats(tmp_path, codec, suffix, name):
    """Colours, transparency and depth are those of the source."""
    clip = open_clip(write(tmp_path / f"clip.{suffix}", codec, [as_format(name)] * 2), deep=True)
    frames = list(clip.frames())
    assert len(frames) == 2 and clip.problems == []
    scale = 257 if frames[0].colors.dtype == np.uint16 else 1
    expected = grey_of(smooth()) if name.startswith(("gray", "ya")) else smooth()[..., :3]
    # Five bits a channel are off by 4 at most, and FFmpeg halves their colours' width.
    most = 5 if "555" in name else 3
    assert np.abs(frames[0].colors / scale - expected).mean() < most
    bits = max(part.bits for part in av.VideoFormat(name).components)
    assert clip.is_deep == (bits > 8) == (scale == 257)
    has_alpha = any(part.is_alpha for part in av.VideoFormat(name).components)
    assert clip.has_alpha == has_alpha == (frames[0].alpha is not None)
    if has_alpha:
        assert np.abs(frames[0].alpha / scale - smooth()[..., 3]).mean() < 3


@pytest.mark.parametrize(("codec", "suffix"), [("png", "mov"), ("msrle", "avi")])
def test_a_palette_without_transparency_has_none(tmp_path, codec, suffix):
    clip = open_clip(write(tmp_path / f"clip.{suffix}", codec, [as_format("pal8")] * 2))
    frame = next(clip.frames())
    assert not clip.has_alpha and frame.alpha is None
    np.testing.assert_array_equal(frame.colors[..., 0], smooth()[..., 0] // 8 * 8 + 4)


@pytest.mark.parametrize("name", ["gray", "gray10le", "ya8"])
@pytest.mark.parametrize("deep", [False, True])
def test_grey_of_the_limited_range(name, deep):
    """Monochrome AV1 and HEVC have it, and FFmpeg takes it for the full one."""
    frame = av.VideoFrame(64, 16, name)
    codes = np.repeat(np.array([16, 126, 235, 255], "uint8"), 16)
    if name == "gray10le":
        row = (codes.astype("<u2") * 4).tobytes()
    else:
        row = np.stack([codes, codes], -1).tobytes() if name == "ya8" else codes.tobytes()
    plane = frame.planes[0]
    plane.update(row.ljust(plane.line_size, b"\0") * 16)
    frame.color_range = 1
    found = to_rgb(frame, deep)
    scale = 257 if deep else 1
    assert np.abs(found[0, ::16, 0] / scale - [0, 128, 255, 255]).max() < 0.6
    if name == "ya8":
        assert np.abs(found[0, ::16, 3] / scale - [16, 126, 235, 255]).max() <= 1


def test_what_nothing_converts(video, tmp_path, one_line):
    frame = av.VideoFrame(64, 48, "rgb4")
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    clip = write(tmp_path / "clip.nut", "rawvideo", [frame] * 2)
    assert video(clip, "-o", tmp_path / "out.mp4") == 1
    one_line("clip.nut", "pixel format rgb4 cannot be converted here")
    assert not (tmp_path / "out.mp4").exists()


# === Colour tags ===


@pytest.mark.parametrize("matrix", [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 14])
@pytest.mark.parametrize("extent", [0, 1, 2, 3])
def test_tags_that_ffmpeg_does_not_convert(matrix, extent):
    """Clips with them are read and written as well."""
    frame = as_format("yuv444p")
    known = matrix if matrix in (1, 7, 9) else 5
    frame = frame.reformat(dst_colorspace=known, dst_color_range=2 if extent == 2 else 1)
    frame.colorspace, frame.color_range = matrix, extent
    assert np.abs(to_rgb(frame).astype(int) - smooth()[..., :3]).mean() < 2
    encoding = Encoding("mpeg4", SIZE, Fraction(25), Fraction(1, 25), tags=(matrix, 2, 2))
    coded = encoding.to_frame(Frame(smooth()[..., :3], None, Fraction(0), Fraction(1, 25)))
    assert np.abs(to_rgb(coded).astype(int) - smooth()[..., :3]).mean() < 4


@pytest.mark.parametrize(
    ("primaries", "transfer", "expected"),
    [(12, 13, (12, 13)), (9, 14, (9, 14)), (6, 6, (6, 6)), (3, 0, (2, 2)), (0, 3, (2, 2))],
)
@pytest.mark.parametrize("name", ["yuv444p", "rgb24"])
def test_primaries_are_passed_on(primaries, transfer, expected, name):
    """Samples stay those of the source, whose primaries the result is tagged with: Display P3."""
    tags = (1, primaries, transfer)
    encoding = Encoding(
        "png", SIZE, Fraction(25), Fraction(1, 25), pixel_format=name, tags=tags
    )  # fmt: skip
    coded = encoding.to_frame(Frame(smooth()[..., :3], None, Fraction(0), Fraction(1, 25)))
    assert (coded.color_primaries, coded.color_trc) == expected
    assert np.abs(to_rgb(coded).astype(int) - smooth()[..., :3]).max() <= 3


def test_an_unknown_matrix_is_told(tmp_path):
    clip = write(tmp_path / "clip.mkv", "libx264", [as_format("yuv444p")] * 2,
                 tags={"colorspace": 8})  # fmt: skip
    assert open_clip(clip).notes == [
        f"{clip}: its matrix (YCgCo) is not known here; colours are off"
    ]


def with_exif(plain, target, orientations):
    """A copy of a Motion JPEG clip whose frames have EXIF's orientations, 0 without EXIF."""
    numbers = iter(orientations)

    def change(packet):
        number = next(numbers)
        entry = b"\x12\x01\x03\0\x01\0\0\0" + bytes([number, 0, 0, 0])
        exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4)
        segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
        data = bytes(packet)
        copy = av.Packet(data[:2] + (segment if number else b"") + data[2:])
        copy.stream, copy.time_base = packet.stream, packet.time_base
        copy.pts, copy.dts, copy.is_keyframe = packet.pts, packet.dts, True
        return copy

    return remux(plain, target, change)


def test_frames_with_exif(tmp_path):
    """Those of cameras, which PyAV has no name for; their orientation counts."""
    plain = write(tmp_path / "plain.avi", "mjpeg", [as_format("yuvj420p")] * 2)
    upright = open_clip(with_exif(plain, tmp_path / "clip.avi", [6, 6]))
    assert upright.facts.size == (WIDTH, HEIGHT)
    before = next(open_clip(plain).frames()).colors
    np.testing.assert_array_equal(next(upright.frames()).colors, np.rot90(before, -1))


def test_each_frame_is_turned_as_it_says(tmp_path):
    plain = write(tmp_path / "plain.avi", "mjpeg", [as_format("yuvj420p") for _ in range(4)])
    clip = open_clip(with_exif(plain, tmp_path / "clip.avi", [0, 3, 6, 0]))
    before = next(open_clip(plain).frames()).colors
    found = [frame.colors for frame in clip.frames()]
    lying = fit_into(np.rot90(before, -1), SIZE)
    for colors, expected in zip(found, [before, before[::-1, ::-1], lying, before], strict=True):
        assert np.abs(colors.astype(int) - expected).mean() < 3
    assert "they are fitted into the first size" in clip.notes[0]
    # From a later frame on, too.
    late = next(clip.frames(Fraction(1, 25))).colors
    assert np.abs(late.astype(int) - before[::-1, ::-1]).mean() < 3


@pytest.mark.parametrize("turns", [(0, 180), (180, 0), (180, 0, 180)])
def test_turns_that_only_keyframes_tell(tmp_path, turns):
    """H.264 without a container's help, joined: they hold until the next keyframe."""
    plain = write(tmp_path / "plain.mp4", "libx264", [as_format("yuv420p") for _ in range(10)],
                  options={"g": "5", "bf": "0"})  # fmt: skip
    # The message 47 of H.264, half a turn, and its length.
    told = bytes.fromhex("00000007 062f0310000980")

    def turn_half(packet):
        copy = av.Packet((told if packet.is_keyframe else b"") + bytes(packet))
        copy.stream, copy.time_base = packet.stream, packet.time_base
        copy.pts, copy.dts, copy.is_keyframe = packet.pts, packet.dts, packet.is_keyframe
        return copy

    parts = {0: remux(plain, tmp_path / "0.ts"), 180: remux(plain, tmp_path / "180.ts", turn_half)}
    data = b"".join(parts[turn].read_bytes() for turn in turns)
    (tmp_path / "clip.ts").write_bytes(data)
    before = next(open_clip(plain).frames()).colors
    expected = [before[::-1, ::-1] if turn else before for turn in turns for _ in range(10)]
    found = [frame.colors for frame in open_clip(tmp_path / "clip.ts").frames()]
    assert len(found) == len(expected)
    errors = [np.abs(a.astype(int) - b).mean() for a, b in zip(found, expected, strict=True)]
    assert max(errors) < 3


# === What is missing ===


def test_clips_without_frames(video, tmp_path, one_line):
    expected = {
        "index.mp4": "has no video stream.",
        "header.mkv": "is not a video that can be read",
        "sound.mp4": "has no video stream, only audio.",
        "sound.mkv": "has no frame that can be decoded",
        "noise.mkv": "has no frame that can be decoded",
    }
    for name in expected:
        with av.open(str(tmp_path / name), "w") as out:
            stream = out.add_stream("mpeg4", rate=25)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            track = out.add_stream("aac", rate=48000, layout="mono") if "sound" in name else None
            out.start_encoding()
            for number in range(5):
                if track is not None:
                    part = av.AudioFrame.from_ndarray(
                        np.zeros((1, 1024), "float32"), "fltp", "mono"
                    )
                    part.sample_rate, part.pts = 48000, 1024 * number
                    out.mux(track.encode(part))
                if name == "noise.mkv":
                    packet = av.Packet(bytes([7 * number]) * 100)
                    packet.stream, packet.time_base = stream, Fraction(1, 25)
                    packet.pts = packet.dts = number
                    out.mux(packet)
    for name, text in expected.items():
        assert video(tmp_path / name, "-o", tmp_path / "out.mp4") == 1
        one_line(name, text)
        assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("suffix", "name", "other"), [("avi", b"FMP4", b"ZZZZ"), ("mkv", b"V_MPEG4", b"V_MPEG9")]
)
def test_an_unknown_codec(video, tmp_path, one_line, suffix, name, other):
    clip = write(tmp_path / f"clip.{suffix}", "mpeg4", [as_format("yuv420p")] * 3)
    clip.write_bytes(clip.read_bytes().replace(name, other))
    assert video(clip, "-o", tmp_path / "out.mp4") == 1
    one_line(clip.name, "its video codec is not known here")


def test_unknown_sound(video, tmp_path, one_line):
    clip = write(tmp_path / "clip.mkv", "mpeg4", [as_format("yuv420p")] * 3, sound=5)
    clip.write_bytes(clip.read_bytes().replace(b"A_AAC", b"A_ZAC"))
    assert video(clip, "-o", tmp_path / "out.mp4", "--codec", "mpeg4") == 1
    one_line("cannot hold its sound (of an unknown codec) as it is. Use --no-sound.")
    assert video(clip, "-o", tmp_path / "out.mp4", "--codec", "mpeg4", "--no-sound") == 0


def write_with_silence(clip, codec, rate, layout, count):
    """A clip of one frame, with `count` values of silence."""
    with av.open(str(clip), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        track = out.add_stream(codec, rate=rate, layout=layout)
        out.mux([*stream.encode(as_format("yuv420p")), *stream.encode(None)])
        part = av.AudioFrame.from_ndarray(np.zeros((1, count), "int16"), "s16", layout)
        part.sample_rate = rate
        out.mux([*track.encode(part), *track.encode(None)])


def test_the_file_that_holds_a_sound_is_named(video, tmp_path, one_line):
    """Not always Matroska."""
    clip = tmp_path / "clip.mov"
    write_with_silence(clip, "pcm_alaw", 8000, "mono", 800)
    assert video(clip, "-o", tmp_path / "out.mkv", "--codec", "mpeg4") == 1
    one_line(".mkv cannot hold its sound (pcm_alaw) as it is. Write .mov, or use --no-sound.")
    assert video(clip, "-o", tmp_path / "out.mov", "--codec", "mpeg4") == 0
    assert read(tmp_path / "out.mov")[2] == [("video", "mpeg4"), ("audio", "pcm_alaw")]


@pytest.mark.parametrize("suffix", ["avi", "mkv"])
def test_channels_that_a_file_does_not_name(video, tmp_path, suffix):
    """Those of cameras' AVI files; MP4 must name them."""
    clip = tmp_path / f"clip.{suffix}"
    with av.open(str(clip), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        track = out.add_stream("pcm_s16le", rate=8000, layout="stereo")
        out.mux([*stream.encode(as_format("yuv420p")), *stream.encode(None)])
        samples = np.arange(800, dtype="int16")[None]
        part = av.AudioFrame.from_ndarray(samples, "s16", "stereo")
        part.sample_rate = 8000
        out.mux([*track.encode(part), *track.encode(None)])
    assert video(clip, "-o", tmp_path / "out.mp4", "--codec", "mpeg4") == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.layout.name == "stereo"
        data = b"".join(bytes(packet) for packet in container.demux(stream))
    assert data == samples.tobytes()


def test_the_file_that_holds_a_codec_is_named(video, tmp_path, one_line):
    clip = write(tmp_path / "clip.mkv", "mpeg4", [as_format("yuv420p")])
    assert video(clip, "-o", tmp_path / "out.mkv", "--codec", "png") == 2
    one_line(".mkv cannot hold png. Write .mov, or use another --codec.")


def test_pipes_and_addresses_are_told(video, tmp_path, one_line):
    os.mkfifo(tmp_path / "pipe")
    assert video(tmp_path / "pipe", "-o", tmp_path / "out.mp4") == 1
    one_line("pipe: is a pipe or a device. Save it to a file")
    assert video("http://127.0.0.1:9/a.mp4", "-o", tmp_path / "out.mp4") == 1
    one_line("http://127.0.0.1:9/a.mp4: is an address. Download it")


def test_lost_transparency_is_told_of_the_result(video, tmp_path, picture, caplog):
    """By its name, not by that of the file that becomes it."""
    colors, alpha = picture(48, 64), np.full((48, 64), 128, "uint8")
    frames = ((colors, imaging.ImageMeta(alpha=alpha, duration=40)) for _ in range(3))
    imaging.save_frames(tmp_path / "a.webp", frames)
    assert video(tmp_path / "a.webp", "-o", tmp_path / "out.gif") == 0
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{tmp_path / 'out.gif'}: GIF has no half-transparent pixels")


# === Files that are cut off ===


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi", "ts", "fragments.mp4"])
def test_short_clips_that_are_cut_off(video, make_clip, tmp_path, one_line, suffix):
    """However little is missing: the container tells."""
    codec = {"webm": "libvpx", "ts": "mpeg2video"}.get(suffix, "mpeg4")
    plain = make_clip(tmp_path / f"plain.{suffix}", 25, codec=codec, options={"g": "5"})
    clip = tmp_path / f"clip.{suffix}"
    fragments = "frag_keyframe+empty_moov"
    if suffix in ("mp4", "mov", "fragments.mp4"):
        flags = fragments if "frag" in suffix else "faststart"
        remux(plain, clip, options={"movflags": flags})
    else:
        shutil.copy(plain, clip)
    assert is_cut_off(clip) is False
    data = clip.read_bytes()
    whole = list(open_clip(clip).frames())
    clip.write_bytes(data[: len(data) * 17 // 20])
    assert is_cut_off(clip) is True
    assert video(clip, "-o", tmp_path / "out.mp4", "--codec", "mpeg4") == 1
    one_line(str(clip), "is cut off, and ends after")
    assert 5 < len(read(tmp_path / "out.mp4")[0]) <= len(whole) == 25
    # Before it is cut off nothing is missing.
    assert video(clip, "-o", tmp_path / "part.mp4", "--codec", "mpeg4", "--preview", 3) == 0


@pytest.mark.parametrize("suffix", ["avi", "ts"])
def test_what_follows_a_damaged_part_is_kept(video, tmp_path, one_line, suffix):
    frames = [as_format("yuvj420p" if suffix == "avi" else "yuv420p") for _ in range(50)]
    codec = "mjpeg" if suffix == "avi" else "mpeg2video"
    clip = write(tmp_path / f"clip.{suffix}", codec, frames, options={"g": "5"})
    data = clip.read_bytes()
    if suffix == "avi":
        with av.open(str(clip)) as container:
            packets = [p for p in container.demux(container.streams.video[0]) if p.size]
            parts = [bytes(packet) for packet in packets[20:35]]
        for part in parts:
            # Its size in the file stays.
            data = data.replace(part, bytes(len(part)), 1)
    else:
        middle = len(data) // 2 // 188 * 188
        data = data[:middle] + data[middle + 5 * 188 :]
    clip.write_bytes(data)
    assert video(clip, "-o", tmp_path / "out.mp4", "--codec", "mpeg4") == 1
    one_line("15 packets of it could not be decoded" if suffix == "avi" else "1 frame is damaged")
    times = read(tmp_path / "out.mp4")[0]
    assert times[-1] == Fraction(49, 25) and 30 <= len(times) < 50


@pytest.mark.parametrize("options", [{}, {"live": "1"}, {"cluster_time_limit": "200"}], ids=str)
@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "libx264"), ("webm", "libvpx-vp9")])
def test_holes_in_matroska_are_told(video, tmp_path, one_line, suffix, codec, options):
    """FFmpeg goes on behind them without a word, and players do."""
    frames = [as_format("yuv420p") for _ in range(60)]
    plain = write(tmp_path / f"plain.{suffix}", codec, frames, options={"g": "10", "bf": "0"})
    # Some hold still for a long time: screen recordings.
    clip = remux(plain, tmp_path / f"clip.{suffix}", wait, options=options)
    data = clip.read_bytes()
    assert find_damage(clip) is None
    assert video(clip, "-o", tmp_path / "whole.mp4", "--codec", "mpeg4") == 0
    for count in range(1000, len(data), 89):
        clip.write_bytes(data[:count])
        assert find_damage(clip) is None, f"cut off at {count}"
    for count in range(1000, len(data) - 700, 89):
        for hole in (bytes(700), np.random.default_rng(count).bytes(700)):
            clip.write_bytes(data[:count] + hole + data[count + 700 :])
            place = find_damage(clip)
            assert place is not None and abs(place - count) < 1400, count
    middle = len(data) // 2
    clip.write_bytes(data[:middle] + bytes(700) + data[middle + 700 :])
    assert video(clip, "-o", tmp_path / "out.mp4", "--codec", "mpeg4") == 1
    one_line(f"{clip}: ", "is damaged at byte", "where frames or sound are missing")
    assert 10 <= len(read(tmp_path / "out.mp4")[0]) < 60


def wait(packet):
    """The second half comes 20 seconds later."""
    if packet.pts * packet.time_base >= 1:
        packet.pts += round(20 / packet.time_base)
        packet.dts = packet.pts


def test_a_clip_whose_rest_is_unreadable_ends_early(tmp_path):
    """All of it is there, but noise."""
    frames = [as_format("yuv420p") for _ in range(100)]
    clip = write(tmp_path / "clip.mkv", "mpeg4", frames, options={"g": "5"})
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 3].ljust(len(data), b"\0"))
    found = open_clip(clip)
    assert 10 < len(list(found.frames())) < 70
    (line,) = found.problems
    assert "ends after" in line and "of 4.0 s" in line and "cut off" not in line


def test_sound_that_is_longer_is_no_end_that_is_missing(video, tmp_path):
    frames = [as_format("yuv420p")] * 5
    clip = write(tmp_path / "clip.mkv", "mpeg4", frames, sound=150)
    assert video(clip, "-o", tmp_path / "out.mp4", "--codec", "mpeg4") == 0
    assert len(read(tmp_path / "out.mp4")[0]) == 5


def test_a_clip_that_begins_late_is_whole(video, tmp_path):
    def late(packet):
        packet.pts += 10_000
        packet.dts += 10_000

    plain = write(tmp_path / "plain.mkv", "mpeg4", [as_format("yuv420p")] * 5)
    clip = remux(plain, tmp_path / "clip.mkv", late)
    assert video(clip, "-o", tmp_path / "out.mp4", "--codec", "mpeg4") == 0
    assert read(tmp_path / "out.mp4")[0] == [n / Fraction(25) for n in range(5)]
    assert open_clip(clip).facts.length == Fraction(1, 5)


def test_a_mask_that_is_cut_off_is_told(video, make_clip, tmp_path, one_line):
    clip = make_clip(tmp_path / "clip.mkv", 12, codec="mpeg4")
    mask = make_clip(tmp_path / "mask.mkv", 12, codec="ffv1")
    data = mask.read_bytes()
    mask.write_bytes(data[: len(data) // 2])
    flags = ["--codec", "mpeg4", "--mask", mask]
    assert video(clip, "-o", tmp_path / "out.mp4", *flags) == 1
    one_line("clip.mkv: --mask", "mask.mkv: is cut off")
    assert len(read(tmp_path / "out.mp4")[0]) == 12


# === Files that are joined ===


def test_transport_streams_that_are_joined(video, make_clip, tmp_path, capsys):
    """Times begin again where the second one does: picture and sound go on, in step."""
    for name, size in (("a.ts", (48, 64)), ("b.ts", (64, 48))):
        make_clip(tmp_path / name, 15, size=size, rate="25", codec="mpeg2video", sound=("stereo",))
    clip = tmp_path / "clip.ts"
    clip.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    assert video(clip, "-o", tmp_path / "out.mp4", "--codec", "mpeg4") == 0
    assert "frames change their size at 0.6" in capsys.readouterr().err
    times = read(tmp_path / "out.mp4")[0]
    assert len(times) in (29, 30)  # FFmpeg loses one where the size changes.
    assert times[-1] - times[0] == Fraction(29, 25)
    sounds = [_sound_times(tmp_path / name) for name in ("a.ts", "out.mp4")]
    first = len(sounds[0])
    assert len(sounds[1]) == 2 * first
    # The second one's sound begins with its picture.
    assert abs(sounds[1][first] - sounds[1][0] - Fraction(15, 25)) < Fraction(1, 1000)
    # Also from the midst of it, where no time tells which part is meant.
    assert video(clip, "-o", tmp_path / "end.mp4", "--codec", "mpeg4", "--start", "0.9") == 0
    assert 5 < len(read(tmp_path / "end.mp4")[0]) < 10


@pytest.mark.parametrize("name", ["clip.ts", "clip.mpg", "parts.mp4", "raw.h264", "clip.avi"])
def test_a_part_is_what_all_of_it_holds_there(video, make_clip, tmp_path, name):
    """Containers lead to packets that cannot be decoded, to later ones, or to none at all."""
    clip, sound = tmp_path / name, () if name in ("clip.mpg", "raw.h264") else ("stereo",)
    codec = {"clip.mpg": "mpeg2video", "clip.avi": "mpeg4"}.get(name, "libx264")
    whole = clip.with_suffix(".mkv") if name == "parts.mp4" else clip
    make_clip(whole, 90, rate="25", codec=codec, sound=sound, options={"g": "40"})
    if whole != clip:
        remux(whole, clip, options={"movflags": "frag_keyframe+empty_moov"})
    opened = open_clip(clip)
    frames = list(opened.frames())
    assert len(frames) == 90
    for start in map(Fraction, ("0.02", "0.7", "1.63", "3.5")):
        expected = [frame for frame in frames if frame.time + frame.duration > start]
        found = list(opened.frames(start))
        assert [frame.time for frame in found] == [frame.time for frame in expected]
        assert all(
            np.array_equal(one.colors, other.colors)
            for one, other in zip(found, expected, strict=True)
        )
    if sound:
        out = tmp_path / "out.mkv"
        assert video(clip, "-o", out, "--codec", "ffv1", "--start", "0.5") == 0
        with av.open(str(clip)) as container:
            begin = Fraction(container.start_time, av.time_base)
        times = [time - begin - Fraction(1, 2) for time in _sound_times(clip)]
        expected = [time for time in times if time >= 0]
        found = _sound_times(out)
        assert len(found) == len(expected)
        # Matroska's ticks are thousandths.
        assert all(abs(a - b) <= Fraction(2, 1000) for a, b in zip(found, expected, strict=True))


def _sound_times(path):
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [packet.pts * packet.time_base for packet in packets if packet.size]


def test_frames_that_become_too_large(make_clip, tmp_path):
    for name, size in (("a.ts", (48, 64)), ("b.ts", (96, 128))):
        make_clip(tmp_path / name, 8, size=size, codec="mpeg2video")
    joined = tmp_path / "clip.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    clip = VideoClip(joined, max_pixels=48 * 64)
    frames = list(clip.frames())
    assert len(frames) in (7, 8) and frames[-1].colors.shape == (*SIZE, 3)
    (line,) = clip.problems
    assert "to 128 x 96 pixels, more than --max-pixels 3072; it ends before them" in line


def test_the_rate_of_dv(video, make_clip, tmp_path):
    """FFmpeg's mean is that of its clock."""
    clip = make_clip(tmp_path / "clip.dv", 3, size=(576, 720), rate="25", codec="dvvideo")
    assert open_clip(clip).facts.rate == 25
    flags = ["--codec", "mpeg4", "--content-size", 48]
    assert video(clip, "-o", tmp_path / "out.mp4", *flags) == 0
    assert read(tmp_path / "out.mp4")[0] == [0, Fraction(1, 25), Fraction(2, 25)]


def test_mpeg_4_of_a_clock_that_it_does_not_know(video, make_clip, tmp_path):
    """Transport streams count ninety-thousandths, MPEG-4 part 2 no more than 65,535 a second."""
    clip = make_clip(tmp_path / "clip.ts", 12, codec="mpeg2video")
    assert video(clip, "-o", tmp_path / "out.mp4", "--codec", "mpeg4") == 0
    assert read(tmp_path / "out.mp4")[0] == [n * Fraction(1001, 30000) for n in range(12)]


# === Other streams, names and notes ===


def test_attachments_and_covers(video, tmp_path, capsys):
    plain = write(tmp_path / "plain.mkv", "mpeg4", [as_format("yuv420p")] * 3)
    with av.open(str(plain)) as old, av.open(str(tmp_path / "clip.mkv"), "w") as out:
        copy = out.add_stream_from_template(old.streams.video[0])
        out.add_attachment("font.ttf", "font/ttf", b"letters")
        for packet in old.demux():
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    assert video(tmp_path / "clip.mkv", "-o", tmp_path / "out.mp4", "--codec", "mpeg4") == 0
    assert "its attachment is left out, which .mp4 cannot hold" in capsys.readouterr().err
    assert video(tmp_path / "clip.mkv", "-o", tmp_path / "out.mkv", "--codec", "mpeg4") == 0
    assert read(tmp_path / "out.mkv")[2] == [("video", "mpeg4"), ("attachment", None)]
    # A cover is not another video.
    with av.open(str(plain)) as old, av.open(str(tmp_path / "cover.mp4"), "w") as out:
        copy = out.add_stream_from_template(old.streams.video[0])
        cover = out.add_stream("mjpeg")
        cover.height, cover.width, cover.pix_fmt = 48, 64, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        out.mux([*cover.encode(as_format("yuvj420p")), *cover.encode(None)])
        for packet in old.demux():
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    for source, target in (("cover.mp4", "again.mkv"), ("again.mkv", "again.mp4")):
        assert video(tmp_path / source, "-o", tmp_path / target, "--codec", "mpeg4") == 0
        with av.open(str(tmp_path / target)) as container:
            covers = [s.disposition & Disposition.attached_pic for s in container.streams.video]
        assert [bool(each) for each in covers] == [False, True]


def test_files_are_known_by_their_content(video, make_clip, tmp_path):
    """Messengers call clips .gif, and some send GIF as .mp4."""
    make_clip(tmp_path / "plain.mp4", 4, codec="mpeg4")
    shutil.move(tmp_path / "plain.mp4", tmp_path / "clip.gif")
    assert video(tmp_path / "clip.gif", "-o", tmp_path / "a.mp4", "--codec", "mpeg4") == 0
    assert len(read(tmp_path / "a.mp4")[0]) == 4
    meta = imaging.ImageMeta(duration=20)
    frames = [(np.full((48, 64, 3), 60 * n, "uint8"), meta) for n in range(3)]
    imaging.save_frames(tmp_path / "plain.gif", iter(frames))
    shutil.move(tmp_path / "plain.gif", tmp_path / "clip.mp4")
    assert video(tmp_path / "clip.mp4", "-o", tmp_path / "b.mp4", "--codec", "mpeg4") == 0
    assert read(tmp_path / "b.mp4")[0] == [0, Fraction(2, 100), Fraction(4, 100)]


_CONTAINERS = {"mp4": "mpeg4", "mkv": "mpeg4", "avi": "mpeg4", "ts": "mpeg2video", "flv": "flv",
               "m2ts": "mpeg2video", "asf": "mpeg4", "ogv": "libvpx", "mpg": "mpeg2video",
               "y4m": "rawvideo"}  # fmt: skip


@pytest.mark.parametrize("container", _CONTAINERS)
def test_videos_that_are_called_like_pictures(
    video, tmp_path, tiny_preset, gallery, exact, one_line, container
):
    """`adain stylize` takes them as clips; where a picture is needed, it is said what they are."""
    frames = [as_format("yuv420p") for _ in range(40)]
    plain = write(tmp_path / f"a.{container}", _CONTAINERS[container], frames)
    photo = plain.rename(tmp_path / "photo.gif")
    words = ["--style", gallery[1] / "x.png", "--checkpoint", tiny_preset, "--quiet"]
    words += ["--out-path", tmp_path / "out"]
    assert cli.main(["stylize", "--content-path", *map(str, [photo, *words])]) == 0
    assert len(read(tmp_path / "out" / "photo_stylized_x.mp4")[0]) == 40
    # In a folder of pictures it is none.
    (tmp_path / "folder").mkdir()
    jpg = photo.rename(tmp_path / "folder" / "photo.jpg")
    assert cli.main(["stylize", "--content-path", *map(str, [jpg.parent, *words])]) == 1
    one_line(str(jpg), "is a video", "adain video")


def test_a_video_as_style_is_told(video, tmp_path, tiny_preset, one_line):
    clip = write(tmp_path / "clip.mkv", "mpeg4", [as_format("yuv420p")] * 4)
    style = shutil.copy(clip, tmp_path / "style.jpg")
    words = ["-o", tmp_path / "out.mp4", "--checkpoint", tiny_preset, "--quiet", "--style", style]
    assert cli.main(["video", *map(str, [clip, *words])]) == 1
    one_line("style.jpg: is a video", "save one of its frames as JPEG or PNG")
    # As a mask it is one that moves.
    words = ["-o", tmp_path / "out.mp4", "--mask", style, "--codec", "mpeg4"]
    assert video(clip, *words) == 0


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif"])
def test_pictures_that_are_called_like_videos(
    video, tmp_path, tiny_preset, gallery, exact, one_line, suffix
):
    imaging.save_image(tmp_path / f"plain{suffix}", smooth()[..., :3])
    clip = (tmp_path / f"plain{suffix}").rename(tmp_path / "photo.mp4")
    assert video(clip, "-o", tmp_path / "out.mp4") == 1
    one_line(f"{clip}: is a single picture, no clip. Use `adain stylize`")
    words = ["--style", gallery[1] / "x.png", "--checkpoint", tiny_preset, "--quiet"]
    words += ["--out-path", tmp_path / "out"]
    assert cli.main(["stylize", "--content-path", *map(str, [clip, *words])]) == 0
    assert imaging.load_image(tmp_path / "out" / "photo_stylized_x.png").shape == (*SIZE, 3)


@pytest.mark.parametrize("name", ["a:b.mkv", "http:clip.mkv"])
def test_names_with_a_colon(video, tmp_path, monkeypatch, name):
    """What comes before it is no protocol."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c:d").mkdir()
    write(tmp_path / name, "mpeg4", [as_format("yuv420p")] * 2)
    assert video(name, "-o", "c:d/out.mp4", "--codec", "mpeg4") == 0
    assert len(read(tmp_path / "c:d" / "out.mp4")[0]) == 2


@pytest.mark.parametrize("first", ["opaque", "transparent"])
@pytest.mark.parametrize("suffix", ["gif", "png", "mov"])
def test_frames_of_which_some_are_transparent(video, tmp_path, caplog, capsys, first, suffix):
    """Numbered pictures, half of them with transparency."""
    clear = smooth()
    clear[..., 3] = 0
    for number in range(2):
        meta = imaging.ImageMeta()
        if (number == 0) == (first == "transparent"):
            meta = imaging.ImageMeta(alpha=clear[..., 3])
        imaging.save_image(tmp_path / f"in_{number}.png", clear[..., :3], meta=meta)
    flags = ["--codec", "png"] if suffix == "mov" else []
    assert video(tmp_path / "in_%d.png", "-o", tmp_path / f"out.{suffix}", *flags) == 0
    if suffix == "mov":
        found = [(f.colors, f.alpha) for f in open_clip(tmp_path / "out.mov").frames()]
    else:
        image = imaging.open_image(tmp_path / f"out.{suffix}")
        found = [(colors, meta.alpha) for colors, meta in image.frames()]
    assert len(found) == 2
    if first == "transparent":
        assert found[0][1].max() == 0 and found[1][1].min() == 255
    else:
        assert found[1][0].max() == 0 and (found[1][1] is None or found[1][1].min() == 255)
        assert "transparent parts become black" in caplog.text + capsys.readouterr().err


@pytest.mark.parametrize("deep", [False, True])
def test_pictures_of_all_sizes_and_modes(video, tmp_path, capsys, deep):
    """Numbered pictures: those of other sizes are fitted in, with their transparency."""
    from PIL import Image

    shapes = [("RGB", SIZE), ("L", SIZE), ("RGBA", (48, 32)), ("P", (24, 64)), ("1", SIZE)]
    shapes += [("I;16", SIZE)] if deep else []
    for number, (mode, (height, width)) in enumerate(shapes):
        picture = Image.new(mode, (width, height), 1 if mode == "1" else None)
        picture.save(tmp_path / f"in_{number}.png")
    assert video(tmp_path / "in_%d.png", "-o", tmp_path / "out.mp4", "--codec", "mpeg4") == 0
    assert "in_2.png is 32 x 48, fitted into the first one's 64 x 48" in capsys.readouterr().err
    _, pictures, _ = read(tmp_path / "out.mp4")
    assert [picture.shape for picture in pictures] == [(*SIZE, 3)] * len(shapes)


def test_opaque_clips_lose_no_transparency(video, tmp_path, capsys):
    """It is told of those that are transparent in places."""
    frame = as_format("rgba")
    clip = write(tmp_path / "clip.mov", "png", [frame] * 2)
    assert video(clip, "-o", tmp_path / "a.mp4", "--codec", "mpeg4") == 0
    assert capsys.readouterr().err.count("transparent parts become black") == 1
    opaque = smooth()
    opaque[..., 3] = 255
    frame = av.VideoFrame.from_ndarray(opaque, format="rgba")
    clip = write(tmp_path / "opaque.mov", "png", [frame] * 2)
    assert video(clip, "-o", tmp_path / "b.mp4", "--codec", "mpeg4") == 0
    assert capsys.readouterr().err == ""


def test_a_disk_that_is_full_when_all_is_joined(video, tmp_path, one_line):
    """Really: by the system's limit on the size of files, which sound reaches."""
    resource = pytest.importorskip("resource")
    clip = tmp_path / "clip.mov"
    write_with_silence(clip, "pcm_s16le", 48000, "stereo", 200_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        status = video(clip, "-o", tmp_path / "out.mov", "--codec", "mpeg4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 1
    one_line("out.mov: cannot be written")
    assert not (tmp_path / "out.mov").exists()
    assert list(tmp_path.glob(".*.part")) == []
    assert video(clip, "-o", tmp_path / "out.mov", "--codec", "mpeg4") == 0
