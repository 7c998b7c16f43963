"""lease: work is handed out. Redis proposes a batch, SQL disposes; what SQL refused is dropped from Redis.

A lease is acknowledged only after its commit. If we die between the proposal and the commit, the proposal expires in
Redis like any lease; if we die after the commit, the lease expires in SQL.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from labelloop.domain import policy, skills
from labelloop.domain.errors import TooLarge, TooOften, Unavailable
from labelloop.domain.skills import Skills
from labelloop.domain.states import Bound, JobKind, JobState, Lane, Outcome, ProjectState, Role
from labelloop.domain.types import (
    UNKNOWN_LEASE,
    Candidate,
    Granted,
    Identity,
    ItemNumber,
    Lease,
    LeaseId,
    LeaseOutcome,
    ProjectRow,
    Proposal,
    Pull,
)
from labelloop.loop.suggest import suggestions
from labelloop.ports import Ports
from labelloop.projects import LeaseRules, Project

MAX_COUNT = 1_000
TRIES = 4
"""How often a batch that SQL refused in part is filled up again."""
RETRY_AFTER = 1.0
"""Seconds after which an empty-handed annotator may ask again: a lease may expire or a round be planned meanwhile."""

_BOUND = {
    Bound.MOST: "you hold as many leases as one may in this project; answer some or give them back",
    Bound.BUDGET: "the rest of the budget is out on leases; ask again, for some may come back",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseBatch:
    """What an annotator gets. `reason` says why it is empty; `retry_after` (seconds) is None when it will stay so.

    `predictions` may have those of others' leases, too.
    """

    leases: list[Lease]
    predictions: Mapping[LeaseId, str] = field(default_factory=dict)
    retry_after: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One annotator who asks for up to `count` items."""

    who: Identity
    count: int


def lease(ports: Ports, name: str, who: Identity, count: int) -> LeaseBatch:
    """Up to `count` leases for this annotator; a reviewer gets disputed items first.

    Raises:
        TooLarge: more than MAX_COUNT at once.
    """
    batch = lease_all(ports, name, [Ask(who=who, count=count)])[0]
    if isinstance(batch, TooLarge):
        raise batch
    return batch


def lease_all(ports: Ports, name: str, asks: Sequence[Ask]) -> list[LeaseBatch | TooLarge]:
    """As `lease`, for all who ask at the same time: one round trip to Redis and one transaction for all of them."""
    row = ports.projects.row(name)
    project = ports.projects.get(name, row.edition)
    reason = policy.may_lease(row.state, row.spent, project.stop.budget)
    requirements = ports.pool.requirements(name, row.requirements) if row.requirements else ()
    desks = [_Desk(ask.who, ask.count, skills.covered(requirements, ask.who.skills)) for ask in asks]
    fair = [desk for desk in desks if 1 <= desk.count <= MAX_COUNT]
    paused = row.state is ProjectState.PAUSED
    if not paused:
        # Reviews cost no budget, so a reviewer may still settle what is disputed when it is spent.
        _fill(ports, project, fair, fresh=reason is None)
    if reason is not None:
        idle = LeaseBatch(leases=[], reason=reason, retry_after=10 * RETRY_AFTER if paused else None)
    else:
        reason = _no_round(ports, row) if row.round is None else "no item is free for you now"
        idle = LeaseBatch(leases=[], reason=reason, retry_after=RETRY_AFTER)
        idlers = [desk for desk in fair if not desk.leases and desk.reason is None]
        if requirements and idlers:
            _say_what_is_missing(ports, name, idlers, requirements)
    suggested = suggestions(ports, project, [one for desk in desks for one in desk.leases])
    return [desk.batch(name, idle, suggested) for desk in desks]


def _no_round(ports: Ports, row: ProjectRow) -> str:
    """Why nothing can be handed out before the first round."""
    if not row.items:
        return "the project has no items yet"
    newest = next(iter(ports.jobs.recent(row.name, JobKind.PLAN, 1)), None)
    if newest is None or newest.state is not JobState.FAILED:
        return "the first round is being planned"
    return f"the first round could not be planned: {(newest.problem or {}).get('detail', 'see the log of the sampler')}"


def _say_what_is_missing(ports: Ports, name: str, desks: Sequence["_Desk"], requirements: Sequence[Skills]) -> None:
    """Tell those who go away empty-handed what the items that are left require."""
    depth = ports.queue_health.depth_by_requirement(name)
    for desk in desks:
        lanes = Lane if desk.reviewing else [lane for lane in Lane if lane is not Lane.REVIEW]
        waits = [one for one, by_lane in depth.items() if any(by_lane[lane] for lane in lanes)]
        if missing := [
            requirements[one - 1] for one in waits if 0 < one <= len(requirements) and one not in desk.covers
        ]:
            carried = ", ".join(sorted(desk.who.skills)) or "none"
            desk.reason = (
                f"no item is free for you now; items are left, but they require: {skills.named(missing)} "
                f"(skills of your key: {carried})"
            )


