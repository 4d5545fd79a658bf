"""Where runs are recorded: an interface, and the registry of what implements it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from adain.options import load
from adain.training.config import LOGGERS, TrainConfig


class RunLogger(Protocol):
    """What records one run. A run that is resumed opens another one on the same folder."""

    def parameters(self, settings: Mapping[str, Any]) -> None:
        """All settings of the run; told once, before anything else."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One point on each curve: losses, `val_` losses, `gradients/` norms, rates."""

    def image(self, step: int, tag: str, picture: np.ndarray) -> None:
        """One picture, HWC uint8 sRGB."""

    def artifact(self, path: Path) -> None:
        """A file of the finished run, such as its weights."""

    def flush(self) -> None:
        """Put everything on disk."""

    def close(self) -> None:
        """Nothing comes after this."""


class RunLoggers:
    """Several loggers, as one.

    Args:
        loggers: What is told everything, in this order.
    """

    def __init__(self, loggers: Sequence[RunLogger]):
        self._loggers = loggers

    def parameters(self, settings: Mapping[str, Any]) -> None:
        for logger in self._loggers:
            logger.parameters(settings)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for logger in self._loggers:
            logger.scalars(step, values)

    def image(self, step: int, tag: str, picture: np.ndarray) -> None:
        for logger in self._loggers:
            logger.image(step, tag, picture)

    def artifact(self, path: Path) -> None:
        for logger in self._loggers:
            logger.artifact(path)

    def flush(self) -> None:
        for logger in self._loggers:
            logger.flush()

    def close(self) -> None:
        for logger in self._loggers:
            logger.close()


def log_folder(config: TrainConfig) -> Path:
    """Where a run's records go."""
    return Path(config.log_path or Path(config.checkpoint) / "logs")


def open_loggers(config: TrainConfig, others: Sequence[RunLogger] = ()) -> RunLoggers:
    """The loggers of a run.

    Args:
        config: Its settings, which name them.
        others: More of them.

    Raises:
        MissingExtra: If the package of one is not installed.
        WriteError: If they cannot write.
    """
    opened = [load(LOGGERS[name])(log_folder(config)) for name in config.logger]
    return RunLoggers([*opened, *others])
