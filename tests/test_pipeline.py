"""`StylizePipeline`: the same pixels as the command line, whatever pictures come as."""

from __future__ import annotations

import gc
import io
import multiprocessing
import pickle
import re
import threading
import tracemalloc
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import adain
from adain import cli
from adain.engines import registry as engines
from adain.imaging import transparency
from adain.imaging.color_methods import COLOR_METHODS
from adain.imaging.io import ImageMeta, load_image, read_frames, read_image, save_frames, save_image
from adain.imaging.resize import center_crop
from adain.inference import photo
from adain.stylize.inputs import Lazy, Planes
from adain.stylize.sheets import all_styles, alpha_steps, mix_steps
from adain.stylize.styles import StylePicture, seen

SIZE = (60, 92)


@pytest.fixture(scope="module")
def preset(make_model, tmp_path_factory):
    """The folder of a tiny preset with a style card."""
    folder = tmp_path_factory.mktemp("presets") / "tiny"
    make_model().save_to_preset(folder)
    return folder


@pytest.fixture(scope="module")
def exact_pipeline(preset):
    """`exact_pipeline(**options)`: on an engine whose pixels repeat; the networks are shared."""
    engine = next(
        name for name in ("onnxruntime", "openvino", "keras") if engines.is_installed(name)
    )
    stylizer = adain.load_stylizer(preset, engine)

    def make(**options):
        options = {"checkpoint": str(preset), "engine": engine} | options
        return adain.StylizePipeline(stylizer=stylizer, **options)

    return make


@pytest.fixture(scope="module")
def place(tmp_path_factory, picture, exact_pipeline):
    """Photos of 8 and 16 bits, styles, masks and a card, as files and as arrays."""

    class Place:
        folder = tmp_path_factory.mktemp("place")
        photo = picture(*SIZE)
        deep = picture(*SIZE).astype("uint16") * 256 + np.arange(SIZE[1], dtype="uint16")[:, None]
        styles = [picture(48 + 8 * i, 64 - 8 * i, seed=i + 2) ^ np.uint8(60 * i) for i in range(4)]
        left = np.where(np.arange(SIZE[1]) < 40, 255, 0).astype("uint8") * np.ones(
            (SIZE[0], 1), "uint8"
        )
        soft = np.linspace(0, 255, SIZE[1]).astype("uint8") * np.ones((SIZE[0], 1), "uint8")

        def path(self, name: str) -> Path:
            return self.folder / name

    place = Place()
    save_image(place.path("photo.png"), place.photo)
    save_image(place.path("deep.png"), place.deep)
    for name, style in zip("pqrs", place.styles, strict=True):
        save_image(place.path(f"{name}.png"), style)
    save_image(place.path("left.png"), place.left)
    save_image(place.path("soft.png"), place.soft)
    exact_pipeline().encode(place.styles[3], name="S").save(place.path("s.npz"))
    return place


def run_command(place, preset, options, flags, content="photo.png"):
    """The only file that a command writes, as an array."""
    out = place.folder / "out.png"
    words = ["stylize", "--content-path", place.path(content), "--out-path", out, "--overwrite"]
    words += ["--checkpoint", preset, "--engine", options["engine"], "--quiet"]
    for name, value in options.items():
        if name not in ("engine", "checkpoint"):
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
    assert cli.main([str(word) for word in [*words, *flags]]) == 0
    image = read_image(out, keep_depth=True)[0]
    out.unlink()
    return image


REGIONS = "regions"
CASES = {
    "plain": ({}, ["--style", "p"]),
    "card": ({}, ["--style", "s.npz"]),
    "alpha": ({}, ["--style", "p", "--alpha", "0.6"]),
    "mix": ({}, ["--style", "p", "q", "--style-interp-weights", "3", "1"]),
    "mix with a card": ({}, ["--style", "p", "s.npz", "--style-mix", "--alpha", "0.7"]),
    "coral": ({"keep_colors": "coral"}, ["--style", "p"]),
    "histogram of a mix": ({"keep_colors": "histogram"}, ["--style", "p", "q", "--style-mix"]),
    "luma": ({"keep_colors": "luma"}, ["--style", "p"]),
    "passes": ({"passes": 2}, ["--style", "p", "--alpha", "0.5"]),
    "sizes": ({"content_size": 80, "style_size": 40}, ["--style", "p"]),
    "crop": ({"content_size": 70, "crop_size": 64}, ["--style", "p"]),
    "stroke": ({"stroke": 64, "content_size": 140}, ["--style", "p", "--alpha", "0.8"]),
    "tile": ({"tile": 64, "content_size": 150}, ["--style", "p"]),
    "memory": ({"max_memory": "1MiB", "content_size": 150}, ["--style", "p"]),
    "no palette": ({"palette": 0.0}, ["--style", "p"]),
    "palette": ({"palette": 1.0}, ["--style", "p"]),
    "concat": ({"concat": True}, ["--style", "p"]),
    "concat of a mix": ({"concat": True, "content_size": 48}, ["--style", "p", "q", "--style-mix"]),
    "masks": (
        {"feather": 2},
        ["--style", "p", "q", "--mask", "left", "soft", "--alpha", "1", "0.5"],
    ),
    "masks of mixes": (
        {"keep_colors": "coral", "crop_size": 48},
        ["--style", "p", "q", "--mask", "left", "soft", "--style-interp-weights", *"1230"],
    ),
    "masks and strokes": (
        {"stroke": 64, "content_size": 140, "tile": 80, "passes": 2},
        ["--style", "p", "q", "--mask", "left", "soft"],
    ),
}  # fmt: skip


