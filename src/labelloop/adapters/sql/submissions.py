"""Recording answers: what each comes to, and the rows that say so. Runs inside a group commit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, exists, insert, select, update

from labelloop.adapters.sql import assignments, tables
from labelloop.adapters.sql.assignments import UNKNOWN, Assignment, free_slot, review_slot
from labelloop.adapters.sql.database import chunks
from labelloop.adapters.sql.prepared import Prepared, Session
from labelloop.domain.errors import IdempotencyMismatch
from labelloop.domain.states import AssignmentState, ItemState, Lane, Outcome, Role
from labelloop.domain.types import Answer, ItemNumber, LeaseOutcome, Subject

_items, _projects = tables.item, tables.project
_answers, _replies = tables.annotation, tables.reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One body of answers by one annotator."""

    project: int
    annotator: Subject
    answers: Sequence[Answer | LeaseOutcome]
    now: datetime
    role: Role
    idempotency: tuple[str, str] | None

    def __call__(self, connection: Session) -> tuple[list[LeaseOutcome], bool]:
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

    def _replay(self, connection: Session) -> list[LeaseOutcome] | None:
        if self.idempotency is None:
            return None
        key, digest = self.idempotency
        asked = {"project": self.project, "subject": self.annotator, "key": key}
        found = _REPLY.rows(connection, asked)
        if not found:
            return None
        (row,) = found
        if row.digest != digest:
            raise IdempotencyMismatch(
                f"The Idempotency-Key {key!r} was used before with another body. Use a new key for a new request.",
                key=key,
            )
        return [_outcome(entry) for entry in row.body]

    def _keep(self, connection: Session, outcomes: list[LeaseOutcome]) -> None:
        key, digest = self.idempotency or ("", "")
        row = {"project": self.project, "subject": self.annotator, "key": key, "digest": digest}
        body = [_entry(outcome) for outcome in outcomes]
        _KEEP.many(connection, [{**row, "body": body, "created_at": self.now}])


@dataclass(slots=True)
class _Open:
    """An item while the answers of one body are taken: it changes with each of them."""

    row: Row[Any]
    past: list[Assignment]
    answered: bool
    votes: int
    reviewed: bool = False
    spent: int = 0


@dataclass(slots=True, kw_only=True)
class _Desk:
    """Takes answers one by one against what the store says, and collects what has to be written."""

    request: Submission
    leases: dict[int, Assignment]
    items: dict[int, _Open]
    freed: list[Assignment] = field(default_factory=list)
    done: list[Assignment] = field(default_factory=list)
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
        outcome, reason = self._review(lease, item) if lease.lane is Lane.REVIEW else self._vote(lease, item)
        self._annotate(lease, answer, outcome)
        item.answered = True
        return LeaseOutcome(lease=str(lease.id), outcome=outcome, item=number, reason=reason)

    def _vote(self, lease: Assignment, item: _Open) -> tuple[Outcome, str | None]:
        if item.row.state != ItemState.POOLED:
            self._leave(lease)
            return Outcome.SURPLUS, f"the item is {item.row.state} already"
        if lease.live:
            outcome, slot = Outcome.ACCEPTED, lease.slot
        else:
            newer = self._newer(lease, item)
            free = newer.slot if newer else free_slot(item.past, item.row.needed)
            if free is None:
                return Outcome.SURPLUS, "the lease was over and others have answered meanwhile"
            outcome, slot = Outcome.LATE, free
        self._finish(lease, slot)
        item.votes += 1
        item.spent += 1
        return outcome, None

    def _review(self, lease: Assignment, item: _Open) -> tuple[Outcome, str | None]:
        outcome = Outcome.ACCEPTED if lease.live else Outcome.LATE
        newer = None if lease.live else self._newer(lease, item)
        others = any(one.live and one.reviewing and one is not lease for one in item.past)
        waits = item.row.state == ItemState.DISPUTED and not item.row.pending and not others
        if not waits or not self.request.role.covers(Role.REVIEWER):
            self._leave(lease)
            return Outcome.SURPLUS, "a reviewer has decided this item, or has it now"
        slot = newer.slot if newer else lease.slot if lease.live else review_slot(item.past)
        self._finish(lease, slot)
        item.votes += 1
        item.reviewed = True
        return outcome, None

    def _newer(self, lease: Assignment, item: _Open) -> Assignment | None:
        """Close the lease that this annotator took later on the same item; its slot serves the answer."""
        for other in item.past:
            if other.annotator == lease.annotator and other.live and other is not lease:
                other.state = AssignmentState.RELEASED
                self.freed.append(other)
                return other
        return None

    def _finish(self, lease: Assignment, slot: int) -> None:
        lease.state, lease.slot = AssignmentState.DONE, slot
        self.done.append(lease)

    def _leave(self, lease: Assignment) -> None:
        """An answer that does not count ends a live lease; one that is over stays as it is."""
        if lease.live:
            self._finish(lease, lease.slot)

    def _annotate(self, lease: Assignment, answer: Answer, outcome: Outcome) -> None:
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
                "role": self.request.role if counted and lease.lane is Lane.REVIEW else Role.ANNOTATOR,
                "created_at": self.request.now,
            }
        )

    def write(self, connection: Session) -> None:
        """Everything that changed; slots are freed before they are taken again."""
        assignments.close(connection, self.freed, self.request.now)
        assignments.close(connection, self.done, self.request.now)
        if self.annotations:
            _ANNOTATE.many(connection, self.annotations)
        changed = [
            {
                "_project": self.request.project,
                "_item": number,
                "_votes": item.votes,
                "_pending": int(item.reviewed or item.votes >= item.row.needed),
            }
            for number, item in self.items.items()
            if item.votes != item.row.votes
        ]
        if changed:
            _COUNT.many(connection, changed)
        spent = sum(item.spent for item in self.items.values())
        if spent:
            _SPEND.run(connection, {"_project": self.request.project, "_spent": spent})


