"""Training callbacks: checkpoints, curves and pictures, and stopping on NaN."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from adain.networks.model import StyleTransfer
from adain.presets import npz
from adain.training.config import STATE, TrainConfig
from adain.training.model import AdaINTrainer
from adain.training.tensorboard import EventWriter
from adain.training.watch import LOOK_EVERY, LossWatch, read

logger = logging.getLogger(__name__)


class TrainingError(ValueError):
    """Training cannot continue; one line with the remedy."""


# === Checkpoints ===


def save_state(trainer: AdaINTrainer, path: Path, step: int, config: TrainConfig) -> None:
    """Write everything an exact continuation needs, atomically."""
    npz.save(path, _read_state(trainer, step), {"step": step, "config": asdict(config)})


def _read_state(trainer: AdaINTrainer, step: int) -> dict[str, np.ndarray]:
    """What is saved.

    Raises:
        TrainingError: If it holds numbers that are not finite.
    """
    arrays = {
        f"{part}/{i}": ops.convert_to_numpy(variable)
        for part, variables in trainer.parts.items()
        for i, variable in enumerate(variables)
    }
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise TrainingError(
                f"{name} was no longer finite after step {step}, which is not saved. The last "
                "checkpoint is good; resume from it with a smaller --learning-rate."
            )
    return arrays


def load_state(trainer: AdaINTrainer, path: Path) -> tuple[int, dict]:
    """Restore what `save_state` wrote; returns the step and the settings it was made with.

    Raises:
        TrainingError: If the file is damaged, or does not fit this model.
    """
    try:
        arrays, about = npz.load(path)
        step, config = about["step"], about["config"]
        if type(step) is not int or step < 0:
            raise ValueError(f"its step must be a whole number of 0 or more, received {step!r}")
        if not isinstance(config, dict):
            raise ValueError(f"its settings must be an object, received {config!r:.80}")
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds NaN or infinite numbers")
        for part, variables in trainer.parts.items():
            if sum(name.startswith(f"{part}/") for name in arrays) != len(variables):
                raise ValueError(f"it holds another {part}")
            for i, variable in enumerate(variables):
                variable.assign(arrays[f"{part}/{i}"])
        return step, config
    except KeyError as error:
        raise _not_continued(path, f"{error} is missing") from error
    except (ValueError, OSError) as error:
        raise _not_continued(path, str(error)) from error


def _not_continued(path: Path, reason: str) -> TrainingError:
    reason = " ".join(reason.split()).removesuffix(".")
    return TrainingError(
        f"{path}: cannot be continued ({reason}). "
        "Choose another folder for the run, or delete this file to start again."
    )


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


class StopOnNaN(_Run):
    """Stops within a few steps of a loss that is not a number, and before anything is written."""

    def __init__(self, config, start):
        super().__init__(config, start)
        self.watch = LossWatch()

    def on_train_batch_end(self, batch, logs=None):
        config, step = self.config, self.step(batch)
        self.watch.add(step, logs["loss"])
        writes = (config.summary_iter, config.save_iter, config.val_iter, config.image_iter)
        if any(self.due(step, every) for every in (LOOK_EVERY, *writes)):
            self._look()

    def on_train_end(self, logs=None):
        self._look()

    def _look(self):
        found = self.watch.look()
        if found:
            step, loss = found
            clip = "" if self.config.clip_norm else " or with --clip-norm 1"
            raise TrainingError(
                f"The loss became {loss} at step {step}. The last checkpoint is good; resume from "
                f"it with a smaller --learning-rate{clip}."
            )


class Checkpoint(_Run):
    """Writes the state every `save_iter` steps, and the model as a preset if one is given."""

    def __init__(self, config, start, transfer: StyleTransfer | None = None):
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
        # The state comes last: a run killed in between makes this step, and the preset, again.
        if self.transfer is not None:
            # No preset either of what is no good.
            _read_state(trainer, step)
            self.transfer.about["step"] = step
            with averaged_weights(trainer, step):
                self.transfer.save_to_preset(self.folder)
        save_state(trainer, self.folder / STATE, step, self.config)


@contextlib.contextmanager
def averaged_weights(trainer: keras.Model, step: int) -> Iterator[None]:
    """Give the model its moving average, which is what presets get; training continues without."""
    variables = trainer.trainable_variables
    kept = [read(variable) for variable in variables]
    if step:
        trainer.optimizer.finalize_variable_values(variables)
        # With JAX the model now holds the optimizer's own buffers, and `evaluate` gives the
        # model's away to be overwritten.
        for variable in variables:
            variable.assign(read(variable))
    yield
    for variable, value in zip(variables, kept, strict=True):
        variable.assign(value)


class TensorBoardLogger(_Run):
    """TensorBoard scalars and pictures, and the progress bar.

    Args:
        config: Settings of the run.
        start: The step it starts from.
        stylize: A photo and a style, HWC uint8 sRGB, to a picture like them.
        probe: Pairs of pictures that are stylised every `image_iter` steps.
        validation: Batches whose losses are measured every `val_iter` steps.
        quiet: Show no progress bar.
    """

    _title = "content | style | output"

    def __init__(
        self,
        config: TrainConfig,
        start: int,
        stylize: Callable[[np.ndarray, np.ndarray], np.ndarray],
        probe: list,
        validation: Sequence[dict[str, np.ndarray]] = (),
        *,
        quiet: bool = False,
    ):
        super().__init__(config, start)
        self.validation = validation
        self.validated: dict[str, float] = {}
        self.quiet = quiet
        self.stylize = stylize
        self.probe = probe
        self.writer: EventWriter | None = None
        self.bar: tqdm | None = None

    def on_train_begin(self, logs=None):
        self.writer = EventWriter(self.config.log_path or Path(self.config.checkpoint) / "logs")
        self.bar = tqdm(
            total=self.config.max_iter, initial=self.start, unit="step", file=sys.stderr,
            desc="training", dynamic_ncols=True, disable=self.quiet,
        )  # fmt: skip
        self.since = (time.perf_counter(), self.start)

    def on_train_batch_end(self, batch, logs=None):
        step = self.step(batch)
        self.bar.update()
        if self.due(step, self.config.summary_iter):
            now, (then, last) = time.perf_counter(), self.since
            self.since = (now, step)
            values = {name: float(value) for name, value in logs.items()}
            shown = (values | self.validated).items()
            self.bar.set_postfix({name: f"{value:.3g}" for name, value in shown})
            rate = self.model.optimizer.learning_rate
            values["learning_rate"] = float(ops.convert_to_numpy(rate))
            values["images_per_second"] = (step - last) * self.config.batch_size / (now - then)
            self.writer.scalars(step, values)
            self.writer.flush()
            # The logs are means since the last reset: this makes them means of one interval.
            self.model.reset_metrics()
        if self.validation and self.due(step, self.config.val_iter):
            losses = self._validate(step)
            self.writer.scalars(step, losses)
            self.writer.flush()
            self.validated = {"val_loss": losses["val_loss"]}
        if self.due(step, self.config.image_iter):
            self._show(step)

    def _validate(self, step: int) -> dict[str, float]:
        """The losses on the pairs held out, of the weights that would be saved now."""
        trainer = self.model
        # `evaluate` uses the same trackers: the interval under way is put back behind it.
        trackers = [variable for metric in trainer.metrics for variable in metric.variables]
        kept = [read(tracker) for tracker in trackers]
        with averaged_weights(trainer, step):
            batches = ((batch,) for batch in self.validation)
            found = trainer.evaluate(
                batches, steps=len(self.validation), verbose=0, return_dict=True
            )
        for tracker, value in zip(trackers, kept, strict=True):
            tracker.assign(value)
        return {f"val_{name}": float(value) for name, value in found.items()}

    def _show(self, step: int) -> np.ndarray:
        """Stylise the probe; the grid of pictures that TensorBoard shows."""
        _ = self.model  # Brings JAX's variables up to date.
        outputs = [self.stylize(*pair) for pair in self.probe]
        rows = [
            np.hstack([*pair, output]) for pair, output in zip(self.probe, outputs, strict=True)
        ]
        grid = np.vstack(rows)
        self.writer.image(step, self._title, grid)
        self.writer.flush()
        complaint = judge(outputs, [style for _, style in self.probe])
        if complaint:
            logger.warning("step %d: %s", step, complaint)
        return grid

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
        return "the output is almost constant; try a smaller --learning-rate or start again"
    if colour(outputs) < 0.1 * colour(styles):
        return "the output is grey; try more weight on the style or a smaller --learning-rate"
    return ""
