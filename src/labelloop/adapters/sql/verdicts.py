"""Ballots, verdicts and what can be told from them: who answered how, and the export."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Select, and_, case, func, literal, select, text, true, union_all, update

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.database import Database, chunks
from labelloop.adapters.sql.driver import Driver, inserting, statement
from labelloop.adapters.sql.export import resolved_items
from labelloop.domain.states import ItemState, Outcome, Role
from labelloop.domain.types import Ballot, ExportRow, ItemNumber, Json, Subject, Verdict, Vote
from labelloop.maths.arrays import Ints

_items, _projects, _leases, _answers = tables.item, tables.project, tables.assignment, tables.annotation
PIECE = 100
"""Verdicts written at once: some milliseconds, for which annotators wait."""
MOST_DISPUTED = 1_000
"""Skipped items that become disputed in one transaction; the rest follows with the next call."""

_DECIDE = statement(
    "UPDATE item SET state = ?, needed = ?, label = ?, value = ?, source = ?, confidence = ?, resolved_at = ?,"
    " pending = 0 WHERE project = ? AND number = ?"
)
_CONSENSUS = inserting(
    "consensus",
    *("project", "item", "state", "needed", "votes", "value", "label", "confidence", "source", "reason"),
    "created_at",
)

_SHARED = statement(
    "SELECT item, COALESCE(label, '') FROM annotation WHERE project = ? AND counted = 1 AND role = 'annotator'"
    " AND item IN (SELECT item FROM annotation WHERE project = ? GROUP BY item HAVING COUNT(*) > 1) ORDER BY item, id"
)
"""Votes on items with several answers. Which items these are is read from an index alone; whether the answers count,
too, would be looked up for each, and that takes four times as long."""


class SqlVerdicts:
    """Implements ports.Verdicts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending(self, name: str, limit: int) -> list[Ballot]:
        project = self._database.id_of(name)
        due = select(_items.c.number, _items.c.needed).where(_items.c.project == project, text(tables.PENDING))
        with self._database.read() as connection:
            rows = connection.execute(due.order_by(_items.c.number).limit(limit)).all()
            votes = _votes(connection, project, [row.number for row in rows])
        return [Ballot(item=ItemNumber(row.number), needed=row.needed, votes=tuple(votes[row.number])) for row in rows]

    def settle(self, name: str, verdicts: Sequence[Verdict], now: datetime) -> int:
        """In pieces: verdicts on different items have nothing to do with one another, and annotators wait meanwhile."""
        project, settled = self._database.id_of(name), 0
        for part in chunks({verdict.item: verdict for verdict in verdicts}.values(), PIECE):
            began = time.monotonic()
            with self._database.write([project]) as connection:
                taken = _fresh(connection, project, part)
                if taken:
                    _apply(connection, project, taken, now)
            settled += len(taken)
            self._database.rest(began)
        return settled

    def disputed(self, name: str) -> Mapping[ItemNumber, int]:
        """Those that wait for a reviewer; not those whose reviewer has answered."""
        project = self._database.id_of(name)
        waits = and_(_items.c.project == project, text(tables.DISPUTED), _items.c.pending == 0)
        asked = select(_items.c.number, _items.c.requires).where(waits).order_by(_items.c.number)
        with self._database.read() as connection:
            return {ItemNumber(row.number): row.requires for row in connection.execute(asked)}

    def dispute_skipped(
        self, name: str, skips: int, *, now: datetime, items: Sequence[ItemNumber] | None = None
    ) -> list[ItemNumber]:
        project = self._database.id_of(name)
        asked = _skipped(project, skips)
        if items is not None:
            asked = asked.where(_items.c.number.in_([int(number) for number in items]))
        with self._database.read() as connection:
            if connection.execute(asked.limit(1)).first() is None:  # nearly always: no writer has to wait for us
                return []
        with self._database.write([project]) as connection:
            rows = connection.execute(asked.limit(MOST_DISPUTED)).all()
            if rows:
                _dispute(connection, project, rows, now)
        return [ItemNumber(row.number) for row in rows]

    def annotators(self, name: str, only: Subject | None = None) -> list[Mapping[str, Json]]:
        """`seconds` is their sum; `agreed` counts counted answers that equal the consensus of their item.

        `gold` counts answers to items whose answer is known, `right` those that are the known one.
        """
        project = self._database.id_of(name)
        with self._database.read() as connection:
            answered = {row.annotator: row for row in connection.execute(_answered(project, only))}
            leased = {row.annotator: row for row in connection.execute(_leased(project, only))}
        people = sorted(answered.keys() | leased.keys())
        return [_person(one, answered.get(one), leased.get(one)) for one in people]

    def shared(self, name: str) -> tuple[Ints, list[str]]:
        project = self._database.id_of(name)
        with self._database.read() as connection:
            rows = Driver(connection).rows(_SHARED, project, project)
        numbers = np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))
        _, at, votes = np.unique(numbers, return_inverse=True, return_counts=True)
        several = votes[at] > 1  # of answers only one may be a vote
        return numbers[several], [row[1] for row, kept in zip(rows, several.tolist(), strict=True) if kept]

    def export(self, name: str) -> Iterator[ExportRow]:
        return resolved_items(self._database, self._database.id_of(name))


