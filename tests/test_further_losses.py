"""Three losses: a photo seen twice, even areas, and the picture that other weights paint."""

from __future__ import annotations

import dataclasses
from functools import partial

import keras
import numpy as np
import pytest
from keras import ops

from adain import cli
from adain.imaging.palette import Palette, transport
from adain.networks import losses
from adain.networks.model import StyleTransfer
from adain.networks.vgg19 import get_arrays
from adain.options import UsageError
from adain.presets import npz
from adain.presets.preset import PresetError
from adain.training.config import TrainConfig
from adain.training.config_checks import SHIFT
from adain.training.data import StyleContentDataset
from adain.training.feature_cache import FeatureCache
from adain.training.loop import train
from adain.training.model import AdaINTrainer
from adain.training.optimizer import MeasuringAdam
from adain.training.pretrain import _mix
from adain.training.progress import ProgressLogger
from adain.training.scales import LossScales
from adain.training.second_view import NOISE, see_again
from adain.training.teacher import load_teacher

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def batch(picture):
    """Four photos of 64 pixels, of which the first and the last are seen twice, and styles."""
    content = np.stack([picture(64, 64, seed) for seed in (1, 2, 3, 4)])
    style = np.stack([picture(64, 64, seed) for seed in (5, 6, 7, 8)])
    return {"content": content, "style": style} | see_again(content, (0,))


@pytest.fixture(scope="module")
def network(make_model):
    """A loss network."""
    return make_model(seed=5).encoder


@pytest.fixture
def make_config(write_pictures, tiny_preset, tmp_path):
    def make(**kwargs):
        settings = {
            "content_path": str(write_pictures(tmp_path / "content", 3)),
            "style_path": str(write_pictures(tmp_path / "style", 3, seed=50)),
            "checkpoint": str(tmp_path / "run"), "vgg_path": str(tiny_preset), "batch_size": 2,
            "image_size": 40, "crop_size": 32, "max_iter": 3, "pretrain_iter": 0,
        }  # fmt: skip
        return TrainConfig(**settings | kwargs)

    return make


def unit(pictures):
    return pictures.astype("float32") / 255


def paint(model, content, style):
    return model.predict_on_batch({"content": unit(content), "style": unit(style)})


def measure(trainer, batch):
    """The losses, by name."""
    trainer.compile(optimizer=keras.optimizers.SGD(), jit_compile=False)
    trainer.reset_metrics()
    logs = trainer.test_on_batch(batch, return_dict=True)
    return {name: float(value) for name, value in logs.items()}


def second_part(pictures, batch):
    """What of pictures the second views show."""
    (top, left), side = batch["offset"], 64 - 2 * SHIFT
    return pictures[::3, top : top + side, left : left + side]


# === Second views ===


