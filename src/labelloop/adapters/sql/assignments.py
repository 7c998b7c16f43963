"""Assignments as the writers of dispatch see them: what happened to an item so far, and which slots are free.

Statements are built once: building one costs many times what the database needs to run it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, select, text, update

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.database import chunks
from labelloop.adapters.sql.prepared import Prepared, Session
from labelloop.domain.states import AssignmentState, Lane
from labelloop.domain.types import LeaseId, Subject

UNKNOWN = "no such lease of yours; ask for a new batch"
MOST_ID = 2**63 - 1
_HOLDING = frozenset({AssignmentState.LEASED, AssignmentState.DONE})
_leases = tables.assignment


@dataclass(slots=True)
class Assignment:
    """One row of the table, while an operation changes it."""

    id: int
    item: int
    annotator: str
    slot: int
    state: AssignmentState
    lane: Lane
    expires_at: datetime
    round: int | None
    model: int | None
    strategy: str | None
    score: float | None
    probability: float | None
    planned_rank: int | None

    @property
    def live(self) -> bool:
        """Whether it is held now (`past` has marked those whose time is over)."""
        return self.state is AssignmentState.LEASED

    @property
    def reviewing(self) -> bool:
        """Whether its slot is a reviewer's."""
        return self.slot >= tables.REVIEW_SLOT


_COLUMNS = tuple(_leases.c[name] for name in Assignment.__dataclass_fields__)
_PAST = Prepared(
    select(*_COLUMNS)
    .where(_leases.c.project == bindparam("project"), _leases.c.item.in_(bindparam("items", expanding=True)))
    .order_by(_leases.c.id)
)
# In an UPDATE a parameter may not be named like a column, hence the underscores.
_OVER = and_(_leases.c.project == bindparam("_project"), text(tables.LIVE), _leases.c.expires_at <= bindparam("_now"))
_EXPIRED: dict[str, Any] = {"state": AssignmentState.EXPIRED, "closed_at": bindparam("_now", type_=tables.Instant())}
_EXPIRE = Prepared(update(_leases).where(_OVER).values(_EXPIRED))
_EXPIRE_ITEMS = Prepared(
    update(_leases).where(_OVER, _leases.c.item.in_(bindparam("_items", expanding=True))).values(_EXPIRED)
)
_OWN = Prepared(
    select(_leases.c.id, _leases.c.item, _leases.c.annotator, _leases.c.project).where(
        _leases.c.id.in_(bindparam("ids", expanding=True))
    )
)
_CLOSED: dict[str, Any] = {
    "state": bindparam("_state"),
    "slot": bindparam("_slot"),
    "closed_at": bindparam("_now", type_=tables.Instant()),
}
_CLOSE = Prepared(update(_leases).where(_leases.c.id == bindparam("_id")).values(_CLOSED))


def past(connection: Session, project: int, items: Iterable[int], now: datetime) -> dict[int, list[Assignment]]:
    """Every assignment of these items, oldest first. Leases whose time is over are marked, in the store too."""
    found: dict[int, list[Assignment]] = defaultdict(list)
    for chunk in chunks(items):
        over = set()
        for row in _PAST.rows(connection, {"project": project, "items": chunk}):
            one = Assignment(*row)
            one.state, one.lane = AssignmentState(one.state), Lane(one.lane)
            if one.live and one.expires_at <= now:
                one.state = AssignmentState.EXPIRED
                over.add(one.item)
            found[one.item].append(one)
        if over:
            _EXPIRE_ITEMS.run(connection, {"_project": project, "_now": now, "_items": sorted(over)})
    return found


def expire(connection: Session, project: int, now: datetime) -> int:
    """Mark all leases of the project whose time is over. Returns how many."""
    return _EXPIRE.run(connection, {"_project": project, "_now": now})


def own(connection: Session, project: int, annotator: Subject, ids: Sequence[LeaseId]) -> dict[int, int]:
    """Which of these leases are the annotator's: id → item."""
    found: dict[int, int] = {}
    for chunk in chunks(one for one in ids if 0 < one <= MOST_ID):
        # By number alone, which is the primary key; whose they are is looked at here.
        rows = _OWN.rows(connection, {"ids": chunk})
        found.update((row.id, row.item) for row in rows if row.annotator == annotator and row.project == project)
    return found


def close(connection: Session, changed: Iterable[Assignment], now: datetime) -> None:
    """Write the state and slot of assignments that ended."""
    rows = [{"_id": one.id, "_state": one.state, "_slot": one.slot, "_now": now} for one in changed]
    if rows:
        _CLOSE.many(connection, rows)


def free_slot(past_of_item: Iterable[Assignment], needed: int) -> int | None:
    """The lowest vote slot that nobody holds or has used."""
    used = {one.slot for one in past_of_item if one.state in _HOLDING}
    return next((slot for slot in range(needed) if slot not in used), None)


def review_slot(past_of_item: Iterable[Assignment]) -> int:
    """The lowest free slot of the reviewers, above all vote slots."""
    used = {one.slot for one in past_of_item if one.state in _HOLDING}
    return next(slot for slot in range(tables.REVIEW_SLOT, 2**15) if slot not in used)
