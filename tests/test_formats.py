"""Which files are read at all: by content, from a list, and without starting any program."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adain.imaging import io as imaging
from adain.imaging.formats import FORMATS, IMAGE_SUFFIXES, WRITERS, ImageError
from adain.stylize.inputs import to_mask

POSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(marker) (w) file closefile showpage\n"
)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
REFUSED = {
    "PostScript": POSTSCRIPT,
    "EPS with a preview": b"\xc5\xd0\xd3\xc6\x1e\0\0\0"
    + bytes([len(POSTSCRIPT)])
    + bytes(21)
    + POSTSCRIPT,
    "PDF": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n",
    "SVG": b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc'/></svg>",
    "SVG without a declaration": b"<svg width='9' height='9'/>",
    "Windows metafile": b"\xd7\xcd\xc6\x9a\0\0" + bytes(8) + b"\x09\0\x09\0" + bytes(40),
    "enhanced metafile": b"\1\0\0\0\x6c\0\0\0" + bytes(32) + b" EMF" + bytes(60),
    "FlashPix or Image Composer": OLE + bytes(504),
    "Photoshop": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x09\0\0\0\x09\0\x08\0\3" + bytes(40),
    "Microsoft Paint": b"DanM\x09\0\x09\0" + bytes(24),
    "Microsoft Paint 2": b"LinS\x09\0\x09\0" + bytes(24),
    "MIFF": b"id=ImageMagick\nrows=9 columns=9\n:\x1a" + bytes(99),
    "MVG": b"push graphic-context\nimage over 0,0 0,0 'https://x'\npop graphic-context\n",
    "icon": b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0" + bytes(40),
    "cursor": b"\0\0\2\0\1\0\x10\x10\0\0\1\0\x20\0" + bytes(40),
    "Apple icon": b"icns\0\0\0\x40" + bytes(60),
    "PCX": b"\x0a\5\1\x08" + bytes(124),
    "Sun raster": b"\x59\xa6\x6a\x95" + bytes(40),
    "SGI": b"\x01\xda\1\1\0\3\0\x09\0\x09\0\3" + bytes(500),
    "DDS": b"DDS \x7c\0\0\0" + bytes(120),
    "XPM": b'/* XPM */\nstatic char *x[] = {"1 1 1 1", "a c red", "a"};\n',
    "XBM": b"#define x_width 8\n#define x_height 1\nstatic char x_bits[] = {0};\n",
    "FITS": b"SIMPLE  =                    T" + b" " * 99,
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "GRIB": b"GRIB" + bytes(3) + b"\1" + bytes(40),
    "FLI": b"\x40\0\0\0\x11\xaf" + bytes(120),
    "ZIP": b"PK\3\4" + bytes(40),
    "HEIC": b"\0\0\0\x18ftypheic" + bytes(40),
    "JPEG XL": b"\xff\x0a" + bytes(40),
    "OpenEXR": b"\x76\x2f\x31\x01" + bytes(40),
    "video": b"\0\0\0\x18ftypmp42" + bytes(40),
    "raw photo": b"II*\0\x10\0\0\0CR\2\0" + bytes(400),
    "pickle": b"\x80\4cos\nsystem\n(S'touch marker'\ntR.",
    "web page": b"<!DOCTYPE html><html><body>404</body></html>",
    "text": b"no picture at all\n" * 9,
    "zeros": bytes(9999),
    "float Netpbm": b"PF\n1 1\n-1.0\n" + bytes(12),
}
"""Kinds of files that Pillow, OpenCV or ImageMagick would read, or start a program for."""

started: list[tuple] = []
_PROCESSES = ("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn",
              "os.spawn", "os.startfile", "os.system", "pty.spawn", "socket.connect")  # fmt: skip
_watched: list[bool] = []


def _watch(event: str, arguments: tuple) -> None:
    if _watched and event in _PROCESSES:
        started.append((event, arguments))


@pytest.fixture
def no_programs(tmp_path, monkeypatch):
    """Programs that leave a mark are first on PATH; what Python starts is noted."""
    bin, mark = tmp_path / "bin", tmp_path / "mark"
    bin.mkdir()
    for name in ("gs", "gswin32c", "gswin64c", "convert", "magick", "inkscape", "rsvg-convert",
                 "pdftoppm", "ffmpeg", "djpeg", "dwebp", "dcraw", "sh", "wmf2svg"):  # fmt: skip
        (bin / name).write_text(f"#!/bin/bash\necho {name} >> {mark}\nexit 1\n")
        (bin / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}{os.pathsep}{os.environ['PATH']}")
    if not hasattr(sys, "_adain_watch"):
        # Such a hook stays until the process ends.
        sys.addaudithook(_watch)
        sys._adain_watch = True
    started.clear()
    _watched.append(True)
    yield
    _watched.clear()
    assert not started and not mark.exists()


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_kinds_start_nothing(tmp_path, no_programs, capfd, kind):
    ways = (
        imaging.load_image, imaging.read_size, imaging.is_animated, imaging.read_history,
        lambda p: imaging.read_image(p, keep_depth=True),
        lambda p: next(imaging.read_frames(p)),
        lambda p: imaging.read_training_image(p, 8),
        lambda p: to_mask(p, "mask", 10**6),
        lambda p: imaging.load_image(Path(p).read_bytes()),
    )  # fmt: skip
    for suffix in sorted(IMAGE_SUFFIXES):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(REFUSED[kind])
        for read in ways if suffix == ".jpg" else ways[:1]:
            with pytest.raises(ImageError, match=r"^[^\n]*(a\.\w+|<bytes>): is [^\n]*\.$"):
                read(path)
    assert capfd.readouterr() == ("", "")


def test_hooks_do_see_programs(tmp_path, no_programs):
    """The two traps above are not blind."""
    subprocess.run(["gs"], check=False)
    assert started and (tmp_path / "mark").read_text() == "gs\n"
    started.clear()
    (tmp_path / "mark").unlink()


def test_roles_of_the_commands(tmp_path, no_programs, tiny_preset, capfd):
    """Content, style, mask, training and evaluation pictures come through the same door."""
    from adain.cli import main
    from adain.training.data import StyleContentDataset

    bad, good = tmp_path / "bad", tmp_path / "good"
    for folder in (bad, good):
        folder.mkdir()
    (bad / "a.jpg").write_bytes(POSTSCRIPT)
    imaging.save_image(good / "a.png", np.full((32, 32, 3), 99, np.uint8))
    base = [
        "stylize",
        "--checkpoint",
        str(tiny_preset),
        "--out-path",
        str(tmp_path / "out"),
        "--quiet",
    ]
    paths = {"--content-path": str(good / "a.png"), "--style-path": str(good / "a.png")}
    for flag in ("--content-path", "--style-path", "--mask"):
        given = paths | {flag: str(bad / "a.jpg")}
        assert main([*base, *(word for pair in given.items() for word in pair)]) in (1, 2)
        assert "PostScript, which is not read" in capfd.readouterr().err
    # The engines ask the machine what it is; no program gets to see a picture.
    assert not [event for event in started if ".jpg" in str(event)]
    started.clear()
    with pytest.raises(ValueError, match="None of the 1 files can be read"):
        StyleContentDataset(bad, good, batch_size=1, image_size=16, crop_size=16).batch(0)
    from adain.evaluation.pairs import Squares
    from adain.sources import Source

    squares = Squares(16)
    assert squares.read(Source(bad / "a.jpg", "a"), "content") is None
    assert "PostScript" in squares.errors[bad / "a.jpg"]


def test_only_allowed_readers_are_loaded(tmp_path):
    """No other of Pillow's readers is even imported."""
    imaging.save_image(tmp_path / "a.jpg", np.zeros((9, 9, 3), np.uint8))
    for format in ("GIF", "WEBP", "AVIF", "BMP", "TIFF", "JPEG2000", "PNG"):
        suffix = next(s for s, name in WRITERS.items() if name == format)
        imaging.save_image(tmp_path / f"b{suffix}", np.zeros((9, 9, 3), np.uint8))
    code = (
        "import sys\nfrom adain.imaging.io import load_image, list_images\n"
        f"for path in list_images({str(tmp_path)!r}): load_image(path)\n"
        "print(*sorted(n for n in sys.modules if n.startswith('PIL.') and 'Plugin' in n))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("PIL.").removesuffix("ImagePlugin") for name in done.stdout.split()}
    assert loaded <= {
        "Jpeg",
        "WebP",
        "Avif",
        "Gif",
        "Bmp",
        "Ppm",
        "Png",
        "Mpo",
        "Tiff",
        "Tga",
        "Qoi",
    }
    assert not loaded & {"Eps", "Wmf", "Fpx", "Mic", "Psd", "Pdf"}


SAMPLE = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


@pytest.mark.parametrize("format", FORMATS)
def test_content_decides_not_the_suffix(tmp_path, format):
    buffer = io.BytesIO()
    Image.fromarray(SAMPLE).save(
        buffer, {"PPM": "PPM", "TGA": "TGA", "QOI": "QOI"}.get(format, format)
    )
    for suffix in sorted(IMAGE_SUFFIXES) + ["", ".txt"]:
        path = tmp_path / f"a{suffix}"
        path.write_bytes(buffer.getvalue())
        opened = imaging.open_image(path)
        assert opened.format == format and opened.size == (12, 20) and not opened.is_animated
    array, meta = opened.read()
    assert array.shape == (12, 20, 3) and meta.format == format
    if format not in ("JPEG", "WEBP", "AVIF", "GIF"):
        assert np.array_equal(array, SAMPLE)


def netpbm(kind: int, most: int | None, body: bytes) -> bytes:
    size = f"P{kind}\n# a comment\n20 12\n" + (f"{most}\n" if most else "")
    return size.encode() + body


def test_netpbm():
    grey = SAMPLE[..., 0]
    assert np.array_equal(imaging.load_image(netpbm(5, 255, grey.tobytes()))[..., 1], grey)
    assert np.array_equal(imaging.load_image(netpbm(6, 255, SAMPLE.tobytes())), SAMPLE)
    text = " ".join(map(str, SAMPLE.ravel())).encode()
    assert np.array_equal(imaging.load_image(netpbm(3, 255, text)), SAMPLE)
    for most in (65535, 1023):
        deep = np.random.default_rng(1).integers(0, most + 1, (12, 20, 3)).astype(">u2")
        wanted = np.rint(deep * (65535 / most)).astype(np.uint16)
        data = netpbm(6, most, deep.tobytes())
        array, meta = imaging.read_image(data, keep_depth=True)
        assert array.dtype == np.uint16 and np.array_equal(array, wanted) and meta.bits == 16
        assert np.array_equal(imaging.load_image(data), np.rint(wanted / 257))
        array, _ = imaging.read_image(netpbm(5, most, deep[..., 0].tobytes()), keep_depth=True)
        assert np.array_equal(array[..., 2], wanted[..., 0])
        with pytest.raises(ImageError, match="truncated"):
            imaging.load_image(data[:-1])
    text = " ".join(map(str, deep[..., 0].ravel())).encode()
    array, meta = imaging.read_image(netpbm(2, 1023, text), keep_depth=True)
    assert np.abs(array[..., 0].astype(int) - wanted[..., 0]).max() <= 1 and meta.bits == 16
    bits = np.packbits(grey > 99, axis=1)
    array, meta = imaging.read_image(netpbm(4, None, bits.tobytes()))
    assert np.array_equal(array[..., 0] == 0, grey > 99) and meta.bits == 1


@pytest.mark.parametrize("compression", [None, "tga_rle"])
@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA"])
def test_tga(mode, compression):
    picture = Image.fromarray(np.dstack([SAMPLE, SAMPLE[..., 0]])).convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, "TGA", compression=compression)
    array, meta = imaging.read_image(buffer.getvalue())
    assert np.array_equal(array, np.asarray(picture.convert("RGB")))
    if mode in ("LA", "RGBA"):
        assert np.array_equal(meta.alpha, SAMPLE[..., 0])


