"""Requirements in the store: sets of skills, numbered as they arrive, and how many open items ask for each."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, and_, func, insert, select, text, union, update

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.driver import Driver, statement
from labelloop.domain.skills import MOST_REQUIREMENTS, Skills
from labelloop.domain.states import ItemState
from labelloop.domain.types import Requirement

_items, _projects, _rows = tables.item, tables.project, tables.requirement
_leases, _queries = tables.assignment, tables.query
_ALL = statement("SELECT skills FROM requirement WHERE project = ? ORDER BY number")


def known(connection: Connection, project: int) -> list[Skills]:
    """Every requirement of a project; the first one has the number 1."""
    return [frozenset(orjson.loads(skills)) for (skills,) in Driver(connection).rows(_ALL, project)]


def open_ones(connection: Connection, project: int) -> list[Requirement]:
    """Requirements by number, with the count of items that still ask for them."""
    asked = (
        select(_items.c.requires, _items.c.state, func.count())
        .where(_items.c.project == project, text(tables.REQUIRED))
        .group_by(_items.c.requires, _items.c.state)
    )
    counts = {(number, state): count for number, state, count in connection.execute(asked)}
    return [
        Requirement(
            number=number,
            skills=skills,
            pooled=counts.get((number, ItemState.POOLED.value), 0),
            disputed=counts.get((number, ItemState.DISPUTED.value), 0),
        )
        for number, skills in enumerate(known(connection, project), start=1)
    ]


def unplanned(connection: Connection, project: int) -> dict[int, int]:
    """Open items by requirement, less those of the serving round and those that are leased."""
    row = connection.execute(select(_projects.c.pooled, _projects.c.round).where(_projects.c.id == project)).one()
    waits = {one.number: one.pooled for one in open_ones(connection, project)}
    waits[0] = row.pooled - sum(waits.values())
    planned = select(_queries.c.item).where(_queries.c.project == project, _queries.c.round == (row.round or 0))
    live = select(_leases.c.item).where(_leases.c.project == project, text("assignment." + tables.LIVE))
    busy = union(planned, live).subquery()
    counted = (
        select(_items.c.requires, func.count())
        .select_from(busy.join(_items, and_(_items.c.project == project, _items.c.number == busy.c.item)))
        .where(_items.c.state == ItemState.POOLED)
        .group_by(_items.c.requires)
    )
    for number, count in connection.execute(counted):
        waits[number] -= count
    return waits


class Numbering:
    """Gives requirements of arriving items their numbers, inside the transaction that holds the project."""

    def __init__(self, project: int) -> None:
        self._project = project
        self._numbers: dict[Skills, int] | None = None
        self._new: list[tuple[str, ...]] = []

    def of(self, skills: Sequence[str], connection: Connection) -> int | None:
        """The number of a requirement; None when the project has as many others as it may have."""
        if not skills:
            return 0
        if self._numbers is None:
            found = known(connection, self._project)
            self._numbers = {one: number for number, one in enumerate(found, start=1)}
        asked = frozenset(skills)
        if asked not in self._numbers:
            if len(self._numbers) >= MOST_REQUIREMENTS:
                return None
            self._numbers[asked] = len(self._numbers) + 1
            self._new.append(tuple(sorted(asked)))
        return self._numbers[asked]

    def write(self, connection: Connection) -> None:
        """Keep the new ones."""
        if not self._new or self._numbers is None:
            return
        first = len(self._numbers) - len(self._new) + 1
        rows: list[dict[str, Any]] = [
            {"project": self._project, "number": number, "skills": list(skills)}
            for number, skills in enumerate(self._new, start=first)
        ]
        connection.execute(insert(_rows), rows)
        own = _projects.c.id == self._project
        connection.execute(update(_projects).where(own).values(requirements=len(self._numbers)))
