"""Items and their labels in the store; arrays of numbers where the loop thinks in arrays."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    TextClause,
    and_,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    update,
)

from labelloop.adapters.sql import requirements, tables
from labelloop.adapters.sql.database import Database, chunks
from labelloop.adapters.sql.intake import Intake
from labelloop.adapters.sql.projects import spec_in_force
from labelloop.domain.skills import Skills
from labelloop.domain.states import ItemState, Priority
from labelloop.domain.types import IngestReport, Item, ItemNumber, NewItem, PoolCounts, Requirement, Subject
from labelloop.maths.arrays import Ints
from labelloop.projects import Project

_items, _projects, _leases, _queries = tables.item, tables.project, tables.assignment, tables.query
_SHOWN = (
    _items.c.number,
    _items.c.key,
    _items.c.data,
    _items.c.metadata,
    _items.c.state,
    _items.c.label,
    _items.c.gold,
    _items.c.duplicate_of,
)
_PAGE = 100_000
"""Numbers that are taken from the driver at a time."""


class SqlPool:
    """Implements ports.Pool."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._requirements: dict[int, list[Skills]] = {}

    def add(self, name: str, items: Sequence[NewItem], now: datetime) -> IngestReport:
        project = self._database.id_of(name)
        own = _projects.c.id == project
        with self._database.write([project]) as connection:
            first = connection.execute(select(_projects.c["items"]).where(own)).scalar_one()
            needed = Project.model_validate(connection.execute(spec_in_force(own)).scalar_one()).votes.needed
            intake = Intake(project=project, first=first, needed=needed, now=now)
            intake.take(items, connection)
            if intake.written or intake.imported.taken:
                counted = {state.value: _projects.c[state.value] + count for state, count in intake.states.items()}
                grown = {"items": first + intake.written, "pool_version": _projects.c.pool_version + 1}
                connection.execute(update(_projects).where(own).values({**counted, **grown}))
        return IngestReport(
            received=len(items),
            added=intake.added,
            duplicates=len(items) - intake.added - len(intake.invalid),
            labeled=intake.imported.taken,
            invalid=tuple(intake.invalid),
        )

    def items(self, name: str, numbers: Sequence[ItemNumber]) -> list[Item]:
        project = self._database.id_of(name)
        found: dict[int, Item] = {}
        with self._database.read() as connection:
            for chunk in chunks({int(number) for number in numbers}):
                asked = select(*_SHOWN).where(_items.c.project == project, _items.c.number.in_(chunk))
                found.update((row.number, _item(row)) for row in connection.execute(asked))
        return [found[number] for number in numbers if number in found]

    def span(self, name: str, start: int, stop: int) -> list[Item]:
        project = self._database.id_of(name)
        inside = and_(_items.c.project == project, _items.c.number >= start, _items.c.number < stop)
        with self._database.read() as connection:
            return [_item(row) for row in connection.execute(select(*_SHOWN).where(inside).order_by(_items.c.number))]

    def find(self, name: str, key: str) -> Item | None:
        project = self._database.id_of(name)
        if "\x00" in key:
            return None
        with self._database.read() as connection:
            asked = select(*_SHOWN).where(_items.c.project == project, _items.c.key == key)
            row = connection.execute(asked).one_or_none()
        return None if row is None else _item(row)

    def waiting(self, name: str) -> Ints:
        project = self._database.id_of(name)
        untouched = select(_items.c.number).where(_items.c.project == project, text(tables.WAITING))
        live = select(_leases.c.item).where(_leases.c.project == project, text(tables.LIVE))
        with self._database.read() as connection:
            held = _column(connection, live)
            numbers = _paged(connection, untouched)
        return _without(numbers, held)

    def labeled(self, name: str) -> tuple[Ints, list[str], Ints]:
        numbers, labels, sources = self._labels(name, text("source <> 'synthetic'"))
        return numbers, labels, sources

    def synthetic(self, name: str) -> tuple[Ints, list[str]]:
        numbers, labels, _ = self._labels(name, text("source = 'synthetic'"))
        return numbers, labels

    def _labels(self, name: str, of: TextClause) -> tuple[Ints, list[str], Ints]:
        project = self._database.id_of(name)
        imported: ColumnElement[int] = literal_column("CASE WHEN source = 'import' THEN 1 ELSE 0 END")
        asked = select(_items.c.number, _items.c.label, imported).where(
            _items.c.project == project, text(tables.RESOLVED), _items.c.label.is_not(None), of
        )
        with self._database.read() as connection:
            rows = _cursor(connection, asked.order_by(_items.c.number)).fetchall()
        numbers = np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))
        sources = np.fromiter((row[2] for row in rows), dtype=np.int64, count=len(rows))
        return numbers, [row[1] for row in rows], sources

    def retire(self, name: str, reasons: Mapping[ItemNumber, str]) -> int:
        project = self._database.id_of(name)
        own, mine = _projects.c.id == project, _items.c.project == project
        came = and_(_items.c.state == ItemState.RESOLVED, _items.c.votes == 0)  # its label came with it
        able = or_(_items.c.state == ItemState.POOLED, came)
        left: Counter[str] = Counter()
        with self._database.write([project]) as connection:
            for number, reason in reasons.items():  # few: items that nothing can be made of
                one = and_(mine, _items.c.number == int(number), able)
                row = connection.execute(select(_items.c.state, _items.c.metadata).where(one)).one_or_none()
                if row is not None:
                    noted = {**row.metadata, "retired": reason}
                    connection.execute(update(_items).where(one).values(state=ItemState.RETIRED, metadata=noted))
                    left[row.state] += 1
            moved = {
                "pooled": _projects.c.pooled - left[ItemState.POOLED],
                "resolved": _projects.c.resolved - left[ItemState.RESOLVED],
                "retired": _projects.c.retired + left.total(),
            }
            connection.execute(update(_projects).where(own).values(moved))
        return left.total()

    def prioritize(
        self, name: str, numbers: Sequence[ItemNumber], priority: Priority, *, by: Subject, now: datetime
    ) -> list[ItemNumber]:
        project = self._database.id_of(name)
        known: list[ItemNumber] = []
        with self._database.write([project]) as connection:
            for chunk in chunks(dict.fromkeys(int(number) for number in numbers if 0 <= number < 2**31)):
                own = and_(_items.c.project == project, _items.c.number.in_(chunk))
                there = set(connection.execute(select(_items.c.number).where(own)).scalars())
                connection.execute(update(_items).where(own).values(priority=priority.level))
                known += [ItemNumber(number) for number in chunk if number in there]
            noted = {"project": project, "priority": priority, "by": by, "created_at": now}
            if known:
                connection.execute(insert(tables.override), [{**noted, "item": number} for number in known])
        return known

    def preferred(self, name: str) -> Mapping[ItemNumber, int]:
        project = self._database.id_of(name)
        asked = select(_items.c.number, _items.c.priority).where(_items.c.project == project, text(tables.PREFERRED))
        with self._database.read() as connection:
            return {ItemNumber(row.number): row.priority for row in connection.execute(asked)}

    def requirements(self, name: str, count: int) -> Sequence[Skills]:
        project = self._database.id_of(name)
        remembered = self._requirements.get(project, [])
        if len(remembered) < count:
            with self._database.read() as connection:
                remembered = requirements.known(connection, project)
            self._requirements[project] = remembered
        return remembered

    def required(self, name: str) -> tuple[Ints, Ints]:
        project = self._database.id_of(name)
        asked = select(_items.c.number, _items.c.requires).where(
            _items.c.project == project, text(tables.REQUIRED), _items.c.state == ItemState.POOLED
        )
        with self._database.read() as connection:
            rows = _cursor(connection, asked).fetchall()
        numbers = np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))
        requires = np.fromiter((row[1] for row in rows), dtype=np.int64, count=len(rows))
        order = np.argsort(numbers)
        return numbers[order], requires[order]

    def unplanned(self, name: str) -> Mapping[int, int]:
        project = self._database.id_of(name)
        with self._database.read() as connection:
            return requirements.unplanned(connection, project)

    def open_requirements(self, name: str) -> list[Requirement]:
        project = self._database.id_of(name)
        with self._database.read() as connection:
            return requirements.open_ones(connection, project)

    def counts(self, name: str) -> PoolCounts:
        project = self._database.id_of(name)
        with self._database.read() as connection:
            row = connection.execute(select(_projects).where(_projects.c.id == project)).one()
            leased = connection.execute(_count_leased(project)).scalar_one()
            queued = connection.execute(_count_queued(project, row.round)).scalar_one() if row.round else 0
        return PoolCounts(
            ingested=row.items,
            pooled=row.pooled - leased - queued,
            queued=queued,
            leased=leased,
            resolved=row.resolved,
            disputed=row.disputed,
            retired=row.retired,
        )


