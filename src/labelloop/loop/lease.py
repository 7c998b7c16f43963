"""lease: work is handed out. Redis proposes a batch, SQL disposes; what SQL refused is dropped from Redis.

A lease is acknowledged only after its commit. If we die between the proposal and the commit, the proposal expires in
Redis like any lease; if we die after the commit, the lease expires in SQL.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from labelloop.domain import policy
from labelloop.domain.errors import TooLarge, TooOften, Unavailable
from labelloop.domain.states import Outcome, ProjectState, Role
from labelloop.domain.types import Candidate, Identity, ItemNumber, Lease, LeaseId, LeaseOutcome
from labelloop.ports import Ports
from labelloop.projects import Project

MAX_COUNT = 1_000
TRIES = 4
"""How often a batch that SQL refused in part is filled up again."""
RETRY_AFTER = 1.0
"""Seconds after which an empty-handed annotator may ask again: a lease may expire or a round be planned meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseBatch:
    """What an annotator gets. `reason` says why it is empty; `retry_after` (seconds) is None when it will stay so."""

    leases: list[Lease]
    predictions: Mapping[LeaseId, str] = field(default_factory=dict)
    retry_after: float | None = None
    reason: str | None = None


def lease(ports: Ports, name: str, who: Identity, count: int) -> LeaseBatch:
    """Up to `count` leases for this annotator; a reviewer gets disputed items first.

    Raises:
        TooLarge: more than MAX_COUNT at once.
    """
    if not 1 <= count <= MAX_COUNT:
        raise TooLarge(f"ask for 1 to {MAX_COUNT} items at once, not {count}", project=name)
    project, row = ports.projects.get(name), ports.projects.row(name)
    reason = policy.may_lease(row.state, row.spent, project.stop.budget)
    paused = row.state is ProjectState.PAUSED
    # Reviews cost no budget, so a reviewer may still settle what is disputed when it is spent.
    try:
        leases = [] if paused else _fill(ports, project, who, count, fresh=reason is None)
    except TooOften as error:
        return LeaseBatch(leases=[], reason=error.detail, retry_after=error.retry_after)
    if reason is not None and not leases:
        return LeaseBatch(leases=[], reason=reason, retry_after=10 * RETRY_AFTER if paused else None)
    if leases:
        return LeaseBatch(leases=leases)
    reason = "the first round is being planned" if row.round is None else "no item is free for you now"
    return LeaseBatch(leases=[], reason=reason, retry_after=RETRY_AFTER)


def _fill(ports: Ports, project: Project, who: Identity, count: int, *, fresh: bool) -> list[Lease]:
    """Up to `count` leases; without `fresh` only reviews."""
    name, leases = project.name, list[Lease]()
    reviewing = who.role.covers(Role.REVIEWER)
    pulls = project.lease.pulls_per_minute  # until it was counted once
    for _ in range(TRIES):
        now = ports.clock.now()
        expires_at = now + timedelta(seconds=project.lease.seconds)
        missing = count - len(leases)
        candidates: list[Candidate] = []
        if reviewing:
            candidates = ports.queue.propose(
                name, who.subject, missing, expires_at=expires_at, review=True, pulls=pulls
            )
            pulls = None
        if fresh and len(candidates) < missing:
            candidates += ports.queue.propose(
                name, who.subject, missing - len(candidates), expires_at=expires_at, pulls=pulls
            )
            pulls = None
        if not candidates:
            break
        granted = ports.ledger.grant(
            name,
            who.subject,
            candidates,
            now=now,
            expires_at=expires_at,
            most=project.lease.maximum,
            budget=project.stop.budget,
        )
        leases += granted
        refused = {candidate.item for candidate in candidates} - {one.item for one in granted}
        if not refused:
            break
        with suppress(Unavailable):  # the steward's sync repairs what Redis did not hear
            ports.queue.drop(name, who.subject, ports.ledger.slots(name, sorted(refused)))
    return leases


