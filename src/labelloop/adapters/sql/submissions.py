"""Recording answers: what each comes to, and the rows that say so. Runs inside a group commit."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, insert, select, update

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.grants import expire, free_slot, past_of, review_slot
from labelloop.domain.errors import IdempotencyMismatch
from labelloop.domain.states import AssignmentState, ItemState, Lane, Outcome, Role
from labelloop.domain.types import Answer, ItemNumber, LeaseId, LeaseOutcome, Subject

_items, _projects, _leases = tables.item, tables.project, tables.assignment
_answers, _replies = tables.annotation, tables.reply
UNKNOWN = "no such lease of yours; ask for a new batch"
MOST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One body of answers by one annotator."""

    project: int
    annotator: Subject
    answers: Sequence[Answer | LeaseOutcome]
    now: datetime
    role: Role
    idempotency: tuple[str, str] | None

    def __call__(self, connection: Connection) -> tuple[list[LeaseOutcome], bool]:
        """Write the answers and the reply; True when the reply was there already."""
        stored = self._replay(connection)
        if stored is not None:
            return stored, True
        desk = _look(connection, self)
        outcomes = [a if isinstance(a, LeaseOutcome) else desk.take(a) for a in self.answers]
        desk.write(connection)
        if self.idempotency is not None:
            self._keep(connection, outcomes)
        return outcomes, False

    def _replay(self, connection: Connection) -> list[LeaseOutcome] | None:
        if self.idempotency is None:
            return None
        key, digest = self.idempotency
        mine = and_(_replies.c.project == self.project, _replies.c.subject == self.annotator, _replies.c.key == key)
        row = connection.execute(select(_replies.c.digest, _replies.c.body).where(mine)).one_or_none()
        if row is None:
            return None
        if row.digest != digest:
            raise IdempotencyMismatch(
                f"The Idempotency-Key {key!r} was used before with another body. Use a new key for a new request.",
                key=key,
            )
        return [_outcome(entry) for entry in row.body]

    def _keep(self, connection: Connection, outcomes: list[LeaseOutcome]) -> None:
        key, digest = self.idempotency or ("", "")
        row = {"project": self.project, "subject": self.annotator, "key": key, "digest": digest}
        body = [asdict(outcome) for outcome in outcomes]
        connection.execute(insert(_replies).values(**row, body=body, created_at=self.now))


@dataclass(slots=True)
class _Open:
    """An item while the answers of one body are taken: it changes with each of them."""

    row: Row[Any]
    past: list[Any]
    answered: bool
    votes: int
    reviewed: bool = False
    spent: int = 0


@dataclass(slots=True)
class _Assignment:
    """An assignment while it changes."""

    id: int
    item: int
    annotator: str
    slot: int
    state: str
    lane: str


