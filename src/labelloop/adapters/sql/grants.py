"""Granting leases: which proposed candidates the rules allow, and why each was served. Runs inside a group commit."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, literal, select, text, update

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.database import Database, chunks
from labelloop.domain.states import AssignmentState, ItemState, Lane
from labelloop.domain.types import Candidate, ItemNumber, Lease, LeaseId, Subject

_items, _projects, _leases, _queries = tables.item, tables.project, tables.assignment, tables.query
_rounds, _answers = tables.round_, tables.annotation
_HOLDING = (AssignmentState.LEASED, AssignmentState.DONE)
_TURN = (AssignmentState.LEASED, AssignmentState.DONE, AssignmentState.SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One request for leases. `most` bounds the annotator's open leases, `budget` counted votes plus live leases."""

    database: Database
    project: int
    annotator: Subject
    candidates: Sequence[Candidate]
    now: datetime
    expires_at: datetime
    most: int
    budget: int | None

    def __call__(self, connection: Connection) -> list[Lease]:
        """Write the leases; a number of statements that does not grow with the candidates."""
        lanes = {candidate.item: candidate.lane for candidate in self.candidates}
        expire(connection, self.project, self.now, items=lanes)
        desk = _look(connection, self, lanes)
        picked = [row for row in map(desk.place, desk.affordable(lanes)) if row is not None]
        if not picked:
            return []
        desk.number(connection, picked)
        new = self.database.insert(_leases).on_conflict_do_nothing()
        granted = connection.execute(new.returning(_leases.c.id, _leases.c.item), picked)
        ids = {row.item: row.id for row in granted}
        return [self._lease(row, desk.items[row["item"]], ids) for row in picked if row["item"] in ids]

    def _lease(self, row: dict[str, Any], item: Row[Any], ids: dict[int, int]) -> Lease:
        return Lease(
            id=LeaseId(ids[row["item"]]),
            item=ItemNumber(row["item"]),
            key=item.key,
            data=item.data,
            lane=Lane(row["lane"]),
            expires_at=self.expires_at,
        )


@dataclass(slots=True, kw_only=True)
class _Desk:
    """All that is known when a batch is granted: rows of the store by item, and what may still be given away."""

    grant: Grant
    state: Row[Any]
    items: dict[int, Row[Any]]
    past: dict[int, list[Row[Any]]]
    answered: set[int]
    lanes: dict[ItemNumber, Lane]
    open_leases: int = field(init=False)

    def __post_init__(self) -> None:
        self.open_leases = self.state.mine

    def affordable(self, lanes: dict[ItemNumber, Lane]) -> Iterable[int]:
        """Candidates in order, as long as the annotator's share and the budget last; reviews cost no budget."""
        budget = self.grant.budget
        left = None if budget is None else budget - self.state.spent - self.state.live
        for item, lane in lanes.items():
            if self.open_leases >= self.grant.most:
                return
            if not self.allowed(item):
                continue
            if lane is not Lane.REVIEW and left is not None:
                if left <= 0:
                    continue
                left -= 1
            self.open_leases += 1
            yield item

    def allowed(self, item: int) -> bool:
        """Whether the item is open, has a free slot, and this annotator has not had it."""
        row, mine = self.items.get(item), self.grant.annotator
        if row is None or item in self.answered:
            return False
        if any(past.annotator == mine and past.state in _TURN for past in self.past[item]):
            return False
        if self.lanes[ItemNumber(item)] is Lane.REVIEW:
            held = any(p.state == AssignmentState.LEASED and p.slot >= tables.REVIEW_SLOT for p in self.past[item])
            return row.state == ItemState.DISPUTED and not row.pending and not held
        return row.state == ItemState.POOLED and free_slot(self.past[item], row.needed) is not None

    def place(self, item: int) -> dict[str, Any] | None:
        """The row of a lease on an allowed item, with why it is served."""
        row, lane, grant = self.items[item], self.lanes[ItemNumber(item)], self.grant
        review = lane is Lane.REVIEW
        slot = review_slot(self.past[item]) if review else free_slot(self.past[item], row.needed)
        if slot is None:
            return None
        return {
            "project": grant.project,
            "item": item,
            "annotator": grant.annotator,
            "slot": slot,
            "state": AssignmentState.LEASED,
            "leased_at": grant.now,
            "expires_at": grant.expires_at,
            "served_rank": None,
            **self._why(row, lane),
        }

    def _why(self, row: Row[Any], lane: Lane) -> dict[str, Any]:
        names = ("round", "model", "strategy", "score", "probability", "planned_rank")
        if lane is not Lane.REVIEW and row.planned_lane is not None:
            planned = (self.state.round, self.state.model, self.state.strategy, row.score, row.probability, row.rank)
            return {"lane": row.planned_lane, **dict(zip(names, planned, strict=True))}
        # Not in the serving round: an item that was started in an older one goes on for the reason it was started.
        started = [past for past in self.past[row.number] if past.round is not None and past.lane != Lane.REVIEW]
        if lane is not Lane.REVIEW and started:
            first = started[0]
            return {"lane": first.lane, **{name: getattr(first, name) for name in names}}
        return {"lane": lane, **dict.fromkeys(names)}

    def number(self, connection: Connection, picked: list[dict[str, Any]]) -> None:
        """Give each item that is served for the first time in its round its place in the order served."""
        fresh = [row for row in picked if self._first_time(row)]
        lanes = sorted({row["lane"] for row in fresh})
        if not lanes:
            return
        of_round = and_(_leases.c.project == self.grant.project, _leases.c.round == self.state.round)
        last = [
            select(func.max(_leases.c.served_rank))
            .where(of_round, _leases.c.lane == lane, text(tables.SERVED))
            .scalar_subquery()
            for lane in lanes
        ]
        found = connection.execute(select(*last)).one()
        following = {lane: -1 if rank is None else rank for lane, rank in zip(lanes, found, strict=True)}
        for row in fresh:
            following[row["lane"]] += 1
            row["served_rank"] = following[row["lane"]]

    def _first_time(self, row: dict[str, Any]) -> bool:
        serving = self.state.round
        if serving is None or row["round"] != serving:
            return False
        return not any(past.round == serving for past in self.past[row["item"]])


