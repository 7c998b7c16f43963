"""Dispatch in the store: grants and submissions by group commit, the life of leases, and what Redis is rebuilt from."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, exists, select, text

from labelloop.adapters.sql import history, tables
from labelloop.adapters.sql.assignments import expire
from labelloop.adapters.sql.database import Database, chunks
from labelloop.adapters.sql.driver import Driver
from labelloop.adapters.sql.grants import Grants
from labelloop.adapters.sql.leases import Closing, Renewal
from labelloop.adapters.sql.submissions import Submissions
from labelloop.domain.errors import IdempotencyMismatch
from labelloop.domain.states import AssignmentState, ItemState, Lane
from labelloop.domain.types import (
    Granted,
    ItemNumber,
    Json,
    Lease,
    LeaseId,
    LeaseOutcome,
    Proposal,
    SlotState,
    Subject,
    Submission,
)

_items, _leases, _answers = tables.item, tables.assignment, tables.annotation


class SqlLedger:
    """Implements ports.Ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def grant_all(
        self,
        name: str,
        proposals: Sequence[Proposal],
        *,
        now: datetime,
        expires_at: datetime,
        most: int,
        budget: int | None = None,
    ) -> list[Granted]:
        if not any(proposal.candidates for proposal in proposals):
            return [Granted(leases=[]) for _ in proposals]
        project = self._database.id_of(name)
        grants = Grants(project=project, proposals=proposals, now=now, expires_at=expires_at, most=most, budget=budget)
        return self._database.group(project, grants)

    def submit_all(
        self, name: str, submissions: Sequence[Submission], *, now: datetime
    ) -> list[tuple[list[LeaseOutcome], bool] | IdempotencyMismatch]:
        project = self._database.id_of(name)
        return self._database.group(project, Submissions(project=project, submissions=submissions, now=now))

    def renew(
        self, name: str, annotator: Subject, leases: Sequence[LeaseId], *, now: datetime, expires_at: datetime
    ) -> list[LeaseOutcome]:
        project = self._database.id_of(name)
        renewal = Renewal(project=project, annotator=annotator, leases=leases, now=now, expires_at=expires_at)
        return self._database.group(project, renewal)

    def close(
        self, name: str, annotator: Subject, leases: Sequence[LeaseId], *, now: datetime, skip: bool
    ) -> list[LeaseOutcome]:
        project = self._database.id_of(name)
        closing = Closing(project=project, annotator=annotator, leases=leases, now=now, skip=skip)
        return self._database.group(project, closing)

    def held(self, name: str, annotator: Subject, now: datetime) -> list[Lease]:
        project = self._database.id_of(name)
        live = and_(
            _leases.c.project == project,
            _leases.c.annotator == annotator,
            text("assignment." + tables.LIVE),
            _leases.c.expires_at > now,
        )
        asked = (
            select(_leases.c.id, _leases.c.item, _leases.c.lane, _leases.c.expires_at, _items.c.key, _items.c.data)
            .select_from(_leases.join(_items))
            .where(live)
        )
        with self._database.read() as connection:
            rows = connection.execute(asked.order_by(_leases.c.id)).all()
        return [
            Lease(
                id=LeaseId(row.id),
                item=ItemNumber(row.item),
                key=row.key,
                data=row.data,
                lane=Lane(row.lane),
                expires_at=row.expires_at,
            )
            for row in rows
        ]

    def expire(self, name: str, now: datetime) -> int:
        project = self._database.id_of(name)
        over = and_(_leases.c.project == project, text(tables.LIVE), _leases.c.expires_at <= now)
        with self._database.read() as connection:
            due = connection.execute(select(_leases.c.id).where(over).limit(1)).first()
        # Asked every second: without anything due, no writer has to wait for us.
        return (
            0 if due is None else self._database.group(project, lambda writing: expire(Driver(writing), project, now))
        )

    def slots(self, name: str, numbers: Sequence[ItemNumber] | None = None) -> list[SlotState]:
        """Items that are no longer POOLED (only among the given ones) ask for 0 votes."""
        project = self._database.id_of(name)
        with self._database.read() as connection:
            touched = _touched(connection, project) if numbers is None else [int(number) for number in numbers]
            return [state for chunk in chunks(touched) for state in _slots(connection, project, chunk)]

    def forget_replies(self, name: str, before: datetime) -> int:
        project = self._database.id_of(name)
        old = and_(tables.reply.c.project == project, tables.reply.c.created_at < before)
        with self._database.read() as connection:
            if connection.execute(select(tables.reply.c.key).where(old).limit(1)).first() is None:
                return 0  # nearly always: no writer has to wait for us
        with self._database.write([project]) as connection:
            return int(connection.execute(delete(tables.reply).where(old)).rowcount)

    def study(self) -> None:
        self._database.study()

    def history(self, name: str, item: ItemNumber) -> Mapping[str, Json]:
        project = self._database.id_of(name)
        with self._database.read() as connection:
            return history.of_item(connection, project, name, item)


def _touched(connection: Connection, project: int) -> list[int]:
    """POOLED items with a vote, a live lease, a skip, or an answer that did not count."""
    own = _leases.c.project == project
    queries: list[Select[Any]] = [
        select(_items.c.number).where(_items.c.project == project, text(tables.STARTED)),
        _pooled(select(_leases.c.item).where(own, text("assignment." + tables.LIVE)), _leases, project),
        _pooled(select(_leases.c.item).where(own, text("assignment." + tables.SKIPPED)), _leases, project),
        _pooled(
            select(_answers.c.item).where(_answers.c.project == project, text("annotation." + tables.UNCOUNTED)),
            _answers,
            project,
        ),
    ]
    return sorted({number for query in queries for number in connection.execute(query).scalars()})


def _pooled(query: Select[Any], table: Any, project: int) -> Select[Any]:
    return query.where(
        exists().where(_items.c.project == project, _items.c.number == table.c.item, _items.c.state == ItemState.POOLED)
    )


def _slots(connection: Connection, project: int, numbers: list[int]) -> Iterable[SlotState]:
    own = and_(_items.c.project == project, _items.c.number.in_(numbers))
    items = connection.execute(
        select(_items.c.number, _items.c.state, _items.c.needed, _items.c.votes, _items.c.requires)
        .where(own)
        .order_by(_items.c.number)
    ).all()
    live: dict[int, list[tuple[Subject, datetime]]] = defaultdict(list)
    excluded: dict[int, set[Subject]] = defaultdict(set)
    taken = and_(_leases.c.project == project, _leases.c.item.in_(numbers), text("assignment." + tables.TAKEN))
    shown = (_leases.c.item, _leases.c.annotator, _leases.c.state, _leases.c.expires_at)
    for row in connection.execute(select(*shown).where(taken).order_by(_leases.c.id)):
        if row.state == AssignmentState.LEASED:
            live[row.item].append((Subject(row.annotator), row.expires_at))
        else:
            excluded[row.item].add(Subject(row.annotator))
    answered = and_(_answers.c.project == project, _answers.c.item.in_(numbers))
    for row in connection.execute(select(_answers.c.item, _answers.c.annotator).where(answered)):
        excluded[row.item].add(Subject(row.annotator))
    for row in items:
        yield SlotState(
            item=ItemNumber(row.number),
            needed=row.needed if row.state == ItemState.POOLED else 0,
            done=row.votes,
            live=tuple(live[row.number]),
            excluded=tuple(sorted(excluded[row.number])),
            requires=row.requires,
        )
