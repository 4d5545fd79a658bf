"""Every kind of file in, the same kind out, and no fault passed over in silence."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from adain import constants
from adain.imaging import formats
from adain.imaging import io as image
from adain.imaging.io import ImageError, ImageMeta


def photo(height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth colours, so that lossy formats keep them."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [255 * x / max(width - 1, 1), 255 * y / max(height - 1, 1), 60 + x + y]
    return np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)


def deep_photo(height: int = 48, width: int = 64) -> np.ndarray:
    """`photo` in 16 bits, with low bytes of their own."""
    fine = np.random.default_rng(5).integers(-99, 100, (height, width, 3))
    return np.clip(photo(height, width) * 257.0 + fine, 0, 65535).astype(np.uint16)


def encoded(array: np.ndarray, format: str = "PNG", mode: str | None = None, **options) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(buffer, format, **options)
    return buffer.getvalue()


# Columns are the primaries' XYZ, white being D50.
DISPLAY_P3 = np.array(
    [[0.515102, 0.291965, 0.157153], [0.241182, 0.692236, 0.066582], [-0.00105, 0.041881, 0.784378]]
)
ADOBE_RGB = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
SWAPPED = np.array([[0.3851, 0.4361, 0.1431], [0.7169, 0.2225, 0.0606], [0.0971, 0.0139, 0.7141]])


def profile_of(matrix: np.ndarray | None, gamma: float) -> bytes:
    """A matrix RGB profile, or with None one for grey; the exponent is rounded to 1/256."""

    def tag(body: bytes) -> bytes:
        return body + b"\0" * (-len(body) % 4)

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    text = b"wide"
    desc = b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" * 79
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    white = xyz(0.9642, 1, 0.8249)
    bodies = {b"desc": desc, b"wtpt": white, b"cprt": b"text\0\0\0\0none\0"}
    if matrix is None:
        bodies[b"kTRC"] = curve
    else:
        for name, primary in zip((b"r", b"g", b"b"), matrix.T, strict=True):
            bodies |= {name + b"XYZ": xyz(*primary), name + b"TRC": curve}
    table, data = struct.pack(">I", len(bodies)), b""
    start = 128 + 4 + 12 * len(bodies)
    for name, body in bodies.items():
        table += name + struct.pack(">II", start + len(data), len(body))
        data += tag(body)
    space = b"GRAY" if matrix is None else b"RGB "
    header = struct.pack(">I4sI4s4s4s", start + len(data), b"none", 0x02400000, b"mntr", space,
                         b"XYZ ") + b"\0" * 12 + b"acsp" + b"\0" * 28  # fmt: skip
    header += struct.pack(">iii", *(round(v * 65536) for v in (0.9642, 1, 0.8249)))
    return header + b"\0" * (128 - len(header)) + table + data


def wide_gamut_profile() -> bytes:
    """A profile like none shipped: red and green swapped, gamma 1.8."""
    return profile_of(SWAPPED, 1.8)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_import_is_light():
    names = ("cv2", "imagecodecs", "keras")
    code = "import sys, adain.imaging.io, adain.imaging.color\n"
    code += f"print([n for n in {names} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert image.MAX_PIXELS == constants.MAX_PIXELS


# Modes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["path", "string", "bytes", "file"])
def test_sources(tmp_path, kind):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(photo()))
    if kind == "file":
        with path.open("rb") as file:
            assert np.array_equal(image.load_image(file), photo())
    else:
        source = {"path": path, "string": str(path), "bytes": path.read_bytes()}[kind]
        assert np.array_equal(image.load_image(source), photo())


def test_array_is_writable_and_contiguous():
    array = image.load_image(encoded(photo()))
    assert array.flags.writeable and array.flags.c_contiguous and array.dtype == np.uint8


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "I;16", "I", "YCbCr", "LAB"])
def test_modes_give_rgb(mode):
    if mode == "I;16":
        data = encoded(photo()[..., 0].astype(np.uint16) * 257)
    elif mode == "I":
        data = encoded(photo()[..., 0].astype(np.int32) * 257, "TIFF")
    elif mode == "LAB":
        lab = ImageCms.profileToProfile(
            Image.fromarray(photo()), ImageCms.createProfile("sRGB"),
            ImageCms.createProfile("LAB"), outputMode="LAB",
        )  # fmt: skip
        buffer = io.BytesIO()
        lab.save(buffer, "TIFF")
        data = buffer.getvalue()
    else:
        data = encoded(photo(), "TIFF" if mode in ("CMYK", "YCbCr") else "PNG", mode)
    array, meta = image.read_image(data)
    assert array.shape == (48, 64, 3) and array.dtype == np.uint8
    assert meta.mode == mode and meta.alpha is None
    assert meta.is_grey == (mode in ("L", "1", "I;16", "I"))
    if meta.is_grey:
        assert np.array_equal(array[..., 0], array[..., 2])
    if mode in ("I;16", "I"):
        assert np.array_equal(array[..., 0], photo()[..., 0])
    if mode in ("YCbCr", "CMYK", "LAB"):
        assert np.abs(array.astype(int) - photo()).mean() < 4


def test_float_tiff():
    array = image.load_image(encoded(photo()[..., 0].astype(np.float32) / 255, "TIFF"))
    assert np.array_equal(array[..., 1], photo()[..., 0])


def test_cmyk_jpeg():
    array, meta = image.read_image(encoded(photo(), "JPEG", "CMYK", quality=98))
    assert meta.mode == "CMYK" and np.abs(array.astype(int) - photo()).mean() < 3


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colour_is_rounded(suffix, channels):
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 65536, (20, 30, channels), dtype=np.uint16)
    data = cv2.imencode(suffix, wide)[1].tobytes()
    array, meta = image.read_image(data)
    expected = np.rint(wide / 257.0).astype(np.uint8)
    assert meta.bits == 16
    assert np.array_equal(array, expected[..., [2, 1, 0]])
    if channels == 4:
        assert np.array_equal(meta.alpha, expected[..., 3])


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_grey_is_rounded(suffix):
    wide = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    array, meta = image.read_image(cv2.imencode(suffix, wide)[1].tobytes())
    assert meta.bits == 16 and meta.is_grey
    assert np.array_equal(array[..., 0], np.rint(wide / 257.0).astype(np.uint8))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp", ".avif"])
def test_alpha_is_kept(tmp_path, mode, suffix):
    alpha = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    source = Image.fromarray(photo())
    source.putalpha(Image.fromarray(alpha))
    buffer = io.BytesIO()
    source.convert(mode).save(buffer, "PNG")
    array, meta = image.read_image(buffer.getvalue())
    assert np.array_equal(meta.alpha, alpha)
    if mode == "RGBA":
        assert np.array_equal(array, photo())  # also where alpha is 0
    image.save_image(tmp_path / f"a{suffix}", array, meta=meta, quality=100)
    again, kept = image.read_image(tmp_path / f"a{suffix}")
    assert np.abs(kept.alpha.astype(int) - alpha).max() <= 2
    assert np.abs(again.astype(int) - array)[:, 8:].mean() < 4


def test_alpha_follows_a_new_size(tmp_path):
    meta = ImageMeta(alpha=np.full((10, 10), 80, np.uint8))
    image.save_image(tmp_path / "a.png", photo(), meta=meta)
    assert image.read_image(tmp_path / "a.png")[1].alpha.shape == (48, 64)
    image.save_image(tmp_path / "a.jpg", photo(), meta=meta)
    assert image.read_image(tmp_path / "a.jpg")[1].alpha is None


@pytest.mark.parametrize("transparency", [3, bytes([0, 128, 255, 0])])
def test_palette_with_transparency(transparency):
    indices = np.tile(np.arange(4, dtype=np.uint8), (4, 1))
    picture = Image.frombytes("P", (4, 4), indices.tobytes())
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9] + [0] * 756)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", transparency=transparency)
    array, meta = image.read_image(buffer.getvalue())
    assert array[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]
    expected = [255, 255, 255, 0] if transparency == 3 else [0, 128, 255, 0]
    assert meta.alpha[0].tolist() == expected


@pytest.mark.parametrize("size", [(1, 1), (5000, 20), (1, 300)])
def test_extreme_sizes(tmp_path, size):
    array = photo(*size)
    image.save_image(tmp_path / "a.png", array)
    assert np.array_equal(image.load_image(tmp_path / "a.png"), array)
    assert min(image.resize_shorter_side(array, 8).shape[:2]) == 8
    assert min(image.resize_image(array, (0, 16)).shape[:2]) >= 1


# EXIF and resolution ------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turn(tmp_path, format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "camera"
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05"}
    stored = photo(24, 40)
    options = {"quality": 100} if format in ("JPEG", "WEBP", "AVIF") else {}
    data = encoded(stored, format, exif=exif.tobytes(), **options)
    array, meta = image.read_image(data)
    turned = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1],
        5: stored.transpose(1, 0, 2), 6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(stored),
    }[orientation]  # fmt: skip
    assert array.shape == turned.shape
    assert np.abs(array.astype(int) - turned).mean() < 4
    image.save_image(tmp_path / "a.jpg", array, meta=meta)
    with Image.open(tmp_path / "a.jpg") as saved:
        kept = saved.getexif()
        assert kept.get(0x0112, 1) == 1 and kept[0x010F] == "camera"
        assert kept.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
    if format == "JPEG":
        assert image.read_training_image(_file(tmp_path, "b.jpg", data), 24).shape == turned.shape


def _file(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turn_of_sixteen_bits(suffix, orientation):
    stored = deep_photo(24, 40)
    wide = cv2.imencode(suffix, stored[..., ::-1])[1].tobytes()
    exif = Image.Exif()
    exif[0x0112] = orientation
    if suffix == ".png":
        data = wide[:33] + png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + wide[33:]
    else:
        # Turn the first unneeded entry of the only directory into the orientation.
        start = struct.unpack("<I", wide[4:8])[0]
        count = struct.unpack("<H", wide[start : start + 2])[0]
        entries = [wide[start + 2 + 12 * i :][:12] for i in range(count)]
        entries = [e for e in entries if struct.unpack("<H", e[:2])[0] != 0x0112]
        entries.append(struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0))
        entries.sort(key=lambda e: struct.unpack("<H", e[:2])[0])
        ifd = struct.pack("<H", len(entries)) + b"".join(entries) + b"\0" * 4
        data = wide[:4] + struct.pack("<I", len(wide)) + wide[8:] + ifd
    turned = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1],
        5: stored.transpose(1, 0, 2), 6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(stored),
    }[orientation]  # fmt: skip
    array, meta = image.read_image(data)
    assert meta.bits == 16
    assert np.array_equal(array, np.rint(turned / 257))
    array, meta = image.read_image(data, keep_depth=True)
    assert array.dtype == np.uint16 and np.array_equal(array, turned)
    assert array.flags.writeable and array.flags.c_contiguous


def test_alpha_turns_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    source = np.dstack([photo(24, 40), photo(24, 40)[..., 0]])
    array, meta = image.read_image(encoded(source, "PNG", exif=exif))
    assert array.shape[:2] == meta.alpha.shape == (40, 24)
    assert np.array_equal(meta.alpha, array[..., 0])


def test_broken_exif_is_dropped():
    array, meta = image.read_image(encoded(photo(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"))
    assert array.shape == (48, 64, 3) and meta.exif == b""


def test_resolution_is_kept(tmp_path):
    meta = image.read_image(encoded(photo(), "JPEG", dpi=(300, 150)))[1]
    image.save_image(tmp_path / "a.png", photo(), meta=meta)
    assert image.read_image(tmp_path / "a.png")[1].dpi == pytest.approx((300, 150), abs=0.1)


# Colour profiles ----------------------------------------------------------------------------------


def test_icc_is_applied_and_kept(tmp_path):
    profile = wide_gamut_profile()
    stored = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    array, meta = image.read_image(encoded(stored, icc_profile=profile))
    assert array[0, 0, 1] > 250 and array[0, 0, 0] < 5  # the profile's red is green
    assert meta.icc_profile == profile
    mild = (photo() // 2 + 60).astype(np.uint8)
    array, meta = image.read_image(encoded(mild, icc_profile=profile))
    assert np.abs(array.astype(int) - mild).max() > 10
    for suffix in (".png", ".tiff", ".webp", ".jpg"):
        path = tmp_path / f"a{suffix}"
        image.save_image(path, array, meta=meta, quality=100)
        with Image.open(path) as saved:
            assert saved.info["icc_profile"] == profile
            if suffix in (".png", ".tiff"):
                assert np.abs(np.asarray(saved).astype(int) - mild).max() <= 2
        assert np.abs(image.load_image(path).astype(int) - array).mean() <= 2


def test_srgb_profile_changes_nothing(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    array, meta = image.read_image(encoded(photo(), icc_profile=profile))
    assert np.array_equal(array, photo())
    image.save_image(tmp_path / "a.png", array, meta=meta)
    with Image.open(tmp_path / "a.png") as saved:
        assert saved.info["icc_profile"] == profile


@pytest.mark.parametrize("profile", [b"garbage", b"\0" * 200, wide_gamut_profile()[:300]])
def test_broken_profile_falls_back(tmp_path, profile):
    array, meta = image.read_image(encoded(photo(), icc_profile=profile))
    assert np.array_equal(array, photo())
    image.save_image(tmp_path / "a.png", array, meta=meta)


def test_profile_of_another_colour_space_falls_back():
    array, meta = image.read_image(
        encoded(photo(), "JPEG", "CMYK", icc_profile=wide_gamut_profile())
    )
    assert array.shape == (48, 64, 3)
    assert image.encode_image(array, "JPEG", meta=meta)


# Sixteen bits -------------------------------------------------------------------------------------


def deep_png(samples: np.ndarray, *chunks: bytes) -> bytes:
    """A PNG of (height, width, 1 to 4) uint16, with other chunks ahead of the pixels."""
    height, width, channels = samples.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    pixels = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + b"".join(chunks) + pixels


def icc_chunk(profile: bytes) -> bytes:
    return png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(profile))


def samples_of(data: bytes) -> np.ndarray:
    """A file's samples as OpenCV reads them, colours in the order RGB."""
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return samples if samples.ndim == 2 else samples[..., [2, 1, 0, 3][: samples.shape[2]]]


