"""The slow method: gradients, what each loss and start leads to, memory, and the command."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path

import numpy as np
import pytest

from adain import cli
from adain.constants import LAYERS
from adain.imaging.io import ImageMeta, load_image, read_image, save_image
from adain.optimization.config import OptimizeConfig


@pytest.fixture(scope="module")
def encoder(make_model):
    return make_model(seed=4).encoder


@pytest.fixture
def optimize(encoder):
    """`optimize(content, style, ...)`: the picture and the losses of every step."""
    from adain.optimization.gatys import optimize_image

    def run(content=None, style=None, **settings):
        found = []
        settings = {"steps": 30} | settings
        image = optimize_image(
            encoder, content, style, on_step=lambda _, losses, __: found.append(losses), **settings
        )
        return image, found

    return run


# === The maths ===


@pytest.mark.parametrize("style_loss", ["gram", "balanced"])
def test_gradient_against_finite_differences(encoder, picture, style_loss):
    from adain.optimization.gatys import Canvas

    content, style = (
        picture(*size, seed).astype("float32") / 255
        for seed, size in ((0, (24, 32)), (1, (16, 16)))
    )
    canvas = Canvas(
        encoder, content.shape, content_layers=("relu2_1", "relu4_1"), style_layers=LAYERS,
        style_loss=style_loss, loss_weights=(1.0, 2.0, 0.5),
    )  # fmt: skip
    targets = canvas.encode_targets(content, style)
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, content.size)
    losses, gradient = canvas.evaluate(x, targets)
    parts = (losses["content_loss"], losses["style_loss"], losses["tv_loss"])
    assert min(parts) > 0
    assert losses["loss"] == pytest.approx(np.dot((1.0, 2.0, 0.5), parts), rel=1e-5)
    # Along the gradient, where the difference is largest, and along a mixture with noise.
    noise = rng.normal(size=x.size) * np.linalg.norm(gradient) / np.sqrt(x.size)
    for direction in (gradient, gradient + noise):
        step = 5e-3 * direction / np.linalg.norm(direction)
        high, low = (canvas.evaluate(x + s, targets)[0]["loss"] for s in (step, -step))
        assert high - low == pytest.approx(2 * gradient @ step, rel=2e-2)
    # The same place, the same gradient: nothing is left over from one step to the next.
    np.testing.assert_allclose(canvas.evaluate(x, targets)[1], gradient, rtol=1e-3, atol=1e-6)


def test_losses_are_zero_where_the_picture_is_the_target(encoder, picture):
    from adain.optimization.gatys import Canvas

    image = picture(24, 24).astype("float32") / 255
    for style_loss in ("gram", "balanced"):
        canvas = Canvas(
            encoder, image.shape, content_layers=LAYERS, style_layers=LAYERS,
            style_loss=style_loss, loss_weights=(1.0, 1.0, 0.0),
        )  # fmt: skip
        losses, _ = canvas.evaluate(image.reshape(-1), canvas.encode_targets(image, image))
        assert losses["loss"] < 1e-8


@pytest.mark.parametrize("style_loss", ["gram", "balanced"])
@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_the_loss_falls(optimize, picture, method, style_loss):
    content, style = picture(32, 40), 255 - picture(24, 24, seed=1)
    image, losses = optimize(content, style, method=method, style_loss=style_loss)
    assert image.shape == content.shape and image.dtype == np.uint8
    assert len(losses) == 30
    total = [step["loss"] for step in losses]
    assert min(total) < 0.85 * total[0]
    assert not np.array_equal(image, content)


def test_weights_pull_their_way(optimize, picture):
    content, style = picture(32, 32), 255 - picture(32, 32, seed=1)
    faithful, _ = optimize(content, style, style_weight=0.01)
    painted, _ = optimize(content, style, style_weight=100.0)
    smooth, _ = optimize(content, style, style_weight=0.01, tv_weight=100.0)
    distances = [np.abs(image.astype(int) - content).mean() for image in (faithful, painted)]
    assert distances[0] < 0.5 * distances[1]
    restless = [np.abs(np.diff(image.astype(int), axis=0)).mean() for image in (faithful, smooth)]
    assert restless[1] < 0.7 * restless[0]


def test_the_best_step_is_returned(encoder, picture):
    from adain.optimization.gatys import optimize_image

    content, style = picture(24, 24), 255 - picture(24, 24, seed=1)
    seen = []
    image = optimize_image(
        encoder, content, style, method="adam", learning_rate=0.3, steps=25,
        on_step=lambda step, losses, get: seen.append((step, losses["loss"], get())),
    )  # fmt: skip
    assert [step for step, _, _ in seen] == list(range(1, 26))
    np.testing.assert_array_equal(image, min(seen, key=lambda entry: entry[1])[2])


# === Starts and sizes ===


def test_starts(optimize, picture):
    content, style = picture(24, 40), 255 - picture(24, 24, seed=1)
    given = picture(24, 40, seed=5)
    for start in ("content", given):
        image, _ = optimize(content, style, start=start, steps=1)
        np.testing.assert_array_equal(image, content if isinstance(start, str) else start)
    noise, again, other = (
        optimize(content, style, start="noise", steps=1, seed=seed)[0] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(noise, again)
    assert not np.array_equal(noise, other)
    np.testing.assert_array_equal(optimize(content, style, steps=1)[0], content)


@pytest.mark.parametrize("size", [(65, 97), (1, 1), (17, 8), (16, 16)])
def test_sizes_are_kept(optimize, picture, size):
    image, _ = optimize(picture(*size), picture(30, 21, seed=1), steps=2)
    assert image.shape == (*size, 3)


def test_texture_of_any_size(optimize, picture):
    style = picture(32, 32, seed=1)
    image, losses = optimize(style=style, size=(27, 50), steps=60)
    assert image.shape == (27, 50, 3)
    assert losses[0]["content_loss"] == 0
    assert min(step["style_loss"] for step in losses) < 0.2 * losses[0]["style_loss"]
    means = [part.mean(axis=(0, 1)) for part in (image.astype(float), style.astype(float))]
    assert np.abs(means[0] - means[1]).max() < 25


def test_reconstruction_approaches_the_content(optimize, picture):
    content = picture(32, 32)
    noise, _ = optimize(content, steps=1)
    image, losses = optimize(content, content_layers=["relu1_1"], steps=80)
    assert losses[0]["style_loss"] == 0
    far, near = (np.abs(part.astype(int) - content).mean() for part in (noise, image))
    assert near < 0.5 * far
    assert min(step["content_loss"] for step in losses) < 0.05 * losses[0]["content_loss"]


# === What goes wrong ===


def test_a_loss_that_is_no_number_stops_at_once(make_model, picture):
    from adain.optimization.gatys import OptimizationError, optimize_image

    encoder = make_model().encoder
    encoder.get_layer("conv3_1").kernel.assign(encoder.get_layer("conv3_1").kernel * np.nan)
    steps = []
    with pytest.raises(OptimizationError, match="became nan at step 1"):
        optimize_image(
            encoder, picture(16, 16), picture(16, 16, seed=1),
            on_step=lambda step, *_: steps.append(step),
        )  # fmt: skip
    assert not steps


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"content": None, "style": None}, "`content` or `style` must be given"),
        ({"steps": 0}, "`steps` must be 1 or more. Received: steps=0"),
        ({"method": "sgd"}, "`method` must be of lbfgs, adam. Received: 'sgd'"),
        ({"style_loss": "l2"}, "`style_loss` must be of balanced, relative, gram"),
        ({"style_layers": ["conv5_1"]}, "`layers` must be of relu1_1"),
        ({"start": "photo"}, "`start` must be of noise, content. Received: 'photo'"),
        ({"content": None, "start": "content"}, "`start` must be of noise. Received"),
        ({"start": np.zeros((8, 8, 3), "uint8")}, "`start` must be 16 x 24 pixels"),
        ({"style": np.zeros((8, 8), "uint8")}, "`style` must be"),
    ],
)
def test_wrong_settings_are_told(optimize, picture, settings, message):
    given = {"content": picture(16, 24), "style": picture(16, 16)} | settings
    with pytest.raises(ValueError, match=message):
        optimize(given.pop("content"), given.pop("style"), **given)


def test_defaults_and_layers_are_the_commands():
    from adain.networks.vgg19 import TAPS
    from adain.optimization.gatys import optimize_image

    assert LAYERS == TAPS
    names = {"optimizer": "method"}
    found = inspect.signature(optimize_image).parameters
    for item in OptimizeConfig.__dataclass_fields__.values():
        name = names.get(item.name, item.name)
        if name in found and name != "size":
            assert found[name].default == item.default, name
    assert found["size"].default == OptimizeConfig(style_path="a").texture_size


# === Memory ===

STATM = Path("/proc/self/statm")


def resident() -> float:
    """MiB of this process that are in memory."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def growth(encoder, picture, method, steps=600, keep=None) -> float:
    """MiB by which memory grew from step 10 to the last."""
    from adain.optimization.gatys import optimize_image

    sizes = {}

    def on_step(step, losses, get_picture):
        if keep is not None:
            # More than what earlier tests have left free.
            keep.append(np.repeat(get_picture().astype("float32"), 4))
        sizes[step] = resident()

    optimize_image(
        encoder, picture(64, 64), picture(64, 64, seed=1), method=method, steps=steps,
        style_layers=["relu1_1", "relu2_1"], content_layers=["relu1_1"], on_step=on_step,
    )  # fmt: skip
    # L-BFGS may find nothing better some hundred steps earlier.
    assert len(sizes) > steps / 2
    return sizes[len(sizes)] - sizes[10]


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="reads /proc")
@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_memory_is_the_same_at_step_10_and_at_step_600(encoder, picture, method):
    # A picture kept at each step, 192 KiB, would be 50 MiB or more.
    assert growth(encoder, picture, method) < 16


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="reads /proc")
def test_the_measurement_of_memory_sees_a_leak(encoder, picture):
    assert growth(encoder, picture, "adam", steps=400, keep=[]) > 24


