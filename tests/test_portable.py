"""What `adain export` writes paints Keras' pictures, each format in its own runtime.

The runtimes are called by the scripts of `examples/`, which know nothing of this package.
"""

from __future__ import annotations

import runpy
import sys

import numpy as np
import pytest

from adain import cli
from adain.export.command import export
from adain.export.config import ExportConfig
from adain.export.formats import EXPORT_FORMATS
from adain.export.quantize import quantize
from adain.extras import choose_backend, install_command
from adain.imaging.io import load_image, save_image
from adain.inference.style_code import StyleCode
from adain.networks.model import StyleTransfer
from adain.options import UsageError
from adain.presets.graphs import Graph
from adain.presets.preset import Preset

RUNTIMES = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "mnn": "MNN",
    "litert": "ai_edge_litert",
    "saved_model": "tensorflow",
}
"""The module that runs each format."""
SLOW = {"litert", "saved_model"}
"""Those that are converted by way of TensorFlow."""

CASES = {
    "full": ((65, 97), (50, 41), 1, 0.75),
    "half": ((33, 17), (33, 65), 0.5, 1),
    "none": ((64, 32), (16, 31), 0, 0.75),
    "plain": ((49, 80), (50, 41), 1, 0),
    "tiny": ((5, 3), (2, 9), 1, 1),
    "flat style": ((65, 97), "flat", 1, 1),
}
"""Size of the photo, size of the style, `alpha`, `palette`."""


def need(format):
    pytest.importorskip(RUNTIMES[format])
    if format == "onnx":
        pytest.importorskip("onnx")


FORMATS = [
    pytest.param(format, marks=pytest.mark.slow) if format in SLOW else format
    for format in EXPORT_FORMATS
]


@pytest.fixture(scope="module")
def preset(make_any, tmp_path_factory):
    """A preset of each architecture."""
    folder = tmp_path_factory.mktemp("preset")
    make_any().save_to_preset(folder)
    return folder


@pytest.fixture(scope="module")
def model(preset):
    return StyleTransfer.from_preset(preset)


@pytest.fixture(scope="module")
def style_of(picture):
    def make(size):
        flat = np.full((40, 56, 3), (200, 60, 120), "uint8")
        return flat if size == "flat" else picture(*size, seed=2)

    return make


@pytest.fixture(scope="module")
def expected(model, picture, style_of):
    """Keras' picture of each case."""
    return {
        name: model.stylize(picture(*size, seed=1), style_of(style), alpha, palette=palette)
        for name, (size, style, alpha, palette) in CASES.items()
    }


@pytest.fixture(scope="module")
def exported(preset, tmp_path_factory):
    """`exported(format, weights="auto")`: a folder with its files, written once."""
    made = {}

    def write(format, weights="auto"):
        if (format, weights) not in made:
            folder = made[format, weights] = tmp_path_factory.mktemp(format)
            settings = {"format": format, "weights": weights, "out_path": str(folder)}
            paths = list(export(ExportConfig(str(preset), **settings)))
            assert sorted(paths) == sorted(path for path in folder.rglob("*") if path.is_file())
        return made[format, weights]

    return write


@pytest.fixture
def run_example(root, monkeypatch, tmp_path):
    """`run_example(format, folder, content, style, alpha, palette)`: what a script writes."""

    def run(format, folder, content, style, *numbers):
        for name, image in (("photo", content), ("style", style)):
            save_image(tmp_path / f"{name}.png", image)
        files = [tmp_path / f"{name}.png" for name in ("photo", "style", "result")]
        script = root / "examples" / f"run_{format}.py"
        monkeypatch.setattr(sys, "argv", list(map(str, [script, folder, *files, *numbers])))
        runpy.run_path(str(script), run_name="__main__")
        return load_image(files[-1])

    return run


def levels(a, b) -> np.ndarray:
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b.astype(int))


@pytest.mark.parametrize("format", FORMATS)
def test_pictures_are_keras_own(format, exported, run_example, expected, picture, style_of):
    need(format)
    folder = exported(format)
    for name, (size, style, alpha, palette) in CASES.items():
        content = picture(*size, seed=1)
        found = run_example(format, folder, content, style_of(style), alpha, palette)
        assert levels(found, expected[name]).max() <= 1, name


