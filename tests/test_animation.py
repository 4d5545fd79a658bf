"""Animations: every frame, its time, how often it plays, depth and alpha; one frame in memory."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import GifImagePlugin, Image

from adain.imaging import io as imaging
from adain.imaging import png
from adain.imaging.io import ImageError, ImageMeta

SUFFIXES = (".gif", ".webp", ".png", ".avif")


def frames_of(count: int, shape=(24, 32), kind=np.uint8) -> list[np.ndarray]:
    """Smooth colours that move."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    white = np.iinfo(kind).max
    result = []
    for index in range(count):
        planes = (
            (x + 3 * index) % shape[1] / shape[1],
            y / shape[0],
            np.full(shape, index / count),
        )
        result.append(np.rint(np.stack(planes, axis=-1) * white).astype(kind))
    return result


def saved(path, images, durations=50, alphas=None, **meta):
    durations = [durations] * len(images) if isinstance(durations, int | float) else durations
    alphas = alphas or [None] * len(images)
    metas = (ImageMeta(duration=d, alpha=a, **meta) for d, a in zip(durations, alphas, strict=True))
    imaging.save_frames(path, zip(images, metas, strict=True), quality=100)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("count", [2, 7])
def test_every_frame_and_its_time(tmp_path, suffix, count):
    images = frames_of(count)
    durations = [30, 120, 70, 2000, 50, 80, 40][:count]
    path = saved(tmp_path / f"a{suffix}", images, durations, loop=0)
    opened = imaging.open_image(path)
    assert opened.is_animated and opened.n_frames == count and opened.size == (24, 32)
    again = list(opened.frames())
    assert [meta.duration for _, meta in again] == durations
    for (frame, _), wanted in zip(again, images, strict=True):
        assert np.abs(frame.astype(int) - wanted).mean() < 9
        assert frame.flags.writeable and frame.flags.c_contiguous
    with Image.open(path) as other:
        assert other.n_frames == count
    # A second time, from the beginning.
    assert np.array_equal(next(opened.frames())[0], again[0][0])
    assert np.array_equal(opened.read()[0], again[0][0])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_frames_stay(tmp_path, suffix):
    images = [frames_of(2)[index // 5 % 2] for index in range(31)]
    path = saved(tmp_path / f"a{suffix}", images, 40)
    assert [meta.duration for _, meta in imaging.read_frames(path)] == [40] * 31
    same = [np.full((9, 9, 3), 80, np.uint8)] * 4
    assert len(list(imaging.read_frames(saved(tmp_path / f"b{suffix}", same)))) == 4


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("loop", [0, 1, 2, 7, None])
def test_loops(tmp_path, suffix, loop):
    path = saved(tmp_path / f"a{suffix}", frames_of(2), loop=loop)
    found = imaging.open_image(path).loop
    # Without a count a GIF plays once; the others count that as 1.
    assert found == loop or (loop is None and found == 1 and suffix != ".gif")
    with Image.open(path) as other:
        assert other.info.get("loop") == found
    # And once more, as a user does.
    again = tmp_path / f"b{suffix}"
    imaging.save_frames(again, imaging.read_frames(path))
    assert imaging.open_image(again).loop == found


def test_avif_says_that_it_plays_for_ever(tmp_path, caplog):
    saved(tmp_path / "a.avif", frames_of(2), loop=3)
    assert "plays 3 times" in caplog.text


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("durations", [[0, 0, 0], [1, 9, 16], [33.3, 33.3, 33.4], [65_000] * 3])
def test_odd_times(tmp_path, suffix, durations):
    path = saved(tmp_path / f"a{suffix}", frames_of(3), durations)
    found = [meta.duration for _, meta in imaging.read_frames(path)]
    step = 10 if suffix == ".gif" else 1
    assert max(abs(a - b) for a, b in zip(found, durations, strict=True)) <= step
    # What rounding takes from one frame, the next one gets.
    assert abs(sum(found) - sum(durations)) <= step * (1 if suffix == ".gif" else 3)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_alpha_of_each_frame(tmp_path, suffix):
    images, alphas = frames_of(4), []
    for index in range(4):
        alpha = np.zeros((24, 32), np.uint8)
        alpha[::2, 5 * index : 5 * index + 12] = 255
        alphas.append(alpha)
    path = saved(tmp_path / f"a{suffix}", images, alphas=alphas)
    for (frame, meta), alpha, image in zip(imaging.read_frames(path), alphas, images, strict=True):
        assert np.abs(meta.alpha.astype(int) - alpha).max() <= 8
        assert np.abs(frame.astype(int) - image)[alpha == 255].mean() < 14


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_opaque_and_transparent_frames_mix(tmp_path, suffix):
    clear, full = np.zeros((24, 32), np.uint8), np.full((24, 32), 255, np.uint8)
    clear[6:18, 8:24] = 255
    given = [full, clear, None, clear]
    path = saved(tmp_path / f"a{suffix}", frames_of(4), alphas=given)
    again = tmp_path / f"b{suffix}"
    imaging.save_frames(again, imaging.read_frames(path), quality=100)
    for found in (path, again):
        alphas = [meta.alpha for _, meta in imaging.read_frames(found)]
        for alpha, wanted in zip(alphas, [full, clear, full, clear], strict=True):
            assert np.abs(alpha.astype(int) - wanted).max() <= 8
    with pytest.raises(ValueError, match="alpha plane from the first one on"):
        saved(tmp_path / f"c{suffix}", frames_of(2), alphas=[None, clear])


def test_half_transparent_gif_is_told(tmp_path, caplog):
    alphas = [np.full((24, 32), level, np.uint8) for level in (100, 200)]
    path = saved(tmp_path / "a.gif", frames_of(2), alphas=alphas)
    assert caplog.text.count("half-transparent") == 1 and "a.gif" in caplog.text
    first, second = (meta.alpha for _, meta in imaging.read_frames(path))
    assert (first == 0).all() and (second == 255).all()


def test_lost_transparency_is_told(tmp_path, caplog):
    image, half = frames_of(1)[0], np.full((24, 32), 99, np.uint8)
    for name, alpha, told in (
        ("a.jpg", half, "a.jpg: JPEG has no transparency"),
        ("b.gif", half, "b.gif: GIF has no half"),
        ("c.jpg", np.full_like(half, 255), ""),
        ("d.gif", half // 99 * 255, ""),
        ("e.png", half, ""),
    ):  # fmt: skip
        caplog.clear()
        imaging.save_image(tmp_path / name, image, meta=ImageMeta(alpha=alpha))
        assert told in caplog.text and bool(caplog.text) == bool(told)
        imaging.save_image(tmp_path / name, np.dstack([image, alpha]))
        assert caplog.text.count(name) == 2 * bool(told)


def test_sixteen_bits_of_apng(tmp_path):
    images = frames_of(5, kind=np.uint16)
    images = [image + np.uint16(index) for index, image in enumerate(images)]
    alphas = [np.full((24, 32), 60_000 + index, np.uint16) for index in range(5)]
    for given in (None, alphas):
        path = saved(tmp_path / "a.png", images, alphas=given)
        for index, (frame, meta) in enumerate(imaging.read_frames(path, keep_depth=True)):
            assert frame.dtype == np.uint16 and np.array_equal(frame, images[index])
            assert meta.bits == 16
            assert meta.alpha is None if given is None else np.array_equal(meta.alpha, given[index])
        eight = [frame for frame, _ in imaging.read_frames(path)]
        assert np.array_equal(eight[4], np.rint(images[4] / 257))


@pytest.mark.parametrize("suffix", [".webp", ".png", ".avif"])
def test_profile_and_exif_of_animations(tmp_path, suffix):
    from adain.imaging.icc import srgb

    block = b"Exif\0\0II*\0\x08\0\0\0\1\0\x0f\1\2\0\4\0\0\0abc\0\0\0\0\0"
    path = saved(tmp_path / f"a{suffix}", frames_of(3), icc_profile=srgb(), exif=block, history="h")
    opened = imaging.open_image(path)
    _, meta = opened.read()
    assert meta.icc_profile == srgb() and b"abc\0" in meta.exif and opened.history == "h"
    with Image.open(path) as other:
        assert other.info["icc_profile"] == srgb() and other.getexif()[0x010F] == "abc"


# Reading what others write ------------------------------------------------------------------------


def gif(width: int, height: int, *blocks: bytes, table=(0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255)):
    head = struct.pack("<6sHHBBB", b"GIF89a", width, height, 0x80 | 1, 0, 0) + bytes(table)
    return head + b"".join(blocks) + b";"


def part(
    box: tuple[int, int, int, int], index: int, dispose: int, time=5, clear: int | None = None
):
    """A rectangle (left, top, width, height) of one colour."""
    picture = Image.new("P", box[2:], index)
    body = b"".join(GifImagePlugin.getdata(picture, box[:2]))
    flags = dispose << 2 | (clear is not None)
    return b"!\xf9\4" + struct.pack("<BHBB", flags, time, clear or 0, 0) + body


def test_gif_disposal_and_offsets():
    data = gif(
        8, 8,
        part((0, 0, 8, 8), 1, 1),  # red stays
        part((2, 2, 3, 3), 2, 3),  # green, undone
        part((4, 4, 4, 4), 3, 2),  # blue, cleared
        part((0, 0, 1, 1), 2, 1, time=0),
    )  # fmt: skip
    shown = list(imaging.read_frames(data))
    red, green, blue = ([255, 0, 0], [0, 255, 0], [0, 0, 255])
    assert [meta.duration for _, meta in shown] == [50, 50, 50, 0]
    assert shown[0][0][3, 3].tolist() == red
    assert shown[1][0][3, 3].tolist() == green and shown[1][0][6, 6].tolist() == red
    assert shown[2][0][3, 3].tolist() == red and shown[2][0][6, 6].tolist() == blue
    assert shown[3][0][0, 0].tolist() == green and shown[3][0][6, 6].tolist() == [0, 0, 0]
    assert shown[3][0][3, 3].tolist() == red and shown[0][1].loop is None


def apng(kind: int, frames: list[tuple], plays: int = 0, still: bytes | None = None) -> bytes:
    """8 x 8, 8 bits; frames are (left, top, width, height, dispose, blend, pixels)."""
    head = struct.pack(">IIBBBBB", 8, 8, 8, kind, 0, 0, 0)
    body = png.SIGNATURE + png.chunk(b"IHDR", head)
    body += png.chunk(b"acTL", struct.pack(">II", len(frames), plays))
    if still is not None:
        body += png.chunk(b"IDAT", zlib.compress(still))
    number = 0
    for index, (left, top, width, height, dispose, blend, pixels) in enumerate(frames):
        place = (width, height, left, top, 3, 0, dispose, blend)
        body += png.chunk(b"fcTL", struct.pack(">5I2H2B", number, *place))
        number += 1
        if index == 0 and still is None:
            body += png.chunk(b"IDAT", zlib.compress(pixels))
        else:
            body += png.chunk(b"fdAT", struct.pack(">I", number) + zlib.compress(pixels))
            number += 1
    return body + png.chunk(b"IEND", b"")


def block(width: int, height: int, *color: int) -> bytes:
    return height * (b"\0" + width * bytes(color))


def test_apng_rules():
    frames = [
        (0, 0, 8, 8, 0, 0, block(8, 8, 200, 0, 0, 255)),
        (2, 2, 3, 3, 2, 0, block(3, 3, 0, 200, 0, 255)),  # undone
        (4, 4, 4, 4, 1, 1, block(4, 4, 0, 0, 200, 128)),  # laid over, then cleared
        (0, 0, 1, 1, 0, 0, block(1, 1, 9, 9, 9, 0)),  # replaces with nothing
    ]
    data = apng(6, frames, plays=4)
    shown = list(imaging.read_frames(data))
    assert [meta.duration for _, meta in shown] == [30] * 4 and shown[0][1].loop == 4
    assert shown[0][0][3, 3].tolist() == [200, 0, 0] and shown[1][0][3, 3].tolist() == [0, 200, 0]
    assert shown[2][0][6, 6].tolist() == [100, 0, 100] and shown[3][1].alpha[6, 6] == 0
    # What is laid over something opaque leaves it so.
    assert (shown[2][1].alpha == 255).all() and shown[2][0][3, 3].tolist() == [200, 0, 0]
    assert shown[3][1].alpha[0, 0] == 0 and shown[3][0][3, 3].tolist() == [200, 0, 0]


def test_apng_of_two_frames_and_a_separate_still(tmp_path):
    frames = [
        (0, 0, 8, 8, 0, 0, block(8, 8, 10, 20, 30)),
        (0, 0, 8, 8, 0, 0, block(8, 8, 40, 50, 60)),
    ]
    data = apng(2, frames)
    assert imaging.is_animated(data)
    assert [frame[0, 0].tolist() for frame, _ in imaging.read_frames(data)] == [
        [10, 20, 30],
        [40, 50, 60],
    ]
    assert all(meta.alpha is None for _, meta in imaging.read_frames(data))
    imaging.save_frames(tmp_path / "a.png", imaging.read_frames(data))
    again = imaging.open_image(tmp_path / "a.png")
    assert again.n_frames == 2 and [f[0, 0, 0] for f, _ in again.frames()] == [10, 40]
    with_still = apng(2, frames, still=block(8, 8, 1, 2, 3))
    assert imaging.open_image(with_still).n_frames == 2
    assert [frame[0, 0, 0] for frame, _ in imaging.read_frames(with_still)] == [10, 40]
    assert imaging.load_image(with_still)[0, 0].tolist() == [1, 2, 3]
    # One frame only is a still.
    assert not imaging.is_animated(apng(2, frames[:1]))


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_truncated_in_the_midst(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a{suffix}", list(noise))
    data = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ImageError, match=rf"^[^\n]*a\{suffix}: [^\n]+\.$"):
            list(imaging.read_frames(path))


def test_frame_outside_of_the_picture():
    for box in ((60_000, 60_000, 4, 4), (0, 0, 40_000, 40_000)):
        head = part((0, 0, 8, 8), 1, 1)
        far = head[: 8 + 1] + struct.pack("<4H", *box) + head[8 + 9 :]
        for data in (gif(8, 8, head, far), gif(8, 8, head, far, head), gif(8, 8, far, head)):
            with pytest.raises(ImageError, match="outside|more than"):
                list(imaging.read_frames(data, max_pixels=10_000))
    data = apng(
        2, [(0, 0, 8, 8, 0, 0, block(8, 8, 1, 2, 3)), (6, 6, 4, 4, 0, 0, block(4, 4, 1, 2, 3))]
    )
    with pytest.raises(ImageError, match="outside"):
        list(imaging.read_frames(data))


# Limits and memory --------------------------------------------------------------------------------


def test_limit_of_one_frame_is_told_in_the_same_words():
    told = "60000 x 65535 are more than 178956970 pixels. Raise .* --max-pixels 3932100000"
    with pytest.raises(ImageError, match=told):
        imaging.open_image(gif(65535, 60000))


def test_limit_counts_frames(tmp_path):
    picture = Image.new("P", (4000, 4000))
    body = b"".join(GifImagePlugin.getdata(picture))
    empty = b"!\xf9\4" + struct.pack("<BHBB", 4, 5, 0, 0)
    one = b"," + struct.pack("<4HB", 0, 0, 4000, 4000, 0) + body[10:]
    path = tmp_path / "bomb.gif"
    path.write_bytes(gif(4000, 4000, *([empty + one] * 30)))
    tracemalloc.start()
    told = (
        r"bomb.gif: 30 frames of 4000 x 4000 are more than 178956970 pixels. Raise .* 480000000\."
    )
    with pytest.raises(ImageError, match=told):
        next(imaging.read_frames(path))
    assert tracemalloc.get_traced_memory()[1] < 20 * 1024**2
    tracemalloc.stop()
    # As a style its first frame is read.
    assert imaging.load_image(path).shape == (4000, 4000, 3)
    small = saved(tmp_path / "a.gif", frames_of(5))
    assert len(list(imaging.read_frames(small, max_pixels=5 * 24 * 32))) == 5
    with pytest.raises(ImageError, match=f"--max-pixels {5 * 24 * 32}"):
        next(imaging.read_frames(small, max_pixels=5 * 24 * 32 - 1))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_are_asked_for_as_they_are_written(tmp_path, suffix):
    """Of 60 frames no more than a few are alive."""
    alive, most = set(), 0

    class Counted(np.ndarray):
        def __del__(self):
            alive.discard(self.key) if hasattr(self, "key") else None

    def made():
        nonlocal most
        for index in range(60):
            image = np.full((64, 64, 3), index, np.uint8).view(Counted)
            image.key = index
            alive.add(index)
            most = max(most, len(alive))
            yield image, ImageMeta(duration=40)
            del image

    imaging.save_frames(tmp_path / f"a{suffix}", made())
    assert most <= 5
    assert imaging.open_image(tmp_path / f"a{suffix}").n_frames == 60


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_memory_does_not_grow(tmp_path, suffix):
    """Reading and writing 40 frames takes what 10 take."""
    peaks = []
    for count in (10, 40):
        frames = (
            (np.full((256, 256, 3), index, np.uint8), ImageMeta(duration=40))
            for index in range(count)
        )
        tracemalloc.start()
        imaging.save_frames(tmp_path / f"a{suffix}", frames)
        imaging.save_frames(tmp_path / f"b{suffix}", imaging.read_frames(tmp_path / f"a{suffix}"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0] + 200_000


def test_frames_that_do_not_fit(tmp_path):
    images = [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)]
    path = tmp_path / "a.gif"
    path.write_bytes(b"old")
    with pytest.raises(
        ValueError, match=r"`frames` must all be 8 x 8 uint8. Received: shape=\(8, 9, 3\)"
    ):
        saved(path, images)
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["a.gif"]

    def failing():
        yield images[0], ImageMeta()
        yield images[0], ImageMeta()
        raise ImageError("photo.gif: the file is truncated")

    with pytest.raises(ImageError, match="photo.gif"):
        imaging.save_frames(path, failing())
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["a.gif"]
    buffer = io.BytesIO()
    imaging.save_frames(buffer, [(images[0], ImageMeta(format="WEBP"))] * 2)
    assert buffer.getvalue()[8:12] == b"WEBP"