def to_arguments(place, words, as_arrays):
    """The flags of a command as `run` takes them: arrays, or paths."""
    groups: dict[str, list] = {}
    for word in words:
        if word.startswith("--"):
            groups[word] = name = []
        else:
            name.append(word)

    def picture(name):
        if not as_arrays or name.endswith(".npz"):
            return place.path(name if "." in name else f"{name}.png")
        return (
            getattr(place, name, None)
            if name in ("left", "soft")
            else place.styles["pqrs".index(name)]
        )

    styles = [picture(name) for name in groups["--style"]]
    alphas = [float(word) for word in groups.get("--alpha", ["1"])]
    weights = [float(word) for word in groups.get("--style-interp-weights", [])]
    masks = [picture(name) for name in groups.get("--mask", [])]
    mixed = "--style-mix" in groups or weights
    if not masks:
        style = adain.StyleMix(styles, weights or None) if mixed else styles[0]
        return {"style": style, "alpha": alphas[0]}
    count = len(styles)
    if mixed:
        styles = [
            adain.StyleMix(styles, weights[i * count : (i + 1) * count]) for i in range(len(masks))
        ]
    alphas = alphas * (len(masks) // len(alphas))
    return {"regions": list(map(adain.Region, masks, styles, alphas))}


@pytest.mark.parametrize("case", CASES)
def test_the_command_line_and_the_pipeline_make_the_same_pixels(
    place, preset, exact_pipeline, case
):
    options, words = CASES[case]
    pipeline = exact_pipeline(**options)
    flags = [
        place.path(word if "." in word else f"{word}.png")
        if word in ("p", "q", "left", "soft", "s.npz")
        else word
        for word in words
    ]
    flagged = options | {"engine": pipeline.options.engine}
    expected = run_command(place, preset, flagged, flags)
    found = pipeline.run(place.photo, **to_arguments(place, words, as_arrays=True))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    if case in ("plain", "mix", "masks", "crop"):
        deep = run_command(place, preset, flagged, flags, content="deep.png")
        found = pipeline.run(place.path("deep.png"), **to_arguments(place, words, as_arrays=False))
        assert found.dtype == deep.dtype == np.uint16
        np.testing.assert_array_equal(found, deep)


@pytest.mark.parametrize("kind", ["alpha", "mix", "styles"])
def test_sheets_are_those_of_the_command_line(place, preset, exact_pipeline, kind):
    pipeline = exact_pipeline()
    paths = {name: place.path(f"{name}.png") for name in "pq"}
    named = [(name, [adain.Region(None, path)]) for name, path in paths.items()]
    rows = {
        "alpha": lambda: alpha_steps(named, 3),
        "mix": lambda: mix_steps(
            list(paths),
            lambda weights: adain.Region(None, adain.StyleMix(list(paths.values()), weights)),
            3,
        ),
        "styles": lambda: all_styles(named),
    }[kind]()
    flags = ["--style", *paths.values(), "--sheet", kind, "--sheet-steps", 3]
    expected = run_command(place, preset, {"engine": pipeline.options.engine}, flags)
    seen = []
    found = pipeline.run_sheet(place.photo, rows, progress=seen.append)
    np.testing.assert_array_equal(found, expected)
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1)


# === What pictures may come as ===


