"""Training: what is learnt, what is logged, and what stops a run that goes wrong."""

from __future__ import annotations

import json
import logging
import math

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from adain.networks import losses
from adain.networks.adain import mean_std, transfer_statistics
from adain.networks.model import StyleTransfer
from adain.networks.vgg19 import get_arrays
from adain.options import UsageError
from adain.presets import npz
from adain.presets.preset import PresetError
from adain.training.build import build_model
from adain.training.callbacks import TrainingError, load_state, save_state
from adain.training.config import TrainConfig
from adain.training.data import CONTENT, STYLE, StyleContentDataset
from adain.training.feature_cache import FeatureCache
from adain.training.loop import train
from adain.training.model import AdaINTrainer
from adain.training.optimizer import MeasuringAdam
from adain.training.progress import judge
from adain.training.scales import LossScales
from adain.training.schedule import Schedule

pytestmark = pytest.mark.usefixtures("eager")

# Everything that a compact model is trained with, at once.
COMPACT = {
    "network": "compact", "crop_size": 64, "coarse_weight": 1.0, "coarse_levels": 2,
    "detail_size": 32, "cache_styles": 1, "cache_contents": 1, "identity_weight": 50.0, "ema": 0.9,
}  # fmt: skip

LOGS = {"loss", "content_loss", "style_loss", "tv_loss"}


@pytest.fixture
def folders(tmp_path, write_pictures):
    return {
        "content_path": str(write_pictures(tmp_path / "content", 3)),
        "style_path": str(write_pictures(tmp_path / "style", 3, seed=50)),
    }


@pytest.fixture
def make_config(folders, tiny_preset, tmp_path):
    def make(**kwargs):
        settings = {
            "checkpoint": str(tmp_path / "run"), "vgg_path": str(tiny_preset), "batch_size": 2,
            "image_size": 40, "crop_size": 32, "max_iter": 3, "learning_rate": 1e-3,
            "pretrain_iter": 0,
        }  # fmt: skip
        return TrainConfig(**folders | settings | kwargs)

    return make


@pytest.fixture
def dataset(folders):
    return StyleContentDataset(**folders, batch_size=2, image_size=40, crop_size=32)


def compiled(model, learning_rate=1e-3, **kwargs):
    trainer = AdaINTrainer(model, **kwargs)
    trainer.compile(optimizer=keras.optimizers.Adam(learning_rate), jit_compile=False)
    return trainer


def evaluate(trainer, batch) -> dict[str, float]:
    trainer.reset_metrics()
    return {
        key: float(value) for key, value in trainer.test_on_batch(batch, return_dict=True).items()
    }


# === The loss ===


def test_the_loss_is_the_papers(make_model, dataset):
    """Equations 11 to 13, from the bare networks and the tested loss functions."""
    model = make_model()
    weights = {"content_weight": 2.0, "style_weight": 0.3, "tv_weight": 1e-3}
    batch = dataset.batch(0)
    logs = evaluate(compiled(model, alpha=0.7, **weights), batch)
    content, style = (batch[key].astype("float32") / 255 for key in ("content", "style"))
    statistics = [mean_std(tap) for tap in model.encoder.predict_on_batch(style)]
    *_, target = targets = [
        transfer_statistics(tap, *mean_std(tap), *wanted, alpha=0.7)
        for tap, wanted in zip(model.encoder.predict_on_batch(content), statistics, strict=True)
    ]
    image = model.decoder.predict_on_batch(list(map(ops.convert_to_numpy, targets[1:])))
    taps = model.encoder.predict_on_batch(image)
    expected = {
        "content_loss": losses.content_loss(taps[-1], target),
        "style_loss": losses.style_loss(taps, *zip(*statistics, strict=True)),
        "tv_loss": losses.total_variation_loss(image),
    }
    expected = {key: float(ops.convert_to_numpy(value)) for key, value in expected.items()}
    expected["loss"] = (
        2 * expected["content_loss"] + 0.3 * expected["style_loss"] + 1e-3 * expected["tv_loss"]
    )
    assert logs == pytest.approx(expected, rel=1e-3)
    assert all(value > 0 for value in logs.values())


def test_extra_losses(make_model, dataset):
    """The coarse and the identity loss, from the bare networks."""
    model = make_model()
    batch = dataset.batch(0)
    plain = evaluate(compiled(model), batch)
    logs = evaluate(compiled(model, coarse_weight=0.5, identity_weight=10.0), batch)
    content, style = (batch[key].astype("float32") / 255 for key in ("content", "style"))
    _, *levels = model.encoder.predict_on_batch(content)
    # Of every third photo, here the first of two.
    same = model.decoder.predict_on_batch([level[:1] for level in levels])
    error = np.mean((same - content[:1]) ** 2)
    assert logs["identity_loss"] == pytest.approx(float(error), 1e-3)
    targets = [
        ops.convert_to_numpy(transfer_statistics(level, *mean_std(level), *mean_std(wanted)))
        for level, wanted in zip(levels, model.encoder.predict_on_batch(style)[1:], strict=True)
    ]
    image = model.decoder.predict_on_batch(targets)
    small, small_style = (
        model.encoder.predict_on_batch(x.reshape(2, 16, 2, 16, 2, 3).mean(axis=(2, 4)))
        for x in (image, style)
    )
    coarse = losses.style_loss(small, *zip(*map(mean_std, small_style), strict=True))
    assert logs["coarse_loss"] == pytest.approx(float(coarse), 1e-3)
    assert logs["style_loss"] == pytest.approx(plain["style_loss"], 1e-4)
    expected = plain["loss"] + 0.5e-2 * logs["coarse_loss"] + 10 * logs["identity_loss"]
    assert logs["loss"] == pytest.approx(expected, 1e-4)


