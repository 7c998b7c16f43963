"""Every resolved item with its label and where the label came from, streamed by pages."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, and_, select, text

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.database import Database
from labelloop.domain.types import Json

PAGE = 1_000
_items, _leases, _answers = tables.item, tables.assignment, tables.annotation
_WHY = ("lane", "round", "model", "strategy", "score", "probability", "planned_rank", "served_rank")


def resolved_items(database: Database, project: int) -> Iterator[Mapping[str, Json]]:
    """By number. Each page is a transaction of its own: a slow reader must not hold back the store's housekeeping."""
    last = -1
    while True:
        with database.read() as connection:
            page = _page(connection, project, last)
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1]["item"]


def _page(connection: Connection, project: int, last: int) -> list[dict[str, Json]]:
    wanted = and_(_items.c.project == project, text(tables.RESOLVED), _items.c.number > last)
    rows = connection.execute(select(_items).where(wanted).order_by(_items.c.number).limit(PAGE)).all()
    votes = _annotations(connection, project, [row.number for row in rows])
    return [
        {
            "item": row.number,
            "key": row.key,
            "data": row.data,
            "metadata": row.metadata,
            "label": row.label,
            "value": row.value,
            "source": row.source,
            "confidence": row.confidence,
            "gold": row.gold,
            "resolved_at": row.resolved_at.isoformat() if row.resolved_at else None,
            "annotations": votes[row.number],
        }
        for row in rows
    ]


def _annotations(connection: Connection, project: int, numbers: list[int]) -> dict[int, list[dict[str, Json]]]:
    found: dict[int, list[dict[str, Json]]] = defaultdict(list)
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