def forms(photo):
    """A picture as everything that is read."""
    picture = Image.fromarray(photo)
    png, cmyk = io.BytesIO(), picture.convert("CMYK")
    picture.save(png, "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(np.rot90(photo))
    turned.getexif()[0x0112] = 6
    yield "array", photo, photo
    yield "view", np.flip(np.ascontiguousarray(np.flip(photo, 1)), 1), photo
    yield "Pillow RGB", picture, photo
    yield "bytes", png.getvalue(), photo
    yield "bytearray", bytearray(png.getvalue()), photo
    yield "file object", io.BytesIO(png.getvalue()), photo
    yield "Pillow turned", turned, photo
    yield "Pillow CMYK", cmyk, np.asarray(cmyk.convert("RGB"))
    grey = np.asarray(picture.convert("L"))
    as_rgb = np.dstack([grey] * 3)
    yield "grey", grey, as_rgb
    yield "grey, one channel", grey[..., None], as_rgb
    yield "Pillow L", picture.convert("L"), as_rgb
    palette = picture.quantize(16)
    yield "Pillow P", palette, np.asarray(palette.convert("RGB"))
    one = picture.convert("1")
    yield "Pillow 1", one, np.asarray(one.convert("RGB"))
    yield (
        "Pillow YCbCr",
        picture.convert("YCbCr"),
        np.asarray(picture.convert("YCbCr").convert("RGB")),
    )
    deep = grey.astype("uint16") * 257
    yield "Pillow I;16", Image.fromarray(deep), np.dstack([deep] * 3)


def test_pictures_of_every_form(place, exact_pipeline):
    pipeline = exact_pipeline()
    style = place.styles[0]
    for name, value, colors in forms(place.photo):
        expected = pipeline.run(colors, style)
        found = pipeline.run(value, style)
        assert found.shape == (*SIZE, 3) and found.dtype == colors.dtype, name
        difference = np.abs(found.astype(int) - expected).max()
        assert difference <= (12 if "CMYK" in name else 0), name
    for name, value, colors in forms(style):
        if "CMYK" not in name:
            found, expected = (pipeline.encode(form).means[0] for form in (value, colors))
            np.testing.assert_array_equal(found, expected, name)

    class Where:
        def __fspath__(self):
            return str(place.path("photo.png"))

    np.testing.assert_array_equal(pipeline.run(Where(), style), pipeline.run(place.photo, style))


def test_grey_pictures_multiplied_by_their_opacity(place, exact_pipeline):
    photo = Image.fromarray(place.photo).convert("LA")
    expected, found = (
        exact_pipeline().run(picture, place.styles[0]) for picture in (photo, photo.convert("La"))
    )
    np.testing.assert_array_equal(found, expected)


def test_transparency_is_kept_and_cut_as_the_photo_is(place, preset, exact_pipeline):
    alpha = np.linspace(0, 255, SIZE[1]).astype("uint8") * np.ones((SIZE[0], 1), "uint8")
    rgba = np.dstack([place.photo, alpha])
    pipeline = exact_pipeline(crop_size=40)
    found = pipeline.run(rgba, place.styles[0])
    np.testing.assert_array_equal(found[..., 3], center_crop(alpha, (40, 40)))
    np.testing.assert_array_equal(found[..., :3], pipeline.run(place.photo, place.styles[0]))
    np.testing.assert_array_equal(pipeline.run(Image.fromarray(rgba), place.styles[0]), found)
    save_image(place.path("result.png"), found)
    colors, meta = read_image(place.path("result.png"))
    np.testing.assert_array_equal(np.dstack([colors, meta.alpha]), found)
    grey = np.dstack([place.photo[..., 0], alpha])
    assert pipeline.run(grey, place.styles[0]).shape == (40, 40, 4)
    # On the command line, too.
    save_image(place.path("clear.png"), place.photo, meta=ImageMeta(alpha=alpha))
    out = place.folder / "clear_out.png"
    words = ["stylize", "--content-path", place.path("clear.png"), "--style", place.path("p.png")]
    words += ["--out-path", out, "--checkpoint", preset, "--crop-size", 40, "--quiet"]
    assert cli.main(list(map(str, words))) == 0
    np.testing.assert_array_equal(read_image(out)[1].alpha, found[..., 3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"style": None}, "Give either `style` or `regions`"),
        ({"style": "nowhere"}, "nowhere: no such file, nor a style of that name"),
        ({"style": ["p", "q"]}, "for several use StyleMix"),
        ({"style": 3}, "`style` must be an array"),
        ({"style": np.zeros((4, 4, 3))}, "uint8 or uint16 sRGB.*dtype=float64"),
        ({"style": np.zeros((4, 4, 5), "uint8")}, r"shape=\(4, 4, 5\)"),
        ({"style": Image.new("F", (4, 4))}, "mode F, whose range is not known"),
        ({"alpha": None}, "`alpha` must be 0 or more. Received: alpha=None"),
        ({"alpha": "strong"}, "`alpha` must be 0 or more"),
        ({"alpha": float("nan")}, "`alpha` must be 0 or more"),
        ({"alpha": -1}, "`alpha` must be 0 or more"),
        ({"style": None, "regions": []}, "at least one region"),
        ({"style": None, "regions": [(1, 2)]}, "must be a Region. Received: tuple"),
        ({"style": None, "regions": 3}, "`regions` must be a list of Region. Received: int"),
        ({"style": None, "regions": ["MASK", "WHOLE"]}, "must have a mask"),
        ({"style": None, "regions": ["BLACK"]}, "something inside"),
        ({"style": None, "regions": ["HIGH"]}, r"numbers in \[0, 1\]"),
        ({"style": None, "regions": ["LARGE"]}, "integers 0 and 1"),
        ({"style": None, "regions": ["EMPTY"]}, r"must have pixels. Received: shape=\(0, 0\)"),
        ({"style": None, "regions": ["INK"]}, "Received: black on transparency; white counts"),
        ({"style": ""}, "`style` must be a picture's path, or a style's name"),
        ({"progress": 5}, "`progress` must be callable. Received: progress=5"),
        ({"photo": ""}, "`photo` must be a picture's path. Received: an empty one"),
        ({"photo": None}, "`photo` must be an array"),
        ({"photo": np.zeros((0, 4, 3), "uint8")}, r"shape=\(0, 4, 3\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_in_one_line_before_any_work(
    place, exact_pipeline, monkeypatch, arguments, message
):
    pipeline = exact_pipeline()
    monkeypatch.setattr(type(pipeline.stylizer), "_encode", None)
    style = place.styles[0]
    regions = {
        "MASK": adain.Region(place.left, style),
        "WHOLE": adain.Region(None, style),
        "BLACK": adain.Region(np.zeros(SIZE, "uint8"), style),
        "HIGH": adain.Region(np.full(SIZE, 255.0), style),
        "EMPTY": adain.Region(np.zeros((0, 0)), style),
        "INK": adain.Region(Image.new("LA", SIZE[::-1], (0, 200)), style),
        "LARGE": adain.Region(np.full(SIZE, 1000), style),
    }
    arguments = {"photo": place.photo, "style": style} | arguments
    if isinstance(arguments.get("regions"), list):
        arguments["regions"] = [
            regions[name] if isinstance(name, str) else name for name in arguments["regions"]
        ]
    with pytest.raises(ValueError, match=message) as caught:
        pipeline.run(**arguments)
    assert "\n" not in str(caught.value)


def test_mixes_are_checked(place):
    for styles, weights in (
        ([], None), ("ab", None), (["a"], [1, 2]), (["a", "b"], [0, 0]), (["a"], [float("nan")]),
        (["a", "b"], [2, -1]), (["a", "b"], [1e308, 1e308]), (["a"], 1), (["a"], ["x"]), (5, None),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="must be"):
            adain.StyleMix(styles, weights)
    with pytest.raises(ValueError, match="must be StyleCode: encode pictures first"):
        adain.mix([place.styles[0], place.styles[1]])
    with pytest.raises(ValueError, match="must be a list of StyleCode. Received: int"):
        adain.mix(5)


def test_mixes_of_mixes(place, exact_pipeline):
    pipeline = exact_pipeline()
    a, b, c = place.styles[:3]
    nested = adain.StyleMix([adain.StyleMix([a, b], [1, 1]), c], [2, 2])
    flat = adain.StyleMix([a, b, c], [1, 1, 2])
    np.testing.assert_array_equal(
        pipeline.run(place.photo, nested), pipeline.run(place.photo, flat)
    )


def test_codes_and_cards_have_no_picture(place, exact_pipeline):
    code = exact_pipeline().encode(place.styles[0])
    for options in ({"keep_colors": "coral"}, {"refine": 2}):
        with pytest.raises(ValueError, match="must be a picture for refine"):
            exact_pipeline(**options).run(place.photo, code)
    other = adain.StyleCode([np.zeros(4)], [np.ones(4)], preset="other")
    with pytest.raises(ValueError, match="must be of preset"):
        exact_pipeline().run(place.photo, other)


# === Masks ===


def test_masks_of_every_form(place, exact_pipeline, caplog):
    pipeline = exact_pipeline()
    style, inside = place.styles[0], place.left > 0
    expected = pipeline.run(place.photo, regions=[adain.Region(place.left, style)])
    np.testing.assert_array_equal(expected[~inside], place.photo[~inside])
    labels = inside.astype("uint8")
    for mask in (
        inside, inside.astype(float), inside.astype(float)[..., None], labels,
        inside.astype(int), labels.astype("uint16"),
        place.left.astype("uint16") * 257, np.dstack([place.left] * 3), np.dstack([labels] * 3),
        Image.fromarray(place.left), Image.fromarray(inside), place.path("left.png"),
        np.dstack([np.full((*SIZE, 3), 255, "uint8"), place.left]),
    ):  # fmt: skip
        found = pipeline.run(place.photo, regions=[adain.Region(mask, style)])
        np.testing.assert_array_equal(found, expected)
    assert not caplog.records
    pipeline.run(place.photo, regions=[adain.Region(labels * np.uint8(5), style)])
    assert "is 5 of 255 where it is brightest" in caplog.text
    colors = Image.fromarray(labels)
    colors.putpalette([0, 0, 0, 128, 128, 0])
    pipeline.run(place.photo, regions=[adain.Region(colors, style)])
    assert "is 113 of 255 where it is brightest" in caplog.text


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_label_pictures_on_the_command_line(place, preset, exact_pipeline, dtype):
    save_image(place.path("labels.png"), (place.left > 0).astype(dtype))
    flags = ["--style", place.path("p.png"), "--mask"]
    options = {"engine": exact_pipeline().options.engine}
    found = run_command(place, preset, options, [*flags, place.path("labels.png")])
    np.testing.assert_array_equal(
        found, run_command(place, preset, options, [*flags, place.path("left.png")])
    )


def test_several_labels_in_one_mask_are_told_once(place, preset, exact_pipeline, caplog):
    save_image(place.path("many.png"), np.where(place.left > 0, 3, 1).astype("uint8"))
    flags = ["--style", place.path("p.png"), place.path("q.png"), "--mask", place.path("many.png")]
    flags += [place.path("left.png"), "--passes", 2]
    run_command(place, preset, {"engine": exact_pipeline().options.engine}, flags)
    (record,) = (record for record in caplog.records if "brightest" in record.getMessage())
    assert "many.png is 3 of 255" in record.getMessage()


# === Styles are encoded once ===


@pytest.fixture
def encoded(exact_pipeline, monkeypatch):
    """How often a style has been encoded."""
    counted = []
    stylizer = type(exact_pipeline().stylizer)
    encode = stylizer.encode_style

    def count(self, *args, **how):
        counted.append(1)
        return encode(self, *args, **how)

    monkeypatch.setattr(stylizer, "encode_style", count)
    return counted


def test_frames_after_frames_encode_a_style_once(place, exact_pipeline, encoded):
    pipeline = exact_pipeline()
    for form in (place.styles[0], place.path("q.png"), Image.fromarray(place.styles[2])):
        encoded.clear()
        for shift in range(3):
            pipeline.run(np.roll(place.photo, shift, 1), form)
        assert len(encoded) == 1
    # A picture that has changed is another style, an array as well as a file.
    style = place.styles[0].copy()
    first = pipeline.run(place.photo, style)
    style[:] = style[::-1, ::-1] // 2
    assert not np.array_equal(pipeline.run(place.photo, style), first)
    path = place.path("changing.png")
    save_image(path, place.styles[0])
    np.testing.assert_array_equal(pipeline.run(place.photo, path), first)
    save_image(path, style)
    assert not np.array_equal(pipeline.run(place.photo, path), first)


# === Progress, threads, processes ===


@pytest.mark.parametrize(
    "options",
    [{}, {"tile": 64, "content_size": 150}, {"passes": 3}, {"stroke": 64, "content_size": 140}],
)
def test_progress_goes_to_one_and_may_cancel(place, exact_pipeline, options):
    pipeline = exact_pipeline(**options)
    seen = []
    pipeline.run(place.photo, place.styles[0], progress=seen.append)
    assert seen == sorted(seen) and 0 < seen[0] and seen[-1] == pytest.approx(1)

    class Cancelled(Exception):
        pass

    def cancel(done):
        raise Cancelled

    with pytest.raises(Cancelled):
        pipeline.run(place.photo, place.styles[0], progress=cancel)
    assert pipeline.run(place.photo, place.styles[0]).shape[2] == 3


@pytest.mark.parametrize("options", [{}, {"palette": 0.5}, {"tile": 64}])
def test_nothing_of_a_photo_waits_for_the_garbage_collector(
    place, exact_pipeline, monkeypatch, options
):
    """Reference cycles once kept the features of a hundred photos."""
    made = []

    class Photo(photo.Photo):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(weakref.ref(self))

    monkeypatch.setattr("adain.inference.passes.Photo", Photo)
    pipeline = exact_pipeline(**options)
    gc.disable()
    try:
        pipeline.run(place.photo, place.styles[0], progress=lambda done: None)
    finally:
        gc.enable()
    assert made and [ref() for ref in made] == [None] * len(made)


def test_threads_share_a_pipeline(place, exact_pipeline, encoded):
    pipeline = exact_pipeline(keep_colors="luma")
    photos = [np.roll(place.photo, shift, 1) for shift in range(6)]
    expected = [exact_pipeline(keep_colors="luma").run(p, place.styles[0]) for p in photos]
    encoded.clear()
    found = [None] * len(photos)

    def work(number):
        found[number] = pipeline.run(photos[number], place.styles[0])

    threads = [threading.Thread(target=work, args=[i]) for i in range(len(photos))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, expected)
    assert len(encoded) == 1


def test_options_are_checked_and_changed():
    with pytest.raises(ValueError, match="`passes` must be a whole number. Received: passes=None"):
        adain.StylizeOptions(passes=None)
    for wrong in (-1, 5e9, "0"):
        with pytest.raises(ValueError, match="`max_memory` must be a size such as 3GiB"):
            adain.StylizePipeline(max_memory=wrong)
    with pytest.raises(ValueError, match="`keep_colors` must be one of"):
        adain.StylizePipeline(keep_colors="sepia")


# === Sizes ===


def test_strips_are_not_blown_up(place, exact_pipeline):
    """The shorter side of a strip would be enlarged to hundreds of pixels, and the longer along."""
    strip = np.random.default_rng(0).integers(0, 256, (1, 30_000, 3), "uint8")
    pipeline = exact_pipeline(style_size=512, max_pixels=2**21, max_memory="800MiB")
    tracemalloc.start()
    try:
        assert pipeline.run(place.photo, strip).shape == (*SIZE, 3)
        assert tracemalloc.get_traced_memory()[1] < 300 * 2**20
    finally:
        tracemalloc.stop()
    with pytest.raises(ValueError, match=r"photo.png: resized to .* more than 2000000 pixels"):
        exact_pipeline(content_size=5000, max_pixels=2_000_000).run(
            place.path("photo.png"), place.styles[0]
        )
    with pytest.raises(ValueError, match=r"p.png: resized to .* more than 2000000 pixels"):
        exact_pipeline(style_size=5000, max_pixels=2_000_000).run(place.photo, place.path("p.png"))


# === Animations ===


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_are_streamed(place, preset, exact_pipeline, tmp_path, suffix, monkeypatch):
    """Of 300 frames no more than a few are in memory, and each is what `run` makes of it."""
    frames, side = 300, 64
    meta = ImageMeta(duration=40, loop=0)
    photo = tmp_path / f"many{suffix}"
    base = load_image(place.path("photo.png"))[:side, :side]
    save_frames(photo, ((np.roll(base, i, 1), meta) for i in range(frames)))
    alive: list[weakref.ref] = []
    most = [0]
    run = adain.StylizePipeline.run_planes

    class Tracked(np.ndarray):
        pass

    def watch(self, planes, *args, **how):
        found = run(self, planes, *args, **how)
        colors = found.colors.view(Tracked)
        alive[:] = [ref for ref in alive if ref() is not None] + [weakref.ref(colors)]
        most[0] = max(most[0], len(alive))
        return found._replace(colors=colors)

    monkeypatch.setattr(adain.StylizePipeline, "run_planes", watch)
    engine = exact_pipeline().options.engine
    out = tmp_path / f"out{suffix}"
    words = ["stylize", "--content-path", photo, "--style", place.path("p.png"), "--out-path", out]
    words += ["--checkpoint", preset, "--engine", engine, "--quiet"]
    assert cli.main(list(map(str, words))) == 0
    assert 1 <= most[0] <= 4
    with Image.open(out) as animation:
        assert animation.n_frames == frames


def test_frames_are_those_of_the_pipeline(place, preset, exact_pipeline, tmp_path):
    photo, out = tmp_path / "few.png", tmp_path / "out.png"
    pictures = [np.roll(place.photo, 9 * i, 1) for i in range(3)]
    save_frames(photo, [(picture, ImageMeta(duration=40, loop=0)) for picture in pictures])
    pipeline = exact_pipeline()
    words = ["stylize", "--content-path", photo, "--style", place.path("p.png"), "--out-path", out]
    words += ["--checkpoint", preset, "--engine", pipeline.options.engine, "--quiet"]
    assert cli.main(list(map(str, words))) == 0
    found = [frame for frame, _ in read_frames(out)]
    np.testing.assert_array_equal(found, [pipeline.run(p, place.styles[0]) for p in pictures])


# === Other processes ===


def _send_result(send, pipeline, photo, style):
    try:
        send.send(pipeline.run(photo, style))
    except Exception as error:
        send.send(error)


def _send_before_forked_after(send, checkpoint, engine, photo, style):
    """What a pipeline makes here, in a forked worker (None: it hangs), and here once more."""
    pipeline = adain.StylizePipeline(checkpoint=checkpoint, engine=engine)
    expected = pipeline.run(photo, style)
    context = multiprocessing.get_context("fork")
    receive, answer = context.Pipe(duplex=False)
    worker = context.Process(
        target=_send_result, args=(answer, pipeline, photo, style), daemon=True
    )
    with warnings.catch_warnings():
        # Python 3.12 and TensorFlow warn of forking beside threads.
        warnings.simplefilter("ignore")
        worker.start()
    found = receive.recv() if receive.poll(120) else None
    worker.kill()
    worker.join()
    send.send((expected, found, pipeline.run(photo, style)))


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork"
)
@pytest.mark.parametrize("engine", ["mnn", "onnxruntime", "openvino", "keras"])
def test_forked_workers(place, preset, engine):
    """Networks that were loaded and used go on in a worker, or say at once why they cannot."""
    if not engines.is_installed(engine):
        pytest.skip(f"{engine} is not installed")
    # From a process of its own: other tests' threads may hold a lock at the moment of the fork.
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(
        target=_send_before_forked_after,
        args=(send, str(preset), engine, place.photo, place.styles[0]),
    )
    process.start()
    try:
        assert receive.poll(240), "the process hangs"
        expected, found, again = receive.recv()
    finally:
        process.kill()
        process.join()
    assert found is not None, "the worker hangs"
    if engine == "keras":
        assert "Keras does not work in a forked process" in str(found)
    else:
        assert np.abs(found.astype(int) - expected).max() <= 2
    assert np.abs(again.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("engine", ["mnn", "onnxruntime", "openvino", "keras"])
def test_pipelines_can_be_pickled(place, preset, engine):
    if not engines.is_installed(engine):
        pytest.skip(f"{engine} is not installed")
    how = {"engine": engine, "keep_colors": "luma", "supersample": 0}
    pipeline = adain.StylizePipeline(checkpoint=str(preset), **how)
    copy = pickle.loads(pickle.dumps(pipeline))
    assert copy.options == pipeline.options
    code = pipeline.encode(place.styles[0])
    found, expected = (each.run(place.photo, code) for each in (copy, pipeline))
    assert np.abs(found.astype(int) - expected).max() <= 2
    # The other's codes are its own, by preset and checksum.
    assert copy.encode(place.styles[0]).encoder == code.encoder != ""


# === Documentation ===


@pytest.mark.parametrize(
    ("file", "heading"), [("README.md", "Python"), ("docs/controls.md", "In Python")]
)
def test_examples_of_the_documentation_run(root, tmp_path, monkeypatch, picture, file, heading):
    for name, seed in (("photo", 1), ("painting", 2), ("night", 3), ("river", 4)):
        save_image(tmp_path / f"{name}.jpg", picture(64, 96, seed=seed))
    save_image(tmp_path / "sky.png", (np.indices((64, 96))[0] < 30).astype("uint8") * np.uint8(255))
    monkeypatch.chdir(tmp_path)
    text = (root / file).read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, flags=re.S | re.M)
    blocks = re.findall(r"```python\n(.*?)```", section, flags=re.S)
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 2 and names["image"].shape == (64, 96, 3)


