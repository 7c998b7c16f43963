"""Fields of tables as numbers, standardised by the first fit; text and categories are not its business."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from labelloop.adapters.features.numbers import is_number, table
from labelloop.domain.errors import InvalidFeatures
from labelloop.domain.types import Item
from labelloop.maths.arrays import Floats
from labelloop.projects import ColumnFeatures


class Columns:
    """Implements transforms.Transform for `kind = "columns"`.

    Args:
        columns: the fields, in the order of the feature's columns.
        mean: (d,) subtracted from each column.
        scale: (d,) that each column is then divided by; 1 for a constant column.
    """

    shape: tuple[int, ...] | None = None

    def __init__(self, columns: tuple[str, ...], mean: Floats, scale: Floats) -> None:
        self._columns = columns
        self._mean = mean
        self._scale = scale

    @classmethod
    def fit(cls, section: ColumnFeatures, items: Sequence[Item]) -> Self:
        columns = section.columns or _numeric(items[0])
        width = len(columns)
        if not section.scale:
            return cls(columns, np.zeros(width), np.ones(width))
        rows = table(items, columns)
        # The deviation of equal numbers need not come out as 0: a thousand times 0.1 have one of 1e-15.
        varies = rows.max(axis=0) > rows.min(axis=0)
        return cls(columns, rows.mean(axis=0), np.where(varies, rows.std(axis=0), 1.0))

    @classmethod
    def restore(cls, _section: ColumnFeatures, arrays: Mapping[str, Any], notes: Mapping[str, Any]) -> Self:
        return cls(tuple(notes["columns"]), np.array(arrays["mean"]), np.array(arrays["scale"]))

    def apply(self, items: Sequence[Item]) -> Floats:
        rows = (table(items, self._columns) - self._mean) / self._scale
        limit = np.finfo(np.float32).max
        if (np.abs(rows) > limit).any():
            row, column = np.argwhere(np.abs(rows) > limit)[0]
            raise InvalidFeatures(
                f"Item {items[row].key!r}: the field {self._columns[column]!r} is too large for a feature. "
                "Correct it, or leave the field out of features.columns.",
                item=items[row].key,
            )
        return rows.astype(np.float32)

    def arrays(self) -> Mapping[str, Any]:
        return {"mean": self._mean, "scale": self._scale}

    def notes(self) -> Mapping[str, Any]:
        return {"columns": list(self._columns)}


def _numeric(item: Item) -> tuple[str, ...]:
    """The numeric fields of an item, by name: the order of JSON keys is not one that every store keeps."""
    columns = tuple(sorted(name for name, value in item.data.items() if is_number(value)))
    if not columns:
        raise InvalidFeatures(
            f"Item {item.key!r}: none of its fields ({', '.join(item.data)}) is a number. "
            "Name numeric fields in features.columns, or use other features.",
            item=item.key,
        )
    return columns
