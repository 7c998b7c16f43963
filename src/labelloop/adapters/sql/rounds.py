"""Planned rankings in the store. Only queries of the last rounds are kept: a lease carries why it was served."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, insert, select, text, update

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.database import Database
from labelloop.domain.errors import Invalid
from labelloop.domain.states import ItemState, Lane
from labelloop.domain.types import ItemNumber, Json, ModelNumber, Query, RankGap, Round, RoundNumber

KEPT = 5
"""Rounds whose queries are kept, the serving one included."""
PAGE = 500
"""Items that are named in one statement."""

_items, _projects, _queries, _rounds = tables.item, tables.project, tables.query, tables.round_
_leases = tables.assignment


class SqlRounds:
    """Implements ports.Rounds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(  # noqa: PLR0913 - the facts of a round, as the port has them
        self,
        name: str,
        queries: Sequence[Query],
        *,
        strategy: str,
        seed: int,
        model: ModelNumber | None,
        pool_version: int,
        stats: Mapping[str, Json],
        now: datetime,
    ) -> Round | None:
        project = self._database.id_of(name)
        if len({query.item for query in queries}) != len(queries):
            raise Invalid("A round asks for each item once; give an item to one lane only.", project=name)
        with self._database.write([project]) as connection:
            facts = connection.execute(_facts(project)).one()
            if facts.champion != model:
                return None
            planned = Round(
                number=RoundNumber(facts.last + 1),
                strategy=strategy,
                seed=seed,
                model=model,
                pool_version=pool_version,
                created_at=now,
                queries=len(queries),
                stats=stats,
            )
            _write(connection, project, planned, queries)
        return planned

    def serving(self, name: str) -> Round | None:
        project = self._database.id_of(name)
        joined = _rounds.join(
            _projects, and_(_projects.c.id == _rounds.c.project, _projects.c.round == _rounds.c.number)
        )
        with self._database.read() as connection:
            row = connection.execute(select(_rounds).select_from(joined).where(_projects.c.id == project)).one_or_none()
        return None if row is None else _round(row)

    def get(self, name: str, number: RoundNumber) -> Round | None:
        project = self._database.id_of(name)
        asked = select(_rounds).where(_rounds.c.project == project, _rounds.c.number == number)
        with self._database.read() as connection:
            row = connection.execute(asked).one_or_none()
        return None if row is None else _round(row)

    def planned(self, name: str, number: RoundNumber) -> list[Query]:
        project = self._database.id_of(name)
        own = and_(_queries.c.project == project, _queries.c.round == number)
        with self._database.read() as connection:
            rows = connection.execute(select(_queries).where(own).order_by(_queries.c.lane, _queries.c.rank)).all()
        return [_query(row, needed=row.needed) for row in rows]

    def queries(self, name: str, number: RoundNumber) -> list[Query]:
        project = self._database.id_of(name)
        asked = (
            select(_queries, _items.c.needed.label("needed_now"), _items.c.priority)
            .select_from(_queries.join(_items, and_(_items.c.project == project, _items.c.number == _queries.c.item)))
            .where(_queries.c.project == project, _queries.c.round == number, _items.c.state == ItemState.POOLED)
            .order_by(_queries.c.lane, _queries.c.rank)
        )
        with self._database.read() as connection:
            rows = connection.execute(asked).all()
        return [_query(row, needed=row.needed_now, priority=row.priority) for row in rows]

    def recent(self, name: str, limit: int) -> list[Round]:
        """Newest first."""
        project = self._database.id_of(name)
        asked = select(_rounds).where(_rounds.c.project == project).order_by(_rounds.c.number.desc()).limit(limit)
        with self._database.read() as connection:
            return [_round(row) for row in connection.execute(asked)]

    def gaps(self, name: str) -> Mapping[Lane, RankGap]:
        project = self._database.id_of(name)
        with self._database.read() as connection:
            rows = connection.execute(_gaps(project)).all()
        return {Lane(row.lane): RankGap(served=row.served, mean=float(row.mean), most=row.most) for row in rows}

    def asked(self, name: str, numbers: Sequence[ItemNumber]) -> Mapping[ItemNumber, Lane]:
        project = self._database.id_of(name)
        found: dict[ItemNumber, Lane] = {}
        with self._database.read() as connection:
            for start in range(0, len(numbers), PAGE):
                own = and_(_leases.c.project == project, _leases.c.item.in_(numbers[start : start + PAGE]))
                rows = connection.execute(select(_leases.c.item, _leases.c.lane).where(own).order_by(_leases.c.id))
                for row in rows:
                    found.setdefault(ItemNumber(row.item), Lane(row.lane))
        return found


