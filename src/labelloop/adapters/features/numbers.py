"""Numbers out of item data, in bulk; when the bulk fails, the one item and field that are to blame."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np

from labelloop.domain.errors import InvalidFeatures
from labelloop.domain.types import Item
from labelloop.maths.arrays import Floats


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number. Text that spells one counts: CSV knows nothing else."""
    try:
        return not isinstance(value, list | dict) and value is not None and isfinite(float(value))
    except (ValueError, OverflowError):
        return False


def table(items: Sequence[Item], columns: Sequence[str]) -> Floats:
    """The fields of items as rows of float64 (n, len(columns)).

    Raises:
        InvalidFeatures: a field is missing or not a finite number; names item, field, and the remedy.
    """
    try:
        rows = np.array([[item.data[name] for name in columns] for item in items], dtype=np.float64)
    except (KeyError, ValueError, TypeError, OverflowError):
        rows = None
    if rows is not None and rows.ndim == 2 and np.isfinite(rows).all():
        return rows
    for item in items:
        for name in columns:
            _check(item, name)
    # Every value is a finite number by itself; numpy alone could not read them in bulk (text beside huge integers).
    return np.array([[float(item.data[name]) for name in columns] for item in items], dtype=np.float64)


def _check(item: Item, name: str) -> None:
    if name not in item.data:
        raise InvalidFeatures(
            f"Item {item.key!r} has no field {name!r}; its fields: {', '.join(item.data)}. "
            "Add it to the item, or list other fields in features.columns.",
            item=item.key,
            field=name,
        )
    if not is_number(item.data[name]):
        shown = repr(item.data[name])[:80]
        raise InvalidFeatures(
            f"Item {item.key!r}: the field {name!r} is {shown}, not a finite number. "
            "Fill it in, retire the item, or leave the field out of features.columns.",
            item=item.key,
            field=name,
        )


def field(item: Item, name: str) -> Any:
    """One field of an item that features are made of.

    Raises:
        InvalidFeatures: there is no such field.
    """
    try:
        return item.data[name]
    except KeyError:
        raise InvalidFeatures(
            f"Item {item.key!r} has no field {name!r}; its fields: {', '.join(item.data)}. "
            "Add it to the item, or name another one as features.field.",
            item=item.key,
            field=name,
        ) from None
