"""Assignments as the writers of dispatch see them: what happened to an item so far, and which slots are free."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.driver import Driver, statement
from labelloop.adapters.sql.tables import microseconds
from labelloop.domain.states import AssignmentState, Lane
from labelloop.domain.types import LeaseId, Subject

MOST_ID = 2**63 - 1
_HOLDING = frozenset({AssignmentState.LEASED, AssignmentState.DONE})


@dataclass(slots=True)
class Assignment:
    """One row of the table, while an operation changes it; from `round` on it says why the item was served."""

    id: int
    item: int
    annotator: str
    slot: int
    state: AssignmentState
    lane: Lane
    round: int | None = None
    model: int | None = None
    strategy: str | None = None
    score: float | None = None
    probability: float | None = None
    planned_rank: int | None = None
    served_rank: int | None = None

    @property
    def live(self) -> bool:
        """Whether it is held now (`past` has marked those whose time is over)."""
        return self.state is AssignmentState.LEASED

    @property
    def reviewing(self) -> bool:
        """Whether its slot is a reviewer's."""
        return self.slot >= tables.REVIEW_SLOT


_PAST = statement(
    "SELECT id, item, annotator, slot, state, lane, round, model, strategy, score, probability, planned_rank,"
    " served_rank, expires_at FROM assignment WHERE project = ? AND item IN [?] ORDER BY id"
)
_EXPIRE = "UPDATE assignment SET state = 'expired', closed_at = ? WHERE project = ? AND state = 'leased'"
_EXPIRE_ALL = statement(f"{_EXPIRE} AND expires_at <= ?")
_EXPIRE_ITEMS = statement(f"{_EXPIRE} AND expires_at <= ? AND item IN [?]")
_OWN = statement("SELECT id, item FROM assignment WHERE project = ? AND annotator = ? AND id IN [?]")
_CLOSE = statement("UPDATE assignment SET state = ?, closed_at = ? WHERE id IN [?]")
_CLOSE_IN = statement("UPDATE assignment SET state = ?, closed_at = ?, slot = ? WHERE id = ?")


def past(driver: Driver, project: int, items: Iterable[int], now: datetime) -> dict[int, list[Assignment]]:
    """Every assignment of these items, oldest first. Leases whose time is over are marked, in the store too."""
    found: dict[int, list[Assignment]] = defaultdict(list)
    asked, moment, over = list(items), microseconds(now), set[int]()
    for *row, expires_at in driver.rows(_PAST, project, asked) if asked else ():
        one = Assignment(*row)
        one.state, one.lane = AssignmentState(one.state), Lane(one.lane)
        if one.live and expires_at <= moment:
            one.state = AssignmentState.EXPIRED
            over.add(one.item)
        found[one.item].append(one)
    if over:
        driver.run(_EXPIRE_ITEMS, moment, project, moment, sorted(over))
    return found


def expire(driver: Driver, project: int, now: datetime) -> int:
    """Mark all leases of the project whose time is over. Returns how many."""
    moment = microseconds(now)
    return driver.run(_EXPIRE_ALL, moment, project, moment)


def own(driver: Driver, project: int, annotator: Subject, ids: Sequence[LeaseId]) -> dict[int, int]:
    """Which of these leases are the annotator's: id → item."""
    asked = [one for one in ids if 0 < one <= MOST_ID]
    return dict(driver.rows(_OWN, project, annotator, asked)) if asked else {}


def close(driver: Driver, changed: Iterable[Assignment], now: datetime, *, moved: Iterable[Assignment] = ()) -> None:
    """Write the state of assignments that ended, and also the slot of those that `moved`."""
    by_state: dict[AssignmentState, list[int]] = defaultdict(list)
    for one in changed:
        by_state[one.state].append(one.id)
    moment = microseconds(now)
    for state, ids in by_state.items():
        driver.run(_CLOSE, state.value, moment, ids)
    for one in moved:
        driver.run(_CLOSE_IN, one.state.value, moment, one.slot, one.id)


def free_slot(past_of_item: Iterable[Assignment], needed: int) -> int | None:
    """The lowest vote slot that nobody holds or has used."""
    used = {one.slot for one in past_of_item if one.state in _HOLDING}
    return next((slot for slot in range(needed) if slot not in used), None)


def review_slot(past_of_item: Iterable[Assignment]) -> int:
    """The lowest free slot of the reviewers, above all vote slots."""
    used = {one.slot for one in past_of_item if one.state in _HOLDING}
    return next(slot for slot in range(tables.REVIEW_SLOT, 2**15) if slot not in used)
