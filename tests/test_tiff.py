"""TIFF of every depth, layout and type: full range by type, highlights clipped, nothing lost."""

from __future__ import annotations

import io
import itertools
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from adain.imaging import exif
from adain.imaging import io as imaging
from adain.imaging.io import ImageError, ImageMeta
from adain.imaging.pixels import stretch

Y, X = np.mgrid[0:24, 0:40]
UNIT = np.stack([X / 39, Y / 23, (X + Y) / 62], axis=-1)
"""Colours from 0 to 1, `(24, 40, 3)`."""


def tiff(samples: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    options.setdefault("photometric", "rgb" if samples.shape[-1:] == (3,) else "minisblack")
    tifffile.imwrite(buffer, samples, metadata=None, **options)
    return buffer.getvalue()


def handmade(
    samples: np.ndarray, bits: int, kind: int, order: str, *more: tuple, without=()
) -> bytes:
    """A TIFF byte by byte, HWC, its samples packed to `bits`; `more` are (tag, type, values)."""
    height, width, channels = samples.shape
    rows = []
    for row in samples.reshape(height, -1):
        text = "".join(format(int(value), f"0{bits}b") for value in row)
        text += "0" * (-len(text) % 8)
        rows.append(int(text, 2).to_bytes(len(text) // 8, "big"))
    data = b"".join(rows)
    data += b"\0" * (len(data) % 2)
    tags = [(256, "I", [width]), (257, "I", [height]), (258, "H", [bits] * channels),
            (259, "H", [1]), (262, "H", [kind]), (273, "I", [8]), (277, "H", [channels]),
            (278, "I", [height]), (279, "I", [sum(map(len, rows))]), *more]  # fmt: skip
    tags = [item for item in tags if item in more or item[0] not in without]
    ifd, values = struct.pack(f"{order}H", len(tags)), b""
    after = 8 + len(data) + 2 + 12 * len(tags) + 4
    for tag, code, numbers in sorted(tags):
        value = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        ifd += struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4}[code], len(numbers))
        if len(value) <= 4:
            ifd += value.ljust(4, b"\0")
        else:
            ifd += struct.pack(f"{order}I", after + len(values))
            values += value + b"\0" * (len(value) % 2)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data))
    return head + data + ifd + bytes(4) + values


def near(array: np.ndarray, wanted: np.ndarray, slack: float = 0.5) -> bool:
    """Whether a picture shows values from 0 to 1, to so many of its levels."""
    white = np.iinfo(array.dtype).max
    wanted = wanted if wanted.ndim == 3 else np.stack([wanted] * 3, axis=-1)
    return bool(np.abs(array - white * np.clip(wanted, 0, 1)).max() <= slack + 1e-6)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("values", [UNIT, UNIT[..., 0]], ids=["rgb", "grey"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 10, 12, 14, 16, 32])