@pytest.mark.parametrize(
    ("format", "kind"),
    [("BMP", np.uint8), ("JPEG2000", np.uint8), ("JPEG2000", np.uint16), ("QOI", np.uint8)],
)
def test_alpha_and_depth_of_the_rarer_formats(format, kind):
    white = np.iinfo(kind).max
    samples = np.random.default_rng(2).integers(0, white + 1, (12, 20, 4)).astype(kind)
    if format == "QOI":
        buffer = io.BytesIO()
        Image.fromarray(samples).save(buffer, "QOI")
        data = buffer.getvalue()
    else:
        meta = imaging.ImageMeta(alpha=samples[..., 3].copy(), dpi=(300, 150))
        data = imaging.encode_image(np.ascontiguousarray(samples[..., :3]), format, meta=meta)
    array, meta = imaging.read_image(data, keep_depth=True)
    assert array.dtype == kind and np.array_equal(array, samples[..., :3])
    assert np.array_equal(meta.alpha, samples[..., 3])
    if format == "BMP":
        assert meta.dpi == pytest.approx((300, 150), abs=0.1)
        with Image.open(io.BytesIO(data)) as other:
            assert other.mode == "RGBA" and np.array_equal(np.asarray(other), samples)


@pytest.mark.parametrize("fourth", ["alpha", "zeros"])
@pytest.mark.parametrize("upwards", [True, False])
def test_bmp_of_32_bits_without_masks(fourth, upwards):
    """The fourth byte is alpha where anything is in it, and else unused."""
    samples = np.random.default_rng(3).integers(1, 256, (11, 7, 4)).astype(np.uint8)
    if fourth == "zeros":
        samples[..., 3] = 0
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, "BMP")
    data = bytearray(buffer.getvalue())
    if not upwards:
        data[22:26] = (-11).to_bytes(4, "little", signed=True)
        data[54:] = samples[..., [2, 1, 0, 3]].tobytes()
    array, meta = imaging.read_image(bytes(data))
    assert np.array_equal(array, samples[..., :3])
    if fourth == "zeros":
        assert meta.alpha is None
    else:
        assert np.array_equal(meta.alpha, samples[..., 3])


