"""The weights people get, on the pictures people get."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from adain.engines.registry import is_installed, load_stylizer
from adain.evaluation.metrics import pattern
from adain.imaging.io import load_image, resize_image, to_depth
from adain.networks.model import StyleTransfer
from adain.presets.graphs import GRAPHS
from adain.presets.preset import available_presets
from adain.stylize.pipeline import StylizePipeline
from adain.training.progress import judge

STYLES = ("night_swirls", "ink_wash", "mosaic")


@pytest.fixture(scope="module")
def tool(load_script):
    return load_script("tools/make_golden.py")


@pytest.fixture(scope="module", params=available_presets())
def model(request):
    return StyleTransfer.from_preset(request.param)


@pytest.fixture(scope="module", params=available_presets())
def stylizer(request):
    """On the quickest engine, whose pictures are Keras' own: `test_engines.py`."""
    return load_stylizer(request.param, "mnn")


@pytest.fixture(scope="module")
def codes(stylizer, tool):
    """Styles by their names, encoded once."""
    names = (*STYLES, "stained_glass")
    return {name: stylizer.encode_style(tool.load(f"styles/{name}.jpg")) for name in names}


@pytest.mark.parametrize("preset", available_presets())
def test_checksums(root, preset):
    folder = root / "weights" / preset
    sums = json.loads((folder / "config.json").read_text(encoding="utf-8"))["sha256"]
    expected = {"encoder.npz", "decoder.npz", GRAPHS}
    assert set(sums) == expected
    assert {path.name for path in folder.iterdir()} == {*expected, "config.json", "styles"}
    for name, expected in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected, name


@pytest.mark.parametrize("supersample", [0, 512])
@pytest.mark.usefixtures("cut")
def test_strokes_of_tiles_and_depths(tool, supersample):
    """What one size rounds, the next ones do not enlarge: tiles and 16 bits give one picture."""
    photo = resize_image(tool.load("inputs/temple.jpg"), (288, 384))
    whole = StylizePipeline(
        checkpoint="adain_fast", engine="mnn", stroke=96, tile=0, supersample=supersample
    )
    expected = whole.run(photo, "starry-night").astype(int)
    tiled = whole.with_options(tile=128).run(photo, "starry-night")
    assert np.abs(tiled - expected).max() <= 1
    deep = whole.run(to_depth(photo, np.uint16), "starry-night")
    assert np.abs(to_depth(deep, np.uint8) - expected).max() <= 1


def test_files_are_small(root):
    """A clone stays small, and no host asks for large-file storage."""
    folders = [root / name for name in ("weights", "images", "tests")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [str(path) for path in files if path.stat().st_size >= 16 * 2**20] == []


def test_golden_picture(model, tool):
    """Another backend or machine rounds otherwise; other weights would paint another picture."""
    compare(tool.paint(model), load_image(tool.GOLDEN / f"{model.preset}.png"))


@pytest.mark.parametrize("engine", ["mnn", "onnxruntime", "openvino"])
def test_golden_picture_without_keras(tool, engine):
    """The shipped ONNX files are those of the shipped weights."""
    if not is_installed(engine):
        pytest.skip(f"{engine} is not installed")
    stylizer = load_stylizer("adain_fast", engine)
    compare(tool.paint(stylizer), load_image(tool.GOLDEN / "adain_fast.png"))


def compare(found, expected):
    found, expected = found.astype(int), expected.astype(int)
    assert found.shape == expected.shape
    difference = np.abs(found - expected)
    counts = np.bincount(difference.ravel())
    lines = [f"{level:4} {counts[level]:8}" for level in np.flatnonzero(counts)]
    histogram = "\n".join(["grey levels apart, values:", *lines])
    assert difference.mean() < 1 and difference.max() < 8, histogram


def luma(picture):
    return picture @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("photo", ["cat", "temple"])
def test_alpha_0_keeps_the_photo(model, tool, photo, least=0.5):
    content = tool.load(f"inputs/{photo}.jpg")
    found = model.stylize(content, tool.load("styles/mosaic.jpg"), alpha=0)
    correlation = np.corrcoef(luma(content).ravel(), luma(found).ravel())[0, 1]
    assert correlation > least


def test_styles_show(stylizer, codes, tool):
    """Colourful, full of contrast, and different for each style."""
    content = tool.load("inputs/cat.jpg")
    styles = [tool.load(f"styles/{name}.jpg") for name in STYLES]
    outputs = [stylizer.stylize(content, codes[name]) for name in STYLES]
    assert judge(outputs, styles) == ""
    for i, output in enumerate(outputs):
        # Its mean colour is nearer to its own style's than to the average of the others'.
        distances = [np.abs(output.mean((0, 1)) - style.mean((0, 1))).sum() for style in styles]
        assert distances[i] < np.mean([d for j, d in enumerate(distances) if j != i]), STYLES[i]


@pytest.mark.parametrize("grey", [16, 128, 240])
def test_flat_areas_get_no_pattern(stylizer, codes, tool, grey):
    """Neither a weave of the last layers nor, where all is flat, enlarged rounding errors."""
    photo = tool.load("inputs/cat.jpg")[:256, :256]
    flat = np.full_like(photo, grey)
    beside = np.hstack([flat, photo])
    for name, style in codes.items():
        # Farther from the photo than its strokes reach.
        found = stylizer.stylize(beside, style)[:, :96]
        assert max(pattern(found, period) for period in (4, 8)) < 1, name
        assert stylizer.stylize(flat, style).std(axis=(0, 1)).max() < 1, name


@pytest.fixture(scope="module")
def flat_stylizers():
    return {engine: load_stylizer("adain_fast", engine) for engine in ("mnn", "onnxruntime")}


@pytest.mark.parametrize(
    ("size", "color"),
    [((33, 700), (0, 0, 0)), ((389, 517), (10, 200, 30)), ((640, 900), (255, 255, 255))],
)
@pytest.mark.usefixtures("cut")
def test_photos_of_one_color_stay_so(root, flat_stylizers, size, color):
    """At any size, whole and in tiles: rounding errors of engines are not enlarged."""
    style = load_image(root / "images" / "styles" / "stained_glass.jpg")[:256, :256]
    for stylizer in flat_stylizers.values():
        code = stylizer.encode_style(style)
        for dtype, scale in (("uint8", 1), ("uint16", 257)):
            photo = np.full((*size, 3), np.array(color) * scale, dtype)
            whole, tiled = (stylizer.stylize(photo, code, tile=tile) for tile in (0, 256))
            assert whole.dtype == photo.dtype and whole.shape == photo.shape
            # In 16 bits a grey level is 257.
            spread = max(
                np.ptp(picture.astype(int), axis=(0, 1)).max() for picture in (whole, tiled)
            )
            assert spread <= (1 if dtype == "uint8" else 80)
            assert np.abs(whole.astype(int) - tiled).max() <= (1 if dtype == "uint8" else 80)


def test_photos_of_nearly_one_color(root, flat_stylizers):
    """A dot, or an edge of one grey level: every engine makes the same of them."""
    style = load_image(root / "images" / "styles" / "stained_glass.jpg")[:256, :256]
    dot = np.full((900, 1200, 3), (120, 140, 90), "uint8")
    edge = dot.copy()
    dot[100:104, 100:104] += 20
    edge[:450] += 1
    for photo in (dot, edge):
        first, second = (
            stylizer.stylize(photo, stylizer.encode_style(style)).astype(int)
            for stylizer in flat_stylizers.values()
        )
        away = np.abs(first - second)
        assert away.mean() < 1 and (away > 2).mean() < 0.1