# === What cannot be seen ===


@pytest.fixture(scope="module")
def shipped():
    """The engine's own weights: no Keras."""
    return adain.load_stylizer("adain_fast", "onnxruntime")


@pytest.mark.parametrize("method", ["coral", "histogram"])
def test_hidden_pixels_do_not_change_kept_colors(shipped, picture, method):
    pipeline = adain.StylizePipeline(stylizer=shipped, keep_colors=method, style_size=0)
    hidden = np.zeros((64, 80), bool)
    hidden[:, 30:] = True
    style, photo = picture(64, 80, seed=1), picture(64, 80, seed=2)

    def recolored(style_behind, photo_behind):
        whole, seen_photo = style.copy(), photo.copy()
        whole[hidden], seen_photo[hidden] = style_behind, photo_behind
        alpha = np.where(hidden, 0, 255).astype("uint8")
        lazy = Lazy(str((style_behind, photo_behind)), lambda: Planes(whole, alpha), "style")
        pixels = seen(seen_photo, None, alpha)
        return pipeline._styles.recolored(lazy, pixels).colors[~hidden]

    expected = COLOR_METHODS[method].function(style[:, :30], photo[:, :30]).reshape(-1, 3)
    for behind in ((255, 0), (0, 255), (7, 200)):
        assert np.array_equal(recolored(*behind), expected)


