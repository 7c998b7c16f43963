"""Planned rankings in the store. Only queries of the last rounds are kept: a lease carries why it was served."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, select, text, update

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.database import Database, chunks
from labelloop.adapters.sql.driver import Driver, Statement, inserting, statement
from labelloop.domain.errors import Invalid
from labelloop.domain.states import ItemState, Lane
from labelloop.domain.types import ItemNumber, Json, ModelNumber, Query, RankGap, Round, RoundNumber

KEPT = 5
"""Rounds whose queries are kept, the serving one included."""
PAGE = 500
"""Items that are named in one statement."""

PIECE = 1_000
"""Queries written or thrown away at once: some milliseconds, for which annotators wait."""
DRAFT = -1
"""Number of queries of a round that is being written."""

_LANES = {lane.value: lane for lane in Lane}
_items, _projects, _queries, _rounds = tables.item, tables.project, tables.query, tables.round_
_leases = tables.assignment
_QUERY = inserting("query", "project", "round", "item", "lane", "rank", "score", "probability", "needed")
_ASKED = statement(
    "SELECT q.item, q.lane, q.rank, q.score, q.probability, i.needed, i.priority, i.requires"
    " FROM query q JOIN item i ON i.project = q.project AND i.number = q.item"
    " WHERE q.project = ? AND q.round = ? AND i.state = 'pooled' ORDER BY q.lane, q.rank"
)
_DIFFERS = statement(
    "SELECT q.item, i.state, i.needed, i.priority, i.requires"
    " FROM query q JOIN item i ON i.project = q.project AND i.number = q.item"
    " WHERE q.project = ? AND q.round = ?"
    " AND (i.state <> 'pooled' OR i.needed <> q.needed OR i.priority <> 0 OR i.requires <> 0)"
)
_PLANNED = statement(
    "SELECT item, lane, rank, score, probability, needed FROM query WHERE project = ? AND round = ? ORDER BY lane, rank"
)
_SHORT = statement(
    "SELECT q.item, q.needed FROM query q JOIN item i ON i.project = q.project AND i.number = q.item"
    " WHERE q.project = ? AND q.round = ? AND i.needed < q.needed AND i.state = 'pooled' AND i.pending = 0"
)
"""Items for which a round wants more votes than anybody did so far; it never wants fewer."""
_RAISE = statement(
    "UPDATE item SET needed = ? WHERE project = ? AND number = ? AND needed < ? AND state = 'pooled' AND pending = 0"
)
_OF_ITEM = ("needed", "priority", "requires")
_FORGET = statement(
    "DELETE FROM query WHERE project = ? AND round = ?"
    " AND item IN (SELECT item FROM query WHERE project = ? AND round = ? LIMIT ?)"
)


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
        """Written in pieces, because annotators' writes wait meanwhile, and published by the last one.

        Whoever dies on the way leaves a draft that nobody reads; its queries go when they are as old as others.
        """
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
            connection.execute(_draft(project, planned))
        for part in chunks(queries, PIECE):
            rows = [(project, planned.number, *_row(query)) for query in part]
            began = time.monotonic()
            with self._database.write(touching=project) as connection:
                Driver(connection).add(_QUERY, rows)
            self._database.rest(began)
        with self._database.read() as connection:
            short = Driver(connection).rows(_SHORT, project, planned.number)
        with self._database.write([project]) as connection:
            facts = connection.execute(_facts(project)).one()
            if facts.champion != model or facts.serving > planned.number:
                return None
            Driver(connection).each(_RAISE, [(needed, project, item, needed) for item, needed in short])
            _publish(connection, project, planned)
            if not self._database.sqlite:
                # Tens of thousands of rows that PostgreSQL knows nothing of yet: it would read all for each lease.
                connection.execute(text("ANALYZE query"))
        return planned

    def forget(self, name: str) -> None:
        """In pieces, as they were written. Looks a few rounds further back, for those that nobody threw away."""
        project = self._database.id_of(name)
        with self._database.read() as connection:
            last = int(connection.execute(_facts(project)).one().serving) - KEPT
        for number in range(max(1, last - KEPT), last + 1):
            gone = PIECE
            while gone >= PIECE:
                began = time.monotonic()
                with self._database.write() as connection:
                    gone = Driver(connection).run(_FORGET, project, number, project, number, PIECE)
                self._database.rest(began)

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
        return self._read(_PLANNED, name, number)

    def queries(self, name: str, number: RoundNumber, planned: Sequence[Query] | None = None) -> list[Query]:
        if planned is None:
            return self._read(_ASKED, name, number)
        project = self._database.id_of(name)
        with self._database.read() as connection:
            rows = Driver(connection).rows(_DIFFERS, project, number)
        differs = {item: (state, dict(zip(_OF_ITEM, facts, strict=True))) for item, state, *facts in rows}
        if not differs:
            return list(planned)
        found = ((query, *differs.get(query.item, (ItemState.POOLED, {}))) for query in planned)
        return [query._replace(**facts) if facts else query for query, state, facts in found if state == "pooled"]

    def _read(self, asked: Statement, name: str, number: RoundNumber) -> list[Query]:
        project = self._database.id_of(name)
        with self._database.read() as connection:
            rows = Driver(connection).rows(asked, project, number)
        return [Query(ItemNumber(item), _LANES[lane], *why) for item, lane, *why in rows]

    def recent(self, name: str, limit: int) -> list[Round]:
        """Newest first."""
        project = self._database.id_of(name)
        published = and_(_rounds.c.project == project, _rounds.c.queries != DRAFT)
        asked = select(_rounds).where(published).order_by(_rounds.c.number.desc()).limit(limit)
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
    serving = func.coalesce(_projects.c.round, 0).label("serving")
    return select(_projects.c.champion, serving, last.scalar_subquery().label("last")).where(_projects.c.id == project)


def _draft(project: int, planned: Round) -> Any:
    row = {name: getattr(planned, name) for name in ("number", "strategy", "seed", "model", "pool_version")}
    kept = {"project": project, "stats": dict(planned.stats), "created_at": planned.created_at}
    return insert(_rounds).values(**row, **kept, queries=DRAFT)


def _publish(connection: Connection, project: int, planned: Round) -> None:
    this = and_(_rounds.c.project == project, _rounds.c.number == planned.number)
    connection.execute(update(_rounds).where(this).values(queries=planned.queries))
    connection.execute(update(_projects).where(_projects.c.id == project).values(round=planned.number))


def _row(query: Query) -> tuple[Any, ...]:
    return (query.item, query.lane.value, query.rank, query.score, query.probability, query.needed)


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