def to_srgb(samples: np.ndarray, matrix: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """What a profile means, computed in floats: sRGB up to 65535, and which pixels that holds."""
    known = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).profile
    primaries = (known.red_colorant, known.green_colorant, known.blue_colorant)
    srgb = np.array([primary[0] for primary in primaries]).T
    # Profiles hold numbers of 16 binary places.
    matrix = np.round(matrix * 65536) / 65536
    light = (samples / 65535) ** (round(gamma * 256) / 256) @ (np.linalg.inv(srgb) @ matrix).T
    inside = ((light > 0) & (light < 1)).all(axis=-1)
    light = np.clip(light, 0, 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return 65535 * curve, inside


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_stay(tmp_path, suffix, channels):
    samples = np.random.default_rng(0).integers(0, 65536, (30, 20, channels), dtype=np.uint16)
    data = deep_png(samples)
    array, meta = image.read_image(data, keep_depth=True)
    colors = samples[..., :1].repeat(3, axis=-1) if channels < 3 else samples[..., :3]
    assert array.dtype == np.uint16 and np.array_equal(array, colors)
    assert array.flags.writeable and array.flags.c_contiguous
    assert meta.bits == 16
    path = tmp_path / f"a{suffix}"
    image.save_image(path, array, meta=meta)
    assert np.array_equal(array, colors)  # not touched
    saved = samples_of(path.read_bytes())
    assert saved.dtype == np.uint16 and np.array_equal(saved[..., :3], colors)
    if channels in (2, 4):
        assert meta.alpha.dtype == np.uint16
        assert np.array_equal(meta.alpha, samples[..., -1])
        assert np.array_equal(saved[..., 3], samples[..., -1])
    else:
        assert meta.alpha is None and saved.shape == (30, 20, 3)
    # Without `keep_depth` the same, rounded.
    array, meta = image.read_image(path)
    assert array.dtype == np.uint8 and np.array_equal(array, np.rint(colors / 257))
    assert np.array_equal(image.load_image(data), array)
    if channels in (2, 4):
        assert np.array_equal(meta.alpha, np.rint(samples[..., -1] / 257))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("matrix", "gamma"), [(DISPLAY_P3, 2.2), (ADOBE_RGB, 563 / 256)])
