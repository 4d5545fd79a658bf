"""A training run, which resumes where it stopped."""

# What Keras' own annotations say of its operations is wider than what they return.
# pyright: reportArgumentType=false

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from adain.files import make_writable, remove_leftovers
from adain.networks.model import StyleTransfer
from adain.networks.vgg19 import initialize_decoder, jit_compile
from adain.presets.preset import CONFIG
from adain.training import devices, recipes
from adain.training.build import build_model
from adain.training.callbacks import Checkpoint, StopOnNaN, load_state
from adain.training.config import STATE, TrainConfig, check_checkpoint
from adain.training.data import CONTENT, STYLE, Crop, StyleContentDataset
from adain.training.feature_cache import FeatureCache
from adain.training.loggers import RunLogger
from adain.training.model import AdaINTrainer
from adain.training.optimizer import MeasuringAdam
from adain.training.pretrain import AutoencoderTrainer, BlockwiseTrainer, pretrain
from adain.training.progress import ProgressLogger
from adain.training.schedule import Schedule
from adain.training.teacher import find_teacher, load_teacher

logger = logging.getLogger(__name__)


def train(
    config: TrainConfig, loggers: Sequence[RunLogger] = (), *, quiet: bool = False
) -> StyleTransfer:
    """Train a model, or resume the unfinished run in `config.checkpoint`.

    Args:
        config: The settings. With a recipe, all its stages are run.
        loggers: What records the last stage beside `config.logger`. What one raises ends the run,
            which can be resumed.
        quiet: Show no progress bar.

    Returns:
        The trained model, which also lies in `config.checkpoint` as a preset.

    Raises:
        TrainingError: If the loss stops being a number, or a checkpoint does not
            fit.
        ValueError: If a folder holds no pictures.
        PresetError, WeightsError: If weights cannot be read.
        WriteError: If nothing can be written into `config.checkpoint`.
        UsageError: If settings and recipe do not fit together.
    """
    runs = recipes.stages(config)
    for run in runs:
        find_teacher(run)  # A later stage must not end for the want of it.
    with devices.data_parallel(runs):
        for run in runs[:-1]:
            _train(run, (), quiet)
        return _train(runs[-1], loggers, quiet)


def _train(config: TrainConfig, loggers: Sequence[RunLogger], quiet: bool) -> StyleTransfer:
    """One run, of settings without a recipe."""
    check_checkpoint(config.checkpoint)
    keras.utils.set_random_seed(config.seed)
    dataset = load_dataset(config, config.style_path)
    state, start = Path(config.checkpoint) / STATE, 0
    devices.check_same(dataset.files, state)
    if devices.writes():
        make_writable(config.checkpoint)
    validation = _hold_out(config, dataset)
    transfer, loss_network = build_model(config)
    losses = loss_settings(config)
    with devices.variables():
        trainer = AdaINTrainer(transfer, loss_network, teacher=load_teacher(config), **losses)
        compile_trainer(trainer, config)
        if config.init_share:
            trainer.keep_start(config.init_share)
    remove_leftovers([state.parent])
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
        with devices.variables():
            pupil: BlockwiseTrainer | AutoencoderTrainer = AutoencoderTrainer(transfer)
            if transfer.encoder is loss_network:
                pictures = dataset.unsharded().contents(0).astype("float32") / 255
                features = loss_network(pictures)[-len(transfer.decoder.inputs) :]
                initialize_decoder(transfer.decoder, loss_network, features)
                pupil = BlockwiseTrainer(loss_network, transfer.decoder)
            if config.pretrain_iter:
                pretrain(pupil, dataset, config.pretrain_iter, jit_compile=jit_compile())
                Checkpoint(config, 0, transfer).save(trainer, 0)
    if start >= config.max_iter:
        logger.info("nothing to do: %s is at step %d", config.checkpoint, start)
        return StyleTransfer.from_preset(config.checkpoint)
    batches = dataset
    if config.cache_styles:
        batches = FeatureCache(
            dataset,
            loss_network,
            trainer.views,
            keep_styles=loss_network is not transfer.encoder or config.palette > 0,
        )
    summaries = ProgressLogger(
        config, start, transfer.stylize, _probe(dataset), validation, quiet=quiet, loggers=loggers
    )
    rest = partial(batches.batches, start, config.max_iter)
    fit(trainer, config, start, rest, summaries, transfer)
    if dataset.skipped:
        logger.warning("%d files were skipped in all", len(dataset.skipped))
    return transfer


