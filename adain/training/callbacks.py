"""Training callbacks: checkpoints, and stopping on NaN."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
from keras import ops

from adain.networks.model import StyleTransfer
from adain.presets import npz
from adain.training.config import STATE, TrainConfig
from adain.training.devices import writes
from adain.training.model import AdaINTrainer
from adain.training.watch import LOOK_EVERY, LossWatch, read


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


class RunCallback(keras.callbacks.Callback):
    """What a callback of a run knows: which step of the whole run a batch is."""

    def __init__(self, config: TrainConfig, start: int):
        super().__init__()
        self.config = config
        self.start = start

    def step(self, batch: int) -> int:
        return self.start + batch + 1

    def due(self, step: int, every: int) -> bool:
        return step % every == 0 or step == self.config.max_iter


class StopOnNaN(RunCallback):
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


class Checkpoint(RunCallback):
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
                if writes():
                    self.transfer.save_to_preset(self.folder)
        if writes():
            save_state(trainer, self.folder / STATE, step, self.config)


@contextlib.contextmanager
def averaged_weights(trainer: AdaINTrainer, step: int) -> Iterator[None]:
    """Give the model its moving average, mixed with its start, which is what presets get; training
    continues without."""
    variables = trainer.trainable_variables
    kept = [read(variable) for variable in variables]
    if step:
        trainer.optimizer.finalize_variable_values(variables)
        # With JAX the model now holds the optimizer's own buffers, and `evaluate` gives the
        # model's away to be overwritten.
        for variable in variables:
            variable.assign(read(variable))
        trainer.mix_with_start()
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
