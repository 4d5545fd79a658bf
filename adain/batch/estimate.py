"""How long a data set takes on some machines, from what a few of its pictures took."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from adain.batch.job import Job, by_file
from adain.batch.sets import Unit, make_form
from adain.batch.worker import BatchWorker

MACHINES = (1, 8, 64)
_PICTURES, _SECONDS = 16, 10.0


class Measured(NamedTuple):
    """What one core takes."""

    seconds: float
    """For all results of one picture: reading, networks, writing."""
    size: float
    """Bytes of these results."""
    start: float
    """Seconds until a worker is ready."""
    pictures: int
    """How many were measured."""


def measure(job: Job, units: Sequence[Unit]) -> Measured:
    """Make some pictures from all over the data set in memory, in this process.

    Raises:
        ValueError: If none of them can be read.
    """
    begun = time.perf_counter()
    worker = BatchWorker(job)
    start = time.perf_counter() - begun
    form = make_form(job.form, job.config)
    filled = [unit for unit in units if unit.count]
    step = max(1, len(filled) // _PICTURES)
    each = max(1, _PICTURES // max(len(filled), 1))
    seconds, sizes = [], []
    begun = time.perf_counter()
    for unit in filled[::step][:_PICTURES]:
        samples = (sample for sample in form.read(unit) if sample.data is not None)
        for sample in islice(samples, each):
            if seconds and time.perf_counter() - begun > _SECONDS:
                break
            # Twice: encoding a style is work that many pictures share.
            for _ in range(2):
                began = time.perf_counter()
                made = worker.try_out(unit, sample)
                took = time.perf_counter() - began
            if made:
                seconds.append(took)
                sizes.append(sum(map(len, made)))
    if not seconds:
        raise ValueError("None of the pictures that were tried for an estimate can be read.")
    count = len(seconds)
    return Measured(sum(seconds) / count, sum(sizes) / count, start, count)


def spans(
    units: Sequence[Unit], rate: float, start: float, machines: Sequence[int] = MACHINES
) -> dict[int, float]:
    """Seconds that numbers of machines take, each with its `--shard I/N`.

    Args:
        units: All of the data set.
        rate: Pictures a second of one machine.
        start: Seconds until a machine is at work.
        machines: How many.
    """
    shards = by_file(units)
    counts = [sum(unit.count for unit in group) for group in shards.values()] if shards else [
        unit.count for unit in units
    ]  # fmt: skip
    return {
        number: start + max(sum(counts[part::number]) for part in range(number)) / rate
        for number in machines
    }


def describe(seconds: float) -> str:
    """A time in two units at most."""
    if seconds < 60:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def describe_size(size: float) -> str:
    """Bytes in the largest unit that fits."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.3g} {unit}"