def test_a_second_view_is_a_part_of_the_photo_with_noise(picture):
    photos = np.stack([picture(96, 80, seed) for seed in range(4)])
    # Away from black and white, where noise is cut off.
    photos = (64 + photos // 2).astype("uint8")
    offsets = set()
    for key in range(40):
        view = see_again(photos, (key,))
        assert view["second"].shape == (2, 96 - 2 * SHIFT, 80 - 2 * SHIFT, 3)
        assert view["second"].dtype == np.uint8
        top, left = view["offset"]
        offsets.add((int(top), int(left)))
        part = photos[::3, top : top + 80, left : left + 64]
        noise = view["second"].astype(float) - part
        assert noise.std() == pytest.approx(NOISE, rel=0.03) and abs(noise.mean()) < 0.2
    assert len(offsets) > 25
    assert {min(min(offset) for offset in offsets), max(map(max, offsets))} == {0, 2 * SHIFT}


def test_second_views_follow_from_seed_and_step(write_pictures, tmp_path):
    folder = write_pictures(tmp_path / "photos", 3)
    settings = {"batch_size": 2, "image_size": 40, "crop_size": 32}
    make = [
        StyleContentDataset(folder, folder, second_views=True, seed=seed, **settings)
        for seed in (1, 1, 2)
    ]
    # Whichever was made before: a run that was resumed sees what it would have seen.
    whole = list(make[0].batches(0, 3))
    again = make[1].batch(2)
    for name in ("content", "second", "offset"):
        np.testing.assert_array_equal(whole[2][name], again[name])
    for other in (whole[1], make[2].batch(2)):
        assert (other["second"] != again["second"]).mean() > 0.5
    plain = StyleContentDataset(folder, folder, seed=1, **settings).batch(2)
    assert plain.keys() == {"content", "style"}
    # Pretraining learns from the same pictures as without.
    np.testing.assert_array_equal(_mix(plain, range(2)), _mix(again, range(2)))


def test_kept_styles_come_with_second_views(write_pictures, network, tmp_path):
    folder = write_pictures(tmp_path / "photos", 2)
    settings = {"batch_size": 2, "image_size": 40, "crop_size": 32, "fixed_draws": (0, 1)}
    dataset = StyleContentDataset(folder, folder, second_views=True, **settings)
    *_, batch = FeatureCache(dataset, network, LossScales()).batches(0, 2)
    assert batch.keys() == {"content", "style_means", "style_stds", "second", "offset"}
    for name in ("content", "second", "offset"):
        np.testing.assert_array_equal(batch[name], dataset.batch(1)[name])


# === Stability ===


@pytest.mark.parametrize("shared", [False, True])
def test_stability_loss(make_model, make_compact, network, batch, shared):
    """Of networks that share the loss network's encoder, and of those that do not."""
    model = make_model() if shared else make_compact()
    other = None if shared else network
    plain = measure(AdaINTrainer(model, other), batch)
    logs = measure(AdaINTrainer(model, other, stability_weight=20.0), batch)
    first = second_part(paint(model, batch["content"], batch["style"]), batch)
    expected = np.mean((first - paint(model, batch["second"], batch["style"][::3])) ** 2)
    assert logs["stability_loss"] == pytest.approx(float(expected), rel=5e-3)
    assert logs["loss"] == pytest.approx(plain["loss"] + 20 * logs["stability_loss"], rel=1e-4)


@pytest.mark.parametrize("kind", ["constant", "identity"])
def test_stability_of_networks_whose_loss_is_known(make_compact, network, batch, monkeypatch, kind):
    """One that always paints the same has none, and one that paints the photo has the noise's."""
    model = make_compact()
    trainer = AdaINTrainer(model, network, stability_weight=1.0)
    photo = keras.layers.Input((None, None, 3))
    monkeypatch.setattr(model, "encode_graph", keras.Model(photo, [photo] * 3))
    share = {"constant": 0, "identity": 1}[kind]
    monkeypatch.setattr(
        StyleTransfer, "paint", lambda self, encoded, *_: share * encoded[0] + 0.3 * (1 - share)
    )
    found = measure(trainer, batch)["stability_loss"]
    noise = unit(batch["second"]) - unit(second_part(batch["content"], batch))
    assert np.mean(noise**2) > 1e-4
    expected = np.mean(noise**2) if kind == "identity" else 0
    assert found == pytest.approx(float(expected), rel=1e-4, abs=1e-12)


# === Smoothness ===


def smoothness(image, photo):
    """Area by area."""
    windows = partial(np.lib.stride_tricks.sliding_window_view, window_shape=(8, 8), axis=(0, 1))
    small, areas = (windows(x).mean(axis=(-2, -1)) for x in (image, photo))
    total = 0.0
    for turned in ((small, areas), (small.swapaxes(0, 1), areas.swapaxes(0, 1))):
        steps, edges = (np.abs(x[8:] - x[:-8]) for x in turned)
        edges = edges.mean(axis=-1, keepdims=True)
        total += (steps * np.exp(-2 * edges / edges.mean())).mean() / 2
    return total


def test_smoothness_loss(make_compact, network, batch):
    model = make_compact()
    plain = measure(AdaINTrainer(model, network), batch)
    logs = measure(AdaINTrainer(model, network, smoothness_weight=20.0), batch)
    images = paint(model, batch["content"], batch["style"])
    pairs = zip(images, unit(batch["content"]), strict=True)
    expected = float(np.mean([smoothness(*pair) for pair in pairs]))
    assert logs["smoothness_loss"] == pytest.approx(expected, rel=1e-3)
    assert logs["loss"] == pytest.approx(plain["loss"] + 20 * expected, rel=1e-3)


def test_smoothness_sees_the_colours_that_users_see(make_compact, network, batch):
    """As content and style do: moved to the style's, where a run does that."""
    model = make_compact()
    found = measure(AdaINTrainer(model, network, palette=1.0, smoothness_weight=1.0), batch)
    images = paint(model, batch["content"], batch["style"])
    expected = 0.0
    for image, photo, style in zip(images, unit(batch["content"]), batch["style"], strict=True):
        matrix = transport(Palette.of(np.clip(image, 0, 1)), Palette.of(unit(style)), 1.0)
        expected += smoothness(image @ matrix[:, :3].T + matrix[:, 3], unit(photo)) / 4
    assert found["smoothness_loss"] == pytest.approx(expected, rel=1e-2)


def test_smoothness_leaves_strokes_and_outlines():
    """A blot in a sky counts, strokes within areas do not, and an outline hardly does."""
    photo = np.full((1, 64, 64, 3), 0.7, "float32")
    photo[:, 32:] = 0.2
    blot, strokes = photo.copy(), photo.copy()
    blot[:, 8:24, 24:40] -= 0.3
    strokes[:, ::2] -= 0.3
    loss = {
        name: float(losses.smoothness_loss(image, photo))
        for name, image in {"photo": photo, "blot": blot, "strokes": strokes}.items()
    }
    assert loss["blot"] > 40 * loss["photo"]
    assert loss["strokes"] == pytest.approx(loss["photo"], rel=1e-3)
    # Neither a photo of one colour nor one of 2 x 2 areas is a special case.
    even = np.full((1, 16, 16, 3), 0.5, "float32")
    half = even.copy()
    half[:, 8:] = 0.9
    assert float(losses.smoothness_loss(even, half)) == 0
    assert float(losses.smoothness_loss(half, even)) == pytest.approx(0.2, rel=1e-5)


def test_smoothness_has_no_grid():
    """Steps count the same wherever they lie: else strokes gather where they are free."""
    sky = np.full((1, 80, 80, 3), 0.5, "float32")
    steps = np.where(np.arange(96) % 16 < 8, 0.4, 0.6).astype("float32")[:, None]
    found = [
        float(losses.smoothness_loss(sky + steps[shift : shift + 80] - 0.5, sky))
        for shift in range(16)
    ]
    assert min(found) > 0.9 * max(found) > 0.04


# === Teacher ===


@pytest.mark.parametrize(("palette", "detail"), [(0.0, 0), (0.5, 32)])
def test_teacher_loss(make_model, make_compact, network, batch, palette, detail):
    """Of another architecture, with the run's palette, wherever contents are compared."""
    model, teacher = make_compact(), make_model(seed=3)
    teacher.trainable = False
    options = {"palette": palette, "coarse_weight": 1.0, "detail_size": detail}
    plain = measure(AdaINTrainer(model, network, **options), batch)
    options |= {"teacher": teacher, "teacher_weight": 2.0}
    logs = measure(AdaINTrainer(model, network, **options), batch)
    pictures = []
    for weights in (model, teacher):
        image = paint(weights, batch["content"], batch["style"])
        for picture, style in zip(image, unit(batch["style"]), strict=True):
            matrix = transport(Palette.of(np.clip(picture, 0, 1)), Palette.of(style), palette)
            if palette:
                picture[:] = picture @ matrix[:, :3].T + matrix[:, 3]
        pictures.append(image)
    small = [x.reshape(4, 16, 4, 16, 4, 3).mean(axis=(2, 4)) for x in pictures]
    seen = [x.reshape(4, 32, 2, 32, 2, 3).mean(axis=(2, 4)) for x in pictures]
    taps = [network.predict_on_batch(x)[-1] for x in (seen if detail else pictures)]
    features = float(ops.convert_to_numpy(losses.normalized_content_loss(*taps)))
    expected = np.mean((small[0] - small[1]) ** 2) + features
    assert expected > 0.1
    assert logs["teacher_loss"] == pytest.approx(float(expected), rel=1e-2)
    assert logs["loss"] == pytest.approx(plain["loss"] + 2 * logs["teacher_loss"], rel=1e-3)


def test_a_teacher_leaves_strokes_free():
    """Within areas of 4 x 4 pixels only their mean counts."""
    image, rng = np.full((1, 8, 8, 3), 0.5, "float32"), np.random.default_rng(0)
    features = rng.normal(size=(1, 4, 4, 6)).astype("float32")
    stripes = image + 0.2 * (np.arange(8) % 2 * 2 - 1)[:, None, None].astype("float32")
    for other, expected in ((stripes, 0.0), (image + 0.1, 0.01)):
        found = losses.teacher_loss(image, other, features, 3 * features + 1)
        assert float(ops.convert_to_numpy(found)) == pytest.approx(expected, abs=1e-5)


def test_a_student_that_is_its_teacher_has_nothing_to_learn(make_any, network, batch):
    model, teacher = make_any(), make_any()
    teacher.trainable = False
    other = None if model.architecture == "vgg19" else network
    options = {"palette": 0.5, "alpha": 0.6, "teacher": teacher, "teacher_weight": 1.0}
    logs = measure(AdaINTrainer(model, other, **options), batch)
    assert logs["teacher_loss"] == pytest.approx(0, abs=1e-6)
    assert logs["content_loss"] > 0.01


def test_only_the_student_learns(make_config, make_compact, network, batch, tmp_path):
    """From nothing but these losses; neither the teacher nor the loss network is saved."""
    make_compact(seed=4).save_to_preset(tmp_path / "teacher")
    named = {"teacher": str(tmp_path / "teacher"), "teacher_weight": 1.0}
    model, teacher = make_compact(), load_teacher(make_config(network="compact", **named))
    trainer = AdaINTrainer(
        model, network, content_weight=0.0, style_weight=0.0, stability_weight=1.0,
        teacher=teacher, teacher_weight=1.0,
    )  # fmt: skip
    student = [*model.encoder.trainable_variables, *model.decoder.trainable_variables]
    assert {id(x) for x in trainer.trainable_variables} == {id(x) for x in student}
    trainer.compile(optimizer=MeasuringAdam(1e-3), jit_compile=False)
    trainer.optimizer.build(trainer.trainable_variables)
    parts = [model.encoder, model.decoder, network, teacher.encoder, teacher.decoder]
    before = [get_arrays(part) for part in parts]
    trainer.train_on_batch(batch)
    moved = [
        max(np.abs(array - old[key]).max() for key, array in get_arrays(part).items())
        for part, old in zip(parts, before, strict=True)
    ]
    assert min(moved[:2]) > 1e-4 and not any(moved[2:])
    saved = {id(variable) for part in trainer.parts.values() for variable in part}
    assert not saved & {id(variable) for part in parts[2:] for variable in part.variables}


# === Runs ===


def test_a_resumed_run_ends_with_the_same_weights(make_config, tiny_preset, tmp_path, monkeypatch):
    """With both losses, in half precision, with validation; the records have them."""
    monkeypatch.setattr(ProgressLogger, "_show", lambda *_: None)
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = {
        "stability_weight": 5.0, "teacher": str(tiny_preset), "teacher_weight": 1.0, "seed": 3,
        "val_pairs": 1, "val_iter": 2, "summary_iter": 1, "precision": "mixed_bfloat16",
        "init": str(tiny_preset),
    }  # fmt: skip
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    config = make_config(checkpoint=str(whole), max_iter=2, **settings)
    model = train(config, quiet=True)
    for stop in (1, 2):
        train(make_config(checkpoint=str(parts), max_iter=stop, **settings), quiet=True)
    states = [npz.load(folder / "state.npz")[0] for folder in (whole, parts)]
    assert {name.partition("/")[0] for name in states[0]} == {"decoder", "optimizer"}
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name])
    events = EventAccumulator(str(whole / "logs")).Reload()
    for name in ("stability_loss", "teacher_loss"):
        for tag, count in ((name, 2), (f"val_{name}", 1)):
            values = [event.value for event in events.Scalars(tag)]
            assert len(values) == count and np.isfinite(values).all() and values[-1] > 0
    about = model.about["training"]
    names = ("stability_weight", "teacher", "teacher_weight")
    assert {name: about[name] for name in names} == {name: settings[name] for name in names}
    teacher = load_teacher(config)
    assert teacher.decoder.get_layer("conv3_2").compute_dtype == "bfloat16"
    assert not teacher.trainable_variables


