"""Data parallelism: each step of a run shared between devices, of one machine or of several."""

from __future__ import annotations

import contextlib
import logging
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import keras
import numpy as np

from adain.options import UsageError
from adain.training.config import TrainConfig

logger = logging.getLogger(__name__)

PROCESSES = "KERAS_DISTRIBUTION_NUM_PROCESSES"
"""Set where several processes are launched, with the other variables that
`keras.distribution.initialize` reads."""

_STRATEGY: ContextVar[Any] = ContextVar("strategy", default=None)
"""TensorFlow's `MirroredStrategy` in a run on several devices; Keras keeps JAX's counterpart."""


@contextlib.contextmanager
def data_parallel(runs: Sequence[TrainConfig]) -> Iterator[None]:
    """Share the batches of what is trained inside between the devices that its settings ask for.

    All devices have all variables, and each an equal part of every batch. With JAX they may belong
    to several processes.

    Args:
        runs: Settings of the runs inside, with the same number of devices.

    Raises:
        UsageError: If there are not so many, or backend or settings do not allow it.
    """
    backend, count = keras.backend.backend(), runs[0].devices
    if PROCESSES in os.environ:
        _join_processes(backend)
    elif count == 1:
        yield
        return
    if backend == "torch":
        raise UsageError(
            f"--devices {count} needs KERAS_BACKEND=jax or tensorflow: Keras shares no work "
            "between devices with torch."
        )
    found = keras.distribution.list_devices()
    if count > len(found):
        there = "there is 1" if len(found) == 1 else f"there are {len(found)}"
        raise UsageError(f"--devices {count}: {there}, {' '.join(found)}.")
    sharing = _share_with_jax if backend == "jax" else _share_with_tensorflow
    with sharing(runs, found):
        yield


def _announce(runs: Sequence[TrainConfig], where: str = "") -> None:
    sizes = " and ".join(dict.fromkeys(str(run.batch_size) for run in runs))
    logger.info("%d devices%s, global batch %s", runs[0].devices, where, sizes)


def _check_thirds(runs: Sequence[TrainConfig], weights: Sequence[str], where: str) -> None:
    """Check that every third photo of each device's part is every third of the batch.

    Raises:
        UsageError: If a run with one of these weights has other batches.
    """
    for run in runs:
        multiple = 3 * run.devices
        for weight in weights:
            for name, value in (("batch-size", run.batch_size), ("val-pairs", run.val_pairs)):
                if getattr(run, weight) and min(value, run.batch_size) % multiple:
                    raise UsageError(
                        f"--{weight.replace('_', '-')} with --devices {run.devices}{where} needs "
                        f"a --{name} that is a multiple of {multiple}. Received: {value}"
                    )


# === JAX: all devices, of all processes, compute one step of one batch ===


class _Parallel(keras.distribution.DataParallel):
    def get_data_layout(self, data_shape):
        """Which device has what: all the same of vectors, and of what has no equal parts."""
        here = self.device_mesh.devices.size // self.num_processes
        if len(data_shape) > 1 and data_shape[0] % here == 0:
            return super().get_data_layout(data_shape)
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


@contextlib.contextmanager
def _share_with_jax(runs: Sequence[TrainConfig], found: Sequence[str]) -> Iterator[None]:
    count, where = runs[0].devices, ""
    # Each process loads its part of a batch itself.
    parallel = _Parallel(devices=found[:count], auto_shard_dataset=False)
    if parallel.num_processes > 1:
        where = f" in {parallel.num_processes} processes"
        if count != len(found):
            raise UsageError(
                f"--devices {count}: there are {len(found)}{where}, which take part together. "
                f"Use --devices {len(found)}."
            )
        if any(run.cache_styles for run in runs):
            raise UsageError(f"--cache-styles must be 0 on {count} devices{where}.")
        _check_thirds(runs, ("stability_weight",), where)
    _announce(runs, where)
    with parallel.scope():
        yield