def test_sixteen_bit_picture_comes_back_whole(tmp_path, suffix, matrix, gamma):
    ramp = np.linspace(9000, 52000, 4000).astype(np.uint16).reshape(40, 100)
    noise = np.random.default_rng(0).integers(-3000, 3000, (40, 100, 3))
    colors = (ramp[..., None] + noise).astype(np.uint16)
    colors[:, :, 1] = ramp
    samples = np.dstack([colors, ramp[::-1]])
    profile = profile_of(matrix, gamma)
    exif = Image.Exif()
    exif[0x010F] = "camera"
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05", 0x927C: b"a maker's note"}
    exif[0x8825] = {1: "N", 2: (47.0, 30.0, 15.5)}
    chunks = [
        icc_chunk(profile), png_chunk(b"pHYs", struct.pack(">IIB", 11811, 5906, 1)),
        png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")),
    ]  # fmt: skip
    array, meta = image.read_image(deep_png(samples, *chunks), keep_depth=True)
    wanted, inside = to_srgb(colors, matrix, gamma)
    assert inside.mean() > 0.9
    assert np.abs(array - wanted)[inside].max() <= 4
    assert np.abs(array.astype(int) - colors).max() > 1000
    assert np.array_equal(meta.alpha, ramp[::-1])

    path = tmp_path / f"a{suffix}"
    image.save_image(path, array, meta=meta)
    saved = samples_of(path.read_bytes())
    assert saved.dtype == np.uint16 and saved.shape == (40, 100, 4)
    assert np.abs(saved[..., :3].astype(int) - colors)[inside].max() <= 4
    assert len(np.unique(saved[..., 1])) > 3000
    assert np.array_equal(saved[..., 3], ramp[::-1])
    with Image.open(path) as picture:
        picture.load()
        assert picture.mode == "RGBA" and picture.info["icc_profile"] == profile
        assert picture.info["dpi"] == pytest.approx((300, 150), abs=0.1)
        kept = picture.getexif()
        assert kept[0x010F] == "camera" and kept.get_ifd(0x8825)[2] == (47.0, 30.0, 15.5)
        assert kept.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
        assert kept.get_ifd(0x8769)[0x927C] == b"a maker's note"
    again, meta = image.read_image(path, keep_depth=True)
    assert np.abs(again.astype(int) - array)[inside].max() <= 4
    assert meta.exif and meta.icc_profile == profile
    # Eight bits of the same file agree.
    plain = image.load_image(path)
    assert np.abs(plain - again / 257).max() <= 2


