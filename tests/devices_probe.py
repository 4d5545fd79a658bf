"""Training runs, one after the other in one process; `test_devices.py` runs it.

KERAS_BACKEND=jax python devices_probe.py SETTINGS.json REPORT.json

SETTINGS.json is a list of the settings of each run; REPORT.json gets, for each, the losses it
logged and the files it wrote. TensorFlow has two virtual CPUs; JAX takes `XLA_FLAGS`.
"""

import json
import os
import sys
from pathlib import Path

import keras
from probing import hasten

from adain import files
from adain.training.config import TrainConfig
from adain.training.loop import train


class Losses:
    """Keeps what a run logs."""

    def __init__(self):
        self.steps = {}

    def scalars(self, step, values):
        self.steps.setdefault(step, {}).update(values)

    def ignore(self, *_):
        pass

    parameters = image = artifact = flush = close = ignore


def main(settings, report):
    hasten()
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, halves)
    replace, found = os.replace, []

    def spy(part, path):
        found[-1]["files"].append(os.path.basename(path))
        replace(part, path)

    files.os.replace = spy
    for run in json.loads(Path(settings).read_text()):
        losses = Losses()
        found.append({"files": [], "losses": losses.steps})
        train(TrainConfig(**run), [losses], quiet=True)
    Path(report).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
