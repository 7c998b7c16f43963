"""Granting leases: which proposed candidates the rules allow, and why each was served. Runs inside a group commit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, exists, func, insert, literal, select, text

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.assignments import Assignment, free_slot, past, review_slot
from labelloop.adapters.sql.prepared import Prepared, Session
from labelloop.domain.states import AssignmentState, ItemState, Lane
from labelloop.domain.types import Candidate, ItemNumber, Lease, LeaseId, Subject

_items, _projects, _leases, _queries = tables.item, tables.project, tables.assignment, tables.query
_rounds, _answers = tables.round_, tables.annotation
_TURN = frozenset({AssignmentState.LEASED, AssignmentState.DONE, AssignmentState.SKIPPED})
_WHY = ("round", "model", "strategy", "score", "probability", "planned_rank")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One request for leases. `most` bounds the annotator's open leases, `budget` counted votes plus live leases."""

    project: int
    annotator: Subject
    candidates: Sequence[Candidate]
    now: datetime
    expires_at: datetime
    most: int
    budget: int | None

    def __call__(self, connection: Session) -> list[Lease]:
        """Write the leases; a number of statements that does not grow with the candidates."""
        desk = _look(connection, self)
        picked = [desk.place(item) for item in desk.affordable()]
        if not picked:
            return []
        desk.number(connection, picked)
        # Writers of a project follow one another, so what was free a moment ago still is.
        ids = {row.item: row.id for row in _INSERT.returning(connection, picked)}
        return [self._lease(row, desk.items[row["item"]], ids[row["item"]]) for row in picked]

    def _lease(self, row: dict[str, Any], item: Row[Any], number: int) -> Lease:
        return Lease(
            id=LeaseId(number),
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
    past: dict[int, list[Assignment]]
    lanes: dict[ItemNumber, Lane] = field(init=False)

    def __post_init__(self) -> None:
        self.lanes = {candidate.item: candidate.lane for candidate in self.grant.candidates}

    def affordable(self) -> Iterable[ItemNumber]:
        """Candidates in order, as long as the annotator's share and the budget last; reviews cost no budget."""
        budget, open_leases = self.grant.budget, self.state.mine
        left = None if budget is None else budget - self.state.spent - self.state.live
        for item, lane in self.lanes.items():
            if open_leases >= self.grant.most:
                return
            if not self._allowed(item, lane):
                continue
            if lane is not Lane.REVIEW and left is not None:
                if left <= 0:
                    continue
                left -= 1
            open_leases += 1
            yield item

    def _allowed(self, item: ItemNumber, lane: Lane) -> bool:
        """Whether the item is open, has a free slot, and this annotator has not had it."""
        row, mine = self.items.get(item), self.grant.annotator
        if row is None or row.answered:
            return False
        before = self.past.get(item, [])
        if any(one.annotator == mine and one.state in _TURN for one in before):
            return False
        if lane is Lane.REVIEW:
            held = any(one.live and one.reviewing for one in before)
            return row.state == ItemState.DISPUTED and not row.pending and not held
        return row.state == ItemState.POOLED and free_slot(before, row.needed) is not None

    def place(self, item: ItemNumber) -> dict[str, Any]:
        """The row of a lease on an allowed item, with why it is served."""
        row, lane, before = self.items[item], self.lanes[item], self.past.get(item, [])
        return {
            "project": self.grant.project,
            "item": item,
            "annotator": self.grant.annotator,
            "slot": review_slot(before) if lane is Lane.REVIEW else free_slot(before, row.needed),
            "state": AssignmentState.LEASED,
            "leased_at": self.grant.now,
            "expires_at": self.grant.expires_at,
            "served_rank": None,
            **self._why(row, lane, before),
        }

    def _why(self, row: Row[Any], lane: Lane, before: list[Assignment]) -> dict[str, Any]:
        if lane is Lane.REVIEW:
            return {"lane": lane, **dict.fromkeys(_WHY)}
        if row.planned_lane is not None:
            state = self.state
            planned = (state.round, state.model, state.strategy, row.score, row.probability, row.rank)
            return {"lane": row.planned_lane, **dict(zip(_WHY, planned, strict=True))}
        # Not in the serving round: an item that was started in an older one goes on for the reason it was started.
        started = next((one for one in before if one.round is not None), None)
        if started is None:
            return {"lane": lane, **dict.fromkeys(_WHY)}
        return {"lane": started.lane, **{name: getattr(started, name) for name in _WHY}}

    def number(self, connection: Session, picked: list[dict[str, Any]]) -> None:
        """Give each item that is served for the first time in its round its place in the order served."""
        serving = self.state.round
        fresh = [row for row in picked if serving is not None and row["round"] == serving and self._first(row["item"])]
        if not fresh:
            return
        found = _SERVED.one(connection, {"project": self.grant.project, "round": serving})
        following = dict(zip(Lane, found, strict=True))
        for row in fresh:
            row["served_rank"] = following[Lane(row["lane"])]
            following[Lane(row["lane"])] += 1

    def _first(self, item: int) -> bool:
        return not any(one.round == self.state.round for one in self.past.get(item, []))


def _look(connection: Session, grant: Grant) -> _Desk:
    numbers = list({candidate.item for candidate in grant.candidates})
    asked = {"project": grant.project, "annotator": grant.annotator, "now": grant.now}
    before = past(connection, grant.project, numbers, grant.now)
    state = (_STATE if grant.budget is None else _STATE_WITH_BUDGET).one(connection, asked)
    known = {"project": grant.project, "annotator": grant.annotator, "round": state.round, "items": numbers}
    rows = _ITEMS.rows(connection, known)
    return _Desk(grant=grant, state=state, items={row.number: row for row in rows}, past=before)


def _state(*, with_budget: bool) -> Any:
    """The project's serving round and spending, and the live leases: of the annotator, and of all that cost budget."""
    live = and_(_leases.c.project == bindparam("project"), text(tables.LIVE), _leases.c.expires_at > bindparam("now"))
    mine = select(func.count()).select_from(_leases).where(live, _leases.c.annotator == bindparam("annotator"))
    paid = select(func.count()).select_from(_leases).where(live, _leases.c.lane != Lane.REVIEW)
    serving = and_(_rounds.c.project == _projects.c.id, _rounds.c.number == _projects.c.round)
    return (
        select(
            _projects.c.round,
            _projects.c.spent,
            _rounds.c.model,
            _rounds.c.strategy,
            mine.scalar_subquery().label("mine"),
            (paid.scalar_subquery() if with_budget else literal(0)).label("live"),
        )
        .select_from(_projects.outerjoin(_rounds, serving))
        .where(_projects.c.id == bindparam("project"))
    )


def _candidates() -> Any:
    """The items proposed, what the serving round says of each, and whether the annotator has answered it."""
    planned = and_(
        _queries.c.project == bindparam("project"),
        _queries.c.round == bindparam("round"),
        _queries.c.item == _items.c.number,
    )
    answered = exists().where(
        _answers.c.project == bindparam("project"),
        _answers.c.item == _items.c.number,
        _answers.c.annotator == bindparam("annotator"),
    )
    shown = (_items.c.number, _items.c.key, _items.c.data, _items.c.state, _items.c.needed, _items.c.pending)
    why = (_queries.c.lane.label("planned_lane"), _queries.c.rank, _queries.c.score, _queries.c.probability)
    wanted = and_(_items.c.project == bindparam("project"), _items.c.number.in_(bindparam("items", expanding=True)))
    return (
        select(*shown, *why, answered.label("answered")).select_from(_items.outerjoin(_queries, planned)).where(wanted)
    )


def _served() -> Any:
    """Per lane, the next place in the order served of a round."""
    of_round = and_(
        _leases.c.project == bindparam("project"), _leases.c.round == bindparam("round"), text(tables.SERVED)
    )
    last = [select(func.max(_leases.c.served_rank)).where(of_round, _leases.c.lane == lane) for lane in Lane]
    return select(*(func.coalesce(one.scalar_subquery(), -1) + 1 for one in last))


# Built once: building a statement costs many times what the database needs to run it.
_STATE, _STATE_WITH_BUDGET = Prepared(_state(with_budget=False)), Prepared(_state(with_budget=True))
_ITEMS, _SERVED = Prepared(_candidates()), Prepared(_served())
_INSERT = Prepared(insert(_leases).returning(_leases.c.id, _leases.c.item))