# === The command ===


@pytest.fixture
def place(tmp_path, tiny_preset, gallery):
    """A folder with photos, styles and a preset; `run(...)` optimises in it."""
    photos, styles = gallery

    class Place:
        out = tmp_path / "out"
        content, style, preset = photos, styles, tiny_preset

        def run(self, *flags, content=None, style=None, out=out, command="optimize"):
            words = [command, "--out-path", str(out), "--checkpoint", str(tiny_preset), "--quiet"]
            words += ["--content-size", "0", "--style-size", "0"]
            words += ["--content-path", str(content)] if content else []
            words += ["--style-path", str(style)] if style else []
            if command == "optimize":
                words += ["--steps", "3"]
            return cli.main([*words, *map(str, flags)])

        def results(self):
            return sorted(str(p.relative_to(self.out)) for p in self.out.rglob("*") if p.is_file())

    return Place()


def test_every_photo_meets_every_style(place):
    assert place.run(content=place.content, style=place.style) == 0
    assert place.results() == [
        "a_optimized_x.png",
        "a_optimized_y.png",
        "deep/b_optimized_x.jpg",
        "deep/b_optimized_y.jpg",
    ]
    assert load_image(place.out / "a_optimized_x.png").shape == (40, 56, 3)
    assert load_image(place.out / "deep" / "b_optimized_x.jpg").shape == (33, 47, 3)


