"""Tuning a style code: from pictures of one style to a style card."""

# What Keras' own annotations say of its operations is wider than what they return.
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

import keras
import numpy as np

from adain.files import make_writable, remove_leftovers
from adain.imaging import io as imaging
from adain.imaging.transparency import check_opaque
from adain.inference.memory import choose_tile
from adain.inference.style_code import StyleCode, mix
from adain.networks import vgg19
from adain.networks.model import StyleTransfer
from adain.networks.vgg19 import set_arrays, without_identities
from adain.options import UsageError
from adain.sources import find_sources, is_card
from adain.stylize.inputs import Planes, fit, source_style
from adain.training import loop
from adain.training.build import read_vgg19
from adain.training.callbacks import (
    TrainingError,
    averaged_weights,
    load_state,
)
from adain.training.config import STATE, TrainConfig
from adain.training.progress import ProgressLogger
from adain.training.style_tuner import Best, StyleTuner
from adain.training.tune_config import STRENGTHS, TuneConfig

logger = logging.getLogger(__name__)

_PREVIEW = 256
"""Side of the photos in previews, pixels."""
_SHOWN = 4
_GAIN = 0.002
"""By what share the validation loss must fall to count as better."""

_FREE = {"max_iter", "workers", "checkpoint", "learning_rate"}
"""Settings that may change when a run is resumed."""


class Tuned(NamedTuple):
    """What tuning gave."""

    code: StyleCode
    steps: int
    """Iterations done."""
    reason: str
    """Why there were no more."""
    best: Best
    """The validation that the code is of, and the first one, of the code as it was measured."""