def _skipped(project: int, skips: int) -> Select[Any]:
    """Open items that nobody has still to judge and so many annotators skipped: number, needed, votes, skips."""
    count = func.count(func.distinct(_leases.c.annotator))
    shown = (_items.c.number, _items.c.needed, _items.c.votes)
    joined = and_(_items.c.project == _leases.c.project, _items.c.number == _leases.c.item)
    open_ = and_(_items.c.state == ItemState.POOLED, _items.c.pending == 0)
    return (
        select(*shown, count.label("skips"))
        .select_from(_leases.join(_items, joined))
        .where(_leases.c.project == project, text("assignment." + tables.SKIPPED), open_)
        .group_by(*shown)
        .having(count >= skips)
    )


def _dispute(connection: Connection, project: int, rows: Sequence[Row[Any]], now: datetime) -> None:
    numbers = [row.number for row in rows]
    own = and_(_items.c.project == project, _items.c.number.in_(numbers))
    connection.execute(update(_items).where(own).values(state=ItemState.DISPUTED))
    reasons = {row.number: f"skipped by {row.skips}" for row in rows}
    verdicts = [
        Verdict(item=ItemNumber(row.number), state=ItemState.DISPUTED, needed=row.needed, votes=row.votes)
        for row in rows
    ]
    at = tables.microseconds(now)
    facts = [(project, verdict.item, *_why(verdict), reasons[verdict.item], at) for verdict in verdicts]
    Driver(connection).add(_CONSENSUS, facts)
    moved = {"pooled": _projects.c.pooled - len(rows), "disputed": _projects.c.disputed + len(rows)}
    connection.execute(update(_projects).where(_projects.c.id == project).values(moved))


def _votes(connection: Connection, project: int, numbers: list[int]) -> dict[int, list[Vote]]:
    votes: dict[int, list[Vote]] = defaultdict(list)
    shown = (_answers.c.item, _answers.c.annotator, _answers.c.value, _answers.c.label, _answers.c.role)
    for chunk in chunks(numbers):
        counted = and_(_answers.c.project == project, _answers.c.item.in_(chunk), _answers.c.counted == 1)
        for row in connection.execute(select(*shown).where(counted).order_by(_answers.c.id)):
            vote = Vote(annotator=Subject(row.annotator), value=row.value, label=row.label, role=Role(row.role))
            votes[row.item].append(vote)
    return votes


def _fresh(connection: Connection, project: int, verdicts: list[Verdict]) -> list[tuple[Verdict, str]]:
    """Verdicts that saw all votes of an item which still waits for one, with the item's state before."""
    numbers = [verdict.item for verdict in verdicts]
    waiting = and_(_items.c.project == project, _items.c.number.in_(numbers), text(tables.PENDING))
    rows = connection.execute(select(_items.c.number, _items.c.state, _items.c.votes).where(waiting))
    before = {row.number: row for row in rows}
    return [
        (verdict, before[verdict.item].state)
        for verdict in verdicts
        if verdict.item in before and before[verdict.item].votes == verdict.votes
    ]