def test_texture_and_reconstruction(place):
    assert place.run("--size", "24x33", style=place.style / "x.png") == 0
    assert place.run("--content-layers", "relu2_1", content=place.content / "a.png") == 0
    assert place.results() == ["a_reconstructed_relu2_1.png", "x_texture.png"]
    assert load_image(place.out / "x_texture.png").shape == (24, 33, 3)


def test_all_flags_at_once(place, capsys):
    flags = ["--start", "adain", "--optimizer", "adam", "--learning-rate", 0.01, "--steps", 5]
    flags += ["--style-loss", "balanced", "--style-layers", "relu1_1", "relu3_1"]
    flags += ["--content-weight", 2, "--style-weight", 5, "--tv-weight", 0.1, "--json"]
    flags += ["--save-iter", 2]
    out = place.out / "result.jpg"
    code = place.run(*flags, content=place.content / "a.png", style=place.style / "y.png", out=out)
    assert code == 0
    assert place.results() == ["result.jpg", "result_0002.png", "result_0004.png"]
    record = json.loads(capsys.readouterr().out)
    assert record["ok"] and record["output"] == str(out)
    assert record["losses"].keys() == {"loss", "content_loss", "style_loss", "tv_loss"}


def test_nothing_is_replaced_without_overwrite(place, capsys):
    photo, style = place.content / "a.png", place.style / "x.png"
    place.out.mkdir()
    for name in ("a_optimized_x.png", "a_optimized_y_0002.png"):
        (place.out / name).write_bytes(b"mine")
    # Nothing is left to do.
    assert place.run(content=photo, style=style) == 2
    assert "a_optimized_x.png is there already. Use --overwrite" in capsys.readouterr().err
    # Also pictures of single steps are not replaced; the others are done.
    assert place.run("--save-iter", 2, content=place.content, style=place.style) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "there already" in line]
    assert len(lines) == 2 and "a_optimized_y_0002.png" in lines[1]
    assert "deep/b_optimized_x.jpg" in place.results()
    for name in ("a_optimized_x.png", "a_optimized_y_0002.png"):
        assert (place.out / name).read_bytes() == b"mine"
    assert place.run("--overwrite", content=photo, style=style) == 0
    assert load_image(place.out / "a_optimized_x.png").shape == (40, 56, 3)