def expire(connection: Connection, project: int, now: datetime, *, items: Iterable[int] | None = None) -> int:
    """Mark leases whose time is over, of the project or of these items only. Returns how many."""
    over = and_(_leases.c.project == project, text(tables.LIVE), _leases.c.expires_at <= now)
    if items is not None:
        over = and_(over, _leases.c.item.in_(list(items)))
    marked = connection.execute(update(_leases).where(over).values(state=AssignmentState.EXPIRED, closed_at=now))
    return marked.rowcount


def free_slot(past: Iterable[Any], needed: int) -> int | None:
    """The lowest vote slot that nobody holds or has used."""
    used = {row.slot for row in past if row.state in _HOLDING}
    return next((slot for slot in range(needed) if slot not in used), None)


def review_slot(past: Iterable[Any]) -> int:
    """The lowest free slot of the reviewers, above all vote slots."""
    used = {row.slot for row in past if row.state in _HOLDING}
    return next(slot for slot in range(tables.REVIEW_SLOT, 2**15) if slot not in used)


def past_of(connection: Connection, project: int, items: Iterable[int]) -> dict[int, list[Row[Any]]]:
    """Every assignment of these items, oldest first."""
    past: dict[int, list[Row[Any]]] = defaultdict(list)
    for chunk in chunks(items):
        mine = and_(_leases.c.project == project, _leases.c.item.in_(chunk))
        for row in connection.execute(select(_leases).where(mine).order_by(_leases.c.id)):
            past[row.item].append(row)
    return past


def _look(connection: Connection, grant: Grant, lanes: dict[ItemNumber, Lane]) -> _Desk:
    state = connection.execute(_state(grant)).one()
    numbers = list(lanes)
    own = and_(_items.c.project == grant.project, _items.c.number.in_(numbers))
    planned = and_(
        _queries.c.project == _items.c.project, _queries.c.round == state.round, _queries.c.item == _items.c.number
    )
    shown = (_items.c.number, _items.c.key, _items.c.data, _items.c.state, _items.c.needed, _items.c.pending)
    why = (_queries.c.lane.label("planned_lane"), _queries.c.rank, _queries.c.score, _queries.c.probability)
    rows = connection.execute(select(*shown, *why).select_from(_items.outerjoin(_queries, planned)).where(own))
    mine = and_(_answers.c.project == grant.project, _answers.c.item.in_(numbers))
    answered = select(_answers.c.item).where(mine, _answers.c.annotator == grant.annotator)
    return _Desk(
        grant=grant,
        state=state,
        items={row.number: row for row in rows},
        past=past_of(connection, grant.project, numbers),
        answered=set(connection.execute(answered).scalars()),
        lanes=lanes,
    )


def _state(grant: Grant) -> Any:
    """The project's serving round and spending, and the live leases: of the annotator, and of all that cost budget."""
    live = and_(_leases.c.project == grant.project, text(tables.LIVE), _leases.c.expires_at > grant.now)
    mine = select(func.count()).select_from(_leases).where(live, _leases.c.annotator == grant.annotator)
    paid = select(func.count()).select_from(_leases).where(live, _leases.c.lane != Lane.REVIEW)
    serving = and_(_rounds.c.project == _projects.c.id, _rounds.c.number == _projects.c.round)
    return (
        select(
            _projects.c.round,
            _projects.c.spent,
            _rounds.c.model,
            _rounds.c.strategy,
            mine.scalar_subquery().label("mine"),
            (paid.scalar_subquery() if grant.budget is not None else literal(0)).label("live"),
        )
        .select_from(_projects.outerjoin(_rounds, serving))
        .where(_projects.c.id == grant.project)
    )