def _join_processes(backend: str) -> None:
    """Meet the other processes of a run, which must happen before JAX looks for devices.

    Raises:
        UsageError: If the backend knows none, or a variable is missing.
    """
    if backend != "jax":
        raise UsageError(f"{PROCESSES} is set, which needs KERAS_BACKEND=jax.")
    import jax

    if not jax.distributed.is_initialized():
        try:
            keras.distribution.initialize()
        except ValueError as error:
            raise UsageError(f"{PROCESSES} is set: {error}") from error


def process() -> tuple[int, int]:
    """The number of this process among those of a run, and how many there are."""
    parallel = keras.distribution.distribution()
    return (parallel.data_shard_id, parallel.num_processes) if parallel else (0, 1)


def writes() -> bool:
    """Whether this process writes what belongs to the run; all of them compute it, together."""
    return process()[0] == 0


def check_same(files: Sequence[Sequence[Path]], state: Path) -> None:
    """Check that all processes of a run find the same pictures, and the same state of the run.

    Args:
        files: The pictures.
        state: The file with the state; it may be missing.

    Raises:
        UsageError: If they do not.
    """
    if process()[1] == 1:
        return
    from jax.experimental import multihost_utils

    names = "\n".join(file.name for kind in files for file in kind)
    content = state.read_bytes() if state.exists() else b""
    sums = np.array([zlib.crc32(names.encode()), zlib.crc32(content)], "uint32")
    everywhere = np.asarray(multihost_utils.process_allgather(sums))
    for what, found in zip(("pictures", str(state)), everywhere.T, strict=True):
        if (found != found[0]).any():
            raise UsageError(
                f"The processes of this run do not find the same {what}. Give all of them the "
                "same folders."
            )


# === TensorFlow: each device computes the step of its part, and what is of the batch is reduced ===


@contextlib.contextmanager
def _share_with_tensorflow(runs: Sequence[TrainConfig], found: Sequence[str]) -> Iterator[None]:
    import tensorflow as tf

    count = runs[0].devices
    _check_thirds(runs, ("identity_weight",), " on TensorFlow")
    if any(run.stability_weight for run in runs):
        # Its batches have parts of different lengths, which TensorFlow does not split.
        raise UsageError(f"--stability-weight with --devices {count} needs KERAS_BACKEND=jax.")
    _announce(runs)
    token = _STRATEGY.set(tf.distribute.MirroredStrategy(found[:count]))
    try:
        yield
    finally:
        _STRATEGY.reset(token)


def variables() -> contextlib.AbstractContextManager:
    """Where variables and trainers are made that all devices share."""
    strategy = _STRATEGY.get()
    return strategy.scope() if strategy else contextlib.nullcontext()


def feed(batches: Callable[[], Iterable[Any]]) -> Any:
    """What `fit` and `evaluate` take.

    Args:
        batches: Makes an iterator of batches, each time from the start.
    """
    if not _STRATEGY.get():
        return ((batch,) for batch in batches())
    import tensorflow as tf

    # With a strategy Keras iterates once to see shapes, and then again: what it had read ahead of
    # a generator would be lost.
    signature = keras.tree.map_structure(
        lambda array: tf.TensorSpec(array.shape, array.dtype), next(iter(batches()))
    )
    return tf.data.Dataset.from_generator(
        lambda: ((batch,) for batch in batches()), output_signature=(signature,)
    )


def share(loss):
    """The mean loss of a device's part to its share of the batch's; gradients are summed."""
    replica = _replica()
    return loss / replica.num_replicas_in_sync if replica else loss


def mean(value):
    """The mean over the parts of a batch, of which each device knows its own."""
    replica = _replica()
    return replica.all_reduce("MEAN", value) if replica else value


def total(gradients: list) -> list:
    """Gradients of a device's share of the loss to those of the loss; None stays None."""
    replica = _replica()
    if not replica:
        return gradients
    known = [gradient for gradient in gradients if gradient is not None]
    summed = iter(replica.all_reduce("SUM", known))
    return [gradient if gradient is None else next(summed) for gradient in gradients]


def _replica():
    """TensorFlow's context where it computes on one of several devices; None elsewhere."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    # Each device has a thread of its own, which does not know `_STRATEGY`.
    replica = tf.distribute.get_replica_context()
    return replica if replica and replica.num_replicas_in_sync > 1 else None
