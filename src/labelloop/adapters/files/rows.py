"""From a row of some file to an item of the wire; where rows come from is the readers' business."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelloop.domain.errors import InvalidItems
from labelloop.domain.types import ExportRow, InvalidLine, NewItem
from labelloop.loop import ingest

Tell = Callable[[int], None]

_EXPORTED = frozenset(ExportRow.__annotations__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to read a file of items.

    label, key, gold, requires: columns that hold these; a column that is not named stays in `data`. Skills are a list,
        or a text with blanks or commas between them.
    columns: names of the columns of a file without header (CSV and TSV).
    quoting: whether quotes group a field (CSV and TSV).
    classes: rename labels: value in the file → class.
    features, labels: names of the arrays of items and of labels in a NumPy archive; labels are those of `label` when
        not given.
    field: the field of `data` that a row of a NumPy array becomes.
    spread: a row of a NumPy array becomes the fields x0, x1, … instead.
    """

    label: str | None = None
    key: str | None = None
    gold: str | None = None
    requires: str | None = None
    columns: tuple[str, ...] | None = None
    quoting: bool = True
    classes: Mapping[str, str] | None = None
    features: str = "X"
    labels: str | None = None
    field: str = "x"
    spread: bool = False

    @property
    def named(self) -> tuple[str, ...]:
        """The columns asked for by name."""
        return tuple(name for name in (self.label_column, self.key, self.gold, self.requires) if name is not None)

    @property
    def label_column(self) -> str | None:
        """The column of the label in a row."""
        return self.label or self.labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as its file gave it: `line` is where it stands, `number` which row it is, both from 1."""

    line: int
    number: int
    values: Any


def require(path: Path, named: Iterable[str], columns: Iterable[str]) -> None:
    """Check that a file has the columns asked for; one that labelloop exported needs no names.

    Raises:
        InvalidItems: names the missing column and those that are there.
    """
    there = list(columns)
    for name in () if set(there) == _EXPORTED else named:
        if name not in there:
            raise InvalidItems(f"{path}: there is no column {name!r}; columns there: {', '.join(map(repr, there))}.")


def shape(row: Row, stem: str, options: Options) -> NewItem | InvalidLine:
    """A row as an item.

    A row that has an object under `data` is in the shape of the wire already; any other is flat: the columns of label,
    key, gold and requires are taken out, the rest is `data`. A row without a key gets one from its file and its row
    number, so that reading the file again gives the same keys. A row of an export is the item that it tells of.
    """
    values, key = row.values, f"{stem}-{row.number:06d}"
    if not isinstance(values, Mapping):
        return InvalidLine(line=row.line, error=f"an item must be an object, not {type(values).__name__}")
    try:
        if values.keys() == _EXPORTED:
            wire = _exported(values)
        elif isinstance(values.get("data"), Mapping) and not options.named:
            wire = {"key": key, **values}
        else:
            wire = _flat(values, key, options)
    except ValueError as error:
        return InvalidLine(line=row.line, error=str(error))
    for name in ("label", "gold"):
        if options.classes and isinstance(wire.get(name), str):
            wire[name] = options.classes.get(wire[name], wire[name])
    return ingest.read(wire, row.line)


def _flat(values: Mapping[str, Any], key: str, options: Options) -> dict[str, Any]:
    """The item of a row of columns.

    Raises:
        ValueError: it has no key where a column should have one.
    """
    flat = dict(values)
    if options.key is not None and flat.get(options.key) in (None, ""):
        raise ValueError(f"no key in the column {options.key!r}")
    named = key if options.key is None else flat.pop(options.key)
    wire: dict[str, Any] = {"key": named if isinstance(named, str) else str(named)}
    for name, column in (("label", options.label_column), ("gold", options.gold)):
        value = None if column is None else flat.pop(column, None)
        if value not in (None, ""):
            wire[name] = value if isinstance(value, str) else str(value)
    if options.requires is not None:
        asked = flat.pop(options.requires, None)
        wire["requires"] = asked.replace(",", " ").split() if isinstance(asked, str) else asked
    return {**wire, "data": flat}


def _exported(values: Mapping[str, Any]) -> dict[str, Any]:
    """The item of a row that labelloop exported; in CSV and Parquet nested values are JSON, and nothing is empty text.

    Raises:
        ValueError: `data` or `metadata` is broken JSON.
    """
    try:
        nested = {
            name: json.loads(one) if isinstance(one := values[name], str) else one for name in ("data", "metadata")
        }
    except ValueError as error:
        raise ValueError(f"looks like a row of an export, but its JSON is broken: {error}") from None
    told = {name: values[name] for name in ("label", "gold") if values[name] not in (None, "")}
    return {"key": values["key"], **nested, **told, "synthetic": values["source"] == "synthetic"}
