"""The parts of the training loss that are chosen by options, against the bare networks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from adain.imaging.palette import Palette, transport
from adain.networks import losses
from adain.networks.adain import mean_std, transfer_statistics
from adain.options import UsageError
from adain.training.config import TrainConfig
from adain.training.model import AdaINTrainer
from adain.training.palette import recolor

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def batch(picture):
    """Photos of 64 pixels and larger styles."""
    return {
        "content": np.stack([picture(64, 64, seed) for seed in (1, 2)]),
        "style": np.stack([picture(96, 96, seed) for seed in (3, 4)]),
    }


@pytest.fixture(scope="module")
def network(make_model):
    """A loss network."""
    return make_model(seed=5).encoder


def unit(pictures):
    return pictures.astype("float32") / 255


def number(x):
    return float(ops.convert_to_numpy(x))


def halved(pictures):
    batch, height, width, _ = pictures.shape
    blocks = pictures.reshape(batch, height // 2, 2, width // 2, 2, 3)
    return blocks.mean(axis=(2, 4))


def measure(trainer, batch):
    """The losses, by name."""
    trainer.compile(optimizer=keras.optimizers.SGD(), jit_compile=False)
    trainer.reset_metrics()
    logs = trainer.test_on_batch(batch, return_dict=True)
    return {name: float(value) for name, value in logs.items()}


def paint(model, batch):
    return model.predict_on_batch({name: unit(batch[name]) for name in ("content", "style")})


# === What is painted ===


def test_the_picture_is_the_models_own(make_any, network, batch):
    """Of every architecture, whether its encoder is the loss network or not."""
    model = make_any()
    shared = model.architecture == "vgg19"
    trainer = AdaINTrainer(model, None if shared else network, alpha=0.6, identity_weight=1.0)
    assert trainer.shares_encoder == shared
    outputs = trainer(batch)
    pictures = {name: unit(batch[name]) for name in ("content", "style")}
    expected = model.predict_on_batch(pictures | {"alpha": np.full((2, 1), 0.6, "float32")})
    np.testing.assert_allclose(outputs["image"], expected, atol=2e-4)
    own = {"content": pictures["content"][:1], "style": pictures["content"][:1]}
    expected = model.predict_on_batch(own | {"alpha": np.zeros((1, 1), "float32")})
    np.testing.assert_allclose(outputs["identity"], expected, atol=2e-4)


def test_the_picture_of_styles_encoded_ahead(make_model, batch):
    """The full-width model takes its style code from what the losses keep."""
    model = make_model()
    trainer = AdaINTrainer(model, coarse_weight=1.0)
    found = [
        [np.concatenate([np.asarray(x).reshape(2, -1) for x in view], -1) for view in part]
        for part in trainer._style_statistics(batch)[:2]
    ]
    means, stds = (np.concatenate(views, -1) for views in found)
    ahead = {"content": batch["content"], "style_means": means, "style_stds": stds}
    image, expected = trainer(ahead)["image"], paint(model, batch)
    np.testing.assert_allclose(image, expected, atol=2e-4)


# === Content ===


@pytest.mark.parametrize("levels", [1, 2, 4])
@pytest.mark.parametrize("normalized", [False, True])
def test_content_levels(make_compact, network, batch, levels, normalized):
    model = make_compact()
    trainer = AdaINTrainer(
        model, network, content_levels=levels, normalized_content=normalized, alpha=1.0
    )
    logs = measure(trainer, batch)
    image, styles = paint(model, batch), network.predict_on_batch(unit(batch["style"]))
    taps, contents = (
        network.predict_on_batch(pictures) for pictures in (image, unit(batch["content"]))
    )
    expected = 0.0
    for share, i in zip((1, 0.5, 0.25, 0.125)[:levels], (3, 2, 1, 0), strict=False):
        if normalized:
            part = losses.normalized_content_loss(taps[i], contents[i])
        else:
            statistics = (*mean_std(contents[i]), *mean_std(styles[i]))
            part = losses.content_loss(taps[i], transfer_statistics(contents[i], *statistics))
        expected += share * number(part)
    assert logs["content_loss"] == pytest.approx(expected, rel=2e-3)


# === Gram matrices and range ===


@pytest.mark.parametrize("coarse", [0, 1, 2])
def test_gram_weight(make_compact, network, batch, coarse):
    """At full and at half size; only at full where there is no other."""
    model = make_compact()
    more = {"coarse_weight": float(coarse > 0), "coarse_levels": max(coarse, 1)}
    plain = measure(AdaINTrainer(model, network, **more), batch)
    logs = measure(AdaINTrainer(model, network, gram_weight=3.0, **more), batch)
    image, style = paint(model, batch), unit(batch["style"])
    expected = 0.0
    for _ in range(min(coarse, 1) + 1):
        for tap, wanted in zip(
            network.predict_on_batch(image)[2:], network.predict_on_batch(style)[2:], strict=True
        ):
            for x, y in zip(tap, wanted, strict=True):
                x, y = (z.reshape(-1, z.shape[-1]).astype("float64") for z in (x, y))
                gram, other = x.T @ x / len(x), y.T @ y / len(y)
                expected += ((gram - other) ** 2).sum() / (other**2).sum() / len(image)
        image, style = halved(image), halved(style)
    assert logs["gram_loss"] == pytest.approx(expected, rel=2e-3)
    assert logs["loss"] == pytest.approx(plain["loss"] + 3 * logs["gram_loss"], rel=1e-4)


def test_range_weight(make_compact, network, batch):
    model = make_compact()
    plain = measure(AdaINTrainer(model, network), batch)
    logs = measure(AdaINTrainer(model, network, range_weight=50.0), batch)
    image = paint(model, batch)
    expected = np.mean(np.maximum(image - 1, 0) ** 2 + np.maximum(-image, 0) ** 2)
    assert expected > 0
    assert logs["range_loss"] == pytest.approx(float(expected), rel=1e-3)
    assert logs["loss"] == pytest.approx(plain["loss"] + 50 * logs["range_loss"], rel=1e-4)


# === Palette ===


def moved(image, style, share):
    """`imaging.palette` on one picture, without its clipping."""
    matrix = transport(Palette.of(np.clip(image, 0, 1)), Palette.of(style), share)
    return image @ matrix[:, :3].T + matrix[:, 3]


def grey(picture):
    return picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)


NOISE = np.random.default_rng(0).normal(0, 0.01, (40, 40, 3)).astype("float32")
KINDS = {
    "as it is": lambda x: x,
    "grey": grey,
    "one colour": lambda x: np.full_like(x, 0.4),
    "hardly any colours": lambda x: 0.4 + NOISE,
    "two colours": lambda x: (x > 0.5).astype("float32"),
    "out of range": lambda x: 1.6 * x - 0.3,
}


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_colours_move_as_in_stylize(picture, kind, share):
    image = KINDS[kind](unit(picture(40, 40, 1)))
    styles = [KINDS[other](unit(picture(40, 40, 2))) for other in list(KINDS)[:-1]]
    found = recolor(np.stack([image] * len(styles)), np.stack(styles), share)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    for one, style in zip(ops.convert_to_numpy(found), styles, strict=True):
        np.testing.assert_allclose(one, moved(image, style, share), atol=1.5e-3)


def test_no_share_moves_nothing(picture):
    image = unit(picture(40, 40, 1))[None]
    found = ops.convert_to_numpy(recolor(image, 1 - image, 0.0))
    np.testing.assert_array_equal(found, image)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="uses TensorFlow's gradients")
def test_the_colour_map_is_constant_for_gradients(picture):
    import tensorflow as tf

    image, style = (unit(picture(40, 40, seed)) for seed in (1, 2))
    with tf.GradientTape() as tape:
        x = tf.constant(image[None])
        tape.watch(x)
        total = tf.reduce_sum(recolor(x, style[None], 0.5))
    matrix = transport(Palette.of(image), Palette.of(style), 0.5)[:, :3]
    gradient = tape.gradient(total, x).numpy()
    np.testing.assert_allclose(gradient, np.broadcast_to(matrix.sum(0), gradient.shape), rtol=2e-3)


def test_losses_see_the_moved_colours(make_compact, network, batch):
    """Content, style and Gram matrices do; the range and the photo itself are the network's own."""
    model = make_compact()
    options = {
        "gram_weight": 1.0, "range_weight": 1.0, "identity_weight": 1.0, "style_loss": "relative",
        "normalized_content": True,
    }  # fmt: skip
    plain = measure(AdaINTrainer(model, network, **options), batch)
    logs = measure(AdaINTrainer(model, network, palette=0.5, **options), batch)
    image, styles = paint(model, batch), unit(batch["style"])
    seen = np.stack([moved(*pair, 0.5) for pair in zip(image, styles, strict=True)])
    taps, contents, wanted = map(
        network.predict_on_batch, (seen.astype("float32"), unit(batch["content"]), styles)
    )
    grams = [losses.gram_matrix(tap) for tap in wanted[2:]]
    expected = {
        "content_loss": losses.normalized_content_loss(taps[-1], contents[-1]),
        "style_loss": losses.relative_style_loss(taps, *zip(*map(mean_std, wanted), strict=True)),
        "gram_loss": losses.relative_gram_loss(taps[2:], grams),
    }
    for name, value in expected.items():
        assert logs[name] == pytest.approx(number(value), rel=5e-3)
        assert logs[name] != pytest.approx(plain[name], rel=1e-2)
    for name in ("range_loss", "identity_loss"):
        assert logs[name] == pytest.approx(plain[name], rel=1e-4)


