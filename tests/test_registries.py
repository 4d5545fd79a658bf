"""One registry for one thing: a toy entry of each is used like those that come with the package."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from adain import cli
from adain.batch.sets import FORMS, SUFFIXES, Index, Sample, Unit, digest_of
from adain.engines.engine import ENGINES, Engine
from adain.engines.onnxruntime import OnnxRuntimeStylizer
from adain.engines.registry import is_installed
from adain.export.formats import EXPORT_FORMATS, ExportFormat
from adain.files import replacing
from adain.imaging.color_methods import COLOR_METHODS, ColorMethod
from adain.imaging.io import load_image, save_image
from adain.networks.losses import content_loss
from adain.networks.model import StyleTransfer
from adain.networks.style_losses import STYLE_LOSSES, StyleLoss
from adain.options import flag, load
from adain.presets.architecture import ARCHITECTURES
from adain.presets.preset import Preset, available_presets


@pytest.fixture
def register(monkeypatch):
    """`register(registry, name, entry)`: an entry for the time of a test."""
    return lambda registry, name, entry: monkeypatch.setitem(registry, name, entry)


@pytest.fixture
def stylize(gallery, tiny_preset, tmp_path):
    """`stylize(*flags)`: the command line on one photo and one style; the result."""
    photos, styles = gallery

    def run(*flags, checkpoint=tiny_preset):
        words = ["--content-path", photos / "a.png", "--style", styles / "x.png", "--quiet"]
        words += ["--checkpoint", checkpoint, "--out-path", tmp_path / "out.png", "--overwrite"]
        assert cli.main(["stylize", *map(str, [*words, *flags])]) == 0
        return load_image(tmp_path / "out.png")

    return run


# === Entries, by the names under which registries find them ===


def build_encoder(widths=(4, 6), name="encoder"):
    """Two taps at half size."""
    image = keras.layers.Input((None, None, 3), name="image")
    x = keras.layers.MaxPooling2D(2, name="pool")(image)
    first = keras.layers.Conv2D(widths[0], 1, name="conv1")(x)
    return keras.Model(
        image, [first, keras.layers.Conv2D(widths[1], 1, name="conv2")(x)], name=name
    )


def build_decoder(widths=(4, 6), name="decoder"):
    from adain.networks.layers import NearestUpsampling2D

    features = keras.layers.Input((None, None, widths[1]), name="features")
    x = NearestUpsampling2D(name="up")(features)
    image = keras.layers.Conv2D(3, 1, bias_initializer="ones", name="image", dtype="float32")(x)
    return keras.Model(features, image, name=name)


class Negative(OnnxRuntimeStylizer):
    """An engine whose pictures are negatives."""

    _engine = "negative"

    def _decode(self, *features, **how):
        picture = super()._decode(*features, **how)
        return (1 if picture.dtype == np.float32 else 255) - picture


def keep_green(image, content):
    return np.stack([image[..., 0], content[..., 1], image[..., 2]], axis=-1)


def mean_of(features):
    return keras.ops.mean(features, axis=(1, 2))


def mean_loss(taps, targets):
    return sum(
        content_loss(mean_of(tap), target) for tap, target in zip(taps, targets, strict=True)
    )


def write_summary(preset, graphs, weights):
    found = Preset.load(preset)
    names = {part: sorted(found.read_weights(part)) for part in ("encoder", "decoder")}
    yield "deep/summary.json", json.dumps(names | {"graphs": graphs, "weights": weights}).encode()


@dataclass(frozen=True)
class GreetConfig:
    name: str = flag("world", "whom to greet")


def greet(config):
    cli.complain(f"hello {config.name}")
    return 0


class Listed:
    """A form of data sets: text files with the paths of pictures; results are one text file."""

    whole = False

    def __init__(self, config):
        pass

    def index(self, files):
        return Index([Unit(digest_of(file), 1, file) for file in files])

    def read(self, unit):
        path = Path(unit.file.path.read_text())
        yield Sample(path.name, "", path.suffix, path.read_bytes())

    @contextmanager
    def part(self, unit, folder, path):
        with replacing(path, make_folder=True) as file:
            yield ListedPart(file)

    def join(self, file, parts, out):
        out.write(b"".join(part.read_bytes() for part in parts))


class ListedPart:
    def __init__(self, file):
        self.file = file

    def write(self, sample, data, suffix):
        self.file.write(f"{sample.name} {len(data)}".encode())
        return sample.name


HERE = __name__


# === Used from end to end ===


@pytest.mark.usefixtures("cut")
def test_architecture(register, stylize, tmp_path, picture):
    facts = replace(
        ARCHITECTURES["compact"], name="toy", module=HERE, taps=2, levels=1, stride=2,
        encoder_halo=2, decoder_halo=2, normalized=False,
    )  # fmt: skip
    register(ARCHITECTURES, "toy", facts)
    model = StyleTransfer(
        build_encoder(), build_decoder(), architecture="toy", about={"preset": "toy"}
    )
    model.save_to_preset(tmp_path / "toy")
    assert Preset.load(tmp_path / "toy").architecture is facts
    expected = stylize("--engine", "keras", checkpoint=tmp_path / "toy")
    tiled = stylize("--engine", "keras", "--tile", "64", checkpoint=tmp_path / "toy")
    assert np.abs(tiled.astype(int) - expected).max() <= 1
    for engine in filter(is_installed, ENGINES):
        found = stylize("--engine", engine, checkpoint=tmp_path / "toy")
        assert np.abs(found.astype(int) - expected).max() <= 2, engine
    # Training knows it as well.
    config = load("adain.training.config:TrainConfig")(
        content_path="a", style_path="b", network="toy", detail_size=16, coarse_weight=1.0,
        crop_size=32,
    )  # fmt: skip
    assert config.network == "toy"


def test_engine(register, stylize, monkeypatch):
    pytest.importorskip("onnxruntime")
    flags = ("--palette", "0", "--supersample", "0")
    plain = stylize("--engine", "onnxruntime", *flags)
    register(ENGINES, "negative", Engine(f"{HERE}:Negative", ("onnxruntime",), "onnxruntime"))
    found = stylize("--engine", "negative", *flags)
    assert np.abs(found.astype(int) - (255 - plain)).max() <= 1


def test_color_mode(register, stylize, gallery):
    plain = stylize()
    register(COLOR_METHODS, "green", ColorMethod(f"{HERE}:keep_green", changes_style=False))
    found = stylize("--keep-colors", "green")
    np.testing.assert_array_equal(found[..., 1], load_image(gallery[0] / "a.png")[..., 1])
    np.testing.assert_array_equal(found[..., 0], plain[..., 0])


def test_export_format(register, tiny_preset, tmp_path, capsys):
    register(EXPORT_FORMATS, "summary", ExportFormat("names", f"{HERE}:write_summary"))
    words = ["--checkpoint", str(tiny_preset), "--out-path", str(tmp_path / "names")]
    assert cli.main(["export", "--format", "summary", *words]) == 0
    names = json.loads((tmp_path / "names" / "deep" / "summary.json").read_text())
    assert "conv1_1/kernel" in names["encoder"]
    assert names["graphs"] == ["style", "stylize"] and names["weights"] == "float32"
    assert "written: " in capsys.readouterr().err
    assert cli.main(["export", "--format", "sumary", *words]) == 2


@pytest.mark.usefixtures("eager")
def test_style_loss(register, tiny_preset, tmp_path, write_pictures):
    loss = StyleLoss("means alone", f"{HERE}:mean_loss", target=f"{HERE}:mean_of")
    register(STYLE_LOSSES, "means", loss)
    content = write_pictures(tmp_path / "content", 2)
    style = write_pictures(tmp_path / "style", 2, seed=50)
    words = [
        "train", "--content-path", content, "--style-path", style, "--vgg-path", tiny_preset,
        "--style-loss", "means", "--max-iter", 1, "--crop-size", 32, "--batch-size", 1,
        "--image-size", 40, "--pretrain-iter", 0, "--checkpoint", tmp_path / "run",
    ]  # fmt: skip
    assert cli.main(list(map(str, words))) == 0
    assert Preset.load(tmp_path / "run").about["training"]["style_loss"] == "means"
    # What it needs of styles is not among what can be kept.
    assert cli.main([*map(str, words), "--cache-styles", "1"]) == 2
    words = ["optimize", "--content-path", content / "000.png", "--style-path", style / "000.png"]
    words += ["--style-loss", "means", "--steps", 2, "--checkpoint", tiny_preset]
    words += ["--out-path", tmp_path / "out.png", "--quiet"]
    assert cli.main(list(map(str, words))) == 0
    assert load_image(tmp_path / "out.png").shape[2] == 3


def test_form_of_data_sets(register, batch, inline, picture, tmp_path):
    register(FORMS, "list", f"{HERE}:Listed")
    register(SUFFIXES, ".txt", "list")
    save_image(tmp_path / "a.png", picture(40, 56))
    (tmp_path / "a.txt").write_text(str(tmp_path / "a.png"))
    assert batch(tmp_path / "a.txt", "out") == 0
    name, size = (tmp_path / "out" / "a.txt").read_text().split()
    assert name == "a.png" and int(size) > 500


def test_command(register, capsys):
    register(cli.COMMANDS, "greet", cli.Command("Greet.", f"{HERE}:greet", f"{HERE}:GreetConfig"))
    assert cli.main(["greet", "--name", "moon"]) == 0
    assert "hello moon" in capsys.readouterr().err
    assert cli.main(["--help"]) == 0
    assert "Greet." in capsys.readouterr().out


def test_preset(make_model, stylize, monkeypatch, tmp_path, capsys, picture):
    """A folder among the others, with its style cards."""
    make_model(3).save_to_preset(tmp_path / "weights" / "toy")
    monkeypatch.setattr("adain.presets.preset._root", lambda: tmp_path / "weights")
    assert available_presets() == ["toy"]
    code = StyleTransfer.from_preset("toy").encode_style(picture(32, 32))
    (tmp_path / "weights" / "toy" / "styles").mkdir()
    code.save(tmp_path / "weights" / "toy" / "styles" / "dots.npz")
    assert cli.main(["presets"]) == 0
    assert "toy" in capsys.readouterr().out
    save_image(tmp_path / "photo.png", picture(40, 48))
    words = ["--content-path", tmp_path / "photo.png", "--style", "dots", "--checkpoint", "toy"]
    words += ["--out-path", tmp_path / "out.png", "--quiet"]
    assert cli.main(["stylize", *map(str, words)]) == 0
    assert load_image(tmp_path / "out.png").shape == (40, 48, 3)