# Files that are no files --------------------------------------------------------------------------


def test_pipes_and_devices(tmp_path):
    """Named, they are read once and with a bound; in folders they are left out."""
    data = imaging.encode_png(SAMPLE)
    pipe = tmp_path / "a.png"
    os.mkfifo(pipe)
    (tmp_path / "b.jpg").symlink_to("/dev/zero")
    (tmp_path / "c.png").write_bytes(data)
    (tmp_path / "d.png").symlink_to(tmp_path / "c.png")
    assert [path.name for path in imaging.list_images(tmp_path)] == ["c.png", "d.png"]
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    opened = imaging.open_image(pipe)
    writer.join()
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert opened.size == (12, 20) and not opened.is_animated and opened.history == ""
    assert np.array_equal(opened.read()[0], SAMPLE) and np.array_equal(opened.read()[0], SAMPLE)
    for path in ("/dev/zero", "/dev/urandom", tmp_path / "b.jpg"):
        with pytest.raises(ImageError, match="not a picture that can be read"):
            imaging.load_image(path)
    with pytest.raises(ImageError, match="is empty"):
        imaging.load_image("/dev/null")


def test_endless_picture_is_bounded():
    class Endless(io.RawIOBase):
        name = "endless"
        taken = 0

        def readable(self):
            return True

        def read(self, size=-1):
            start = b"\xff\xd8\xff\xe0" if not self.taken else b""
            self.taken += size
            return start + bytes(size - len(start))

    stream = Endless()
    with pytest.raises(ImageError, match=r"^endless: more than \d+ MB. .*--max-pixels"):
        imaging.load_image(stream, max_pixels=1000)
    assert stream.taken < 100 * 1024**2