@dataclass(slots=True)
class _Desk:
    """One annotator's batch while it fills up."""

    who: Identity
    count: int
    covers: Sequence[int] = ()
    leases: list[Lease] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    uncounted: bool = True
    too_often: TooOften | None = None
    reason: str | None = None

    @property
    def reviewing(self) -> bool:
        return self.who.role.covers(Role.REVIEWER)

    @property
    def missing(self) -> int:
        return self.count - len(self.leases) - len(self.candidates)

    def pull(self, rules: LeaseRules, *, review: bool) -> Pull:
        """What to ask the queue for; the first pull of a call is counted, the others belong to it."""
        pulls, self.uncounted = rules.pulls_per_minute if self.uncounted else None, False
        count = min(self.missing, rules.maximum)
        return Pull(annotator=self.who.subject, count=count, review=review, pulls=pulls, covers=self.covers)

    def batch(self, name: str, idle: LeaseBatch, suggested: Mapping[LeaseId, str]) -> LeaseBatch | TooLarge:
        if not 1 <= self.count <= MAX_COUNT:
            return TooLarge(f"ask for 1 to {MAX_COUNT} items at once, not {self.count}", project=name)
        if self.too_often is not None:
            return LeaseBatch(leases=[], reason=self.too_often.detail, retry_after=self.too_often.retry_after)
        if self.leases:
            return LeaseBatch(leases=self.leases, predictions=suggested)
        return idle if self.reason is None else replace(idle, reason=self.reason)


def _fill(ports: Ports, project: Project, desks: Sequence[_Desk], *, fresh: bool) -> None:
    """Fill up all batches; without `fresh` with reviews only."""
    for _ in range(TRIES):
        now = ports.clock.now()
        expires_at = now + timedelta(seconds=project.lease.seconds)
        _propose(ports, project, [desk for desk in desks if desk.reviewing], expires_at, review=True)
        if fresh:
            _propose(ports, project, desks, expires_at)
        desks = [desk for desk in desks if desk.candidates]
        if not desks:
            return
        granted = ports.ledger.grant_all(
            project.name,
            [
                Proposal(annotator=desk.who.subject, candidates=desk.candidates, skills=desk.who.skills)
                for desk in desks
            ],
            now=now,
            expires_at=expires_at,
            most=project.lease.maximum,
            budget=project.stop.budget,
        )
        desks = [desk for desk, one in zip(desks, granted, strict=True) if _refused(ports, project.name, desk, one)]


def _propose(
    ports: Ports, project: Project, desks: Sequence[_Desk], expires_at: datetime, *, review: bool = False
) -> None:
    asking = [desk for desk in desks if desk.missing > 0 and desk.too_often is None]
    if not asking:
        return
    pulls = [desk.pull(project.lease, review=review) for desk in asking]
    for desk, proposed in zip(asking, ports.queue.propose_all(project.name, pulls, expires_at=expires_at), strict=True):
        if isinstance(proposed, TooOften):
            desk.too_often = proposed
        else:
            desk.candidates += proposed


def _refused(ports: Ports, name: str, desk: _Desk, granted: Granted) -> bool:
    """Take what SQL granted into the batch; whether it refused what others may stand in for. Redis learns of it."""
    refused = {candidate.item for candidate in desk.candidates} - {one.item for one in granted.leases}
    desk.leases += granted.leases
    desk.candidates = []
    if granted.bound is not None:
        desk.reason = _BOUND[granted.bound]
    if refused:
        with suppress(Unavailable):  # the steward's sync repairs what Redis did not hear
            ports.queue.drop(name, desk.who.subject, ports.ledger.slots(name, sorted(refused)))
    return bool(refused) and granted.bound is None


def open_leases(ports: Ports, name: str, who: Identity) -> LeaseBatch:
    """The leases this annotator still holds: how a page goes on after a reload."""
    held = ports.ledger.held(name, who.subject, ports.clock.now())
    return LeaseBatch(leases=held, predictions=suggestions(ports, ports.projects.get(name), held))


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
    return [by_lease.get(str(one)) or rejected(text, UNKNOWN_LEASE) for one, text in zip(numbers, leases, strict=True)]


def _accepted(outcomes: Sequence[LeaseOutcome]) -> list[ItemNumber]:
    return [one.item for one in outcomes if one.outcome is Outcome.ACCEPTED and one.item is not None]
