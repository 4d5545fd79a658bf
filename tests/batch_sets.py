"""What the tests of `adain batch` share: small data sets of each form, and runs of the command."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from adain.batch.pool import Event, Pool


def encoded(picture: np.ndarray, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format)
    return buffer.getvalue()


def write_tar(path: Path, members: dict[str, bytes] | list[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items() if isinstance(members, dict) else members:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), 1_000_000
            tar.addfile(member, io.BytesIO(data))
    return path


def read_tar(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}


def write_table(path: Path, pictures: list[bytes | None], group: int, **columns) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    values = [{"bytes": data, "path": f"{number}.png"} for number, data in enumerate(pictures)]
    about = {"info": {"features": {"image": {"_type": "Image"}}}}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(values, kind), **columns})
    table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
    pq.write_table(table, path, row_group_size=group, compression="zstd")
    return path


def read_table(path: Path) -> list[dict]:
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()


def contents(folder: Path) -> dict[str, bytes]:
    """All files of results, without `_adain`."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "_adain" not in path.parts
    }


# === Running ===


class InlinePool(Pool):
    """Tasks in this process, which saves starting others."""

    def run(self):
        from adain.batch.worker import BatchWorker

        worker = None
        while self.tasks:
            worker = worker or BatchWorker(self.job)
            task = self.tasks.popleft()
            try:
                if task.file is not None:
                    worker.join(task.file, task.units)
                    yield Event(task, rows=[])
                else:
                    yield Event(task, rows=worker.run(task.units[0]))
            except Exception as error:
                yield Event(task, error=error)


def manifest(out, name="manifest.parquet"):
    return read_table(out / "_adain" / name)