def test_codes_are_those_of_style_cards(preset, model, exported, picture, tmp_path):
    """What `style` gives is what a card holds, and `stylize` takes either."""
    need("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = exported("onnx")
    style, stylize = (
        onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("style", "stylize")
    )
    content, flat = picture(40, 56), np.full((33, 20, 3), (10, 240, 90), "uint8")
    for image in (picture(50, 41, seed=2), flat):
        model.encode_style(image).save(tmp_path / "card.npz")
        card = StyleCode.load(tmp_path / "card.npz")
        feeds = {
            "style_mean": np.concatenate(card.means),
            "style_std": np.concatenate(card.stds),
            "palette_mean": card.palette.mean.astype("float32"),
            "palette_covariance": card.palette.covariance.astype("float32"),
        }
        names = [output.name for output in style.get_outputs()]
        assert names == list(feeds)
        for name, value in zip(names, style.run(names, {"style": image[None]}), strict=True):
            assert value.dtype == np.float32
            np.testing.assert_allclose(value, feeds[name], rtol=1e-3, atol=1e-4)
        feeds |= {"content": content[None]}
        feeds |= {name: np.ones(1, "float32") for name in ("alpha", "palette")}
        found = stylize.run(None, feeds)[0][0]
        assert levels(found, model.stylize(content, card, palette=1)).max() <= 1


@pytest.mark.slow
def test_saved_models_hold_what_they_use_once(tiny_preset, tmp_path):
    """Keras' own `export` stores the decoder with `style`, and all weights twice with `stylize`."""
    tf = pytest.importorskip("tensorflow")
    if choose_backend() != "tensorflow":
        pytest.skip("SavedModels are written on TensorFlow")
    settings = {"format": "saved_model", "graphs": "style", "out_path": str(tmp_path / "out")}
    list(export(ExportConfig(str(tiny_preset), **settings)))
    reader = tf.train.load_checkpoint(str(tmp_path / "out/style/variables/variables"))
    shapes = [shape for name, shape in reader.get_variable_to_shape_map().items() if shape]
    encoder = StyleTransfer.from_preset(tiny_preset).encoder
    stored = sorted(tuple(shape) for shape in shapes)
    assert stored == sorted(tuple(weight.shape) for weight in encoder.weights)


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_weights_of_8_bits(format, preset, exported, run_example, picture, style_of):
    """Smaller by two fifths or more, and the pictures of the weights that are rounded."""
    need(format)
    if not Preset.load(preset).architecture.quantizes:
        with pytest.raises(UsageError, match="`weights` must be float16 for .* 2 grey levels"):
            exported(format, "int8")
        return
    folders = [exported(format, weights) for weights in ("float16", "int8")]
    sizes = [sum(path.stat().st_size for path in folder.iterdir()) for folder in folders]
    pictures = [
        run_example(format, folder, picture(65, 97, seed=1), style_of((50, 41)), 1, 0.75)
        for folder in folders
    ]
    assert sizes[1] < sizes[0]
    # Networks of random weights magnify what rounding does; `docs/export.md` has the trained ones.
    assert 0 < levels(*pictures).mean() < 12


def test_quantized_kernels_are_the_nearest():
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 1, (3, 3, 16, 24)).astype("float32") * np.logspace(-3, 1, 24)
    arrays = {"part/kernel": kernel.astype("float16"), "part/bias": np.ones(24, "float16")}
    graph = Graph()
    image = graph.input("image", (1, 16, "h", "w"))
    weights = [graph.weight("part/kernel", (3, 2, 0, 1), (24, 16, 3, 3))]
    weights.append(graph.weight("part/bias", (0,), (24,)))
    graph.output(
        graph.add("Conv", [image, *weights], kernel_shape=[3, 3]), "out", (1, 24, "h", "w")
    )
    found, stored = quantize(graph, arrays)
    assert stored["part/kernel"].dtype == np.int8 and stored["part/bias"].dtype == np.float16
    (node,) = [node for node in found.nodes if node[0] == "DequantizeLinear"]
    kind, scales = found.constants[node[1][1]]
    assert kind == "float32" and node[3] == {"axis": 0}
    error = np.abs(stored["part/kernel"] * np.array(scales) - kernel)
    assert (error <= np.array(scales) * 0.51 + np.abs(kernel) * 2**-10).all()
    # The graph and the weights that were given are as they were.
    assert not any(node[0] == "DequantizeLinear" for node in graph.nodes)
    assert arrays["part/kernel"].dtype == np.float16


def test_mnn_in_half_precision(preset, exported, run_example, picture, style_of):
    sizes, found = [], []
    for weights in ("float32", "float16"):
        folder = exported("mnn", weights)
        sizes.append(sum(path.stat().st_size for path in folder.iterdir()))
        found.append(
            run_example("mnn", folder, picture(65, 97, seed=1), style_of((50, 41)), 1, 0.75)
        )
    assert sizes[1] < sizes[0]
    assert levels(*found).mean() <= 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "onnx", "weights": "float32"}, "`weights` must be float16 or int8 for onnx"),
        ({"format": "mnn", "weights": "int8"}, "8 grey levels on average"),
        ({"format": "litert", "weights": "int8"}, "8 grey levels on average"),
        ({"format": "saved_model", "weights": "float16"}, "what TensorFlow computes with"),
        ({"format": "litert", "graphs": ("encode",)}, "`graphs` must be style or stylize"),
        ({"format": "onnx", "graphs": ("encoder",)}, "encoder"),
        ({"format": "coreml"}, "coreml"),
    ],
)
def test_what_a_format_cannot_do_is_said(settings, message):
    with pytest.raises(UsageError, match=message):
        ExportConfig("adain_fast", **settings)


def test_bad_folders(tiny_preset, tmp_path, capsys):
    words = ["export", "--checkpoint", str(tiny_preset), "--format", "mnn"]
    (tmp_path / "file").write_text("")
    assert cli.main([*words, "--out-path", str(tmp_path / "file")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert str(tmp_path / "file") in line
    assert cli.main(["export", "--checkpoint", str(tmp_path / "none"), "--format", "mnn"]) == 1
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_a_format_whose_package_is_missing(tiny_preset, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)
    words = ["export", "--checkpoint", str(tiny_preset), "--out-path", str(tmp_path / "out")]
    assert cli.main(words) == 2
    assert install_command("export") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