def test_what_the_photo_holds_is_kept(place, picture):
    from PIL import Image

    source, exif = place.content / "held.jpg", Image.Exif()
    exif[0x010E] = "a note"
    Image.fromarray(picture(24, 32)).save(source, exif=exif, dpi=(200, 200))
    assert place.run(content=source, style=place.style / "x.png") == 0
    _, meta = read_image(place.out / "held_optimized_x.jpg")
    assert b"a note" in meta.exif and meta.dpi == (200, 200)


def test_inputs_stay_and_intermediate_pictures_have_names_of_their_own(place, picture, capsys):
    taken = place.out / "a_optimized_x_0002.png"
    save = ["--save-iter", 2]
    place.out.mkdir()
    save_image(taken, picture(16, 16))
    before = taken.read_bytes()
    flags = [*save, "--style-path", place.style / "x.png", taken]
    assert place.run(*flags, content=place.content / "a.png") == 2
    assert "is an input" in capsys.readouterr().err
    assert taken.read_bytes() == before and place.results() == [taken.name]
    save_image(place.content / "a.jpg", picture(16, 16))
    # Their intermediate pictures are both PNG.
    flags = ["--content-path", place.content / "a.png", place.content / "a.jpg", *save]
    assert place.run(*flags, style=place.style / "x.png", out=place.out / "new") == 0
    assert sorted(path.name for path in (place.out / "new").iterdir()) == [
        "a_jpg_optimized_x.jpg", "a_jpg_optimized_x_0002.png",
        "a_png_optimized_x.png", "a_png_optimized_x_0002.png",
    ]  # fmt: skip
    capsys.readouterr()
    assert place.run(content=place.content, out=place.out / "one.png") == 2
    assert "one file, but there are 3 results" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Give --content-path, --style-path, or both"),
        (["--style-path", "x", "--start", "content"], "--start content needs --content-path"),
        (["--content-path", "x", "--start", "adain"], "--start adain needs --style-path"),
        (["--style-path", "x", "--size", "2x"], "`size` must be HEIGHTxWIDTH or one number"),
        (["--style-path", "x", "--size", "0"], "`size` must be"),
        (["--style-path", "x", "--steps", "0"], "`steps` must be 1 or more"),
        (["--style-path", "x", "--style-weight", "nan"], "`style_weight` must be 0 or more"),
        (["--style-path", "x", "--learning-rate", "0"], "`learning_rate` must be"),
        (["--style-path", "x", "--style-layers", "relu5_1"], "invalid choice: 'relu5_1'"),
        (["--style-path", "x", "--out-path", "-", "--json"], "Standard output takes one picture"),
    ],
)
def test_wrong_flags_exit_with_2(place, capsys, flags, message):
    assert place.run(*flags) == 2
    assert message in capsys.readouterr().err
    assert not place.out.exists()