def test_photos_take_kept_colors_from_what_can_be_seen(shipped, picture):
    """The hidden half of the photo is another one; what the networks see there is the same."""
    pipeline = adain.StylizePipeline(stylizer=shipped, keep_colors="coral")
    taken = []
    pipeline._styles.recolored = lambda style, photo: (
        taken.append(photo) or StylePicture(picture(48, 48), None)
    )
    photo = np.dstack([picture(64, 80), np.full((64, 80), 255, "uint8")])
    photo[:, 40:, 3] = 0
    pipeline.run(photo, picture(48, 48))
    assert np.array_equal(taken[0][:, 0], photo[:, :40, :3].reshape(-1, 3))


def test_names_of_styles_are_those_of_the_networks(shipped, picture):
    """Also where `checkpoint` is left at its default, other weights."""
    photo, fast = picture(64, 80), adain.StylizePipeline(checkpoint="adain_fast")
    found = adain.StylizePipeline(stylizer=fast.stylizer).run(photo, "mosaic")
    assert np.array_equal(found, fast.run(photo, "mosaic"))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    "options",
    [{}, {"content_size": 50}, {"stroke": 64}, {"tile": 64, "palette": 0}, {"keep_colors": "luma"}],
)
def test_what_is_hidden_does_not_matter(shipped, picture, options, dtype):
    pipeline = adain.StylizePipeline(stylizer=shipped, **options)
    rows, columns = np.mgrid[:80, :96]
    alpha = np.where((rows - 40) ** 2 + (columns - 40) ** 2 < 900, 255, 0).astype("uint8")
    alpha[38:40] //= 2
    half = np.zeros((80, 96), "uint8")
    half[:, :40] = 255

    def results(behind):
        photo, style = picture(80, 96, seed=1), picture(70, 70, seed=2)
        photo[alpha == 0], style[alpha[:70, :70] == 0] = behind, behind
        photo, style = (
            np.dstack([part, alpha[: len(part), : part.shape[1]]]) for part in (photo, style)
        )
        photo = photo.astype(dtype) * (257 if dtype == "uint16" else 1)
        regions = [adain.Region(half, style), adain.Region(255 - half, "mosaic", 0.5)]
        return [pipeline.run(photo, style), pipeline.run(photo, regions=regions)]

    black, white, noise = map(results, (0, 255, [9, 200, 120]))
    for one, other, third in zip(black, white, noise, strict=True):
        assert np.array_equal(one, other) and np.array_equal(one, third)
    size = black[0].shape[:2]
    assert (black[0][..., 3] == 0).sum() > size[0] * size[1] / 3