def test_every_number_of_bits(bits, values, order):
    top = 2**bits - 1
    kind = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    samples = np.rint(values * top).astype(kind)
    if bits in (8, 16, 32):
        data = tiff(samples, byteorder=order)
    else:
        data = handmade(np.atleast_3d(samples), bits, 2 if samples.ndim == 3 else 1, order)
    array, meta = imaging.read_image(data)
    assert array.dtype == np.uint8 and near(array, samples / top)
    array, meta = imaging.read_image(data, keep_depth=True)
    assert array.dtype == (np.uint8 if bits <= 8 else np.uint16)
    assert near(array, samples / top)
    assert meta.bits == (1 if bits == 1 else 8 if bits <= 8 else 16 if bits <= 16 else 32)
    assert array.flags.writeable and array.flags.c_contiguous


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["int8", "int16", "int32"])
@pytest.mark.parametrize("values", [UNIT, UNIT[..., 0]], ids=["rgb", "grey"])
def test_signed_numbers_run_from_zero(kind, values, order):
    top = np.iinfo(kind).max
    samples = (values * top).astype(kind)
    samples[0, 0] = -top  # black
    wanted = np.maximum(samples / top, 0)
    array, _ = imaging.read_image(tiff(samples, byteorder=order), keep_depth=True)
    assert array.dtype == (np.uint8 if kind == "int8" else np.uint16) and near(array, wanted, 1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("values", [UNIT, UNIT[..., 0]], ids=["rgb", "grey"])
def test_floats_are_clipped_at_one(kind, values, order):
    samples = values.astype(kind)
    samples[0, 1], samples[0, 2], samples[0, 3], samples[0, 4], samples[0, 5] = (
        np.inf, -np.inf, np.nan, -3, 40,
    )  # fmt: skip
    wanted = samples.astype(np.float64)
    wanted[0, 1:6] = np.array([1, 0, 0, 0, 1])[:, None] if values.ndim == 3 else [1, 0, 0, 0, 1]
    array, meta = imaging.read_image(tiff(samples, byteorder=order))
    assert array.dtype == np.uint8 and near(array, wanted)
    array, meta = imaging.read_image(tiff(samples, byteorder=order), keep_depth=True)
    assert array.dtype == np.uint16 and near(array, wanted) and meta.bits in (16, 32)


def test_ranges_that_cannot_be_meant():
    """Mostly above 1, floats run to 255 or 65535; wide integers that fit run as narrower ones."""
    for top in (255, 65535):
        assert near(imaging.load_image(tiff((UNIT * top).astype(np.float32))), UNIT, 1)
        assert near(imaging.load_image(tiff((UNIT * top).astype(np.uint32))), UNIT, 1.01)
        assert near(imaging.load_image(tiff((UNIT * top).astype(np.int32))), UNIT, 1.01)
    quiet_and_signalling = np.array([[0x7FC00000, 0x7F800001]], np.uint32).view(np.float32)
    assert stretch(quiet_and_signalling, 32).tolist() == [[0, 0]]
    with pytest.raises(ValueError, match="as grey levels"):
        stretch(np.zeros((2, 2), np.complex64), 64)
    assert stretch(np.full((2, 2), np.nan, np.float32), 32).max() == 0
    assert stretch(np.full((2, 2), 4.0, np.float32)[:0], 32).shape == (0, 2)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "options",
    [
        {"planarconfig": "separate"},
        {"tile": (16, 16)},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"bigtiff": True, "byteorder": ">", "tile": (16, 32), "planarconfig": "separate"},
        {"compression": "lzw"},
        {"compression": "zlib", "predictor": True},
        {"compression": "packbits"},
        {"compression": "zstd"},
        {"compression": "lzma"},
        {"rowsperstrip": 5},
    ],
    ids=str,
)
def test_layouts(kind, options):
    samples = np.rint(UNIT * np.iinfo(kind).max).astype(kind)
    stored = samples
    if options.get("planarconfig") == "separate":
        stored = np.moveaxis(samples, -1, 0).copy()
    array, _ = imaging.read_image(tiff(stored, photometric="rgb", **options), keep_depth=True)
    assert np.array_equal(array, samples)
    cut = tiff(stored, photometric="rgb", **options)
    with pytest.raises(ImageError, match=r"<bytes>: .*Copy or download it again\.$"):
        imaging.read_image(cut[: len(cut) * 3 // 4])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_of_every_sort(kind, channels):
    white = np.iinfo(kind).max
    colors = np.rint(UNIT[..., :channels] * white).astype(kind)
    alpha = np.rint((0.2 + 0.8 * UNIT[..., 1]) * white).astype(kind)
    wanted = colors.repeat(3 // channels, axis=-1)
    for extra, is_alpha in (("unassalpha", True), ("assocalpha", True), ("unspecified", False)):
        stored = colors
        if extra == "assocalpha":
            stored = np.rint(colors * (alpha[..., None] / white)).astype(kind)
        data = tiff(
            np.dstack([stored, alpha]),
            photometric="rgb" if channels == 3 else "minisblack",
            extrasamples=[extra],
            planarconfig="contig",
        )
        array, meta = imaging.read_image(data, keep_depth=True)
        assert np.abs(array.astype(int) - wanted).max() <= (5 if extra == "assocalpha" else 0)
        assert np.array_equal(meta.alpha, alpha) if is_alpha else meta.alpha is None
        assert meta.is_grey == (channels == 1)


def test_palettes():
    table = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16)
    indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for scale in (1, 257):  # Some programs write 8 bits where there should be 16.
        data = tiff(indices, photometric="palette", colormap=table * scale)
        array, meta = imaging.read_image(data)
        assert np.array_equal(array, table.T[indices]) and meta.mode == "P"
    alpha = np.tile(np.arange(0, 256, 16, dtype=np.uint8), (16, 1))
    colors = (320, "H", (table * 257).ravel().tolist())
    both = handmade(np.dstack([indices, alpha]), 8, 3, "<", colors, (338, "H", [2]))
    array, meta = imaging.read_image(both)
    assert np.array_equal(array, table.T[indices]) and np.array_equal(meta.alpha, alpha)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_white_is_zero_and_inks(kind):
    white = np.iinfo(kind).max
    samples = np.rint(UNIT * white).astype(kind)
    data = tiff(white - samples[..., 0], photometric="miniswhite")
    array, _ = imaging.read_image(data, keep_depth=True)
    assert np.array_equal(array[..., 1], samples[..., 0])
    black = np.rint(0.25 * UNIT[..., 0] * white).astype(kind)
    inks = np.dstack([white - samples, black])
    array, meta = imaging.read_image(tiff(inks, photometric="separated"), keep_depth=True)
    assert array.dtype == kind and meta.mode == "CMYK" and meta.alpha is None
    assert near(array, samples / white * (1 - black[..., None] / white), 1)


def test_compressed_by_other_codecs():
    grey = (UNIT[..., 0] > 0.5).astype(np.uint8) * 255
    for how in ("group3", "group4", "tiff_ccitt"):
        buffer = io.BytesIO()
        Image.fromarray(grey).convert("1").save(buffer, "TIFF", compression=how)
        array, meta = imaging.read_image(buffer.getvalue())
        assert np.array_equal(array[..., 0], grey) and meta.bits == 1
    eight = np.rint(UNIT * 255).astype(np.uint8)
    for options in (
        {"compression": "jpeg"},
        {"compression": "webp"},
        {"compression": "jpeg2000"},
    ):
        assert near(imaging.load_image(tiff(eight, **options)), UNIT, 24)
    for how in ("jpeg", "tiff_lzw"):
        buffer = io.BytesIO()
        Image.fromarray(eight).save(buffer, "TIFF", compression=how)
        assert near(imaging.load_image(buffer.getvalue()), UNIT, 24)
    buffer = io.BytesIO()
    Image.fromarray(eight).convert("YCbCr").save(buffer, "TIFF")
    array, meta = imaging.read_image(buffer.getvalue())
    assert near(array, UNIT, 4) and meta.mode == "YCbCr"


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", [8, 9])
def test_lab(bits, kind):
    """L*, a*, b* of sRGB colours under D50, in both encodings."""
    colors = {(119, 119, 119): (50.03, 0, 0), (255, 255, 255): (100, 0, 0), (0, 0, 0): (0, 0, 0),
              (200, 100, 50): (53.6, 37.1, 45.6)}  # fmt: skip
    lab = np.array([list(colors.values())])
    if kind == 8:
        scale = [255 / 100, 1, 1] if bits == 8 else [655.35, 256, 256]
        samples = np.rint(lab * scale).astype(np.int64) % 2**bits
    else:
        scale = [255 / 100, 1, 1] if bits == 8 else [652.8, 256, 256]
        samples = np.rint((lab + [0, 128, 128]) * scale).astype(np.int64)
    data = handmade(samples.reshape(1, 4, 3), bits, kind, ">")
    array, meta = imaging.read_image(data)
    assert meta.mode == "LAB" and np.abs(array[0].astype(int) - list(colors)).max() <= 3
    deep, _ = imaging.read_image(data, keep_depth=True)
    assert deep.dtype == (np.uint16 if bits == 16 else np.uint8)
    assert np.abs(deep / np.iinfo(deep.dtype).max - array / 255).max() < 0.012


def test_first_page_and_what_is_no_picture(capfd):
    pages = io.BytesIO()
    with tifffile.TiffWriter(pages) as writer:
        for level in (10, 20, 30):
            writer.write(np.full((8, 8, 3), level, np.uint8), photometric="rgb", metadata=None)
    assert imaging.load_image(pages.getvalue())[0, 0, 0] == 10
    assert not imaging.is_animated(pages.getvalue())
    raw = handmade(np.zeros((8, 8, 1), np.uint16), 16, 32803, "<")
    with pytest.raises(ImageError, match="raw file; develop it first"):
        imaging.load_image(raw)
    for data in (
        b"II*\0",
        b"II*\0\x08\0\0\0\0\0",
        b"MM\0*" + b"\xff" * 40,
        b"II+\0\x08\0\0\0" + b"\0" * 9,
    ):
        with pytest.raises(ImageError, match="^<bytes>: [^\n]+$"):
            imaging.load_image(data)
    assert capfd.readouterr() == ("", "")


def test_layouts_that_cannot_be(tmp_path):
    """Numbers that would take all memory, or none, are told."""
    good = np.zeros((8, 8, 3), np.uint8)
    tiled = ((322, "I", [16]), (323, "I", [2**31]), (324, "I", [8]), (325, "I", [192]))
    for more in (tiled, ((277, "H", [60_000]),), ((277, "H", [1]),), ((256, "I", [1, 2, 3]),)):
        tags = {tag for tag, *_ in more}
        data = handmade(good, 8, 2, "<", *more, without=tags)
        with pytest.raises(ImageError, match="^<bytes>: [^\n]{1,300}$"):
            imaging.load_image(data)


# Resolution and EXIF ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize(("unit", "scale"), [("INCH", 1), ("CENTIMETER", 2.54)])
def test_resolution_keeps_its_unit(kind, unit, scale):
    samples = np.rint(UNIT * np.iinfo(kind).max).astype(kind)
    data = tiff(samples, resolution=(100, 50), resolutionunit=unit)
    for _ in range(3):
        array, meta = imaging.read_image(data, keep_depth=True)
        assert meta.dpi == pytest.approx((100 * scale, 50 * scale), rel=1e-4)
        data = imaging.encode_image(array, "TIFF", meta=meta)
        with Image.open(io.BytesIO(data)) as saved:
            assert saved.info["dpi"] == pytest.approx((100 * scale, 50 * scale), rel=1e-4)
    none = imaging.read_image(tiff(samples, resolution=(1, 1), resolutionunit="NONE"))[1]
    assert none.dpi is None and imaging.read_image(data)[1].dpi is not None


CAMERA = {
    0x010F: (2, b"Maker\0"),
    0x0110: (2, "Modèle é".encode() + b"\0"),  # UTF-8
    0x013B: (2, "Größe".encode("latin-1") + b"\0"),  # Latin-1
    0x8298: (2, b"(c)\0"),
    0x9C9B: (1, "Titel".encode("utf-16-le")),
}
PHOTO = {
    0x829A: (5, struct.pack("<II", 1, 250)),
    0x9000: (7, b"0232"),
    0x9003: (2, b"2020:01:02 03:04:05\0"),
    0x927C: (7, bytes(range(256)) * 4),
    0x9286: (7, b"UNICODE\0" + "é".encode("utf-16-le")),
}
PLACE = {0x0001: (2, b"N\0"), 0x0002: (5, struct.pack("<6I", 47, 1, 30, 1, 155, 10))}
WIDTH = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}


def entries(tags: dict) -> dict:
    return {tag: (kind, len(value) // WIDTH[kind], value) for tag, (kind, value) in tags.items()}


def block(**changes) -> exif.Exif:
    parts = {"main": CAMERA, "exif": PHOTO, "gps": PLACE,
             "interop": {1: (2, b"R98\0"), 2: (7, b"0100")}} | changes  # fmt: skip
    return exif.Exif("<", **{name: entries(tags) for name, tags in parts.items()})


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_exif_comes_back_to_the_byte(tmp_path, suffix, kind):
    wanted = block()
    image = np.rint(UNIT * np.iinfo(kind).max).astype(kind)
    path = tmp_path / f"a{suffix}"
    for _ in range(2):
        imaging.save_image(path, image, meta=ImageMeta(exif=wanted.tobytes()))
        found = exif.parse(imaging.read_image(path)[1].exif)
        assert found.main == wanted.main and found.exif == wanted.exif
        assert found.gps == wanted.gps and found.interop == wanted.interop
    with Image.open(path) as saved:
        kept = saved.getexif()
        assert kept[0x010F] == "Maker"
        assert kept.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
        assert kept.get_ifd(0x8769)[0x927C] == PHOTO[0x927C][1]
        assert kept.get_ifd(0x8825)[2] == (47.0, 30.0, 15.5)


def test_history_beside_exif(tmp_path):
    for suffix, exif_block in itertools.product([".jpg", ".png", ".tif"], [b"", block().tobytes()]):
        meta = ImageMeta(exif=exif_block, history='{"a": 1}')
        imaging.save_image(tmp_path / f"a{suffix}", (UNIT * 255).astype(np.uint8), meta=meta)
        opened = imaging.open_image(tmp_path / f"a{suffix}")
        assert opened.history == imaging.read_history(tmp_path / f"a{suffix}") == '{"a": 1}'
        again = opened.read()[1]
        assert exif.parse(again.exif).main == exif.parse(exif_block).main


def broken(order: str, bad: bytes) -> bytes:
    """A block of the camera's name, an entry that is broken, and the author."""
    make = struct.pack(f"{order}HHI", 0x010F, 2, 4) + b"abc\0"
    author = struct.pack(f"{order}HHI", 0x8298, 2, 4) + b"xyz\0"
    mark = b"II" if order == "<" else b"MM"
    return (b"Exif\0\0" + struct.pack(f"{order}2sHI", mark, 42, 8) + struct.pack(f"{order}H", 3)
            + make + bad + author + bytes(4))  # fmt: skip


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "bad",
    [
        (0x0131, 2, 9999, 8),  # longer than the block
        (0x0131, 2, 2**32 - 1, 2**32 - 1),
        (0x0131, 77, 1, 0),  # no such type
        (0x0131, 5, 1, 0),  # a text that is a ratio
        (0x0131, 3, 0, 0),
        (0x011A, 2, 4, 0x41414141),  # a resolution that is a text
        (0x0112, 2, 4, 0x41414141),  # a turn that is a text
        (0x0112, 3, 1, 99 << 16 | 99),
        (0x8769, 4, 1, 0xFFFFFF00),  # a directory nowhere
        (0x8769, 4, 1, 8),  # a directory inside of itself
        (0x8825, 2, 4, 0x41414141),
    ],
)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_one_bad_tag_is_only_one(tmp_path, order, bad, suffix):
    data = broken(order, struct.pack(f"{order}HHII", *bad))
    buffer = io.BytesIO()
    Image.fromarray((UNIT * 255).astype(np.uint8)).save(buffer, "JPEG", exif=data)
    array, meta = imaging.read_image(buffer.getvalue())
    assert array.shape == (24, 40, 3)
    imaging.save_image(tmp_path / f"a{suffix}", array, meta=meta)
    found = exif.parse(imaging.read_image(tmp_path / f"a{suffix}")[1].exif)
    assert found.main == {0x010F: (2, 4, b"abc\0"), 0x8298: (2, 4, b"xyz\0")}


def test_exif_that_is_too_long_for_a_jpeg(tmp_path):
    meta = ImageMeta(exif=block(exif=PHOTO | {0x927C: (7, b"m" * 70_000)}).tobytes(), history="how")
    image = (UNIT * 255).astype(np.uint8)
    imaging.save_image(tmp_path / "a.jpg", image, meta=meta)
    assert imaging.read_history(tmp_path / "a.jpg") == "how"
    found = exif.parse(imaging.read_image(tmp_path / "a.jpg")[1].exif)
    assert 0x927C not in found.exif and found.exif[0x9003] == entries(PHOTO)[0x9003]
    assert found.main == entries(CAMERA)
    # Other formats hold it all.
    imaging.save_image(tmp_path / "a.png", image, meta=meta)
    assert len(exif.parse(imaging.read_image(tmp_path / "a.png")[1].exif).exif[0x927C][2]) == 70_000
    # Something else is too long, and then everything.
    long = block(exif=PHOTO | {0x9286: (7, b"c" * 66_000), 0x927C: (7, b"m" * 30_000)})
    imaging.save_image(tmp_path / "b.jpg", image, meta=ImageMeta(exif=long.tobytes(), history="h"))
    found = exif.parse(imaging.read_image(tmp_path / "b.jpg")[1].exif)
    assert not {0x9286, 0x927C} & set(found.exif) and 0x9003 in found.exif
    assert imaging.read_history(tmp_path / "b.jpg") == "h"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("big", [False, True])
def test_turn(orientation, big):
    samples = np.rint(UNIT * 65535).astype(np.uint16)
    data = tiff(samples, bigtiff=big, extratags=[(274, 3, 1, orientation, True)])
    turned = {
        1: samples, 2: samples[:, ::-1], 3: samples[::-1, ::-1], 4: samples[::-1],
        5: samples.transpose(1, 0, 2), 6: np.rot90(samples, -1),
        7: samples[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(samples),
    }[orientation]  # fmt: skip
    array, meta = imaging.read_image(data, keep_depth=True)
    assert np.array_equal(array, turned)
    assert imaging.read_size(data) == array.shape[:2]
    again, _ = imaging.read_image(imaging.encode_image(array, "TIFF", meta=meta), keep_depth=True)
    assert np.array_equal(again, turned)