# === What cannot be ===


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"content_levels": 2}, "content_levels above 1 needs photos"),
        ({"gram_weight": 1.0}, "gram_weight needs styles"),
        ({"palette": 0.5}, "palette needs the styles' pictures"),
    ],
)
def test_what_was_encoded_ahead_is_not_enough(make_model, batch, options, message):
    trainer = AdaINTrainer(make_model(), **options)
    vectors = [np.ones((2, sum((4, 8, 8, 16))), "float32")] * 2
    ahead = {
        "content": batch["content"], "content_features": np.ones((2, 8, 8, 16), "float16"),
        "style_means": vectors[0], "style_stds": vectors[1],
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        trainer(ahead)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"content_levels": 0}, r"`content_levels` must be in \[1, 4\]"),
        ({"content_levels": 5}, r"`content_levels` must be in \[1, 4\]"),
        (
            {"content_levels": 2, "cache_contents": 1, "cache_styles": 1, "network": "compact"},
            "`content_levels` must be 1 with --cache-contents",
        ),
        ({"gram_weight": -1.0}, "`gram_weight` must be 0 or more"),
        ({"gram_weight": 1.0, "cache_styles": 1}, "`gram_weight` must be 0 with --cache-styles"),
        ({"range_weight": -1.0}, "`range_weight` must be 0 or more"),
        ({"palette": 1.5}, r"`palette` must be in \[0, 1\]"),
        ({"palette": -0.5}, r"`palette` must be in \[0, 1\]"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(UsageError, match=message):
        TrainConfig(content_path=("a",), style_path=("b",), **settings)