def test_a_cut_out_is_like_the_photo_that_it_was_cut_from(shipped, root):
    """Its mean colours, and no rim in the colours behind it."""
    photo = adain.load_image(root / "images" / "inputs" / "cat.jpg")[:192, :256]
    pipeline = adain.StylizePipeline(stylizer=shipped, palette=0)
    whole = np.full(photo.shape[:2], 255, "uint8")
    alpha = whole.copy()
    alpha[:, :128] = 0
    half = adain.Region(alpha, "starry-night")
    expected = pipeline.run(np.dstack([photo, whole]), regions=[half])[:, 128:, :3].astype(int)
    for behind in (0, 255):
        cut = photo.copy()
        cut[:, :128] = behind
        found = pipeline.run(np.dstack([cut, alpha]), "starry-night")[:, 128:, :3].astype(int)
        assert np.abs(found.mean((0, 1)) - expected.mean((0, 1))).max() < 6
        assert np.abs(found[:, :4].mean((0, 1)) - expected[:, :4].mean((0, 1))).max() < 25


def test_a_photo_of_which_nothing_is_seen(shipped, picture):
    photo = np.dstack([picture(64, 80), np.zeros((64, 80), "uint8")])
    result = adain.StylizePipeline(stylizer=shipped).run(photo, "mosaic")
    assert not result[..., 3].any() and result[..., :3].std() > 10
    # Nor inside a mask.
    photo[:, :20, 3] = 255
    mask = np.zeros((64, 80), bool)
    mask[:, 40:] = True
    regions = [adain.Region(mask, "mosaic")]
    result = adain.StylizePipeline(stylizer=shipped).run(photo, regions=regions)
    assert np.array_equal(result[:, :20], photo[:, :20])


