"""Runs on record with MLflow, in a file of its own: no server, and nothing leaves the machine."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adain import extras
from adain.files import naming

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"
_EXPERIMENT = "adain"


class MlflowWriter:
    """Writes one run to an SQLite file that `mlflow ui` shows; a `RunLogger`.

    On the folder of a run that was stopped it goes on with that run. The run is `FINISHED` once its
    files were handed over, and `FAILED` if it is closed before.

    Args:
        folder: Where the database and the run's files go; made when missing.

    Raises:
        MissingExtra: If MLflow is not installed.
        OSError: If the folder cannot be written to.

    Example:
        >>> writer = MlflowWriter("logs")
        >>> writer.scalars(1, {"loss": 0.5})
        >>> writer.close()
    """

    def __init__(self, folder: str | Path):
        extras.require("mlflow", "--logger mlflow")
        folder = Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        with naming(folder / DATABASE), open(folder / DATABASE, "ab"):
            pass
        self._client = _open_client(folder / DATABASE)
        found = self._client.get_experiment_by_name(_EXPERIMENT)
        experiment = (
            self._client.create_experiment(_EXPERIMENT, (folder / "artifacts").as_uri())
            if found is None
            else found.experiment_id
        )
        runs = self._client.search_runs([experiment], order_by=["attributes.start_time DESC"])
        unfinished = [run for run in runs[:1] if run.info.status != "FINISHED"]
        if unfinished:
            self._run, self._known = unfinished[0].info.run_id, dict(unfinished[0].data.params)
            self._client.update_run(self._run, status="RUNNING")
        else:
            name = folder.parent.name if folder.name == "logs" else folder.name
            run = self._client.create_run(experiment, run_name=name)
            self._run, self._known = run.info.run_id, {}
        self._complete = False

    def parameters(self, settings: Mapping[str, Any]) -> None:
        """The run's settings; of one that goes on, those that are new."""
        from mlflow.entities import Param

        texts = {name: _text(value) for name, value in settings.items()}
        new = [Param(name, text) for name, text in texts.items() if name not in self._known]
        self._client.log_batch(self._run, params=new)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [Metric(_name(tag), float(value), now, step) for tag, value in values.items()]
        self._client.log_batch(self._run, metrics=points)

    def image(self, step: int, tag: str, picture: np.ndarray) -> None:
        """One picture, HWC uint8 sRGB."""
        self._client.log_image(self._run, picture, key=_name(tag), step=step)

    def artifact(self, path: Path) -> None:
        """A copy of a file."""
        self._client.log_artifact(self._run, str(path))
        self._complete = True

    def flush(self) -> None:
        """Everything is on disk as soon as it is told."""

    def close(self) -> None:
        self._client.set_terminated(self._run, "FINISHED" if self._complete else "FAILED")


def _open_client(path: Path) -> MlflowClient:
    # It tells its makers who uses what, unless this says no before it is imported.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    # A new database is told of in lines between those of the progress bar.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    return MlflowClient(f"sqlite:///{path}")


def _name(tag: str) -> str:
    """A tag in the characters that MLflow allows."""
    return re.sub(r"[^\w\-./ ]", "_", tag, flags=re.ASCII)


def _text(value: Any) -> str:
    """A setting, in the length that MLflow allows."""
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text[:6000]