def test_losses_are_chosen_one_by_one(make_model, dataset):
    model, batch = make_model(), dataset.batch(0)
    plain = evaluate(compiled(model), batch)
    normalized = evaluate(compiled(model, normalized_content=True), batch)
    balanced = evaluate(compiled(model, style_loss="balanced"), batch)
    assert normalized["style_loss"] == pytest.approx(plain["style_loss"])
    assert normalized["content_loss"] != pytest.approx(plain["content_loss"], 1e-2)
    assert balanced["content_loss"] == pytest.approx(plain["content_loss"])
    assert balanced["style_loss"] != pytest.approx(plain["style_loss"], 1e-2)


@pytest.mark.parametrize("coarse", [0.0, 1.0])
def test_cached_batches_give_the_same_loss(make_model, folders, coarse):
    dataset = StyleContentDataset(
        **folders, batch_size=2, image_size=40, crop_size=32, style_crop_size=48,
        fixed_draws=(0, 1),
    )  # fmt: skip
    model = make_model()
    trainer = compiled(model, coarse_weight=coarse)
    cached = list(FeatureCache(dataset, model.encoder, trainer.views).batches(1, 5))
    assert len(cached) == 4
    assert "style" not in cached[0]
    for step, batch in enumerate(cached, start=1):
        assert evaluate(trainer, batch) == pytest.approx(
            evaluate(trainer, dataset.batch(step)), rel=2e-3
        )


def test_styles_are_encoded_once(make_model, folders, monkeypatch):
    dataset = StyleContentDataset(
        **folders, batch_size=2, image_size=40, crop_size=32, fixed_draws=(0, 2)
    )
    loaded = []
    load = dataset.load
    monkeypatch.setattr(dataset, "load", lambda crop: (loaded.append(crop), load(crop))[1])
    for _ in FeatureCache(dataset, make_model().encoder, LossScales()).batches(0, 12):
        pass
    styles = [crop for crop in loaded if crop.kind == STYLE]
    assert len(styles) == len(set(styles)) == 3 * 2


# === Learning ===


@pytest.mark.slow
@pytest.mark.traced
def test_one_pair_overfits(make_model, dataset):
    trainer = compiled(make_model(), learning_rate=5e-3)
    batch = dataset.batch(0)
    history = trainer.fit(
        ((batch,) for _ in range(60)), epochs=6, steps_per_epoch=10, shuffle=False, verbose=0
    ).history
    assert history.keys() == LOGS
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert all(math.isfinite(value) for key in LOGS for value in history[key])


def test_only_the_decoder_learns(make_model, dataset):
    model = make_model()
    encoder, decoder = get_arrays(model.encoder), get_arrays(model.decoder)
    trainer = compiled(model)
    assert [id(v) for v in trainer.trainable_variables] == [
        id(v) for v in model.decoder.trainable_variables
    ]
    batches = ((batch,) for batch in dataset.batches(0, 2))
    trainer.fit(batches, steps_per_epoch=2, shuffle=False, verbose=0)
    for name, array in get_arrays(model.encoder).items():
        np.testing.assert_array_equal(array, encoder[name])
    # Every weight of the decoder, from the first layer to the last.
    for name, array in get_arrays(model.decoder).items():
        assert np.abs(array - decoder[name]).max() > 0, name


def test_float_pictures_equal_uint8(make_model, dataset):
    trainer = compiled(make_model())
    batch = dataset.batch(0)
    as_float = {key: value.astype("float32") for key, value in batch.items()}
    assert evaluate(trainer, as_float) == pytest.approx(evaluate(trainer, batch), rel=1e-6)


# === The compact network: what is trained as a whole ===