def test_frames_of_sixteen_bits_differ():
    def pixels(value: int) -> bytes:
        return zlib.compress(4 * (b"\0" + 4 * struct.pack(">HHH", value, 9, 60_000)))

    def control(number: int) -> bytes:
        return png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 4, 4, 0, 0, 1, 10, 0, 0))

    still = deep_png(np.zeros((4, 4, 3), np.uint16))
    data = still[:33] + png_chunk(b"acTL", struct.pack(">II", 2, 0)) + control(0)
    data += png_chunk(b"IDAT", pixels(0)) + control(1)
    data += png_chunk(b"fdAT", struct.pack(">I", 2) + pixels(65535)) + png_chunk(b"IEND", b"")
    frames = [frame for frame, _ in image.read_frames(data)]
    assert [frame[0, 0, 0] for frame in frames] == [0, 255]
    assert image.read_image(data, keep_depth=True)[0][0, 0].tolist() == [0, 9, 60_000]


def test_sixteen_bit_tiff_keeps_the_cameras_resolution():
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = 240.0, 120.0, 2
    for array in (photo(), deep_photo()):
        data = image.encode_image(array, "TIFF", meta=ImageMeta(exif=exif.tobytes()))
        assert image.read_image(data)[1].dpi == pytest.approx((240, 120))


def test_sixteen_bit_grey_with_a_profile():
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    array, meta = image.read_image(
        deep_png(levels, icc_chunk(profile_of(None, 1.8))), keep_depth=True
    )
    light = (levels / 65535) ** (round(1.8 * 256) / 256)
    wanted = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(array - 65535 * wanted).max() <= 4 and meta.icc_profile == b""


