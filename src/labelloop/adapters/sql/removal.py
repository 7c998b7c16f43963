"""Taking a project out of the store: a mark, its rows in pieces, and a tombstone that keeps its id from being reused.

The tables are found by their key to `project`, children before parents, so that a new one needs no line here. A
tombstone is the project's row under a name that no file can have, emptied of everything else.
"""

import re
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Select, Table, and_, delete, exists, func, select, text, tuple_, update

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.database import STUDIED_FROM, Database, original
from labelloop.domain.errors import ProjectExists
from labelloop.domain.states import JobState, ProjectState
from labelloop.domain.types import Departure, Extent

_projects, _jobs, _keys = tables.project, tables.job, tables.api_key
LEAST, MOST = 100, 10_000
"""Rows that go at once."""
PIECE_SECONDS = 0.015
"""On SQLite so many go at once that it takes about so long, for others' answers wait. On PostgreSQL nobody waits."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_STAYS = frozenset({"id", "name", "state", "created_at"})
"""Columns of a tombstone that say something."""


class SqlRemovals:
    """Implements ports.Removals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def extent(self, name: str) -> Extent:
        with self._database.read() as connection:
            return _extent(connection, self._find(connection, name).id, name)

    def begin(self, name: str) -> tuple[Departure, Extent]:
        extent = self.extent(name)  # before, for to count takes long
        with self._database.begin() as connection:
            found = self._find(connection, name)
            # The one lock that also waits for those who write rows of the project without holding it.
            held = select(_projects.c.state, _projects.c.name).where(_projects.c.id == found.id).with_for_update()
            state, still = connection.execute(held).one()
            if still != name:  # buried meanwhile
                raise self._database.unknown(name, connection)
            marked = update(_projects).where(_projects.c.id == found.id)
            connection.execute(marked.values(state=ProjectState.DELETING))
            keys = connection.execute(delete(_keys).where(_keys.c.project == name)).rowcount
        self._database.forget(name)
        return replace(found, new=ProjectState(state).there), replace(extent, keys=int(keys))

    def departing(self) -> list[Departure]:
        with self._database.read() as connection:
            rows = connection.execute(_SHOWN.where(_projects.c.state == ProjectState.DELETING)).all()
        return [_departure(row) for row in rows]

    def at_work(self, one: Departure, since: datetime) -> int:
        running = and_(_jobs.c.project == one.id, _jobs.c.state == JobState.RUNNING, _jobs.c.heard_at >= since)
        with self._database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(_jobs).where(running)).scalar_one())

    def artifacts(self, one: Departure) -> frozenset[str]:
        with self._database.read() as connection:
            return _digests(connection, [one.id])

    def needed(self, digests: Collection[str]) -> frozenset[str]:
        there = select(_projects.c.id).where(text(tables.THERE))
        with self._database.read() as connection:
            return _digests(connection, connection.execute(there).scalars().all()).intersection(digests)

    def remove(self, one: Departure, *, seconds: float, jobs: bool) -> bool:
        until = time.monotonic() + seconds
        for table in _tables():
            if table is _jobs and not jobs:
                continue
            size, total = LEAST if self._database.sqlite else MOST, 0
            while gone := self._piece(table, one.id, size):
                total += gone.rows
                if time.monotonic() >= until:
                    return False
                if self._database.sqlite:
                    size = int(min(max(size * PIECE_SECONDS / gone.seconds, LEAST), MOST))
            if total >= STUDIED_FROM:
                self._database.tidy(table)
        return True

    def bury(self, one: Departure, now: datetime, *, order_gone: bool) -> bool:
        left = [exists().where(_own(table) == one.id) for table in _tables()]
        with self._database.begin([one.id]) as connection:
            row = connection.execute(_SHOWN.where(_projects.c.id == one.id)).one()
            if row.state != ProjectState.DELETING or any(connection.execute(select(some)).scalar() for some in left):
                return bool(row.state == ProjectState.DELETED)
            values: dict[str, Any] = {"state": ProjectState.DELETED} if order_gone else {}
            if not _departure(row).buried:
                connection.execute(delete(_keys).where(_keys.c.project == one.name))
                values |= {column.name: _nothing(column) for column in _projects.c if column.name not in _STAYS}
                values["name"] = f"{one.name} deleted {now:%Y-%m-%dT%H:%M:%SZ} #{one.id}"
            if values:
                connection.execute(update(_projects).where(_projects.c.id == one.id).values(values))
        self._database.forget(one.name)
        return True

    def _find(self, connection: Connection, name: str) -> Departure:
        """The project of this name, also when it is being deleted."""
        not_buried = connection.execute(_SHOWN.where(_projects.c.state != ProjectState.DELETED)).all()
        for row in not_buried:  # compared here: a database may refuse what somebody put into an address
            if row.name == name:
                return _departure(row)
        raise self._database.unknown(name, connection)

    def _piece(self, table: Table, project: int, size: int) -> "_Piece | None":
        """Delete so many rows at most, and rest. None where none is left."""
        key = list(table.primary_key.columns)
        some = select(*key).where(_own(table) == project).limit(size)
        with self._database.read() as connection:
            if connection.execute(some.limit(1)).first() is None:  # no writer has to wait for us
                return None
        with self._database.begin([project]) as connection:
            began = time.monotonic()
            rows = int(connection.execute(delete(table).where(tuple_(*key).in_(some))).rowcount)
            took = time.monotonic() - began
        self._database.rest(began)
        return _Piece(rows, max(took, 1e-6))


