"""Training: the model that learns, what watches over it, and the run that can be killed."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from adain import _npz, losses, presets, vgg
from adain.config import TrainConfig
from adain.data import CONTENT, STYLE, Crop, StyleContentDataset
from adain.events import EventWriter
from adain.functional import mean_std, transfer_statistics
from adain.model import StyleTransfer
from adain.networks import build_decoder, build_encoder, initialize_decoder, set_arrays
from adain.pretrain import pretrain_decoder

logger = logging.getLogger(__name__)

STATE = "state.npz"


class TrainingError(ValueError):
    """Training cannot go on; one line with the remedy."""


@keras.saving.register_keras_serializable("adain")
class AdaINTrainer(keras.Model):
    """Fits a decoder: `L = content_weight L_c + style_weight L_s + tv_weight L_tv`.

    The encoder stays as it is. A step encodes content, style and output once each.

    Args:
        model: The `StyleTransfer` whose decoder learns.
        content_weight, style_weight, tv_weight: See `adain.losses` for the reductions.
        gram: Match Gram matrices instead of means and deviations.
        balanced: Use `losses.normalized_content_loss` and `losses.balanced_style_loss` in place
            of the paper's losses.
        alpha: Strength of AdaIN in training, in [0, 1].

    Call arguments:
        inputs: `{"content", "style"}`: `(batch, h, w, 3)` uint8 or float in [0, 255], sRGB; or,
            encoded ahead, `{"content_features": (batch, h/8, w/8, 512), "style_means",
            "style_stds": (batch, sum of channels over all taps)}`.

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
        gram: bool = False,
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
        self.gram = gram
        self.balanced = balanced
        self.alpha = alpha
        # Attributes, not an override of `metrics`: that would drop `loss` from the logs.
        self.content_tracker = keras.metrics.Mean(name="content_loss")
        self.style_tracker = keras.metrics.Mean(name="style_loss")
        self.tv_tracker = keras.metrics.Mean(name="tv_loss")
        self.built = True

    def call(self, inputs):
        if "content" in inputs:
            content = self.encoder(_to_unit(inputs["content"]))[-1]
            style_taps = self.encoder(_to_unit(inputs["style"]))
            means, stds = zip(*(mean_std(tap) for tap in style_taps), strict=True)
        else:
            content = ops.cast(inputs["content_features"], "float32")
            means = self._split(inputs["style_means"])
            stds = self._split(inputs["style_stds"])
        target = transfer_statistics(
            content, *mean_std(content), means[-1], stds[-1], alpha=self.alpha
        )
        outputs = {"image": self.decoder(target), "target": target}
        if self.gram:
            return outputs | {"grams": [losses.gram_matrix(tap) for tap in style_taps]}
        return outputs | {"means": list(means), "stds": list(stds)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        taps = self.encoder(y_pred["image"])
        # AdaIN's target is the content's features scaled and shifted: normalised, they are equal.
        content_loss = losses.normalized_content_loss if self.balanced else losses.content_loss
        style_loss = losses.balanced_style_loss if self.balanced else losses.style_loss
        content = content_loss(taps[-1], y_pred["target"])
        if self.gram:
            style = losses.gram_loss(taps, y_pred["grams"])
        else:
            style = style_loss(taps, y_pred["means"], y_pred["stds"])
        variation = losses.total_variation_loss(y_pred["image"])
        self.content_tracker.update_state(content)
        self.style_tracker.update_state(style)
        self.tv_tracker.update_state(variation)
        return (
            self.content_weight * content + self.style_weight * style + self.tv_weight * variation
        )

    def _split(self, statistics):
        parts, start = [], 0
        for tap in self.encoder.outputs:
            width = tap.shape[-1]
            part = ops.cast(statistics[:, start : start + width], "float32")
            parts.append(ops.reshape(part, (-1, 1, 1, width)))
            start += width
        return parts


def _to_unit(pictures):
    return ops.cast(pictures, "float32") / 255.0


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


class EncodedBatches:
    """Batches of a dataset with fixed crops, each encoded once and kept in memory.

    Args:
        dataset: A `StyleContentDataset` with `fixed_crops`.
        encoder: The encoder that training uses.
    """

    def __init__(self, dataset: StyleContentDataset, encoder: keras.Model):
        self.dataset = dataset
        self._deepest = keras.Model(encoder.inputs, encoder.outputs[-1])
        statistics = keras.layers.Lambda(
            lambda taps: [
                ops.concatenate(part, -1) for part in zip(*map(mean_std, taps), strict=True)
            ]
        )
        self._statistics = keras.Model(encoder.inputs, statistics(encoder.outputs))
        self._kept: dict[Crop, list[np.ndarray]] = {}

    def _encode(self, crop: Crop) -> list[np.ndarray]:
        if crop not in self._kept:
            # One at a time: in batches the result could depend on which crops come together.
            picture = self.dataset.load(crop)[None].astype("float32") / 255
            if crop.kind == CONTENT:
                arrays = [self._deepest.predict_on_batch(picture)[0].astype("float16")]
            else:
                arrays = [part.reshape(-1) for part in self._statistics.predict_on_batch(picture)]
            self._kept[crop] = arrays
        return self._kept[crop]

    def batches(self, start: int, stop: int) -> Iterator[dict[str, np.ndarray]]:
        """Batches `start` to `stop`, as `AdaINTrainer` takes them."""
        for step in range(start, stop):
            content, style = self.dataset.plan(step)
            codes = [self._encode(crop) for crop in style]
            yield {
                "content_features": np.stack([self._encode(crop)[0] for crop in content]),
                "style_means": np.stack([mean for mean, _ in codes]),
                "style_stds": np.stack([std for _, std in codes]),
            }


# === Checkpoints ===


def save_state(trainer: AdaINTrainer, path: Path, step: int, config: TrainConfig) -> None:
    """Write everything an exact continuation needs, atomically."""
    arrays = {f"decoder/{i}": v for i, v in enumerate(trainer.decoder.variables)}
    arrays |= {f"optimizer/{i}": v for i, v in enumerate(trainer.optimizer.variables)}
    arrays = {name: ops.convert_to_numpy(v) for name, v in arrays.items()}
    _npz.save(path, arrays, {"step": step, "config": asdict(config)})


def load_state(trainer: AdaINTrainer, path: Path) -> tuple[int, dict]:
    """Restore what `save_state` wrote; returns the step and the settings it was made with.

    Raises:
        TrainingError: If the file does not fit this model.
    """
    try:
        arrays, about = _npz.load(path)
        for part, variables in (
            ("decoder", trainer.decoder.variables),
            ("optimizer", trainer.optimizer.variables),
        ):
            if sum(name.startswith(f"{part}/") for name in arrays) != len(variables):
                raise ValueError(f"it holds another {part}")
            for i, variable in enumerate(variables):
                variable.assign(arrays[f"{part}/{i}"])
        return about["step"], about["config"]
    except (ValueError, KeyError) as error:
        raise TrainingError(
            f"{path}: cannot be continued ({error}). "
            "Choose another --checkpoint folder, or delete this one to start anew."
        ) from error


class _Run(keras.callbacks.Callback):
    """What a callback of a run knows: which step of the whole run a batch is."""

    def __init__(self, config: TrainConfig, start: int):
        super().__init__()
        self.config = config
        self.start = start

    def step(self, batch: int) -> int:
        return self.start + batch + 1

    def due(self, step: int, every: int) -> bool:
        return step % every == 0 or step == self.config.max_iter


class Watch(_Run):
    """Stops at once when the loss is not a number."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(float(logs["loss"])):
            raise TrainingError(
                f"The loss became {float(logs['loss'])} at step {self.step(batch)}. The last "
                "checkpoint is good; go on with a smaller --learning-rate or with --clip-norm 1."
            )


class Checkpoint(_Run):
    """Writes the state and the decoder every `save_iter` steps."""

    def __init__(self, config, start, transfer: StyleTransfer):
        super().__init__(config, start)
        self.transfer = transfer
        self.folder = Path(config.checkpoint)

    def on_train_batch_end(self, batch, logs=None):
        step = self.step(batch)
        if self.due(step, self.config.save_iter):
            # Asking for the model brings JAX's variables up to date.
            self.save(self.model, step)

    def save(self, trainer: AdaINTrainer, step: int) -> None:
        """Write the preset and the state."""
        # The state comes last: a run killed in between makes this step, and the preset, anew.
        self.transfer.about["step"] = step
        self.transfer.save_to_preset(self.folder)
        save_state(trainer, self.folder / STATE, step, self.config)


class Summaries(_Run):
    """TensorBoard scalars and pictures, and the progress bar."""

    def __init__(self, config, start, transfer: StyleTransfer, probe: list):
        super().__init__(config, start)
        self.transfer = transfer
        self.probe = probe
        self.codes = [transfer.encode_style(style) for _, style in probe]
        self.writer: EventWriter | None = None
        self.bar: tqdm | None = None

    def on_train_begin(self, logs=None):
        self.writer = EventWriter(self.config.log_path or Path(self.config.checkpoint) / "logs")
        self.bar = tqdm(
            total=self.config.max_iter, initial=self.start, unit="step", file=sys.stderr,
            desc="training", dynamic_ncols=True,
        )  # fmt: skip
        self.since = (time.perf_counter(), self.start)

    def on_train_batch_end(self, batch, logs=None):
        step = self.step(batch)
        self.bar.update()
        if self.due(step, self.config.summary_iter):
            now, (then, last) = time.perf_counter(), self.since
            self.since = (now, step)
            values = {name: float(value) for name, value in logs.items()}
            self.bar.set_postfix({name: f"{value:.3g}" for name, value in values.items()})
            rate = self.model.optimizer.learning_rate
            values["learning_rate"] = float(ops.convert_to_numpy(rate))
            values["images_per_second"] = (step - last) * self.config.batch_size / (now - then)
            self.writer.scalars(step, values)
            self.writer.flush()
            # The logs are means since the last reset: this makes them means of one interval.
            self.model.reset_metrics()
        if self.due(step, self.config.image_iter):
            self._show(step)

    def _show(self, step: int) -> None:
        _ = self.model
        outputs = [
            self.transfer.stylize(content, code)
            for (content, _), code in zip(self.probe, self.codes, strict=True)
        ]
        rows = [
            np.hstack([content, style, output])
            for (content, style), output in zip(self.probe, outputs, strict=True)
        ]
        self.writer.image(step, "content | style | output", np.vstack(rows))
        self.writer.flush()
        complaint = judge(outputs, [style for _, style in self.probe])
        if complaint:
            logger.warning("step %d: %s", step, complaint)

    def on_train_end(self, logs=None):
        self.close()

    def close(self) -> None:
        """Also after an error, so that nothing is lost."""
        if self.bar is not None:
            self.bar.close()
        if self.writer is not None:
            self.writer.close()


def judge(outputs: list[np.ndarray], styles: list[np.ndarray]) -> str:
    """A complaint about pictures that show training has gone wrong, or an empty string.

    Args:
        outputs, styles: HWC uint8 sRGB pictures.
    """

    def contrast(pictures):
        return float(np.mean([picture.std(axis=(0, 1)).mean() for picture in pictures]))

    def colour(pictures):
        return float(np.mean([np.ptp(picture.astype(int), axis=-1).mean() for picture in pictures]))

    if contrast(outputs) < 0.1 * contrast(styles):
        return "the output is almost constant; try a smaller --learning-rate or start anew"
    if colour(outputs) < 0.1 * colour(styles):
        return "the output is grey; try a larger --style-weight or a smaller --learning-rate"
    return ""


# === The run ===


def train(config: TrainConfig) -> StyleTransfer:
    """Train a decoder, or go on with the unfinished run in `config.checkpoint`.

    Args:
        config: The settings.

    Returns:
        The trained model, which also lies in `config.checkpoint` as a preset.

    Raises:
        TrainingError: If the loss stops being a number, or a checkpoint does not fit.
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
        fixed_crops=config.cache_crops,
        seed=config.seed,
        workers=config.workers,
    )
    transfer = build_model(config)
    trainer = AdaINTrainer(
        transfer,
        content_weight=config.content_weight,
        style_weight=config.style_weight,
        tv_weight=config.tv_weight,
        gram=config.gram,
        balanced=config.balanced,
        alpha=config.alpha,
    )
    schedule = Schedule(
        config.lr_schedule,
        config.learning_rate,
        config.lr_decay,
        config.warmup_iter,
        config.max_iter,
    )
    # XLA's convolutions on the CPU are slower than TensorFlow's own.
    jit = "auto" if keras.backend.backend() == "jax" or _has_gpu() else False
    trainer.compile(
        optimizer=keras.optimizers.Adam(
            schedule, beta_2=config.beta_2, global_clipnorm=config.clip_norm or None
        ),
        jit_compile=jit,
    )
    trainer.optimizer.build(trainer.trainable_variables)
    state, start = Path(config.checkpoint) / STATE, 0
    if state.exists():
        start, before = load_state(trainer, state)
        transfer.about["step"] = start
        now = json.loads(json.dumps(asdict(config)))
        for name in sorted(now):
            if before.get(name) != now[name]:
                flag = name.replace("_", "-")
                logger.warning("changed: --%s %s -> %s", flag, before.get(name), now[name])
        logger.info("going on at step %d of %d", start, config.max_iter)
    checkpoint = Checkpoint(config, start, transfer)
    if not state.exists() and not config.init:
        pictures = dataset.batch(0)["content"].astype("float32") / 255
        initialize_decoder(transfer.decoder, transfer.encoder, transfer.encoder(pictures)[-1])
        if config.pretrain_iter:
            pretrain_decoder(
                transfer.encoder, transfer.decoder, dataset, config.pretrain_iter, jit_compile=jit
            )
            checkpoint.save(trainer, 0)
    if start >= config.max_iter:
        logger.info("nothing to do: %s is at step %d", config.checkpoint, start)
        return transfer
    batches = EncodedBatches(dataset, transfer.encoder) if config.cache_crops else dataset
    summaries = Summaries(config, start, transfer, _probe(dataset))
    try:
        trainer.fit(
            ((batch,) for batch in batches.batches(start, config.max_iter)),
            epochs=1,
            steps_per_epoch=config.max_iter - start,
            shuffle=False,
            verbose=0,
            callbacks=[Watch(config, start), summaries, checkpoint],
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


def _has_gpu() -> bool:
    if keras.backend.backend() == "tensorflow":
        return "GPU" in str(keras.distribution.list_devices()).upper()
    return False
