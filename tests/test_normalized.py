"""Decoders that normalise: what with, and that it is the same in all of a photo."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from adain.inference import passes
from adain.inference.photo import Photo, Statistics
from adain.inference.regions import Region
from adain.networks import compact
from adain.networks.model import StyleTransfer
from adain.presets.architecture import ARCHITECTURES


def levels(a, b) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.fixture(scope="module")
def model(make_compact):
    return make_compact()


@pytest.fixture(scope="module")
def style(picture):
    return picture(48, 64, seed=2)


@pytest.fixture(scope="module")
def inputs(model, picture, style):
    """What the decoder takes of a photo."""
    encoded, own = model._encode(picture(64, 96))
    code = model.encode_style(style)
    return encoded, own, Statistics(np.concatenate(code.means), np.concatenate(code.stds)), 1.0


def test_shapes():
    encoder, decoder = compact.build_encoder(), compact.build_decoder()
    assert [output.shape[-1] for output in encoder.outputs] == [16, 32, 64, 96, 128]
    assert encoder.count_params() == 124_896
    assert decoder.count_params() == 1_829_587
    sides = ((32, 48, 16), (16, 24, 32), (8, 12, 64), (4, 6, 96), (4, 6, 128), (1, 1, 672))
    shapes = [keras.KerasTensor((2, *side)) for side in sides]
    assert decoder.compute_output_spec(shapes).shape == (2, 64, 96, 3)
    assert set(compact.places_of(decoder)) == {
        layer.name for layer in decoder.layers if layer.name.endswith("_norm")
    }


def test_measured_and_given_is_the_same_picture(model, inputs):
    fixed = model._measure(*inputs, np.ones((64, 96), "float32"))
    plain = model._decode(*inputs, exact=True)
    np.testing.assert_allclose(model._decode(*inputs, fixed=fixed, exact=True), plain, atol=1e-4)
    other = model._decode(*inputs, fixed=1.5 * fixed, exact=True)
    assert np.abs(other - plain).max() > 0.05


def test_measured_are_the_features_own(model, inputs):
    """From the bare layers, in the left half of the photo only."""
    weight = np.zeros((64, 96), "float32")
    weight[:, :48] = 0.5
    found = model._measure(*inputs, weight)
    place = compact.places_of(model.decoder)["block1_1_norm"]
    # Nothing is normalised before the first convolution: its features do not depend on the weight.
    layer = model.decoder.get_layer("block1_conv1")
    probe = keras.Model(model.decoder.inputs, layer.output)
    encoded, own, target, alpha = inputs
    start = 0
    given = []
    for level, width in zip(encoded, model._widths, strict=True):
        part = slice(start, start + width)
        start += width
        scaled = (level - own.mean[part]) / own.std[part] * target.std[part] + target.mean[part]
        given.append(scaled[None].astype("float32"))
    code = np.concatenate(target).reshape(1, 1, 1, -1)
    features = probe.predict_on_batch([*given, code])[0, :, :3]
    expected = [features.mean((0, 1)), np.sqrt(features.var((0, 1)) + compact.EPSILON)]
    np.testing.assert_allclose(found[place.start : place.stop], np.ravel(expected), rtol=1e-3)


@pytest.mark.usefixtures("cut")
def test_serialised(model, picture, style):
    config = keras.saving.serialize_keras_object(model)
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, StyleTransfer)
    again.set_weights(model.get_weights())
    content = picture(64, 96)
    for tile in (0, 32):
        one, other = (painter.stylize(content, style, tile=tile) for painter in (model, again))
        assert levels(one, other) == 0


# === Large photos ===


@pytest.fixture
def small_bounds(monkeypatch):
    """Photos of more than 80 x 80 pixels count as large; their copies have 64 x 64."""
    monkeypatch.setattr(passes, "SMALL", 80 * 80)
    monkeypatch.setattr(passes, "COPY", 64 * 64)


@pytest.fixture
def measured(monkeypatch):
    """Sizes of the photos on which statistics were measured."""
    sizes = []
    measure = Photo.measure

    def watched(self, looks):
        sizes.append(self._size)
        return measure(self, looks)

    monkeypatch.setattr(Photo, "measure", watched)
    return sizes


@pytest.mark.parametrize("palette", [0, 0.5])
@pytest.mark.usefixtures("cut")
def test_large_photos_are_measured_on_a_copy(
    model, picture, style, small_bounds, measured, palette
):
    content = picture(160, 320)
    whole = model.stylize(content, style, palette=palette)
    assert measured == [(48, 96)]
    for tile in (64, 112):
        tiled = model.stylize(content, style, palette=palette, tile=tile)
        assert levels(tiled, whole) <= 1
    assert measured == [(48, 96)] * 3


@pytest.mark.usefixtures("cut")
def test_small_photos_take_one_pass(model, picture, style, measured):
    content = picture(96, 160)
    whole = model.stylize(content, style)
    assert measured == []
    assert levels(model.stylize(content, style, tile=64), whole) <= 1
    assert measured == [(96, 160)]


def test_a_copy_of_the_same_size_changes_nothing(model, picture, style, monkeypatch, measured):
    content = picture(160, 192)
    plain = model.stylize(content, style)
    monkeypatch.setattr(passes, "SMALL", 0)
    monkeypatch.setattr(passes, "COPY", 160 * 192)
    assert levels(model.stylize(content, style), plain) <= 1
    assert measured == [(160, 192)]


@pytest.mark.usefixtures("cut")
def test_progress_reaches_its_end(model, picture, style, small_bounds, monkeypatch):
    for palette, bound in ((0, 2**22), (0.5, 2**22), (0.5, 1)):
        monkeypatch.setattr(passes, "ONE_PASS", bound)
        for tile in (0, 64):
            seen = []
            model.stylize(
                picture(96, 160), style, palette=palette, tile=tile,
                progress=lambda done, total, seen=seen: seen.append((done, total)),
            )  # fmt: skip
            assert seen == [(i, len(seen)) for i in range(1, len(seen) + 1)]


# === Regions ===


def test_regions_have_statistics_of_their_own(model, picture, style):
    """A region is painted as if the rest of the photo, which it does not see, were different."""
    facts = ARCHITECTURES["compact"]
    content = picture(64, 48 + 2 * facts.halo + 64)
    mask = np.zeros(content.shape[:2], "uint8")
    mask[:, :48] = 255
    changed = content.copy()
    changed[:, 48 + facts.halo :] = 255 - changed[:, 48 + facts.halo :] // 3
    one, other = (
        model.stylize_regions(photo, [Region(mask, style)], palette=0)[:, :48]
        for photo in (content, changed)
    )
    assert levels(one, other) <= 1
    # Without masks, all of the photo counts.
    one, other = (model.stylize(photo, style, palette=0)[:, :48] for photo in (content, changed))
    assert levels(one, other) > 5


# === Flat photos ===


@pytest.mark.parametrize("value", [0, 128, 255])
def test_flat_photos_stay_flat(model, style, value):
    """Rounding errors are not painted."""
    image = model.stylize(np.full((70, 90, 3), value, "uint8"), style)
    assert np.ptp(image, axis=(0, 1)).max() <= 1
