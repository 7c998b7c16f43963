"""The life of a lease after it was granted: renewed, released, skipped. Runs inside a group commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from labelloop.adapters.sql import assignments
from labelloop.adapters.sql.assignments import Assignment
from labelloop.adapters.sql.driver import Driver, statement
from labelloop.adapters.sql.tables import microseconds
from labelloop.domain.states import AssignmentState, Outcome
from labelloop.domain.types import UNKNOWN_LEASE, ItemNumber, LeaseId, LeaseOutcome, Subject

_TURN = frozenset({AssignmentState.LEASED, AssignmentState.DONE, AssignmentState.SKIPPED})
_RENEW = statement("UPDATE assignment SET expires_at = ? WHERE id IN [?]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """Give live leases a new end. One that is over stays over: somebody else may have its slot by now."""

    project: int
    annotator: Subject
    leases: Sequence[LeaseId]
    now: datetime
    expires_at: datetime

    def __call__(self, connection: Connection) -> list[LeaseOutcome]:
        """An outcome each, in order."""
        driver = Driver(connection)
        mine, _ = _load(driver, self)
        live = [one.id for one in mine.values() if one.live]
        if live:
            driver.run(_RENEW, microseconds(self.expires_at), live)
        return [self._say(lease, mine.get(lease)) for lease in self.leases]

    def _say(self, lease: LeaseId, known: Assignment | None) -> LeaseOutcome:
        if known is None:
            return LeaseOutcome(lease=str(lease), outcome=Outcome.REJECTED, reason=UNKNOWN_LEASE)
        item = ItemNumber(known.item)
        if known.live:
            return LeaseOutcome(lease=str(lease), outcome=Outcome.ACCEPTED, item=item, expires_at=self.expires_at)
        reason = f"the lease is {known.state}; an answer to it may still count"
        if known.state is AssignmentState.DONE:
            reason = "the lease is done: you answered it"
        return LeaseOutcome(lease=str(lease), outcome=Outcome.REJECTED, item=item, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Give leases back, released or skipped. A skip also holds when it comes after the lease was over."""

    project: int
    annotator: Subject
    leases: Sequence[LeaseId]
    now: datetime
    skip: bool

    def __call__(self, connection: Connection) -> list[LeaseOutcome]:
        """An outcome each, in order."""
        driver = Driver(connection)
        mine, past = _load(driver, self)
        changed: list[Assignment] = []
        outcomes = [self._close(lease, mine.get(lease), past, changed) for lease in self.leases]
        assignments.close(driver, changed, self.now)
        return outcomes

    def _close(
        self,
        lease: LeaseId,
        known: Assignment | None,
        past: dict[int, list[Assignment]],
        changed: list[Assignment],
    ) -> LeaseOutcome:
        if known is None:
            return LeaseOutcome(lease=str(lease), outcome=Outcome.REJECTED, reason=UNKNOWN_LEASE)
        item, target = ItemNumber(known.item), AssignmentState.SKIPPED if self.skip else AssignmentState.RELEASED
        if known.state is target:
            return LeaseOutcome(
                lease=str(lease), outcome=Outcome.DUPLICATE, item=item, reason=f"the lease is {target} already"
            )
        if known.state is AssignmentState.DONE:
            reason = "you answered it; an answer cannot be given back"
            return LeaseOutcome(lease=str(lease), outcome=Outcome.REJECTED, item=item, reason=reason)
        if known.live:
            known.state = target
            changed.append(known)
            return LeaseOutcome(lease=str(lease), outcome=Outcome.ACCEPTED, item=item)
        reason = f"the lease was {known.state} already"
        if self.skip:
            self._skip_after(known, past[known.item], changed)
        return LeaseOutcome(lease=str(lease), outcome=Outcome.LATE, item=item, reason=reason)

    def _skip_after(self, known: Assignment, past: list[Assignment], changed: list[Assignment]) -> None:
        """Skip by an old lease: a newer lease of the annotator on the same item is skipped in its place."""
        turn = next((one for one in past if one.annotator == self.annotator and one.state in _TURN), None)
        if turn is None or turn.live:
            chosen = turn or known
            chosen.state = AssignmentState.SKIPPED
            changed.append(chosen)


def _load(driver: Driver, request: Renewal | Closing) -> tuple[dict[int, Assignment], dict[int, list[Assignment]]]:
    """The annotator's leases by id, and everything that happened to their items."""
    mine = assignments.own(driver, request.project, request.annotator, request.leases)
    past = assignments.past(driver, request.project, set(mine.values()), request.now)
    return {one.id: one for rows in past.values() for one in rows if one.id in mine}, past