@pytest.mark.parametrize("detail_size", [0, 16, 40])
def test_views_agree_with_numpy(detail_size):
    pictures = np.random.default_rng(0).uniform(size=(2, 64, 96, 3)).astype("float32")
    views = LossScales(2, detail_size)
    found = [ops.convert_to_numpy(view) for view in views(pictures)]
    assert views.count == len(found) == 3
    if detail_size:
        top, left = (64 - detail_size) // 2, (96 - detail_size) // 2
        detail = pictures[:, top : top + detail_size, left : left + detail_size]
    else:
        detail = pictures
    np.testing.assert_array_equal(found[0], detail)
    for view, factor in zip(found[1:], (2, 4), strict=True):
        blocks = pictures.reshape(2, 64 // factor, factor, 96 // factor, factor, 3)
        np.testing.assert_allclose(view, blocks.mean(axis=(2, 4)), rtol=1e-5)
    full, *others = (ops.convert_to_numpy(view) for view in views.style(pictures))
    np.testing.assert_array_equal(full, pictures)
    for one, other in zip(others, found[1:], strict=True):
        np.testing.assert_array_equal(one, other)
    content = ops.convert_to_numpy(views.content(pictures))
    np.testing.assert_array_equal(content, found[1 if detail_size else 0])


@pytest.fixture
def large(folders):
    """Crops that can be halved twice; fixed, so that they may be kept."""
    return StyleContentDataset(
        **folders, batch_size=2, image_size=64, crop_size=64, fixed_draws=(1, 1)
    )


@pytest.mark.parametrize("detail_size", [0, 24])
def test_the_loss_of_a_compact_model(make_model, make_compact, large, detail_size):
    """The picture is the model's own, and everything is compared in the loss network."""
    network, model, batch = make_model().encoder, make_compact(), large.batch(0)
    trainer = compiled(
        model, loss_network=network, alpha=0.7, style_weight=0.3, coarse_weight=0.5,
        coarse_levels=2, detail_size=detail_size, identity_weight=10.0,
    )  # fmt: skip
    logs = evaluate(trainer, batch)
    content, style = (batch[key].astype("float32") / 255 for key in ("content", "style"))
    alpha = np.full((2, 1), 0.7, "float32")
    image = model.predict_on_batch({"content": content, "style": style, "alpha": alpha})

    def encode(pictures, part=slice(None)):
        views = [pictures[:, part, part]]
        for factor in (2, 4):
            side = 64 // factor
            blocks = pictures.reshape(2, side, factor, side, factor, 3)
            views.append(blocks.mean(axis=(2, 4)))
        return [network.predict_on_batch(view) for view in views]

    like = 1 if detail_size else 0
    # Of the output a part in the middle; a part of the style would not have its statistics.
    taps = encode(image, slice(20, 44) if detail_size else slice(None))
    style_taps, features = encode(style), encode(content)[like][-1]
    statistics = [[mean_std(tap) for tap in view] for view in style_taps]
    target = transfer_statistics(features, *mean_std(features), *statistics[like][-1], alpha=0.7)
    style_losses = [
        losses.style_loss(view, *zip(*wanted, strict=True))
        for view, wanted in zip(taps, statistics, strict=True)
    ]
    own = {"content": content[:1], "style": content[:1]}
    expected = {
        "content_loss": losses.content_loss(taps[like][-1], target),
        "style_loss": style_losses[0],
        "coarse_loss": style_losses[1] + style_losses[2],
        "identity_loss": np.mean((model.predict_on_batch(own) - content[:1]) ** 2),
    }
    expected = {key: float(ops.convert_to_numpy(value)) for key, value in expected.items()}
    for key, value in expected.items():
        assert logs[key] == pytest.approx(value, rel=2e-3)
        assert value > 0
    total = expected["content_loss"] + 10 * expected["identity_loss"]
    total += 0.3 * (expected["style_loss"] + 0.5 * expected["coarse_loss"])
    assert logs["loss"] == pytest.approx(total, rel=2e-3)


@pytest.mark.slow
@pytest.mark.traced
def test_a_compact_model_learns_as_a_whole(make_model, make_compact, large):
    network, model = make_model().encoder, make_compact()
    before = [get_arrays(part) for part in (network, model.encoder, model.decoder)]
    trainer = compiled(model, loss_network=network)
    # Each once, and nothing of the loss network.
    assert sorted(id(v) for v in trainer.trainable_variables) == sorted(
        id(v) for v in model.encoder.trainable_variables + model.decoder.trainable_variables
    )
    batches = ((batch,) for batch in large.batches(0, 2))
    trainer.fit(batches, steps_per_epoch=2, shuffle=False, verbose=0)
    after = [get_arrays(part) for part in (network, model.encoder, model.decoder)]
    for name, array in after[0].items():
        np.testing.assert_array_equal(array, before[0][name])
    for was, now in zip(before[1:], after[1:], strict=True):
        for name, array in now.items():
            assert np.abs(array - was[name]).max() > 0, name


@pytest.mark.slow
@pytest.mark.traced
def test_a_compact_model_overfits_one_pair(make_model, make_compact, large):
    trainer = compiled(make_compact(), learning_rate=5e-3, loss_network=make_model().encoder)
    batch = large.batch(0)
    history = trainer.fit(
        ((batch,) for _ in range(30)), epochs=3, steps_per_epoch=10, shuffle=False, verbose=0
    ).history
    assert history["loss"][-1] < 0.5 * history["loss"][0], history["loss"]


@pytest.mark.slow
@pytest.mark.parametrize("detail_size", [0, 24])
def test_cached_contents_and_styles_give_the_same_loss(
    make_model, make_compact, large, monkeypatch, detail_size
):
    network = make_model().encoder
    trainer = compiled(
        make_compact(), loss_network=network, coarse_weight=1.0, coarse_levels=2,
        detail_size=detail_size, identity_weight=10.0,
    )  # fmt: skip
    expected = [evaluate(trainer, large.batch(step)) for step in range(1, 5)]
    loaded, load = [], large.load
    monkeypatch.setattr(large, "load", lambda crop: (loaded.append(crop), load(crop))[1])
    encoded = FeatureCache(large, network, trainer.views, keep_styles=True)
    cached = list(encoded.batches(1, 5))
    for batch, logs in zip(cached, expected, strict=True):
        keys = {"content", "content_features", "style", "style_means", "style_stds"}
        assert batch.keys() == keys
        # Features are kept in half precision.
        assert evaluate(trainer, batch) == pytest.approx(logs, rel=3e-3)
    # Three pictures of each kind, one crop of each, read once.
    assert len(loaded) == len(set(loaded)) == 6
    assert {crop.kind for crop in loaded} == {CONTENT, STYLE}


@pytest.mark.slow
@pytest.mark.traced
def test_a_compact_run_writes_a_preset(make_config, tmp_path, picture):
    model = train(make_config(**COMPACT))
    again = StyleTransfer.from_preset(tmp_path / "run")
    assert again.architecture == model.architecture == "compact"
    assert again.about == model.about
    for part in ("encoder", "decoder"):
        arrays = get_arrays(getattr(again, part))
        for name, array in get_arrays(getattr(model, part)).items():
            np.testing.assert_array_equal(arrays[name], array.astype("float16"))
    assert again.stylize(picture(20, 30), picture(40, 40)).shape == (20, 30, 3)
    # A run may start from it, from both networks.
    second, _ = build_model(make_config(network="compact", init=str(tmp_path / "run")))
    for part in ("encoder", "decoder"):
        arrays = get_arrays(getattr(second, part))
        for name, array in get_arrays(getattr(again, part)).items():
            np.testing.assert_array_equal(arrays[name], array)


@pytest.mark.slow
def test_a_compact_run_goes_on(make_config, tmp_path):
    """The encoder, which learns too, is continued with the decoder and Adam's memory."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(make_config(**COMPACT, max_iter=4, checkpoint=str(whole)))
    for stop in (2, 4):
        train(make_config(**COMPACT, max_iter=stop, checkpoint=str(parts)))
    for file in ("encoder.npz", "decoder.npz"):
        assert (whole / file).read_bytes() == (parts / file).read_bytes()
    states = [npz.load(folder / "state.npz")[0] for folder in (whole, parts)]
    assert states[0].keys() == states[1].keys()
    assert {name.partition("/")[0] for name in states[0]} == {"encoder", "decoder", "optimizer"}
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name])
    # It is no run of the other architecture.
    with pytest.raises(TrainingError, match=r"state\.npz: cannot be continued"):
        train(make_config(max_iter=9, checkpoint=str(parts)))


def test_weights_of_another_architecture_start_no_run(make_config, tiny_preset):
    with pytest.raises(PresetError, match="--init must be weights of --network compact. .* vgg19"):
        build_model(make_config(network="compact", init=str(tiny_preset)))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"init": "adain_fast"}, "--init must be weights of --network vgg19. .* compact network"),
        ({"vgg_path": "adain_fast"}, "--vgg-path must be a VGG-19, such as that of adain_vgg19"),
    ],
)
def test_the_compact_network_is_no_vgg(make_config, setting, message):
    with pytest.raises(PresetError, match=message):
        build_model(make_config(**setting))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": "vast"}, "`network` must be one of vgg19, compact"),
        ({"network": "compact", "crop_size": 40}, "`crop_size` must be a multiple of 16"),
        ({"network": "compact", "crop_size": 16}, "`crop_size` must be 32 or more"),
        ({"coarse_levels": 0}, r"`coarse_levels` must be in \[1, 3\]"),
        ({"coarse_levels": 4}, r"`coarse_levels` must be in \[1, 3\]"),
        (COMPACT | {"crop_size": 48}, "`crop_size` must be a multiple of 32"),
        (COMPACT | {"crop_size": 32}, "`crop_size` must be 64 or more"),
        (COMPACT | {"style_crop_size": 80}, "`style_crop_size` must be a multiple of 32"),
        (COMPACT | {"detail_size": 8}, "`detail_size` must be 0, or a multiple of 8 between 16"),
        (COMPACT | {"detail_size": 20}, "`detail_size` must be 0, or a multiple of 8"),
        (COMPACT | {"detail_size": 72}, "`detail_size` must be .* the crops' 64"),
        (COMPACT | {"network": "vgg19"}, "`detail_size` must be 0 with --network vgg19"),
        (COMPACT | {"coarse_weight": 0.0}, "`detail_size` must be 0 without --coarse-weight"),
        (
            {"cache_contents": 1, "cache_styles": 1},
            "`cache_contents` must be 0 with --network",
        ),
        (COMPACT | {"cache_styles": 0}, "`cache_contents` must be 0 without --cache-styles"),
        (COMPACT | {"cache_contents": -1}, "`cache_contents` must be 0 or more"),
        (COMPACT | {"style_loss": "gram"}, "`cache_styles` must be 0 with --style-loss gram"),
        ({"init_share": 0.5}, "`init_share` must be 0 without --init"),
        (
            {"init_share": 0.5, "init": "a", "checkpoint": "./a"},
            "`init_share` must be 0 where --checkpoint writes over --init",
        ),
        ({"init_share": 1.0, "init": "a"}, "`init_share` must be 0 or more, and less than 1"),
        ({"init_share": -0.1, "init": "a"}, "`init_share` must be 0 or more, and less than 1"),
        ({"init_share": math.nan, "init": "a"}, "`init_share` must be 0 or more, and less than 1"),
    ],
)
def test_settings_that_cannot_be(make_config, settings, message):
    with pytest.raises(UsageError, match=message):
        make_config(**settings)


# === Learning rate ===


@pytest.mark.parametrize("step", [0, 3, 4, 50, 100])
def test_schedules(step):
    rise = min((step + 1) / 5, 1)
    inverse = Schedule("inverse_time", 1e-3, 0.01, 5, 100)
    cosine = Schedule("cosine", 1e-3, 0.01, 5, 100)
    assert float(inverse(step)) == pytest.approx(rise * 1e-3 / (1 + 0.01 * step), rel=1e-5)
    expected = rise * 1e-3 * 0.5 * (1 + math.cos(math.pi * step / 100))
    assert float(cosine(step)) == pytest.approx(expected, rel=1e-4, abs=1e-9)
    again = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(cosine)))
    )
    assert float(again(step)) == float(cosine(step))


def test_no_warmup():
    assert float(Schedule("inverse_time", 1e-3, 0.0, 0, 10)(0)) == pytest.approx(1e-3)


# === A run ===


def test_run_writes_a_preset(make_config, tmp_path, picture):
    config = make_config(save_iter=2, max_iter=5)
    model = train(config)
    again = StyleTransfer.from_preset(tmp_path / "run")
    assert again.about == model.about
    assert again.about["step"] == 5
    assert again.about["preset"] == "run"
    assert again.about["training"]["style_weight"] == config.style_weight
    for name, array in get_arrays(model.decoder).items():
        np.testing.assert_array_equal(get_arrays(again.decoder)[name], array.astype("float16"))
    assert again.stylize(picture(20, 30), picture(40, 40)).shape == (20, 30, 3)
    assert not list((tmp_path / "run").glob(".*"))


def test_finished_run_has_nothing_to_do(make_config, tmp_path, caplog):
    config = make_config()
    train(config)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("*.npz")}
    with caplog.at_level(logging.INFO, logger="adain"):
        model = train(config)
    assert "nothing to do" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert model.about["step"] == 3
    arrays = get_arrays(StyleTransfer.from_preset(tmp_path / "run").decoder)
    for name, array in get_arrays(model.decoder).items():
        np.testing.assert_array_equal(arrays[name], array.astype("float16"))


def test_changed_settings_are_said(make_config, caplog):
    train(make_config())
    with caplog.at_level(logging.INFO, logger="adain"):
        train(make_config(max_iter=4, learning_rate=1e-4))
    assert "changed: --learning-rate 0.001 -> 0.0001" in caplog.text
    assert "changed: --max-iter 3 -> 4" in caplog.text
    assert "--batch-size" not in caplog.text
    assert "going on at step 3 of 4" in caplog.text


def test_state_of_another_model_is_refused(make_config, make_model, tmp_path):
    train(make_config())
    make_model(widths=(4, 8, 8, 24)).save_to_preset(tmp_path / "wide")
    with pytest.raises(TrainingError, match=r"state\.npz: cannot be continued"):
        train(make_config(vgg_path=str(tmp_path / "wide"), max_iter=9))
    state = tmp_path / "run" / "state.npz"
    arrays, about = npz.load(state)
    del arrays["optimizer/2"]
    npz.save(state, arrays, about)
    with pytest.raises(TrainingError, match="another optimizer"):
        train(make_config(max_iter=9))
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="delete this file to start again"):
        train(make_config(max_iter=9))


@pytest.mark.parametrize(
    ("about", "values", "message"),
    [
        ({"step": "3"}, {}, "step must be a whole number of 0 or more, received '3'"),
        ({"step": None}, {}, "step must be a whole number of 0 or more, received None"),
        ({"step": math.nan}, {}, "step must be a whole number of 0 or more, received nan"),
        ({"step": 2.5}, {}, "step must be a whole number of 0 or more, received 2.5"),
        ({"step": -3}, {}, "step must be a whole number of 0 or more, received -3"),
        ({"step": True}, {}, "step must be a whole number of 0 or more, received True"),
        ({"config": ["a"]}, {}, r"settings must be an object, received \['a'\]"),
        ({}, {"decoder/0": np.nan}, "decoder/0 holds NaN or infinite numbers"),
        ({}, {"optimizer/2": np.inf}, "optimizer/2 holds NaN or infinite numbers"),
        ({"step": ...}, {}, "'step' is missing"),
        ({"config": ...}, {}, "'config' is missing"),
    ],
    ids=str,
)
def test_damaged_states(make_model, make_config, tmp_path, about, values, message):
    trainer, state = compiled(make_model()), tmp_path / "state.npz"
    trainer.optimizer.build(trainer.trainable_variables)
    save_state(trainer, state, 2, make_config())
    assert load_state(trainer, state)[0] == 2
    arrays, known = npz.load(state)
    known = {name: value for name, value in (known | about).items() if value is not ...}
    for name, value in values.items():
        arrays[name] = np.full_like(arrays[name], value)
    npz.save(state, arrays, known)
    with pytest.raises(TrainingError, match=message) as caught:
        load_state(trainer, state)
    text = str(caught.value)
    assert text.startswith(f"{state}: cannot be continued") and "\n" not in text
    assert text.endswith("or delete this file to start again.")


@pytest.mark.slow
def test_same_seed_same_run(make_config, tmp_path):
    runs = [
        get_arrays(train(make_config(checkpoint=str(tmp_path / f"run{i}"), seed=seed)).decoder)
        for i, seed in enumerate((1, 1, 2))
    ]
    for name, array in runs[0].items():
        np.testing.assert_array_equal(array, runs[1][name])
    assert any(np.abs(array - runs[2][name]).max() > 1e-3 for name, array in runs[0].items())


def test_init_starts_from_a_decoder(make_config, tiny_preset, tmp_path):
    config = make_config(init=str(tiny_preset))
    model, loss_network = build_model(config)
    assert model.encoder is loss_network
    first = get_arrays(model.decoder)
    for name, array in get_arrays(StyleTransfer.from_preset(tiny_preset).decoder).items():
        np.testing.assert_array_equal(first[name], array)
    with pytest.raises(PresetError):
        build_model(make_config(vgg_path=str(tmp_path / "nothing")))


@pytest.mark.parametrize(
    "kwargs",
    [
        {"cache_styles": 2},
        {"style_loss": "gram", "style_weight": 1e-4},
        {"clip_norm": 1.0, "lr_schedule": "cosine", "warmup_iter": 2, "beta_2": 0.99},
        {"style_crop_size": 48, "alpha": 0.5, "tv_weight": 1e-4},
        {"coarse_weight": 1.0, "style_loss": "gram", "style_weight": 1e-4, "random_scale": 1.5},
        {"coarse_weight": 1.0, "cache_styles": 1, "identity_weight": 50.0, "ema": 0.9},
        {"coarse_weight": 1.0, "coarse_levels": 2, "crop_size": 64},
        *(
            pytest.param(settings, marks=pytest.mark.slow)
            for settings in (
                COMPACT,
                COMPACT
                | {
                    "cache_contents": 0,
                    "cache_styles": 0,
                    "style_loss": "gram",
                    "style_weight": 1e-4,
                },
                COMPACT
                | {"cache_contents": 0, "alpha": 0.5, "detail_size": 0, "style_crop_size": 128},
                {"network": "compact", "precision": "mixed_bfloat16", "cache_styles": 1},
            )
        ),
    ],
)
def test_options_run(make_config, kwargs, tmp_path):
    model = train(make_config(**kwargs))
    assert model.about["step"] == 3
    for network in (model.encoder, model.decoder):
        assert all(np.isfinite(array).all() for array in get_arrays(network).values())


@pytest.mark.slow
def test_moving_average_is_saved_and_returned(make_config, tmp_path):
    last = train(make_config(ema=0.0))
    model = train(make_config(ema=0.5, checkpoint=str(tmp_path / "ema"), save_iter=1))
    returned, saved = get_arrays(model.decoder), StyleTransfer.from_preset(tmp_path / "ema").decoder
    state, _ = npz.load(tmp_path / "ema" / "state.npz")
    raw = {name: state[f"decoder/{i}"] for i, name in enumerate(get_arrays(last.decoder))}
    for name, array in get_arrays(last.decoder).items():
        # The run itself knows nothing of the average.
        np.testing.assert_array_equal(raw[name], array)
        np.testing.assert_allclose(get_arrays(saved)[name], returned[name], rtol=1e-3, atol=1e-4)
    assert any(np.abs(returned[name] - raw[name]).max() > 1e-4 for name in raw)


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_part_of_the_start_is_saved(make_config, tiny_preset, tmp_path, ema):
    """A quarter of the way back to where it started from; the run itself knows nothing of it."""
    how = {"init": str(tiny_preset), "ema": ema, "learning_rate": 0.01, "save_iter": 1}
    learnt = get_arrays(train(make_config(**how, checkpoint=str(tmp_path / "a"))).decoder)
    mixed = train(make_config(**how, checkpoint=str(tmp_path / "b"), init_share=0.25))
    start = StyleTransfer.from_preset(tiny_preset).decoder
    saved = get_arrays(StyleTransfer.from_preset(tmp_path / "b").decoder)
    returned = get_arrays(mixed.decoder)
    for name, first in get_arrays(start).items():
        expected = 0.75 * learnt[name] + 0.25 * first
        np.testing.assert_allclose(returned[name], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(saved[name], expected, rtol=1e-3, atol=1e-4)
    assert any(np.abs(returned[name] - learnt[name]).max() > 1e-3 for name in learnt)
    states = [npz.load(tmp_path / name / "state.npz")[0] for name in "ab"]
    for name, array in states[0].items():
        np.testing.assert_array_equal(states[1][name], array)


def test_a_run_that_goes_on_keeps_its_first_start(make_config, tiny_preset, tmp_path):
    how = {"init": str(tiny_preset), "learning_rate": 0.01, "init_share": 0.5}
    whole = train(make_config(**how, checkpoint=str(tmp_path / "a"), max_iter=4))
    train(make_config(**how, checkpoint=str(tmp_path / "b"), max_iter=2))
    resumed = train(make_config(**how, checkpoint=str(tmp_path / "b"), max_iter=4))
    for name, array in get_arrays(whole.decoder).items():
        np.testing.assert_allclose(get_arrays(resumed.decoder)[name], array, rtol=1e-5, atol=1e-6)
    # What is finished is given back as it was saved.
    again = train(make_config(**how, checkpoint=str(tmp_path / "b"), max_iter=4))
    saved = get_arrays(StyleTransfer.from_preset(tmp_path / "b").decoder)
    for name, array in get_arrays(again.decoder).items():
        np.testing.assert_array_equal(array, saved[name])


def test_a_run_may_stop_before_its_schedule_ends(make_config, tmp_path):
    settings = {"lr_schedule": "cosine", "summary_iter": 1}
    train(make_config(schedule_iter=30, **settings))
    rates = [
        event.value for event in read_events(tmp_path / "run" / "logs").Scalars("learning_rate")
    ]
    np.testing.assert_allclose(rates, 1e-3 * 0.5 * (1 + np.cos(np.pi * np.arange(1, 4) / 30)), 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("cache_styles", [0, 1])
def test_half_precision_trains(make_config, tmp_path, cache_styles):
    # One step: Adam's steps have the size of the learning rate, however small the gradient, so
    # that rounding soon tells.
    settings = {"cache_styles": cache_styles, "max_iter": 1}
    model = train(make_config(precision="mixed_bfloat16", **settings))
    assert keras.config.dtype_policy().name == "float32"
    assert model.decoder.get_layer("conv3_2").compute_dtype == "bfloat16"
    start = get_arrays(build_model(make_config(seed=0))[0].decoder)
    for name, array in get_arrays(model.decoder).items():
        assert array.shape == start[name].shape
        assert np.isfinite(array).all()
    scalars = read_events(tmp_path / "run" / "logs").Scalars("loss")
    full = train(make_config(checkpoint=str(tmp_path / "full"), **settings))
    assert full.decoder.get_layer("conv3_2").compute_dtype == "float32"
    expected = read_events(tmp_path / "full" / "logs").Scalars("loss")
    assert scalars[0].value == pytest.approx(expected[0].value, rel=0.1)


# === What is watched ===


def read_events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    return events


def test_event_files(make_config, tmp_path):
    import io

    config = make_config(
        max_iter=7, summary_iter=3, image_iter=4, log_path=str(tmp_path / "events"),
        lr_decay=0.5, batch_size=1,
    )  # fmt: skip
    train(config)
    assert not (tmp_path / "run" / "logs").exists()
    events = read_events(tmp_path / "events")
    tags = events.Tags()
    scalars = {tag for tag in tags["scalars"] if not tag.startswith("gradients/")}
    assert scalars == LOGS | {"learning_rate", "images_per_second"}
    # A curve for each variable that learns, and one for all.
    norms = {tag: events.Scalars(tag)[-1].value for tag in set(tags["scalars"]) - scalars}
    whole = norms.pop("gradients/all")
    assert {"gradients/conv4_1/kernel", "gradients/conv1_1/bias"} < norms.keys()
    assert whole == pytest.approx(math.hypot(*norms.values()), rel=1e-5)
    for tag in tags["scalars"]:
        points = events.Scalars(tag)
        assert [point.step for point in points] == [3, 6, 7]
        assert all(math.isfinite(point.value) and point.value > 0 for point in points)
    rates = [point.value for point in events.Scalars("learning_rate")]
    assert rates == pytest.approx([1e-3 / (1 + 0.5 * step) for step in (3, 6, 7)], rel=1e-5)
    assert tags["images"] == ["content | style | output"]
    pictures = events.Images("content | style | output")
    assert [picture.step for picture in pictures] == [4, 7]
    for event in pictures:
        grid = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
        assert grid.shape == (event.height, event.width, 3) == (4 * 32, 3 * 32, 3)
        assert grid.std() > 5
    # Content and style stay the same, the output changes.
    first, last = (
        np.asarray(Image.open(io.BytesIO(event.encoded_image_string))).astype(int)
        for event in pictures
    )
    np.testing.assert_array_equal(first[:, :64], last[:, :64])
    assert np.abs(first[:, 64:] - last[:, 64:]).max() > 0


def test_scalars_are_means_of_their_interval(make_config, make_model, dataset, tmp_path):
    """Steps 3 and 4 alone, not the mean since the start."""
    train(make_config(max_iter=4, summary_iter=1, checkpoint=str(tmp_path / "each")))
    train(make_config(max_iter=4, summary_iter=2, checkpoint=str(tmp_path / "pairs")))
    each = [point.value for point in read_events(tmp_path / "each" / "logs").Scalars("style_loss")]
    pairs = read_events(tmp_path / "pairs" / "logs").Scalars("style_loss")
    assert [point.value for point in pairs] == pytest.approx(
        [(each[0] + each[1]) / 2, (each[2] + each[3]) / 2], rel=1e-5
    )


def test_gradients_are_measured_before_they_are_clipped(make_model, dataset):
    """Of one variable also by finite differences."""
    norms = {}
    for clip in (None, 1e-6):
        trainer = AdaINTrainer(make_model())
        optimizer = MeasuringAdam(1e-3, global_clipnorm=clip)
        trainer.compile(optimizer=optimizer, jit_compile=False)
        optimizer.build(trainer.trainable_variables)
        trainer.train_on_batch(dataset.batch(0))
        norms[clip] = optimizer.read_norms()
        names = {f"gradients/{variable.path}" for variable in trainer.trainable_variables}
        assert norms[clip].keys() == names | {"gradients/all"}
    assert norms[None] == norms[1e-6]
    trainer, found = compiled(make_model()), []
    bias = trainer.decoder.get_layer("conv1_1").bias
    before = ops.convert_to_numpy(bias).copy()
    for channel in range(3):
        measured = []
        for sign in (1, -1):
            bias.assign(before + sign * 1e-3 * np.eye(3, dtype="float32")[channel])
            measured.append(evaluate(trainer, dataset.batch(0))["loss"])
        found.append((measured[0] - measured[1]) / 2e-3)
    assert norms[None][f"gradients/{bias.path}"] == pytest.approx(math.hypot(*found), rel=0.02)


@pytest.mark.parametrize("own", [False, True])
def test_validation(make_config, tmp_path, write_pictures, own):
    """Losses of pairs that are not learnt from, in TensorBoard, of the weights that are saved."""
    more = {"ema": 0.5}
    if own:
        for name in ("val_content_path", "val_style_path"):
            more[name] = str(write_pictures(tmp_path / name, 2, seed=len(name)))
    val = {"val_pairs": 1, "val_iter": 2, **more}
    config = make_config(max_iter=3, summary_iter=1, checkpoint=str(tmp_path / "val"), **val)
    model = train(config)
    events = read_events(tmp_path / "val" / "logs")
    names = sorted(f"val_{name}" for name in LOGS)
    assert sorted(tag for tag in events.Tags()["scalars"] if tag.startswith("val_")) == names
    assert [point.step for point in events.Scalars("val_loss")] == [2, 3]
    # The same number from the saved weights and the pictures themselves.
    paths = (config.content_path, config.style_path)
    if own:
        paths = (config.val_content_path, config.val_style_path)
    held = StyleContentDataset(*paths, batch_size=1, image_size=40, crop_size=32)
    if not own:
        held = held.hold_out(1, batch_size=1)
    trainer = compiled(model, content_weight=config.content_weight, style_weight=1e-2)
    expected = evaluate(trainer, held.batch(0))
    for name in ("loss", "style_loss"):
        found = events.Scalars(f"val_{name}")[-1].value
        assert found == pytest.approx(expected[name], rel=1e-3)


@pytest.mark.slow
def test_validation_changes_nothing_else(make_config, tmp_path, write_pictures):
    """Neither the weights nor the means of an interval it falls into."""
    own = {
        name: str(write_pictures(tmp_path / name, 2, seed=9))
        for name in ("val_content_path", "val_style_path")
    }
    runs = {}
    for name, more in {"with": {"val_pairs": 2, "val_iter": 1, **own}, "without": {}}.items():
        config = make_config(max_iter=4, summary_iter=2, checkpoint=str(tmp_path / name), **more)
        model = train(config)
        scalars = read_events(tmp_path / name / "logs").Scalars("loss")
        runs[name] = ([p.value for p in scalars], get_arrays(model.decoder))
    assert runs["with"][0] == pytest.approx(runs["without"][0], rel=1e-6)
    for key, array in runs["with"][1].items():
        np.testing.assert_array_equal(array, runs["without"][1][key])


def test_redrawn_crops_do_not_pile_up(make_model, folders):
    dataset = StyleContentDataset(
        **folders, batch_size=1, image_size=40, crop_size=32, fixed_draws=(1, 1), redraw_epochs=1
    )
    model = make_model()
    cache = FeatureCache(dataset, model.encoder, LossScales(), keep_styles=True)
    plain = dataset.batches(0, 9)
    for batch, expected in zip(cache.batches(0, 9), plain, strict=True):
        np.testing.assert_array_equal(batch["content"], expected["content"])
        np.testing.assert_array_equal(batch["style"], expected["style"])
        assert sum(map(len, cache._kept.values())) <= 6


def test_nan_stops_at_once(make_config, tmp_path):
    with pytest.raises(TrainingError, match=r"The loss became (nan|inf) at step [23]\."):
        train(make_config(learning_rate=1e30, max_iter=50))
    # What was written until then can be read.
    assert read_events(tmp_path / "run" / "logs") is not None


@pytest.mark.slow
def test_weights_that_explode_are_not_saved(make_config, tmp_path):
    train(make_config())
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.*")}
    with pytest.raises(ValueError, match="does not fit half precision"):
        train(make_config(learning_rate=1e30, max_iter=50, save_iter=1))
    assert {name: (tmp_path / "run" / name).read_bytes() for name in before} == before


def test_errors_before_the_first_step_are_not_hidden(make_config, monkeypatch):
    def fail(self, step):
        raise ValueError("disk on fire")

    monkeypatch.setattr(StyleContentDataset, "batch", fail)
    with pytest.raises(Exception, match="disk on fire"):
        train(make_config())


def test_skipped_files_are_counted(make_config, folders, tmp_path, caplog):
    (tmp_path / "content" / "000.png").write_bytes(b"broken")
    with caplog.at_level(logging.WARNING, logger="adain"):
        train(make_config())
    assert "1 files were skipped in all" in caplog.text


def test_judge(picture):
    good = [picture(32, 32, seed) for seed in range(3)]
    assert judge(good, good) == ""
    grey = [image.mean(axis=-1, keepdims=True).repeat(3, axis=-1).astype("uint8") for image in good]
    assert "grey" in judge(grey, good)
    flat = [np.full((32, 32, 3), (200, 40, 90), "uint8")] * 3
    assert "constant" in judge(flat, good)
    # Grey styles ask for grey output.
    assert judge(grey, grey) == ""


def test_bad_pictures_are_complained_about(make_config, caplog, monkeypatch):
    monkeypatch.setattr(
        StyleTransfer, "stylize", lambda self, content, code: np.full_like(content, 9)
    )
    with caplog.at_level(logging.WARNING, logger="adain"):
        train(make_config(image_iter=2, max_iter=2))
    assert "step 2: the output is almost constant" in caplog.text
