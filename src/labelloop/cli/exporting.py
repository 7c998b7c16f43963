"""Writes exported labels to a file or to standard output, streamed, in the formats of the API and as Parquet."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from labelloop.api import tables
from labelloop.cli import console
from labelloop.domain.errors import Invalid

Rows = Iterator[Mapping[str, Any]]
TEXT = {"jsonl": tables.jsonl, "csv": tables.as_csv}
FORMATS = (*TEXT, "parquet")
BATCH = 10_000
INTEGERS = frozenset({"item", "votes", "round", "model"})
NUMBERS = frozenset({"confidence", "similarity"})


def by_ending(output: Path | None) -> str:
    """The format that the name of a file asks for; JSON lines where it asks for none of ours."""
    kind = output.suffix.lower().removeprefix(".") if output is not None else ""
    return kind if kind in FORMATS else "jsonl"


def write(rows: Rows, form: str, output: Path | None) -> int:
    """Write all rows; a file appears whole or not at all. Returns how many.

    Raises:
        Invalid: an unknown format, Parquet to a terminal, or a folder that is not there.
    """
    if form not in FORMATS:
        raise Invalid(f"There is no export format {form!r}; formats: {', '.join(FORMATS)}.")
    counter = _Counter(rows)
    if output is None:
        if form == "parquet":
            raise Invalid("Parquet needs a file: add -o FILE.")
        sys.stdout.flush()
        for piece in TEXT[form](counter):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return counter.seen
    if not output.absolute().parent.is_dir():
        raise Invalid(f"{output.absolute().parent} is not a folder; create it first.")
    beside = output.with_name(f".{output.name}.part")
    try:
        _to_file(counter, form, beside)
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)
    return counter.seen


class _Counter:
    """Counts rows as they pass."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows = rows
        self.seen = 0

    def __iter__(self) -> Rows:
        for row in self._rows:
            self.seen += 1
            yield console.plain(row)


def _to_file(rows: Iterable[Mapping[str, Any]], form: str, path: Path) -> None:
    if form == "parquet":
        _parquet(iter(rows), path)
        return
    with path.open("wb") as file:
        file.writelines(TEXT[form](rows))


def _parquet(rows: Rows, path: Path) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise Invalid("Parquet needs an extra: pip install 'labelloop[parquet]'.") from None
    first = list(islice(rows, BATCH))
    schema = pa.schema([(key, _kind(pa, key)) for key in (first[0] if first else {})])
    with parquet.ParquetWriter(path, schema) as writer:
        batch = first
        while batch:
            writer.write_table(pa.Table.from_pylist([_flat(row) for row in batch], schema=schema))
            batch = list(islice(rows, BATCH))


def _kind(pa: Any, column: str) -> Any:
    """One type per column for the whole file: numbers where the column is one, else text, nested values as JSON."""
    if column in INTEGERS:
        return pa.int64()
    return pa.float64() if column in NUMBERS else pa.string()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _cell(key, value) for key, value in row.items()}


def _cell(column: str, value: Any) -> Any:
    if value is None or column in INTEGERS | NUMBERS or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