def _item(row: Row[Any]) -> Item:
    return Item(
        number=ItemNumber(row.number),
        key=row.key,
        data=row.data,
        metadata=row.metadata,
        state=ItemState(row.state),
        label=row.label,
        gold=row.gold,
        duplicate_of=None if row.duplicate_of is None else ItemNumber(row.duplicate_of),
    )


def _paged(connection: Connection, statement: Select[Any]) -> Ints:
    """All item numbers of a statement, ascending, by pages: a number in an array takes 4 bytes, as a row 90."""
    parts, last = [np.zeros(0, dtype=np.int32)], -1
    while True:
        page = _column(connection, statement.where(_items.c.number > last).order_by(_items.c.number).limit(_PAGE))
        parts.append(page.astype(np.int32))
        if len(page) < _PAGE:
            return np.concatenate(parts)
        last = int(page[-1])


def _cursor(connection: Connection, statement: Select[Any]) -> Any:
    """The driver's own cursor: a million rows need no row objects."""
    cursor = connection.execute(statement).cursor
    assert cursor is not None  # noqa: S101 - a SELECT always has one
    return cursor


def _without(numbers: Ints, held: Ints) -> Ints:
    """Ascending numbers, less those that are held; the held ones are few."""
    places = np.searchsorted(numbers, held)
    there = places < len(numbers)
    there[there] = numbers[places[there]] == held[there]
    return np.delete(numbers, places[there]) if there.any() else numbers


def _column(connection: Connection, statement: Select[Any]) -> Ints:
    return np.fromiter(chain.from_iterable(_cursor(connection, statement).fetchall()), dtype=np.int64)


def _open(project: int) -> Any:
    return and_(_items.c.project == project, _items.c.state == ItemState.POOLED)


def _count_leased(project: int) -> Select[tuple[int]]:
    live = select(_leases.c.item).where(_leases.c.project == project, text("assignment." + tables.LIVE)).distinct()
    held = live.subquery()
    return select(func.count()).select_from(held.join(_items, _items.c.number == held.c.item)).where(_open(project))


def _count_queued(project: int, number: int) -> Select[tuple[int]]:
    planned = and_(_queries.c.project == project, _queries.c.round == number)
    free = ~exists().where(
        _leases.c.project == project, _leases.c.item == _queries.c.item, text("assignment." + tables.LIVE)
    )
    joined = _queries.join(_items, _items.c.number == _queries.c.item)
    return select(func.count()).select_from(joined).where(planned, _open(project), free)
