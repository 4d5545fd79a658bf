"""The manifest: one row for each result and each broken file of a part of the data set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from adain.batch.job import Job
from adain.batch.sets import BROKEN, DONE, FAILED, File, Unit
from adain.files import replacing

_ROWS = 2**14
"""Rows that are written at once."""
_LOST = "another part of its shard failed: "


def manifest_path(job: Job) -> Path:
    """`OUT/_adain/manifest.parquet`, or of a part `manifest-I-of-N.parquet`."""
    number, count = job.config.part
    part = f"-{number}-of-{count}" if count > 1 else ""
    return job.room / f"manifest{part}.parquet"


def write_manifest(
    job: Job,
    units: Sequence[Unit],
    problems: Iterable[tuple[str, str]],
    failures: Mapping[str, str],
) -> dict[str, int]:
    """Write the manifest from the records of all units, in their order.

    Args:
        job: Whose.
        units: Those of the part.
        problems: Broken files, and why.
        failures: Why units were not done, or their shard not written, by their digests.

    Returns:
        How many rows there are of each status.

    Raises:
        WriteError: If it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number, real = pa.string(), pa.int32(), pa.float64()
    schema = pa.schema(
        [
            ("picture", text), ("shard", text), ("label", text), ("draw", number),
            ("output", text), ("styles", pa.list_(text)), ("weights", pa.list_(real)),
            ("alpha", real), ("height", number), ("width", number), ("bytes", pa.int64()),
            ("digest", text), ("status", text), ("message", text),
        ]
    )  # fmt: skip
    counts: dict[str, int] = {}
    waiting: list[dict] = [
        {"picture": name, "shard": name, "status": BROKEN, "message": reason}
        for name, reason in problems
    ]

    def flush(writer: pq.ParquetWriter) -> None:
        for row in waiting:
            counts[row["status"]] = counts.get(row["status"], 0) + 1
        rows = [{key: _text(value) for key, value in row.items()} for row in waiting]
        writer.write_table(pa.Table.from_pylist(rows, schema))
        waiting.clear()

    # A shard is written when all of it is done; the next run makes only what is missing.
    lost: dict[File, str] = {}
    for unit in units:
        if unit.file is not None and (unit.digest in failures or job.read_record(unit) is None):
            lost.setdefault(unit.file, failures.get(unit.digest, "not made"))

    with (
        replacing(manifest_path(job), make_folder=True) as file,
        pq.ParquetWriter(file, schema) as writer,
    ):
        for unit in units:
            rows = job.read_record(unit)
            if rows is None:
                reason = failures.get(unit.digest, "not made")
                names = [file.name for file in unit.files] or [unit.file.name]
                shard = unit.file.name if unit.file else ""
                rows = [
                    {"picture": name, "shard": shard, "status": FAILED, "message": reason}
                    for name in names
                ]
            elif unit.file in lost:
                missing = {"output": "", "status": FAILED, "message": _LOST + lost[unit.file]}
                rows = [row | missing if row["status"] == DONE else row for row in rows]
            waiting += rows
            if len(waiting) >= _ROWS:
                flush(writer)
        flush(writer)
    return counts


def _text(value):
    """Names of files need not be text; Parquet holds nothing else."""
    if isinstance(value, list):
        return [_text(part) for part in value]
    return (
        os.fsencode(value).decode("utf-8", "backslashreplace") if isinstance(value, str) else value
    )
