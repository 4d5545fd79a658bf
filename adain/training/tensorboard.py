"""TensorBoard event files without TensorFlow."""

from __future__ import annotations

import itertools
import os
import socket
import time
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from adain.files import naming

_COUNT = itertools.count()


class EventWriter:
    """Writes scalars, pictures and text that TensorBoard shows.

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

    def scalars(self, step: int, values: dict[str, float]) -> None:
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
