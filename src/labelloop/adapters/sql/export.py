"""Every resolved item with its label and where the label came from, and its copies behind it; streamed by pages."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, select, text

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.database import Database
from labelloop.domain.types import ExportRow, Json

PAGE = 1_000
_items, _leases, _answers = tables.item, tables.assignment, tables.annotation
_WHY = ("lane", "round", "model", "strategy", "score", "probability", "planned_rank", "served_rank")


def resolved_items(database: Database, project: int) -> Iterator[ExportRow]:
    """By number. Each page is a transaction of its own: a slow reader must not hold back the store's housekeeping."""
    last = -1
    while True:
        with database.read() as connection:
            rows = _page(connection, project, last)
            lines = _told(connection, project, rows)
        yield from lines
        if len(rows) < PAGE:
            return
        last = rows[-1].number


def _page(connection: Connection, project: int, last: int) -> Sequence[Row[Any]]:
    wanted = and_(_items.c.project == project, text(tables.RESOLVED), _items.c.number > last)
    return connection.execute(select(_items).where(wanted).order_by(_items.c.number).limit(PAGE)).all()


def _told(connection: Connection, project: int, rows: Sequence[Row[Any]]) -> list[ExportRow]:
    votes = _annotations(connection, project, [row.number for row in rows])
    copies = _copies(connection, project, rows)
    lines: list[ExportRow] = []
    for row in rows:
        lines.append(_line(row, row, None, votes[row.number]))
        lines += [_line(copy, copy if copy.label is not None else row, row.key, []) for copy in copies[row.number]]
    return lines


def _line(item: Row[Any], answered: Row[Any], original: str | None, votes: list[Mapping[str, Json]]) -> ExportRow:
    """A row of the export: what the item is, and the label of the item that was answered."""
    return {
        "item": item.number,
        "key": item.key,
        "duplicate_of": original,
        "similarity": None if original is None else 1.0,
        "data": item.data,
        "metadata": item.metadata,
        "label": answered.label,
        "value": answered.value,
        "source": answered.source,
        "confidence": answered.confidence,
        "gold": item.gold,
        "resolved_at": answered.resolved_at.isoformat() if answered.resolved_at else None,
        "annotations": votes,
    }


def _copies(connection: Connection, project: int, rows: Sequence[Row[Any]]) -> dict[int, list[Row[Any]]]:
    """Of each of these items those that came later with the same data, by number; found by the index of digests."""
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    digests = [row.digest for row in rows]
    same = and_(_items.c.project == project, _items.c.digest.in_(digests), _items.c.duplicate_of.is_not(None))
    for copy in connection.execute(select(_items).where(same).order_by(_items.c.number)):
        found[copy.duplicate_of].append(copy)
    return found


def _annotations(connection: Connection, project: int, numbers: list[int]) -> dict[int, list[Mapping[str, Json]]]:
    found: dict[int, list[Mapping[str, Json]]] = defaultdict(list)
    own = and_(_answers.c.project == project, _answers.c.item.in_(numbers))
    asked = (
        select(_answers, *(_leases.c[name].label(f"why_{name}") for name in _WHY))
        .select_from(_answers.join(_leases, _leases.c.id == _answers.c.assignment))
        .where(own)
    )
    for row in connection.execute(asked.order_by(_answers.c.id)):
        found[row.item].append(_vote(row))
    return found


def _vote(row: Any) -> dict[str, Json]:
    return {
        "lease": row.assignment,
        "annotator": row.annotator,
        "role": row.role,
        "label": row.label,
        "result": row.result,
        "outcome": row.outcome,
        "counted": bool(row.counted),
        "seconds": row.seconds,
        "comment": row.comment,
        "created_at": row.created_at.isoformat(),
        "served": {name: getattr(row, f"why_{name}") for name in _WHY},
    }