@dataclass(slots=True, kw_only=True)
class _Desk:
    """Takes answers one by one against what the store says, and collects what has to be written."""

    request: Submission
    leases: dict[int, _Assignment]
    items: dict[int, _Open]
    freed: list[dict[str, Any]] = field(default_factory=list)
    done: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)

    def take(self, answer: Answer) -> LeaseOutcome:
        """What this answer comes to."""
        lease = self.leases.get(answer.lease)
        if lease is None:
            return LeaseOutcome(lease=str(answer.lease), outcome=Outcome.REJECTED, reason=UNKNOWN)
        item, number = self.items[lease.item], ItemNumber(lease.item)
        if item.answered:
            again = "you answered this item before; the first answer stands"
            return LeaseOutcome(lease=str(lease.id), outcome=Outcome.DUPLICATE, item=number, reason=again)
        outcome, reason = self._review(lease, item) if lease.lane == Lane.REVIEW else self._vote(lease, item)
        self._annotate(lease, answer, outcome)
        item.answered = True
        return LeaseOutcome(lease=str(lease.id), outcome=outcome, item=number, reason=reason)

    def _vote(self, lease: _Assignment, item: _Open) -> tuple[Outcome, str | None]:
        alive = lease.state == AssignmentState.LEASED
        if item.row.state != ItemState.POOLED:
            if alive:
                self._finish(lease, lease.slot)
            return Outcome.SURPLUS, f"the item is {item.row.state} already"
        if alive:
            outcome, slot = Outcome.ACCEPTED, lease.slot
        else:
            newer = self._newer(lease, item)
            free = free_slot(item.past, item.row.needed) if newer is None else newer.slot
            if free is None:
                return Outcome.SURPLUS, "the lease was over and others have answered meanwhile"
            outcome, slot = Outcome.LATE, free
        self._finish(lease, slot)
        item.votes += 1
        item.spent += 1
        return outcome, None

    def _review(self, lease: _Assignment, item: _Open) -> tuple[Outcome, str | None]:
        alive = lease.state == AssignmentState.LEASED
        open_ = item.row.state == ItemState.DISPUTED and not item.row.pending
        newer = None if alive else self._newer(lease, item)
        held = any(p.state == AssignmentState.LEASED and p.slot >= tables.REVIEW_SLOT for p in item.past)
        if not open_ or not self.request.role.covers(Role.REVIEWER) or (held and not alive):
            if alive:
                self._finish(lease, lease.slot)
            return Outcome.SURPLUS, "a reviewer has decided this item, or has it now"
        self._finish(lease, lease.slot if alive else newer.slot if newer else review_slot(item.past))
        item.votes += 1
        item.reviewed = True
        return (Outcome.ACCEPTED if alive else Outcome.LATE), None

    def _newer(self, lease: _Assignment, item: _Open) -> _Assignment | None:
        """Close the lease that this annotator took later on the same item; its slot serves the answer."""
        for other in item.past:
            if other.annotator == lease.annotator and other.state == AssignmentState.LEASED and other.id != lease.id:
                other.state = AssignmentState.RELEASED
                self.freed.append({"_id": other.id, "_state": AssignmentState.RELEASED, "_now": self.request.now})
                newer: _Assignment = other
                return newer
        return None

    def _finish(self, lease: _Assignment, slot: int) -> None:
        lease.state, lease.slot = AssignmentState.DONE, slot
        self.done.append({"_id": lease.id, "_slot": slot, "_now": self.request.now})

    def _annotate(self, lease: _Assignment, answer: Answer, outcome: Outcome) -> None:
        counted = outcome is not Outcome.SURPLUS
        self.annotations.append(
            {
                "project": self.request.project,
                "item": lease.item,
                "annotator": self.request.annotator,
                "assignment": lease.id,
                "value": answer.value,
                "label": answer.label,
                "result": answer.result,
                "seconds": answer.seconds,
                # PostgreSQL keeps no NUL in text.
                "comment": None if answer.comment is None else answer.comment.replace("\x00", "\ufffd"),
                "outcome": outcome,
                "counted": int(counted),
                "role": self.request.role if counted and lease.lane == Lane.REVIEW else Role.ANNOTATOR,
                "created_at": self.request.now,
            }
        )

    def write(self, connection: Connection) -> None:
        """Everything that changed; slots are freed before they are taken again."""
        own = _leases.c.id == bindparam("_id")
        if self.freed:
            closing = update(_leases).where(own)
            connection.execute(closing.values(state=bindparam("_state"), closed_at=bindparam("_now")), self.freed)
        if self.done:
            finished = {"state": AssignmentState.DONE, "slot": bindparam("_slot"), "closed_at": bindparam("_now")}
            connection.execute(update(_leases).where(own).values(finished), self.done)
        if self.annotations:
            connection.execute(insert(_answers), self.annotations)
        self._count(connection)

    def _count(self, connection: Connection) -> None:
        changed = [
            {"_item": number, "_votes": item.votes, "_pending": int(item.reviewed or item.votes >= item.row.needed)}
            for number, item in self.items.items()
            if item.votes != item.row.votes
        ]
        if changed:
            own = and_(_items.c.project == self.request.project, _items.c.number == bindparam("_item"))
            counts: dict[str, Any] = {"votes": bindparam("_votes"), "pending": bindparam("_pending")}
            connection.execute(update(_items).where(own).values(counts), changed)
        spent = sum(item.spent for item in self.items.values())
        if spent:
            project = update(_projects).where(_projects.c.id == self.request.project)
            connection.execute(project.values(spent=_projects.c.spent + spent))


def _look(connection: Connection, request: Submission) -> _Desk:
    asked = [answer.lease for answer in request.answers if isinstance(answer, Answer)]
    found = leases_of(connection, request.project, request.annotator, asked)
    numbers = sorted({row.item for row in found})
    if not numbers:
        return _Desk(request=request, leases={}, items={})
    expire(connection, request.project, request.now, items=numbers)
    past = past_of(connection, request.project, numbers)
    everyone = {
        item: [_Assignment(row.id, item, row.annotator, row.slot, row.state, row.lane) for row in rows]
        for item, rows in past.items()
    }
    mine = and_(_answers.c.project == request.project, _answers.c.item.in_(numbers))
    answered = set(
        connection.execute(select(_answers.c.item).where(mine, _answers.c.annotator == request.annotator)).scalars()
    )
    shown = (_items.c.number, _items.c.state, _items.c.needed, _items.c.votes, _items.c.pending)
    own = and_(_items.c.project == request.project, _items.c.number.in_(numbers))
    rows = connection.execute(select(*shown).where(own)).all()
    wanted = {row.id for row in found}
    return _Desk(
        request=request,
        leases={one.id: one for rows in everyone.values() for one in rows if one.id in wanted},
        items={row.number: _Open(row, everyone[row.number], row.number in answered, row.votes) for row in rows},
    )


def leases_of(connection: Connection, project: int, annotator: Subject, ids: Sequence[LeaseId]) -> Sequence[Row[Any]]:
    """Those of these assignments that are the annotator's own."""
    possible = [one for one in ids if 0 < one <= MOST_ID]
    mine = and_(_leases.c.project == project, _leases.c.annotator == annotator, _leases.c.id.in_(possible))
    return connection.execute(select(_leases).where(mine)).all()


def _outcome(entry: dict[str, Any]) -> LeaseOutcome:
    return LeaseOutcome(
        lease=entry["lease"],
        outcome=Outcome(entry["outcome"]),
        item=None if entry["item"] is None else ItemNumber(entry["item"]),
        reason=entry["reason"],
    )