def tune(config: TuneConfig) -> Tuned:
    """Tune a style code, or resume the unfinished run in `config.run_folder`.

    Args:
        config: The settings.

    Returns:
        The code, and how it was found. It is not saved yet; the run's state is.

    Raises:
        UsageError: If the settings lead to no picture, or one is a style card.
        WriteError: If nothing can be written into `config.run_folder`.
        TrainingError: If the loss stops being a number, or the folder holds another run.
        ImageError: If a style cannot be read, or parts of it are transparent.
        ValueError: If there are fewer than two photographs.
        PresetError, WeightsError: If weights cannot be read.
    """
    styles = _read_styles(config)
    transfer = StyleTransfer.from_preset(config.checkpoint)
    settings = config.training(transfer.architecture)
    keras.utils.set_random_seed(config.seed)
    dataset = loop.load_dataset(settings, ())
    photos = len(dataset.files[0])
    if photos < 2:
        raise ValueError(f"Tuning needs two photographs or more. Received: {photos}")
    make_writable(config.run_folder)
    pairs = min(config.val_photos, photos // 2)
    held = dataset.hold_out(pairs, min(settings.batch_size, pairs))
    validation = [{"content": held.contents(i)} for i in range(pairs // held.batch_size)]
    trainer = StyleTuner(
        transfer,
        _build_loss_network(transfer, config.vgg_path),
        _measure(transfer, styles, config),
        styles,
        **loop.loss_settings(settings),
    )
    loop.compile_trainer(trainer, settings)
    start = _resume(trainer, settings, config)
    progress = _TuningProgress(config, settings, start, trainer, held.files[0], validation)
    if not progress.reason:

        def batch(step):
            return {"content": dataset.contents(step)}

        rest = partial(dataset.batches, start, settings.max_iter, batch)
        loop.fit(trainer, settings, start, rest, progress)
    best = trainer.best
    code = trainer.code(best.changes)
    # Where nothing was gained the code is the measured one.
    if best["step"]:
        code.tuned = f"{config.strength}, {best['step']:.0f} iterations"
    return Tuned(code, progress.steps, progress.reason, best)


# === What a run starts from ===


def _read_styles(config: TuneConfig) -> list[np.ndarray]:
    sources, problems, _ = find_sources(config.style_path, cards=True)
    if problems or not sources:
        raise UsageError("; ".join(problems) or "--style must name at least one picture")
    pictures = []
    for source in sources:
        if is_card(source):
            raise UsageError(f"--style must be pictures for tuning. Received: {source}, a card")
        planes = cast(Planes, source_style(source, config.max_pixels).load())
        check_opaque(planes.alpha, str(source))
        colors = imaging.to_depth(planes.colors, np.uint8)
        pictures.append(fit(colors, config.style_size, 0, config.max_pixels, str(source)))
    return pictures


def _measure(transfer: StyleTransfer, styles: Sequence[np.ndarray], config: TuneConfig):
    """The code to start from."""
    about = {
        "name": config.name or Path(config.style_path[0]).stem,
        "credit": config.credit,
        "license": config.license,
    }
    codes = []
    for style in styles:
        tile = choose_tile(transfer, style)
        codes.append(transfer.encode_style(style, tile=tile, **about))
    return mix(codes)


def _build_loss_network(transfer: StyleTransfer, path: str) -> keras.Model:
    arrays = read_vgg19(path)
    widths = tuple(arrays[f"conv{block}_1/bias"].size for block in range(1, 5))
    network = vgg19.build_encoder(widths)
    set_arrays(network, arrays)
    return without_identities(network)


def _resume(trainer: StyleTuner, settings: TrainConfig, config: TuneConfig) -> int:
    """Load the unfinished run, if there is one; the step it is at."""
    state = Path(settings.checkpoint) / STATE
    remove_leftovers([state.parent])
    if not state.exists():
        return 0
    start = trainer.start
    step, before = load_state(trainer, state)
    now = json.loads(json.dumps(asdict(settings)))
    changed = sorted(key for key in {*now} - _FREE if before.get(key) != now[key])
    # By the names of flags: only --strength stands for settings of other names alone.
    if changed:
        names = [f"--{key.replace('_', '-')}" for key in changed if hasattr(config, key)]
        changed = names or ["--strength"]
    # Two runs of an encoder need not agree to the last digit.
    if not np.allclose(trainer.start, start, rtol=1e-3, atol=1e-3):
        changed = ["style, or other weights", *changed]
    if changed:
        raise TrainingError(
            f"{state}: the unfinished run has another {changed[0]}. Choose "
            "another --run-path, or delete it to start again."
        )
    logger.info("going on at step %d of %d", step, settings.max_iter)
    return step


# === How a run goes ===


def _read_photos(paths: Sequence[Path]) -> Iterator[np.ndarray]:
    """The middle of each photo, for previews; of those that cannot be read the data set tells."""
    for path in paths:
        with suppress(imaging.ImageError):
            photo = imaging.read_training_image(path, _PREVIEW)
            yield imaging.center_crop(photo, (_PREVIEW, _PREVIEW))


class _TuningProgress(ProgressLogger):
    """Keeps the best code, stops when there is nothing more to gain, and shows previews."""

    _title = "photo | before | tuned"

    def __init__(
        self,
        config: TuneConfig,
        settings: TrainConfig,
        start: int,
        trainer: StyleTuner,
        photos: Sequence[Path],
        validation: Sequence[dict[str, np.ndarray]],
    ):
        transfer, before = (
            trainer.stylizer,
            trainer.code([np.zeros_like(change) for change in trainer.changes]),
        )
        shown = islice(_read_photos(photos), _SHOWN)
        probe = [(photo, transfer.stylize(photo, before)) for photo in shown]
        super().__init__(
            settings, start, lambda photo, _: transfer.stylize(photo, trainer.code()), probe,
            validation, quiet=config.quiet,
        )  # fmt: skip
        self.steps = start
        self.best = trainer.best
        self._tuning = config
        self._limit = STRENGTHS[config.strength].content_limit

    @property
    def reason(self) -> str:
        """Why the run is over; empty while it is not."""
        if self.best["stale"] >= self._tuning.patience:
            return f"{self._tuning.patience} validations brought nothing"
        if self.best["seconds"] >= 60 * self._tuning.max_minutes:
            return f"{self._tuning.max_minutes:g} minutes were over"
        return "all iterations were done" if self.steps >= self.config.max_iter else ""

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if not self.start:
            self.writer.scalars(0, self._validate(0))
            self._show(0)
        self._clock = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        self.steps = self.step(batch)
        now = time.perf_counter()
        self.best["seconds"] += now - self._clock
        self._clock = now
        if self.reason:
            if not self.due(self.steps, self.config.val_iter):
                self._validate(self.steps)
            self.model.stop_training = True

    def _validate(self, step: int) -> dict[str, float]:
        losses = super()._validate(step)
        best = self.best
        if not step:
            losses = self.model.balance(losses, self.config.content_weight)
            best.before = best.after = losses
            return losses
        kept = losses["val_content_loss"] <= self._limit * best.before["val_content_loss"]
        if kept and losses["val_loss"] < (1 - _GAIN) * best.after["val_loss"]:
            trainer = self.model
            with averaged_weights(trainer, step):
                best.changes = trainer.changes
            best.after = losses
            best["step"], best["stale"] = step, 0
        else:
            best["stale"] += 1
        return losses

    def _show(self, step: int) -> np.ndarray:
        with averaged_weights(self.model, step):
            grid = super()._show(step)
        imaging.save_image(Path(self.config.checkpoint) / f"preview-{step:05}.jpg", grid)
        return grid