@pytest.mark.parametrize("samples", [2**22, 300])
def test_hidden_pixels_take_the_nearest_colors(monkeypatch, picture, samples):
    monkeypatch.setattr(transparency, "_SAMPLES", samples)
    colors, alpha = picture(60, 40), np.zeros((60, 40), "uint16")
    alpha[20:40, 10:30] = 1
    found = transparency.cover_hidden(colors, alpha)
    np.testing.assert_array_equal(found[20:40, 10:30], colors[20:40, 10:30])
    if samples > 300:
        np.testing.assert_array_equal(found[25, :10], np.tile(colors[25, 10], (10, 1)))
        np.testing.assert_array_equal(found[59, 39], colors[39, 29])
    inside = {tuple(color) for color in colors[20:40, 10:30].reshape(-1, 3)}
    assert {tuple(color) for color in found.reshape(-1, 3)} == inside
    # A line that the samples of a large picture miss.
    alpha[:] = 0
    alpha[31] = 7
    found = transparency.cover_hidden(colors, alpha)
    np.testing.assert_array_equal(found, np.tile(colors[31], (60, 1, 1)))
    for same in (None, np.zeros_like(alpha), np.ones_like(alpha)):
        assert transparency.cover_hidden(colors, same) is colors


# === Results that their format does not hold ===


@pytest.mark.parametrize("flags", [[], ["--concat"], ["--sheet", "alpha", "--sheet-steps", "17"]])
def test_results_too_large_for_their_format_are_refused_before_work(
    tmp_path, monkeypatch, capsys, flags
):
    def fail(*args, **named):
        raise AssertionError("the networks ran")

    monkeypatch.setattr("adain.stylize.pipeline.StylizePipeline._stylize", fail)
    folder, wide = tmp_path / "photos", 1000 if not flags else 900
    folder.mkdir()
    save_image(folder / "a.webp", np.zeros((30, wide, 3), "uint8"))
    size = 2100 if not flags else 2000 if flags == ["--concat"] else 128
    save_image(tmp_path / "s.png", np.zeros((30, 600, 3), "uint8"))
    words = ["--content-path", str(folder), "--style-path", str(tmp_path / "s.png")]
    words += ["--content-size", str(size), "--out-path", str(tmp_path / "out"), "--quiet"]
    words += ["--checkpoint", "adain_fast", "--engine", "onnxruntime", *flags]
    assert cli.main(["stylize", *words]) == 1
    error = capsys.readouterr().err
    assert "do not fit into WEBP, whose sides have 16383 at most. Use a smaller size" in error
