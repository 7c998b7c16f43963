"""Everything that happened to one item, as JSON values for people and programs."""

from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Select, and_, select

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.requirements import known
from labelloop.domain.errors import UnknownItem
from labelloop.domain.types import ItemNumber, Json

_items = tables.item
_HIDDEN = {"project", "item"}


def of_item(connection: Connection, project: int, name: str, number: ItemNumber) -> dict[str, Json]:
    """The skills it requires; its dispatches, annotations, consensus and priorities, oldest first.

    Raises:
        UnknownItem: the project has no item of this number.
    """
    own = and_(_items.c.project == project, _items.c.number == number)
    found = connection.execute(select(_items.c.requires).where(own)).first() if 0 <= number < 2**31 else None
    if found is None:
        detail = f"Project {name!r} has no item {number}. Items are numbered from 0 in order of arrival."
        raise UnknownItem(detail, project=name, item=number)
    requires = sorted(known(connection, project)[found.requires - 1]) if found.requires else []
    return {"requires": requires} | {
        key: [_plain(row) for row in connection.execute(_of(table, project, number)).mappings()]
        for key, table in (
            ("dispatches", tables.assignment),
            ("annotations", tables.annotation),
            ("consensus", tables.consensus),
            ("priorities", tables.override),
        )
    }


def _of(table: Any, project: int, number: int) -> Select[Any]:
    return select(table).where(table.c.project == project, table.c.item == number).order_by(table.c.id)


def _plain(row: Any) -> dict[str, Json]:
    """Times as ISO 8601; the key `lease` names the assignment, as on the wire."""
    names = {"assignment": "lease"}
    return {names.get(key, key): _value(key, value) for key, value in row.items() if key not in _HIDDEN}


def _value(key: str, value: Any) -> Json:
    if isinstance(value, datetime):
        return value.isoformat()
    if key == "counted":
        return bool(value)
    return value.value if isinstance(value, Enum) else value
