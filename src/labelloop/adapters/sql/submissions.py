"""Recording answers: what each comes to, and the rows that say so. Runs inside a group commit."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from labelloop.adapters.sql import assignments
from labelloop.adapters.sql.assignments import MOST_ID, Assignment, free_slot, review_slot
from labelloop.adapters.sql.driver import Driver, inserting, statement
from labelloop.adapters.sql.tables import microseconds
from labelloop.domain.errors import IdempotencyMismatch
from labelloop.domain.states import AssignmentState, ItemState, Lane, Outcome, Role
from labelloop.domain.types import UNKNOWN_LEASE, Answer, ItemNumber, LeaseOutcome, Submission

Recorded = tuple[list[LeaseOutcome], bool]
"""An outcome for each answer, and whether they are a replay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submissions:
    """Answers of several annotators of a project at once, in order."""

    project: int
    submissions: Sequence[Submission]
    now: datetime

    def __call__(self, connection: Connection) -> list[Recorded | IdempotencyMismatch]:
        """Write the answers and the replies; a number of statements that does not grow with the answers."""
        driver = Driver(connection)
        desk = _look(driver, self)
        replies = _Replies(driver, self)
        recorded = [replies.stored(one) or desk.record(one, replies) for one in self.submissions]
        desk.write(driver)
        replies.write(driver)
        return recorded


class _Replies:
    """What was said to earlier calls with the same Idempotency-Key, in the store or a moment ago."""

    def __init__(self, driver: Driver, request: Submissions) -> None:
        self._request = request
        self._new: list[tuple[Any, ...]] = []
        keyed = [one for one in request.submissions if one.idempotency is not None]
        subjects = list({one.annotator for one in keyed})
        keys = list({one.idempotency[0] for one in keyed if one.idempotency is not None})
        rows = driver.rows(_REPLIES, request.project, subjects, keys) if keyed else ()
        self._known = {(subject, key): (digest, body) for subject, key, digest, body in rows}

    def stored(self, one: Submission) -> Recorded | IdempotencyMismatch | None:
        """The answer this call had before, or None for a new one."""
        if one.idempotency is None:
            return None
        key, digest = one.idempotency
        known = self._known.get((one.annotator, key))
        if known is None:
            return None
        if known[0] != digest:
            return IdempotencyMismatch(
                f"The Idempotency-Key {key!r} was used before with another body. Use a new key for a new request.",
                key=key,
            )
        return [_outcome(entry) for entry in orjson.loads(known[1])], True

    def keep(self, one: Submission, outcomes: list[LeaseOutcome]) -> None:
        """Remember what this call is answered."""
        if one.idempotency is None:
            return
        key, digest = one.idempotency
        body = orjson.dumps([asdict(outcome) for outcome in outcomes]).decode()
        self._known[one.annotator, key] = (digest, body)
        self._new.append((self._request.project, one.annotator, key, digest, body, microseconds(self._request.now)))

    def write(self, driver: Driver) -> None:
        """Keep the new ones."""
        driver.add(_REPLY, self._new)


@dataclass(slots=True)
class _Item:
    """An item while answers are taken: it changes with each. `past` is empty for plain votes, which need none."""

    number: int
    state: str
    needed: int
    votes: int
    pending: int
    answered: set[str] = field(default_factory=set)
    past: list[Assignment] = field(default_factory=list)
    taken: int = 0
    reviewed: bool = False


_TURN = frozenset({AssignmentState.LEASED, AssignmentState.SKIPPED})