def open_leases(ports: Ports, name: str, who: Identity) -> LeaseBatch:
    """The leases this annotator still holds: how a page goes on after a reload."""
    return LeaseBatch(leases=ports.ledger.held(name, who.subject, ports.clock.now()))


def renew(ports: Ports, name: str, who: Identity, leases: Sequence[str]) -> list[LeaseOutcome]:
    """Give leases their full time again: a heartbeat while a person works."""
    project = ports.projects.get(name)
    now = ports.clock.now()
    expires_at = now + timedelta(seconds=project.lease.seconds)
    outcomes = _each(leases, lambda known: ports.ledger.renew(name, who.subject, known, now=now, expires_at=expires_at))
    with suppress(Unavailable):
        ports.queue.renew(name, who.subject, _accepted(outcomes), expires_at)
    return outcomes


def release(ports: Ports, name: str, who: Identity, leases: Sequence[str]) -> list[LeaseOutcome]:
    """Give leases back unanswered; the items may come to anyone again."""
    return _close(ports, name, who, leases, skip=False)


def skip(ports: Ports, name: str, who: Identity, leases: Sequence[str]) -> list[LeaseOutcome]:
    """Give leases back for good: these items never come to this annotator again, nor to anybody after some skips."""
    outcomes = _close(ports, name, who, leases, skip=True)
    if skipped := [one.item for one in outcomes if one.item is not None and one.outcome is not Outcome.REJECTED]:
        to_review(ports, name, skipped)
    return outcomes


def to_review(ports: Ports, name: str, items: Sequence[ItemNumber] | None = None) -> int:
    """Items (all, or of the given) that enough annotators skipped go to a reviewer. Returns how many."""
    least = ports.projects.get(name).lease.skips_to_review
    disputed = ports.verdicts.dispute_skipped(name, least, now=ports.clock.now(), items=items)
    if disputed:
        with suppress(Unavailable):  # the steward's sync repairs what Redis did not hear
            ports.queue.sync(name, ports.ledger.slots(name, disputed), ports.verdicts.disputed(name))
    return len(disputed)


def number(lease_text: object) -> LeaseId | None:
    """The number of a lease as it stands on the wire, or None when it cannot be one."""
    text = str(lease_text)
    return LeaseId(int(text)) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def rejected(lease_text: object, reason: str) -> LeaseOutcome:
    """An outcome that says why nothing was done about a lease."""
    return LeaseOutcome(lease=str(lease_text)[:64], outcome=Outcome.REJECTED, reason=reason)


UNKNOWN = "no such lease of yours; ask for a new batch"


def _close(ports: Ports, name: str, who: Identity, leases: Sequence[str], *, skip: bool) -> list[LeaseOutcome]:
    now = ports.clock.now()
    outcomes = _each(leases, lambda known: ports.ledger.close(name, who.subject, known, now=now, skip=skip))
    with suppress(Unavailable):
        ports.queue.put_back(name, who.subject, _accepted(outcomes), skip=skip)
    return outcomes


def _each(leases: Sequence[str], change: Callable[[list[LeaseId]], list[LeaseOutcome]]) -> list[LeaseOutcome]:
    """Outcomes in the order asked: those of the store, and rejections of what cannot be a lease."""
    if len(leases) > MAX_COUNT:
        raise TooLarge(f"name at most {MAX_COUNT} leases at once, not {len(leases)}")
    numbers = [number(text) for text in leases]
    known = list(dict.fromkeys(one for one in numbers if one is not None))
    by_lease = {outcome.lease: outcome for outcome in (change(known) if known else [])}
    return [by_lease.get(str(one)) or rejected(text, UNKNOWN) for one, text in zip(numbers, leases, strict=True)]


def _accepted(outcomes: Sequence[LeaseOutcome]) -> list[ItemNumber]:
    return [one.item for one in outcomes if one.outcome is Outcome.ACCEPTED and one.item is not None]