@pytest.mark.parametrize("kind", [bytearray, memoryview, bytes, io.BytesIO])
def test_bytes_of_every_sort(kind):
    assert np.array_equal(imaging.load_image(kind(imaging.encode_png(SAMPLE))), SAMPLE)


def test_paths_of_every_sort(tmp_path):
    imaging.save_image(tmp_path / "a.png", SAMPLE)

    class Named:
        def __fspath__(self):
            return str(tmp_path / "a.png")

    for source in (Named(), tmp_path / "a.png", str(tmp_path / "a.png")):
        assert np.array_equal(imaging.load_image(source), SAMPLE)
    for source in (None, 3, SAMPLE):
        with pytest.raises(ImageError, match="a picture must be a path, bytes or a binary file"):
            imaging.load_image(source)


def test_deep_avif_is_told(caplog):
    import imagecodecs

    deep = np.random.default_rng(0).integers(0, 1024, (16, 16, 3)).astype(np.uint16)
    data = imagecodecs.avif_encode(deep, bitspersample=10, level=95)
    array, _ = imaging.read_image(data, keep_depth=True)
    assert array.dtype == np.uint8 and "AVIF of more than 8 bits is read as 8" in caplog.text
    caplog.clear()
    imaging.load_image(imaging.encode_image(SAMPLE, "AVIF"))
    assert not caplog.text


def test_zero_bytes_folder_and_lies(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "dir.jpg").mkdir()
    with pytest.raises(ImageError, match="is empty"):
        imaging.load_image(tmp_path / "empty.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        imaging.load_image(tmp_path / "dir.jpg")
    (tmp_path / "short.png").write_bytes(b"\x89PNG\r\n\x1a\n" + zlib.compress(b"")[:2])
    with pytest.raises(ImageError, match="truncated"):
        imaging.load_image(tmp_path / "short.png")