def load_dataset(config: TrainConfig, style_path: Sequence[str]) -> StyleContentDataset:
    """The pictures of a run.

    Args:
        config: Its settings.
        style_path: Folders of styles; none: photos only.

    Raises:
        ValueError: If a folder holds no pictures.
    """
    return StyleContentDataset(
        config.content_path,
        style_path,
        batch_size=config.batch_size,
        image_size=config.image_size,
        crop_size=config.crop_size,
        style_crop_size=config.style_crop_size,
        random_scale=config.random_scale,
        shard=devices.process(),
        fixed_draws=(config.cache_contents, config.cache_styles),
        redraw_epochs=config.redraw_epochs,
        redraw_block=config.redraw_block,
        second_views=config.stability_weight > 0,
        seed=config.seed,
        workers=config.workers,
    )


def loss_settings(config: TrainConfig) -> dict[str, Any]:
    """What of the settings `AdaINTrainer` takes."""
    names = (
        "content_weight", "style_weight", "tv_weight", "coarse_weight", "coarse_levels",
        "detail_size", "identity_weight", "style_loss", "normalized_content", "content_levels",
        "gram_weight", "range_weight", "stability_weight", "smoothness_weight",
        "teacher_weight", "palette", "alpha",
    )  # fmt: skip
    return {name: getattr(config, name) for name in names}


def compile_trainer(trainer: AdaINTrainer, config: TrainConfig) -> None:
    """Give a trainer its optimizer, with all of the variables of that."""
    schedule = Schedule(
        config.lr_schedule,
        config.learning_rate,
        config.lr_decay,
        config.warmup_iter,
        config.schedule_iter or config.max_iter,
    )
    trainer.compile(
        optimizer=MeasuringAdam(
            schedule,
            beta_2=config.beta_2,
            global_clipnorm=config.clip_norm or None,
            use_ema=config.ema > 0,
            ema_momentum=config.ema or 0.99,
        ),
        jit_compile=jit_compile(),
    )
    trainer.optimizer.build(trainer.trainable_variables)


def fit(
    trainer: AdaINTrainer,
    config: TrainConfig,
    start: int,
    batches: Callable[[], Iterable[dict[str, np.ndarray]]],
    summaries: ProgressLogger,
    transfer: StyleTransfer | None = None,
) -> None:
    """Train from step `start` to `config.max_iter`.

    Args:
        trainer: What learns; compiled.
        config: The settings.
        start: Steps that are done.
        batches: Makes an iterator with one for each step that is left.
        summaries: Shows how it goes.
        transfer: What is saved as a preset beside each state, if anything.

    Raises:
        TrainingError: If the loss stops being a number.
    """
    try:
        trainer.fit(
            devices.feed(batches),
            epochs=1,
            steps_per_epoch=config.max_iter - start,
            shuffle=False,
            verbose=0,
            callbacks=[StopOnNaN(config, start), summaries, Checkpoint(config, start, transfer)],
        )
        trainer.mix_with_start()
        if transfer is not None:
            folder = Path(config.checkpoint)
            weights = (file for file in folder.glob("*.npz") if file.name != STATE)
            summaries.keep([folder / CONFIG, *sorted(weights)])
    finally:
        summaries.close()


def _hold_out(config: TrainConfig, dataset: StyleContentDataset) -> list[dict[str, np.ndarray]]:
    """Batches for validation, always the same ones; as many whole ones as there are pairs for."""
    if not config.val_pairs:
        return []
    batch_size = min(config.batch_size, config.val_pairs)
    if config.val_content_path:
        source = StyleContentDataset(
            config.val_content_path,
            config.val_style_path,
            batch_size=batch_size,
            image_size=config.image_size,
            crop_size=config.crop_size,
            style_crop_size=config.style_crop_size,
            random_scale=config.random_scale,
            second_views=config.stability_weight > 0,
            shard=devices.process(),
        )
    else:
        source = dataset.hold_out(config.val_pairs, batch_size)
    return [source.batch(number) for number in range(config.val_pairs // batch_size)]


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