@pytest.mark.parametrize(
    "profile", [b"garbage", wide_gamut_profile()[:300], profile_of(None, 1.8), None]
)
def test_sixteen_bits_without_a_fitting_profile(tmp_path, capfd, profile):
    if profile is None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    array, meta = image.read_image(deep_png(deep_photo(), icc_chunk(profile)), keep_depth=True)
    assert np.array_equal(array, deep_photo())
    image.save_image(tmp_path / "a.tif", array, meta=meta)
    assert np.array_equal(samples_of((tmp_path / "a.tif").read_bytes()), array)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_sixteen_bit_tiffs(planar, compression, order, channels):
    samples = np.random.default_rng(0).integers(0, 65536, (30, 20, channels), dtype=np.uint16)
    data = imagecodecs.tiff_encode(
        # A copy: big-endian bytes are swapped in place.
        samples.copy() if planar == "contig" else np.moveaxis(samples, -1, 0).copy(),
        photometric="minisblack" if channels == 2 else "rgb",
        planarconfig=planar,
        extrasample=None if channels == 3 else "unassalpha",
        compression=compression,
        byteorder=order,
    )
    array, meta = image.read_image(data, keep_depth=True)
    colors = samples[..., :1].repeat(3, axis=-1) if channels == 2 else samples[..., :3]
    assert array.dtype == np.uint16 and np.array_equal(array, colors)
    assert meta.bits == 16 and meta.is_grey == (channels == 2)
    if channels != 3:
        assert np.array_equal(meta.alpha, samples[..., -1])
    array, meta = image.read_image(data)
    assert np.array_equal(array, np.rint(colors / 257))


@pytest.mark.parametrize("extra", ["assocalpha", "unspecified"])
def test_fourth_channels_of_tiff(extra):
    samples = np.dstack([deep_photo() // 2, np.full((48, 64), 32768, np.uint16)])
    data = imagecodecs.tiff_encode(samples, photometric="rgb", extrasample=extra)
    array, meta = image.read_image(data, keep_depth=True)
    if extra == "assocalpha":
        assert np.abs(array.astype(int) - deep_photo()).max() <= 3
        assert (meta.alpha == 32768).all()
    else:
        assert np.array_equal(array, samples[..., :3]) and meta.alpha is None


def test_what_has_no_sixteen_bits_stays(capfd):
    for data in (
        encoded(photo()),
        encoded(photo(), "TIFF", "LA"),
        encoded(photo(), "JPEG"),
        encoded(photo(), "JPEG2000"),
        encoded(photo(), "TIFF", "CMYK"),
    ):
        array, meta = image.read_image(data, keep_depth=True)
        plain, _ = image.read_image(data)
        assert array.dtype == np.uint8 and np.array_equal(array, plain)
        assert meta.alpha is None or meta.alpha.dtype == np.uint8
    assert capfd.readouterr() == ("", "")


def test_the_array_decides_the_depth(tmp_path):
    meta = ImageMeta(bits=16, alpha=np.full((48, 64), 65535 - 300, np.uint16))
    for suffix in sorted(formats.WRITERS):
        path = tmp_path / f"a{suffix}"
        deep = formats.FORMATS[formats.WRITERS[suffix]].deep
        image.save_image(path, photo(), meta=meta)
        assert image.read_image(path)[1].bits == 8
        image.save_image(path, deep_photo(), meta=meta, quality=100)
        array, again = image.read_image(path, keep_depth=True)
        assert again.bits == (16 if deep else 8)
        assert array.dtype == (np.uint16 if deep else np.uint8)
        assert deep or np.abs(array.astype(int) - np.rint(deep_photo() / 257)).mean() < 8
        if again.alpha is not None and suffix != ".gif":
            assert (again.alpha == (65235 if deep else 254)).all()
    image.save_image(tmp_path / "a.bmp", deep_photo())
    assert np.array_equal(image.load_image(tmp_path / "a.bmp"), np.rint(deep_photo() / 257))
    image.save_frames(tmp_path / "b.png", [(deep_photo(), meta)] * 2)
    frame, _ = next(image.read_frames(tmp_path / "b.png"))
    assert np.array_equal(frame, np.rint(deep_photo() / 257))
    frame, kept = next(image.read_frames(tmp_path / "b.png", keep_depth=True))
    assert np.array_equal(frame, deep_photo()) and (kept.alpha == 65235).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_is_written(tmp_path, suffix):
    grey = deep_photo()[..., 0]
    image.save_image(tmp_path / f"a{suffix}", grey)
    saved = samples_of((tmp_path / f"a{suffix}").read_bytes())
    assert saved.dtype == np.uint16 and np.array_equal(saved, grey)
    assert np.array_equal(samples_of(image.encode_png(grey)), grey)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(10, 16), (200, 100)])
def test_alpha_follows_sixteen_bits_to_a_new_size(tmp_path, dtype, size):
    white = np.iinfo(dtype).max
    alpha = np.tile(np.linspace(0, white, size[1]).astype(dtype), (size[0], 1))
    image.save_image(tmp_path / "a.png", deep_photo(), meta=ImageMeta(alpha=alpha))
    saved = samples_of((tmp_path / "a.png").read_bytes())
    assert np.array_equal(saved[..., :3], deep_photo())
    middle = saved[:, 16:-16, 3].astype(int)
    line = 65535 * (np.arange(64) + 0.5 - 32 / size[1]) / (64 - 64 / size[1])
    assert np.abs(middle - line[16:-16]).max() < (300 if dtype == np.uint8 else 100)