class _Piece(NamedTuple):
    """So many rows went, and deleting them took so long, without the commit."""

    rows: int
    seconds: float


def refuse_going(connection: Connection, name: str) -> None:
    """Raise ProjectExists where a project of this name is on its way out."""
    going = select(_projects.c.name).where(_projects.c.state == ProjectState.DELETING)
    if name in connection.execute(going).scalars().all():
        raise ProjectExists(
            f"A project {name!r} is still being deleted, and its name is not free yet. Try again in a moment; where no"
            f" service runs, `labelloop project delete {name}` finishes it.",
            project=name,
        )


def had_another(connection: Connection, project: int, name: str) -> bool:
    """Whether a project that was deleted had the name of this one before."""
    before = and_(_projects.c.name.startswith(f"{name} ", autoescape=True), _projects.c.id < project)
    return connection.execute(select(_projects.c.id).where(before).limit(1)).first() is not None


_SHOWN: Select[Any] = select(_projects.c.id, _projects.c.name, _projects.c.state, _projects.c.created_at)


def _departure(row: Any) -> Departure:
    name = original(row.name)
    return Departure(id=row.id, name=name, created_at=row.created_at, buried=name != row.name)


def _extent(connection: Connection, project: int, name: str) -> Extent:
    def count(table: Table, condition: Any) -> int:
        return int(connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one())

    return Extent(
        items=int(connection.execute(select(_projects.c["items"]).where(_projects.c.id == project)).scalar_one()),
        annotations=count(tables.annotation, tables.annotation.c.project == project),
        models=count(tables.model, tables.model.c.project == project),
        keys=count(_keys, and_(_keys.c.project == name, _keys.c.revoked_at.is_(None))),
    )


def _own(table: Table) -> Column[Any]:
    return next(key.parent for key in table.foreign_keys if key.column is _projects.c.id)


def _tables() -> list[Table]:
    """Every table with rows of projects, children first, and jobs last: they tell whether somebody is still at work."""
    named = [table for table in reversed(tables.metadata.sorted_tables) if table is not _jobs]
    return [*(table for table in named if any(key.column is _projects.c.id for key in table.foreign_keys)), _jobs]


def _digests(connection: Connection, projects: Sequence[int]) -> frozenset[str]:
    """Everything in the rows of these projects that may be the digest of an artifact."""
    found: set[str] = set()
    columns = ((tables.model.c.artifact, tables.model.c.project), (tables.round_.c.stats, tables.round_.c.project))
    for column, project in columns:
        for start in range(0, len(projects), 500):
            asked = select(func.coalesce(column, "").label("said")).where(project.in_(projects[start : start + 500]))
            for (said,) in connection.execute(asked):
                found.update(_DIGEST.findall(str(said)))
    return frozenset(found)


def _nothing(column: Column[Any]) -> Any:
    """What a column of a tombstone holds."""
    if column.nullable:
        return None
    return {} if isinstance(column.type, tables.Document) else 0