# === What cannot be ===


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stability_weight": 1.0}, "stability_weight needs second views"),
        ({"teacher_weight": 1.0}, "teacher needs the styles' pictures"),
    ],
)
def test_inputs_that_are_not_enough(make_model, batch, options, message):
    if "teacher_weight" in options:
        options = options | {"teacher": make_model(seed=3)}
    ahead = {"content": batch["content"]}
    ahead |= {name: np.ones((4, 36), "float32") for name in ("style_means", "style_stds")}
    with pytest.raises(ValueError, match=message):
        AdaINTrainer(make_model(), **options)(ahead)


def test_a_teacher_has_a_weight(make_model):
    for options in ({"teacher": make_model()}, {"teacher_weight": 1.0}):
        with pytest.raises(ValueError, match="must be given together"):
            AdaINTrainer(make_model(seed=1), **options)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stability_weight": -1.0}, "`stability_weight` must be 0 or more"),
        ({"teacher_weight": -1.0}, "`teacher_weight` must be 0 or more"),
        ({"teacher": "adain_vgg19"}, "`teacher` must be given together with teacher_weight"),
        ({"teacher_weight": 1.0}, "`teacher` must be given together with teacher_weight"),
        (
            {"teacher": "adain_vgg19", "teacher_weight": 1.0, "cache_styles": 1},
            "`cache_styles` must be 0 with --teacher",
        ),
        (
            {"stability_weight": 1.0, "network": "compact", "crop_size": 32},
            "`crop_size` must be a multiple of 16 and 16 more, 48 at least, with --stability",
        ),
        ({"stability_weight": 1.0, "crop_size": 24}, "32 at least, with --stability-weight"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(UsageError, match=message):
        TrainConfig(content_path=("a",), style_path=("b",), **settings)


def test_a_teacher_that_cannot_be(make_config, make_compact, tmp_path, capsys):
    make_compact().save_to_preset(tmp_path / "compact")
    config = make_config(teacher=str(tmp_path / "compact"), teacher_weight=1.0, crop_size=40)
    with pytest.raises(UsageError, match="`crop_size` must be a multiple of 16, and 32 or more"):
        train(config)
    with pytest.raises(PresetError, match="no such weights"):
        load_teacher(dataclasses.replace(config, teacher=str(tmp_path / "none")))
    # Before anything is learnt, also where only a later stage has one.
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[stage]]\n[[stage]]\nteacher = "none"\nteacher-weight = 1.0\n')
    words = ["train", "--content-path", *config.content_path, "--style-path", *config.style_path]
    words += ["--checkpoint", str(tmp_path / "run"), "--recipe", str(recipe)]
    assert cli.main(words) == 1
    assert "none: no such weights. Use one of adain_fast" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