@pytest.mark.parametrize("size", [(20, 30), (96, 128), (100, 20)])
def test_resizing_sixteen_bits(size):
    for wide in (photo().astype(np.uint16) * 257, photo()[..., 0].astype(np.uint16) * 257):
        plain = image.resize_image((wide // 257).astype(np.uint8), size)
        result = image.resize_image(wide, size)
        assert result.dtype == np.uint16 and result.shape == plain.shape
        assert np.abs(result / 257 - plain).max() <= 1
    assert len(np.unique(image.resize_image(deep_photo(), size) & 255)) > 200
    assert image.resize_shorter_side(deep_photo(), 24).dtype == np.uint16
    assert image.center_crop(deep_photo(), (8, 8)).dtype == np.uint16


# Faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(
    "kind", ["JPEG", "progressive", "PNG", "WEBP", "TIFF", "GIF", "BMP", ".png", ".tiff"]
)
def test_truncated(tmp_path, capfd, kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    if kind.startswith("."):
        data = cv2.imencode(kind, noise.astype(np.uint16) * 257)[1].tobytes()
    elif kind == "progressive":
        data = encoded(noise, "JPEG", progressive=True)
    else:
        data = encoded(noise, kind)
    path = _file(tmp_path, "cut.bin", data[: int(len(data) * share)])
    for read in (
        image.load_image,
        lambda p: image.read_training_image(p, 32),
        lambda p: image.read_image(p, keep_depth=True),
    ):
        with pytest.raises(ImageError, match=r"cut\.bin: the file is truncated\..+\.$") as caught:
            read(path)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "JPEG2000", "PPM"])
def test_truncated_in_the_header(kind):
    data = encoded(photo(), kind)
    for length in (16, 24, 40):
        with pytest.raises(ImageError, match="the file is truncated"):
            image.load_image(data[:length])


def test_nothing_from_standard_input(monkeypatch):
    class Pipe(io.BytesIO):
        name = "<stdin>"

    with pytest.raises(ImageError, match="^standard input: nothing came. Check the command"):
        image.load_image(Pipe())


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "a picture's path must not be empty"),
        ("a\0b", r"'a\\x00b': cannot be read"),
        (io.StringIO("text"), "is open as text. Open it with mode 'rb'"),
    ],
    ids=["empty", "null", "text"],
)
def test_what_can_be_no_file(source, reason):
    with pytest.raises(ImageError, match=reason):
        image.load_image(source)


def test_what_cannot_be_written_to():
    with pytest.raises(ImageError, match="`target` must be a path or a binary file"):
        image.save_image(None, photo())


def test_pages_that_are_not_read_are_told(caplog):
    file = io.BytesIO()
    pages = [Image.fromarray(photo()) for _ in range(3)]
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    image.load_image(file.getvalue())
    assert "only its first page is read" in caplog.text


@pytest.mark.parametrize("kind", [0x20002, 0])
def test_views_that_are_not_read_are_told(caplog, kind):
    file = io.BytesIO()
    views = [Image.fromarray(photo()) for _ in range(3)]
    views[0].save(file, "MPO", save_all=True, append_images=views[1:])
    data = bytearray(file.getvalue())
    # Three entries, which begin with their kind: stereo views, or undefined, as gain maps are.
    start = data.index(b"MPF\0") + 54
    for at in range(start, start + 48, 16):
        struct.pack_into("<L", data, at, kind)
    image.load_image(bytes(data))
    told = "only the first of its 3 pictures is read" in caplog.text
    assert told == bool(kind)


def test_reduced_pages_are_no_pages(caplog):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(photo())
        writer.write(photo()[::2, ::2], subfiletype=1)
    image.load_image(file.getvalue())
    assert not caplog.text


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_after_the_directory(capfd, share):
    meta = ImageMeta(exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")
    data = image.encode_image(deep_photo(), "TIFF", meta=meta)
    for deep in (False, True):
        with pytest.raises(ImageError, match="<bytes>: .* Copy or download it again.$"):
            image.read_image(data[: int(len(data) * share)], keep_depth=deep)
    assert capfd.readouterr() == ("", "")


def test_truncated_jpeg_with_thumbnail_in_its_exif(tmp_path):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + b"\xff\xd8 thumbnail \xff\xd9"
    data = encoded(photo(), "JPEG", exif=exif)
    assert image.read_training_image(_file(tmp_path, "whole.jpg", data + b"extra"), 8).any()
    for read in (image.load_image, lambda p: image.read_training_image(p, 8)):
        with pytest.raises(ImageError, match="truncated"):
            read(_file(tmp_path, "cut.jpg", data[:-20]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"just text, no picture", "not a picture"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 40, "Convert it to JPEG"),
        (b"\xff\xd8\xff", r"cut\.jpg: "),
        (b"\x89PNG\r\n\x1a\n", r"cut\.jpg: "),
    ],
)
def test_no_picture(tmp_path, data, reason):
    path = _file(tmp_path, "cut.jpg", data)
    for read in (image.load_image, lambda p: image.read_training_image(p, 8), image.is_animated):
        with pytest.raises(ImageError, match=reason):
            read(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        image.load_image(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        image.load_image(tmp_path)


def test_bombs_are_refused_before_decoding(tmp_path):
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b""))
    )
    path = _file(tmp_path, "bomb.png", data)
    before = Image.MAX_IMAGE_PIXELS
    for read in (image.load_image, lambda p: image.read_training_image(p, 8)):
        with pytest.raises(ImageError, match="--max-pixels"):
            read(path)
    with pytest.raises(ImageError, match="--max-pixels"):
        next(image.read_frames(path))
    deep = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 16, 6, 0, 0, 0))
    with pytest.raises(ImageError, match="--max-pixels"):
        image.read_image(data[:8] + deep + data[33:], keep_depth=True)
    assert Image.MAX_IMAGE_PIXELS == before
    small = encoded(photo())
    with pytest.raises(ImageError, match="--max-pixels 3072"):
        image.load_image(small, max_pixels=3071)
    assert image.load_image(small, max_pixels=3072).shape == (48, 64, 3)


