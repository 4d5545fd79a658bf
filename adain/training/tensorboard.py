"""TensorBoard event files without TensorFlow."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboard.summary.writer.record_writer import RecordWriter

from adain.files import naming

_COUNT = itertools.count()


class EventWriter:
    """Writes scalars, pictures and hyperparameters that TensorBoard shows; a `RunLogger`.

    Args:
        folder: Where the event file goes; made when missing.

    Example:
        >>> with EventWriter("logs") as writer:
        ...     writer.scalars(1, {"loss": 0.5})
    """

    def __init__(self, folder: str | Path):
        # TensorBoard's own EventFileWriter imports TensorFlow wherever that is installed.
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        unique = f"{socket.gethostname()}.{os.getpid()}.{next(_COUNT)}"
        name = f"events.out.tfevents.{int(time.time()):010}.{unique}"
        self._path = folder / name
        self._file = open(self._path, "wb")
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self.flush()

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def parameters(self, settings: Mapping[str, Any]) -> None:
        """The run's hyperparameters, for the HParams page."""
        start = SessionStartInfo(start_time_secs=time.time())
        for name, value in settings.items():
            place = start.hparams[name]
            if isinstance(value, bool):
                place.bool_value = value
            elif isinstance(value, int | float):
                place.number_value = value
            else:
                place.string_value = value if isinstance(value, str) else " ".join(map(str, value))
        self._add_plugin(metadata.SESSION_START_INFO_TAG, session_start_info=start)

    def finish(self, *, good: bool) -> None:
        """How the run ended, for the HParams page."""
        status = api_pb2.STATUS_SUCCESS if good else api_pb2.STATUS_FAILURE
        end = SessionEndInfo(status=status, end_time_secs=time.time())
        self._add_plugin(metadata.SESSION_END_INFO_TAG, session_end_info=end)

    def experiment(
        self, parameters: Mapping[str, tuple[float, float] | Iterable], metrics: Iterable[str]
    ) -> None:
        """What runs in the folders below differ in, and are compared by, on the HParams page.

        Args:
            parameters: Name to the smallest and the largest number, or to a list of choices.
            metrics: Tags of scalars.
        """
        found = api_pb2.Experiment(time_created_secs=time.time())
        for name, values in parameters.items():
            info = found.hparam_infos.add(name=name, type=api_pb2.DATA_TYPE_FLOAT64)
            if isinstance(values, tuple):
                info.domain_interval.min_value, info.domain_interval.max_value = values
                continue
            values = list(values)
            if all(isinstance(value, bool) for value in values):
                info.type = api_pb2.DATA_TYPE_BOOL
            elif any(isinstance(value, str) for value in values):
                info.type = api_pb2.DATA_TYPE_STRING
            info.domain_discrete.extend(values)
        for tag in metrics:
            found.metric_infos.add(name=api_pb2.MetricName(tag=tag))
        self._add_plugin(metadata.EXPERIMENT_TAG, experiment=found)

    def _add_plugin(self, tag: str, **data: Any) -> None:
        about = metadata.create_summary_metadata(HParamsPluginData(**data))
        value = Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)
        self._add(0, [value])
        self.flush()

    def artifact(self, path: Path) -> None:
        """Nothing: TensorBoard shows no files."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One point on each curve."""
        self._add(
            step,
            [Summary.Value(tag=tag, simple_value=float(value)) for tag, value in values.items()],
        )

    def image(self, step: int, tag: str, picture: np.ndarray) -> None:
        """One picture, HWC uint8 sRGB."""
        from adain.imaging.io import encode_png

        height, width = picture.shape[:2]
        content = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=encode_png(picture)
        )
        self._add(step, [Summary.Value(tag=tag, image=content)])

    def _add(self, step: int, values: list) -> None:
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _write(self, event: Event) -> None:
        with naming(self._path):
            self._records.write(event.SerializeToString())

    def flush(self) -> None:
        """Put everything on disk."""
        with naming(self._path):
            self._file.flush()

    def close(self) -> None:
        with naming(self._path):
            self._file.close()
