"""Granting leases: which proposed candidates the rules allow, and why each was served. Runs inside a group commit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import orjson
from sqlalchemy import Connection

from labelloop.adapters.sql import requirements
from labelloop.adapters.sql.assignments import Assignment, free_slot, past, review_slot
from labelloop.adapters.sql.driver import Driver, inserting, statement
from labelloop.adapters.sql.tables import microseconds
from labelloop.domain.skills import Skills
from labelloop.domain.states import AssignmentState, Bound, ItemState, Lane
from labelloop.domain.types import Candidate, Granted, ItemNumber, Lease, LeaseId, Proposal

_TURN = frozenset({AssignmentState.LEASED, AssignmentState.DONE, AssignmentState.SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """What is proposed to several annotators of a project at once; in order, so that who comes first is served first.

    `most` bounds each annotator's open leases, `budget` counted votes plus live leases of the project.
    """

    project: int
    proposals: Sequence[Proposal]
    now: datetime
    expires_at: datetime
    most: int
    budget: int | None

    def __call__(self, connection: Connection) -> list[Granted]:
        """Write the leases; a number of statements that does not grow with the proposals or their candidates."""
        driver = Driver(connection)
        desk = _look(connection, driver, self)
        placed = [[desk.place(one, proposal) for one in desk.affordable(proposal)] for proposal in self.proposals]
        new = [one for batch in placed for one in batch]
        if new:
            desk.rank(driver, new)
            _write(driver, self, new)
        return [
            Granted(
                leases=[self._lease(one, desk.items[one.item]) for one in batch],
                bound=desk.bounds.get(proposal.annotator),
            )
            for proposal, batch in zip(self.proposals, placed, strict=True)
        ]

    def _lease(self, one: Assignment, item: "_Item") -> Lease:
        return Lease(
            id=LeaseId(one.id),
            item=ItemNumber(one.item),
            key=item.key,
            data=orjson.loads(item.data),
            lane=one.lane,
            expires_at=self.expires_at,
        )


class _Item(NamedTuple):
    """A proposed item."""

    number: int
    key: str
    data: str
    state: str
    needed: int
    pending: int
    requires: int


class _Plan(NamedTuple):
    """What the serving round says of an item."""

    item: int
    lane: str
    rank: int
    score: float
    probability: float


class _Project(NamedTuple):
    """The serving round, and what counts against the budget so far."""

    round: int | None
    spent: int
    model: int | None
    strategy: str | None


@dataclass(slots=True, kw_only=True)
class _Desk:
    """All that is known when leases are granted; it changes with each of them."""

    grants: Grants
    project: _Project
    items: dict[int, _Item]
    plans: dict[int, _Plan]
    past: dict[int, list[Assignment]]
    answered: set[tuple[int, str]]
    open_leases: dict[str, int]
    left: int | None
    requirements: Sequence[Skills]
    bounds: dict[str, Bound] = field(default_factory=dict)
    fresh: set[int] = field(init=False)

    def __post_init__(self) -> None:
        serving = self.project.round
        served = {item for item, rows in self.past.items() if any(one.round == serving for one in rows)}
        self.fresh = set(self.items) - served

    def affordable(self, proposal: Proposal) -> Iterable[Candidate]:
        """Candidates in order, as long as the annotator's share and the budget last; reviews cost no budget."""
        mine = proposal.annotator
        for one in {candidate.item: candidate for candidate in proposal.candidates}.values():
            if self.open_leases.get(mine, 0) >= self.grants.most:
                self.bounds[mine] = Bound.MOST
                return
            if not self._allowed(one, proposal):
                continue
            if one.lane is not Lane.REVIEW and self.left is not None:
                if self.left <= 0:
                    self.bounds[mine] = Bound.BUDGET
                    continue
                self.left -= 1
            self.open_leases[mine] = self.open_leases.get(mine, 0) + 1
            yield one

    def _allowed(self, one: Candidate, proposal: Proposal) -> bool:
        """Whether the item is open, has a free slot, and this annotator has its skills and has not had it."""
        row, annotator = self.items.get(one.item), proposal.annotator
        if row is None or (one.item, annotator) in self.answered:
            return False
        if row.requires and not self.requirements[row.requires - 1] <= proposal.skills:
            return False
        before = self.past.get(one.item, ())
        if any(other.annotator == annotator and other.state in _TURN for other in before):
            return False
        if one.lane is Lane.REVIEW:
            held = any(other.live and other.reviewing for other in before)
            return row.state == ItemState.DISPUTED and not row.pending and not held
        return row.state == ItemState.POOLED and free_slot(before, row.needed) is not None

    def place(self, one: Candidate, proposal: Proposal) -> Assignment:
        """The lease of an allowed item, with why it is served; from here on the item has it in its past."""
        row, before = self.items[one.item], self.past.setdefault(one.item, [])
        slot = review_slot(before) if one.lane is Lane.REVIEW else free_slot(before, row.needed)
        new = Assignment(
            id=0,
            item=one.item,
            annotator=proposal.annotator,
            slot=slot or 0,
            state=AssignmentState.LEASED,
            lane=one.lane,
        )
        if one.lane is not Lane.REVIEW:
            self._say_why(new, before)
        before.append(new)
        return new

    def _say_why(self, new: Assignment, before: list[Assignment]) -> None:
        planned = self.plans.get(new.item)
        if planned is not None:
            project = self.project
            new.lane, new.round, new.model, new.strategy = (
                Lane(planned.lane),
                project.round,
                project.model,
                project.strategy,
            )
            new.score, new.probability, new.planned_rank = planned.score, planned.probability, planned.rank
            return
        # Not in the serving round: an item that was started in an older one goes on for the reason it was started.
        started = next((one for one in before if one.round is not None), None)
        if started is not None:
            new.lane, new.round, new.model, new.strategy = started.lane, started.round, started.model, started.strategy
            new.score, new.probability, new.planned_rank = started.score, started.probability, started.planned_rank

    def rank(self, driver: Driver, new: Sequence[Assignment]) -> None:
        """Give each item that is served for the first time in its round its place in the order served."""
        serving, following = self.project.round, dict[Lane, int]()
        for one in new:
            if serving is None or one.round != serving or one.item not in self.fresh:
                continue
            self.fresh.discard(one.item)
            if one.lane not in following:
                last = driver.rows(_SERVED, self.grants.project, serving, one.lane.value)[0][0]
                following[one.lane] = 0 if last is None else last + 1
            one.served_rank = following[one.lane]
            following[one.lane] += 1


