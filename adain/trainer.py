"""Training: the model that learns, and the run that can be killed and goes on."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
from keras import ops

from adain import losses, presets, vgg
from adain.callbacks import STATE, Checkpoint, Summaries, Watch, load_state
from adain.config import TrainConfig
from adain.data import CONTENT, STYLE, Crop, StyleContentDataset
from adain.functional import mean_std, transfer_statistics
from adain.model import StyleTransfer
from adain.networks import (
    build_decoder,
    build_encoder,
    initialize_decoder,
    jit_compile,
    set_arrays,
)
from adain.pretrain import pretrain_decoder

logger = logging.getLogger(__name__)


@keras.saving.register_keras_serializable("adain")
class AdaINTrainer(keras.Model):
    """Fits a decoder: `L = content_weight L_c + style_weight L_s + tv_weight L_tv + ...`.

    The encoder stays as it is. A step encodes content, style and output once each.

    Args:
        model: The `StyleTransfer` whose decoder learns.
        content_weight, style_weight, tv_weight, identity_weight: See `adain.losses` for the
            reductions.
        coarse_weight: Adds `coarse_weight * L_s` of the same pictures at half size to `L_s`.
        gram: Match Gram matrices instead of means and deviations.
        normalized_content, balanced: Use `losses.normalized_content_loss` and
            `losses.balanced_style_loss` in place of the paper's losses.
        alpha: Strength of AdaIN in training, in [0, 1].

    Call arguments:
        inputs: `{"content", "style"}`: `(batch, h, w, 3)` uint8 or float in [0, 255], sRGB; or,
            instead of `"style"`, encoded ahead, `"style_means"` and `"style_stds"`:
            `(batch, sum of channels over all taps)` float32, followed by those at half size
            where `coarse_weight` is not 0.

    Example:
        >>> trainer = AdaINTrainer(model)
        >>> trainer.compile(optimizer=keras.optimizers.Adam(1e-4))
        >>> batches = StyleContentDataset("coco", "wikiart").batches()
        >>> trainer.fit(((batch,) for batch in batches), steps_per_epoch=1000)

    Reference:
        Huang & Belongie, ICCV 2017, equations 11 to 13.
    """

    def __init__(
        self,
        model: StyleTransfer,
        *,
        content_weight: float = 1.0,
        style_weight: float = 1e-2,
        tv_weight: float = 0.0,
        coarse_weight: float = 0.0,
        identity_weight: float = 0.0,
        gram: bool = False,
        normalized_content: bool = False,
        balanced: bool = False,
        alpha: float = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        model.encoder.trainable = False
        self.encoder = model.encoder
        self.decoder = model.decoder
        self.content_weight = content_weight
        self.style_weight = style_weight
        self.tv_weight = tv_weight
        self.coarse_weight = coarse_weight
        self.identity_weight = identity_weight
        self.gram = gram
        self.normalized_content = normalized_content
        self.balanced = balanced
        self.alpha = alpha
        self._deepest = len(model.encoder.outputs) - 1
        # Attributes, not an override of `metrics`: that would drop `loss` from the logs.
        self.content_tracker = keras.metrics.Mean(name="content_loss")
        self.style_tracker = keras.metrics.Mean(name="style_loss")
        self.tv_tracker = keras.metrics.Mean(name="tv_loss")
        if coarse_weight:
            self.coarse_tracker = keras.metrics.Mean(name="coarse_loss")
        if identity_weight:
            self.identity_tracker = keras.metrics.Mean(name="identity_loss")
        self.built = True

    def call(self, inputs):
        photo = _to_unit(inputs["content"])
        content = self.encoder(photo)[-1]
        if "style" in inputs:
            style_taps = _taps(self.encoder, _to_unit(inputs["style"]), self.coarse_weight)
            means, stds = zip(*map(mean_std, style_taps), strict=True)
        else:
            means = self._split(inputs["style_means"])
            stds = self._split(inputs["style_stds"])
        target = transfer_statistics(
            content, *mean_std(content), means[self._deepest], stds[self._deepest], alpha=self.alpha
        )
        outputs = {"image": self.decoder(target), "target": target}
        if self.identity_weight:
            # Of every third photo: each costs another pass of the decoder.
            outputs |= {"identity": self.decoder(content[::3]), "photo": photo[::3]}
        if self.gram:
            return outputs | {"grams": [losses.gram_matrix(tap) for tap in style_taps]}
        return outputs | {"means": list(means), "stds": list(stds)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        taps = _taps(self.encoder, y_pred["image"], self.coarse_weight)
        whole, half = slice(self._deepest + 1), slice(self._deepest + 1, None)
        # AdaIN's target is the content's features scaled and shifted: normalised, they are equal.
        normalized = self.normalized_content
        content_loss = losses.normalized_content_loss if normalized else losses.content_loss
        style_loss = losses.balanced_style_loss if self.balanced else losses.style_loss
        content = content_loss(taps[self._deepest], y_pred["target"])

        def compare(part):
            if self.gram:
                return losses.gram_loss(taps[part], y_pred["grams"][part])
            return style_loss(taps[part], y_pred["means"][part], y_pred["stds"][part])

        style = compare(whole)
        variation = losses.total_variation_loss(y_pred["image"])
        self.content_tracker.update_state(content)
        self.style_tracker.update_state(style)
        self.tv_tracker.update_state(variation)
        total = (
            self.content_weight * content + self.style_weight * style + self.tv_weight * variation
        )
        if self.coarse_weight:
            coarse = compare(half)
            self.coarse_tracker.update_state(coarse)
            total = total + self.style_weight * self.coarse_weight * coarse
        if self.identity_weight:
            identity = losses.identity_loss(y_pred["identity"], y_pred["photo"])
            self.identity_tracker.update_state(identity)
            total = total + self.identity_weight * identity
        return total

    def _split(self, statistics):
        parts, start = [], 0
        for tap in self.encoder.outputs * (2 if self.coarse_weight else 1):
            width = tap.shape[-1]
            part = ops.cast(statistics[:, start : start + width], "float32")
            parts.append(ops.reshape(part, (-1, 1, 1, width)))
            start += width
        return parts


def _to_unit(pictures):
    return ops.cast(pictures, "float32") / 255.0


def _taps(encoder, pictures, coarse):
    """The encoder's taps, and if `coarse` those of the pictures at half size after them."""
    taps = list(encoder(pictures))
    if coarse:
        taps += encoder(ops.average_pool(pictures, 2, 2))
    return taps


