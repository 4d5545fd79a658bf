"""Sizes within bounds, what callers may hand over, and masks."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from adain.constants import MAX_PIXELS
from adain.imaging import io as imaging
from adain.imaging.halving import double, halve
from adain.imaging.io import ImageError
from adain.imaging.pixels import check_picture
from adain.stylize.inputs import to_mask

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1), (1, 50), (50, 1), (3, 4000)])
@pytest.mark.parametrize("shorter", [64, 512, 1024])
def test_strips_are_not_enlarged_without_end(size, shorter):
    height, width = imaging.shorter_side_size(size, shorter)
    assert max(height, width) <= max(8 * shorter, 4096, *size)
    # The aspect stays, and nothing shrinks.
    assert height >= size[0] and width >= size[1]
    assert max(height, width) / max(size) == pytest.approx(min(height, width) / min(size), rel=0.5)
    assert imaging.resize_shorter_side(np.zeros((*size, 3), np.uint8), shorter).shape == (
        height,
        width,
        3,
    )


def test_usual_sizes_are_what_was_asked_for():
    for size in ((300, 400), (100, 400), (2000, 3000), (64, 64), (4000, 500), (30, 240)):
        height, width = imaging.shorter_side_size(size, 512)
        assert min(height, width) == 512
        assert max(height, width) == pytest.approx(max(size) * 512 / min(size), abs=0.5)


def test_limit_counts_after_resizing():
    told = r"^a\.png: resized to a shorter side of 20000, its 20000 x 26667 are more than 178956970"
    with pytest.raises(ImageError, match=told):
        imaging.shorter_side_size((300, 400), 20_000, name="a.png")
    with pytest.raises(ImageError, match="a.png: .*--max-pixels 120000"):
        imaging.resize_shorter_side(
            np.zeros((30, 40, 3), np.uint8), 300, max_pixels=119_999, name="a.png"
        )
    assert imaging.shorter_side_size((30, 40), 300, max_pixels=120_000) == (300, 400)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1", "CMYK", "HSV"])
def test_pillow_pictures_are_converted(mode):
    picture = Image.fromarray(RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)).convert(mode)
    array = check_picture(picture, "content")
    assert array.dtype == np.uint8 and np.array_equal(array, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize(
    "bad",
    [
        None, 3, "a.png", b"bytes", [[1]], np.zeros((4, 4)), np.zeros((4, 4, 3)),
        np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3), np.int64),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_picture(bad):
    with pytest.raises(ValueError, match="^`content` must be .* Received: [^\n]+$"):
        check_picture(bad, "content")


def written(samples: np.ndarray, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    if format == "TIFF":
        tifffile.imwrite(buffer, samples, metadata=None, photometric="minisblack", **options)
    else:
        Image.fromarray(samples).save(buffer, format, **options)
    return buffer.getvalue()


def read_mask(data: bytes) -> np.ndarray:
    return to_mask(data, "mask", MAX_PIXELS)


LABELS = (RNG.random((9, 11)) > 0.5).astype(np.uint8)


@pytest.mark.parametrize("kind", "uint8 uint16 int8 int16 int32 uint32 float32 float64".split())
@pytest.mark.parametrize("white", [1, None])
def test_masks_of_zero_and_one(kind, white):
    top = 1 if white or kind.startswith("float") else np.iinfo(kind).max
    mask = read_mask(written((LABELS * np.float64(top)).astype(kind), "TIFF"))
    assert mask.dtype == np.uint8 and np.array_equal(mask, LABELS * 255)


def test_masks_of_png():
    for data in (
        written(LABELS), written(LABELS * 255), written(LABELS.astype(np.uint16)),
        written(LABELS.astype(bool)), written(np.stack([LABELS] * 3, axis=-1)),
        written(np.dstack([np.stack([LABELS] * 3, axis=-1), np.full_like(LABELS, 255)])),
    ):  # fmt: skip
        assert np.array_equal(read_mask(data), LABELS * 255)
    palette = Image.fromarray(LABELS, "P")
    palette.putpalette([0, 0, 0, 255, 255, 255])
    buffer = io.BytesIO()
    palette.save(buffer, "PNG")
    assert np.array_equal(read_mask(buffer.getvalue()), LABELS * 255)
    grey = RNG.integers(0, 256, (9, 11), dtype=np.uint8)
    assert np.array_equal(read_mask(written(grey)), grey)
    both = np.dstack([np.full((9, 11, 3), 255, np.uint8), grey])
    assert np.array_equal(read_mask(written(both)), grey)
    with pytest.raises(ValueError, match="all black"):
        read_mask(written(np.zeros((4, 4), np.uint8)))
    dark = np.full((4, 4), 3, np.uint8)
    assert np.array_equal(read_mask(written(dark)), dark)


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 3), (2, 3, 3), (1, 7), (5, 1), (3, 2, 3), (7, 9, 3), (50, 33), (96, 64, 3)]
    # A large one is resized channel by channel.
    + [(1200, 1180, 3)],
)
def test_twice_and_half_in_16_bits_are_pillows(shape):
    height, width = shape[:2]
    image = RNG.integers(0, 2**16, shape, dtype=np.uint16)
    large = imaging.resample(image, (2 * height, 2 * width), Image.Resampling.BICUBIC)
    assert (double(image).shape, double(image).dtype) == (large.shape, large.dtype)
    assert np.abs(double(image).astype(int) - large).max() <= 1
    image = RNG.integers(0, 2**16, large.shape, dtype=np.uint16)
    small = imaging.resample(image, (height, width), Image.Resampling.LANCZOS)
    assert (halve(image).shape, halve(image).dtype) == (shape, small.dtype)
    assert np.abs(halve(image).astype(int) - small).max() <= 1


def test_16_bits_are_resized_by_the_same_filters_at_any_size():
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    image = np.dstack([np.tile(ramp, (48, 1))] * 3)
    for size in ((96, 128), (24, 32), (95, 128), (25, 32), (96, 64), (24, 128)):
        # Of 8 bits, both passes of Pillow are rounded.
        expected = imaging.resize_image(imaging.to_depth(image, np.uint8), size)
        found = imaging.resize_image(image, size)
        assert found.dtype == np.uint16
        assert np.abs(found / 257 - expected).max() < 1.6, size


def test_16_bits_become_the_nearest_8():
    levels = np.arange(65536).reshape(256, 256)
    expected = np.rint(levels / 257)
    for shape in ((256, 256), (64, 1024), (128, 256, 2), (65536, 1)):
        found = imaging.to_depth(levels.reshape(shape).astype(np.uint16), np.uint8)
        np.testing.assert_array_equal(found, expected.reshape(shape))
        assert found.dtype == np.uint8
    backward = levels.astype(np.uint16)[::-1, ::-3]
    np.testing.assert_array_equal(imaging.to_depth(backward, np.uint8), expected[::-1, ::-3])