def test_broken_files_are_named_and_the_others_done(place, capsys):
    (place.content / "text.jpg").write_text("not a picture")
    assert place.run(content=place.content, style=place.style / "x.png") == 1
    error = capsys.readouterr().err
    assert len([line for line in error.splitlines() if "text.jpg" in line]) == 1
    assert place.results() == ["a_optimized_x.png", "deep/b_optimized_x.jpg"]


def test_nothing_found_is_no_texture(place, capsys):
    assert place.run(content=place.content / "none.png", style=place.style) == 1
    assert "none.png: no such file or folder" in capsys.readouterr().err
    assert not place.out.exists()


# === stylize --refine ===


def test_refine_brings_the_result_closer_to_the_style(place):
    from adain.imaging.pixels import to_input, to_unit
    from adain.networks.model import load_loss_network
    from adain.optimization.gatys import Canvas

    photo, style = place.content / "a.png", place.style / "y.png"
    images = {}
    for steps in (0, 20):
        out = place.out / f"{steps}.png"
        code = place.run("--refine", steps, content=photo, style=style, out=out, command="stylize")
        assert code == 0
        images[steps] = load_image(out)
    assert images[20].shape == images[0].shape
    canvas = Canvas(
        load_loss_network(), images[0].shape,
        content_layers=("relu4_1",), style_layers=LAYERS, style_loss="gram",
        loss_weights=(OptimizeConfig.content_weight, OptimizeConfig.style_weight, 0.0),
    )  # fmt: skip

    def prepare(image):
        return to_unit(to_input(image, "image", 8))

    targets = canvas.encode_targets(*(prepare(load_image(path)) for path in (photo, style)))
    losses = [canvas.evaluate(prepare(images[steps]), targets)[0]["loss"] for steps in (0, 20)]
    assert losses[1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    "flags", [["--alpha", 0.5], ["--keep-colors", "luma"], ["--keep-colors", "coral"]]
)
def test_refine_goes_with_the_other_flags(place, flags):
    photo, style = place.content / "deep" / "b.jpg", place.style / "x.png"
    for steps in (0, 4):
        out = place.out / f"{steps}.png"
        words = [*flags, "--refine", steps, "--passes", 2]
        assert place.run(*words, content=photo, style=style, out=out, command="stylize") == 0
    plain, refined = (load_image(place.out / f"{steps}.png") for steps in (0, 4))
    assert refined.shape == plain.shape
    assert not np.array_equal(refined, plain)


def test_refine_needs_the_picture(place, tiny_model, picture, capsys):
    card = place.style / "card.npz"
    tiny_model.encode_style(picture(32, 32)).save(card)
    flags = ["--refine", 2]
    assert place.run(*flags, content=place.content, style=card, command="stylize") == 2
    assert "--refine needs the style's picture" in capsys.readouterr().err
    assert place.run(content=place.content, style=card) == 2
    assert "a style card" in capsys.readouterr().err
    assert not place.out.exists()


def test_transparency(place, picture, capsys):
    """Hidden colours of a photo do not count; of styles, all of which would, none is taken."""
    shown = picture(40, 40)
    alpha = np.full((40, 40), 255, "uint8")
    alpha[:, 20:] = 0
    results = []
    for number, color in enumerate((0, 255)):
        shown[:, 20:] = color
        photo = place.content / f"clear{number}.png"
        save_image(photo, shown, meta=ImageMeta(alpha=alpha))
        assert place.run("--steps", 2, content=photo, out=place.out / f"{number}.png") == 0
        results.append(load_image(place.out / f"{number}.png"))
    np.testing.assert_array_equal(*(result[:, :20] for result in results))
    assert place.run("--steps", 2, style=place.content / "clear0.png", out=place.out / "s") == 1
    assert "clear0.png: the style must not be transparent anywhere" in capsys.readouterr().err
