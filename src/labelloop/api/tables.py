"""Rows as text, in chunks: JSON lines, or CSV that no spreadsheet can mistake for a formula."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from labelloop.api.answers import dump

CHUNK = 256
"""Rows per piece that goes over the wire."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What spreadsheets take for the beginning of a formula (OWASP, CSV injection)."""

Row = Mapping[str, Any]


def jsonl(rows: Iterable[Row]) -> Iterator[bytes]:
    """One JSON object a line."""
    for chunk in _chunks(rows):
        yield b"".join(dump(row) + b"\n" for row in chunk)


def as_csv(rows: Iterable[Row]) -> Iterator[bytes]:
    """RFC 4180 with a header from the first row; lists and objects are written as JSON."""
    columns: list[str] = []
    for chunk in _chunks(rows):
        text = io.StringIO(newline="")
        if not columns:
            columns = list(chunk[0])
            csv.writer(text).writerow([_cell(column) for column in columns])
        csv.writer(text).writerows([_cell(row.get(column)) for column in columns] for row in chunk)
        yield text.getvalue().encode()


def _cell(value: Any) -> Any:
    """One cell; numbers stay numbers, text that could be a formula gets a leading apostrophe."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else dump(value).decode().removeprefix('"').removesuffix('"')
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    waiting = iter(rows)
    while chunk := list(islice(waiting, CHUNK)):
        yield chunk
