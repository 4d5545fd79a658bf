"""Pretraining: the decoder's parts learn to undo the encoder's."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from adain.networks.vgg19 import get_arrays
from adain.presets import npz
from adain.training.config import STATE, TrainConfig
from adain.training.data import StyleContentDataset
from adain.training.loop import train
from adain.training.pretrain import BlockwiseTrainer, pretrain

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture
def dataset(tmp_path, write_pictures):
    content = write_pictures(tmp_path / "content", 3)
    style = write_pictures(tmp_path / "style", 3, seed=50)
    return StyleContentDataset(content, style, batch_size=4, image_size=40, crop_size=32)


@pytest.fixture
def config(dataset, tiny_preset, tmp_path):
    return TrainConfig(
        content_path=str(tmp_path / "content"), style_path=str(tmp_path / "style"),
        checkpoint=str(tmp_path / "run"), vgg_path=str(tiny_preset), batch_size=2,
        image_size=40, crop_size=32, max_iter=1, pretrain_iter=4,
    )  # fmt: skip


def test_the_parts_in_turn_are_the_decoder(make_model, dataset):
    """Without what joins it on the way, which starts at zero."""
    model = make_model()
    encoder, decoder = model.encoder, model.decoder
    for weight in (*decoder.get_layer("skip2").weights, *decoder.get_layer("skip3").weights):
        weight.assign(0 * weight)
    _, *levels = encoder(dataset.batch(0)["content"].astype("float32") / 255)
    features = levels[-1]
    expected = keras.ops.convert_to_numpy(decoder(levels))
    for part in BlockwiseTrainer(encoder, decoder).parts:
        features = part(features)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(features), expected, atol=1e-5)


def test_a_decoder_that_undoes_the_encoder_has_no_loss(tiny_model, dataset):
    trainer = BlockwiseTrainer(tiny_model.encoder, tiny_model.decoder)
    y_pred = trainer(dataset.batch(0)["content"])
    assert float(trainer.compute_loss(y_pred=y_pred)) > 0.1
    assert float(trainer.compute_loss(y_pred=y_pred | {"outputs": y_pred["targets"]})) == 0


def test_pretraining_brings_the_loss_down_and_leaves_the_encoder(make_model, dataset):
    model = make_model()
    before = get_arrays(model.encoder)
    trainer = BlockwiseTrainer(model.encoder, model.decoder)
    trainer.compile(optimizer="adam", jit_compile=False)
    pictures = dataset.batch(7)["content"]
    first = trainer.test_on_batch(pictures)
    pretrain(BlockwiseTrainer(model.encoder, model.decoder), dataset, 40, jit_compile=False)
    assert trainer.test_on_batch(pictures) < 0.8 * first
    for name, array in get_arrays(model.encoder).items():
        np.testing.assert_array_equal(array, before[name])


def test_batches_of_different_crops_are_cut_to_the_smaller(make_model, tmp_path, dataset):
    model = make_model()
    dataset = StyleContentDataset(
        tmp_path / "content", tmp_path / "style",
        batch_size=2, image_size=40, crop_size=32, style_crop_size=40,
    )  # fmt: skip
    pretrain(BlockwiseTrainer(model.encoder, model.decoder), dataset, 1, jit_compile=False)


def test_a_loss_that_is_not_a_number_stops(make_model, dataset):
    model = make_model()
    model.decoder.get_layer("conv4_1").bias.assign(np.full(8, np.nan))
    with pytest.raises(ValueError, match="became nan at step 1.*--pretrain-iter 0"):
        pretrain(BlockwiseTrainer(model.encoder, model.decoder), dataset, 2, jit_compile=False)


def test_a_run_saves_its_pretrained_decoder_and_does_not_repeat_it(config, monkeypatch, capfd):
    monkeypatch.setattr("adain.training.model.AdaINTrainer.fit", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    _, about = npz.load(Path(config.checkpoint) / STATE)
    assert about["step"] == 0
    assert "pretraining" in capfd.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        train(config)
    assert "pretraining" not in capfd.readouterr().err


def _interrupt(*args, **kwargs):
    raise KeyboardInterrupt