def _query(row: Row[Any], *, needed: int, priority: int = 0) -> Query:
    return Query(
        item=ItemNumber(row.item),
        lane=Lane(row.lane),
        rank=row.rank,
        score=row.score,
        probability=row.probability,
        needed=needed,
        priority=priority,
    )


def _gaps(project: int) -> Any:
    gap = func.abs(_leases.c.served_rank - _leases.c.planned_rank)
    return (
        select(_leases.c.lane, func.count().label("served"), func.avg(gap).label("mean"), func.max(gap).label("most"))
        .select_from(_leases.join(_projects, _projects.c.id == _leases.c.project))
        .where(_leases.c.project == project, _leases.c.round == _projects.c.round, text(tables.SERVED))
        .group_by(_leases.c.lane)
    )


def _facts(project: int) -> Any:
    last = select(func.coalesce(func.max(_rounds.c.number), 0)).where(_rounds.c.project == project)
    return select(_projects.c.champion, last.scalar_subquery().label("last")).where(_projects.c.id == project)


def _write(connection: Connection, project: int, planned: Round, queries: Sequence[Query]) -> None:
    row = {name: getattr(planned, name) for name in ("number", "strategy", "seed", "model", "pool_version", "queries")}
    connection.execute(
        insert(_rounds).values(**row, project=project, stats=dict(planned.stats), created_at=planned.created_at)
    )
    if queries:
        connection.execute(insert(_queries), [_row(project, planned.number, query) for query in queries])
        _raise_needed(connection, project, planned.number)
    own = _projects.c.id == project
    connection.execute(update(_projects).where(own).values(round=planned.number))
    old = and_(_queries.c.project == project, _queries.c.round <= planned.number - KEPT)
    connection.execute(delete(_queries).where(old))


def _row(project: int, number: int, query: Query) -> dict[str, Any]:
    return {
        "project": project,
        "round": number,
        "item": query.item,
        "lane": query.lane,
        "rank": query.rank,
        "score": query.score,
        "probability": query.probability,
        "needed": query.needed,
    }


def _raise_needed(connection: Connection, project: int, number: int) -> None:
    """A query may ask for more votes than its item got asked for so far; never for fewer."""
    joined = _queries.join(_items, and_(_items.c.project == project, _items.c.number == _queries.c.item))
    short = and_(
        _queries.c.project == project,
        _queries.c.round == number,
        _queries.c.needed > _items.c.needed,
        _items.c.state == ItemState.POOLED,
        _items.c.pending == 0,
    )
    found = connection.execute(select(_queries.c.item, _queries.c.needed).select_from(joined).where(short)).all()
    if found:
        own = and_(_items.c.project == project, _items.c.number == bindparam("_item"))
        changes = [{"_item": row.item, "_needed": row.needed} for row in found]
        connection.execute(update(_items).where(own).values(needed=bindparam("_needed")), changes)


def _round(row: Row[Any]) -> Round:
    return Round(
        number=RoundNumber(row.number),
        strategy=row.strategy,
        seed=row.seed,
        model=None if row.model is None else ModelNumber(row.model),
        pool_version=row.pool_version,
        created_at=row.created_at,
        queries=row.queries,
        stats=row.stats,
    )
