"""Small photos painted enlarged: `--supersample`."""

import numpy as np
import pytest

from adain.engines.registry import load_stylizer
from adain.imaging.io import resize_image, to_depth
from adain.inference.regions import Region
from adain.inference.supersample import (
    enlarge_mask,
    keep_untouched,
    painted_size,
    stylize_enlarged,
)
from adain.stylize.config import StylizeConfig, StylizeOptions
from adain.stylize.pipeline import StylizePipeline
from adain.video.config import VideoConfig
from adain.video.live_config import LiveConfig


@pytest.mark.parametrize(
    "size, shorter, painted",
    [
        ((256, 300), 512, (512, 600)),
        ((384, 600), 512, (512, 800)),
        ((600, 384), 512, (800, 512)),
        ((460, 600), 512, (512, 668)),
        ((470, 600), 512, (470, 600)),  # By too little.
        ((512, 700), 512, (512, 700)),
        ((2000, 3000), 512, (2000, 3000)),
        ((48, 80), 512, (96, 160)),  # Twice at most.
        ((1, 9), 512, (2, 18)),
        ((256, 300), 300, (300, 352)),
        ((256, 300), 270, (256, 300)),
        ((256, 300), 0, (256, 300)),
        ((256, 300), 1, (256, 300)),
    ],
)
def test_what_is_enlarged(size, shorter, painted):
    assert painted_size(*size, shorter) == painted


def enlarged(photo, size):
    """In 16 bits, whatever the photo has."""
    return resize_image(to_depth(photo, np.uint16), size)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_painted_enlarged_and_made_small_again(picture, dtype):
    content, seen = picture(40, 56).astype(dtype) * (257 if dtype == np.uint16 else 1), []
    large = enlarged(content[::-1], (80, 112))

    def stylize(image):
        seen.append(image)
        return large

    result = stylize_enlarged(stylize, content, 512)
    np.testing.assert_array_equal(seen[0], enlarged(content, (80, 112)))
    assert seen[0].dtype == np.uint16
    np.testing.assert_array_equal(result, to_depth(resize_image(large, (40, 56)), dtype))
    assert result.dtype == dtype


def test_large_photos_are_painted_as_they_are(picture):
    content = picture(64, 48)
    np.testing.assert_array_equal(stylize_enlarged(lambda image: image, content, 48), content)


def test_edges_of_masks_stay_hard():
    mask = np.zeros((6, 8), "uint8")
    mask[2:5, 3:] = 255
    large = enlarge_mask(mask, (12, 16))
    np.testing.assert_array_equal(large, np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1))
    assert set(np.unique(enlarge_mask(mask, (9, 12)))) == {0, 255}
    assert enlarge_mask(mask, (6, 8)) is mask


def test_the_rest_is_untouched(picture):
    content, result = picture(6, 8), np.zeros((6, 8, 3), "uint8")
    masks = [np.zeros((6, 8), "uint8") for _ in range(2)]
    masks[0][:2], masks[1][3, 3] = 255, 1
    kept = keep_untouched(result, content, masks)
    assert not kept[:2].any() and not kept[3, 3].any()
    np.testing.assert_array_equal(kept[4:], content[4:])
    assert not keep_untouched(np.zeros((6, 8, 3), "uint8"), content, []).any()


# === In the pipeline ===


@pytest.fixture
def pipelines(tiny_preset):
    stylizer = load_stylizer(tiny_preset)
    default = StylizePipeline(StylizeOptions(checkpoint=str(tiny_preset)), stylizer=stylizer)
    return stylizer, default


def test_small_photos_are_painted_as_large_ones(pipelines, picture):
    stylizer, pipeline = pipelines
    photo, code = picture(50, 70), stylizer.encode_style(picture(64, 64, seed=3))
    large = enlarged(photo, (100, 140))
    expected = stylize_enlarged(lambda image: stylizer.stylize(large, code), photo, 512)
    np.testing.assert_array_equal(pipeline.run(photo, code), expected)
    plain = pipeline.with_options(supersample=0)
    np.testing.assert_array_equal(plain.run(photo, code), stylizer.stylize(photo, code))
    above = pipeline.with_options(supersample=50)
    np.testing.assert_array_equal(above.run(photo, code), stylizer.stylize(photo, code))


def test_masks_and_what_they_leave(pipelines, picture):
    stylizer, pipeline = pipelines
    photo, code = picture(50, 70), stylizer.encode_style(picture(64, 64, seed=3))
    mask = np.zeros((50, 70), "uint8")
    mask[10:40, 20:55] = 255
    found = pipeline.run(photo, regions=[Region(mask, code, 1.0)])
    np.testing.assert_array_equal(found[mask == 0], photo[mask == 0])
    sized = enlarge_mask(mask, (100, 140))
    large = stylizer.stylize_regions(enlarged(photo, (100, 140)), [Region(sized, code, 1.0)])
    expected = stylize_enlarged(lambda image: large, photo, 512)
    np.testing.assert_array_equal(found[mask > 0], expected[mask > 0])


def test_transparency_is_kept_as_it_is(pipelines, picture):
    stylizer, pipeline = pipelines
    alpha = np.full((50, 70), 255, "uint8")
    alpha[:, :20] = 0
    photo = np.dstack([picture(50, 70), alpha])
    found = pipeline.run(photo, stylizer.encode_style(picture(64, 64, seed=3)))
    np.testing.assert_array_equal(found[..., 3], alpha)


@pytest.mark.parametrize("options", [{}, {"stroke": 120}, {"passes": 2}])
@pytest.mark.usefixtures("cut")
def test_tiles_change_nothing(pipelines, picture, options):
    stylizer, pipeline = pipelines
    photo, code = picture(100, 120), stylizer.encode_style(picture(64, 64, seed=3))
    whole = pipeline.with_options(tile=0, **options).run(photo, code)
    tiled = pipeline.with_options(tile=64, **options).run(photo, code)
    assert np.abs(whole.astype(int) - tiled).max() <= options.get("passes", 1)


def test_16_bits(pipelines, picture):
    stylizer, pipeline = pipelines
    photo, code = picture(100, 120), stylizer.encode_style(picture(64, 64, seed=3))
    result = pipeline.run(photo.astype("uint16") * 257, code)
    assert result.dtype == np.uint16
    # Only the end result is rounded to 8 bits.
    np.testing.assert_array_equal(pipeline.run(photo, code), to_depth(result, np.uint8))


@pytest.mark.parametrize("given, expected", [({}, 0), ({"supersample": 512}, 512)])
def test_clips_among_photos_have_the_default_of_clips(given, expected):
    pytest.importorskip("av")
    from adain.video.command import as_video

    config = StylizeConfig(content_path=("a.mp4", "b.png"), style_path=("s.png",), **given)
    assert as_video(config, ("a.mp4",)).supersample == expected


def test_a_clip_is_painted_as_it_is():
    """As many frames a second as the networks can count more there."""
    assert VideoConfig(content_path=("a.mp4",), style_path=("b.png",)).supersample == 0
    assert LiveConfig(style_path=("b.png",)).options().supersample == 0
    assert StylizeOptions().supersample == 512