@keras.saving.register_keras_serializable("adain")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate: a linear rise over `warmup`, then inverse time or a half cosine to 0."""

    def __init__(self, kind: str, base: float, decay: float, warmup: int, total: int):
        self.kind = kind
        self.base = base
        self.decay = decay
        self.warmup = warmup
        self.total = total

    def __call__(self, step):
        step = ops.cast(step, "float32")
        if self.kind == "cosine":
            shape = 0.5 * (1 + ops.cos(math.pi * ops.minimum(step / self.total, 1.0)))
        else:
            shape = 1 / (1 + self.decay * step)
        return self.base * shape * ops.minimum((step + 1) / max(self.warmup, 1), 1.0)

    def get_config(self):
        names = ("kind", "base", "decay", "warmup", "total")
        return {name: getattr(self, name) for name in names}


class EncodedStyles:
    """Batches of a dataset with fixed crops of the styles, each encoded once and kept in memory.

    Args:
        dataset: A `StyleContentDataset` with `fixed_styles`.
        encoder: The encoder that training uses.
        coarse: Keep the statistics at half size too.
    """

    def __init__(self, dataset: StyleContentDataset, encoder: keras.Model, *, coarse: bool = False):
        self.dataset = dataset
        statistics = keras.layers.Lambda(
            lambda picture: [
                ops.concatenate(part, -1)
                for part in zip(*map(mean_std, _taps(encoder, picture, coarse)), strict=True)
            ]
        )
        self._statistics = keras.Model(encoder.inputs, statistics(encoder.inputs[0]))
        self._kept: dict[Crop, list[np.ndarray]] = {}

    def _encode(self, crop: Crop) -> list[np.ndarray]:
        if crop not in self._kept:
            # One at a time: in batches the result could depend on which crops come together.
            picture = self.dataset.load(crop)[None].astype("float32") / 255
            found = self._statistics.predict_on_batch(picture)
            self._kept[crop] = [part.reshape(-1) for part in found]
        return self._kept[crop]

    def batches(self, start: int, stop: int) -> Iterator[dict[str, np.ndarray]]:
        """Batches `start` to `stop`, as `AdaINTrainer` takes them."""
        contents = self.dataset.batches(start, stop, make=self.dataset.contents)
        for step, content in enumerate(contents, start):
            codes = [self._encode(crop) for crop in self.dataset.plan(step)[1]]
            yield {
                "content": content,
                "style_means": np.stack([mean for mean, _ in codes]),
                "style_stds": np.stack([std for _, std in codes]),
            }


# === The run ===


def train(config: TrainConfig) -> StyleTransfer:
    """Train a decoder, or go on with the unfinished run in `config.checkpoint`.

    Args:
        config: The settings.

    Returns:
        The trained model, which also lies in `config.checkpoint` as a preset.

    Raises:
        adain.callbacks.TrainingError: If the loss stops being a number, or a checkpoint does not
            fit.
        ValueError: If a folder holds no pictures.
        adain.presets.PresetError, adain.vgg.WeightsError: If weights cannot be read.
    """
    keras.utils.set_random_seed(config.seed)
    dataset = StyleContentDataset(
        config.content_path,
        config.style_path,
        batch_size=config.batch_size,
        image_size=config.image_size,
        crop_size=config.crop_size,
        style_crop_size=config.style_crop_size,
        random_scale=config.random_scale,
        fixed_styles=config.cache_styles,
        seed=config.seed,
        workers=config.workers,
    )
    transfer = build_model(config)
    trainer = AdaINTrainer(
        transfer,
        content_weight=config.content_weight,
        style_weight=config.style_weight,
        tv_weight=config.tv_weight,
        coarse_weight=config.coarse_weight,
        identity_weight=config.identity_weight,
        gram=config.gram,
        normalized_content=config.normalized_content,
        balanced=config.balanced,
        alpha=config.alpha,
    )
    schedule = Schedule(
        config.lr_schedule,
        config.learning_rate,
        config.lr_decay,
        config.warmup_iter,
        config.schedule_iter or config.max_iter,
    )
    trainer.compile(
        optimizer=keras.optimizers.Adam(
            schedule,
            beta_2=config.beta_2,
            global_clipnorm=config.clip_norm or None,
            use_ema=config.ema > 0,
            ema_momentum=config.ema or 0.99,
        ),
        jit_compile=jit_compile(),
    )
    trainer.optimizer.build(trainer.trainable_variables)
    state, start = Path(config.checkpoint) / STATE, 0
    for stale in state.parent.glob(".*.tmp"):  # Of a run that was killed while it wrote.
        stale.unlink(missing_ok=True)
    if state.exists():
        start, before = load_state(trainer, state)
        transfer.about["step"] = start
        now = transfer.about["training"]
        for name in sorted(now):
            if before.get(name) != now[name]:
                flag = name.replace("_", "-")
                logger.warning("changed: --%s %s -> %s", flag, before.get(name), now[name])
        logger.info("going on at step %d of %d", start, config.max_iter)
    elif not config.init:
        pictures = dataset.batch(0)["content"].astype("float32") / 255
        initialize_decoder(transfer.decoder, transfer.encoder, transfer.encoder(pictures)[-1])
        if config.pretrain_iter:
            pretrain_decoder(
                transfer.encoder,
                transfer.decoder,
                dataset,
                config.pretrain_iter,
                jit_compile=jit_compile(),
            )
            Checkpoint(config, 0, transfer).save(trainer, 0)
    if start >= config.max_iter:
        logger.info("nothing to do: %s is at step %d", config.checkpoint, start)
        return transfer
    batches = dataset
    if config.cache_styles:
        batches = EncodedStyles(dataset, transfer.encoder, coarse=config.coarse_weight > 0)
    summaries = Summaries(config, start, transfer, _probe(dataset))
    try:
        trainer.fit(
            ((batch,) for batch in batches.batches(start, config.max_iter)),
            epochs=1,
            steps_per_epoch=config.max_iter - start,
            shuffle=False,
            verbose=0,
            callbacks=[Watch(config, start), summaries, Checkpoint(config, start, transfer)],
        )
    finally:
        summaries.close()
        if dataset.skipped:
            logger.warning("%d files were skipped in all", len(dataset.skipped))
    return transfer


def build_model(config: TrainConfig) -> StyleTransfer:
    """The model a run starts from: the encoder of `vgg_path`, and a new decoder or `init`'s."""
    about = {
        "preset": Path(config.checkpoint).resolve().name,
        # As it is read back from config.json: lists, not tuples.
        "training": json.loads(json.dumps(asdict(config))),
        "step": 0,
    }
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        if config.vgg_path == "imagenet":
            arrays = vgg.from_keras_applications()
        elif Path(config.vgg_path).is_file():
            arrays = vgg.read_vgg(config.vgg_path)
        else:
            folder = presets.find_preset(config.vgg_path)
            found = presets.read_config(folder)
            arrays = presets.read_weights(folder, "encoder.npz", found["sha256"].get("encoder.npz"))
        widths = tuple(arrays[f"conv{block}_1/bias"].size for block in range(1, 5))
        encoder, decoder = build_encoder(widths), build_decoder(widths)
    finally:
        keras.config.set_dtype_policy(policy)
    set_arrays(encoder, arrays)
    if config.init:
        folder = presets.find_preset(config.init)
        found = presets.read_config(folder)
        set_arrays(
            decoder, presets.read_weights(folder, "decoder.npz", found["sha256"].get("decoder.npz"))
        )
    return StyleTransfer(encoder, decoder, about=about)


def _probe(dataset: StyleContentDataset, count: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    """A few pairs that stay the same through the run."""
    pairs = []
    for i in range(count):
        crops = [
            dataset.load(Crop(kind, i * len(dataset.files[kind]) // count, 0))
            for kind in (CONTENT, STYLE)
        ]
        side = min(crop.shape[0] for crop in crops)
        pairs.append(tuple(crop[:side, :side] for crop in crops))
    return pairs
