"""What is shown of a run while it is under way: progress, curves and pictures."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from keras import ops
from tqdm import tqdm

from adain.training import devices
from adain.training.callbacks import RunCallback, averaged_weights
from adain.training.config import TrainConfig
from adain.training.loggers import RunLogger, RunLoggers, open_loggers
from adain.training.watch import read

logger = logging.getLogger(__name__)


class ProgressLogger(RunCallback):
    """Records losses, gradients and pictures, and shows the progress bar.

    Args:
        config: Settings of the run.
        start: The step it starts from.
        stylize: A photo and a style, HWC uint8 sRGB, to a picture like them.
        probe: Pairs of pictures that are stylised every `image_iter` steps.
        validation: Batches whose losses are measured every `val_iter` steps.
        quiet: Show no progress bar.
        loggers: What records the run beside `config.logger`.
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
        loggers: Sequence[RunLogger] = (),
    ):
        super().__init__(config, start)
        self.validation = validation
        self.validated: dict[str, float] = {}
        self.quiet = quiet
        self.stylize = stylize
        self.probe = probe
        self.loggers = loggers
        self.writer: RunLoggers | None = None
        self.bar: tqdm | None = None

    def on_train_begin(self, logs=None):
        writes = devices.writes()
        self.writer = open_loggers(self.config, self.loggers) if writes else RunLoggers([])
        self.writer.parameters(asdict(self.config))
        self.bar = tqdm(
            total=self.config.max_iter, initial=self.start, unit="step", file=sys.stderr,
            desc="training", dynamic_ncols=True, disable=self.quiet or not writes,
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
            values |= self.model.optimizer.read_norms()
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
            found = trainer.evaluate(
                devices.feed(lambda: self.validation),
                steps=len(self.validation), verbose=0, return_dict=True,
            )  # fmt: skip
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

    def keep(self, files: Iterable[Path]) -> None:
        """Hand the files of a finished run to what records it."""
        if self.writer is not None:
            for file in files:
                self.writer.artifact(file)

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
