"""NumPy arrays as items: one row of the array is one item; pickled arrays are refused."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.adapters.files.rows import Options, Row, Tell
from labelloop.domain.errors import InvalidItems
from labelloop.domain.types import InvalidLine

_BATCH = 1_024


def read(path: Path, options: Options, tell: Tell) -> Iterator[Row | InvalidLine]:
    """Rows as `{field: row}`, or as `{x0: …, x1: …}` when spread; with the label beside it, where there is one.

    Raises:
        InvalidItems: not a NumPy file, pickled, an array that is not there, or labels and items of unequal number.
    """
    features = _array(path, options.features)
    if features.dtype.kind not in "biuf" or features.ndim < 2:
        raise InvalidItems(
            f"{path}: items must be numbers of shape (items, columns) or (items, height, width), "
            f"not {features.dtype} of shape {features.shape}."
        )
    if options.key is not None or options.gold is not None:
        raise InvalidItems(f"{path}: arrays have no column of keys or known answers; rows are known by their number.")
    labels = _labels(path, options, len(features))
    names = [f"x{place}" for place in range(features.shape[1])] if options.spread else []
    for begin in range(0, len(features), _BATCH):
        rows = np.asarray(features[begin : begin + _BATCH])
        finite = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
        for place, row in enumerate(rows.tolist()):
            number = begin + place + 1
            if not finite[place]:
                yield InvalidLine(line=number, error="holds NaN or infinity; fill it or leave the row out")
                continue
            values = dict(zip(names, row, strict=True)) if options.spread else {options.field: row}
            if labels is not None:
                values[options.label_column or ""] = _name(labels[number - 1])
            yield Row(line=number, number=number, values=values)
        tell(begin + len(rows))


def count(path: Path) -> int:
    """Items, from the headers of the arrays."""
    if path.suffix.lower() == ".npy":
        return len(_array(path, ""))
    try:
        with zipfile.ZipFile(path) as archive:
            return max((_length(archive, name) for name in archive.namelist()), default=0)
    except (zipfile.BadZipFile, ValueError) as error:
        raise InvalidItems(f"{path}: is not a NumPy archive: {error}.") from None


def _length(archive: zipfile.ZipFile, name: str) -> int:
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape = header(file)[0]
    return int(shape[0]) if shape else 0


def _array(path: Path, name: str) -> Any:
    """One array: the mapped file itself, or the named one of an archive."""
    try:
        with path.open("rb") as file:
            # Opened here, because numpy leaves its own file open when the archive turns out to be none.
            if file.read(2) != b"PK":
                return np.load(path, mmap_mode="r", allow_pickle=False)
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                if name not in archive:
                    raise InvalidItems(f"{path}: there is no array {name!r}; arrays there: {', '.join(archive)}.")
                return archive[name]
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidItems(f"{path}: cannot be read as NumPy arrays without pickle: {error}.") from None


def _labels(path: Path, options: Options, rows: int) -> Any:
    """The array of one label per item, or None where none is asked for."""
    name = options.labels or options.label
    if name is None:
        return None
    found = _array(path, name)
    if found.shape != (rows,):
        raise InvalidItems(f"{path}: {name!r} has the shape {found.shape}; give one label for each of {rows} items.")
    return found


def _name(label: Any) -> str:
    """A label as text: 1 and 1.0 are both `1`."""
    value = label.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value.decode() if isinstance(value, bytes) else str(value)
