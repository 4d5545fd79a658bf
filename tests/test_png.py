"""PNG of every kind, and colour profiles, which PNG carries best."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from adain.imaging import icc, png
from adain.imaging import io as imaging
from adain.imaging.io import ImageError, ImageMeta

RNG = np.random.default_rng(0)
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip


def packed(samples: np.ndarray, bits: int) -> bytes:
    """Rows of HWC samples without filters."""
    rows = []
    for row in samples.reshape(samples.shape[0], -1):
        if bits == 16:
            rows.append(b"\0" + row.astype(">u2").tobytes())
        else:
            text = "".join(format(int(value), f"0{bits}b") for value in row)
            text += "0" * (-len(text) % 8)
            rows.append(b"\0" + int(text, 2).to_bytes(len(text) // 8, "big"))
    return b"".join(rows)


def handmade(samples: np.ndarray, bits: int, kind: int, *chunks: bytes, interlaced=False) -> bytes:
    height, width = samples.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    if interlaced:
        parts = (samples[y::dy, x::dx] for x, y, dx, dy in PASSES)
        rows = b"".join(packed(part, bits) for part in parts if part.size)
    else:
        rows = packed(samples, bits)
    body = b"".join(chunks) + png.chunk(b"IDAT", zlib.compress(rows)) + png.chunk(b"IEND", b"")
    return png.SIGNATURE + png.chunk(b"IHDR", head) + body


KINDS = [(0, bits) for bits in (1, 2, 4, 8, 16)] + [(3, bits) for bits in (1, 2, 4, 8)]
KINDS += [(kind, bits) for kind in (2, 4, 6) for bits in (8, 16)]
CASES = [
    (*item, seen) for item in KINDS for seen in (False, True) if not (seen and item[0] in (4, 6))
]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (17, 23)])
@pytest.mark.parametrize(("kind", "bits", "transparent"), CASES)
def test_every_kind(capfd, kind, bits, transparent, size, interlaced):
    samples = RNG.integers(0, 2**bits, (*size, CHANNELS[kind]))
    top, chunks, alpha = 2**bits - 1, [], None
    palette = RNG.integers(0, 256, (2**bits, 3)) if kind == 3 else None
    if kind == 3:
        chunks.append(png.chunk(b"PLTE", palette.astype(np.uint8).tobytes()))
        if transparent:
            opacity = RNG.integers(0, 256, 2**bits)
            chunks.append(png.chunk(b"tRNS", opacity.astype(np.uint8).tobytes()))
            alpha = opacity[samples[..., 0]] / 255
    elif transparent:
        key = samples[0, 0]
        chunks.append(png.chunk(b"tRNS", key.astype(">u2").tobytes()))
        alpha = 1.0 - (samples == key).all(axis=-1)
    elif kind in (4, 6):
        alpha = samples[..., -1] / top
    colors = (
        palette[samples[..., 0]] / 255
        if kind == 3
        else samples[..., : 3 if kind in (2, 6) else 1] / top
    )
    data = handmade(samples, bits, kind, *chunks, interlaced=interlaced)
    for deep in (False, True):
        array, meta = imaging.read_image(data, keep_depth=deep)
        assert array.dtype == (np.uint16 if deep and bits == 16 else np.uint8)
        white = np.iinfo(array.dtype).max
        assert np.abs(array - white * colors).max() <= 0.5
        assert meta.bits == {1: 1, 16: 16}.get(bits, 8) or kind == 3
        if alpha is None:
            assert meta.alpha is None
        else:
            assert (
                meta.alpha.dtype == array.dtype and np.abs(meta.alpha - white * alpha).max() <= 0.5
            )
    assert capfd.readouterr() == ("", "")


def test_grey_of_sixteen_bits_keeps_its_transparency(tmp_path):
    samples = RNG.integers(0, 65536, (9, 9, 1))
    data = handmade(samples, 16, 0, png.chunk(b"tRNS", struct.pack(">H", samples[4, 4, 0])))
    array, meta = imaging.read_image(data, keep_depth=True)
    imaging.save_image(tmp_path / "a.png", array, meta=meta)
    again, kept = imaging.read_image(tmp_path / "a.png", keep_depth=True)
    assert np.array_equal(again[..., 0], samples[..., 0]) and kept.alpha[4, 4] == 0
    assert (kept.alpha == 65535).sum() == 80


PIXELS = RNG.integers(0, 256, (8, 8, 3))
LINEAR = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])


def profile_of(matrix: np.ndarray | None, gamma: float, name: bytes, space: bytes = b"") -> bytes:
    """A matrix profile, or with None one for grey."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    text = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" * 79
    bodies = {b"desc": text + b"\0" * (-len(text) % 4), b"wtpt": xyz(0.9642, 1, 0.8249),
              b"cprt": b"text\0\0\0\0none\0\0\0\0"}  # fmt: skip
    if matrix is None:
        bodies[b"kTRC"] = curve
    else:
        for letter, primary in zip((b"r", b"g", b"b"), matrix.T, strict=True):
            bodies |= {letter + b"XYZ": xyz(*primary), letter + b"TRC": curve}
    table, data, start = struct.pack(">I", len(bodies)), b"", 132 + 12 * len(bodies)
    for tag, body in bodies.items():
        table += tag + struct.pack(">II", start + len(data), len(body))
        data += body
    space = space or (b"GRAY" if matrix is None else b"RGB ")
    kinds = b"none", 0x02400000, b"mntr", space, b"XYZ ", b"acsp"
    head = struct.pack(">I4sI4s4s4s12x4s28x", start + len(data), *kinds)
    head += struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + data