@dataclass(slots=True, kw_only=True)
class _Desk:
    """Takes answers one by one against what the store says, and collects what has to be written."""

    request: Submissions
    leases: dict[int, Assignment]
    items: dict[int, _Item]
    spent: int = 0
    freed: list[Assignment] = field(default_factory=list)
    done: list[Assignment] = field(default_factory=list)
    moved: list[Assignment] = field(default_factory=list)
    annotations: list[tuple[Any, ...]] = field(default_factory=list)

    def record(self, one: Submission, replies: _Replies) -> Recorded:
        """What the answers of one call come to."""
        outcomes = [a if isinstance(a, LeaseOutcome) else self._take(a, one) for a in one.answers]
        replies.keep(one, outcomes)
        return outcomes, False

    def _take(self, answer: Answer, one: Submission) -> LeaseOutcome:
        lease = self.leases.get(answer.lease)
        if lease is None or lease.annotator != one.annotator:
            return LeaseOutcome(lease=str(answer.lease), outcome=Outcome.REJECTED, reason=UNKNOWN_LEASE)
        item, number = self.items[lease.item], ItemNumber(lease.item)
        if one.annotator in item.answered:
            again = "you answered this item before; the first answer stands"
            return LeaseOutcome(lease=str(lease.id), outcome=Outcome.DUPLICATE, item=number, reason=again)
        if lease.lane is Lane.REVIEW:
            outcome, reason = self._review(lease, item, one.role)
        else:
            outcome, reason = self._vote(lease, item)
        self._annotate(lease, answer, outcome, one)
        item.answered.add(one.annotator)
        return LeaseOutcome(lease=str(lease.id), outcome=outcome, item=number, reason=reason)

    def _vote(self, lease: Assignment, item: _Item) -> tuple[Outcome, str | None]:
        if item.state != ItemState.POOLED:
            self._leave(lease)
            return Outcome.SURPLUS, f"the item is {item.state} already"
        if lease.live:
            outcome, slot = Outcome.ACCEPTED, lease.slot
        else:
            newer = self._newer(lease, item)
            free = newer.slot if newer else free_slot(item.past, item.needed)
            if free is None:
                return Outcome.SURPLUS, "the lease was over and others have answered meanwhile"
            outcome, slot = Outcome.LATE, free
        self._finish(lease, slot)
        item.taken += 1
        self.spent += 1
        return outcome, None

    def _review(self, lease: Assignment, item: _Item, role: Role) -> tuple[Outcome, str | None]:
        outcome = Outcome.ACCEPTED if lease.live else Outcome.LATE
        newer = None if lease.live else self._newer(lease, item)
        others = any(one.live and one.reviewing and one is not lease for one in item.past)
        waits = item.state == ItemState.DISPUTED and not (item.pending or item.reviewed or others)
        if not waits or not role.covers(Role.REVIEWER):
            self._leave(lease)
            return Outcome.SURPLUS, "a reviewer has decided this item, or has it now"
        slot = newer.slot if newer else lease.slot if lease.live else review_slot(item.past)
        self._finish(lease, slot)
        item.taken += 1
        item.reviewed = True
        return outcome, None

    def _newer(self, lease: Assignment, item: _Item) -> Assignment | None:
        """Close the lease that this annotator took later on the same item; its slot serves the answer.

        One that he skipped is closed, too: he has answered after all, and nobody has two turns at an item.
        """
        for other in item.past:
            if other.annotator == lease.annotator and other is not lease and other.state in _TURN:
                held, other.state = other.live, AssignmentState.RELEASED
                self.freed.append(other)
                return other if held else None
        return None

    def _finish(self, lease: Assignment, slot: int) -> None:
        plain = lease.live and lease.slot == slot
        lease.state, lease.slot = AssignmentState.DONE, slot
        (self.done if plain else self.moved).append(lease)

    def _leave(self, lease: Assignment) -> None:
        """An answer that does not count ends a live lease; one that is over stays as it is."""
        if lease.live:
            self._finish(lease, lease.slot)

    def _annotate(self, lease: Assignment, answer: Answer, outcome: Outcome, one: Submission) -> None:
        counted = outcome is not Outcome.SURPLUS
        role = one.role if counted and lease.lane is Lane.REVIEW else Role.ANNOTATOR
        result = None if answer.result is None else orjson.dumps(answer.result).decode()
        # PostgreSQL keeps no NUL in text.
        comment = None if answer.comment is None else answer.comment.replace("\x00", "\ufffd")
        what = (answer.value, answer.label, result, answer.seconds, comment)
        kept = (outcome.value, int(counted), role.value, microseconds(self.request.now))
        self.annotations.append((self.request.project, lease.item, one.annotator, lease.id, *what, *kept))

    def write(self, driver: Driver) -> None:
        """Everything that changed; slots are freed before they are taken again."""
        now = self.request.now
        assignments.close(driver, self.freed, now)
        assignments.close(driver, self.done, now, moved=self.moved)
        driver.add(_ANNOTATION, self.annotations)
        alike: dict[tuple[int, int], list[int]] = defaultdict(list)
        for item in self.items.values():
            if item.taken:
                votes = item.votes + item.taken
                alike[votes, int(item.reviewed or votes >= item.needed)].append(item.number)
        for (votes, pending), numbers in alike.items():
            driver.run(_COUNT, votes, pending, self.request.project, numbers)
        if self.spent:
            driver.run(_SPEND, self.spent, self.request.project)


def _look(driver: Driver, request: Submissions) -> _Desk:
    project, moment = request.project, microseconds(request.now)
    asked = {a.lease for one in request.submissions for a in one.answers if isinstance(a, Answer)}
    rows = driver.rows(_LEASES, project, [one for one in asked if 0 < one <= MOST_ID]) if asked else ()
    leases: dict[int, Assignment] = {}
    items: dict[int, _Item] = {}
    intricate = set()
    for number, item, annotator, slot, state, lane, expires_at, *of_item in rows:
        leases[number] = Assignment(number, item, annotator, slot, AssignmentState(state), Lane(lane))
        items[item] = _Item(item, *of_item)
        if expires_at <= moment or state != AssignmentState.LEASED or lane == Lane.REVIEW:
            intricate.add(item)
    for item, annotator in driver.rows(_ANSWERED, project, list(items)) if items else ():
        items[item].answered.add(annotator)
    for item, past in assignments.past(driver, project, intricate, request.now).items():
        items[item].past = past
        leases.update((one.id, one) for one in past if one.id in leases)
    return _Desk(request=request, leases=leases, items=items)


def _outcome(entry: dict[str, Any]) -> LeaseOutcome:
    return LeaseOutcome(
        lease=entry["lease"],
        outcome=Outcome(entry["outcome"]),
        item=None if entry["item"] is None else ItemNumber(entry["item"]),
        reason=entry["reason"],
    )


_LEASES = statement(
    "SELECT a.id, a.item, a.annotator, a.slot, a.state, a.lane, a.expires_at, i.state, i.needed, i.votes, i.pending"
    " FROM assignment a JOIN item i ON i.project = a.project AND i.number = a.item WHERE a.project = ? AND a.id IN [?]"
)
_ANSWERED = statement("SELECT item, annotator FROM annotation WHERE project = ? AND item IN [?]")
_REPLIES = statement("SELECT subject, key, digest, body FROM reply WHERE project = ? AND subject IN [?] AND key IN [?]")
_REPLY = inserting("reply", "project", "subject", "key", "digest", "body", "created_at")
_ANNOTATION = inserting(
    "annotation",
    *("project", "item", "annotator", "assignment", "value", "label", "result", "seconds", "comment", "outcome"),
    *("counted", "role", "created_at"),
)
_COUNT = statement("UPDATE item SET votes = ?, pending = ? WHERE project = ? AND number IN [?]")
_SPEND = statement("UPDATE project SET spent = spent + ? WHERE id = ?")