def _look(connection: Session, request: Submission) -> _Desk:
    asked = [answer.lease for answer in request.answers if isinstance(answer, Answer)]
    mine = assignments.own(connection, request.project, request.annotator, asked)
    numbers = sorted(set(mine.values()))
    past = assignments.past(connection, request.project, numbers, request.now)
    items: dict[int, _Open] = {}
    for chunk in chunks(numbers):
        known = {"project": request.project, "annotator": request.annotator, "items": chunk}
        for row in _ITEMS.rows(connection, known):
            items[row.number] = _Open(row, past[row.number], bool(row.answered), row.votes)
    leases = {one.id: one for rows in past.values() for one in rows if one.id in mine}
    return _Desk(request=request, leases=leases, items=items)


def _entry(outcome: LeaseOutcome) -> dict[str, Any]:
    """As it is kept for a repetition of the request."""
    return {name: getattr(outcome, name) for name in ("lease", "outcome", "item", "reason")}


def _outcome(entry: dict[str, Any]) -> LeaseOutcome:
    return LeaseOutcome(
        lease=entry["lease"],
        outcome=Outcome(entry["outcome"]),
        item=None if entry["item"] is None else ItemNumber(entry["item"]),
        reason=entry["reason"],
    )


def _asked_items() -> Any:
    answered = exists().where(
        _answers.c.project == bindparam("project"),
        _answers.c.item == _items.c.number,
        _answers.c.annotator == bindparam("annotator"),
    )
    shown = (_items.c.number, _items.c.state, _items.c.needed, _items.c.votes, _items.c.pending)
    wanted = and_(_items.c.project == bindparam("project"), _items.c.number.in_(bindparam("items", expanding=True)))
    return select(*shown, answered.label("answered")).where(wanted)


# Built once, as in `assignments`.
_ITEMS = Prepared(_asked_items())
_REPLY = Prepared(
    select(_replies.c.digest, _replies.c.body).where(
        _replies.c.project == bindparam("project"),
        _replies.c.subject == bindparam("subject"),
        _replies.c.key == bindparam("key"),
    )
)
_KEEP, _ANNOTATE = Prepared(insert(_replies)), Prepared(insert(_answers))
_COUNTS: dict[str, Any] = {"votes": bindparam("_votes"), "pending": bindparam("_pending")}
_COUNT = Prepared(
    update(_items)
    .where(_items.c.project == bindparam("_project"), _items.c.number == bindparam("_item"))
    .values(_COUNTS)
)
_SPEND = Prepared(
    update(_projects)
    .where(_projects.c.id == bindparam("_project"))
    .values(spent=_projects.c.spent + bindparam("_spent"))
)
