"""Data sets in Parquet files with the pictures' bytes, as Hugging Face's `datasets` writes them."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from adain.batch.config import BatchConfig
from adain.batch.sets import FAILED, File, Index, Sample, Unit, digest_of, refuse, refuse_joined
from adain.files import replacing
from adain.imaging.formats import HEAD, ImageError, format_of
from adain.options import UsageError

_LABEL = "label"
_ROWS = 16
"""Rows in memory at once, besides the results of a row group."""


class Tables:
    """Parquet files, one row group after the other; all other columns stay as they are."""

    whole = False

    def __init__(self, config: BatchConfig):
        self._config = config
        self._label = config.label or _LABEL

    # === What is there ===

    def index(self, files: Sequence[File]) -> Index:
        import pyarrow as pa
        import pyarrow.parquet as pq

        refuse_joined(self._config.out_path, [file.name for file in files])
        found = Index()
        for file in files:
            try:
                with pq.ParquetFile(file.path) as table:
                    about, schema = table.metadata, table.schema_arrow
            except (pa.ArrowException, OSError) as error:
                reason = " ".join(str(error).split())
                found.problems.append(
                    (file.name, f"{file.path}: damaged or cut off ({reason}). Copy or download "
                     "it again.")
                )  # fmt: skip
                continue
            self._column(schema, file)
            if self._config.by == "class" and self._label not in schema.names:
                raise UsageError(
                    f"--by class needs a column {self._label}. Received: {file.path} with "
                    f"{', '.join(schema.names)}; see --label"
                )
            if not about.num_rows:
                found.notes.append(f"{file.path}: no rows")
            size, first = os.path.getsize(file.path), 0
            for number in range(about.num_row_groups):
                group = about.row_group(number)
                words = (file.name, size, number, group.num_rows, group.total_byte_size)
                unit = Unit(
                    digest_of("parquet", *words), group.num_rows, file, (), first, number,
                    number + 1,
                )  # fmt: skip
                found.units.append(unit)
                first += group.num_rows
            if not about.num_row_groups:
                found.units.append(Unit(digest_of("parquet", file.name, size), 0, file))
        return found

    def _column(self, schema: Any, file: File) -> str:
        """The column that holds the pictures."""
        import pyarrow as pa

        def holds_bytes(kind: Any) -> bool:
            if pa.types.is_struct(kind):
                index = kind.get_field_index("bytes")
                return index >= 0 and holds_bytes(kind.field(index).type)
            return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

        twice = [name for name, count in Counter(schema.names).items() if count > 1]
        refuse(f"{file.path} has several columns of one name", twice, "Rename all but one.")
        columns = [name for name in schema.names if holds_bytes(schema.field(name).type)]
        named = [name for name in columns if name in _image_features(schema)]
        wanted = self._config.picture
        found = [wanted] if wanted in columns else [] if wanted else named or columns
        if len(found) != 1:
            raise UsageError(
                f"{file.path}: --picture must name the column with the pictures, of bytes or of "
                f"structs with bytes. Received: {wanted or 'none'}; there "
                f"{'is' if len(columns) == 1 else 'are'} {', '.join(columns) or 'none'}"
            )
        return found[0]

    # === Reading ===

    def read(self, unit: Unit) -> Iterator[Sample]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        number, problem = unit.first, ""
        with pq.ParquetFile(unit.file.path) as table:
            column = self._column(table.schema_arrow, unit.file)
            groups = list(range(unit.start, unit.stop))
            batches = table.iter_batches(_ROWS, row_groups=groups) if groups else iter(())
            while True:
                try:
                    batch = next(batches, None)
                except (pa.ArrowException, OSError) as error:
                    # Not what the file holds: the whole unit is tried again.
                    if isinstance(error, MemoryError) or getattr(error, "errno", None):
                        raise
                    problem = " ".join(str(error).split())
                    break
                if batch is None:
                    return
                for row in range(batch.num_rows):
                    yield self._sample(unit.file, number, batch.slice(row, 1), column)
                    number += 1
        # They are tried again: a good copy may have the same size.
        for left in range(number, unit.first + unit.count):
            name = f"{unit.file.stem}/{left}"
            told = f"{name}: the file is damaged there ({problem}). Copy or download it again."
            yield Sample(name, "", data=b"", problem=told, status=FAILED)

    def _sample(self, file: File, number: int, row: Any, column: str) -> Sample:
        value = row.column(column)[0].as_py()
        label = row.column(self._label)[0].as_py() if self._label in row.schema.names else None
        name = f"{file.stem}/{number}"
        sample = Sample(name, "" if label is None else str(label), rest=(row, column))
        sample.data = (value.get("bytes") if isinstance(value, dict) else value) or b""
        if not sample.data:
            sample.problem = f"{name}: no bytes in the column {column}"
            return sample
        try:
            sample.suffix = format_of(sample.data[:HEAD], name).suffixes[0]
        except ImageError as error:
            sample.problem = str(error)
        return sample

    @contextmanager
    def part(self, unit: Unit, folder: Path, path: Path) -> Iterator[TablePart]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        part = TablePart()
        yield part
        with replacing(path, make_folder=True) as file:
            schema = pq.read_schema(unit.file.path)
            pq.write_table(pa.Table.from_batches(part.rows, schema), file, compression="none")

    def join(self, file: File, parts: Sequence[Path], out: BinaryIO) -> None:
        import pyarrow.parquet as pq

        with pq.ParquetFile(file.path) as table:
            schema, about = table.schema_arrow, table.metadata
        codecs = {}
        if about.num_row_groups:
            columns = map(about.row_group(0).column, range(about.num_columns))
            codecs = {column.path_in_schema: column.compression for column in columns}
        with pq.ParquetWriter(out, schema, compression=codecs or "snappy") as writer:
            for part in parts:
                found = pq.read_table(part)
                if found.num_rows:
                    writer.write_table(found, row_group_size=found.num_rows)


def _image_features(schema: Any) -> list[str]:
    """The columns that `datasets` takes for pictures, if it wrote the file."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return [
            name
            for name, about in features.items()
            if isinstance(about, dict) and about.get("_type") == "Image"
        ]
    except (AttributeError, KeyError, TypeError, ValueError):
        return []


class TablePart:
    """Rows with new pictures, of one row group."""

    def __init__(self):
        self.rows: list[Any] = []

    def write(self, sample: Sample, data: bytes | None, suffix: str) -> str:
        import pyarrow as pa

        row, column = sample.rest
        index = row.schema.get_field_index(column)
        kind = row.schema.field(index).type
        value = row.column(index)[0].as_py()
        if isinstance(value, dict):
            value = {**value, "bytes": data}
            if value.get("path"):
                value["path"] = str(PurePosixPath(value["path"]).with_suffix(suffix))
        else:
            value = data
        columns = row.columns
        columns[index] = pa.array([value], kind)
        self.rows.append(pa.RecordBatch.from_arrays(columns, schema=row.schema))
        return sample.name