def _apply(connection: Connection, project: int, taken: list[tuple[Verdict, str]], now: datetime) -> None:
    driver, at = Driver(connection), tables.microseconds(now)
    driver.each(_DECIDE, [(*_decided(verdict, at), project, verdict.item) for verdict, _ in taken])
    driver.add(_CONSENSUS, [(project, verdict.item, *_why(verdict), None, at) for verdict, _ in taken])
    moved = dict.fromkeys((ItemState.POOLED, ItemState.RESOLVED, ItemState.DISPUTED, ItemState.RETIRED), 0)
    for verdict, before in taken:
        moved[ItemState(before)] -= 1
        moved[verdict.state] += 1
    counters = {state.value: _projects.c[state.value] + count for state, count in moved.items() if count}
    if counters:
        connection.execute(update(_projects).where(_projects.c.id == project).values(counters))


def _decided(verdict: Verdict, at: int) -> tuple[Any, ...]:
    """What _DECIDE sets: an item has a label only when it is resolved."""
    state = (verdict.state.value, verdict.needed)
    if verdict.state is not ItemState.RESOLVED:
        return (*state, None, None, None, None, None)
    return (*state, verdict.label, verdict.value, verdict.source.value, verdict.confidence, at)


def _why(verdict: Verdict) -> tuple[Any, ...]:
    """The columns of _CONSENSUS between the item and the reason."""
    what = (verdict.value, verdict.label, verdict.confidence, verdict.source.value)
    return (verdict.state.value, verdict.needed, verdict.votes, *what)


def _answered(project: int, only: Subject | None) -> Any:
    def number(condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    agrees = and_(_answers.c.counted == 1, _items.c.state == ItemState.RESOLVED, _items.c.value == _answers.c.value)
    return (
        select(
            _answers.c.annotator,
            *(number(_answers.c.outcome == o).label(o) for o in (Outcome.ACCEPTED, Outcome.LATE, Outcome.SURPLUS)),
            func.coalesce(func.sum(_answers.c.seconds), 0.0).label("seconds"),
            number(agrees).label("agreed"),
            number(_items.c.gold.is_not(None)).label("gold"),
            number(_items.c.gold == _answers.c.label).label("right"),
        )
        .select_from(_answers.join(_items, _same_item()))
        .where(_answers.c.project == project, true() if only is None else _answers.c.annotator == only)
        .group_by(_answers.c.annotator)
    )


def _same_item() -> Any:
    return and_(_items.c.project == _answers.c.project, _items.c.number == _answers.c.item)


def _leased(project: int, only: Subject | None) -> Any:
    """Skipped and live leases by annotator, each by its own index: most leases are answered, and of no concern here."""

    def those(condition: str, *, skipped: int, live: int) -> Any:
        mine = true() if only is None else _leases.c.annotator == only
        shown = (_leases.c.annotator, literal(skipped).label("skipped"), literal(live).label("open"))
        return select(*shown).where(_leases.c.project == project, text(condition), mine)

    both = union_all(those(tables.SKIPPED, skipped=1, live=0), those(tables.LIVE, skipped=0, live=1)).subquery()
    counted = (func.sum(both.c.skipped).label("skipped"), func.sum(both.c.open).label("open"))
    return select(both.c.annotator, *counted).group_by(both.c.annotator)


def _person(name: str, answered: Row[Any] | None, leased: Row[Any] | None) -> dict[str, Json]:
    return {
        "annotator": name,
        "accepted": int(answered.accepted) if answered else 0,
        "late": int(answered.late) if answered else 0,
        "surplus": int(answered.surplus) if answered else 0,
        "skipped": int(leased.skipped) if leased else 0,
        "open": int(leased.open) if leased else 0,
        "seconds": float(answered.seconds) if answered else 0.0,
        "agreed": int(answered.agreed) if answered else 0,
        "gold": int(answered.gold) if answered else 0,
        "right": int(answered.right) if answered else 0,
    }