def with_profile(profile: bytes, samples=PIXELS, bits=8, kind=2, *more: bytes) -> bytes:
    return handmade(
        samples, bits, kind, png.chunk(b"iCCP", b"x\0\0" + zlib.compress(profile)), *more
    )


def test_big_profiles_and_texts(tmp_path):
    good = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise = RNG.integers(0, 256, 3 * 1024**2, dtype=np.uint8).tobytes()
    big = struct.pack(">I", len(good) + len(noise)) + good[4:] + noise
    array, meta = imaging.read_image(with_profile(big))
    assert np.array_equal(array, PIXELS) and meta.icc_profile == big
    imaging.save_image(tmp_path / "a.png", array, meta=meta)
    assert imaging.read_image(tmp_path / "a.png")[1].icc_profile == big
    texts = [
        png.chunk(b"tEXt", b"a\0" + bytes([65]) * 3_000_000),
        png.chunk(b"zTXt", b"b\0\0" + zlib.compress(bytes(80_000_000))),
        png.chunk(b"iTXt", b"c\0\1\0\0\0" + zlib.compress(bytes(80_000_000))),
    ]
    for chunks in (texts, texts * 20):
        assert np.array_equal(imaging.load_image(handmade(PIXELS, 8, 2, *chunks)), PIXELS)
    # A profile that unpacks to a gigabyte is passed over.
    bomb = png.chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**30), 1))
    array, meta = imaging.read_image(handmade(PIXELS, 8, 2, bomb))
    assert np.array_equal(array, PIXELS) and meta.icc_profile == b""


def test_broken_and_bounded(capfd):
    whole = handmade(PIXELS, 8, 2)
    more = handmade(PIXELS, 8, 2).replace(
        png.chunk(b"IDAT", zlib.compress(packed(PIXELS, 8))),
        png.chunk(b"IDAT", zlib.compress(packed(PIXELS, 8) + bytes(99_999))),
    )
    assert np.array_equal(imaging.load_image(more), PIXELS)
    for at in range(40, len(whole) - 16, 17):
        data = bytearray(whole)
        data[at] ^= 255
        with pytest.raises(ImageError, match="^<bytes>: [^\n]+$"):
            imaging.load_image(bytes(data))
    for share in (0.2, 0.5, 0.95):
        with pytest.raises(ImageError, match="truncated"):
            imaging.load_image(whole[: int(len(whole) * share)])
    for change in ({24: 3}, {25: 5}, {26: 1}, {28: 2}, {16: 0, 17: 0, 18: 0, 19: 0}):
        data = bytearray(whole)
        for at, value in change.items():
            data[at] = value
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
        with pytest.raises(ImageError, match="^<bytes>: [^\n]+$"):
            imaging.load_image(bytes(data))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("packed_text", [False, True])
def test_exif_in_a_text(packed_text):
    """As ImageMagick wrote it before PNG had a chunk for it."""
    block = b"Exif\0\0II*\0\x08\0\0\0\2\0\x0f\1\2\0\4\0\0\0abc\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"
    text = b"\nexif\n%8d\n%s\n" % (len(block), block.hex().encode())
    body = b"\0" + zlib.compress(text) if packed_text else text
    kind = b"zTXt" if packed_text else b"tEXt"
    data = handmade(RNG.integers(0, 256, (3, 5, 3)), 8, 2,
                    png.chunk(kind, b"Raw profile type exif\0" + body))  # fmt: skip
    array, meta = imaging.read_image(data)
    assert array.shape == (5, 3, 3) and b"abc\0" in meta.exif
    broken = handmade(PIXELS, 8, 2, png.chunk(kind, b"Raw profile type exif\0\0zz"))
    assert imaging.read_image(broken)[1].exif == b""