def _look(connection: Connection, driver: Driver, grants: Grants) -> _Desk:
    project, moment = grants.project, microseconds(grants.now)
    numbers = list({one.item for proposal in grants.proposals for one in proposal.candidates})
    before = past(driver, project, numbers, grants.now)
    known = _Project(*driver.rows(_PROJECT, project)[0])
    left = None
    if grants.budget is not None:
        left = grants.budget - known.spent - driver.rows(_PAID, project, moment)[0][0]
    annotators = list({proposal.annotator for proposal in grants.proposals})
    items = {row[0]: _Item(*row) for row in driver.rows(_ITEMS, project, numbers)}
    return _Desk(
        grants=grants,
        project=known,
        items=items,
        plans={row[0]: _Plan(*row) for row in driver.rows(_PLANS, project, known.round, numbers)},
        past=before,
        answered=set(driver.rows(_ANSWERED, project, numbers)),
        open_leases=dict(driver.rows(_OPEN, project, moment, annotators)),
        left=left,
        requirements=requirements.known(connection, project) if any(row.requires for row in items.values()) else (),
    )


def _write(driver: Driver, grants: Grants, new: Sequence[Assignment]) -> None:
    if driver.sqlite:
        # Nobody else writes meanwhile, so the next ids are known before the rows are there.
        last = driver.rows(_LAST_ID)
        ids: Iterable[int] = range((last[0][0] if last else 0) + 1, 2**63 - 1)
    else:
        ids = (row[0] for row in driver.rows(_NEXT_IDS, len(new)))
    began, ends = microseconds(grants.now), microseconds(grants.expires_at)
    rows = []
    for one, number in zip(new, ids, strict=False):
        one.id = number
        why = (one.round, one.model, one.strategy, one.score, one.probability, one.planned_rank, one.served_rank)
        who = (number, grants.project, one.item, one.annotator, one.slot)
        rows.append((*who, one.state.value, one.lane.value, *why, began, ends))
    driver.add(_INSERT, rows)


_PROJECT = statement(
    "SELECT p.round, p.spent, r.model, r.strategy FROM project p"
    " LEFT JOIN round r ON r.project = p.id AND r.number = p.round WHERE p.id = ?"
)
_PAID = statement(
    "SELECT count(*) FROM assignment WHERE project = ? AND state = 'leased' AND expires_at > ? AND lane <> 'review'"
)
_OPEN = statement(
    "SELECT annotator, count(*) FROM assignment"
    " WHERE project = ? AND state = 'leased' AND expires_at > ? AND annotator IN [?] GROUP BY annotator"
)
_ITEMS = statement(
    "SELECT number, key, data, state, needed, pending, requires FROM item WHERE project = ? AND number IN [?]"
)
# On its own: joined to the items, PostgreSQL may read the whole round.
_PLANS = statement(
    "SELECT item, lane, rank, score, probability FROM query WHERE project = ? AND round = ? AND item IN [?]"
)
_ANSWERED = statement("SELECT item, annotator FROM annotation WHERE project = ? AND item IN [?]")
_SERVED = statement(
    "SELECT max(served_rank) FROM assignment WHERE project = ? AND round = ? AND lane = ? AND served_rank IS NOT NULL"
)
_LAST_ID = statement("SELECT seq FROM sqlite_sequence WHERE name = 'assignment'")
_NEXT_IDS = statement("SELECT nextval('assignment_id_seq') FROM generate_series(1, ?)")
_INSERT = inserting(
    "assignment",
    *("id", "project", "item", "annotator", "slot", "state", "lane", "round", "model", "strategy", "score"),
    *("probability", "planned_rank", "served_rank", "leased_at", "expires_at"),
)
