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
from adain.model import BUILDERS, StyleTransfer
from adain.networks import initialize_decoder, jit_compile, set_arrays
from adain.pretrain import AutoencoderTrainer, BlockwiseTrainer, pretrain

logger = logging.getLogger(__name__)


@keras.saving.register_keras_serializable("adain")
class AdaINTrainer(keras.Model):
    """Fits a model: `L = content_weight L_c + style_weight L_s + tv_weight L_tv + ...`.

    Of a full-width model only the decoder learns, and its encoder is the loss network: a step
    encodes content, style and output once each. A compact model learns as a whole.

    Args:
        model: The `StyleTransfer` that learns.
        loss_network: Pictures to relu1_1..relu4_1; by default the model's encoder.
        content_weight, style_weight, tv_weight, identity_weight: See `adain.losses` for the
            reductions.
        coarse_weight: Adds `coarse_weight * L_s` of the same pictures at half size to `L_s`, and
            at a quarter and so on for `coarse_levels` of more than 1.
        coarse_levels: How many times pictures are halved for that.
        detail_size: Look at the output at full size only in a square of this side in its middle,
            and compare the content at half size; 0: at full size, all of it.
        gram: Match Gram matrices instead of means and deviations.
        normalized_content, balanced, relative: Use `losses.normalized_content_loss`,
            `losses.balanced_style_loss` and `losses.relative_style_loss` in place of the paper's
            losses.
        alpha: Strength of AdaIN in training, in [0, 1].

    Call arguments:
        inputs: `{"content", "style"}`: `(batch, h, w, 3)` uint8 or float in [0, 255], sRGB; or,
            instead of `"style"`, encoded ahead, `"style_means"` and `"style_stds"`:
            `(batch, sum of channels over all taps)` float32, followed by those of the other sizes
            at which styles are compared. A compact model needs `"style"` as well. With
            `"content_features"`, relu4_1 of the content, it is not encoded.

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
        loss_network: keras.Model | None = None,
        *,
        content_weight: float = 1.0,
        style_weight: float = 1e-2,
        tv_weight: float = 0.0,
        coarse_weight: float = 0.0,
        coarse_levels: int = 1,
        detail_size: int = 0,
        identity_weight: float = 0.0,
        gram: bool = False,
        normalized_content: bool = False,
        balanced: bool = False,
        relative: bool = False,
        alpha: float = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.encoder = loss_network or model.encoder
        self.encoder.trainable = False
        self.decoder = model.decoder
        self.painter = None if self.encoder is model.encoder else model
        self.views = Views(coarse_levels if coarse_weight else 0, detail_size)
        self.content_weight = content_weight
        self.style_weight = style_weight
        self.tv_weight = tv_weight
        self.coarse_weight = coarse_weight
        self.identity_weight = identity_weight
        self.gram = gram
        self.normalized_content = normalized_content
        self.style_loss = losses.style_loss
        if balanced or relative:
            self.style_loss = losses.relative_style_loss if relative else losses.balanced_style_loss
        self.alpha = alpha
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
        if "content_features" in inputs:
            content = ops.cast(inputs["content_features"], "float32")
        else:
            content = self.encoder(self.views.content(photo))[-1]
        if "style_means" in inputs:
            means = self._split(inputs["style_means"])
            stds = self._split(inputs["style_stds"])
        else:
            style_taps = [
                self.encoder(view) for view in self.views.style(_to_unit(inputs["style"]))
            ]
            statistics = [list(map(mean_std, taps)) for taps in style_taps]
            means = [[mean for mean, _ in view] for view in statistics]
            stds = [[std for _, std in view] for view in statistics]
        like = self.views.content_index
        target = transfer_statistics(
            content, *mean_std(content), means[like][-1], stds[like][-1], alpha=self.alpha
        )
        # Of every third photo: each costs another pass of the decoder.
        same = slice(None, None, 3) if self.identity_weight else None
        if self.painter is None:
            image = self.decoder(target)
            identity = None if same is None else self.decoder(content[same])
        else:
            image, identity = self._paint(photo, _to_unit(inputs["style"]), same)
        outputs = {"image": image, "target": target}
        if same is not None:
            outputs |= {"identity": identity, "photo": photo[same]}
        if self.gram:
            return outputs | {
                "grams": [[losses.gram_matrix(tap) for tap in taps] for taps in style_taps]
            }
        return outputs | {"means": means, "stds": stds}

    def _paint(self, photo, style, same):
        *levels, mean, std = self.painter.encode_graph(photo)
        *_, style_mean, style_std = self.painter.encode_graph(style)
        alpha = ops.full((1, 1, 1, 1), self.alpha)
        image = self.painter.decode_graph([*levels, mean, std, style_mean, style_std, alpha])
        if same is None:
            return image, None
        own = [tensor[same] for tensor in (mean, std)]
        levels = [level[same] for level in levels]
        return image, self.painter.decode_graph([*levels, *own, *own, ops.zeros((1, 1, 1, 1))])

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        taps = [self.encoder(view) for view in self.views(y_pred["image"])]
        # AdaIN's target is the content's features scaled and shifted: normalised, they are equal.
        normalized = self.normalized_content
        content_loss = losses.normalized_content_loss if normalized else losses.content_loss
        content = content_loss(taps[self.views.content_index][-1], y_pred["target"])

        def compare(view):
            if self.gram:
                return losses.gram_loss(taps[view], y_pred["grams"][view])
            return self.style_loss(taps[view], y_pred["means"][view], y_pred["stds"][view])

        style = compare(0)
        variation = losses.total_variation_loss(y_pred["image"])
        self.content_tracker.update_state(content)
        self.style_tracker.update_state(style)
        self.tv_tracker.update_state(variation)
        total = (
            self.content_weight * content + self.style_weight * style + self.tv_weight * variation
        )
        if self.coarse_weight:
            coarse = sum(compare(view) for view in range(1, len(taps)))
            self.coarse_tracker.update_state(coarse)
            total = total + self.style_weight * self.coarse_weight * coarse
        if self.identity_weight:
            identity = losses.identity_loss(y_pred["identity"], y_pred["photo"])
            self.identity_tracker.update_state(identity)
            total = total + self.identity_weight * identity
        return total

    def _split(self, statistics):
        views, start = [], 0
        for _ in range(self.views.count):
            views.append([])
            for tap in self.encoder.outputs:
                width = tap.shape[-1]
                part = ops.cast(statistics[:, start : start + width], "float32")
                views[-1].append(ops.reshape(part, (-1, 1, 1, width)))
                start += width
        return views


def _to_unit(pictures):
    return ops.cast(pictures, "float32") / 255.0


class Views:
    """The sizes at which the loss network looks at a picture: full, half, a quarter, ...

    Args:
        halvings: How many sizes there are beside the full one.
        detail_size: At full size, only a square of this side in the middle of the output; 0: all
            of it. The content is then compared at half size.
    """

    def __init__(self, halvings: int = 0, detail_size: int = 0):
        self.count = 1 + halvings
        self.detail_size = detail_size
        self.content_index = 1 if detail_size else 0

    def __call__(self, pictures) -> list:
        """`(batch, h, w, 3)` to one such tensor for each size."""
        return [self._view(pictures, index) for index in range(self.count)]

    def style(self, pictures) -> list:
        """The same of styles, all of each: a part would not have the statistics of the whole."""
        return [pictures, *(self._view(pictures, index) for index in range(1, self.count))]

    def content(self, pictures):
        """The one of them at which contents are compared."""
        return self._view(pictures, self.content_index)

    def _view(self, pictures, index: int):
        if index:
            return ops.average_pool(pictures, 2**index, 2**index)
        if not self.detail_size:
            return pictures
        top, left = ((side - self.detail_size) // 2 for side in pictures.shape[1:3])
        rows, columns = (slice(start, start + self.detail_size) for start in (top, left))
        return pictures[:, rows, columns]


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


class EncodedPictures:
    """Batches of a dataset with fixed crops, each encoded once and kept in memory.

    Args:
        dataset: A `StyleContentDataset` with `fixed_draws` of the styles, and of the contents if
            they are to be kept too.
        loss_network: Pictures to relu1_1..relu4_1.
        views: The sizes at which pictures are compared.
        keep_styles: Whether batches hold the styles' pictures beside their statistics.
    """

    def __init__(
        self,
        dataset: StyleContentDataset,
        loss_network: keras.Model,
        views: Views,
        *,
        keep_styles: bool = False,
    ):
        self.dataset = dataset
        self.keep_styles = keep_styles
        side = dataset.crop_sizes[STYLE]
        picture = keras.layers.Input((side, side, 3))
        statistics = keras.layers.Lambda(
            lambda picture: [
                ops.concatenate(part, -1)
                for part in zip(
                    *(mean_std(tap) for view in views.style(picture) for tap in loss_network(view)),
                    strict=True,
                )
            ]
        )
        self._statistics = keras.Model(picture, statistics(picture))
        side = dataset.crop_sizes[CONTENT]
        picture = keras.layers.Input((side, side, 3))
        features = keras.layers.Lambda(lambda picture: loss_network(views.content(picture))[-1])
        self._features = keras.Model(picture, features(picture))
        self._kept: dict[Crop, tuple[np.ndarray, ...]] = {}

    def _encode(self, crop: Crop) -> tuple[np.ndarray, ...]:
        """The picture, and its features or statistics."""
        if crop not in self._kept:
            picture = self.dataset.load(crop)
            # One at a time: in batches the result could depend on which crops come together.
            batch = picture[None].astype("float32") / 255
            if crop.kind == STYLE:
                found = [part.reshape(-1) for part in self._statistics.predict_on_batch(batch)]
            else:
                found = [self._features.predict_on_batch(batch)[0].astype("float16")]
            self._kept[crop] = (picture, *found)
        return self._kept[crop]

    def batches(self, start: int, stop: int) -> Iterator[dict[str, np.ndarray]]:
        """Batches `start` to `stop`, as `AdaINTrainer` takes them."""
        fixed = self.dataset.fixed_draws[CONTENT] > 0
        make = (lambda step: None) if fixed else self.dataset.contents
        for step, content in enumerate(self.dataset.batches(start, stop, make=make), start):
            contents, styles = self.dataset.plan(step)
            if fixed:
                content, features = map(np.stack, zip(*map(self._encode, contents), strict=True))
                batch = {"content": content, "content_features": features}
            else:
                batch = {"content": content}
            pictures, means, stds = map(np.stack, zip(*map(self._encode, styles), strict=True))
            if self.keep_styles:
                batch["style"] = pictures
            yield batch | {"style_means": means, "style_stds": stds}


# === The run ===


def train(config: TrainConfig) -> StyleTransfer:
    """Train a model, or go on with the unfinished run in `config.checkpoint`.

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
        fixed_draws=(config.cache_contents, config.cache_styles),
        seed=config.seed,
        workers=config.workers,
    )
    transfer, loss_network = build_model(config)
    trainer = AdaINTrainer(
        transfer,
        loss_network,
        content_weight=config.content_weight,
        style_weight=config.style_weight,
        tv_weight=config.tv_weight,
        coarse_weight=config.coarse_weight,
        coarse_levels=config.coarse_levels,
        detail_size=config.detail_size,
        identity_weight=config.identity_weight,
        gram=config.gram,
        normalized_content=config.normalized_content,
        balanced=config.balanced,
        relative=config.relative,
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
        pupil: BlockwiseTrainer | AutoencoderTrainer = AutoencoderTrainer(transfer)
        if transfer.encoder is loss_network:
            pictures = dataset.batch(0)["content"].astype("float32") / 255
            features = loss_network(pictures)[-1]
            initialize_decoder(transfer.decoder, loss_network, features)
            pupil = BlockwiseTrainer(loss_network, transfer.decoder)
        if config.pretrain_iter:
            pretrain(pupil, dataset, config.pretrain_iter, jit_compile=jit_compile())
            Checkpoint(config, 0, transfer).save(trainer, 0)
    if start >= config.max_iter:
        logger.info("nothing to do: %s is at step %d", config.checkpoint, start)
        return transfer
    batches = dataset
    if config.cache_styles:
        batches = EncodedPictures(
            dataset,
            loss_network,
            trainer.views,
            keep_styles=loss_network is not transfer.encoder,
        )
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


def build_model(config: TrainConfig) -> tuple[StyleTransfer, keras.Model]:
    """What a run starts from.

    Returns:
        The model: new, or with the weights of `init`; and the loss network, of `vgg_path`, which
        is the encoder of a full-width model.
    """
    about = {
        "preset": Path(config.checkpoint).resolve().name,
        # As it is read back from config.json: lists, not tuples.
        "training": json.loads(json.dumps(asdict(config))),
        "step": 0,
    }
    if config.vgg_path == "imagenet":
        arrays = vgg.from_keras_applications()
    elif Path(config.vgg_path).is_file():
        arrays = vgg.read_vgg(config.vgg_path)
    else:
        arrays = _read_part(config.vgg_path, "encoder")
    widths = tuple(arrays[f"conv{block}_1/bias"].size for block in range(1, 5))
    builder = BUILDERS[config.network]
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        loss_network = BUILDERS["vgg19"].build_encoder(widths)
        full = config.network == "vgg19"
        encoder = loss_network if full else builder.build_encoder()
        decoder = builder.build_decoder(widths) if full else builder.build_decoder()
    finally:
        keras.config.set_dtype_policy(policy)
    set_arrays(loss_network, arrays)
    if config.init:
        set_arrays(decoder, _read_part(config.init, "decoder"))
        if not full:
            set_arrays(encoder, _read_part(config.init, "encoder"))
    model = StyleTransfer(encoder, decoder, architecture=config.network, about=about)
    return model, loss_network


def _read_part(preset: str, part: str) -> dict[str, np.ndarray]:
    folder, file = presets.find_preset(preset), f"{part}.npz"
    return presets.read_weights(folder, file, presets.read_config(folder)["sha256"].get(file))


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
