"""CSV and TSV, streamed: a bad row is reported with its line and the rest goes on."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from labelloop.adapters.files.rows import Options, Row, Tell, require
from labelloop.domain.errors import InvalidItems
from labelloop.domain.types import InvalidLine

MAX_FIELD = 16 * 1024 * 1024
"""Characters of one field. More is a quote that never closes, and would swallow the rest of the file."""
_SURROGATE = re.compile("[\udc80-\udcff]")
_TELL_EVERY = 1_000


def read(path: Path, options: Options, tell: Tell) -> Iterator[Row | InvalidLine]:
    """Rows as dictionaries of text. Undecodable bytes, wrong column counts and broken quotes are invalid lines.

    Raises:
        InvalidItems: no header and no `columns`, a column twice, or a column asked for that is not there.
    """
    # csv's limit is one for the whole process and 128 KiB by default: less than a long document.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD))
    with path.open("rb") as raw:
        if raw.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise InvalidItems(f"{path}: is UTF-16. Save it as UTF-8.")
    # Undecodable bytes become lone surrogates, so that they are found in their row instead of ending the file.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        yield from _rows(path, file, options, tell)


def _rows(path: Path, file: TextIO, options: Options, tell: Tell) -> Iterator[Row | InvalidLine]:
    parsed = _parse(path, file, options)
    columns = options.columns or _header(path, parsed)
    require(path, options.named, columns)
    if len(set(columns)) < len(columns):
        raise InvalidItems(f"{path}: a column name occurs twice: {', '.join(map(repr, columns))}.")
    number = 0
    for line, fields in parsed:
        if isinstance(fields, str):
            number += 1
            yield InvalidLine(line=line, error=fields)
            continue
        if not fields:
            continue  # an empty line
        number += 1
        if number % _TELL_EVERY == 0:
            tell(file.buffer.tell())
        if len(fields) != len(columns):
            told = f"{len(fields)} fields where {len(columns)} columns are expected: {', '.join(columns)}"
            yield InvalidLine(line=line, error=told)
        elif any(_SURROGATE.search(field) for field in fields if not field.isascii()):
            yield InvalidLine(line=line, error="not UTF-8; save the file as UTF-8")
        else:
            yield Row(line=line, number=number, values=dict(zip(columns, fields, strict=True)))
    tell(file.buffer.tell())


def _parse(path: Path, file: TextIO, options: Options) -> Iterator[tuple[int, list[str] | str]]:
    """Each row with the line it begins at; a row that cannot be parsed as what is wrong with it."""
    reader = csv.reader(
        _lines(path, file),
        delimiter="," if path.suffix.lower() == ".csv" else "\t",
        quoting=csv.QUOTE_MINIMAL if options.quoting else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, f"{error}; if quotes are plain text in this file, read it without quoting"
        else:
            yield line, fields


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    while line := file.readline(MAX_FIELD + 1):
        if len(line) > MAX_FIELD:
            raise InvalidItems(f"{path}: a line is longer than {MAX_FIELD:,} characters. Is this a table of text?")
        yield line


def _header(path: Path, parsed: Iterator[tuple[int, list[str] | str]]) -> tuple[str, ...]:
    for _, fields in parsed:
        if isinstance(fields, str):
            raise InvalidItems(f"{path}: the header cannot be read: {fields}.")
        if fields:
            return tuple(fields)
    raise InvalidItems(f"{path}: is empty. The first line names the columns.")
