"""The life of a lease after it was granted: renewed, released, skipped. Runs inside a group commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, update

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.grants import past_of
from labelloop.adapters.sql.submissions import UNKNOWN, leases_of
from labelloop.domain.states import AssignmentState, Outcome
from labelloop.domain.types import ItemNumber, LeaseId, LeaseOutcome, Subject

_leases = tables.assignment


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
        found = {row.id: row for row in leases_of(connection, self.project, self.annotator, self.leases)}
        live = {one for one, row in found.items() if _alive(row, self.now)}
        if live:
            renewed = update(_leases).where(_leases.c.id.in_(sorted(live)))
            connection.execute(renewed.values(expires_at=self.expires_at))
        return [self._say(lease, found.get(lease), alive=lease in live) for lease in self.leases]

    def _say(self, lease: LeaseId, row: Row[Any] | None, *, alive: bool) -> LeaseOutcome:
        if row is None:
            return LeaseOutcome(lease=str(lease), outcome=Outcome.REJECTED, reason=UNKNOWN)
        item = ItemNumber(row.item)
        if alive:
            return LeaseOutcome(lease=str(lease), outcome=Outcome.ACCEPTED, item=item, expires_at=self.expires_at)
        state = AssignmentState.EXPIRED if row.state == AssignmentState.LEASED else row.state
        reason = f"the lease is {state}; an answer to it may still count"
        if state == AssignmentState.DONE:
            reason = "the lease is done: you answered it"
        return LeaseOutcome(lease=str(lease), outcome=Outcome.REJECTED, item=item, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Give leases back, released or skipped. A skip also holds for a lease that is over."""

    project: int
    annotator: Subject
    leases: Sequence[LeaseId]
    now: datetime
    skip: bool

    def __call__(self, connection: Connection) -> list[LeaseOutcome]:
        """An outcome each, in order."""
        found = {row.id: row for row in leases_of(connection, self.project, self.annotator, self.leases)}
        past = past_of(connection, self.project, {row.item for row in found.values()}) if self.skip else {}
        turns = {row.item: row for rows in past.values() for row in rows if self._turn(row)}
        changes: dict[int, dict[str, Any]] = {}
        outcomes = [self._close(lease, found.get(lease), turns, changes) for lease in self.leases]
        if changes:
            closing = update(_leases).where(_leases.c.id == bindparam("_id"))
            values: dict[str, Any] = {"state": bindparam("_state"), "closed_at": bindparam("_now")}
            connection.execute(closing.values(values), list(changes.values()))
        return outcomes

    def _turn(self, row: Row[Any]) -> bool:
        taken = {AssignmentState.LEASED, AssignmentState.DONE, AssignmentState.SKIPPED}
        return row.annotator == self.annotator and row.state in taken

    def _close(
        self, lease: LeaseId, row: Row[Any] | None, turns: dict[int, Row[Any]], changes: dict[int, dict[str, Any]]
    ) -> LeaseOutcome:
        if row is None:
            return LeaseOutcome(lease=str(lease), outcome=Outcome.REJECTED, reason=UNKNOWN)
        item, target = ItemNumber(row.item), AssignmentState.SKIPPED if self.skip else AssignmentState.RELEASED
        if row.state == target or row.id in changes:
            return LeaseOutcome(
                lease=str(lease), outcome=Outcome.DUPLICATE, item=item, reason=f"it is {target} already"
            )
        if row.state == AssignmentState.DONE:
            reason = "you answered it; an answer cannot be given back"
            return LeaseOutcome(lease=str(lease), outcome=Outcome.REJECTED, item=item, reason=reason)
        if row.state == AssignmentState.LEASED:
            changes[row.id] = self._change(row.id, target)
            outcome = Outcome.ACCEPTED if _alive(row, self.now) else Outcome.LATE
            return LeaseOutcome(lease=str(lease), outcome=outcome, item=item)
        if self.skip:
            self._skip_after(row, turns.get(row.item), changes)
        return LeaseOutcome(lease=str(lease), outcome=Outcome.LATE, item=item, reason=f"the lease was {row.state}")

    def _skip_after(self, row: Row[Any], turn: Row[Any] | None, changes: dict[int, dict[str, Any]]) -> None:
        """Skip by an old lease: the annotator's newer lease of the item is skipped in its place."""
        if turn is None:
            changes[row.id] = self._change(row.id, AssignmentState.SKIPPED)
        elif turn.state == AssignmentState.LEASED:
            changes[turn.id] = self._change(turn.id, AssignmentState.SKIPPED)

    def _change(self, lease: int, state: AssignmentState) -> dict[str, Any]:
        return {"_id": lease, "_state": state, "_now": self.now}


def _alive(row: Row[Any], now: datetime) -> bool:
    return bool(row.state == AssignmentState.LEASED and row.expires_at > now)