# Profiles -----------------------------------------------------------------------------------------


def srgb_of(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_name_does_not_make_srgb(tmp_path, bits):
    """GIMP's linear profile is called `GIMP built-in Linear sRGB`."""
    top = 2**bits - 1
    ramp = np.linspace(0.02 * top, top, 192).round().astype(int).reshape(8, 8, 3)
    profile = profile_of(LINEAR, 1.0, b"GIMP built-in Linear sRGB")
    array, meta = imaging.read_image(with_profile(profile, ramp, bits), keep_depth=True)
    # White and primaries of such profiles are rounded.
    assert np.abs(array / top - srgb_of(ramp / top)).max() < 0.01
    imaging.save_image(tmp_path / "a.png", array, meta=meta)
    with Image.open(tmp_path / "a.png") as saved:
        assert saved.info["icc_profile"] == profile
    again, _ = imaging.read_image(tmp_path / "a.png", keep_depth=True)
    assert np.abs(again.astype(int) - array).max() <= (6 if bits == 8 else 60)
    # The other way: sRGB by another name leaves every level.
    named = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    renamed = named.replace("sRGB".encode("utf-16-be"), "Lab1".encode("utf-16-be"))
    assert renamed != named and icc.is_srgb(renamed) and not icc.is_srgb(profile)
    assert np.array_equal(imaging.load_image(with_profile(renamed)), PIXELS)


def test_wide_profiles_of_version_four():
    import imagecodecs

    primaries = [0.680, 0.320, 1, 0.265, 0.690, 1, 0.150, 0.060, 1]
    white = [0.3127, 0.3290, 1.0]
    p3 = imagecodecs.cms_profile("rgb", whitepoint=white, primaries=primaries, gamma=2.2)
    assert p3[8] == 4 and not icc.is_srgb(p3)
    red = np.zeros((4, 4, 3), int)
    red[..., 0], red[..., 1:] = 200, 60
    array, meta = imaging.read_image(with_profile(p3, red))
    assert array[0, 0, 0] > 210 and array[0, 0, 1] < 40 and meta.icc_profile == p3


def test_profiles_that_do_not_fit(caplog):
    grey = profile_of(None, 1.8, b"grey")
    samples = RNG.integers(0, 256, (8, 8, 1))
    array, meta = imaging.read_image(with_profile(grey, samples, 8, 0))
    assert np.abs(array / 255 - srgb_of((samples / 255) ** 1.8)).max() < 0.006
    assert meta.icc_profile == b""
    good = profile_of(LINEAR, 2.2, b"x")
    lies = (
        grey, profile_of(LINEAR, 2.2, b"x", b"CMYK"), good[:200], b"", b"garbage", bytes(200),
        good.replace(b"rTRC", b"zTRC"),
    )  # fmt: skip
    for profile in lies:
        assert np.array_equal(imaging.load_image(with_profile(profile)), PIXELS)
        assert imaging.encode_image(
            PIXELS.astype(np.uint8), "PNG", meta=ImageMeta(icc_profile=profile)
        )
    assert np.array_equal(
        imaging.load_image(with_profile(profile_of(LINEAR, 1.0, b"x"), samples, 8, 0)),
        samples.repeat(3, axis=-1),
    )


@pytest.mark.parametrize("adobe", [True, False])
def test_inks_of_jpeg(adobe):
    """Adobe's marker says that inks are stored upside down."""
    inks = np.tile(np.linspace(0, 255, 32).astype(np.uint8)[:, None], (16, 1, 4))
    inks[..., 3] = 40
    buffer = io.BytesIO()
    Image.fromarray(inks, "CMYK").save(buffer, "JPEG", quality=100)
    data = buffer.getvalue()
    assert b"Adobe" in data
    wanted = np.rint((255 - inks[..., :3].astype(float)) * (215 / 255))
    if not adobe:
        at = data.index(b"\xff\xee")
        length = struct.unpack(">H", data[at + 2 : at + 4])[0]
        data = data[:at] + data[at + 2 + length :]
        wanted = np.rint(inks[..., :3] * (40 / 255))
    array, meta = imaging.read_image(data)
    assert meta.mode == "CMYK"
    if adobe:
        assert np.abs(array - wanted).max() <= 3
    else:
        # Without it they are what they say.
        assert array.shape == wanted.shape
