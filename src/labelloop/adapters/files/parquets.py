"""Parquet, a batch of rows at a time (extra `parquet`)."""

from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any

from labelloop.adapters.files.rows import Options, Row, Tell, require
from labelloop.domain.errors import InvalidItems
from labelloop.domain.types import InvalidLine

_BATCH = 2_048


def read(path: Path, options: Options, tell: Tell) -> Iterator[Row | InvalidLine]:
    """Rows as dictionaries of JSON values; dates become ISO text. Bytes and numbers that are none are invalid lines.

    Raises:
        InvalidItems: pyarrow is missing, the file is not Parquet, or a column asked for is not there.
    """
    file = _open(path)
    from pyarrow import ArrowException

    require(path, options.named, file.schema_arrow.names)
    number = 0
    try:
        for batch in file.iter_batches(batch_size=_BATCH):
            for raw in batch.to_pylist():
                number += 1
                try:
                    yield Row(line=number, number=number, values={name: _plain(raw[name], name) for name in raw})
                except ValueError as error:
                    yield InvalidLine(line=number, error=str(error))
            tell(number)
    except ArrowException as error:
        raise InvalidItems(f"{path}: is damaged after row {number}: {error}.") from None


def count(path: Path) -> int:
    """Rows, from the footer."""
    return int(_open(path).metadata.num_rows)


def _open(path: Path) -> Any:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise InvalidItems(f"{path}: reading Parquet needs pyarrow: pip install 'labelloop[parquet]'.") from None
    try:
        return ParquetFile(path)
    except ArrowException as error:
        raise InvalidItems(f"{path}: is not a Parquet file: {error}.") from None


def _plain(value: Any, where: str) -> Any:
    """A value as JSON can carry it.

    Raises:
        ValueError: it cannot; says why.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float | Decimal):
        if not isfinite(value):
            raise ValueError(f"column {where!r} is {value}, not a number; fill it or leave the row out")
        return float(value)
    if isinstance(value, list):
        return [_plain(part, where) for part in value]
    if isinstance(value, dict):
        return {str(name): _plain(value[name], f"{where}.{name}") for name in value}
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    raise ValueError(f"column {where!r} holds {type(value).__name__}, which is neither text, number, list nor object")
