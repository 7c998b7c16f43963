"""Item files on the command line: which reader a file gets, and how its rows become items or invalid lines.

One module per format reads rows (`delimited`, `jsons`, `parquets`, `numpys`); here a row becomes an item. Whether the
item fits its project is decided by `loop.ingest`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from labelloop.adapters.files import delimited, jsons, numpys, parquets
from labelloop.adapters.files.rows import Options, Row, Tell, shape
from labelloop.domain.errors import InvalidItems
from labelloop.domain.types import InvalidLine, NewItem

__all__ = ["Options", "read_items", "total"]

_READERS: dict[str, Callable[[Path, Options, Tell], Iterator[Row | InvalidLine]]] = {
    ".csv": delimited.read,
    ".tsv": delimited.read,
    ".tab": delimited.read,
    ".jsonl": jsons.read,
    ".ndjson": jsons.read,
    ".json": jsons.read,
    ".parquet": parquets.read,
    ".npy": numpys.read,
    ".npz": numpys.read,
}


def read_items(path: Path, *, progress: Tell | None = None, **options: Any) -> Iterator[NewItem | InvalidLine]:
    """The items of a file, one at a time, in order. A bad line comes as an InvalidLine and the rest goes on.

    Args:
        path: CSV, TSV, JSONL (NDJSON), a JSON array, Parquet, or NumPy (.npy, .npz); told apart by its ending.
        progress: told how much of `total(path)` has been read, after each piece.
        **options: fields of `Options`: the columns of label and key, names for a file without header, quoting, renames.

    Raises:
        InvalidItems: the file as a whole cannot be read: missing, of an unknown kind, or without a column asked for.
    """
    known = Options(**options)
    reader = _READERS[_kind(path)]
    tell = progress or (lambda _done: None)
    try:
        for row in reader(path, known, tell):
            yield row if isinstance(row, InvalidLine) else shape(row, path.stem, known)
    except OSError as error:
        raise InvalidItems(f"{path}: cannot be read ({error.strerror or error}).") from None


def total(path: Path) -> int:
    """How much there is to read, in the unit that `progress` is told: bytes, or rows for Parquet and NumPy.

    Raises:
        InvalidItems: the file is missing or of an unknown kind.
    """
    kind = _kind(path)
    try:
        if kind == ".parquet":
            return parquets.count(path)
        if kind in {".npy", ".npz"}:
            return numpys.count(path)
        return path.stat().st_size
    except OSError as error:
        raise InvalidItems(f"{path}: cannot be read ({error.strerror or error}).") from None


def _kind(path: Path) -> str:
    if not path.is_file():
        raise InvalidItems(f"{path}: there is no such file.")
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise InvalidItems(f"{path}: no reader for {kind or 'a file without ending'!r}; known: {', '.join(_READERS)}.")
    return kind