def test_limit_above_pillows_own(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert image.load_image(encoded(photo())).shape == (48, 64, 3)


# Writing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", sorted(formats.WRITERS))
def test_every_suffix_is_written(tmp_path, suffix):
    path = tmp_path / f"a{suffix.upper()}"
    image.save_image(path, photo(), meta=ImageMeta(exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"))
    assert np.abs(image.load_image(path).astype(int) - photo()).mean() < 8
    assert os.listdir(tmp_path) == [path.name]
    assert suffix in image.IMAGE_SUFFIXES


def test_jpeg_keeps_full_colour_resolution():
    with Image.open(io.BytesIO(image.encode_image(photo(), "JPEG"))) as saved:
        assert {layer[1:3] for layer in saved.layer} == {(1, 1)}


def test_file_objects(tmp_path):
    buffer = io.BytesIO()
    image.save_image(buffer, photo())
    assert buffer.getvalue()[1:4] == b"PNG"
    buffer = io.BytesIO()
    image.save_image(buffer, photo(), meta=ImageMeta(format="JPEG"))
    assert buffer.getvalue()[:2] == b"\xff\xd8"
    assert image.encode_png(photo()[..., 0])[1:4] == b"PNG"


@pytest.mark.parametrize(
    "bad",
    [np.zeros((4, 4, 5), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8),
     np.zeros(4, np.uint8), [[1]]],
)  # fmt: skip
def test_wrong_arrays(tmp_path, bad):
    with pytest.raises(ValueError, match=r"Received: (shape=|list$)"):
        image.save_image(tmp_path / "a.png", bad)
    assert not os.listdir(tmp_path)


def test_unknown_suffix_and_format(tmp_path):
    with pytest.raises(ImageError, match=r"a\.xyz: .*\.png"):
        image.save_image(tmp_path / "a.xyz", photo())
    with pytest.raises(ImageError, match="a file without a suffix"):
        image.save_image(tmp_path / "a", photo())
    with pytest.raises(ImageError, match="`format` must be one of"):
        image.save_image(tmp_path / "a", photo(), format="xyz")


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("no folder")
    for folder in (tmp_path / "file", tmp_path / "none"):
        with pytest.raises(ImageError, match="cannot write into .*--out-path"):
            image.save_image(folder / "a.png", photo())


def test_failed_write_leaves_the_old_file_only(tmp_path, monkeypatch):
    path = _file(tmp_path, "a.png", b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ImageError, match="No space left"):
        image.save_image(path, photo())
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.png"]


def test_too_long_for_the_format(tmp_path):
    with pytest.raises(ImageError, match="70000 x 1 pixels do not fit into JPEG"):
        image.save_image(tmp_path / "a.jpg", photo(70_000, 1))
    assert not os.listdir(tmp_path)


# Animations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".avif"])
def test_animation_round_trip(tmp_path, suffix):
    durations = [40, 120, 200]
    frames = [
        (np.roll(photo(), 20 * i, axis=1), ImageMeta(duration=duration, loop=0))
        for i, duration in enumerate(durations)
    ]
    path = tmp_path / f"a{suffix}"
    image.save_frames(path, iter(frames))
    assert image.is_animated(path)
    again = list(image.read_frames(path))
    assert [meta.duration for _, meta in again] == durations
    if suffix != ".avif":
        assert again[0][1].loop == 0
    for (frame, _), (expected, _) in zip(again, frames, strict=True):
        assert np.abs(frame.astype(int) - expected).mean() < 10


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_animation_alpha_and_single_play(tmp_path, suffix):
    alpha = np.zeros((48, 64), np.uint8)
    frames = []
    for index in range(3):
        shifted = alpha.copy()
        # Not a plain rectangle: libwebp would store that as an opaque part of the canvas.
        shifted[::2, 10 * index : 10 * index + 20] = 255
        frames.append((photo(), ImageMeta(alpha=shifted, duration=50)))
    path = tmp_path / f"a{suffix}"
    image.save_frames(path, frames)
    again = list(image.read_frames(path))
    for (_, meta), (_, expected) in zip(again, frames, strict=True):
        assert np.array_equal(meta.alpha, expected.alpha)
        assert meta.loop in (None, 1)


def test_stills_and_animations(tmp_path):
    path = tmp_path / "a.gif"
    image.save_image(path, photo())
    assert not image.is_animated(path) and len(list(image.read_frames(path))) == 1
    with pytest.raises(ImageError, match="no animation"):
        image.save_frames(tmp_path / "a.jpg", [(photo(), ImageMeta())])
    with pytest.raises(ValueError, match="at least one"):
        image.save_frames(path, [])


def test_truncated_animation(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    path = tmp_path / "a.gif"
    image.save_frames(path, [(frame, ImageMeta(duration=50)) for frame in noise])
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(ImageError, match="a.gif"):
        list(image.read_frames(path))


# Sizes, folders, training -------------------------------------------------------------------------


def test_resize_is_height_width_and_antialiased():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 64))
    small = image.resize_image(stripes, (16, 32))
    assert small.shape == (16, 32) and np.abs(small[:, 4:-4].astype(int) - 127).max() < 8
    step = np.repeat(np.array([[0, 255]], np.uint8), 32, axis=1).repeat(8, axis=0)
    assert image.resize_image(step, (32, 256)).shape == (32, 256)
    assert image.resize_shorter_side(photo(50, 100), 25).shape == (25, 50, 3)
    assert image.resize_shorter_side(photo(100, 50), 25).shape == (50, 25, 3)
    assert image.resize_shorter_side(photo(5000, 20), 1).shape == (250, 1, 3)
    same = photo()
    assert image.resize_image(same, (48, 64)) is same


def test_center_crop():
    cropped = image.center_crop(photo(48, 64), (10, 20))
    assert np.array_equal(cropped, photo(48, 64)[19:29, 22:42])
    assert image.center_crop(photo(48, 64), (100, 20)).shape == (48, 20, 3)


def test_list_images(tmp_path):
    for name in ("b/2.JPG", "a.png", "b/1.webp", ".hidden.png", ".cache/c.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in image.list_images(tmp_path)]
    assert names == ["a.png", "b/1.webp", "b/2.JPG"]
    with pytest.raises(ImageError, match="no such folder"):
        image.list_images(tmp_path / "none")


@pytest.mark.parametrize(("shorter", "expected"), [(400, 400), (200, 200), (199, 200), (50, 50)])
def test_training_jpegs_are_read_reduced(tmp_path, shorter, expected):
    y, x = np.mgrid[0:400, 0:600]
    full = np.stack([x * 255 // 599, y * 255 // 399, (x + y) // 4], axis=-1).astype(np.uint8)
    path = _file(tmp_path, "a.jpg", encoded(full, "JPEG", quality=95))
    array = image.read_training_image(path, shorter)
    assert array.shape == (expected, expected * 3 // 2, 3) and array.dtype == np.uint8
    small = image.resize_image(full, array.shape[:2])
    assert np.abs(array.astype(int) - small).mean() < 3


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "CMYK", "I;16"])
def test_training_pictures_of_every_mode(tmp_path, mode):
    if mode == "I;16":
        data = encoded(photo()[..., 0].astype(np.uint16) * 257)
    else:
        data = encoded(photo(), "JPEG" if mode in ("L", "CMYK") else "PNG", mode)
    assert image.read_training_image(_file(tmp_path, "a", data), 16).shape[2] == 3


# === What `save_image` takes ===


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".jp2"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_arrays_of_either_byte_order(tmp_path, suffix, order):
    deep = np.random.default_rng(0).integers(0, 65536, (9, 11, 4)).astype(np.uint16)
    image.save_image(tmp_path / f"a{suffix}", deep.astype(order))
    found, meta = image.read_image(tmp_path / f"a{suffix}", keep_depth=True)
    assert np.array_equal(found, deep[..., :3]) and np.array_equal(meta.alpha, deep[..., 3])


@pytest.mark.parametrize("quality", [0, 101, 1000, -1, 90.5, True, "95"])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_quality_is_checked_for_every_format(tmp_path, suffix, quality):
    with pytest.raises(ValueError, match="`quality` must be a whole number from 1 to 100"):
        image.save_image(tmp_path / f"a{suffix}", photo(), quality=quality)
    with pytest.raises(ValueError, match="`quality` must be a whole number from 1 to 100"):
        image.save_frames(tmp_path / "a.webp", [(photo(), ImageMeta())] * 2, quality=quality)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "received"),
    [
        (Image.new("RGB", (4, 4)), "a Pillow picture. Use np.asarray"),
        ([[1, 2]], "list"),
        (None, "NoneType"),
        (np.zeros((4, 4, 3)), "shape=(4, 4, 3), dtype=float64"),
        (np.zeros((4, 4, 3), ">i2"), "dtype=>i2"),
    ],
)
def test_what_is_no_array_of_grey_levels(tmp_path, value, received):
    with pytest.raises(ValueError, match="`image` must be an array") as caught:
        image.save_image(tmp_path / "a.png", value)
    assert received in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("format", "most"), [("JPEG", 65_500), ("WEBP", 16_383), ("GIF", 65_535), ("AVIF", 32_768)]
)
def test_the_largest_sides(format, most):
    for shape in ((most, 1, 3), (1, most, 3)):
        data = image.encode_image(np.zeros(shape, np.uint8), format)
        assert image.load_image(data).shape == shape
    for shape in ((most + 1, 1, 3), (1, most + 1, 3)):
        with pytest.raises(ImageError, match=rf"fit into {format}, whose sides have {most} at"):
            image.encode_image(np.zeros(shape, np.uint8), format)
